//! The images that are there, who makes them, and when they go.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use operation::{ErrorKind, OpError};
use rustix::fs::{FlockOperation, flock};
use workspace_api::seed::SeedReport;

use super::{Seeded, Work};
use crate::files::{FileError, create_private, remove_tree, sync_directory, try_lock};
use crate::home::Home;

/// How often a process that waits for another one's image looks again.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// The image's name while it is being made.
pub(super) const IMAGE: &str = "image.ext4";

/// What is said while it is being made.
pub(super) const PACKING: &str = "packing the image";

/// Where the tree lies while it is being put together.
pub(super) const TREE: &str = "tree";

const IMAGE_EXTENSION: &str = "ext4";
const REPORT_EXTENSION: &str = "json";
const LOCK_EXTENSION: &str = "lock";
const MAKING_EXTENSION: &str = "making";

/// The image named `key`: the one that is there, or a new one that `make` puts
/// at [`IMAGE`] in the directory that it is given. Of several processes that
/// want the same one, one makes it.
pub(super) fn find_or_make(
    home: &Home,
    key: &str,
    work: &Work,
    make: impl FnOnce(&Path) -> Result<SeedReport, OpError>,
) -> Result<Seeded, OpError> {
    if let Some(found) = find(home, key)? {
        return Ok(found);
    }
    let (lock_path, _lock) = lock(home, key, work)?;
    // Another one may have made it while we waited.
    if let Some(found) = find(home, key)? {
        return Ok(found);
    }
    let making = home.seeds().join(key).with_added_extension(MAKING_EXTENSION);
    remove_tree(&making)?;
    create_private(&making)?;
    let made = make(&making).and_then(|report| publish(home, key, &making, report));
    // What cannot be removed now is swept by the next maker.
    let _ = remove_tree(&making);
    let _ = fs::remove_file(lock_path);
    made
}

fn find(home: &Home, key: &str) -> Result<Option<Seeded>, OpError> {
    let image = home.seeds().join(key).with_added_extension(IMAGE_EXTENSION);
    let report = home.seeds().join(key).with_added_extension(REPORT_EXTENSION);
    if !image.exists() {
        return Ok(None);
    }
    let bytes = match fs::read(&report) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileError { action: "read", path: report, source }.into()),
    };
    // A report of a newer program is no reason to fail: its image is made anew.
    let Ok(report) = serde_json::from_slice::<SeedReport>(&bytes) else { return Ok(None) };
    Ok(Some(Seeded { image, report: SeedReport { cached: true, ..report } }))
}

fn publish(home: &Home, key: &str, making: &Path, report: SeedReport) -> Result<Seeded, OpError> {
    let made = making.join(IMAGE);
    File::open(&made).and_then(|file| file.sync_all()).map_err(FileError::at("sync", &made))?;
    let report_path = home.seeds().join(key).with_added_extension(REPORT_EXTENSION);
    let text = serde_json::to_vec(&report).expect("reports are plain data");
    crate::files::replace_file(&report_path, &text)?;
    let image = home.seeds().join(key).with_added_extension(IMAGE_EXTENSION);
    fs::rename(&made, &image).map_err(FileError::at("finish", &image))?;
    sync_directory(&home.seeds())?;
    Ok(Seeded { image, report })
}

/// Waits for the right to make an image.
fn lock(home: &Home, key: &str, work: &Work) -> Result<(PathBuf, File), OpError> {
    let path = home.seeds().join(key).with_added_extension(LOCK_EXTENSION);
    loop {
        if work.cancel.is_cancelled() {
            return Err(OpError::plain(ErrorKind::Cancelled, "cancelled"));
        }
        if let Some(file) = try_lock(&path)? {
            // Its last holder may have removed it before we got it.
            let is_named = fs::metadata(&path)
                .is_ok_and(|named| file.metadata().is_ok_and(|ours| ours.ino() == named.ino()));
            if is_named {
                return Ok((path, file));
            }
            continue;
        }
        work.begins("waiting for another process, which makes the same");
        thread::sleep(LOCK_INTERVAL);
    }
}

/// Notes that the owner of `directory` uses an image, for as long as that
/// directory exists: by a hard link in it, at `mark`.
pub(crate) fn hold(home: &Home, image: &Path, mark: &Path) -> Result<(), OpError> {
    let _guard = guard(home, FlockOperation::LockShared)?;
    match fs::hard_link(image, mark) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(OpError::plain(
            ErrorKind::Conflict,
            "the seed's image was pruned at this very moment",
        )
        .hinted("try again")),
        other => Ok(other.map_err(FileError::at("hold", image))?),
    }
}

/// Removes images that nobody holds, and what killed makers left. Tells how many
/// and how many bytes that freed.
pub(crate) fn prune(home: &Home) -> Result<(u64, u64), OpError> {
    let _guard = guard(home, FlockOperation::LockExclusive)?;
    let seeds = home.seeds();
    let entries = fs::read_dir(&seeds).map_err(FileError::at("list", &seeds))?;
    let (mut removed, mut freed) = (0, 0);
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some((key, extension)) = parts(&path) else { continue };
        match extension {
            IMAGE_EXTENSION => {
                let Ok(image) = fs::metadata(&path) else { continue };
                if image.nlink() == 1 {
                    fs::remove_file(&path).map_err(FileError::at("remove", &path))?;
                    let _ = fs::remove_file(path.with_extension(REPORT_EXTENSION));
                    removed += 1;
                    freed += image.blocks() * 512;
                }
            }
            MAKING_EXTENSION => {
                let lock_path = seeds.join(key).with_added_extension(LOCK_EXTENSION);
                if let Some(_lock) = try_lock(&lock_path)? {
                    freed += crate::files::disk_bytes(&path);
                    remove_tree(&path)?;
                    let _ = fs::remove_file(&lock_path);
                }
            }
            _ => {}
        }
    }
    Ok((removed, freed))
}

/// The key and the extension of what is named by a key.
fn parts(path: &Path) -> Option<(&str, &str)> {
    let key = path.file_stem()?.to_str()?;
    let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then_some((key, path.extension()?.to_str()?))
}

/// Keeps holding and pruning apart.
fn guard(home: &Home, operation: FlockOperation) -> Result<File, OpError> {
    let path = home.seeds().join("guard");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(FileError::at("open", &path))?;
    flock(&file, operation).map_err(|errno| FileError {
        action: "lock",
        path,
        source: errno.into(),
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_goes_when_nobody_holds_it_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let image = home.seeds().join("a".repeat(64)).with_added_extension(IMAGE_EXTENSION);
        fs::write(&image, "image").unwrap();
        let mark = directory.path().join("mark");
        hold(&home, &image, &mark).unwrap();
        assert_eq!(prune(&home).unwrap().0, 0);
        fs::remove_file(&mark).unwrap();
        assert_eq!(prune(&home).unwrap().0, 1);
        assert!(!image.exists());
        assert_eq!(hold(&home, &image, &mark).unwrap_err().kind, ErrorKind::Conflict);
    }

    #[test]
    fn what_a_killed_maker_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let key = "b".repeat(64);
        let making = home.seeds().join(&key).with_added_extension(MAKING_EXTENSION);
        fs::create_dir(&making).unwrap();
        let lock_path = home.seeds().join(&key).with_added_extension(LOCK_EXTENSION);
        let lock = try_lock(&lock_path).unwrap().unwrap();
        prune(&home).unwrap();
        assert!(making.exists(), "its maker lives");
        drop(lock);
        prune(&home).unwrap();
        assert!(!making.exists());
    }
}
