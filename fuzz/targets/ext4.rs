//! A file system of which any bytes were altered, read whole.

#![no_main]

use disk_image::ext4::Ext4;
use hotcell_fuzz::read_whole;
use libfuzzer_sys::fuzz_target;

/// Made by `mke2fs`: files, directories with an index, links, holes, a pipe.
const IMAGE: &[u8] = include_bytes!("../images/small.ext4");

fuzz_target!(|changes: Vec<(u32, u8)>| {
    let mut image = IMAGE.to_vec();
    for (offset, byte) in changes {
        let offset = usize::try_from(offset).unwrap_or(0) % image.len();
        image[offset] = byte;
    }
    let Ok(system) = Ext4::open(Box::new(image)) else { return };
    read_whole(&system);
});
