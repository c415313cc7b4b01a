//! Bringing changes of the host into a workspace.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use file_tree::archive::Writer;
use file_tree::{Directories, Entry, Kind, TreeError, TreePath, pack};
use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::transfer::{
    self, Hash, Hashes, List, Listing, Receive, Received, TransferRequest,
};
use operation::{Call, ErrorKind, Handler, OpError};
use workspace_api::crossing::{CrossingProgress, CrossingStage};
use workspace_api::ledger::LedgerEvent;
use workspace_api::seed::LeftOut;
use workspace_api::sync::{Push, Pushed};

use super::Engine;
use super::export::output;
use super::progress::crossing;
use super::tools::place;
use crate::crossing::listing::{self, GuestEntry};
use crate::crossing::push::{Batch, Plan, batches, compare, hash, paths, to_workspace_path};
use crate::crossing::stream::{Meter, ToGuest, cancelled};
use crate::seeds::Selection;
use crate::store::Record;
use crate::trouble::tree_error;

/// How often a tree that changes under our hands is listed anew.
const ATTEMPTS: u32 = 5;

impl Handler<Push> for Engine {
    async fn handle(
        &self,
        push: Push,
        call: &mut Call<CrossingProgress>,
    ) -> Result<Pushed, OpError> {
        let record = self.store.find(&push.workspace)?;
        let to = place(&push.to)?;
        let mut changed = None;
        for _ in 0..ATTEMPTS {
            match self.push(&record, &push, &to, call).await {
                Err(Refused::Changed(error)) => changed = Some(error),
                Err(Refused::Failed(error)) => return Err(error),
                Ok(pushed) => {
                    if !pushed.dry_run {
                        let event = LedgerEvent::Synced {
                            origin: pushed.origin.clone(),
                            written: pushed.sent_total,
                            deleted: pushed.deleted_total,
                            bytes: pushed.sent_bytes,
                        };
                        self.note(&record, event).await;
                    }
                    return Ok(pushed);
                }
            }
        }
        let error = changed.unwrap_or_else(|| OpError::plain(ErrorKind::Conflict, "it changed"));
        Err(error
            .during(format!("{} changes while it is sent", push.directory))
            .hinted("try again when nothing writes into it"))
    }
}

/// Why an attempt was given up.
enum Refused {
    /// The host's tree changed; another attempt may do.
    Changed(OpError),
    Failed(OpError),
}

impl From<OpError> for Refused {
    fn from(error: OpError) -> Self {
        Self::Failed(error)
    }
}

impl From<TreeError> for Refused {
    fn from(error: TreeError) -> Self {
        let is_gone = error.io_kind() == Some(std::io::ErrorKind::NotFound);
        match &error {
            TreeError::Changed { .. } | TreeError::BehindLink { .. } => {
                Self::Changed(tree_error(error))
            }
            TreeError::File { .. } if is_gone => Self::Changed(tree_error(error)),
            _ => Self::Failed(tree_error(error)),
        }
    }
}

impl Engine {
    async fn push(
        &self,
        record: &Record,
        push: &Push,
        to: &WorkspacePath,
        call: &mut Call<CrossingProgress>,
    ) -> Result<Pushed, Refused> {
        let selection = tokio::select! {
            selection = Selection::of(Path::new(&push.directory), push.files) => selection?,
            () = call.cancel.cancelled() => return Err(cancelled().into()),
        };
        let selection = Arc::new(selection);
        let guest = self.list_tree(record, to, vec![to_workspace_path(&git_own())]).await?;
        let mut directories = Directories::new(&selection.root);
        let mut plan = compare(&selection.entries, &guest, push.compare, &mut |path| {
            directories.target(path)
        })?;
        self.settle_doubt(record, to, &selection, &mut plan).await?;
        let (remove, kept) = removals(push, &selection, &plan).await?;
        if !push.delete
            && let Some(path) = plan.replaced_directories.first()
        {
            let is_filled = |entry: &GuestEntry| entry.path != *path && entry.path.is_within(path);
            if guest.iter().any(is_filled) {
                let message =
                    format!("{path} is a directory in the workspace, with something in it");
                return Err(OpError::plain(ErrorKind::Conflict, message)
                    .hinted("--delete removes what the host does not have")
                    .into());
            }
        }
        plan.send.extend(emptied(&selection.entries, &remove));
        plan.send.sort_unstable();
        plan.send.dedup();
        let send: Vec<Entry> =
            plan.send.iter().map(|index| selection.entries[*index].clone()).collect();
        let files = || send.iter().filter(|entry| entry.kind != Kind::Directory);
        let mut left_out: Vec<LeftOut> = Vec::new();
        let all_left_out = selection.left_out.iter().chain(&plan.left_out);
        let left_out_total = all_left_out.clone().count() as u64;
        for (path, reason) in all_left_out.take(Pushed::LIST_MAX) {
            left_out.push(LeftOut { path: path.clone(), reason: (*reason).to_owned() });
        }
        let named = |names: &mut dyn Iterator<Item = &TreePath>| {
            names.take(Pushed::LIST_MAX).map(ToString::to_string).collect::<Vec<_>>()
        };
        let mut pushed = Pushed {
            origin: selection.directory.display().to_string(),
            to: format!("/workspace/{to}").trim_end_matches("/.").to_owned(),
            sent: named(&mut files().map(|entry| &entry.path)),
            sent_total: files().count() as u64,
            sent_bytes: files().map(|entry| entry.bytes.min(entry.disk_bytes)).sum(),
            deleted: named(&mut remove.iter()),
            deleted_total: remove.len() as u64,
            unchanged: plan.unchanged,
            kept,
            left_out,
            left_out_total,
            dry_run: push.dry_run,
        };
        if push.dry_run {
            return Ok(pushed);
        }
        let mut all_removed = plan.in_the_way;
        let in_the_way = all_removed.len() as u64;
        all_removed.extend(remove);
        let meter = Meter::default();
        let mut removed = 0_u64;
        for batch in batches(&all_removed, send) {
            let received = self.send_batch(record, to, &selection, batch, &meter, call).await?;
            removed = removed.saturating_add(received.removed);
        }
        // Directories in which something ignored stays were not removed.
        pushed.deleted_total = pushed.deleted_total.min(removed.saturating_sub(in_the_way));
        Ok(pushed)
    }

    /// What lies below a directory of the workspace.
    pub(super) async fn list_tree(
        &self,
        record: &Record,
        path: &WorkspacePath,
        without: Vec<WorkspacePath>,
    ) -> Result<Vec<GuestEntry>, OpError> {
        let request = TransferRequest::List(List { path: path.clone(), without });
        let mut asked = self.ask_tool(record, transfer::TOOL, &request).await?;
        let announced: Listing = asked.answer().await?;
        listing::read(&announced, &mut output(&mut asked)?).await
    }

    /// Finds out which doubtful files are the same.
    async fn settle_doubt(
        &self,
        record: &Record,
        to: &WorkspacePath,
        selection: &Arc<Selection>,
        plan: &mut Plan,
    ) -> Result<(), Refused> {
        let doubtful = std::mem::take(&mut plan.doubtful);
        let names: Vec<TreePath> =
            doubtful.iter().map(|index| selection.entries[*index].path.clone()).collect();
        let mut theirs = Vec::with_capacity(doubtful.len());
        for files in paths(&names) {
            let count = files.len();
            let request = TransferRequest::Hash(Hash { path: to.clone(), files });
            let mut asked = self.ask_tool(record, transfer::TOOL, &request).await?;
            let Hashes { hashes } = asked.answer().await?;
            if hashes.len() != count {
                let message = "the guest did not hash what it was asked to";
                return Err(OpError::plain(ErrorKind::Internal, message).into());
            }
            theirs.extend(hashes);
        }
        let (ours, indices) = (selection.clone(), doubtful.clone());
        let hashed = tokio::task::spawn_blocking(move || {
            indices
                .iter()
                .map(|index| hash(&ours.root, &ours.entries[*index]))
                .collect::<Result<Vec<_>, TreeError>>()
        });
        let hashed = hashed.await.map_err(|error| OpError::new(ErrorKind::Internal, &error))??;
        for ((index, ours), theirs) in doubtful.into_iter().zip(hashed).zip(theirs) {
            if theirs.as_deref() == Some(&ours) {
                plan.unchanged += 1;
            } else {
                plan.send.push(index);
            }
        }
        Ok(())
    }

    async fn send_batch(
        &self,
        record: &Record,
        to: &WorkspacePath,
        selection: &Arc<Selection>,
        batch: Batch,
        meter: &Meter,
        call: &mut Call<CrossingProgress>,
    ) -> Result<Received, Refused> {
        let Batch { remove, send } = batch;
        let total_bytes =
            meter.bytes() + send.iter().map(|entry| entry.bytes.min(entry.disk_bytes)).sum::<u64>();
        let request = TransferRequest::Receive(Receive { path: to.clone(), remove });
        let mut asked = self.ask_tool(record, transfer::TOOL, &request).await?;
        let Some(input) = asked.input.take() else {
            return Err(OpError::plain(ErrorKind::Internal, "there is no input").into());
        };
        let stream = ToGuest::new(input, &call.cancel, meter);
        let selection = selection.clone();
        let sent = tokio::task::spawn_blocking(move || Ok(send_archive(stream, &selection, &send)));
        let progress =
            |bytes| CrossingProgress { stage: CrossingStage::Sending, bytes, total_bytes };
        match crossing(call, sent, meter, progress).await? {
            Ok(()) => {}
            // A guest that refuses does not read on, and says why.
            Err(TreeError::Stream { .. }) if !call.cancel.is_cancelled() => {}
            Err(TreeError::Stream { .. }) => return Err(cancelled().into()),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            received = asked.answer() => Ok(received?),
            () = call.cancel.cancelled() => Err(cancelled().into()),
        }
    }
}

/// Sends files, and says that they are all only if none of them changed meanwhile.
fn send_archive(stream: ToGuest, selection: &Selection, send: &[Entry]) -> Result<(), TreeError> {
    selection.settle();
    let mut archive = Writer::new(stream);
    pack(&selection.root, send, &mut archive, &mut |_, error| Err(error))?;
    let stream = archive.finish()?;
    if !selection.is_unchanged(send) {
        let path = send.first().map(|entry| entry.path.clone()).unwrap_or_default();
        return Err(TreeError::Changed { path });
    }
    stream.finish().map_err(|source| TreeError::Stream { action: "send", source })
}

/// What is deleted, and how much of what only the guest has stays.
async fn removals(
    push: &Push,
    selection: &Selection,
    plan: &Plan,
) -> Result<(Vec<TreePath>, u64), OpError> {
    let files = || plan.extra.iter().filter(|extra| !extra.is_directory).count() as u64;
    if !push.delete {
        return Ok((Vec::new(), files()));
    }
    let replaced: BTreeSet<&TreePath> = plan.replaced_directories.iter().collect();
    let is_behind = |path: &TreePath| {
        let mut outer = path.parent();
        while let Some(at) = outer {
            if replaced.contains(&at) {
                return true;
            }
            outer = at.parent();
        }
        false
    };
    let named = |path: &TreePath, is_directory: bool| {
        let mut name = path.as_bytes().to_vec();
        name.extend(is_directory.then_some(b'/'));
        name
    };
    // git does not judge what lies behind a link or a file of the host's.
    let asked: Vec<Vec<u8>> = plan
        .extra
        .iter()
        .filter(|extra| !is_behind(&extra.path))
        .map(|extra| named(&extra.path, extra.is_directory))
        .collect();
    let ignored: BTreeSet<Vec<u8>> = selection.ignored(&asked).await?.into_iter().collect();
    let (mut remove, mut kept) = (Vec::new(), 0);
    for extra in &plan.extra {
        let stays = ignored.contains(&named(&extra.path, extra.is_directory));
        match (stays, extra.is_directory) {
            (true, false) => kept += 1,
            (true, true) => {}
            // To git directories are only places for files: one that has lost its
            // last file goes with it.
            (false, true) if selection.of_git => {}
            (false, _) => remove.push(extra.path.clone()),
        }
    }
    Ok((remove, kept))
}

/// Places in the host's list of directories that removals might take away with
/// their last file: they are sent, so that they are there.
fn emptied(entries: &[Entry], remove: &[TreePath]) -> Vec<usize> {
    let mut parents = BTreeSet::new();
    for path in remove {
        let mut outer = path.parent();
        while let Some(parent) = outer.filter(|parent| !parent.is_root()) {
            outer = parent.parent();
            if !parents.insert(parent) {
                break;
            }
        }
    }
    let is_emptied = |entry: &Entry| entry.kind == Kind::Directory && parents.contains(&entry.path);
    (0..entries.len()).filter(|index| is_emptied(&entries[*index])).collect()
}

/// The name of git's own files.
fn git_own() -> TreePath {
    TreePath::parse(b".git").unwrap_or_default()
}
