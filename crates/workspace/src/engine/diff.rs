//! What changed in a workspace.
//!
//! The whole of both trees is compared each time, which costs a walk; contents
//! are then read for the part that is told, some at a time.

use std::collections::HashMap;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use tokio_util::sync::CancellationToken;
use tree_diff::{CONTENT_MAX, Change, Printed, Side, Status, Tree as _, compare, print};
use workspace_api::diff::{
    ChangeCounts, ChangeKind, ChangedFile, ChangedLines, Diff, DiffFormat, Difference, FileFacts,
    NoPatch,
};
use workspace_api::file::EntryKind;
use workspace_api::output::OutputBytes;

use super::Engine;
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
        let record = self.store.find(&diff.workspace)?;
        let paths: Vec<WorkspacePath> = diff.path.iter().map(place).collect::<Result<_, _>>()?;
        let after = diff.after.as_ref().map(place).transpose()?;
        let current =
            GuestTree::new(self.clone(), record.clone(), paths.clone(), call.cancel.clone());
        let engine = self.clone();
        let cancel = call.cancel.clone();
        let told = tokio::task::spawn_blocking(move || {
            let mut before = engine.baseline(&record, paths, cancel)?;
            let mut current = Source::Guest(Box::new(current));
            let compared = compare(&mut before, &mut current)?;
            let mut difference = Difference {
                workspace: record.id,
                format: diff.format,
                counts: counts(&compared.changes),
                changes: Vec::new(),
                patch: (diff.format == DiffFormat::Patch).then(OutputBytes::default),
                all_renames_sought: compared.all_moves_sought,
                next: None,
            };
            let mut changes = compared.changes;
            changes.retain(|change| after.as_ref().is_none_or(|after| change.path > *after));
            let limit = usize::try_from(diff.limit).unwrap_or(usize::MAX);
            let leaving = match diff.format {
                DiffFormat::Patch => SecretsLeave::allowed(diff.allow_secrets),
                // No content leaves with the others.
                _ => SecretsLeave::Allowed,
            };
            let gate = engine.gate(&record, leaving)?;
            let mut told = Told { difference: &mut difference, max_bytes: diff.max_bytes, gate };
            let whole =
                told.tell(&changes[..changes.len().min(limit)], &mut before, &mut current)?;
            if !whole || changes.len() > limit {
                difference.next = difference.changes.last().map(|last| last.path.clone());
            }
            Ok(difference)
        });
        told.await.map_err(|error| OpError::new(ErrorKind::Internal, &error))?
    }
}

impl Engine {
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
        ImageTree::of_seed(&seed, paths, cancel).map(Source::Image)
    }
}

/// A part of a difference while it is told.
struct Told<'a> {
    difference: &'a mut Difference,
    max_bytes: u32,
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
            let max = usize::try_from(self.max_bytes).unwrap_or(usize::MAX);
            if printed.patch.len() > max {
                told.no_patch = Some(NoPatch::TooLong);
            } else if patch.0.len() + printed.patch.len() > max {
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
