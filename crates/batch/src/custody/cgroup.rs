//! Groups of the second cgroup hierarchy, one per entry.
//!
//! ```text
//! own cgroup of the engine
//!   └─ hotcell-TAG           one per registry, TAG from its path
//!        ├─ 7.build-a        EPOCH.KEY: one entry, with all its descendants
//!        └─ 7.review-b
//! ```
//!
//! A group is proved empty by its removal: the kernel removes none that holds a
//! live process, and a process that was about to join one finds it gone. With the
//! last entry its registry's group goes, too, and comes again with the next one.
//!
//! The hierarchy may be mounted anywhere (beside the first one it lies in a
//! subfolder), may belong to somebody else, and a directory of that name on a
//! plain file system takes every write without any effect. So the type of the
//! file system is asked for before anything is believed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::Access;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::limits::{Limit, Limits};
use super::waiting;

/// What `statfs` calls the second hierarchy (`CGROUP2_SUPER_MAGIC`, linux/magic.h).
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// How deep groups may be nested that agents made within theirs.
const NESTED_MAX: usize = 16;

/// How often a group is made whose registry's group goes away at the same moment.
const MAKES_MAX: usize = 16;

/// The group of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cgroup(PathBuf);

/// The cgroup of this process in the second hierarchy, if there is one.
pub(super) fn own() -> io::Result<Option<PathBuf>> {
    // Names of others' mounts may be any bytes.
    let mounts = fs::read("/proc/self/mountinfo")?;
    let mounts = String::from_utf8_lossy(&mounts);
    let membership = fs::read_to_string("/proc/self/cgroup")?;
    let Some(path) = find(&mounts, &membership) else { return Ok(None) };
    Ok(is_cgroup2(&path)?.then_some(path))
}

/// Where `/proc/self/mountinfo` and `/proc/self/cgroup` say that it lies.
fn find(mounts: &str, membership: &str) -> Option<PathBuf> {
    let inside = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    // A group outside what this cgroup namespace shows begins with `/..`.
    let inside = Path::new(inside);
    if inside.components().any(|part| part == std::path::Component::ParentDir) {
        return None;
    }
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        // Mount points with escaped characters are nobody's hierarchy of cgroups.
        (kind.starts_with("cgroup2 ") && !mount.contains('\\')).then_some(())?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = inside.strip_prefix(root).ok()?;
        Some(if below.as_os_str().is_empty() { point.into() } else { Path::new(point).join(below) })
    })
}

/// Whether the file system really is the second hierarchy.
pub(super) fn is_cgroup2(path: &Path) -> io::Result<bool> {
    match rustix::fs::statfs(path) {
        Ok(found) => Ok(u64::try_from(found.f_type).is_ok_and(|magic| magic == CGROUP2_MAGIC)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes the group that holds those of all entries, in the one of this process,
/// and lets them be limited as far as this host allows it. An error means that
/// processes cannot be held here.
pub(super) fn prepare(parent: &Path) -> io::Result<PathBuf> {
    let own = parent.parent().unwrap_or(parent);
    match fs::create_dir(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A process is moved by who may write to both ends and what is above them.
    for file in [own.join("cgroup.procs"), parent.join("cgroup.procs")] {
        rustix::fs::access(file, Access::WRITE_OK)?;
    }
    // Linux has it since 5.14; without it a group that forks fast gets away.
    rustix::fs::access(parent.join("cgroup.kill"), Access::WRITE_OK)?;
    for controller in ["+memory", "+pids", "+cpu"] {
        for directory in [own, parent] {
            // Which limits are in force is found out where one is set.
            let _ = fs::write(directory.join("cgroup.subtree_control"), controller);
        }
    }
    Ok(parent.to_owned())
}

/// Removes the group of a registry unless it holds any: the kernel says so.
pub(super) fn remove_empty(parent: &Path) {
    if is_cgroup2(parent).unwrap_or(false) {
        let _ = fs::remove_dir(parent);
    }
}

impl Cgroup {
    pub(super) fn named(parent: &Path, name: &str) -> Self {
        Self(parent.join(name))
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it. One that exists already is an error: some kernels (6.18 does)
    /// kill whatever is born in a group whose processes were killed once.
    pub(super) fn make(&self) -> io::Result<()> {
        let Some(parent) = self.0.parent() else { return fs::create_dir(&self.0) };
        for _ in 0..MAKES_MAX {
            match fs::create_dir(&self.0) {
                // What held the last entry went with it, perhaps at this moment.
                Err(error) if is_missing(&error) => prepare(parent).map(drop)?,
                made => return made,
            }
        }
        fs::create_dir(&self.0)
    }

    /// Sets what can be set here and says which limits are in force.
    pub(super) fn limit(&self, limits: Limits) -> io::Result<Vec<Limit>> {
        let wanted = [
            (Limit::Memory, "memory.max", limits.memory_bytes.map(|bytes| bytes.to_string())),
            (Limit::Processes, "pids.max", limits.processes.map(|count| count.to_string())),
            (Limit::CpuWeight, "cpu.weight", limits.cpu_weight.map(|weight| weight.to_string())),
        ];
        let mut in_force = Vec::new();
        for (limit, file, value) in wanted {
            let Some(value) = value else { continue };
            let file = self.0.join(file);
            // Files of controllers that this host does not lend are missing.
            if file.exists() {
                fs::write(&file, value)?;
                in_force.push(limit);
            }
        }
        Ok(in_force)
    }

    /// The processes in it and below, as the host numbers them.
    pub(super) fn members(&self) -> io::Result<Vec<i32>> {
        let mut found = Vec::new();
        for directory in self.with_nested()? {
            match fs::read_to_string(directory.join("cgroup.procs")) {
                Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Kills everything in it, also what is just being born, and does not wait.
    /// Whether there is anything to wait for.
    pub(super) fn kill(&self) -> io::Result<Presence> {
        if !is_cgroup2(&self.0)? {
            return Ok(Presence::Gone);
        }
        match fs::write(self.0.join("cgroup.kill"), "1") {
            Ok(()) => Ok(Presence::There),
            Err(error) if is_missing(&error) => Ok(Presence::Gone),
            Err(error) => Err(error),
        }
    }

    /// Kills until the kernel lets the group be removed. What is left at the
    /// deadline is told; that happens to processes stuck in the kernel.
    pub(super) fn remove(&self, deadline: Instant) -> io::Result<Removal> {
        loop {
            if self.kill()? == Presence::Gone {
                return Ok(self.removed());
            }
            let emptied = waiting::until_unpopulated(&self.0.join("cgroup.events"), deadline)?;
            if emptied && self.remove_directories()? {
                return Ok(self.removed());
            }
            if Instant::now() >= deadline {
                return Ok(Removal::StillThere(self.members()?));
            }
        }
    }

    /// It is gone, and what held it goes with it unless it holds others.
    fn removed(&self) -> Removal {
        if let Some(parent) = self.0.parent() {
            remove_empty(parent);
        }
        Removal::Done
    }

    /// Whether it is gone now; somebody may have joined it at this moment.
    fn remove_directories(&self) -> io::Result<bool> {
        for directory in self.with_nested()?.into_iter().rev() {
            match fs::remove_dir(&directory) {
                Ok(()) => {}
                Err(error) if is_missing(&error) => {}
                Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// It and the groups within, parents first.
    fn with_nested(&self) -> io::Result<Vec<PathBuf>> {
        let mut all = vec![self.0.clone()];
        let mut level = vec![self.0.clone()];
        for _ in 0..NESTED_MAX {
            let mut next = Vec::new();
            for directory in &level {
                let entries = match fs::read_dir(directory) {
                    Ok(entries) => entries,
                    Err(error) if is_missing(&error) => continue,
                    Err(error) => return Err(error),
                };
                let directories = entries
                    .flatten()
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
                next.extend(directories.map(|entry| entry.path()));
            }
            if next.is_empty() {
                break;
            }
            all.extend(next.iter().cloned());
            level = next;
        }
        Ok(all)
    }
}

/// Whether a group exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    There,
    Gone,
}

/// How an attempt to remove a group went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Removal {
    Done,
    /// These live on.
    StillThere(Vec<i32>),
}

/// Whether a file of a group is missing because the group is.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

/// The groups that exist below `parent`, by name.
pub(super) fn names_below(parent: &Path) -> io::Result<Vec<String>> {
    if !is_cgroup2(parent)? {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        // The last of them went at this moment.
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
";

    #[test]
    fn beside_the_first_hierarchy_the_second_lies_in_a_subfolder() {
        let found = find(HYBRID, "4:memory:/elsewhere\n0::/user.slice/run-1.scope\n").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/unified/user.slice/run-1.scope"));
        let root = find(HYBRID, "0::/\n").unwrap();
        assert_eq!(root, Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn a_container_sees_the_group_that_is_mounted_for_it() {
        let mounts = "9 8 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(find(mounts, "0::/docker/abc/x\n").unwrap(), Path::new("/sys/fs/cgroup/x"));
        assert_eq!(find(mounts, "0::/../other\n"), None, "it lies outside the namespace");
        assert_eq!(find(mounts, "0::/elsewhere\n"), None, "it is not mounted here");
        assert_eq!(find(mounts, "4:memory:/docker/abc\n"), None, "there is no second hierarchy");
    }

    #[test]
    fn a_plain_directory_is_no_group_whatever_it_is_called() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cgroup.kill"), "").unwrap();
        assert!(!is_cgroup2(directory.path()).unwrap());
        let group = Cgroup::at(directory.path().to_owned());
        assert_eq!(group.kill().unwrap(), Presence::Gone);
        assert_eq!(fs::read(directory.path().join("cgroup.kill")).unwrap(), b"");
    }
}
