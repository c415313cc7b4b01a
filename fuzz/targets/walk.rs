//! What a guest says lies in its tree.

#![no_main]

use guest_protocol::tools::tree::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = decode(bytes) else { return };
    assert!(entries.is_sorted_by(|one, other| one.path < other.path));
    let mut again = Vec::new();
    let mut before: &[u8] = &[];
    for entry in &entries {
        assert!(!entry.path.is_root());
        encode(&mut again, before, entry);
        before = entry.path.as_bytes();
    }
    assert_eq!(decode(&again).as_ref(), Ok(&entries));
});
