//! The tool `tree`: what lies in `/workspace` as a whole, and the contents of
//! what the host then wants to see.
//!
//! A walk costs one call to the kernel per entry and one open per directory, and
//! no content is read. Everything is opened from the root without following any
//! link, so a tree that changes meanwhile leads nowhere else; what goes away
//! meanwhile is left out.

mod walk;

use std::fs::File;
use std::io::{Read, Write};

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::tree::{
    ContentId, Contents, Identified, Identify, PATHS_MAX, Sent, TreeRequest, Walked,
};
use rustix::fs::{Mode, OFlags};
use sha1::{Digest as _, Sha1};

use crate::error::ToolError;
use crate::root::{Root, kind_of};
use crate::wire;

/// How much is read at once, in bytes.
const BUFFER: usize = 256 << 10;

/// Reads a request and answers it.
///
/// # Errors
///
/// If the request is not understood or the answer cannot be told, and if a file
/// becomes shorter while it is sent.
pub fn serve(
    root: Result<Root, ToolError>,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), ToolError> {
    let request: TreeRequest = wire::request(input)?;
    let root = match root {
        Ok(root) => root,
        Err(error) => return wire::answer::<()>(output, Err(error)),
    };
    match request {
        TreeRequest::Walk(walk) => match walk::entries(&root, &walk.paths) {
            Ok(entries) => {
                wire::answer(output, Ok(Walked { bytes: entries.len() as u64 }))?;
                wire::write(output, &entries)
            }
            Err(error) => wire::answer::<Walked>(output, Err(error)),
        },
        TreeRequest::Identify(Identify { paths }) => wire::answer(output, identify(&root, &paths)),
        TreeRequest::Contents(contents) => send(&root, &contents, output),
    }
}

fn identify(root: &Root, paths: &[WorkspacePath]) -> Result<Identified, ToolError> {
    let mut buffer = vec![0; BUFFER];
    let ids = paths.iter().take(PATHS_MAX).map(|path| {
        let Some(mut content) = Content::open(root, path)? else { return Ok(None) };
        let mut hash = Sha1::new();
        hash.update(format!("blob {}\0", content.length()));
        let mut rest = content.length();
        while rest > 0 {
            let most = usize::try_from(rest).unwrap_or(usize::MAX).min(BUFFER);
            match content.read(&mut buffer[..most]).map_err(ToolError::at("read", path))? {
                // It became shorter, so it has no content that could be named.
                0 => return Ok(None),
                length => {
                    hash.update(&buffer[..length]);
                    rest -= length as u64;
                }
            }
        }
        Ok(Some(ContentId(hash.finalize().into())))
    });
    Ok(Identified { ids: ids.collect::<Result<_, ToolError>>()? })
}

fn send(root: &Root, contents: &Contents, output: &mut impl Write) -> Result<(), ToolError> {
    wire::answer(output, Ok(Sent {}))?;
    for path in contents.paths.iter().take(PATHS_MAX) {
        match Content::open(root, path)? {
            None => wire::write(output, &[0])?,
            Some(mut content) => {
                let length = content.length();
                wire::write(output, &[1])?;
                wire::write(output, &length.to_le_bytes())?;
                wire::copy(output, &mut content, length)?;
            }
        }
    }
    Ok(())
}

/// What a file or a link holds.
enum Content {
    File(File, u64),
    Target(Vec<u8>, usize),
}

impl Content {
    /// `None` if neither a file nor a link lies there.
    fn open(root: &Root, path: &WorkspacePath) -> Result<Option<Self>, ToolError> {
        let Some((parent, name)) = path.split() else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = match root.open_real(&parent, flags) {
            Ok(directory) => directory,
            Err(ToolError::Missing(_) | ToolError::WrongKind { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = std::ffi::CString::new(name).expect("paths hold no NUL");
        let no_link = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let stat = match rustix::fs::statat(&directory, &name, no_link) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(ToolError::at("look at", path)(error)),
        };
        match kind_of(&stat) {
            Kind::Symlink => {
                let target = rustix::fs::readlinkat(&directory, &name, Vec::new())
                    .map_err(ToolError::at("read", path))?;
                Ok(Some(Self::Target(target.into_bytes(), 0)))
            }
            Kind::File => {
                // Something else may lie there by now: no link is followed, and
                // no pipe is waited for.
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&directory, &name, flags, Mode::empty())
                    .map_err(ToolError::at("open", path))?;
                let length = rustix::fs::fstat(&file).map_err(ToolError::at("look at", path))?;
                let length = u64::try_from(length.st_size).unwrap_or(0);
                Ok(Some(Self::File(File::from(file), length)))
            }
            Kind::Directory | Kind::Special => Ok(None),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::File(_, length) => *length,
            Self::Target(target, _) => target.len() as u64,
        }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file, _) => file.read(buffer),
            Self::Target(target, at) => {
                let length = (&target[*at..]).read(buffer)?;
                *at += length;
                Ok(length)
            }
        }
    }
}
