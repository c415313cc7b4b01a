//! Snapshots: what a workspace can be put back to, and forked from.

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{WorkspaceId, WorkspaceRef};
use operation::text_value;

/// How many snapshots one workspace can have.
pub const SNAPSHOTS_MAX: usize = 64;

/// Names a snapshot within its workspace: 1 to 63 of `a-z`, `0-9` and `-`,
/// starting with a letter, but not `baseline`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotName(String);

impl SnapshotName {
    /// Longest name, in bytes.
    pub const LENGTH_MAX: usize = 63;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotName {
    type Err = NotASnapshotName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() <= Self::LENGTH_MAX
            && text != SnapshotRef::BASELINE
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if valid { Ok(Self(text.to_owned())) } else { Err(NotASnapshotName(text.to_owned())) }
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no name of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no snapshot name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter; \
     `baseline` is taken"
)]
pub struct NotASnapshotName(String);

text_value!(SnapshotName, "^[a-z][a-z0-9-]{0,62}$");

/// Means a state of a workspace in the past: `baseline`, which is how it was
/// created, or a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SnapshotRef {
    /// How the workspace was created.
    #[default]
    Baseline,
    /// A snapshot of it.
    Named(SnapshotName),
}

impl SnapshotRef {
    /// The word for how a workspace was created.
    pub const BASELINE: &str = "baseline";

    /// The snapshot's name, unless it is the baseline.
    #[must_use]
    pub const fn name(&self) -> Option<&SnapshotName> {
        match self {
            Self::Baseline => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl FromStr for SnapshotRef {
    type Err = NotASnapshotName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == Self::BASELINE { Ok(Self::Baseline) } else { text.parse().map(Self::Named) }
    }
}

impl fmt::Display for SnapshotRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline => f.write_str(Self::BASELINE),
            Self::Named(name) => name.fmt(f),
        }
    }
}

text_value!(SnapshotRef, "^[a-z][a-z0-9-]{0,62}$");

/// Take a snapshot of a running workspace
///
/// Disks, memory and processes, as they are at one moment; the workspace runs on.
/// It stands still for some milliseconds, or if it is emulated until its memory
/// is saved. `workspace reset --to NAME` goes back to
/// it, `workspace fork --from NAME` makes more workspaces of it. Secrets in
/// memory are in the snapshot too. Fails with `conflict` if the name is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Name of the new snapshot
    pub name: SnapshotName,
}

impl Operation for Create {
    type Output = Taken;
    type Event = NoEvents;
    const NAME: &'static str = "snapshot.create";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo before-upgrade",
        json: r#"{"workspace": "demo", "name": "before-upgrade"}"#,
    }];
}

/// A snapshot that was just taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The snapshot.
    pub snapshot: Snapshot,
}

impl Present for Taken {
    fn present(&self, screen: &mut Screen) {
        let Snapshot { name, pause_us, memory_bytes, .. } = &self.snapshot;
        screen.line(format!("Snapshot  {name}"));
        screen.line(format!("Memory    {} KiB", memory_bytes.div_ceil(1024)));
        screen.line(format!("Pause     {}.{} ms", pause_us / 1000, pause_us % 1000 / 100));
        if self.snapshot.halted {
            screen.note("it stood still until its memory was saved");
        }
    }
}

/// A snapshot of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Its name.
    pub name: SnapshotName,
    /// When it was taken, RFC 3339 in UTC.
    pub created_at: String,
    /// How long ago that was, in seconds.
    pub age_s: u64,
    /// Disk space of its memory and devices, in bytes.
    pub memory_bytes: u64,
    /// Disk space of the layers that it needs, in bytes: what had been written
    /// to the disks by then. They are shared with whatever else needs them.
    pub disk_bytes: u64,
    /// How many commands, shells and services ran in it.
    pub jobs: u32,
    /// How long the workspace stood still for it, in microseconds.
    pub pause_us: u64,
    /// Whether its memory is sealed with the user's key: it is once the workspace
    /// was given a secret.
    #[serde(default)]
    pub sealed: bool,
    /// Whether the workspace stood still until its memory was saved: an emulated
    /// one always does, another one if it changes its memory faster than that
    /// can be saved.
    pub halted: bool,
}

/// List the snapshots of a workspace, the newest first
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for List {
    type Output = Snapshots;
    type Event = NoEvents;
    const NAME: &'static str = "snapshot.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// The snapshots of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshots {
    /// The newest first.
    pub snapshots: Vec<Snapshot>,
}

impl Present for Snapshots {
    fn present(&self, screen: &mut Screen) {
        let width = self.snapshots.iter().map(|found| found.name.as_str().len()).max();
        let width = width.unwrap_or(0).max(4);
        screen.line(format!("{:width$}  CREATED               MEMORY KIB  DISK KIB", "NAME"));
        for found in &self.snapshots {
            screen.line(format!(
                "{:width$}  {}  {:>10}  {:>8}",
                found.name.as_str(),
                found.created_at,
                found.memory_bytes.div_ceil(1024),
                found.disk_bytes.div_ceil(1024),
            ));
        }
    }
}

/// Delete a snapshot
///
/// The workspace, its other snapshots and whatever was forked from this one keep
/// all that they need. Fails with `conflict` while it is being used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Name of the snapshot
    pub name: SnapshotName,
}

impl Operation for Delete {
    type Output = Deleted;
    type Event = NoEvents;
    const NAME: &'static str = "snapshot.delete";
    const EFFECT: Effect = Effect::Destroys;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo before-upgrade",
        json: r#"{"workspace": "demo", "name": "before-upgrade"}"#,
    }];
}

/// A snapshot that no longer exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The name that it had.
    pub name: SnapshotName,
    /// Disk space that this freed, in bytes.
    pub freed_bytes: u64,
}

impl Present for Deleted {
    fn present(&self, screen: &mut Screen) {
        let kib = self.freed_bytes.div_ceil(1024);
        screen.line(format!("Deleted {} ({kib} KiB freed)", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baseline_is_no_name_but_can_be_meant() {
        assert!("before-upgrade-2".parse::<SnapshotName>().is_ok());
        for bad in ["", "baseline", "../x", "a.b", "A", "2nd", &"x".repeat(64)] {
            assert!(bad.parse::<SnapshotName>().is_err(), "{bad}");
        }
        assert_eq!("baseline".parse(), Ok(SnapshotRef::Baseline));
        assert_eq!(SnapshotRef::default().to_string(), "baseline");
        assert!(matches!("one".parse(), Ok(SnapshotRef::Named(_))));
        assert!("../x".parse::<SnapshotRef>().is_err());
    }
}
