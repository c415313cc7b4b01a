//! Archives that want out, or that want too much.

use std::fs;
use std::os::unix::fs::symlink;

use file_tree::archive::{Content, Reader};
use file_tree::{Limits, Replacing, Root, SetId, TreeError, unpack};
use tar::{Builder, EntryType, Header};

use crate::support::*;

fn member(archive: &mut Builder<Vec<u8>>, kind: EntryType, path: &[u8], link: &[u8], data: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(data.len() as u64);
    header.set_cksum();
    archive.append(&header, data).unwrap();
}

/// Kind, path, link and data of a member.
type Attempt<'a> = (EntryType, &'a str, &'a str, &'a [u8]);

fn archive(members: &[Attempt<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, link, data) in members {
        member(&mut builder, *kind, path.as_bytes(), link.as_bytes(), data);
    }
    builder.into_inner().unwrap()
}

#[test]
fn no_member_leaves_the_root() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("victim"), "untouched").unwrap();
    let target = outside.path().to_str().unwrap().to_owned();
    let victim = outside.path().join("victim");
    let victim = victim.to_str().unwrap();
    let data = &b"overwritten"[..];
    let attempts: Vec<Vec<Attempt<'_>>> = vec![
        vec![(EntryType::Regular, victim, "", data)],
        vec![(EntryType::Regular, "../victim", "", data)],
        vec![(EntryType::Regular, "a/../../victim", "", data)],
        vec![
            (EntryType::Symlink, "out", &target, b""),
            (EntryType::Regular, "out/victim", "", data),
        ],
        vec![
            (EntryType::Symlink, "out", &target, b""),
            (EntryType::Link, "mine", "out/victim", b""),
            (EntryType::Regular, "mine", "", data),
        ],
        vec![(EntryType::Link, "mine", victim, b""), (EntryType::Regular, "mine", "", data)],
        vec![(EntryType::Link, "mine", "../victim", b"")],
        vec![(EntryType::Symlink, "out", &target, b""), (EntryType::Directory, "out/new", "", b"")],
        vec![(EntryType::Symlink, "out", &target, b""), (EntryType::Symlink, "out/l", "x", b"")],
    ];
    for members in attempts {
        for replacing in [Replacing::Unseen, Replacing::Atomically] {
            let inside = tempfile::tempdir_in(outside.path()).unwrap();
            let root = Root::open(inside.path()).unwrap();
            let bytes = archive(&members);
            let done = unpack(
                &mut Reader::new(&*bytes, LIMITS),
                &root,
                replacing,
                SetId::Kept,
                &mut || true,
            );
            assert!(done.is_err(), "{members:?}");
        }
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "something new lies outside");
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    for replacing in [Replacing::Unseen, Replacing::Atomically] {
        let inside = tempfile::tempdir().unwrap();
        symlink(&victim, inside.path().join("file")).unwrap();
        symlink(outside.path(), inside.path().join("dir")).unwrap();
        let bytes = archive(&[
            (EntryType::Regular, "file", "", b"new"),
            (EntryType::Directory, "dir", "", b""),
        ]);
        let root = Root::open(inside.path()).unwrap();
        unpack(&mut Reader::new(&*bytes, LIMITS), &root, replacing, SetId::Kept, &mut || true)
            .unwrap();
        assert_eq!(fs::read_to_string(inside.path().join("file")).unwrap(), "new");
        assert!(inside.path().join("dir").symlink_metadata().unwrap().is_dir());
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
}

#[test]
fn devices_are_left_out_and_named() {
    let inside = tempfile::tempdir().unwrap();
    let bytes = archive(&[
        (EntryType::Char, "null", "", b""),
        (EntryType::Block, "disk", "", b""),
        (EntryType::Regular, "file", "", b"x"),
    ]);
    let done = unpacked(&bytes, inside.path()).unwrap();
    assert_eq!((done.files, done.left_out_total), (1, 2));
    assert_eq!(done.left_out[0].path.to_string(), "null");
    assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 1);
}

#[test]
fn set_id_bits_are_dropped_and_named() {
    let inside = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Vec::new());
    for (name, kind, mode) in [
        ("program", EntryType::Regular, 0o4755),
        ("shared", EntryType::Directory, 0o2775),
        ("plain", EntryType::Regular, 0o755),
    ] {
        let mut header = Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &b""[..]).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let root = Root::open(inside.path()).unwrap();
    let mut reader = Reader::new(&*bytes, LIMITS);
    let done = unpack(&mut reader, &root, Replacing::Unseen, SetId::Dropped, &mut || true).unwrap();
    let named: Vec<String> = done.left_out.iter().map(|left| left.path.to_string()).collect();
    assert_eq!(named, ["program", "shared"]);
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(inside.path().join(name)).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!((mode("program"), mode("shared"), mode("plain")), (0o755, 0o775, 0o755));
}

#[test]
fn what_is_too_much_is_refused_before_it_is_taken() {
    let small = Limits { members: 2, bytes: 10, file_bytes: 100 };
    let check = |bytes: &[u8]| {
        let inside = tempfile::tempdir().unwrap();
        let root = Root::open(inside.path()).unwrap();
        unpack(&mut Reader::new(bytes, small), &root, Replacing::Unseen, SetId::Kept, &mut || true)
    };
    let many = archive(&[(EntryType::Regular, "a", "", &b""[..]); 3]);
    assert!(matches!(check(&many), Err(TreeError::TooMuch { what: "files", .. })));
    let large = archive(&[(EntryType::Regular, "a", "", b"12345678901")]);
    assert!(matches!(check(&large), Err(TreeError::TooMuch { what: "bytes", .. })));
    // Announced, never sent: believing it would allocate all of it.
    let mut header = Header::new_ustar();
    header.set_path("x").unwrap();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(1 << 40);
    header.set_cksum();
    let mut announced = header.as_bytes().to_vec();
    announced.extend_from_slice(&[0; 1024]);
    assert!(matches!(check(&announced), Err(TreeError::TooMuch { .. })));
    // One byte of data, an exabyte of hole.
    let mut header = Header::new_gnu();
    header.set_path("sparse").unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(1);
    header.as_gnu_mut().unwrap().set_real_size(1 << 60);
    let field = &mut header.as_gnu_mut().unwrap().sparse[0];
    field.set_offset(0);
    field.set_length(1);
    header.set_cksum();
    let mut hole = header.as_bytes().to_vec();
    hole.extend_from_slice(&[0; 1536]);
    assert!(matches!(check(&hole), Err(TreeError::TooMuch { what: "bytes in one file", .. })));
}

#[test]
fn a_broken_archive_is_an_error_and_no_panic() {
    let whole = archive(&[(EntryType::Regular, "file", "", &[5; 1000])]);
    for length in [1, 511, 513, 1000, 1600] {
        let inside = tempfile::tempdir().unwrap();
        assert!(unpacked(&whole[..length], inside.path()).is_err(), "{length}");
    }
    let inside = tempfile::tempdir().unwrap();
    assert!(matches!(unpacked(&[7; 2048], inside.path()), Err(TreeError::Damaged(_))));
}

#[test]
fn a_reader_tells_what_a_member_is() {
    let bytes = archive(&[(EntryType::Symlink, "link", "/etc/passwd", b"")]);
    let member = Reader::new(&*bytes, LIMITS).next_member().unwrap().unwrap();
    assert_eq!(member.content, Content::Symlink(b"/etc/passwd".to_vec()));
}
