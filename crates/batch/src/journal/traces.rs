//! Traces: content in files that are called by its digest.
//!
//! A file gets its name only when it is whole and synced, so what has the name
//! has the content. Pruning removes the file and nothing else: records name the
//! digest and never need what it stands for.
//!
//! ```text
//! 3f/3f9c…           what was kept
//! 3f/3f9c….redacted  the same with something hidden: it stands for the one above
//! ```
//!
//! A trace is redacted in two steps, and each leaves something whole to a SIGKILL: the
//! redacted one gets its name, then the other is removed. Where both are, the redacted
//! one counts, and the next sweep removes the other. What was redacted is never kept anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use batch_core::journal::Digest;

use super::{JournalError, sync_directory};

/// How large a trace may be, in bytes.
pub const TRACE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How large a redacted trace may be, in bytes: names of secrets may be longer than they.
const REDACTED_BYTES_MAX: u64 = 4 * TRACE_BYTES_MAX as u64;

/// Where unfinished files lie.
const UNFINISHED: &str = "unfinished";

/// The ending of what was redacted.
const REDACTED: &str = "redacted";

/// A trace is written in seconds; what is unfinished for longer never will be.
const UNFINISHED_MAX: Duration = Duration::from_secs(3600);

/// What of a trace is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    Whole(Vec<u8>),
    /// All but what was hidden.
    Redacted(Vec<u8>),
    /// Nothing: it was pruned, or never kept.
    Nothing,
}

/// The traces of a batch.
#[derive(Debug, Clone)]
pub struct TraceStore {
    directory: PathBuf,
}

impl TraceStore {
    /// In `directory`, which need not exist yet.
    #[must_use]
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Keeps a trace; durable when this returns.
    ///
    /// # Errors
    ///
    /// If it is too large, or cannot be written.
    pub fn keep(&self, content: &[u8]) -> Result<Digest, JournalError> {
        if content.len() > TRACE_BYTES_MAX {
            return Err(JournalError::TraceTooLarge { bytes: content.len() });
        }
        let digest = Digest::of(content);
        let path = self.file(digest);
        let failed = |source| JournalError::File { action: "keep", path: path.clone(), source };
        if self.redacted(digest).exists() {
            return Ok(digest);
        }
        // What is there may be on its way out; what is read back is there for good.
        if self.find(digest).is_ok_and(|found| found.is_some()) {
            return Ok(digest);
        }
        self.write(&path, content).map_err(failed)?;
        Ok(digest)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let shelf = path.parent().unwrap_or(&self.directory);
        let unfinished = self.directory.join(UNFINISHED);
        fs::create_dir_all(&unfinished)?;
        let is_new = !shelf.exists();
        fs::create_dir_all(shelf)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unfinished = unfinished.join(format!("{}-{number}", std::process::id()));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&unfinished)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&unfinished, path)).inspect_err(|_| {
            // It would be swept later, too.
            let _ = fs::remove_file(&unfinished);
        })?;
        sync_directory(shelf)?;
        if is_new { sync_directory(&self.directory) } else { Ok(()) }
    }

    pub(super) fn find(&self, digest: Digest) -> Result<Option<Vec<u8>>, JournalError> {
        let path = self.file(digest);
        let mut content = Vec::new();
        let read = File::open(&path).and_then(|file| {
            // One more, so that a file that has grown is not taken for whole.
            file.take(TRACE_BYTES_MAX as u64 + 1).read_to_end(&mut content)
        });
        match read {
            Ok(_) if Digest::of(&content) == digest => Ok(Some(content)),
            Ok(_) => Err(JournalError::TraceAltered { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(JournalError::File { action: "read", path, source }),
        }
    }

    /// What of a trace is there.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not what was kept.
    pub fn look(&self, digest: Digest) -> Result<Kept, JournalError> {
        let path = self.redacted(digest);
        let mut content = Vec::new();
        let read = File::open(&path)
            .and_then(|file| file.take(REDACTED_BYTES_MAX).read_to_end(&mut content));
        match read {
            Ok(_) => Ok(Kept::Redacted(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.find(digest)?.map_or(Kept::Nothing, Kept::Whole))
            }
            Err(source) => Err(JournalError::File { action: "read", path, source }),
        }
    }

    /// When a trace was kept and how many bytes it has by now, without reading it, and
    /// whether something of it is hidden; none if nothing is there.
    #[must_use]
    pub fn about(&self, digest: Digest) -> Option<(SystemTime, u64, bool)> {
        let known = |path: PathBuf, is_redacted| {
            let about = fs::symlink_metadata(path).ok()?;
            Some((about.modified().ok()?, about.len(), is_redacted))
        };
        known(self.redacted(digest), true).or_else(|| known(self.file(digest), false))
    }

    /// Puts a redacted trace in the place of what was kept.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or what was kept cannot be removed: it is hidden then,
    /// and swept later.
    pub fn redact(&self, digest: Digest, content: &[u8]) -> Result<(), JournalError> {
        let path = self.redacted(digest);
        let failed = |source| JournalError::File { action: "redact", path: path.clone(), source };
        self.write(&path, content).map_err(failed)?;
        remove(&self.file(digest)).map_err(failed)
    }

    /// Forgets a trace, if it is there.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn prune(&self, digest: Digest) -> Result<(), JournalError> {
        for path in [self.file(digest), self.redacted(digest)] {
            let failed =
                |source| JournalError::File { action: "remove", path: path.clone(), source };
            remove(&path).map_err(failed)?;
        }
        Ok(())
    }

    /// Prunes the oldest traces until the rest has at most so many bytes, and
    /// sweeps what killed writers left. Returns how many bytes are left.
    ///
    /// # Errors
    ///
    /// If a file cannot be listed or removed.
    pub fn shrink(&self, bytes_max: u64) -> Result<u64, JournalError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::File { action, path, source }
        };
        let mut found: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        let shelves = list(&self.directory).map_err(failed("list", &self.directory))?;
        for shelf in shelves {
            let is_unfinished = shelf.file_name().is_some_and(|name| name == UNFINISHED);
            for path in list(&shelf).map_err(failed("list", &shelf))? {
                // Somebody else may prune at this moment.
                let Ok(about) = fs::symlink_metadata(&path) else { continue };
                let written = about.modified().map_err(failed("read", &path))?;
                let age = SystemTime::now().duration_since(written).unwrap_or_default();
                // Somebody was killed before he removed what he had redacted.
                if !is_unfinished && path.with_extension(REDACTED).exists() && !is_redacted(&path) {
                    remove(&path).map_err(failed("remove", &path))?;
                } else if !is_unfinished {
                    found.push((written, about.len(), path));
                } else if age > UNFINISHED_MAX {
                    remove(&path).map_err(failed("remove", &path))?;
                }
            }
        }
        found.sort();
        let mut left: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in found {
            if left <= bytes_max {
                break;
            }
            remove(&path).map_err(failed("remove", &path))?;
            left = left.saturating_sub(bytes);
        }
        Ok(left)
    }

    fn redacted(&self, digest: Digest) -> PathBuf {
        self.file(digest).with_extension(REDACTED)
    }

    fn file(&self, digest: Digest) -> PathBuf {
        let digits: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let shelf = digits.get(..2).unwrap_or_default().to_owned();
        self.directory.join(shelf).join(digits)
    }
}

fn is_redacted(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == REDACTED)
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_what_was_altered_is_not_given_out() {
        let directory = tempfile::tempdir().unwrap();
        let store = TraceStore::at(directory.path().join("traces"));
        assert_eq!(store.shrink(0).unwrap(), 0, "nothing is there yet");
        let digests: Vec<Digest> =
            (0..4).map(|number: u8| store.keep(&[number; 1000]).unwrap()).collect();
        for (age, digest) in [40, 30, 20, 10].into_iter().zip(&digests) {
            let written = SystemTime::now() - Duration::from_secs(age);
            File::options()
                .append(true)
                .open(store.file(*digest))
                .unwrap()
                .set_modified(written)
                .unwrap();
        }
        let stale = directory.path().join("traces/unfinished/1-1");
        File::create(&stale).unwrap().set_modified(SystemTime::now() - 2 * UNFINISHED_MAX).unwrap();
        let fresh = directory.path().join("traces/unfinished/1-2");
        File::create(&fresh).unwrap();

        assert_eq!(store.shrink(2500).unwrap(), 2000);
        let left: Vec<bool> =
            digests.iter().map(|digest| store.find(*digest).unwrap().is_some()).collect();
        assert_eq!(left, [false, false, true, true]);
        assert!(!stale.exists() && fresh.exists());

        fs::write(store.file(digests[3]), b"something else").unwrap();
        assert!(matches!(store.find(digests[3]), Err(JournalError::TraceAltered { .. })));
        store.keep(&[3; 1000]).unwrap();
        assert!(store.find(digests[3]).unwrap().is_some(), "keeping it mends it");
    }

    #[test]
    fn what_was_redacted_does_not_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = TraceStore::at(directory.path().join("traces"));
        let digest = store.keep(b"the key is 12345678").unwrap();
        store.redact(digest, b"the key is hidden").unwrap();
        let hidden = Kept::Redacted(b"the key is hidden".to_vec());
        assert_eq!(store.look(digest).unwrap(), hidden);
        assert!(!store.file(digest).exists());
        assert_eq!(store.keep(b"the key is 12345678").unwrap(), digest);
        assert!(!store.file(digest).exists(), "it is not kept anew");
        // Somebody was killed between the two steps.
        fs::write(store.file(digest), "the key is 12345678").unwrap();
        assert_eq!(store.look(digest).unwrap(), hidden);
        store.shrink(u64::MAX).unwrap();
        assert!(!store.file(digest).exists(), "it is swept");
        assert_eq!(store.look(digest).unwrap(), hidden);
        store.prune(digest).unwrap();
        assert_eq!(store.look(digest).unwrap(), Kept::Nothing);
    }
}
