//! Zip archives, which anybody may have written.

#![no_main]

use std::fs::File;
use std::io::{Read, Write};

use file_tree::Limits;
use file_tree::archive::{Content, Members};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};

#[path = "../../crates/workspace/src/seeds/archive/zip.rs"]
mod zip;

const LIMITS: Limits = Limits { members: 100, bytes: 1 << 20, file_bytes: 1 << 30 };

fuzz_target!(|bytes: &[u8]| {
    let mut file = File::from(memfd_create("zip", MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(bytes).expect("memory");
    let Ok(mut zip) = zip::Zip::open(file) else { return };
    let mut members = zip.members(LIMITS);
    let (mut seen, mut read) = (0, 0);
    while let Ok(Some(member)) = members.next_member() {
        seen += 1;
        assert!(member.path.names().all(|name| name != b".." && name != b"." && !name.contains(&0)));
        let mut content = Vec::new();
        let is_whole = members.read_to_end(&mut content).is_ok();
        read += content.len() as u64;
        if let Content::File { bytes, .. } = member.content {
            assert!(!is_whole || content.len() as u64 == bytes);
        } else {
            assert!(content.is_empty());
        }
    }
    assert!(seen <= LIMITS.members && read <= LIMITS.bytes);
});
