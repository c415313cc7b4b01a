//! A file system whose journal holds any bytes, read whole.

#![no_main]

use disk_image::ext4::Ext4;
use hotcell_fuzz::read_whole;
use libfuzzer_sys::fuzz_target;

/// Made by `mke2fs`, with the content of a file as its journal.
const IMAGE: &[u8] = include_bytes!("../images/journal.ext4");

/// Where the journal lies in it, and how long it is, in bytes.
const BEGIN: usize = 20 * 1024;
const LENGTH: usize = 8 * 1024;

fuzz_target!(|journal: &[u8]| {
    let mut image = IMAGE.to_vec();
    let length = journal.len().min(LENGTH);
    image[BEGIN..BEGIN + length].copy_from_slice(&journal[..length]);
    if let Ok(system) = Ext4::open(Box::new(image)) {
        read_whole(&system);
    }
});
