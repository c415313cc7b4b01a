//! Finds every process that belongs to a registry, also what it does not know.
//!
//! | kept where | survives |
//! |---|---|
//! | entries in the directories of epochs | every death of processes |
//! | names of cgroups, `EPOCH.KEY` | the loss of an entry; below the group of whoever looks, also that of the registry |
//! | arguments of wardens: root, `EPOCH.KEY`, cgroup | the loss of the registry |
//!
//! Groups and wardens are listed before the entries are read, and an entry is
//! written before they exist: so none is taken for an orphan that just begins.
//! A key serves once in an epoch, so none that just ended comes back either.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use batch_api::Epoch;

use super::cgroup::{self, Cgroup};
use super::entry::{Entry, Key};
use super::holding::{Holding, group_of_registry};
use super::mark::{self, ProcessMark};
use super::registry::{EpochDirectory, Registry, RegistryError, Standing};
use super::warden::{NO_CGROUP, WARDEN_SUBCOMMAND};

/// How much of a command line is looked at, in bytes.
const COMMAND_LINE_BYTES_MAX: usize = 16 * 1024;

/// Why nobody is responsible for a process any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandonment {
    /// Its engine is dead.
    EngineDead,
    /// Its engine was replaced by a later one.
    Fenced,
    /// No entry knows it.
    Unknown,
}

/// Everything that bears one name.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) epoch: Epoch,
    pub(super) key: Key,
    pub(super) entry: Option<Entry>,
    /// Its warden, and what lies between that and the engine.
    pub(super) wardens: Vec<ProcessMark>,
    pub(super) cgroup: Option<Cgroup>,
    /// `None` if an engine is responsible.
    pub(super) abandonment: Option<Abandonment>,
}

/// How often is looked again because an engine fenced or forgot another meanwhile.
const LOOKS_MAX: usize = 16;

/// All that there is, by epoch and key.
pub(super) fn survey(registry: &Registry) -> Result<Vec<Found>, RegistryError> {
    steadily(|| look(registry))
}

/// Looks again if what was listed had another name, or none, when it was looked at.
fn steadily<T>(look: impl Fn() -> Result<T, RegistryError>) -> Result<T, RegistryError> {
    for _ in 1..LOOKS_MAX {
        match look() {
            Err(error) if error.is_missing() => {}
            looked => return looked,
        }
    }
    look()
}

fn look(registry: &Registry) -> Result<Vec<Found>, RegistryError> {
    let mut all: BTreeMap<(Epoch, Key), Found> = BTreeMap::new();
    for parent in parents_now(registry)? {
        let names = cgroup::names_below(&parent).map_err(failed("list", &parent))?;
        for name in names {
            if let Some((epoch, key)) = parse_name(&name) {
                let found = at(&mut all, epoch, key);
                found.cgroup = Some(Cgroup::named(&parent, &name));
            }
        }
    }
    for (epoch, key, warden, cgroup) in
        wardens(registry.root()).map_err(failed("look for wardens in", Path::new("/proc")))?
    {
        let found = at(&mut all, epoch, key);
        found.wardens.push(warden);
        found.cgroup = found.cgroup.take().or(cgroup);
    }
    let epochs = registry.epochs()?;
    for directory in &epochs {
        let holding = directory.holding()?;
        for (key, entry) in directory.entries()? {
            let found = at(&mut all, directory.epoch, key);
            found.wardens.extend(entry.warden.filter(|warden| !found.wardens.contains(warden)));
            if let (None, Some(Holding::Cgroup { parent })) = (&found.cgroup, &holding) {
                found.cgroup = Some(Cgroup::named(parent, &group_name(found.epoch, &found.key)));
            }
            found.entry = Some(entry);
        }
    }
    let mut all: Vec<Found> = all.into_values().collect();
    for found in &mut all {
        let directory = epochs.iter().find(|directory| directory.epoch == found.epoch);
        found.abandonment = judge(directory, found.entry.as_ref());
    }
    Ok(all)
}

/// The groups that hold those of all entries, whether they are there or not: where
/// engines have made them, and where one would now.
pub(super) fn parents(registry: &Registry) -> Result<BTreeSet<PathBuf>, RegistryError> {
    steadily(|| parents_now(registry))
}

fn parents_now(registry: &Registry) -> Result<BTreeSet<PathBuf>, RegistryError> {
    let mut all = BTreeSet::new();
    // A host that says nothing about its groups has none that could be looked through.
    all.extend(Holding::group_here(registry.root()).ok().flatten());
    for epoch in registry.epochs()? {
        if let Some(Holding::Cgroup { parent }) = epoch.holding()? {
            all.insert(parent);
        }
    }
    Ok(all)
}

fn judge(directory: Option<&EpochDirectory>, entry: Option<&Entry>) -> Option<Abandonment> {
    match directory {
        None => Some(Abandonment::Unknown),
        Some(directory) if !directory.has_living_owner() => Some(Abandonment::EngineDead),
        Some(directory) if directory.standing == Standing::Fenced => Some(Abandonment::Fenced),
        Some(_) if entry.is_none() => Some(Abandonment::Unknown),
        Some(_) => None,
    }
}

fn at(all: &mut BTreeMap<(Epoch, Key), Found>, epoch: Epoch, key: Key) -> &mut Found {
    all.entry((epoch, key.clone())).or_insert_with(|| Found {
        epoch,
        key,
        entry: None,
        wardens: Vec::new(),
        cgroup: None,
        abandonment: None,
    })
}

/// What the group and the arguments of the warden of an entry say.
pub(super) fn group_name(epoch: Epoch, key: &Key) -> String {
    format!("{}.{key}", epoch.0)
}

fn parse_name(name: &str) -> Option<(Epoch, Key)> {
    let (epoch, key) = name.split_once('.')?;
    Some((Epoch(epoch.parse().ok()?), key.parse().ok()?))
}

type Warden = (Epoch, Key, ProcessMark, Option<Cgroup>);

/// The wardens of a registry, and whatever bears the same arguments on the way
/// to them, by the list of processes.
fn wardens(root: &Path) -> io::Result<Vec<Warden>> {
    let mut found = Vec::new();
    for pid in processes()? {
        // Marked before it is looked at: a successor has another start time.
        let Some(mark) = ProcessMark::of(pid)? else { continue };
        let Some(line) = command_line(pid)? else { continue };
        if let Some((epoch, key, cgroup)) = parse_command_line(&line, root) {
            found.push((epoch, key, mark, cgroup));
        }
    }
    Ok(found)
}

/// Anybody can write anything into a command line, so a group is believed only
/// if its name is the one that this registry's entry would give it.
fn parse_command_line(line: &[u8], root: &Path) -> Option<(Epoch, Key, Option<Cgroup>)> {
    let mut arguments = line.split(|byte| *byte == 0);
    arguments.find(|argument| *argument == WARDEN_SUBCOMMAND.as_bytes())?;
    (arguments.next()? == root.as_os_str().as_bytes()).then_some(())?;
    let name = std::str::from_utf8(arguments.next()?).ok()?;
    let (epoch, key) = parse_name(name)?;
    let cgroup = arguments.next()?;
    if cgroup == NO_CGROUP.as_bytes() {
        return Some((epoch, key, None));
    }
    let cgroup = PathBuf::from(OsStr::from_bytes(cgroup));
    let expected = Path::new(&group_of_registry(root)).join(name);
    cgroup.ends_with(expected).then(|| (epoch, key, Some(Cgroup::at(cgroup))))
}

/// The numbers of all processes that can be seen.
pub(super) fn processes() -> io::Result<Vec<i32>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        all.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(all)
}

fn command_line(pid: i32) -> io::Result<Option<Vec<u8>>> {
    use io::Read;
    let mut line = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(COMMAND_LINE_BYTES_MAX as u64).read_to_end(&mut line));
    match read {
        Ok(_) => Ok(Some(line)),
        Err(error) if mark::is_gone(&error) => Ok(None),
        // Another user's processes are none of ours.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// The processes of the PID namespace that began with this one.
pub(super) fn namespace_of(warden: ProcessMark) -> io::Result<Vec<i32>> {
    let name = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let (Some(inside), Some(own)) = (name(warden.pid), fs::read_link("/proc/self/ns/pid").ok())
    else {
        return Ok(Vec::new());
    };
    if inside == own {
        return Ok(Vec::new());
    }
    let members = processes()?.into_iter().filter(|pid| name(*pid).as_ref() == Some(&inside));
    Ok(members.collect())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warden_says_whose_it_is_whatever_started_it() {
        let root = Path::new("/state/custody");
        let line =
            b"unshare\0--pid\0--\0/bin/hotcell\0custody-warden\0/state/custody\x007.eff_a\0-\0";
        let (epoch, key, cgroup) = parse_command_line(line, root).unwrap();
        assert_eq!((epoch, key.as_str(), cgroup), (Epoch(7), "eff_a", None));
        assert!(parse_command_line(line, Path::new("/state")).is_none(), "another registry's");
        assert!(parse_command_line(b"vi\0custody-warden\0", root).is_none());

        let group = format!("/sys/fs/cgroup/{}/7.eff_a", group_of_registry(root));
        let line = |group: &str| format!("w\0custody-warden\0/state/custody\x007.eff_a\0{group}\0");
        let (_, _, found) = parse_command_line(line(&group).as_bytes(), root).unwrap();
        assert_eq!(found, Some(Cgroup::at(group.into())));
        let foreign = line("/sys/fs/cgroup/system.slice");
        assert!(parse_command_line(foreign.as_bytes(), root).is_none(), "a lie ends nobody else");
    }
}
