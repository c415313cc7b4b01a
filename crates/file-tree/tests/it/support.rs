//! Trees to try things on.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use file_tree::archive::{Reader, Writer};
use file_tree::{
    Entry, Kind, Limits, Replacing, Root, SetId, TreeError, TreePath, pack, unpack, walk,
};

pub(crate) const LIMITS: Limits = Limits { members: 10_000, bytes: 1 << 30, file_bytes: 1 << 40 };

/// A tree with everything in it that a tree may have.
pub(crate) fn rich_tree(at: &Path) {
    let path = |name: &str| at.join(name);
    fs::create_dir_all(path("dir/empty")).unwrap();
    fs::write(path("script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path("script"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(path("script"), path("dir/link")).unwrap();
    symlink("../script", path("dir/up")).unwrap();
    symlink("/etc/passwd", path("absolute")).unwrap();
    symlink("x/".repeat(400), path("long-target")).unwrap();
    fs::write(at.join(OsStr::from_bytes(b"odd \xff\n name")), "odd").unwrap();
    let deep = path(&format!("{0}/{0}/{0}", "deep".repeat(30)));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    let sparse = fs::File::create(path("sparse")).unwrap();
    sparse.write_all_at(b"middle", 1 << 20).unwrap();
    sparse.set_len(1 << 26).unwrap();
    fs::File::create(path("hole-only")).unwrap().set_len(1 << 22).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("large"), vec![7; 1_000_001]).unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let past = UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::open(path("script")).unwrap().set_modified(past).unwrap();
    fs::set_permissions(path("dir"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::File::open(path("dir")).unwrap().set_modified(past).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o750)).unwrap();
}

pub(crate) fn list(at: &Path) -> Vec<Entry> {
    walk(&Root::open(at).unwrap(), 100_000, &mut |_| true).unwrap().entries
}

pub(crate) fn packed(at: &Path) -> Vec<u8> {
    let mut archive = Writer::new(Vec::new());
    pack(&Root::open(at).unwrap(), &list(at), &mut archive, &mut |_, error| Err(error)).unwrap();
    archive.finish().unwrap()
}

pub(crate) fn unpacked(archive: &[u8], at: &Path) -> Result<file_tree::Unpacked, TreeError> {
    let root = Root::open(at).unwrap();
    let mut reader = Reader::new(archive, LIMITS);
    unpack(&mut reader, &root, Replacing::Unseen, SetId::Kept, &mut || true)
}

/// Asserts that two trees are the same in everything that is carried. Times are
/// compared in units of `nanoseconds`.
#[track_caller]
pub(crate) fn assert_same(left: &Path, right: &Path, nanoseconds: u32) {
    let describe = |at: &Path| {
        let entries = list(at);
        let first = |entry: &Entry| {
            entries.iter().find(|other| other.inode == entry.inode).unwrap().path.clone()
        };
        entries
            .iter()
            .map(|entry| {
                let full = at.join(entry.path.as_path());
                let content = match entry.kind {
                    Kind::File => fs::read(&full).unwrap(),
                    Kind::Symlink => fs::read_link(&full).unwrap().as_os_str().as_bytes().to_vec(),
                    _ => Vec::new(),
                };
                let mut modified = entry.modified;
                modified.nanoseconds -= modified.nanoseconds % nanoseconds;
                let sparse = entry.kind == Kind::File && entry.disk_bytes < entry.bytes;
                (
                    entry.path.clone(),
                    entry.kind,
                    entry.mode,
                    modified,
                    first(entry),
                    sparse,
                    content,
                )
            })
            .collect::<Vec<_>>()
    };
    let (left, right) = (describe(left), describe(right));
    let names = |list: &[(TreePath, _, _, _, _, _, _)]| {
        list.iter().map(|entry| entry.0.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&left), names(&right));
    for (left, right) in left.iter().zip(&right) {
        assert!(
            left == right,
            "{:?} {:?}",
            (&left.0, left.1, left.2, left.3, &left.4, left.5),
            (right.1, right.2, right.3, &right.4, right.5)
        );
    }
}
