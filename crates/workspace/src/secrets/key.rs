//! The file that holds this user's key.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use rustix::fs::{FlockOperation, flock};
use sealing::{Key, Zeroizing};

use super::SecretError;
use crate::files::{FileError, sync_directory};
use crate::home::Home;

/// The key, made if there is none.
pub(super) fn obtain(home: &Home) -> Result<Key, SecretError> {
    match read(home) {
        Err(SecretError::KeyMissing(_)) => {
            make(home)?;
            read(home)
        }
        other => other,
    }
}

/// The key that there is.
pub(super) fn read(home: &Home) -> Result<Key, SecretError> {
    let path = home.secret_key();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SecretError::KeyMissing(path));
        }
        Err(error) => return Err(FileError::at("open", &path)(error).into()),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(Key::TEXT_MAX));
    file.take(Key::TEXT_MAX as u64).read_to_end(&mut text).map_err(FileError::at("read", &path))?;
    Key::from_text(&text).map_err(|source| SecretError::BadKey { path, source })
}

/// Makes a key unless somebody else has by now. All who try do it on the same
/// file, one after the other: its lock goes with it when it gets its name, so
/// whoever waited for that finds the name taken.
fn make(home: &Home) -> Result<(), SecretError> {
    let path = home.secret_key();
    let aside = path.with_extension("key-new");
    let written = || -> io::Result<Result<(), SecretError>> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&aside)?;
        flock(&file, FlockOperation::LockExclusive)?;
        if fs::exists(&path)? {
            // Whoever came after the key had got its name made another file.
            let _ = fs::remove_file(&aside);
            return Ok(Ok(()));
        }
        let key = match Key::generate() {
            Ok(key) => key,
            Err(error) => return Ok(Err(SecretError::NoKey(error))),
        };
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.set_len(0)?;
        file.write_all(key.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        Ok(Ok(()))
    };
    written().map_err(FileError::at("write", &aside))??;
    Ok(sync_directory(home.path())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_make_a_key_at_once_get_the_same_and_nobody_else_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        // What somebody left who was killed while writing.
        fs::write(home.secret_key().with_extension("key-new"), "hotcell key 1 0123").unwrap();
        let keys = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| scope.spawn(|| obtain(&home).unwrap()));
            threads.map(|thread| thread.join().unwrap().to_text())
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        let mode = fs::metadata(home.secret_key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
