//! The tree of a running guest, told by its tool `tree`.

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::tree::{
    self as tool, ContentId, Contents, Identified, Identify, PATHS_BYTES_MAX, PATHS_MAX, Sent,
    TreeEntry, TreeRequest, WALK_MAX, Walk, Walked,
};
use operation::{ErrorKind, OpError};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tree_diff::{CONTENT_MAX, Tree};

use super::vanished;
use crate::engine::Engine;
use crate::engine::tools::Bulk;
use crate::store::Record;

/// Most bytes of contents that are taken at once. What is asked for is less, as
/// its sizes are known; it may have grown in between.
const CONTENTS_MAX: u64 = 2 * CONTENT_MAX;

/// The tree of a running guest.
pub(in crate::engine) struct GuestTree {
    engine: Engine,
    record: Record,
    /// Only what lies at or below these; everything if there are none.
    paths: Vec<WorkspacePath>,
    cancel: CancellationToken,
    runtime: Handle,
}

impl GuestTree {
    /// Call this where a runtime is; the rest where one may block.
    pub(in crate::engine) fn new(
        engine: Engine,
        record: Record,
        paths: Vec<WorkspacePath>,
        cancel: CancellationToken,
    ) -> Self {
        Self { engine, record, paths, cancel, runtime: Handle::current() }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        request: &TreeRequest,
        bulk_max: u64,
    ) -> Result<(T, Vec<u8>), OpError> {
        self.runtime.block_on(self.engine.tool(
            &self.record,
            tool::TOOL,
            request,
            Bulk::None,
            bulk_max,
            &self.cancel,
        ))
    }
}

impl Tree for GuestTree {
    type Error = OpError;

    fn entries(&mut self) -> Result<Vec<TreeEntry>, OpError> {
        let walk = TreeRequest::Walk(Walk { paths: self.paths.clone() });
        let (walked, bytes): (Walked, _) = self.ask(&walk, WALK_MAX)?;
        if walked.bytes != bytes.len() as u64 {
            return Err(untrue("a walk of another length than it said"));
        }
        let during = "the guest did not answer as it should";
        tool::decode(&bytes)
            .map_err(|error| OpError::new(ErrorKind::Internal, &error).during(during))
    }

    fn ids(&mut self, paths: &[WorkspacePath]) -> Result<Vec<ContentId>, OpError> {
        let mut ids = Vec::with_capacity(paths.len());
        for some in requests(paths) {
            let identify = TreeRequest::Identify(Identify { paths: some.to_vec() });
            let (found, _): (Identified, _) = self.ask(&identify, 0)?;
            if found.ids.len() != some.len() {
                return Err(untrue("names of other contents than were asked for"));
            }
            for (path, id) in some.iter().zip(found.ids) {
                ids.push(id.ok_or_else(|| vanished(path))?);
            }
        }
        Ok(ids)
    }

    fn contents(&mut self, paths: &[WorkspacePath]) -> Result<Vec<Vec<u8>>, OpError> {
        let mut contents = Vec::with_capacity(paths.len());
        for some in requests(paths) {
            let request = TreeRequest::Contents(Contents { paths: some.to_vec() });
            let (Sent {}, bytes) = self.ask(&request, CONTENTS_MAX)?;
            let mut rest = bytes.as_slice();
            for path in some {
                contents.push(content(&mut rest).ok_or_else(|| vanished(path))?);
            }
        }
        Ok(contents)
    }
}

/// The next content of an answer; `None` if it is not there, or not whole.
fn content(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (&is_there, after) = rest.split_first()?;
    *rest = after;
    if is_there != 1 {
        return None;
    }
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (content, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(content.to_vec())
}

/// The paths in as many requests as they need.
fn requests(paths: &[WorkspacePath]) -> impl Iterator<Item = &[WorkspacePath]> {
    let mut rest = paths;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(PATHS_MAX).take_while(|path| {
            bytes += path.as_bytes().len();
            bytes <= PATHS_BYTES_MAX
        });
        // One path always fits.
        let count = fitting.count().max(1);
        let (some, others) = rest.split_at_checked(count)?;
        rest = others;
        Some(some)
    })
}

fn untrue(what: &str) -> OpError {
    OpError::plain(ErrorKind::Internal, what).during("the guest did not answer as it should")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_are_several_requests() {
        let path = |text: &str| text.parse::<WorkspacePath>().unwrap();
        let paths = vec![path(&"x".repeat(4000)); 500];
        let lengths: Vec<usize> = requests(&paths).map(<[_]>::len).collect();
        assert_eq!(lengths, [196, 196, 108]);
        let paths = vec![path("x"); PATHS_MAX + 1];
        assert_eq!(requests(&paths).map(<[_]>::len).collect::<Vec<_>>(), [PATHS_MAX, 1]);
    }

    #[test]
    fn a_content_is_whole_or_none() {
        let mut bytes = vec![1, 3, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c', 0];
        let mut rest = bytes.as_slice();
        assert_eq!(content(&mut rest).as_deref(), Some(b"abc".as_slice()));
        assert_eq!(content(&mut rest), None);
        bytes[1] = 200;
        assert_eq!(content(&mut bytes.as_slice()), None);
    }
}
