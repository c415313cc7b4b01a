//! What changed in a workspace.
//!
//! The whole of both trees is compared each time, which costs a walk; contents
//! are then read for the part that is told, some at a time.

use std::collections::HashMap;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind;
use operation::{Call, Handler, NoEvents, OpError};
use tokio_util::sync::CancellationToken;
use tree_diff::{CONTENT_MAX, Change, Printed, Side, Status, Tree as _, compare, print};
use workspace_api::diff::{
    ChangeCounts, ChangeKind, ChangedFile, ChangedLines, Compare, Diff, DiffFormat, Difference,
    Extent, FileFacts, NoPatch,
};
use workspace_api::file::EntryKind;
use workspace_api::output::OutputBytes;
use workspace_api::snapshot::SnapshotRef;
use workspace_api::state::WorkspaceState;

use super::Engine;
use super::drives::{Stopped, blocking};
use super::secrets::SecretsLeave;
use super::tools::place;
use super::trees::{GuestTree, ImageTree, Source};
use crate::secrets::leaving::Gate;
use crate::store::Record;

/// How many changes' contents are held at once, and how many bytes unless a
/// single one has more.
const BATCH_CHANGES: usize = 256;
const BATCH_BYTES: u64 = 8 << 20;

impl Handler<Diff> for Engine {
    async fn handle(&self, diff: Diff, call: &mut Call<NoEvents>) -> Result<Difference, OpError> {
        let Diff { workspace, against, extent } = diff;
        let record = self.store.find(&workspace)?;
        self.since(record, against, Asked::new(&extent, &call.cancel)?).await
    }
}

impl Handler<Compare> for Engine {
    async fn handle(
        &self,
        compare: Compare,
        call: &mut Call<NoEvents>,
    ) -> Result<Difference, OpError> {
        let Compare { workspace, from, to, extent } = compare;
        let record = self.store.find(&workspace)?;
        let asked = Asked::new(&extent, &call.cancel)?;
        let engine = self.clone();
        blocking(move || {
            let before = engine.past(&record, &from, &asked)?;
            let after = engine.past(&record, &SnapshotRef::Named(to), &asked)?;
            asked.tell(&engine, &record, before, after)
        })
        .await
    }
}

/// What is asked of a difference.
struct Asked {
    paths: Vec<WorkspacePath>,
    after: Option<WorkspacePath>,
    format: DiffFormat,
    limit: usize,
    max_bytes: usize,
    secrets: SecretsLeave,
    cancel: CancellationToken,
}

impl Asked {
    fn new(extent: &Extent, cancel: &CancellationToken) -> Result<Self, OpError> {
        Ok(Self {
            paths: extent.path.iter().map(place).collect::<Result<_, _>>()?,
            after: extent.after.as_ref().map(place).transpose()?,
            format: extent.format,
            limit: usize::try_from(extent.limit).unwrap_or(usize::MAX),
            max_bytes: usize::try_from(extent.max_bytes).unwrap_or(usize::MAX),
            secrets: match extent.format {
                DiffFormat::Patch => SecretsLeave::allowed(extent.allow_secrets),
                // No content leaves with the others.
                _ => SecretsLeave::Allowed,
            },
            cancel: cancel.clone(),
        })
    }

    /// Tells the difference between two trees.
    fn tell(
        &self,
        engine: &Engine,
        record: &Record,
        mut before: Source,
        mut after: Source,
    ) -> Result<Difference, OpError> {
        let compared = compare(&mut before, &mut after)?;
        let mut difference = Difference {
            workspace: record.id,
            format: self.format,
            counts: counts(&compared.changes),
            changes: Vec::new(),
            patch: (self.format == DiffFormat::Patch).then(OutputBytes::default),
            all_renames_sought: compared.all_moves_sought,
            next: None,
        };
        let mut changes = compared.changes;
        changes.retain(|change| self.after.as_ref().is_none_or(|after| change.path > *after));
        let part = &changes[..changes.len().min(self.limit)];
        let gate = engine.gate(record, self.secrets)?;
        let mut told = Told { difference: &mut difference, max_bytes: self.max_bytes, gate };
        let whole = told.tell(part, &mut before, &mut after)?;
        if !whole || changes.len() > self.limit {
            difference.next = difference.changes.last().map(|last| last.path.clone());
        }
        Ok(difference)
    }
}

/// What a workspace holds now, as far as it was found without blocking.
enum Current {
    Running(Box<GuestTree>),
    Stopped(Stopped),
}

impl Current {
    fn source(self, asked: &Asked) -> Result<Source, OpError> {
        let (paths, cancel) = (asked.paths.clone(), asked.cancel.clone());
        match self {
            Self::Running(tree) => Ok(Source::Guest(tree)),
            Self::Stopped(stopped) => {
                ImageTree::of_stopped(stopped, paths, cancel).map(Source::from)
            }
        }
    }
}

impl Engine {
    /// How what a workspace holds now differs from what it was.
    async fn since(
        &self,
        record: Record,
        against: SnapshotRef,
        asked: Asked,
    ) -> Result<Difference, OpError> {
        let current = self.current(&record, &asked).await?;
        let engine = self.clone();
        blocking(move || {
            let before = engine.past(&record, &against, &asked)?;
            let after = current.source(&asked)?;
            asked.tell(&engine, &record, before, after)
        })
        .await
    }

    /// What a workspace holds now.
    async fn current(&self, record: &Record, asked: &Asked) -> Result<Current, OpError> {
        if record.state == WorkspaceState::Stopped {
            return self.stopped(record).await.map(Current::Stopped);
        }
        let (paths, cancel) = (asked.paths.clone(), asked.cancel.clone());
        let tree = GuestTree::new(self.clone(), record.clone(), paths, cancel);
        Ok(Current::Running(Box::new(tree)))
    }

    /// What a workspace held at some time.
    fn past(&self, record: &Record, when: &SnapshotRef, asked: &Asked) -> Result<Source, OpError> {
        let (paths, cancel) = (asked.paths.clone(), asked.cancel.clone());
        let SnapshotRef::Named(name) = when else { return self.baseline(record, paths, cancel) };
        let (drives, hold) = self.frozen(record, name)?;
        ImageTree::of_snapshot(&drives, hold, paths, cancel).map(Source::from)
    }

    /// What a workspace started with.
    pub(super) fn baseline(
        &self,
        record: &Record,
        paths: Vec<WorkspacePath>,
        cancel: CancellationToken,
    ) -> Result<Source, OpError> {
        let seed = self.home.workspace(record.id).seed();
        if !seed.exists() {
            return Ok(Source::Nothing);
        }
        ImageTree::of_seed(&seed, paths, cancel).map(Source::from)
    }

    /// How much a workspace has changed since it was created, and the first
    /// changes.
    pub(super) async fn changes(
        &self,
        record: &Record,
        limit: u32,
        cancel: &CancellationToken,
    ) -> Result<Difference, OpError> {
        let asked = Asked::new(&Extent { limit, ..Extent::default() }, cancel)?;
        self.since(record.clone(), SnapshotRef::Baseline, asked).await
    }
}

/// A part of a difference while it is told.
struct Told<'a> {
    difference: &'a mut Difference,
    max_bytes: usize,
    /// What no content may hold that leaves.
    gate: Gate,
}

impl Told<'_> {
    /// Tells changes as long as they fit; whether all did.
    fn tell(
        &mut self,
        changes: &[Change],
        before: &mut Source,
        after: &mut Source,
    ) -> Result<bool, OpError> {
        if matches!(self.difference.format, DiffFormat::Names | DiffFormat::Status) {
            self.difference.changes.extend(changes.iter().map(|change| changed(change, None)));
            return Ok(true);
        }
        let mut rest = changes;
        while !rest.is_empty() {
            let (batch, others) = rest.split_at(batch(rest));
            for (change, printed) in batch.iter().zip(printed(batch, before, after, &self.gate)?) {
                if !self.add(change, printed) {
                    return Ok(false);
                }
            }
            rest = others;
        }
        Ok(true)
    }

    /// Adds a change; whether there was room for it.
    fn add(&mut self, change: &Change, printed: Option<Printed>) -> bool {
        let mut told = changed(change, printed.as_ref());
        if let (Some(patch), Some(printed)) = (&mut self.difference.patch, printed) {
            if printed.patch.len() > self.max_bytes {
                told.no_patch = Some(NoPatch::TooLong);
            } else if patch.0.len() + printed.patch.len() > self.max_bytes {
                return false;
            } else {
                patch.0.extend_from_slice(&printed.patch);
            }
        }
        self.difference.changes.push(told);
        true
    }
}

/// How many of the next changes are looked at together.
fn batch(changes: &[Change]) -> usize {
    let size = |side: Option<Side>| side.map_or(0, |side| side.size.min(CONTENT_MAX));
    let mut bytes = 0;
    let fitting = changes.iter().take(BATCH_CHANGES).take_while(|change| {
        bytes += size(change.before) + size(change.after);
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1).min(changes.len())
}

/// The changes as a patch; `None` for one that is too large for that.
fn printed(
    changes: &[Change],
    before: &mut Source,
    after: &mut Source,
    gate: &Gate,
) -> Result<Vec<Option<Printed>>, OpError> {
    let origin = |change: &Change| match &change.from {
        Some(origin) => origin.path.clone(),
        None => change.path.clone(),
    };
    let has_content = |side: Option<Side>| {
        side.is_some_and(|side| matches!(side.kind, Kind::File | Kind::Symlink))
    };
    let wanted = || changes.iter().filter(|change| !is_too_large(change));
    let old: Vec<_> = wanted().filter(|change| has_content(change.before)).map(origin).collect();
    let new: Vec<_> = wanted()
        .filter(|change| has_content(change.after))
        .map(|change| change.path.clone())
        .collect();
    let old: HashMap<_, _> = old.iter().cloned().zip(before.contents(&old)?).collect();
    let new: HashMap<_, _> = new.iter().cloned().zip(after.contents(&new)?).collect();
    for (path, content) in old.iter().chain(&new) {
        gate.judge(&path.to_string(), content)?;
    }
    let nothing = Vec::new();
    let printed = changes.iter().map(|change| {
        let one = old.get(&origin(change)).unwrap_or(&nothing);
        let other = new.get(&change.path).unwrap_or(&nothing);
        (!is_too_large(change)).then(|| print(change, one, other))
    });
    Ok(printed.collect())
}

fn is_too_large(change: &Change) -> bool {
    let size = |side: Option<Side>| side.map_or(0, |side| side.size);
    size(change.before).max(size(change.after)) > CONTENT_MAX
}

/// What is told of a change; `printed` if contents were looked at.
fn changed(change: &Change, printed: Option<&Printed>) -> ChangedFile {
    let no_patch = if is_too_large(change) {
        Some(NoPatch::TooLarge)
    } else {
        (!change.is_told_by_patch()).then_some(NoPatch::NotKeptByGit)
    };
    ChangedFile {
        path: change.path.to_string(),
        change: match change.status() {
            Status::Added => ChangeKind::Added,
            Status::Modified => ChangeKind::Modified,
            Status::Deleted => ChangeKind::Deleted,
            Status::Renamed => ChangeKind::Renamed,
            Status::TypeChanged => ChangeKind::TypeChanged,
        },
        from: change.from.as_ref().map(|origin| origin.path.to_string()),
        similarity: change.from.as_ref().map(|origin| origin.similarity),
        before: change.before.map(facts),
        after: change.after.map(facts),
        lines: printed.filter(|printed| !printed.binary).map(|printed| ChangedLines {
            added: printed.added_lines,
            removed: printed.removed_lines,
        }),
        binary: printed.map(|printed| printed.binary),
        no_patch,
    }
}

fn facts(side: Side) -> FileFacts {
    FileFacts {
        kind: match side.kind {
            Kind::File => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink,
            Kind::Special => EntryKind::Special,
        },
        mode: format!("{:03o}", side.mode),
        size_bytes: side.size,
    }
}

fn counts(changes: &[Change]) -> ChangeCounts {
    let of = |status| changes.iter().filter(|change| change.status() == status).count() as u64;
    ChangeCounts {
        total: changes.len() as u64,
        added: of(Status::Added),
        modified: of(Status::Modified),
        deleted: of(Status::Deleted),
        renamed: of(Status::Renamed),
        type_changed: of(Status::TypeChanged),
    }
}
