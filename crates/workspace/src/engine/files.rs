//! Operations on the files of a workspace.

use guest_protocol::tools::file::{
    self as guest, Depth, Existing, FileRequest, Ignored, Kind, Occurrences, Parents, Part,
};
use guest_protocol::tools::search as guest_search;
use jiff::Timestamp;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use redaction::Veil;
use workspace_api::file::{
    Changed, Copied, Copy, Delete, Edit, Edited, Entry, EntryKind, FileContent, Found, FoundLine,
    List, Listing, Mkdir, Move, Read, Removed, Search, Selection, Stat, TextEncoding, Write,
    Written,
};
use workspace_api::ledger::LedgerEvent;
use workspace_api::output::OutputBytes;

use super::Engine;
use super::secrets::SecretsLeave;
use super::terms::shown;
use super::tools::{Bulk, place};

impl Handler<List> for Engine {
    async fn handle(&self, list: List, call: &mut Call<NoEvents>) -> Result<Listing, OpError> {
        let record = self.store.find(&list.workspace)?;
        let request = FileRequest::List(guest::List {
            path: place(&list.path)?,
            depth: if list.recursive { Depth::Deep } else { Depth::Shallow },
            selection: to_guest(list.selection),
            after: list.after.as_ref().map(place).transpose()?,
            limit: list.limit,
        });
        let (listing, _): (guest::Listing, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::None, 0, &call.cancel).await?;
        let last = listing.entries.last().map(|entry| entry.path.to_string());
        Ok(Listing {
            entries: listing.entries.into_iter().map(told).collect(),
            next: last.filter(|_| listing.more),
        })
    }
}

impl Handler<Stat> for Engine {
    async fn handle(&self, stat: Stat, call: &mut Call<NoEvents>) -> Result<Entry, OpError> {
        let record = self.store.find(&stat.workspace)?;
        let request = FileRequest::Stat(guest::Stat { path: place(&stat.path)? });
        let (entry, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::None, 0, &call.cancel).await?;
        Ok(told(entry))
    }
}

impl Handler<Read> for Engine {
    async fn handle(&self, read: Read, call: &mut Call<NoEvents>) -> Result<FileContent, OpError> {
        let record = self.store.find(&read.workspace)?;
        let path = place(&read.path)?;
        let part = match (read.lines, read.offset) {
            (Some(lines), None) => Part::Lines { first: lines.first, last: lines.last },
            (None, offset) => Part::Bytes { offset: offset.unwrap_or(0) },
            (Some(_), Some(_)) => {
                let message = "give lines or an offset, not both";
                return Err(OpError::plain(ErrorKind::InvalidRequest, message));
            }
        };
        let max_bytes = read.max_bytes;
        let request = FileRequest::Read(guest::Read { path: path.clone(), part, max_bytes });
        let max = u64::from(max_bytes);
        let (content, bytes): (guest::Content, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::None, max, &call.cancel).await?;
        if bytes.len() as u64 != content.length {
            let message = "the file became shorter while it was read";
            return Err(OpError::plain(ErrorKind::Conflict, message));
        }
        self.gate(&record, SecretsLeave::allowed(read.allow_secrets))?
            .judge(&path.to_string(), &bytes)?;
        Ok(FileContent {
            path: path.to_string(),
            content: OutputBytes(bytes),
            offset: content.offset,
            first_line: content.first_line,
            size_bytes: content.size,
            total_lines: content.total_lines,
            truncated: content.truncated,
            binary: content.binary,
        })
    }
}

impl Handler<Write> for Engine {
    async fn handle(&self, write: Write, call: &mut Call<NoEvents>) -> Result<Written, OpError> {
        let record = self.store.find(&write.workspace)?;
        let request = FileRequest::Write(guest::Write {
            path: place(&write.path)?,
            mode: write.mode.map(|mode| mode.0),
            parents: parents(write.parents),
            existing: existing(!write.create_only),
        });
        let content = write.text.as_deref().map(|text| write.encoding.content(text)).transpose();
        let content = content.map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        let bulk = match (&content, write.encoding) {
            (Some(content), _) => Bulk::Chunks(content),
            (None, TextEncoding::Plain) => Bulk::Input(&mut call.input),
            (None, TextEncoding::Base64) => {
                let message = "standard input is taken as it is";
                return Err(OpError::plain(ErrorKind::InvalidRequest, message)
                    .hinted("decode it before: `base64 --decode FILE | hotcell file write …`"));
            }
        };
        let (written, _): (guest::Written, _) =
            self.tool(&record, guest::TOOL, &request, bulk, 0, &call.cancel).await?;
        let entry = told(written.entry);
        let (path, bytes) = (entry.path.clone(), entry.size_bytes);
        self.note(&record, LedgerEvent::FileWritten { path, bytes }).await;
        Ok(Written { entry, created: written.created })
    }
}

impl Handler<Edit> for Engine {
    async fn handle(&self, edit: Edit, call: &mut Call<NoEvents>) -> Result<Edited, OpError> {
        let record = self.store.find(&edit.workspace)?;
        let length = |text: &str| {
            u32::try_from(text.len())
                .map_err(|_| OpError::plain(ErrorKind::InvalidRequest, "the text is too long"))
        };
        let request = FileRequest::Edit(guest::Edit {
            path: place(&edit.path)?,
            old_bytes: length(&edit.old)?,
            new_bytes: length(&edit.new)?,
            occurrences: if edit.all { Occurrences::All } else { Occurrences::One },
        });
        let texts = [edit.old.as_bytes(), edit.new.as_bytes()].concat();
        let (edited, _): (guest::Edited, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::Bytes(&texts), 0, &call.cancel).await?;
        let entry = told(edited.entry);
        let (path, replacements) = (entry.path.clone(), edited.replaced);
        self.note(&record, LedgerEvent::FileEdited { path, replacements }).await;
        Ok(Edited { entry, replaced: edited.replaced, lines: edited.lines })
    }
}

impl Handler<Mkdir> for Engine {
    async fn handle(&self, mkdir: Mkdir, call: &mut Call<NoEvents>) -> Result<Changed, OpError> {
        let record = self.store.find(&mkdir.workspace)?;
        let (path, parents) = (place(&mkdir.path)?, parents(mkdir.parents));
        let request = FileRequest::Mkdir(guest::Mkdir { path, parents });
        let (entry, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::None, 0, &call.cancel).await?;
        let entry = told(entry);
        self.note(&record, changed("mkdir", &entry.path, None)).await;
        Ok(Changed { entry })
    }
}

impl Handler<Move> for Engine {
    async fn handle(&self, request: Move, call: &mut Call<NoEvents>) -> Result<Changed, OpError> {
        let record = self.store.find(&request.workspace)?;
        let from = place(&request.from)?;
        let told_from = from.to_string();
        let request = FileRequest::Move(guest::Move {
            from,
            to: place(&request.to)?,
            parents: parents(request.parents),
            existing: existing(request.replace),
        });
        let (entry, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::None, 0, &call.cancel).await?;
        let entry = told(entry);
        self.note(&record, changed("move", &told_from, Some(&entry.path))).await;
        Ok(Changed { entry })
    }
}

impl Handler<Copy> for Engine {
    async fn handle(&self, copy: Copy, call: &mut Call<NoEvents>) -> Result<Copied, OpError> {
        let record = self.store.find(&copy.workspace)?;
        let from = place(&copy.from)?;
        let told_from = from.to_string();
        let request = FileRequest::Copy(guest::Copy {
            from,
            to: place(&copy.to)?,
            parents: parents(copy.parents),
            existing: existing(copy.replace),
        });
        let (copied, _): (guest::Copied, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::None, 0, &call.cancel).await?;
        let entry = told(copied.entry);
        self.note(&record, changed("copy", &told_from, Some(&entry.path))).await;
        Ok(Copied { entry, entries: copied.entries, bytes: copied.bytes })
    }
}

impl Handler<Delete> for Engine {
    async fn handle(&self, delete: Delete, call: &mut Call<NoEvents>) -> Result<Removed, OpError> {
        let record = self.store.find(&delete.workspace)?;
        let path = place(&delete.path)?;
        let told_path = path.to_string();
        let depth = if delete.recursive { Depth::Deep } else { Depth::Shallow };
        let request = FileRequest::Delete(guest::Delete { path, depth });
        let (removed, _): (guest::Removed, _) =
            self.tool(&record, guest::TOOL, &request, Bulk::None, 0, &call.cancel).await?;
        self.note(&record, changed("delete", &told_path, None)).await;
        Ok(Removed { path: told_path, entries: removed.entries })
    }
}

impl Handler<Search> for Engine {
    async fn handle(&self, search: Search, call: &mut Call<NoEvents>) -> Result<Found, OpError> {
        use guest_search::{Case, Syntax};
        let record = self.store.find(&search.workspace)?;
        let request = guest_search::Search {
            pattern: search.pattern,
            syntax: if search.literal { Syntax::Literal } else { Syntax::Regex },
            case: if search.case_sensitive { Case::Sensitive } else { Case::Smart },
            path: place(&search.path)?,
            selection: to_guest(search.selection),
            context: search.context,
            limit: search.limit,
        };
        let (found, _): (guest_search::Found, _) =
            self.tool(&record, guest_search::TOOL, &request, Bulk::None, 0, &call.cancel).await?;
        let hidden = Veil::default();
        if let Some(secrets) = self.vault().hidden(record.id)? {
            hidden.hide(secrets);
        }
        let lines = found.lines.into_iter().map(|line| FoundLine {
            path: line.path.to_string(),
            line: line.number,
            column: line.column,
            text: hidden.text(line.text),
            cut: line.cut,
        });
        Ok(Found {
            lines: lines.collect(),
            matches: found.matches,
            files: found.files,
            searched: found.searched,
            truncated: found.truncated,
        })
    }
}

fn changed(action: &str, path: &str, to: Option<&str>) -> LedgerEvent {
    let (action, path) = (action.to_owned(), path.to_owned());
    LedgerEvent::FileChanged { action, path, to: to.map(str::to_owned) }
}

fn to_guest(selection: Selection) -> guest::Selection {
    let ignored = if selection.ignored { Ignored::Include } else { Ignored::Skip };
    guest::Selection { globs: selection.glob, ignored }
}

const fn parents(create: bool) -> Parents {
    if create { Parents::Create } else { Parents::Require }
}

const fn existing(replace: bool) -> Existing {
    if replace { Existing::Replace } else { Existing::Keep }
}

/// What is told of an entry.
fn told(entry: guest::Entry) -> Entry {
    let modified = Timestamp::from_nanosecond(entry.modified_ns.into()).unwrap_or_default();
    Entry {
        path: entry.path.to_string(),
        kind: match entry.kind {
            Kind::File => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink,
            Kind::Special => EntryKind::Special,
        },
        size_bytes: entry.size,
        mode: format!("{:03o}", entry.mode),
        modified_at: shown(modified),
        user: entry.owner.0,
        group: entry.owner.1,
        target: entry.target,
    }
}
