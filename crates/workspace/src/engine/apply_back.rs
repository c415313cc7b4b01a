//! Changes of a workspace, applied to a checkout of the host.
//!
//! ```text
//! compared ──▶ fetched ──▶ judged ──▶ merged ──▶ told
//! (baseline,   (into a     (three                └──▶ committed, if it shall be
//!  guest)      scratch)     states)
//! ```
//!
//! What the guest says of its tree only decides what is fetched: what is judged
//! and written is what came. The scratch lies in hotcell's home, so saying what
//! would be done changes nothing in the checkout.

use std::fs::File;
use std::path::Path;

use file_tree::{Directories, Entry, Limits, Root, TreePath};
use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::transfer::{self, Pack, Packed, TransferRequest};
use operation::{Call, ErrorKind, Handler, OpError};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tree_diff::{Change, Side, Tree as _, compare};
use workspace_api::crossing::{CrossingProgress, CrossingStage};
use workspace_api::ledger::LedgerEvent;
use workspace_api::seed::SeedFiles;
use workspace_api::workspace::{
    AppliedBack, ApplyBack, ApplyMode, BackChange, Conflicts, Fate, FilePlan,
};

use super::Engine;
use super::export::output;
use super::progress::crossing;
use super::secrets::SecretsLeave;
use super::tools::place;
use super::trees::{GuestTree, Source};
use crate::crossing::apply::danger::dangers;
use crate::crossing::apply::host;
use crate::crossing::apply::journal::{Changes, Permissions};
use crate::crossing::apply::plan::{Content, Decision, MERGED_MAX, State, decide, forbidden};
use crate::crossing::outgoing::receive;
use crate::crossing::push::paths;
use crate::crossing::stream::{FromGuest, Meter, cancelled};
use crate::files::FileError;
use crate::scratch::ScratchDirectory;
use crate::secrets::leaving::{Gate, refused};
use crate::seeds::{self, Selection};
use crate::store::Record;
use crate::trouble::tree_error;

/// What of a workspace may be fetched for one checkout.
const LIMITS: Limits =
    Limits { members: 100_000, bytes: 4 * 1024 * 1024 * 1024, file_bytes: 16 * 1024 * 1024 * 1024 };

/// How many files an error names.
const NAMED_MAX: usize = 10;

/// Where what was fetched lies in the scratch, and what was merged.
const FETCHED: &str = "fetched";
const MERGED: &str = "merged";

impl Handler<ApplyBack> for Engine {
    async fn handle(
        &self,
        apply: ApplyBack,
        call: &mut Call<CrossingProgress>,
    ) -> Result<AppliedBack, OpError> {
        let record = self.store.find(&apply.workspace)?;
        let only: Vec<WorkspacePath> = apply.path.iter().map(place).collect::<Result<_, _>>()?;
        let selection = tokio::select! {
            found = Selection::of(Path::new(&apply.checkout), SeedFiles::Unignored) => found?,
            () = call.cancel.cancelled() => return Err(cancelled()),
        };
        let (changed, baseline) = self.compared(&record, only, &call.cancel).await?;
        let Sorted { mut changed, left_out } = sort(changed);
        let ignored = ignore(&selection, &mut changed).await?;
        let scratch = ScratchDirectory::create(&self.home.scratch())?;
        self.fetch(&record, &scratch, &changed, call).await?;
        let gate = self.gate(&record, SecretsLeave::allowed(apply.allow_secrets))?;
        let (plan_for, checkout) = (apply.clone(), selection.directory.clone());
        let runtime = Handle::current();
        let judged = tokio::task::spawn_blocking(move || {
            let judge = Judge::new(&checkout, scratch, baseline, runtime)?;
            judge.secrets(&changed, &gate)?;
            judge.all(changed, &plan_for)
        });
        let nothing = Meter::default();
        let progress =
            |bytes| CrossingProgress { stage: CrossingStage::Receiving, bytes, total_bytes: bytes };
        let judged = crossing(call, judged, &nothing, progress).await?;
        let applied = AppliedBack {
            checkout: selection.directory.display().to_string(),
            mode: apply.mode,
            files: judged.items.iter().map(|item| item.told.clone()).collect(),
            ignored,
            left_out_total: left_out.len() as u64,
            left_out: left_out.into_iter().take(AppliedBack::LIST_MAX).collect(),
        };
        if apply.mode == ApplyMode::Plan {
            return Ok(applied);
        }
        check(&applied, apply.conflicts)?;
        let (home, checkout) = (self.home.clone(), selection.directory.clone());
        let committed =
            tokio::task::spawn_blocking(move || judged.commit(Changes::begin(&home, &checkout)?));
        let paths = crossing(call, committed, &nothing, progress).await?;
        let event = LedgerEvent::AppliedBack {
            to: applied.checkout.clone(),
            files: paths.len() as u64,
            paths,
        };
        self.note(&record, event).await;
        Ok(applied)
    }
}

/// Refuses what may not be applied.
fn check(applied: &AppliedBack, conflicts: Conflicts) -> Result<(), OpError> {
    let first = |files: Vec<&FilePlan>, word: &dyn Fn(&FilePlan) -> String| {
        let mut named: Vec<String> = files
            .iter()
            .take(NAMED_MAX)
            .map(|file| format!("{}: {}", file.path, word(file)))
            .collect();
        if files.len() > NAMED_MAX {
            named.push(format!("and {} more", files.len() - NAMED_MAX));
        }
        named
    };
    let excluded: Vec<&FilePlan> = applied.conflicts().collect();
    if !excluded.is_empty() && conflicts == Conflicts::Refuse {
        let message = format!("{} files are in conflict; nothing was applied", excluded.len());
        let mut error = OpError::plain(ErrorKind::Conflict, message)
            .hinted("--conflicts skip applies the rest; `sync push` brings the host's changes in");
        error.causes = first(excluded, &|file| file.reason.clone().unwrap_or_default());
        return Err(error);
    }
    let refused: Vec<&FilePlan> = applied.refused().collect();
    if refused.is_empty() {
        return Ok(());
    }
    let mut kinds: Vec<_> = refused.iter().flat_map(|file| &file.refused).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let options: Vec<String> =
        kinds.iter().map(|danger| format!("--allow {}", danger.as_str())).collect();
    let message = format!("{} changes are dangerous; nothing was applied", refused.len());
    let mut error = OpError::plain(ErrorKind::Denied, message)
        .hinted(format!("look at them, then allow them: {}", options.join(" ")));
    error.causes = first(refused, &|file| {
        file.refused.iter().map(|danger| danger.as_str()).collect::<Vec<_>>().join(", ")
    });
    Err(error)
}

/// A place that changed in the workspace.
#[derive(Debug, Clone)]
struct Changed {
    path: TreePath,
    before: Option<Side>,
    after: Option<Side>,
}

impl Changed {
    /// Whether it is a directory now, with nothing in it.
    fn is_directory(&self) -> bool {
        self.after.is_some_and(|side| side.kind == Kind::Directory)
    }
}

struct Sorted {
    changed: Vec<Changed>,
    left_out: Vec<String>,
}

/// Changes as places, without what no checkout can have.
fn sort(changes: Vec<Change>) -> Sorted {
    let (mut changed, mut left_out) = (Vec::new(), Vec::new());
    let mut add = |path: &WorkspacePath, before: Option<Side>, after: Option<Side>| {
        let is_kind = |side: Option<Side>, kind| side.is_some_and(|side| side.kind == kind);
        // Only those with nothing in them are told: they come by themselves, and go
        // with their last file.
        let before = before.filter(|side| side.kind != Kind::Directory);
        let is_special = is_kind(before, Kind::Special) || is_kind(after, Kind::Special);
        if before.is_none() && after.is_none() {
            return;
        }
        match TreePath::parse(path.as_bytes()) {
            Ok(path) if !is_special && forbidden(&path).is_none() => {
                changed.push(Changed { path, before, after });
            }
            _ => left_out.push(path.to_string()),
        }
    };
    for change in &changes {
        match &change.from {
            Some(origin) => {
                add(&origin.path, change.before, None);
                add(&change.path, None, change.after);
            }
            None => add(&change.path, change.before, change.after),
        }
    }
    changed.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Sorted { changed, left_out }
}

/// Takes out new files that the checkout ignores; how many these were.
async fn ignore(selection: &Selection, changed: &mut Vec<Changed>) -> Result<u64, OpError> {
    // Git judges names that are not there as those of files.
    let asked = |changed: &Changed| {
        let mut name = changed.path.as_bytes().to_vec();
        if changed.is_directory() {
            name.extend_from_slice(b"/any");
        }
        name
    };
    let new: Vec<Vec<u8>> =
        changed.iter().filter(|changed| changed.before.is_none()).map(asked).collect();
    if new.is_empty() {
        return Ok(0);
    }
    let ignored = selection.ignored(&new).await?;
    let before = changed.len();
    changed.retain(|changed| {
        changed.before.is_some() || ignored.binary_search(&asked(changed)).is_err()
    });
    Ok((before - changed.len()) as u64)
}

impl Engine {
    /// What changed since the workspace began, and what it began with.
    async fn compared(
        &self,
        record: &Record,
        only: Vec<WorkspacePath>,
        cancel: &CancellationToken,
    ) -> Result<(Vec<Change>, Source), OpError> {
        let current = GuestTree::new(self.clone(), record.clone(), only.clone(), cancel.clone());
        let (engine, record, cancel) = (self.clone(), record.clone(), cancel.clone());
        let compared = tokio::task::spawn_blocking(move || {
            let mut before = engine.baseline(&record, only, cancel)?;
            let compared = compare(&mut before, &mut Source::Guest(Box::new(current)))?;
            Ok((compared.changes, before))
        });
        compared.await.map_err(|error| OpError::new(ErrorKind::Internal, &error))?
    }

    /// Brings what changed files hold now into the scratch.
    async fn fetch(
        &self,
        record: &Record,
        scratch: &ScratchDirectory,
        changed: &[Changed],
        call: &mut Call<CrossingProgress>,
    ) -> Result<(), OpError> {
        let target = scratch.path().join(FETCHED);
        std::fs::create_dir(&target).map_err(FileError::at("create", &target))?;
        let wanted: Vec<TreePath> = changed
            .iter()
            .filter(|changed| changed.after.is_some() && !changed.is_directory())
            .map(|changed| changed.path.clone())
            .collect();
        let total_bytes = changed.iter().filter_map(|changed| changed.after).map(|side| side.size);
        let total_bytes = total_bytes.fold(0_u64, u64::saturating_add);
        let is_too_much = wanted.len() as u64 > LIMITS.members || total_bytes > LIMITS.bytes;
        if is_too_much {
            let message = "more has changed than can be applied at once";
            return Err(OpError::plain(ErrorKind::Exhausted, message)
                .hinted("apply parts of it with --path"));
        }
        let meter = Meter::default();
        for only in paths(&wanted) {
            let pack =
                Pack { path: WorkspacePath::root(), only: Some(only), entries_max: LIMITS.members };
            let request = TransferRequest::Pack(pack);
            let mut asked = self.ask_tool(record, transfer::TOOL, &request).await?;
            let _: Packed = asked.answer().await?;
            let archive = FromGuest::new(output(&mut asked)?, &call.cancel, &meter);
            let (target, cancel) = (target.clone(), call.cancel.clone());
            let received = tokio::task::spawn_blocking(move || {
                let root = Root::open(&target).map_err(tree_error)?;
                receive(&root, archive, LIMITS, &mut || !cancel.is_cancelled()).map_err(tree_error)
            });
            let progress =
                |bytes| CrossingProgress { stage: CrossingStage::Receiving, bytes, total_bytes };
            crossing(call, received, &meter, progress).await?;
            asked.finish().await?;
        }
        Ok(())
    }
}

/// Judges places one by one.
struct Judge {
    checkout: Root,
    fetched: Root,
    scratch: ScratchDirectory,
    baseline: Source,
    runtime: Handle,
}

/// A place that was judged.
struct Item {
    path: TreePath,
    told: FilePlan,
    /// What the host had when it was judged.
    old: Option<Entry>,
    source: Origin,
}

/// Where the new state of a place comes from.
enum Origin {
    Nothing,
    Directory,
    Fetched { executable: bool },
    Merged { number: usize, executable: bool },
}

/// All places, judged.
struct Judged {
    items: Vec<Item>,
    fetched: Root,
    scratch: ScratchDirectory,
}

impl Judge {
    fn new(
        checkout: &Path,
        scratch: ScratchDirectory,
        baseline: Source,
        runtime: Handle,
    ) -> Result<Self, OpError> {
        let checkout = Root::open(checkout).map_err(tree_error)?;
        let fetched = Root::open(&scratch.path().join(FETCHED)).map_err(tree_error)?;
        let merged = scratch.path().join(MERGED);
        std::fs::create_dir(&merged).map_err(FileError::at("create", &merged))?;
        Ok(Self { checkout, fetched, scratch, baseline, runtime })
    }

    /// Refuses everything if something that was fetched holds a secret's value.
    fn secrets(&self, changed: &[Changed], gate: &Gate) -> Result<(), OpError> {
        if gate.lets_all_pass() {
            return Ok(());
        }
        let mut fetched = Directories::new(&self.fetched);
        for Changed { path, .. } in changed.iter().filter(|changed| changed.after.is_some()) {
            let Some(entry) = self.fetched.find(path).map_err(tree_error)? else { continue };
            let held = if entry.kind == file_tree::Kind::File {
                gate.found(fetched.read(&entry).map_err(tree_error)?)
            } else {
                gate.found(fetched.target(path).map_err(tree_error)?.as_slice())
            };
            let failed = |error| OpError::new(ErrorKind::Internal, &error);
            if let Some(secret) = held.map_err(failed)? {
                return Err(refused(&path.to_string(), &secret));
            }
        }
        Ok(())
    }

    fn all(mut self, changed: Vec<Changed>, apply: &ApplyBack) -> Result<Judged, OpError> {
        let mut items = Vec::with_capacity(changed.len());
        for (number, changed) in changed.into_iter().enumerate() {
            items.push(self.one(number, changed, apply)?);
        }
        Ok(Judged { items, fetched: self.fetched, scratch: self.scratch })
    }

    fn one(&mut self, number: usize, changed: Changed, apply: &ApplyBack) -> Result<Item, OpError> {
        let is_directory = changed.is_directory();
        let Changed { path, before, after } = changed;
        let was = self.before(&path, before)?;
        let mut is = match after {
            None => State::Nothing,
            Some(_) if is_directory => State::Directory,
            Some(_) => match host::state(&self.fetched, &path).map_err(tree_error)?.0 {
                State::Nothing => State::Unknown("it is changing in the workspace right now"),
                state => state,
            },
        };
        let (ours, old) = host::state(&self.checkout, &path).map_err(tree_error)?;
        let change = match (before, after) {
            (None, _) => BackChange::Added,
            (_, None) => BackChange::Deleted,
            _ => BackChange::Modified,
        };
        let (fate, reason, source) = match decide(&was, &is, &ours) {
            // It stays there without what was in it.
            Decision::Same if is_directory => (Fate::Same, None, Origin::Directory),
            Decision::Same => (Fate::Same, None, Origin::Nothing),
            Decision::Conflict(why) => (Fate::Conflict, Some(why.to_owned()), Origin::Nothing),
            Decision::Take { executable } => {
                if let State::File { executable: bit, .. } = &mut is {
                    *bit = executable;
                }
                let source = match is {
                    State::Nothing => Origin::Nothing,
                    State::Directory => Origin::Directory,
                    _ => Origin::Fetched { executable },
                };
                (Fate::Taken, None, source)
            }
            Decision::Merge { executable } => match self.merge(number, &ours, &was, &is)? {
                Some(content) => {
                    is = State::File { content: Content::Known(content), executable };
                    (Fate::Merged, None, Origin::Merged { number, executable })
                }
                None => {
                    let why = "both have changed the same lines".to_owned();
                    (Fate::Conflict, Some(why), Origin::Nothing)
                }
            },
        };
        let dangers = match fate {
            Fate::Taken | Fate::Merged => dangers(&path, &ours, &is),
            Fate::Same | Fate::Conflict => Vec::new(),
        };
        let refused =
            dangers.iter().copied().filter(|danger| !apply.allow.contains(danger)).collect();
        let told = FilePlan {
            path: guest_protocol::path::quote(path.as_bytes()),
            change,
            fate,
            reason,
            dangers,
            refused,
        };
        Ok(Item { path, told, old, source })
    }

    /// What the workspace began with at a place.
    fn before(&mut self, path: &TreePath, side: Option<Side>) -> Result<State, OpError> {
        let Some(side) = side else { return Ok(State::Nothing) };
        let paths = [crate::crossing::push::to_workspace_path(path)];
        if side.kind == Kind::File && side.size > MERGED_MAX {
            let ids = self.baseline.ids(&paths)?;
            let Some(id) = ids.first() else { return Ok(State::Nothing) };
            let content = Content::Large(id.0);
            return Ok(State::File { content, executable: side.mode & 0o100 != 0 });
        }
        let Some(content) = self.baseline.contents(&paths)?.pop() else {
            return Ok(State::Nothing);
        };
        Ok(match side.kind {
            Kind::Symlink => State::Symlink(content),
            _ => {
                State::File { content: Content::Known(content), executable: side.mode & 0o100 != 0 }
            }
        })
    }

    /// Merges texts; `None` if both sides changed the same lines.
    fn merge(
        &self,
        number: usize,
        ours: &State,
        base: &State,
        theirs: &State,
    ) -> Result<Option<Vec<u8>>, OpError> {
        let directory = self.scratch.path().join(MERGED);
        for (name, state) in [("ours", ours), ("base", base), ("theirs", theirs)] {
            let State::File { content: Content::Known(content), .. } = state else {
                return Ok(None);
            };
            let at = directory.join(name);
            std::fs::write(&at, content).map_err(FileError::at("write", &at))?;
        }
        let merged =
            self.runtime.block_on(seeds::merge_texts(&directory, ["ours", "base", "theirs"]))?;
        if let Some(merged) = &merged {
            let at = directory.join(number.to_string());
            std::fs::write(&at, merged).map_err(FileError::at("write", &at))?;
        }
        Ok(merged)
    }
}

impl Judged {
    /// Carries out what was judged; the names of what changed.
    fn commit(self, mut changes: Changes) -> Result<Vec<String>, OpError> {
        let mut applied = Vec::new();
        let mut fetched = Directories::new(&self.fetched);
        for item in &self.items {
            if !matches!(item.told.fate, Fate::Taken | Fate::Merged) {
                if matches!(item.source, Origin::Directory) {
                    changes.make_directory(&item.path)?;
                }
                continue;
            }
            applied.push(item.told.path.clone());
            let old = item.old.as_ref();
            let permissions = |executable| match old {
                Some(entry) if entry.kind == file_tree::Kind::File => {
                    Permissions::Of { mode: entry.mode, executable }
                }
                _ => Permissions::New { executable },
            };
            match item.source {
                Origin::Nothing => {
                    if let Some(old) = old {
                        changes.remove(&item.path, old)?;
                    }
                }
                Origin::Directory => {
                    if let Some(old) = old {
                        changes.remove(&item.path, old)?;
                    }
                    changes.make_directory(&item.path)?;
                }
                Origin::Merged { number, executable } => {
                    let at = self.scratch.path().join(MERGED).join(number.to_string());
                    let mut merged = File::open(&at).map_err(FileError::at("read", &at))?;
                    changes.put_file(&item.path, old, &mut merged, permissions(executable))?;
                }
                Origin::Fetched { executable } => {
                    let entry = fetched.entry(item.path.clone()).map_err(tree_error)?;
                    if entry.kind == file_tree::Kind::Symlink {
                        let target = fetched.target(&item.path).map_err(tree_error)?;
                        changes.put_link(&item.path, old, &target)?;
                    } else {
                        let mut file = fetched.read(&entry).map_err(tree_error)?;
                        changes.put_file(&item.path, old, &mut file, permissions(executable))?;
                    }
                }
            }
        }
        changes.commit()?;
        Ok(applied)
    }
}
