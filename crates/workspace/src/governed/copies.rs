//! What was copied into the operator's folder, for reading it again.
//!
//! The folder may be written to, over nothing that is there. It may not be read:
//! whatever else lies in it is the operator's. So what can be read here is what the
//! ledgers of the scope say was copied there, and only as long as it is that:
//!
//! ```text
//! ledgers ─▶ copied, when ─▶ beneath the folder, through no link ─▶ a regular file of
//! that length, of which nothing was changed since ─▶ no secret in it ─▶ read
//! ```
//!
//! The kernel keeps when a file was changed (`ctime`), and nobody can set that. Only
//! files directly in the folder count, and nothing is written.

use std::collections::BTreeMap;
use std::io::Read as _;

use file_tree::{Directories, Entry, Kind, Moment, Root, TreePath};
use jiff::Timestamp;
use operation::{ErrorKind, OpError};
use workspace_api::id::WorkspaceId;
use workspace_api::ledger::LedgerEvent;

use super::Governed;
use crate::files::FileError;
use crate::secrets::Vault;
use crate::secrets::leaving::Gate;
use crate::store::Details;
use crate::trouble::tree_error;

/// How many workspaces are looked at, the newest first.
const WORKSPACES_MAX: usize = 100;

/// How many copies of one workspace are looked at, the newest first.
const COPIES_MAX: u32 = 100;

/// How much earlier than it happened something may be on record: ledgers keep
/// milliseconds.
const RECORD_NS: i128 = 1_000_000;

/// A file that was copied out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedFile {
    /// Its name in the folder.
    pub name: String,
    /// Where it came from, for people.
    pub from: String,
    /// Its length.
    pub bytes: u64,
}

/// What is on record of one.
#[derive(Debug)]
struct Copy {
    file: CopiedFile,
    at: Timestamp,
    workspace: WorkspaceId,
    /// Whether it can still be said what must not be in it.
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The workspace exists.
    There,
    /// It was deleted, and never had a secret.
    Gone,
}

impl Governed {
    /// The files in the operator's folder that workspaces of the scope were copied
    /// to, the newest first: none without a folder.
    ///
    /// # Errors
    ///
    /// If ledgers or the folder cannot be read.
    pub async fn copied_files(&self) -> Result<Vec<CopiedFile>, OpError> {
        let Some(root) = self.folder()? else { return Ok(Vec::new()) };
        let mut copies: Vec<Copy> = self.on_record().await?.into_values().collect();
        copies.sort_by_key(|copy| std::cmp::Reverse(copy.at));
        Ok(copies.into_iter().filter(|copy| copy.found(&root).is_some()).map(|c| c.file).collect())
    }

    /// The content of one of them, if it has at most so many bytes.
    ///
    /// # Errors
    ///
    /// If there is no such file, if it was changed since it was copied, is too long, or
    /// holds the value of a secret that its workspace was given.
    pub async fn copied_file(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, OpError> {
        let unknown = || {
            let message = format!("`{name}` was not copied out, or was changed since");
            OpError::plain(ErrorKind::NotFound, message)
        };
        let root = self.folder()?.ok_or_else(unknown)?;
        let copy = self.on_record().await?.remove(name).ok_or_else(unknown)?;
        let entry = copy.found(&root).ok_or_else(unknown)?;
        if entry.bytes > bytes_max {
            let message = format!("it is longer than {bytes_max} bytes");
            return Err(OpError::plain(ErrorKind::Exhausted, message)
                .hinted("it lies in the operator's folder"));
        }
        let mut content = Vec::new();
        let file = Directories::new(&root).read(&entry).map_err(tree_error)?;
        let failed =
            |source| FileError { action: "read", path: entry.path.as_path().to_owned(), source };
        file.take(bytes_max).read_to_end(&mut content).map_err(failed)?;
        if copy.found(&root).as_ref() != Some(&entry) {
            return Err(unknown());
        }
        if copy.origin == Origin::There {
            let vault = Vault { home: &self.engine.home, store: &self.engine.store };
            Gate::new(vault.hidden(copy.workspace)?).judge("it", &content)?;
        }
        Ok(content)
    }

    fn folder(&self) -> Result<Option<Root>, OpError> {
        let folder = self.ceiling.folder.as_ref();
        folder.map(|folder| Root::open(folder.path())).transpose().map_err(tree_error)
    }

    /// What ledgers say was copied into the folder, by name; the last copy counts.
    async fn on_record(&self) -> Result<BTreeMap<String, Copy>, OpError> {
        let mut copies = BTreeMap::new();
        let Some(folder) = &self.ceiling.folder else { return Ok(copies) };
        let store = &self.engine.store;
        let live = store.list()?.into_iter().map(|found| {
            let name = found.name.map_or_else(|| found.id.to_string(), |name| name.to_string());
            (found.id, name, found.details, Origin::There)
        });
        let gone = store.tombstones(None)?.into_iter().map(|found| {
            let name = found.name.map_or_else(|| found.id.to_string(), |name| name.to_string());
            (found.id, name, found.details, Origin::Gone)
        });
        let is_meant = |details: &Details, origin: Origin| {
            self.ceiling.scope.includes(&details.labels)
                && (origin == Origin::There || details.secrets.is_empty())
        };
        let meant = live.chain(gone).filter(|(_, _, details, origin)| is_meant(details, *origin));
        for (id, workspace, _, origin) in meant.take(WORKSPACES_MAX) {
            if origin == Origin::There {
                // What has happened just now belongs to it. One that has been deleted
                // meanwhile has written everything.
                let _ = self.engine.with_written_ledger(&id.into()).await;
            }
            for entry in store.last_events(id, COPIES_MAX, &["exported"])? {
                let LedgerEvent::Exported { path, to, bytes, .. } = entry.event else { continue };
                let Some(name) = name_in(folder.path(), &to) else { continue };
                let file = CopiedFile { name, from: format!("{path} of {workspace}"), bytes };
                let copy = Copy { file, at: entry.at, workspace: id, origin };
                let known =
                    copies.get(&copy.file.name).is_some_and(|known: &Copy| known.at > copy.at);
                if !known {
                    copies.insert(copy.file.name.clone(), copy);
                }
            }
        }
        Ok(copies)
    }
}

impl Copy {
    /// The file, if it is there and still what was copied.
    fn found(&self, root: &Root) -> Option<Entry> {
        let path = TreePath::parse(self.file.name.as_bytes()).ok()?;
        let entry = root.entry(path).ok()?;
        let is_it = entry.kind == Kind::File
            && entry.bytes == self.file.bytes
            && nanoseconds(entry.changed) <= self.at.as_nanosecond() + RECORD_NS;
        is_it.then_some(entry)
    }
}

fn nanoseconds(moment: Moment) -> i128 {
    i128::from(moment.seconds) * 1_000_000_000 + i128::from(moment.nanoseconds)
}

/// The name of what lies directly in a directory.
fn name_in(directory: &std::path::Path, path: &str) -> Option<String> {
    let below = std::path::Path::new(path).strip_prefix(directory).ok()?;
    let name = below.to_str()?;
    let is_name = !name.is_empty() && below.components().count() == 1;
    is_name.then(|| name.to_owned())
}
