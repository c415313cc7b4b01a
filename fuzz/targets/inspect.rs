//! What a guest sends on a connection to a name, however it is cut.

#![no_main]

use bytes::Bytes;
use egress::inspect::{HELD_MAX, Inspector};
use hotcell_fuzz::{Cuts, pieces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Cuts, &[u8])| {
    let (cuts, bytes) = input;
    let mut inspector = Inspector::new("example.org".parse().expect("a name"));
    let mut sent = 0;
    let mut passed = Vec::new();
    for piece in pieces(&cuts, bytes) {
        sent += piece.len();
        let Ok(judged) = inspector.client(Bytes::copy_from_slice(piece)) else { return };
        passed.extend_from_slice(&judged);
        if inspector.awaits_server() {
            inspector.server(piece);
        }
        assert!(sent - passed.len() <= HELD_MAX + piece.len());
    }
    assert!(bytes.starts_with(&passed), "what passes is what was sent");
});
