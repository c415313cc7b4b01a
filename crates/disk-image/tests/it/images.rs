//! Images that `mke2fs` made, as their directory and `ext4-view` know them.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use disk_image::ext4::{Ext4, Ext4Error, Kind};

use crate::support::*;

/// Features of the images that workspaces start from, and of others.
const KINDS: &[&[&str]] = &[
    &[
        "-b",
        "4096",
        "-I",
        "256",
        "-O",
        "none,has_journal,ext_attr,dir_index,filetype,extent,flex_bg,\
       sparse_super,large_file,huge_file,dir_nlink,extra_isize,uninit_bg",
    ],
    &["-b", "4096", "-O", "metadata_csum,64bit"],
    &["-b", "1024", "-I", "128", "-O", "^metadata_csum,^64bit"],
];

#[test]
fn everything_is_read_as_it_was_put_there() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    fill(&tree);
    for (n, options) in KINDS.iter().enumerate() {
        let at = directory.path().join(format!("{n}.ext4"));
        image(&tree, &at, options);
        let judge = ext4_view::Ext4::load_from_path(&at).unwrap();
        let found = all(&open(&at));
        assert!(found.len() > 2050, "{}", found.len());
        for (path, inode, content) in found {
            if path == b"/lost+found" {
                continue;
            }
            let name = String::from_utf8_lossy(&path).into_owned();
            let on_host = tree.join(std::ffi::OsStr::from_bytes(&path[1..]));
            let metadata = fs::symlink_metadata(&on_host).unwrap();
            assert_eq!(u32::from(inode.mode), metadata.mode() & 0o7777, "{name}");
            assert_eq!(inode.modified.seconds, metadata.mtime(), "{name}");
            assert_eq!(inode.changed.seconds, metadata.ctime(), "{name}");
            let expected = match inode.kind {
                Kind::File => fs::read(&on_host).unwrap(),
                Kind::Symlink => fs::read_link(&on_host).unwrap().as_os_str().as_bytes().to_vec(),
                Kind::Directory | Kind::Special => Vec::new(),
            };
            assert!(content == expected, "{name}: another content");
            let judged = judged(&judge, &path, inode.kind);
            assert_eq!((inode.size, inode.mode), (judged.0, judged.1), "{name}");
            assert!(content == judged.2, "{name}: the judge read something else");
        }
    }
}

#[test]
fn what_is_no_file_system_or_no_such_thing_is_refused() {
    let refused = |bytes: Vec<u8>| Ext4::open(Box::new(bytes)).err();
    assert!(matches!(refused(vec![0; 100]), Some(Ext4Error::NotExt4)));
    assert!(matches!(refused(vec![0; 1 << 20]), Some(Ext4Error::NotExt4)));
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let at = directory.path().join("image");
    image(&tree, &at, KINDS[0]);
    let system = open(&at);
    let root = system.root().unwrap();
    assert!(matches!(system.inode(0), Err(Ext4Error::Corrupt(_))));
    assert!(matches!(system.inode(u32::MAX), Err(Ext4Error::Corrupt(_))));
    assert!(matches!(system.target(&root), Err(Ext4Error::NoLink)));
    assert!(matches!(system.file(root), Err(Ext4Error::NoFile)));
    // An image that is cut off promises more than it has.
    let mut bytes = fs::read(&at).unwrap();
    bytes.truncate(1 << 20);
    assert!(matches!(refused(bytes), Some(Ext4Error::Corrupt(_))));
    let mut inline = fs::read(&at).unwrap();
    inline[1024 + 97] |= 0x80;
    assert!(matches!(refused(inline), Some(Ext4Error::Unsupported(_))));
}
