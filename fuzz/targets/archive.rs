//! Archives, which anybody may have written.

#![no_main]

use file_tree::archive::{Content, Reader};
use file_tree::Limits;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { members: 100, bytes: 1 << 20, file_bytes: 1 << 30 };

fuzz_target!(|bytes: &[u8]| {
    let mut archive = Reader::new(bytes, LIMITS);
    let mut members = 0;
    let mut stored = 0;
    while let Ok(Some(member)) = archive.next_member() {
        members += 1;
        assert!(member.path.names().all(|name| name != b".." && name != b"." && !name.contains(&0)));
        if let Content::File { bytes, ranges } = member.content {
            assert!(bytes <= LIMITS.file_bytes);
            let mut end = 0;
            for (offset, length) in ranges {
                assert!(offset >= end && length > 0);
                end = offset + length;
                stored += length;
            }
            assert!(end <= bytes);
        }
    }
    assert!(members <= LIMITS.members && stored <= LIMITS.bytes);
});
