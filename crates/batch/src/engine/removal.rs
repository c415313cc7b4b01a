//! How a directory is removed in which an agent wrote.
//!
//! An agent may have forbidden the owner to enter, and may have nested directories deeper
//! than a path may be long, or than a process may have files open. So no path is built and
//! nothing recurses: whatever directory is found is moved up into one directory, the pit,
//! and emptied there. Five descriptors are open at most, however deep the tree.
//!
//! ```text
//! directory/          the files in it go, the directories in it move into the pit
//!   <pit>/            a name that was free
//!     0, 1, 2, …      in the order in which they were found; each is emptied in the same
//!                     way, and goes
//! ```
//!
//! A full disk has no room for the pit. A tree there is removed in the usual way, level by
//! level, which needs none.
//!
//! **SIGKILL.** What is left is still one tree at the same path, which whoever comes next
//! removes as any other: an old pit is a directory as the others are.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, chmod, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Removes a directory with everything in it, if it is there; or what an agent has put in
/// its place.
///
/// # Errors
///
/// Something in it can be neither removed nor moved, or somebody still writes there.
pub(super) fn remove_foreign_tree(path: &Path) -> io::Result<()> {
    let directory = match enter(CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(unlinkat(CWD, path, AtFlags::empty())?),
        opened => opened?,
    };
    match empty(&directory) {
        Err(Errno::NOSPC | Errno::DQUOT) => fs::remove_dir_all(path),
        emptied => Ok(emptied.and_then(|()| unlinkat(CWD, path, AtFlags::REMOVEDIR))?),
    }
}

fn empty(directory: &OwnedFd) -> Result<(), Errno> {
    let name = make_pit(directory)?;
    let mut pit = Pit { directory: enter(directory, &*name)?, taken: 0 };
    pit.take_from(directory, Some(name.as_bytes()))?;
    let mut emptied = 0;
    while emptied < pit.taken {
        let next = emptied.to_string();
        pit.take_from(&enter(&pit.directory, &*next)?, None)?;
        unlinkat(&pit.directory, &*next, AtFlags::REMOVEDIR)?;
        emptied += 1;
    }
    unlinkat(directory, &*name, AtFlags::REMOVEDIR)
}

/// Makes a directory whose name nothing has yet; only so many tries can fail as there are
/// names.
fn make_pit(directory: &OwnedFd) -> Result<String, Errno> {
    let mut number = 0_u64;
    loop {
        let name = format!(".pit-{number}");
        match mkdirat(directory, &*name, Mode::RWXU) {
            Err(Errno::EXIST) => number += 1,
            made => return made.map(|()| name),
        }
    }
}

/// Where directories wait that are not empty yet.
struct Pit {
    directory: OwnedFd,
    /// How many there were so far; the next one is called so.
    taken: u64,
}

impl Pit {
    /// Removes the files of a directory and takes the directories in it, but for one.
    fn take_from(&mut self, directory: &OwnedFd, but: Option<&[u8]>) -> Result<(), Errno> {
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if [&b"."[..], b".."].contains(&name.to_bytes()) || but == Some(name.to_bytes()) {
                continue;
            }
            match unlinkat(directory, name, AtFlags::empty()) {
                // The kernel says the first, POSIX the second.
                Err(Errno::ISDIR | Errno::PERM) => self.take(directory.as_fd(), name)?,
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn take(&mut self, from: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        // A directory that its owner may not write cannot be moved: its `..` changes.
        permit(from, name)?;
        renameat(from, name, &self.directory, self.taken.to_string())?;
        self.taken += 1;
        Ok(())
    }
}

/// Opens a directory, whatever was forbidden to its owner.
fn enter(at: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    permit(at.as_fd(), name)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

/// Lets the owner into a directory. What is a link, or no directory, is left as it is: the
/// mode is set through what was opened, not through a name that may mean something else by
/// then.
fn permit(at: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(at, name, flags, Mode::empty())?;
    chmod(format!("/proc/self/fd/{}", opened.as_raw_fd()), Mode::RWXU)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    /// Directories within each other: with names this long, more than a path may name.
    const DEPTH: usize = 400;

    const NAME: &str = "a-directory-like-any";

    /// Fewer than the depth, and more than what else runs in this process needs.
    const DESCRIPTORS: u64 = 200;

    fn dig(top: &Path) {
        let mut at = enter(CWD, top).unwrap();
        for _ in 0..DEPTH {
            mkdirat(&at, NAME, Mode::RWXU).unwrap();
            at = enter(&at, NAME).unwrap();
        }
        openat(&at, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::empty()).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_descriptors_and_paths_reach_is_removed() {
        let before = getrlimit(Resource::Nofile);
        let limit = Rlimit { current: Some(DESCRIPTORS), ..before };
        setrlimit(Resource::Nofile, limit).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        fs::create_dir(&top).unwrap();
        dig(&top);
        remove_foreign_tree(&top).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        setrlimit(Resource::Nofile, before).unwrap();
    }

    #[test]
    fn a_full_disk_has_no_room_for_the_pit_and_the_tree_goes_all_the_same() {
        const DISK: &str = "REMOVAL_TEST_DISK";
        let Some(disk) = std::env::var_os(DISK) else {
            // This test once more, where a disk is that can be filled.
            let disk = tempfile::tempdir().unwrap();
            let script = "mount -t tmpfs -o nr_inodes=8 none \"$1\" && \
                exec \"$2\" --exact engine::removal::tests::\
                a_full_disk_has_no_room_for_the_pit_and_the_tree_goes_all_the_same";
            let user: &[&str] = match rustix::process::geteuid().is_root() {
                true => &[],
                false => &["--user", "--map-root-user"],
            };
            let told = Command::new("unshare")
                .args(user)
                .args(["--mount", "sh", "-c", script, "sh"])
                .arg(disk.path())
                .arg(std::env::current_exe().unwrap())
                .env(DISK, disk.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&told.stdout);
            assert!(told.status.success() && said.contains("1 passed"), "{told:?}");
            return;
        };
        let top = Path::new(&disk).join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        let full = (0..).find_map(|number| fs::write(top.join(format!("a/b/{number}")), "").err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::StorageFull);
        assert_eq!(empty(&enter(CWD, &top).unwrap()), Err(Errno::NOSPC));
        remove_foreign_tree(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn nothing_that_lies_in_a_tree_is_in_the_way_and_no_link_in_it_is_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (top, outside) = (scratch.path().join("top"), scratch.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o750)).unwrap();
        // As a removal leaves it that was killed.
        fs::create_dir_all(top.join(".pit-0/0/0")).unwrap();
        fs::create_dir_all(top.join("0/locked/deep")).unwrap();
        fs::write(top.join(".pit-1"), "").unwrap();
        symlink(&outside, top.join("1")).unwrap();
        symlink(&outside, top.join("0/locked/link")).unwrap();
        for locked in [&top.join("0/locked"), &top] {
            fs::set_permissions(locked, Permissions::from_mode(0o000)).unwrap();
        }
        remove_foreign_tree(&top).unwrap();
        remove_foreign_tree(&top).unwrap();
        assert!(outside.join("kept").exists());
        let mode = fs::metadata(&outside).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750, "it is as it was");
        // An agent may have put something else in the place of its directory.
        let instead = scratch.path().join("instead");
        symlink(&outside, &instead).unwrap();
        remove_foreign_tree(&instead).unwrap();
        fs::write(&instead, "").unwrap();
        remove_foreign_tree(&instead).unwrap();
        instead.symlink_metadata().unwrap_err();
        assert!(outside.join("kept").exists());
    }
}
