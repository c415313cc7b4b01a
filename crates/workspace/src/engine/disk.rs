//! Operations on the disks of a stopped workspace.
//!
//! **SIGKILL here.** A copy is made under another name beside its own, which it
//! gets when it is whole and synced; what is left of one that was killed is named
//! `.NAME.hotcell-…`. The disks themselves are only read.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use disk_image::ext4::{Ext4Error, Kind};
use disk_image::{Disk as _, Layers};
use guest_protocol::path::{PATH_MAX, quote, unquote};
use jiff::Timestamp;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workspace_api::disk::{Drive, Export, Exported, GuestPath, List, Read};
use workspace_api::file::{Entry, EntryKind, FileContent, Listing};
use workspace_api::ledger::LedgerEvent;
use workspace_api::output::OutputBytes;

use super::Engine;
use super::drives::{Place, Systems, blocking, shown as shown_path, unreadable};
use super::secrets::SecretsLeave;
use super::terms::shown;
use crate::files::{FileError, sync_directory};
use crate::secrets::leaving::{Gate, refused};

/// How much is copied at once, in bytes.
const PIECE: usize = 1 << 20;

/// How much of a file is searched for a NUL byte, in bytes; git's measure.
const BINARY_PROBE: usize = 8000;

impl Handler<List> for Engine {
    async fn handle(&self, list: List, call: &mut Call<NoEvents>) -> Result<Listing, OpError> {
        let asked = Asked {
            path: parts(&list.path)?,
            after: list.after.as_ref().map(parts).transpose()?,
            limit: usize::try_from(list.limit).unwrap_or(usize::MAX),
            recursive: list.recursive,
            cancel: call.cancel.clone(),
        };
        let stopped = self.stopped(&self.store.find(&list.workspace)?).await?;
        blocking(move || listing(&stopped.drives.systems()?, &asked)).await
    }
}

impl Handler<Read> for Engine {
    async fn handle(&self, read: Read, _: &mut Call<NoEvents>) -> Result<FileContent, OpError> {
        let path = parts(&read.path)?;
        let record = self.store.find(&read.workspace)?;
        let stopped = self.stopped(&record).await?;
        let gate = self.gate(&record, SecretsLeave::allowed(read.allow_secrets))?;
        blocking(move || {
            let content = content(&stopped.drives.systems()?, &path, read.offset, read.max_bytes)?;
            gate.judge(&content.path, &content.content.0)?;
            Ok(content)
        })
        .await
    }
}

impl Handler<Export> for Engine {
    async fn handle(&self, export: Export, call: &mut Call<NoEvents>) -> Result<Exported, OpError> {
        let record = self.store.find(&export.workspace)?;
        let stopped = self.stopped(&record).await?;
        let gate = self.gate(&record, SecretsLeave::allowed(export.allow_secrets))?;
        let cancel = call.cancel.clone();
        let store = self.store.clone();
        blocking(move || {
            let drive = match export.drive {
                Drive::Root => Some(&stopped.drives.root),
                Drive::Workspace => stopped.drives.workspace.as_ref(),
            };
            let drive = drive.ok_or_else(|| {
                let message = "the workspace was not seeded, so it has no drive of its own for it";
                OpError::plain(ErrorKind::NotFound, message)
                    .hinted("its /workspace lies on the drive `root`")
            })?;
            let layers = drive.open()?;
            let what = format!("drive {}", export.drive);
            let output = Path::new(&export.output);
            let output = std::path::absolute(output).map_err(FileError::at("find", output))?;
            let written_bytes = copy(&layers, &output, &gate, &what, &cancel)?;
            let output = output.display().to_string();
            let event = LedgerEvent::Exported {
                path: what,
                to: output.clone(),
                files: 1,
                bytes: written_bytes,
            };
            store.append(record.id, &[event.bounded()])?;
            Ok(Exported {
                workspace: record.id,
                output,
                drive: export.drive,
                virtual_bytes: layers.bytes(),
                written_bytes,
            })
        })
        .await
    }
}

/// The parts of a path.
fn parts(path: &GuestPath) -> Result<Vec<Vec<u8>>, OpError> {
    let invalid = |message: String| {
        OpError::plain(ErrorKind::InvalidRequest, message).hinted("give an absolute path")
    };
    let bytes =
        unquote(path.as_str()).ok_or_else(|| invalid(format!("`{path}` is badly quoted")))?;
    if bytes.len() > PATH_MAX || !bytes.starts_with(b"/") || bytes.contains(&0) {
        return Err(invalid(format!("`{path}` is no path in a guest")));
    }
    let parts = bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    if parts.iter().any(|part| part == b"..") {
        return Err(invalid(format!("`{path}` leads back")));
    }
    Ok(parts)
}

/// What is asked of a listing.
struct Asked {
    path: Vec<Vec<u8>>,
    after: Option<Vec<Vec<u8>>>,
    limit: usize,
    recursive: bool,
    cancel: CancellationToken,
}

fn listing(systems: &Systems, asked: &Asked) -> Result<Listing, OpError> {
    let start = systems.find(&asked.path)?;
    let mut listing = Listing { entries: Vec::new(), next: None };
    if start.inode.kind != Kind::Directory {
        listing.entries.push(entry(&start)?);
        return Ok(listing);
    }
    // A directory that is listed twice would be a circle.
    let mut listed = HashSet::new();
    let mut open = vec![start];
    while let Some(place) = open.pop() {
        if asked.cancel.is_cancelled() {
            return Err(OpError::plain(ErrorKind::Cancelled, "it was cancelled"));
        }
        let is_start = listed.is_empty();
        if !is_start && asked.after.as_ref().is_none_or(|after| place.path > *after) {
            if listing.entries.len() >= asked.limit {
                listing.next = listing.entries.last().map(|last| last.path.clone());
                break;
            }
            listing.entries.push(entry(&place)?);
        }
        if place.inode.kind == Kind::Directory && (is_start || asked.recursive) {
            let system = std::ptr::from_ref(place.system).addr();
            if !listed.insert((system, place.inode.number)) {
                return Err(unreadable(&Ext4Error::Corrupt("a directory in itself")));
            }
            open.extend(systems.list(&place)?.into_iter().rev());
        }
    }
    Ok(listing)
}

/// What is told of something.
fn entry(place: &Place<'_>) -> Result<Entry, OpError> {
    let inode = &place.inode;
    let target = match inode.kind {
        Kind::Symlink => {
            Some(quote(&place.system.target(inode).map_err(|error| unreadable(&error))?))
        }
        _ => None,
    };
    let modified = Timestamp::from_second(inode.modified.seconds).unwrap_or_default();
    Ok(Entry {
        path: shown_path(&place.path),
        kind: match inode.kind {
            Kind::File => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink,
            Kind::Special => EntryKind::Special,
        },
        size_bytes: inode.size,
        mode: format!("{:03o}", inode.mode),
        modified_at: shown(modified),
        user: inode.user,
        group: inode.group,
        target,
    })
}

fn content(
    systems: &Systems,
    path: &[Vec<u8>],
    offset: u64,
    max_bytes: u32,
) -> Result<FileContent, OpError> {
    let place = systems.find(path)?;
    let path = shown_path(&place.path);
    if place.inode.kind == Kind::Symlink {
        let target = place.system.target(&place.inode).map_err(|error| unreadable(&error))?;
        let message = format!("`{path}` is a symbolic link, and none is followed");
        return Err(OpError::plain(ErrorKind::Conflict, message)
            .hinted(format!("it leads to {}", quote(&target))));
    }
    let mut file = place.system.file(place.inode).map_err(|error| match error {
        Ext4Error::NoFile => {
            OpError::plain(ErrorKind::Conflict, format!("`{path}` is no regular file"))
        }
        error => unreadable(&error),
    })?;
    let failed = |error: &std::io::Error| {
        OpError::new(ErrorKind::Internal, error).during(format!("cannot read `{path}`"))
    };
    let size = file.size();
    let mut probe = Vec::new();
    let most = u64::try_from(BINARY_PROBE).unwrap_or(u64::MAX);
    (&mut file).take(most).read_to_end(&mut probe).map_err(|error| failed(&error))?;
    let offset = offset.min(size);
    file.seek_to(offset);
    let mut bytes = Vec::new();
    file.take(max_bytes.into()).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    Ok(FileContent {
        path,
        truncated: offset + (bytes.len() as u64) < size,
        content: OutputBytes(bytes),
        offset,
        first_line: None,
        size_bytes: size,
        total_lines: None,
        binary: probe.contains(&0),
    })
}

/// Copies a disk to a new file, without its zeros. How many bytes were written.
fn copy(
    layers: &Layers,
    output: &Path,
    gate: &Gate,
    what: &str,
    cancel: &CancellationToken,
) -> Result<u64, OpError> {
    let (Some(directory), Some(name)) = (output.parent(), output.file_name()) else {
        let message = format!("{} is no name for a new file", output.display());
        return Err(OpError::plain(ErrorKind::InvalidRequest, message));
    };
    if output.symlink_metadata().is_ok() {
        return Err(exists(output));
    }
    let mut unfinished = std::ffi::OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".hotcell-{}", Uuid::new_v4().simple()));
    let unfinished = directory.join(unfinished);
    let copied = copy_to(layers, &unfinished, gate, what, cancel).and_then(|written| {
        match renameat_with(CWD, &unfinished, CWD, output, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(written),
            Err(rustix::io::Errno::EXIST) => Err(exists(output)),
            Err(errno) => Err(FileError::at("create", output)(errno.into()).into()),
        }
    });
    match copied {
        Ok(written) => sync_directory(directory).map(|()| written).map_err(OpError::from),
        Err(error) => {
            // The first failure is the one to tell.
            let _ = std::fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

fn copy_to(
    layers: &Layers,
    to: &Path,
    gate: &Gate,
    what: &str,
    cancel: &CancellationToken,
) -> Result<u64, OpError> {
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(FileError::at("create", to))?;
    file.set_len(layers.bytes()).map_err(FileError::at("write", to))?;
    let unread = |error: std::io::Error| {
        OpError::new(ErrorKind::Internal, &error).during("cannot read the workspace's disk")
    };
    let mut piece = vec![0; PIECE];
    let mut scanner = gate.scanner();
    let (mut at, mut written) = (0, 0);
    while let Some((begin, length)) = layers.next_data(at).map_err(unread)? {
        if cancel.is_cancelled() {
            return Err(OpError::plain(ErrorKind::Cancelled, "it was cancelled"));
        }
        let length = usize::try_from(length).unwrap_or(PIECE).min(PIECE);
        let piece = &mut piece[..length];
        layers.read_at(begin, piece).map_err(unread)?;
        if let Some(scanner) = &mut scanner {
            // Zeros were left out, and no value goes on behind them.
            if begin > at {
                scanner.push(&[0]);
            }
            if let Some(secret) = scanner.push(piece) {
                return Err(refused(what, secret));
            }
        }
        file.write_all_at(piece, begin).map_err(FileError::at("write", to))?;
        at = begin + length as u64;
        written += length as u64;
    }
    file.sync_all().map_err(FileError::at("sync", to))?;
    Ok(written)
}

fn exists(output: &Path) -> OpError {
    let message = format!("{} is there already", output.display());
    OpError::plain(ErrorKind::Conflict, message).hinted("choose another name: no file is replaced")
}
