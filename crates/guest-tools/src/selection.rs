//! Walks through directories, in order, past what nobody asked for.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use guest_protocol::path::{STAGING, WorkspacePath};
use guest_protocol::tools::file::{Depth, Ignored, Selection};
use ignore::overrides::{Override, OverrideBuilder};
use ignore::{DirEntry, Walk, WalkBuilder};

use crate::error::ToolError;
use crate::root::Root;

/// A walk that yields entries in the order of [`WorkspacePath`].
pub(crate) struct Selected {
    walk: Walk,
    globs: Arc<Override>,
    start: WorkspacePath,
    base: std::path::PathBuf,
}

/// Something that a walk has found.
pub(crate) struct Walked {
    pub(crate) entry: DirEntry,
    pub(crate) path: WorkspacePath,
}

impl Selected {
    /// What is selected below `start`, which has no links in it.
    pub(crate) fn new(
        root: &Root,
        start: WorkspacePath,
        depth: Depth,
        selection: &Selection,
    ) -> Result<Self, ToolError> {
        let base = root.absolute(&start);
        let globs = Arc::new(globs(&base, &selection.globs)?);
        let standard = selection.ignored == Ignored::Skip;
        let staging = root.absolute(&WorkspacePath::root()).join(STAGING);
        let pruned = globs.clone();
        let walk = WalkBuilder::new(&base)
            .hidden(false)
            .ignore(standard)
            .git_ignore(standard)
            .git_exclude(standard)
            .git_global(false)
            .parents(standard)
            .require_git(false)
            .max_depth(match depth {
                Depth::Shallow => Some(1),
                Depth::Deep => None,
            })
            .sort_by_file_name(|one, other| one.as_bytes().cmp(other.as_bytes()))
            .filter_entry(move |entry| {
                let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
                entry.path() != staging
                    && !(standard && entry.depth() > 0 && entry.file_name() == ".git")
                    && !(is_directory
                        && entry.depth() > 0
                        && pruned.matched(entry.path(), true).is_ignore())
            })
            .build();
        Ok(Self { walk, globs, start, base })
    }

    /// Whether a glob asks for it, if there are any.
    fn is_asked_for(&self, entry: &DirEntry) -> bool {
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        let matched = self.globs.matched(entry.path(), is_directory);
        // Directories are walked through without being asked for.
        if self.globs.num_whitelists() > 0 { matched.is_whitelist() } else { !matched.is_ignore() }
    }

    fn path_of(&self, path: &Path) -> WorkspacePath {
        match path.strip_prefix(&self.base) {
            Ok(inside) if !inside.as_os_str().is_empty() => {
                self.start.join(inside.as_os_str().as_bytes())
            }
            _ => self.start.clone(),
        }
    }
}

impl Iterator for Selected {
    type Item = Result<Walked, ToolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.walk.next()? {
                Ok(entry) => {
                    // The start itself is no entry, unless it is a single file.
                    let is_start = entry.depth() == 0;
                    if is_start && entry.file_type().is_some_and(|kind| kind.is_dir()) {
                        continue;
                    }
                    if is_start || self.is_asked_for(&entry) {
                        let path = self.path_of(entry.path());
                        return Some(Ok(Walked { entry, path }));
                    }
                }
                // What goes away while it is walked through is no failure.
                Err(error) if is_missing(&error) => {}
                Err(source) => {
                    return Some(Err(ToolError::Walk { path: self.start.clone(), source }));
                }
            }
        }
    }
}

fn is_missing(error: &ignore::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn globs(base: &Path, globs: &[String]) -> Result<Override, ToolError> {
    let mut builder = OverrideBuilder::new(base);
    for glob in globs {
        builder.add(glob).map_err(|source| ToolError::Glob { glob: glob.clone(), source })?;
    }
    builder.build().map_err(|source| ToolError::Glob { glob: globs.join(", "), source })
}
