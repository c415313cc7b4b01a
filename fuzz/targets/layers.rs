//! Two layers of a disk, which a monitor that was taken over may have written.

#![no_main]

use std::fs::File;
use std::io::Write;

use disk_image::{Disk, Layers};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};

/// Most parts with data that are looked at, and most bytes of each.
const PARTS_MAX: usize = 1000;
const PART_MAX: u64 = 1 << 16;

/// Length of the image below the layers, in bytes.
const IMAGE_BYTES: usize = 10_000;

fn file(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("layer", MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(bytes).expect("memory");
    file
}

fuzz_target!(|bytes: &[u8]| {
    let (upper, lower) = bytes.split_at(bytes.len() / 2);
    let image = file(&[b'i'; IMAGE_BYTES]);
    let Ok(disk) = Layers::new(vec![file(upper), file(lower)], image) else { return };
    let mut at = 0;
    for _ in 0..PARTS_MAX {
        let Ok(Some((begin, length))) = disk.next_data(at) else { break };
        assert!(begin >= at && length > 0 && begin + length <= disk.bytes());
        let mut part = vec![0; usize::try_from(length.min(PART_MAX)).unwrap_or(0)];
        let _ = disk.read_at(begin, &mut part);
        at = begin + length;
    }
    assert!(disk.read_at(disk.bytes(), &mut [0]).is_err());
});
