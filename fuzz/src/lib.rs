//! What the fuzz targets share.
//!
//! Each target in `targets/` feeds one reader of foreign bytes and asserts what
//! must hold for any input. `fuzz/run` builds and runs them all; inputs worth
//! keeping lie in `corpus/<target>/`.
//!
//! Three parsers are private to their crates. Their targets compile the module
//! from its source file, with a `#[path]`, so that nothing becomes public only
//! to be fuzzed.

use std::fmt::Debug;

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
