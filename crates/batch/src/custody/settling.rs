//! Ends what nobody is responsible for, and tells what there is.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use batch_api::Epoch;

use super::cgroup;
use super::ending::{self, Ending, Struck};
use super::entry::{Key, Label};
use super::limits::Limit;
use super::registry::{EpochDirectory, Registry, RegistryError, Standing};
use super::survey::{self, Abandonment, Found};

/// How long all of them together may take to end.
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);

/// What became of something that nobody was responsible for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whose it was.
    pub epoch: Epoch,
    /// Its key.
    pub key: Key,
    /// What it was for, if an entry said so.
    pub label: Option<Label>,
    /// Why nobody was responsible.
    pub abandonment: Abandonment,
    /// How it ended.
    pub end: SettledEnd,
}

/// How something ended that nobody was responsible for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettledEnd {
    /// It had been reserved; nothing of it had run.
    NeverRan,
    /// It had ended already.
    WasGone,
    /// It was alive and was killed; nothing is left.
    Killed(Vec<i32>),
    /// These were killed but do not end. They stay in the registry.
    Stuck(Vec<i32>),
}

/// Something in custody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whose it is.
    pub epoch: Epoch,
    /// Its key.
    pub key: Key,
    /// What it is for, if an entry says so.
    pub label: Option<Label>,
    /// Its program, if an entry says so.
    pub program: Option<String>,
    /// The limits that the kernel holds it to.
    pub limits: Vec<Limit>,
    /// Its processes, the warden's included.
    pub processes: Vec<i32>,
    /// Why nobody is responsible; `None` if an engine is.
    pub abandonment: Option<Abandonment>,
}

/// What nobody was responsible for could not be looked after.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The registry cannot be handled.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Processes cannot be killed or waited for.
    #[error("cannot end processes that nobody is responsible for")]
    End(#[source] io::Error),
}

/// Lists what is in custody below `root`, by whoever asks.
///
/// # Errors
///
/// If the registry or the list of processes cannot be read.
pub fn list(root: &Path) -> Result<Vec<Listed>, SettleError> {
    let mut all = Vec::new();
    for found in survey::survey(&Registry::at(root))? {
        let processes = members(&found).map_err(SettleError::End)?;
        let entry = found.entry.as_ref();
        all.push(Listed {
            epoch: found.epoch,
            key: found.key.clone(),
            label: entry.map(|entry| entry.label.clone()),
            program: entry.map(|entry| entry.program.clone()),
            limits: entry.map(|entry| entry.limits.clone()).unwrap_or_default(),
            processes,
            abandonment: found.abandonment,
        });
    }
    Ok(all)
}

/// Ends everything below `root` that nobody is responsible for. An engine that
/// lives, stopped or not, keeps what is its own unless it was replaced.
///
/// # Errors
///
/// As [`list`].
pub fn end_orphans(root: &Path) -> Result<Vec<Settled>, SettleError> {
    settle(&Registry::at(root))
}

pub(super) fn settle(registry: &Registry) -> Result<Vec<Settled>, SettleError> {
    for epoch in registry.epochs()? {
        if epoch.standing == Standing::Permitted && !epoch.has_living_owner() {
            registry.fence(&epoch)?;
        }
    }
    // Before their epochs are forgotten.
    let parents = survey::parents(registry)?;
    let mut struck = Vec::new();
    for found in survey::survey(registry)? {
        if let Some(abandonment) = found.abandonment {
            let blows = strike(&found).map_err(SettleError::End)?;
            struck.push((found, abandonment, blows));
        }
    }
    let deadline = Instant::now() + SETTLE_DEADLINE;
    let mut settled = Vec::new();
    for (found, abandonment, blows) in struck {
        let end = judge(&found, blows.confirm(deadline).map_err(SettleError::End)?);
        settled.push(Settled {
            epoch: found.epoch,
            label: found.entry.map(|entry| entry.label),
            key: found.key,
            abandonment,
            end,
        });
    }
    for epoch in registry.epochs()? {
        if epoch.standing == Standing::Fenced {
            let stuck = |key: &Key| {
                let this = |one: &Settled| one.epoch == epoch.epoch && one.key == *key;
                settled.iter().any(|one| this(one) && matches!(one.end, SettledEnd::Stuck(_)))
            };
            let entries = epoch.entries()?;
            let (stuck, done): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|(key, _)| stuck(key));
            done.iter().try_for_each(|(key, _)| epoch.forget(key))?;
            if stuck.is_empty() {
                epoch.remove()?;
            }
        }
    }
    // An engine that died before it had started anything has left the group of its
    // registry; a living one may be about to use it.
    if !registry.epochs()?.iter().any(EpochDirectory::has_living_owner) {
        parents.iter().for_each(|parent| cgroup::remove_empty(parent));
    }
    Ok(settled)
}

fn strike(found: &Found) -> io::Result<Struck> {
    ending::strike(&found.wardens, found.cgroup.as_ref())
}

fn judge(found: &Found, ending: Ending) -> SettledEnd {
    let reserved = found.entry.as_ref().is_some_and(|entry| entry.warden.is_none());
    match ending {
        Ending::Stuck(left) => SettledEnd::Stuck(left),
        Ending::Empty(_) if reserved => SettledEnd::NeverRan,
        Ending::Empty(killed) if killed.is_empty() => SettledEnd::WasGone,
        Ending::Empty(killed) => SettledEnd::Killed(killed),
    }
}

fn members(found: &Found) -> io::Result<Vec<i32>> {
    let mut all = Vec::new();
    if let Some(cgroup) = &found.cgroup {
        all.extend(cgroup.members()?);
    }
    for warden in &found.wardens {
        if warden.is_alive()? {
            all.push(warden.pid);
            all.extend(survey::namespace_of(*warden)?);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
