//! What the files will be once a patch is applied, worked out in memory.
//!
//! A file may occur in a patch several times; each time it is as the one before
//! left it. Renames and copies read the files as they are on the disk, whatever
//! the order, so two files can change places.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use guest_protocol::path::{STAGING, WorkspacePath};
use guest_protocol::tools::file::{Kind, Parents};
use guest_protocol::tools::patch::{
    Action, Applied, Apply, FILE_MAX, Intent, MovedHunk, PatchedFile, TOTAL_MAX,
};
use sha1::{Digest as _, Sha1};

use super::binary::{BinaryHunk, apply_delta};
use super::image::{Image, counts};
use super::parse::{Body, Change, FilePatch};
use super::{Misfit, PatchError};
use crate::error::ToolError;
use crate::root::{PERMISSIONS, Root, kind_name, kind_of};
use crate::staging::{Journal, Staging, Step};

/// The bits of a mode that say what a file is.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// A regular file or a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    /// Of a link, where it points.
    content: Vec<u8>,
    /// Type and permission bits.
    mode: u32,
    owner: Option<(u32, u32)>,
}

/// What lies on the disk.
#[derive(Debug, Clone)]
enum Disk {
    Nothing,
    Directory,
    File { state: State, inode: u64 },
}

/// What is planned so far.
struct Plan<'a> {
    root: &'a Root,
    directory: &'a WorkspacePath,
    disk: BTreeMap<WorkspacePath, Disk>,
    /// What each file will be; `None` if it will not be.
    results: BTreeMap<WorkspacePath, Option<State>>,
    /// Files that the patch removes or gives another place, anywhere in it.
    leaving: BTreeSet<WorkspacePath>,
    bytes: u64,
}

/// Why a file cannot be planned.
enum Trouble {
    /// The patch does not fit it.
    Misfit(String),
    /// Something else.
    Error(ToolError),
}

impl<E: Into<ToolError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

fn misfit<T>(reason: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Misfit(reason.into()))
}

/// Applies a patch.
pub(super) fn carry_out(
    root: &Root,
    request: &Apply,
    patches: &[FilePatch<'_>],
) -> Result<Applied, ToolError> {
    let (_, directory) = root.open_directory(&request.directory)?;
    let mut staging = Staging::begin(root)?;
    // From here on nobody else changes the files.
    staging.lock()?;
    let mut plan = Plan {
        root,
        directory: &directory,
        disk: BTreeMap::new(),
        results: BTreeMap::new(),
        leaving: BTreeSet::new(),
        bytes: 0,
    };
    for patch in patches {
        if let Change::Delete(name) | Change::Rename { from: name, .. } = &patch.change {
            plan.leaving.insert(plan.path(name)?);
        }
    }
    let mut files = Vec::new();
    let mut misfits = Vec::new();
    let mut collect = |file: &[u8], trouble| match trouble {
        Trouble::Misfit(reason) => {
            misfits.push(Misfit { file: file.to_vec(), reason });
            Ok(())
        }
        Trouble::Error(error) => Err(error),
    };
    for patch in patches {
        match plan.add(patch) {
            Ok(file) => files.push(file),
            Err(trouble) => collect(patch.change.name(), trouble)?,
        }
    }
    let paths: Vec<WorkspacePath> = plan.results.keys().cloned().collect();
    for path in &paths {
        if let Err(trouble) = plan.check_place(path) {
            collect(path.as_bytes(), trouble)?;
        }
    }
    if !misfits.is_empty() {
        return Err(PatchError::Misfits { all: misfits }.into());
    }
    if request.intent == Intent::Apply {
        let journal = plan.stage(&mut staging)?;
        staging.commit(&journal)?;
    }
    Ok(Applied { files })
}

impl Plan<'_> {
    /// The place that a name of the patch means. Names that git refuses mean none.
    fn path(&self, name: &[u8]) -> Result<WorkspacePath, ToolError> {
        let bad = || ToolError::from(PatchError::BadName { file: name.to_vec() });
        let is_bad = |part: &[u8]| {
            matches!(part, b"" | b"." | b"..")
                || part.eq_ignore_ascii_case(b".git")
                || part == STAGING.as_bytes()
        };
        if name.split(|byte| *byte == b'/').any(is_bad) {
            return Err(bad());
        }
        let mut path = self.directory.clone();
        for part in name.split(|byte| *byte == b'/') {
            path = path.join(part);
        }
        WorkspacePath::from_bytes(path.as_bytes()).map_err(|_| bad())
    }

    /// What lies on the disk.
    fn on_disk(&mut self, path: &WorkspacePath) -> Result<Disk, Trouble> {
        if let Some(known) = self.disk.get(path) {
            return Ok(known.clone());
        }
        let found = self.look(path)?;
        self.disk.insert(path.clone(), found.clone());
        Ok(found)
    }

    fn look(&mut self, path: &WorkspacePath) -> Result<Disk, Trouble> {
        let place = match self.root.place(path, Parents::Require, "patched") {
            Err(ToolError::Missing(_) | ToolError::WrongKind { .. }) => return Ok(Disk::Nothing),
            Err(ToolError::Outside(_)) => return misfit("it lies beyond a symbolic link"),
            other => other?,
        };
        if place.path != *path {
            return misfit("it lies beyond a symbolic link");
        }
        let Some(stat) = place.stat()? else { return Ok(Disk::Nothing) };
        let content = match kind_of(&stat) {
            Kind::Directory => return Ok(Disk::Directory),
            Kind::Special => return misfit(format!("it is {}", kind_name(Kind::Special))),
            Kind::Symlink => place.target()?,
            Kind::File => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                self.weigh(path, size)?;
                let (file, _) = place.open_file()?;
                let mut content = Vec::new();
                file.take(FILE_MAX)
                    .read_to_end(&mut content)
                    .map_err(ToolError::at("read", path))?;
                content
            }
        };
        let owner = Some((stat.st_uid, stat.st_gid));
        let mode = stat.st_mode & (TYPE | PERMISSIONS);
        Ok(Disk::File { state: State { content, mode, owner }, inode: stat.st_ino })
    }

    /// Refuses what is too large to be held in memory.
    fn weigh(&mut self, path: &WorkspacePath, size: u64) -> Result<(), ToolError> {
        self.bytes = self.bytes.saturating_add(size);
        let (size, max) = if size > FILE_MAX { (size, FILE_MAX) } else { (self.bytes, TOTAL_MAX) };
        if size > max {
            return Err(ToolError::TooLarge { path: path.clone(), size, max });
        }
        Ok(())
    }

    /// Plans what a patch asks for in one file.
    fn add(&mut self, patch: &FilePatch<'_>) -> Result<PatchedFile, Trouble> {
        let source = patch.change.source().map(|name| self.path(name)).transpose()?;
        let target = patch.change.target().map(|name| self.path(name)).transpose()?;
        let before = match &source {
            Some(path) => self.before(path, &patch.change)?,
            None => None,
        };
        let is_new = before.is_none();
        if let Some(before) = &before {
            check_type(before, patch)?;
        }
        if let Some(path) = &target
            && (is_new || source.as_ref() != Some(path))
        {
            self.check_free(path)?;
        }
        let old: &[u8] = before.as_ref().map_or(&[], |state| &state.content);
        let (content, moved_hunks) = changed(old, patch)?;
        let is_deleted = target.is_none();
        if is_deleted && !content.is_empty() {
            return misfit("it is to be deleted, but the patch leaves something in it");
        }
        if let Some(path) = &target {
            self.weigh(path, content.len() as u64)?;
            let state = State {
                mode: mode_after(before.as_ref(), patch)?,
                owner: before.as_ref().and_then(|state| state.owner),
                content,
            };
            self.results.insert(path.clone(), Some(state));
        }
        let action = match &patch.change {
            Change::Create(_) => Action::Added,
            Change::ModifyOrCreate(_) if is_new => Action::Added,
            Change::Modify(_) | Change::ModifyOrCreate(_) => Action::Modified,
            Change::Delete(_) => Action::Deleted,
            Change::Rename { .. } => Action::Renamed,
            Change::Copy { .. } => Action::Copied,
        };
        if matches!(action, Action::Deleted | Action::Renamed)
            && let Some(path) = &source
            && source != target
        {
            // What another part of the patch has put there stays.
            self.results.entry(path.clone()).or_insert(None);
            if is_deleted {
                self.results.insert(path.clone(), None);
            }
        }
        let (added_lines, removed_lines) = match &patch.body {
            Body::Text(hunks) => counts(hunks),
            _ => (0, 0),
        };
        let from = matches!(action, Action::Renamed | Action::Copied).then(|| source.clone());
        Ok(PatchedFile {
            path: target.or(source).unwrap_or_default(),
            action,
            from: from.flatten(),
            added_lines,
            removed_lines,
            binary: matches!(patch.body, Body::Binary { .. }),
            moved_hunks,
        })
    }

    /// The file that a patch starts from; `None` if it may be new.
    fn before(&mut self, path: &WorkspacePath, change: &Change) -> Result<Option<State>, Trouble> {
        let reads_disk = matches!(change, Change::Rename { .. } | Change::Copy { .. });
        match self.results.get(path) {
            Some(Some(state)) if !reads_disk => return Ok(Some(state.clone())),
            Some(None) if !reads_disk => {
                return misfit("an earlier part of the patch has removed it");
            }
            _ => {}
        }
        match self.on_disk(path)? {
            Disk::File { state, .. } => Ok(Some(state)),
            Disk::Nothing if matches!(change, Change::ModifyOrCreate(_)) => Ok(None),
            Disk::Nothing => misfit(format!("there is no file `{path}`")),
            Disk::Directory => misfit(format!("`{path}` is a directory")),
        }
    }

    /// Something new must not take the place of what stays.
    fn check_free(&mut self, path: &WorkspacePath) -> Result<(), Trouble> {
        match self.results.get(path) {
            Some(None) => return Ok(()),
            Some(Some(_)) => return misfit("the patch makes it twice"),
            None => {}
        }
        match self.on_disk(path)? {
            Disk::File { .. } if !self.leaving.contains(path) => misfit("it exists already"),
            _ => Ok(()),
        }
    }

    /// What lies around a file must let it be there.
    fn check_place(&mut self, path: &WorkspacePath) -> Result<(), Trouble> {
        if !matches!(self.results.get(path), Some(Some(_))) {
            return Ok(());
        }
        let mut inner = path.clone();
        while let Some((parent, _)) = inner.split().filter(|(parent, _)| !parent.is_root()) {
            let is_file = match self.results.get(&parent) {
                Some(result) => result.is_some(),
                None => matches!(self.on_disk(&parent)?, Disk::File { .. }),
            };
            if is_file {
                return misfit(format!("`{parent}` is no directory"));
            }
            inner = parent;
        }
        if matches!(self.on_disk(path)?, Disk::Directory) && self.keeps_something(path)? {
            return misfit("a directory that is not empty lies there");
        }
        Ok(())
    }

    /// Whether a directory will have something in it.
    fn keeps_something(&self, path: &WorkspacePath) -> Result<bool, ToolError> {
        let (directory, _) = self.root.open_directory(path)?;
        let listed = rustix::fs::Dir::read_from(&directory).map_err(ToolError::at("list", path))?;
        for child in listed {
            let child = child.map_err(ToolError::at("list", path))?;
            if matches!(child.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let inner = path.join(child.file_name().to_bytes());
            let is_directory = child.file_type() == rustix::fs::FileType::Directory;
            let stays = match is_directory {
                true => self.keeps_something(&inner)?,
                false => !matches!(self.results.get(&inner), Some(None)),
            };
            if stays {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the results, and the steps that put them in place.
    fn stage(mut self, staging: &mut Staging<'_>) -> Result<Journal, ToolError> {
        let (mut removals, mut placements) = (Vec::new(), Vec::new());
        let mut directories = BTreeSet::new();
        for (path, result) in std::mem::take(&mut self.results) {
            let disk = match self.on_disk(&path) {
                Ok(disk) => disk,
                Err(Trouble::Error(error)) => return Err(error),
                Err(Trouble::Misfit(_)) => Disk::Nothing,
            };
            let (old_state, old) = match disk {
                Disk::File { state, inode } => (Some(state), Some(inode)),
                Disk::Nothing | Disk::Directory => (None, None),
            };
            match result {
                None if old.is_none() => {}
                None => removals.push(Step { path, slot: staging.slot(), old, new: None }),
                Some(state) if Some(&state) == old_state.as_ref() => {}
                Some(state) => {
                    let slot = match state.mode & TYPE {
                        SYMLINK => staging.link(&state.content)?,
                        _ => {
                            let mode = state.mode & PERMISSIONS;
                            staging.finished_file(&state.content, mode, state.owner)?
                        }
                    };
                    self.note_missing(&path, &mut directories);
                    let new = Some(staging.inode(slot)?);
                    placements.push(Step { path, slot, old, new });
                }
            }
        }
        removals.append(&mut placements);
        Ok(Journal { directories: directories.into_iter().collect(), steps: removals })
    }

    /// Notes the directories that have to be made for a file.
    fn note_missing(&self, path: &WorkspacePath, missing: &mut BTreeSet<WorkspacePath>) {
        let mut inner = path.clone();
        while let Some((parent, _)) = inner.split().filter(|(parent, _)| !parent.is_root()) {
            if self.root.open_directory(&parent).is_ok() {
                break;
            }
            missing.insert(parent.clone());
            inner = parent;
        }
    }
}

fn check_type(before: &State, patch: &FilePatch<'_>) -> Result<(), Trouble> {
    let is = before.mode & TYPE;
    let said = patch.old_mode.map_or(is, |mode| mode & TYPE);
    if is != said {
        return misfit("it is of another type than the patch says");
    }
    match patch.new_mode {
        Some(mode) if mode & TYPE != is => misfit("the patch changes its type in place"),
        _ => Ok(()),
    }
}

/// Type and permissions of the result. Git knows whether a file is executable and
/// nothing more; the rest stays as it is.
fn mode_after(before: Option<&State>, patch: &FilePatch<'_>) -> Result<u32, Trouble> {
    let mode = match (patch.new_mode, before) {
        (None, Some(before)) => before.mode,
        (None, None) => REGULAR | 0o644,
        (Some(new), before) => match new & TYPE {
            SYMLINK => SYMLINK | 0o777,
            REGULAR => {
                let known = before.map_or(0o644, |state| state.mode & PERMISSIONS);
                // Who may read it may execute it.
                let executable = (known & 0o444) >> 2;
                REGULAR | if new & 0o111 != 0 { known | executable } else { known & !0o111 }
            }
            _ => return misfit("it is neither a file nor a symbolic link"),
        },
    };
    Ok(mode)
}

/// The content after a patch, and the hunks that were found elsewhere.
fn changed(old: &[u8], patch: &FilePatch<'_>) -> Result<(Vec<u8>, Vec<MovedHunk>), Trouble> {
    match &patch.body {
        Body::Text(hunks) => {
            let mut image = Image::new(old);
            let mut moved = Vec::new();
            for (number, hunk) in (1_u64..).zip(hunks) {
                match image.apply(hunk) {
                    Some(0) => {}
                    Some(lines) => moved.push(MovedHunk { hunk: number, lines }),
                    None => {
                        let explained = image.explain(hunk);
                        return misfit(format!(
                            "hunk {number} (line {} of the patch) does not match: {explained}",
                            hunk.line
                        ));
                    }
                }
            }
            Ok((image.content(), moved))
        }
        Body::BinaryWithoutData => misfit(
            "the patch says that it differs, but has no data: make it with `git diff --binary`",
        ),
        Body::Binary { forward, old_id, new_id } => {
            if !is_full(old_id) || !is_full(new_id) {
                return misfit(
                    "the patch has no full `index` line for its data: make it with `git diff \
                     --binary`",
                );
            }
            let is_there = patch.change.source().is_some();
            if is_there && blob_id(old) != old_id.as_slice() {
                return misfit("it is not the file that the patch was made for");
            }
            if new_id.iter().all(|digit| *digit == b'0') {
                return Ok((Vec::new(), Vec::new()));
            }
            let new = match forward {
                BinaryHunk::Literal(data) => Some(data.clone()),
                BinaryHunk::Delta(delta) => apply_delta(old, delta),
            };
            match new.filter(|new| blob_id(new) == new_id.as_slice()) {
                Some(new) => Ok((new, Vec::new())),
                None => misfit("the patch's data does not lead to the content that it names"),
            }
        }
    }
}

fn is_full(id: &[u8]) -> bool {
    id.len() == 40 && id.iter().all(u8::is_ascii_hexdigit)
}

/// What git calls a content.
fn blob_id(content: &[u8]) -> Vec<u8> {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", content.len()));
    hasher.update(content);
    let digits = |byte: u8| [byte >> 4, byte & 0xf];
    let hexadecimal = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
    hasher.finalize().iter().copied().flat_map(digits).map(hexadecimal).collect()
}
