//! From a directory of the host to its image.

use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::Path;

use environment::{Cancel, EnvironmentError, IMAGE_VIRTUAL_BYTES, tree};
use file_tree::{Entry, Kind, Root, TreeError, copy};
use operation::{ErrorKind, OpError};
use sha2::{Digest, Sha256};
use workspace_api::seed::{SeedFiles, SeedReport, SeedSource};

use super::cache::{self, IMAGE, PACKING, TREE};
use super::checkout::History;
use super::git::{Checkout, OwnFiles};
use super::{Seeded, Work, listing, report, selection};
use crate::files::FileError;
use crate::home::Home;
use crate::trouble::{environment_error, tree_error};

/// Changes with what is made of a tree, so that older images are not taken for
/// what would be made now.
const FORMAT: &[u8] = b"hotcell seed 1";

/// How often a tree that changes under our hands is listed anew.
const ATTEMPTS: u32 = 5;

/// The beginning of a file that stands for another one in Git LFS.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// How long such a file is at most, in bytes.
const LFS_POINTER_MAX: u64 = 512;

/// The image of a directory, or of the checkout that it is.
pub(super) fn from_directory(
    home: &Home,
    directory: &Path,
    files: SeedFiles,
    checkout: Option<Checkout>,
    work: &Work,
) -> Result<Seeded, OpError> {
    for _ in 0..ATTEMPTS {
        let listed = Listed::new(directory, files, checkout.as_ref())?;
        match cache::find_or_make(home, &listed.key, work, |making| listed.make(making, work)) {
            Err(error) if error.kind == ErrorKind::Conflict => {}
            other => return other,
        }
    }
    Err(OpError::plain(
        ErrorKind::Conflict,
        format!("{} changes while it is copied", directory.display()),
    )
    .hinted("try again when nothing writes into it, or leave out what does"))
}

struct Listed<'a> {
    directory: &'a Path,
    root: Root,
    entries: Vec<Entry>,
    unreadable: Vec<file_tree::TreePath>,
    checkout: Option<&'a Checkout>,
    history: Option<History>,
    key: String,
}

impl<'a> Listed<'a> {
    fn new(
        directory: &'a Path,
        files: SeedFiles,
        checkout: Option<&'a Checkout>,
    ) -> Result<Self, OpError> {
        let during = |error: OpError| {
            error.during(format!("cannot copy {} into the workspace", directory.display()))
        };
        let root = Root::open(directory).map_err(|error| during(tree_error(error)))?;
        let (entries, unreadable) =
            selection::entries(&root, checkout).map_err(|error| during(tree_error(error)))?;
        listing::check_size(&entries).map_err(|error| during(too_large(&error, &entries)))?;
        let history = match checkout.map(|checkout| &checkout.own) {
            Some(OwnFiles::Taken { checkout, shared, settings }) => {
                Some(History::list(checkout, shared, settings).map_err(during)?)
            }
            _ => None,
        };
        let mut key = Sha256::new();
        key.update(FORMAT);
        key.update([files as u8]);
        key.update(directory.as_os_str().as_encoded_bytes());
        listing::hash(&mut key, &entries);
        if let Some(history) = &history {
            history.hash(&mut key);
        }
        let key = crate::hex::hex(&key.finalize());
        Ok(Self { directory, root, entries, unreadable, checkout, history, key })
    }

    /// Makes the image in `making`. Fails with `conflict` if the tree changed.
    fn make(&self, making: &Path, work: &Work) -> Result<SeedReport, OpError> {
        listing::settle(&self.entries);
        let source = match self.checkout {
            Some(_) => SeedSource::Checkout,
            None => SeedSource::Directory,
        };
        let origin = self.directory.display().to_string();
        let mut report = report::of(source, origin, self.key.clone(), &self.entries);
        self.describe(&mut report);
        work.begins(format_args!("copying {} MiB of {}", report.bytes >> 20, report.origin));
        let image = making.join(IMAGE);
        if !self.made_directly(&image, &work.cancel)? {
            let staged = making.join(TREE);
            fs::create_dir(&staged).map_err(FileError::at("create", &staged))?;
            self.stage(&staged, &mut report)?;
            work.begins(PACKING);
            tree::from_directory(&staged, &image, IMAGE_VIRTUAL_BYTES, &work.cancel)
                .map_err(environment_error)?;
        }
        if !listing::is_unchanged(&self.root, &self.entries) {
            return Err(OpError::plain(ErrorKind::Conflict, "the tree changed"));
        }
        Ok(report)
    }

    /// Makes the image of the directory as it is, if all of it is taken.
    fn made_directly(&self, image: &Path, cancel: &Cancel) -> Result<bool, OpError> {
        let is_whole = self.checkout.is_none()
            && self.unreadable.is_empty()
            && self.entries.iter().all(|entry| entry.kind != Kind::Other);
        if !is_whole {
            return Ok(false);
        }
        match tree::from_directory(self.directory, image, IMAGE_VIRTUAL_BYTES, cancel) {
            Ok(()) => Ok(true),
            Err(EnvironmentError::TreeUnreadable { .. }) => Ok(false),
            Err(error) => Err(environment_error(error)),
        }
    }

    /// Notes what is known before anything is copied.
    fn describe(&self, told: &mut SeedReport) {
        for path in &self.unreadable {
            report::leave_out(told, path, "it cannot be read");
        }
        for entry in self.entries.iter().filter(|entry| entry.kind == Kind::Other) {
            report::leave_out(told, &entry.path, "a socket or a device");
        }
        let Some(checkout) = self.checkout else { return };
        told.commit.clone_from(&checkout.commit);
        told.submodules.clone_from(&checkout.submodules);
        for (path, reason) in &checkout.left_out {
            report::leave_out(told, path, *reason);
        }
        if let OwnFiles::LeftOut(reason) = &checkout.own {
            report::leave_out(told, ".git", *reason);
        }
        told.history_bytes = self.history.as_ref().map_or(0, History::bytes);
        for entry in &self.entries {
            if self.is_lfs_pointer(entry) {
                report::lfs_pointer(told, &entry.path);
            }
        }
    }

    fn is_lfs_pointer(&self, entry: &Entry) -> bool {
        use std::io::Read as _;
        // The shortest names an empty file; nothing else is opened for this.
        if entry.kind != Kind::File || !(100..=LFS_POINTER_MAX).contains(&entry.bytes) {
            return false;
        }
        let mut beginning = [0; LFS_POINTER.len()];
        file_tree::Directories::new(&self.root)
            .read(entry)
            .is_ok_and(|mut file| file.read_exact(&mut beginning).is_ok())
            && beginning == LFS_POINTER
    }

    /// Copies what is taken to where the image is made of it.
    fn stage(&self, staged: &Path, told: &mut SeedReport) -> Result<(), OpError> {
        let target = Root::open(staged).map_err(tree_error)?;
        copy(&self.root, &self.entries, &target, &mut |entry, error| match error {
            TreeError::File { source, .. } if source.kind() == IoKind::PermissionDenied => {
                report::leave_out(told, &entry.path, "it cannot be read");
                Ok(())
            }
            error => Err(error),
        })
        .map_err(changed_or)?;
        match &self.history {
            Some(history) => history.put(&staged.join(".git")),
            None => Ok(()),
        }
    }
}

/// The error of a copy, of which a file that changed means: try again.
pub(super) fn changed_or(error: TreeError) -> OpError {
    match &error {
        TreeError::Changed { .. } | TreeError::BehindLink { .. } => {
            OpError::new(ErrorKind::Conflict, &error)
        }
        TreeError::File { source, .. } if source.kind() == IoKind::NotFound => {
            OpError::new(ErrorKind::Conflict, &error)
        }
        _ => tree_error(error),
    }
}

/// The error of a tree that is too large, with what makes it so.
fn too_large(error: &TreeError, entries: &[Entry]) -> OpError {
    let mut largest: Vec<&Entry> = entries.iter().collect();
    largest.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.disk_bytes));
    let named: Vec<String> = largest
        .iter()
        .take(SeedReport::LARGEST_MAX)
        .map(|entry| format!("{} ({} MiB)", entry.path, entry.disk_bytes.div_ceil(1024 * 1024)))
        .collect();
    OpError::new(ErrorKind::InvalidRequest, error)
        .hinted(format!("the largest files are {}", named.join(", ")))
        .hinted("in a git checkout, what is ignored is not taken: add them to .gitignore")
}
