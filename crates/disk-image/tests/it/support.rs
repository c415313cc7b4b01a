//! Images, and the trees that they were made of.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use disk_image::Raw;
use disk_image::ext4::{Ext4, Inode, Kind};

/// Makes an image of a directory.
pub(crate) fn image(tree: &Path, at: &Path, options: &[&str]) {
    File::create_new(at).unwrap().set_len(64 << 20).unwrap();
    let made = Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-d"])
        .arg(tree)
        .args(options)
        .arg(at)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

pub(crate) fn open(at: &Path) -> Ext4 {
    Ext4::open(Box::new(Raw::new(File::open(at).unwrap()).unwrap())).unwrap()
}

/// A path, its inode, and its content or target.
pub(crate) type Found = (Vec<u8>, Inode, Vec<u8>);

/// Everything in a file system, in order.
pub(crate) fn all(system: &Ext4) -> Vec<Found> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), system.root().unwrap())];
    while let Some((path, directory)) = open.pop() {
        for name in system.list(&directory).unwrap() {
            let inode = system.inode(name.inode).unwrap();
            let path = [&path, b"/".as_slice(), &name.name].concat();
            let content = match inode.kind {
                Kind::File => {
                    let mut content = Vec::new();
                    system.file(inode.clone()).unwrap().read_to_end(&mut content).unwrap();
                    content
                }
                Kind::Symlink => system.target(&inode).unwrap(),
                Kind::Directory => {
                    open.push((path.clone(), inode.clone()));
                    Vec::new()
                }
                Kind::Special => Vec::new(),
            };
            found.push((path, inode, content));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

/// What the judge reads at a path.
pub(crate) fn judged(judge: &ext4_view::Ext4, path: &[u8], kind: Kind) -> (u64, u16, Vec<u8>) {
    let metadata = judge.symlink_metadata(path).unwrap();
    let content = match kind {
        Kind::File => judge.read(path).unwrap(),
        Kind::Symlink => judge.read_link(path).unwrap().as_ref().to_vec(),
        Kind::Directory | Kind::Special => Vec::new(),
    };
    (metadata.len(), metadata.mode(), content)
}

/// A tree with something of everything.
pub(crate) fn fill(tree: &Path) {
    fs::create_dir_all(tree.join("many")).unwrap();
    for n in 0..2000 {
        fs::write(tree.join(format!("many/file-with-a-longer-name-{n}")), n.to_string()).unwrap();
    }
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    fs::write(tree.join("large"), large).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    let holes = File::create(tree.join("holes")).unwrap();
    use std::os::unix::fs::FileExt as _;
    for n in 0..200 {
        holes.write_all_at(b"here", n * 10_000).unwrap();
    }
    holes.set_len(5_000_000).unwrap();
    std::os::unix::fs::symlink("short", tree.join("link")).unwrap();
    std::os::unix::fs::symlink("x".repeat(200), tree.join("long link")).unwrap();
    fs::hard_link(tree.join("large"), tree.join("another name")).unwrap();
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    fs::write(tree.join(OsStr::from_bytes(b"no\xfftext\n")), "x").unwrap();
    let deep = tree.join(vec!["d"; 50].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
}
