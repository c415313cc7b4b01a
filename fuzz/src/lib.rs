//! What the fuzz targets share.
//!
//! Each target in `targets/` feeds one reader of foreign bytes and asserts what
//! must hold for any input. `fuzz/run` builds and runs them all; inputs worth
//! keeping lie in `corpus/<target>/`.
//!
//! Four parsers are private to their crates. Their targets compile the module
//! from its source file, with a `#[path]`, so that nothing becomes public only
//! to be fuzzed.

use std::fmt::Debug;
use std::io::Read;

use disk_image::ext4::{Ext4, Kind};
use guest_protocol::frame::StreamId;
use guest_protocol::message::{self, GuestMessage, HostMessage};
use guest_protocol::tools::transfer::{Listed, Packed};
use guest_protocol::tools::{self, Answer};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How a stream is cut: the lengths of its pieces less one, over and over.
pub type Cuts = [u8; 8];

/// The pieces of `stream`, none of them empty.
pub fn pieces<'a>(cuts: &Cuts, mut stream: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = cuts.map(|cut| usize::from(cut) + 1).into_iter().cycle();
    std::iter::from_fn(move || {
        let length = lengths.next()?.min(stream.len());
        let (piece, rest) = stream.split_at_checked(length)?;
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Reads a payload as a message of either direction.
pub fn check_message(payload: &[u8]) {
    check_as::<GuestMessage>(payload);
    check_as::<HostMessage>(payload);
    check_answer::<Vec<Listed>>(payload);
    check_answer::<Answer<Packed>>(payload);
}

/// The same for what a tool answers.
fn check_answer<M: Serialize + DeserializeOwned + PartialEq + Debug>(json: &[u8]) {
    let Ok(answer) = tools::parse::<M>(json) else { return };
    let bytes = serde_json::to_vec(&answer).expect("answers are plain data");
    assert_eq!(answer, tools::parse::<M>(&bytes).expect("our own words"));
}

/// What was understood once is understood the same once more.
fn check_as<M: Serialize + DeserializeOwned + PartialEq + Debug>(payload: &[u8]) {
    let Ok(message) = message::parse::<M>(StreamId(1), payload) else { return };
    let bytes = serde_json::to_vec(&message).expect("messages are plain data");
    let again = message::parse::<M>(StreamId(1), &bytes).expect("our own words");
    assert_eq!(message, again);
}

/// Most inodes of a file system that are looked at, and most bytes of each file.
const INODES_MAX: usize = 500;
const CONTENT_MAX: u64 = 1 << 16;

/// Reads a file system.
pub fn read_whole(system: &Ext4) {
    let Ok(root) = system.root() else { return };
    let mut open = vec![root];
    let mut seen = 0;
    while let Some(directory) = open.pop() {
        let Ok(names) = system.list(&directory) else { continue };
        for name in names {
            assert!(!name.name.is_empty() && !name.name.contains(&b'/') && !name.name.contains(&0));
            seen += 1;
            if seen > INODES_MAX {
                return;
            }
            let Ok(inode) = system.inode(name.inode) else { continue };
            match inode.kind {
                Kind::Directory => open.push(inode),
                Kind::Symlink => {
                    let _ = system.target(&inode);
                }
                Kind::File => {
                    if let Ok(content) = system.file(inode) {
                        let mut bytes = Vec::new();
                        let _ = content.take(CONTENT_MAX).read_to_end(&mut bytes);
                    }
                }
                Kind::Special => {}
            }
        }
    }
}
