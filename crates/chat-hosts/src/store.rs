//! Configuration files on disk.
//!
//! A file is replaced as a whole: the new one is written beside it, synced, and
//! renamed over it. A process that is killed leaves the old file or the new one,
//! and at worst one named `.NAME.hotcell-new` that the next edit removes. Right
//! before the rename the file is read again; if it is not what the edit was made
//! of, somebody else wrote meanwhile and nothing is done. Between that look and the
//! rename lies a moment that no program can close without the other's help.
//!
//! A link stays a link: what it leads to is replaced. Mode and owner stay.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::edit::FILE_MAX_BYTES;
use crate::place::Place;

/// A new file of a user is for nobody else's eyes.
const USER_MODE: u32 = 0o600;
/// A new file of a project is as git would make it.
const PROJECT_MODE: u32 = 0o644;
/// The same for directories.
const USER_DIRECTORY_MODE: u32 = 0o700;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A step failed.
    #[error("cannot {action} {}", path.display())]
    Step {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Links lead out of the project.
    #[error("{} is a link that leads out of the project", .0.display())]
    LeadsOut(PathBuf),
    /// It is no file.
    #[error("{} is no file", .0.display())]
    NoFile(PathBuf),
    /// Somebody else wrote meanwhile.
    #[error("{} was changed by another program meanwhile", .0.display())]
    Changed(PathBuf),
}

fn step<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Step { action, path: path.to_owned(), source }
}

/// A configuration file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The file itself, behind all links.
    pub file: PathBuf,
    /// What was in it; `None` if there was none.
    pub bytes: Option<Vec<u8>>,
    is_project: bool,
}

impl Seen {
    /// Reads the file of a place.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or links lead out of the project that it belongs to.
    pub fn at(place: &Place) -> Result<Self, StoreError> {
        let file = resolved(&place.file)?;
        if let Some(within) = &place.within {
            let within = within.canonicalize().map_err(step("find", within))?;
            if !nearest(&file)?.starts_with(within) {
                return Err(StoreError::LeadsOut(place.file.clone()));
            }
        }
        let bytes = contents(&file)?;
        Ok(Self { file, bytes, is_project: place.within.is_some() })
    }

    /// What was in it, nothing if there was no file.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }

    /// Replaces the file, or removes it, if it still is what was read.
    ///
    /// # Errors
    ///
    /// If it is not, or a step fails; the old file is there then.
    pub fn replace(&self, with: Option<&[u8]>) -> Result<(), StoreError> {
        let Self { file, .. } = self;
        let directory = file.parent().unwrap_or_else(|| Path::new("/"));
        let Some(bytes) = with else {
            self.compare()?;
            fs::remove_file(file).map_err(step("remove", file))?;
            return sync(directory);
        };
        self.make_directory(directory)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let aside = directory.join(format!(".{name}.hotcell-new"));
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(step("remove", &aside)(error));
            }
            _ => {}
        }
        let written = self.write(&aside, bytes).map_err(step("write", &aside));
        let done = written
            .and_then(|()| self.compare())
            .and_then(|()| fs::rename(&aside, file).map_err(step("replace", file)));
        if done.is_err() {
            let _ = fs::remove_file(&aside);
        }
        done?;
        sync(directory)
    }

    fn make_directory(&self, directory: &Path) -> Result<(), StoreError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        if !self.is_project {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(USER_DIRECTORY_MODE);
        }
        builder.create(directory).map_err(step("create", directory))
    }

    /// Writes a file that has not been there, with mode and owner of the one that
    /// it is going to replace.
    fn write(&self, aside: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut made =
            OpenOptions::new().write(true).create_new(true).mode(USER_MODE).open(aside)?;
        made.write_all(bytes)?;
        match fs::metadata(&self.file) {
            Ok(old) => {
                let new = made.metadata()?;
                if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                    fchown(&made, Some(old.uid()), Some(old.gid()))?;
                }
                made.set_permissions(old.permissions())?;
            }
            Err(_) if self.is_project => {
                made.set_permissions(Permissions::from_mode(PROJECT_MODE))?;
            }
            Err(_) => {}
        }
        made.sync_all()
    }

    fn compare(&self) -> Result<(), StoreError> {
        if contents(&self.file)? == self.bytes {
            Ok(())
        } else {
            Err(StoreError::Changed(self.file.clone()))
        }
    }
}

/// What a path means behind all links; itself if nothing is there.
fn resolved(path: &Path) -> Result<PathBuf, StoreError> {
    match path.canonicalize() {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match path.symlink_metadata() {
                // A link to nothing: where it leads is not ours to make.
                Ok(_) => Err(step("follow the link", path)(error)),
                Err(_) => Ok(path.to_owned()),
            }
        }
        Err(error) => Err(step("find", path)(error)),
    }
}

/// The nearest thing around a path that exists, behind all links.
fn nearest(path: &Path) -> Result<PathBuf, StoreError> {
    let existing = path.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok());
    let existing = existing.unwrap_or(path);
    existing.canonicalize().map_err(step("find", existing))
}

fn contents(file: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    // Asked first: opening a pipe would wait for whoever writes to it.
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(StoreError::NoFile(file.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(step("read", file)(error)),
    }
    let opened = File::open(file).map_err(step("read", file))?;
    let mut bytes = Vec::new();
    // One byte more than may be, so that too large a file is seen to be one.
    let most = FILE_MAX_BYTES as u64 + 1;
    opened.take(most).read_to_end(&mut bytes).map_err(step("read", file))?;
    Ok(Some(bytes))
}

fn sync(directory: &Path) -> Result<(), StoreError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(step("sync", directory))
}
