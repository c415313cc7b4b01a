//! A file system of which any bytes were altered, read whole.

#![no_main]

use std::io::Read;

use disk_image::ext4::{Ext4, Kind};
use libfuzzer_sys::fuzz_target;

/// Made by `mke2fs`: files, directories with an index, links, holes, a pipe.
const IMAGE: &[u8] = include_bytes!("../images/small.ext4");

/// Most inodes that are looked at, and most bytes of each file.
const INODES_MAX: usize = 500;
const CONTENT_MAX: u64 = 1 << 16;

fuzz_target!(|changes: Vec<(u32, u8)>| {
    let mut image = IMAGE.to_vec();
    for (offset, byte) in changes {
        let offset = usize::try_from(offset).unwrap_or(0) % image.len();
        image[offset] = byte;
    }
    let Ok(system) = Ext4::open(Box::new(image)) else { return };
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
});
