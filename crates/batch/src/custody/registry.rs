//! Who may start processes, and which there are: directories.
//!
//! ```text
//! ROOT/
//!   epoch-7-BOOT/          the engine of epoch 7 may start processes
//!     owner.lock           held while that engine lives
//!     holding.json         how it holds processes together
//!     eff_a.json           one entry each: written before its process can run
//!   fenced-6-BOOT/         an earlier engine, dead or not: it may not
//!   new-8-…/               an epoch that has not begun
//! ```
//!
//! **The directory is the permission.** An entry is written under another name
//! and renamed into place *within its epoch's directory*, and a process runs only
//! after that. Fencing an epoch is one rename of its directory. So a stale engine,
//! stopped wherever and for however long, finds its next rename refused; an entry
//! that it got in before is seen by whoever fenced it. No lock is needed that a
//! stopped engine could hold.
//!
//! **Durable** here means: survives SIGKILL of whoever wrote it. Nothing is
//! synced, because what would lose an entry, the end of the system, ends the
//! process as well: directories carry the id of their boot, and those of another
//! boot are removed unread.
//!
//! **SIGKILL** leaves: `new-…`, whose lock is free, so that the next engine sweeps it
//! (nobody else does: one that is just being made has no lock yet); a temporary entry,
//! swept with its directory; an entry without a process, or with one that was never
//! told to run and ends by itself; a part of a directory that was being removed, whose
//! processes are all proved gone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use batch_api::Epoch;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Key};
use super::holding::Holding;
use super::mark;

const OWNER_LOCK: &str = "owner.lock";
const HOLDING: &str = "holding.json";
const ENTRY_SUFFIX: &str = ".json";
const UNFINISHED_SUFFIX: &str = ".unfinished";

/// The registry of a batch, seen by anybody.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    root: PathBuf,
}

/// The right to start processes, until the epoch is fenced.
#[derive(Debug)]
pub(super) struct Permission {
    epoch: Epoch,
    directory: PathBuf,
    /// Proves that the engine lives.
    _owner: File,
}

/// The directory of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EpochDirectory {
    pub(super) epoch: Epoch,
    pub(super) standing: Standing,
    pub(super) path: PathBuf,
    boot: String,
}

/// Whether the engine of an epoch may start processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standing {
    Permitted,
    Fenced,
}

/// A step on the registry that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A later engine has taken over.
    #[error("this engine, of epoch {}, was replaced by a later one", epoch.0)]
    Stale {
        /// The epoch that is over.
        epoch: Epoch,
    },
    /// An epoch begins once only.
    #[error("epoch {} has begun already", epoch.0)]
    Begun {
        /// Which one.
        epoch: Epoch,
    },
    /// A file cannot be handled.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl RegistryError {
    /// Whether something was not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Registry {
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Begins an epoch: from now on no earlier engine starts anything. Of two
    /// that begin at once the later epoch wins, because each lists the others
    /// only after its own directory is in place.
    pub(super) fn begin(
        &self,
        epoch: Epoch,
        holding: &Holding,
    ) -> Result<Permission, RegistryError> {
        fs::create_dir_all(&self.root).map_err(failed("create", &self.root))?;
        let boot = mark::boot().map_err(failed("read the boot's id for", &self.root))?;
        let unborn = self.root.join(format!("new-{}-{}", epoch.0, std::process::id()));
        remove_tree(&unborn)?;
        fs::create_dir(&unborn).map_err(failed("create", &unborn))?;
        let lock = unborn.join(OWNER_LOCK);
        let owner = File::create(&lock).map_err(failed("create", &lock))?;
        owner.try_lock().map_err(|error| failed("lock", &lock)(error.into()))?;
        write_json(&unborn, HOLDING, holding)?;
        let directory = self.root.join(name(Standing::Permitted, epoch, &boot));
        match fs::rename(&unborn, &directory) {
            Ok(()) => {}
            Err(error) if is_occupied(&error) => {
                remove_tree(&unborn)?;
                return Err(RegistryError::Begun { epoch });
            }
            Err(error) => return Err(failed("begin", &directory)(error)),
        }
        let permission = Permission { epoch, directory, _owner: owner };
        let others = self.epochs()?;
        if others.iter().any(|other| other.epoch > epoch) {
            remove_tree(&permission.directory)?;
            return Err(RegistryError::Stale { epoch });
        }
        for other in others.into_iter().filter(|other| other.epoch < epoch) {
            self.fence(&other)?;
        }
        self.sweep()?;
        Ok(permission)
    }

    /// Removes what engines left that were killed before their epoch began.
    fn sweep(&self) -> Result<(), RegistryError> {
        let entries = fs::read_dir(&self.root).map_err(failed("list", &self.root))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if is_unborn(&path) && !is_locked(&path.join(OWNER_LOCK)) {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Takes an epoch's permission away; afterwards its entries do not change.
    pub(super) fn fence(&self, epoch: &EpochDirectory) -> Result<EpochDirectory, RegistryError> {
        let fenced = EpochDirectory {
            standing: Standing::Fenced,
            path: self.root.join(name(Standing::Fenced, epoch.epoch, &epoch.boot)),
            ..epoch.clone()
        };
        match fs::rename(&epoch.path, &fenced.path) {
            Ok(()) => Ok(fenced),
            // Somebody else did it at this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fenced),
            Err(error) => Err(failed("fence", &epoch.path)(error)),
        }
    }

    /// The epochs of this boot, earliest first. Those of other boots are gone
    /// with all their processes; their directories are removed.
    pub(super) fn epochs(&self) -> Result<Vec<EpochDirectory>, RegistryError> {
        let boot = mark::boot().map_err(failed("read the boot's id for", &self.root))?;
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &self.root)(error)),
        };
        let mut found = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            match EpochDirectory::parse(&path) {
                Some(epoch) if epoch.boot == boot => found.push(epoch),
                Some(_) => remove_tree(&path)?,
                None => {}
            }
        }
        found.sort_by_key(|epoch| epoch.epoch);
        Ok(found)
    }
}

impl Permission {
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Puts an entry in place, whole or not at all, unless the epoch is over.
    pub(super) fn write(&self, key: &Key, entry: &Entry) -> Result<(), RegistryError> {
        let name = format!("{key}{ENTRY_SUFFIX}");
        match write_json(&self.directory, &name, entry) {
            Err(error) if error.is_missing() => Err(RegistryError::Stale { epoch: self.epoch }),
            other => other,
        }
    }

    /// Forgets an entry whose processes are proved gone.
    pub(super) fn forget(&self, key: &Key) -> Result<(), RegistryError> {
        remove_file(&self.directory.join(format!("{key}{ENTRY_SUFFIX}")))
    }
}

impl EpochDirectory {
    fn parse(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (standing, rest) = name.split_once('-')?;
        let standing = match standing {
            "epoch" => Standing::Permitted,
            "fenced" => Standing::Fenced,
            _ => return None,
        };
        let (epoch, boot) = rest.split_once('-')?;
        let epoch = Epoch(epoch.parse().ok()?);
        Some(Self { epoch, standing, path: path.to_owned(), boot: boot.to_owned() })
    }

    /// Whether the engine of the epoch lives; it may be stopped all the same.
    pub(super) fn has_living_owner(&self) -> bool {
        is_locked(&self.path.join(OWNER_LOCK))
    }

    /// How the engine held processes together; `None` if somebody removes the directory,
    /// or was killed over that: then its processes are gone. If it has another name by
    /// now, or none, that is an error.
    pub(super) fn holding(&self) -> Result<Option<Holding>, RegistryError> {
        match read_json(&self.path.join(HOLDING)) {
            Err(error) if error.is_missing() && self.path.is_dir() => Ok(None),
            read => read.map(Some),
        }
    }

    /// The entries; what vanishes while they are read is left out.
    pub(super) fn entries(&self) -> Result<Vec<(Key, Entry)>, RegistryError> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(failed("list", &self.path)(error)),
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let key = name.strip_suffix(ENTRY_SUFFIX).filter(|_| name != HOLDING);
            let Some(key) = key.and_then(|key| key.parse::<Key>().ok()) else { continue };
            match read_json(&path) {
                Ok(entry) => found.push((key, entry)),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    /// Forgets an entry whose processes are proved gone.
    pub(super) fn forget(&self, key: &Key) -> Result<(), RegistryError> {
        remove_file(&self.path.join(format!("{key}{ENTRY_SUFFIX}")))
    }

    /// Removes the directory of an epoch all of whose processes are gone.
    pub(super) fn remove(&self) -> Result<(), RegistryError> {
        remove_tree(&self.path)
    }
}

fn name(standing: Standing, epoch: Epoch, boot: &str) -> String {
    let standing = match standing {
        Standing::Permitted => "epoch",
        Standing::Fenced => "fenced",
    };
    format!("{standing}-{}-{boot}", epoch.0)
}

fn is_unborn(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("new-"))
}

/// Whether somebody holds the lock; a missing one is held by nobody.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_err())
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

fn write_json(directory: &Path, name: &str, value: &impl Serialize) -> Result<(), RegistryError> {
    let path = directory.join(name);
    let unfinished = directory.join(format!("{name}{UNFINISHED_SUFFIX}"));
    let text = serde_json::to_vec(value).map_err(|error| failed("write", &path)(error.into()))?;
    fs::write(&unfinished, text).map_err(failed("write", &unfinished))?;
    fs::rename(&unfinished, &path).map_err(failed("put in place", &path))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, RegistryError> {
    let text = fs::read(path).map_err(failed("read", path))?;
    serde_json::from_slice(&text).map_err(|error| failed("understand", path)(error.into()))
}

fn remove_file(path: &Path) -> Result<(), RegistryError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<(), RegistryError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            label: "a test".parse().unwrap(),
            program: "/bin/true".into(),
            limits: vec![],
            warden: None,
        }
    }

    fn holding() -> Holding {
        Holding::Cgroup { parent: "/nowhere".into() }
    }

    #[test]
    fn a_later_epoch_takes_the_permission_of_all_earlier_ones() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path());
        let key: Key = "a".parse().unwrap();
        let first = registry.begin(Epoch(1), &holding()).unwrap();
        first.write(&key, &entry()).unwrap();
        let second = registry.begin(Epoch(2), &holding()).unwrap();

        let refused = first.write(&"b".parse().unwrap(), &entry());
        assert!(matches!(refused, Err(RegistryError::Stale { epoch: Epoch(1) })), "{refused:?}");
        second.write(&key, &entry()).unwrap();
        let epochs = registry.epochs().unwrap();
        let standings: Vec<_> = epochs.iter().map(|epoch| (epoch.epoch, epoch.standing)).collect();
        let expected = [(Epoch(1), Standing::Fenced), (Epoch(2), Standing::Permitted)];
        assert_eq!(standings, expected);
        assert_eq!(epochs[0].entries().unwrap(), [(key, entry())], "what it wrote is seen");

        let late = registry.begin(Epoch(1), &holding());
        assert!(matches!(late, Err(RegistryError::Stale { .. })), "{late:?}");
        let twice = registry.begin(Epoch(2), &holding());
        assert!(matches!(twice, Err(RegistryError::Begun { .. })), "{twice:?}");
    }

    #[test]
    fn a_free_lock_proves_that_the_engine_is_dead() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path());
        let permission = registry.begin(Epoch(1), &holding()).unwrap();
        assert!(registry.epochs().unwrap()[0].has_living_owner());
        drop(permission);
        assert!(!registry.epochs().unwrap()[0].has_living_owner());
    }

    #[test]
    fn what_another_boot_or_a_killed_beginning_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path());
        for name in ["epoch-3-another-boot", "fenced-2-another-boot", "new-4-77"] {
            fs::create_dir(directory.path().join(name)).unwrap();
            fs::write(directory.path().join(name).join("torn.json"), "{").unwrap();
        }
        assert_eq!(registry.epochs().unwrap(), []);
        // Whoever just looks cannot tell it from one that is being made.
        let names = || {
            let names = fs::read_dir(directory.path()).unwrap();
            names.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
        };
        assert_eq!(names(), ["new-4-77"]);
        registry.begin(Epoch(1), &holding()).unwrap();
        assert!(matches!(&names()[..], [begun] if begun.to_string_lossy().starts_with("epoch-1-")));
    }

    #[test]
    fn an_engine_that_was_killed_while_it_forgot_another_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path());
        let first = registry.begin(Epoch(1), &holding()).unwrap();
        let _second = registry.begin(Epoch(2), &holding()).unwrap();
        let fenced = registry.epochs().unwrap().remove(0);
        fs::remove_file(fenced.path.join(HOLDING)).unwrap();
        assert_eq!(fenced.holding().unwrap(), None);
        // One that was fenced since it was listed is there under another name.
        let listed = EpochDirectory { path: first.directory.clone(), ..fenced };
        assert!(listed.holding().unwrap_err().is_missing());
    }
}
