//! Which files of a host's tree are taken, for a seed or for a push.

use std::path::{Path, PathBuf};

use file_tree::{Entry, Root, TreeError, TreePath, walk};
use operation::{ErrorKind, OpError};
use workspace_api::seed::{SeedFiles, SubmoduleContent};

use super::git::{self, Checkout};
use super::listing::{self, FILES_MAX};
use super::{blocking, resolved};
use crate::trouble::tree_error;

/// The name of git's own files. Some file systems do not tell cases apart.
const OWN: &[u8] = b".git";

/// The files of a directory that are taken.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Resolved.
    pub(crate) directory: PathBuf,
    pub(crate) root: Root,
    /// Files, and the directories that they lie in; in order.
    pub(crate) entries: Vec<Entry>,
    /// What is not taken, and why.
    pub(crate) left_out: Vec<(String, &'static str)>,
    /// Whether git says what is taken: then directories are only places for files.
    pub(crate) of_git: bool,
    /// Checked-out submodules, relative to the directory.
    modules: Vec<TreePath>,
}

impl Selection {
    /// Looks at a directory. git's own files are never part of it.
    pub(crate) async fn of(path: &Path, files: SeedFiles) -> Result<Self, OpError> {
        let directory = resolved(path)?;
        if !directory.is_dir() {
            let message = format!("{} is no directory", directory.display());
            return Err(OpError::plain(ErrorKind::InvalidRequest, message));
        }
        let checkout = Checkout::find(&directory, files).await?;
        blocking(move || {
            Self::list(directory, checkout).map_err(|error| error.during("cannot list the files"))
        })
        .await
    }

    fn list(directory: PathBuf, checkout: Option<Checkout>) -> Result<Self, OpError> {
        let root = Root::open(&directory).map_err(tree_error)?;
        let (mut entries, unreadable) = entries(&root, checkout.as_ref()).map_err(tree_error)?;
        listing::check_size(&entries).map_err(tree_error)?;
        entries.retain(|entry| !is_git_own(&entry.path));
        let of_git = checkout.as_ref().is_some_and(|checkout| checkout.files.is_some());
        let mut left_out: Vec<(String, &'static str)> =
            unreadable.iter().map(|path| (path.to_string(), "it cannot be read")).collect();
        let mut modules = Vec::new();
        if let Some(checkout) = checkout {
            left_out.extend(checkout.left_out);
            for module in checkout.submodules {
                if module.content == SubmoduleContent::Files
                    && let Ok(path) = TreePath::parse(module.path.as_bytes())
                {
                    modules.push(path);
                }
            }
        }
        Ok(Self { directory, root, entries, left_out, of_git, modules })
    }

    /// Those of some paths that the checkout's rules ignore. Directories end with
    /// a slash.
    pub(crate) async fn ignored(&self, paths: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, OpError> {
        if !self.of_git {
            return Ok(Vec::new());
        }
        // The innermost repository judges, by names relative to it.
        let mut by_module: std::collections::BTreeMap<&[u8], Vec<u8>> =
            std::collections::BTreeMap::new();
        for path in paths {
            let module = self
                .modules
                .iter()
                .map(TreePath::as_bytes)
                .filter(|module| {
                    path.strip_prefix(*module).is_some_and(|rest| rest.starts_with(b"/"))
                })
                .max_by_key(|module| module.len())
                .unwrap_or_default();
            let rest = if module.is_empty() { path } else { &path[module.len() + 1..] };
            let question = by_module.entry(module).or_default();
            question.extend_from_slice(rest);
            question.push(0);
        }
        let mut ignored = Vec::new();
        for (module, question) in by_module {
            let module = TreePath::parse(module).unwrap_or_default();
            let answer = git::ignored(&self.directory.join(module.as_path()), question).await?;
            for name in answer.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
                let mut path = module.as_bytes().to_vec();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                ignored.push(path);
            }
        }
        ignored.sort_unstable();
        Ok(ignored)
    }

    /// Waits until every change from now on will be seen, see [`Self::is_unchanged`].
    pub(crate) fn settle(&self) {
        listing::settle(&self.entries);
    }

    /// Whether files are still what they were when this was listed.
    pub(crate) fn is_unchanged(&self, entries: &[Entry]) -> bool {
        listing::is_unchanged(&self.root, entries)
    }
}

/// Whether a path is git's own, in any case, at any depth.
pub(crate) fn is_git_own(path: &TreePath) -> bool {
    path.names().any(|name| name.eq_ignore_ascii_case(OWN))
}

/// What of a directory is taken, and what of it cannot be read.
pub(super) fn entries(
    root: &Root,
    checkout: Option<&Checkout>,
) -> Result<(Vec<Entry>, Vec<TreePath>), TreeError> {
    match checkout.and_then(|checkout| checkout.files.as_ref()) {
        Some(files) => Ok((listing::of_files(root, files)?, Vec::new())),
        None => {
            let is_checkout = checkout.is_some();
            // git's own files are put together apart.
            let mut enter = |entry: &Entry| !is_checkout || entry.path.as_bytes() != OWN;
            let found = walk(root, FILES_MAX, &mut enter)?;
            Ok((found.entries, found.unreadable))
        }
    }
}
