//! What lies below a directory of the guest, which is hostile.

use file_tree::{Moment, TreePath};
use guest_protocol::path::unquote;
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::transfer::{ENTRIES_MAX, LISTED_MAX, Listed, Listing};
use guest_protocol::tools::{self, chunk_length};
use operation::{ErrorKind, OpError};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Something that lies below a directory of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestEntry {
    pub(crate) path: TreePath,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    pub(crate) mode: u16,
    pub(crate) modified: Moment,
    /// Where a symbolic link points.
    pub(crate) target: Option<Vec<u8>>,
}

/// Reads the chunks behind a [`Listing`].
pub(crate) async fn read(
    listing: &Listing,
    output: &mut (impl AsyncRead + Unpin),
) -> Result<Vec<GuestEntry>, OpError> {
    if listing.entries > ENTRIES_MAX as u64 {
        return Err(broken("there are more entries than a tree may have"));
    }
    let mut entries = Vec::new();
    loop {
        let mut prefix = [0; 4];
        output.read_exact(&mut prefix).await.map_err(|error| broken(&error.to_string()))?;
        let length = chunk_length(prefix).map_err(|error| broken(&error.to_string()))?;
        if length == 0 {
            break;
        }
        let mut json = vec![0; length];
        output.read_exact(&mut json).await.map_err(|error| broken(&error.to_string()))?;
        let listed: Vec<Listed> =
            tools::parse(&json).map_err(|error| broken(&error.to_string()))?;
        if listed.len() > LISTED_MAX || entries.len() + listed.len() > ENTRIES_MAX {
            return Err(broken("there are more entries than were announced"));
        }
        for listed in listed {
            entries.push(entry(listed)?);
        }
    }
    if entries.len() as u64 != listing.entries {
        return Err(broken("there are not as many entries as were announced"));
    }
    Ok(entries)
}

fn entry(listed: Listed) -> Result<GuestEntry, OpError> {
    let path = TreePath::parse(listed.path.as_bytes())
        .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
    let target = match listed.target {
        Some(text) => Some(unquote(&text).ok_or_else(|| broken("a link's target is no text"))?),
        None => None,
    };
    Ok(GuestEntry {
        path,
        kind: listed.kind,
        bytes: listed.bytes,
        mode: u16::try_from(listed.mode & 0o7777).unwrap_or(0),
        modified: Moment { seconds: listed.seconds, nanoseconds: listed.nanoseconds },
        target,
    })
}

fn broken(why: &str) -> OpError {
    OpError::plain(ErrorKind::Internal, why).during("the guest did not list its files as it should")
}
