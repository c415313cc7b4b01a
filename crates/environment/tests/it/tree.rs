//! Images of trees.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant, UNIX_EPOCH};

use environment::{Cancel, EnvironmentError, IMAGE_VIRTUAL_BYTES, tree};

use crate::{check, debugfs};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn an_empty_image_is_sparse_and_holds_a_root_directory() {
    let work = directory();
    let image = work.path().join("empty.ext4");
    tree::empty(&image, IMAGE_VIRTUAL_BYTES, &Cancel::new()).unwrap();
    check(&image);
    let metadata = fs::metadata(&image).unwrap();
    assert_eq!(metadata.len(), IMAGE_VIRTUAL_BYTES);
    assert!(metadata.blocks() * 512 < 1024 * 1024, "{}", metadata.blocks() * 512);
    let root = debugfs("stat /", &image);
    assert!(root.contains("Mode:  0755") && root.contains("User:     0   Group:     0"), "{root}");
    let exists = tree::empty(&image, IMAGE_VIRTUAL_BYTES, &Cancel::new()).unwrap_err();
    assert!(matches!(exists, EnvironmentError::Io { .. }));
    assert_eq!(fs::metadata(&image).unwrap().len(), IMAGE_VIRTUAL_BYTES);
}

#[test]
fn everything_that_makes_a_tree_is_kept() {
    let work = directory();
    let source = work.path().join("source");
    fs::create_dir_all(source.join("dir/empty")).unwrap();
    let path = |name: &str| source.join(name);
    fs::write(path("script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path("script"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(path("script"), path("dir/link")).unwrap();
    symlink("../script", path("dir/symbolic")).unwrap();
    symlink("x".repeat(200), path("long-symbolic")).unwrap();
    let odd = source.join(OsStr::from_bytes(b"odd \xff\n name"));
    fs::write(&odd, "odd").unwrap();
    let sparse = fs::File::create(path("sparse")).unwrap();
    sparse.write_all_at(b"end", 1 << 30).unwrap();
    let past = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(path("script")).unwrap().set_modified(past).unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    // Only root can give files away; others have other owners to begin with.
    let _as_root = chown(path("script"), Some(1234), Some(70_000));
    let _as_root = chown(&source, Some(1234), Some(1234));
    fs::set_permissions(path("script"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).unwrap();

    let image = work.path().join("tree.ext4");
    tree::from_directory(&source, &image, IMAGE_VIRTUAL_BYTES, &Cancel::new()).unwrap();
    check(&image);
    let root = debugfs("stat /", &image);
    assert!(root.contains("Mode:  0755") && root.contains("User:     0   Group:     0"), "{root}");
    let script = debugfs("stat /script", &image);
    assert!(script.contains("User:     0   Group:     0"), "{script}");
    assert!(script.contains("Mode:  04751") && script.contains("Links: 2"), "{script}");
    assert!(script.contains("mtime: 0x3b9aca00"), "{script}");
    assert!(debugfs("stat /dir/symbolic", &image).contains("../script"));
    assert!(debugfs("stat /long-symbolic", &image).contains("Size: 200"));
    assert!(debugfs("stat /dir/empty", &image).contains("Type: directory"));
    assert!(debugfs("stat /pipe", &image).contains("Type: FIFO"));
    assert!(debugfs("stat /socket", &image).contains("Type: socket"));
    let sparse = debugfs("stat /sparse", &image);
    assert!(sparse.contains("Size: 1073741827"), "{sparse}");
    let out = work.path().join("out");
    fs::create_dir(&out).unwrap();
    debugfs(&format!("rdump / {}", out.display()), &image);
    let copied = out.join(OsStr::from_bytes(b"odd \xff\n name"));
    assert_eq!(fs::read(copied).unwrap(), b"odd");
    assert!(fs::metadata(&image).unwrap().blocks() * 512 < 2 * 1024 * 1024);
}

#[test]
fn twenty_thousand_files_take_a_moment() {
    let work = directory();
    let source = work.path().join("source");
    for directory in 0..200 {
        let directory = source.join(format!("d{directory}"));
        fs::create_dir_all(&directory).unwrap();
        for file in 0..100 {
            fs::write(directory.join(format!("f{file}")), format!("{file}")).unwrap();
        }
    }
    let image = work.path().join("tree.ext4");
    let started = Instant::now();
    tree::from_directory(&source, &image, IMAGE_VIRTUAL_BYTES, &Cancel::new()).unwrap();
    let took = started.elapsed();
    println!("20,000 files: {took:?}, {} bytes", fs::metadata(&image).unwrap().blocks() * 512);
    assert!(took < Duration::from_secs(10), "{took:?}");
    check(&image);
    assert!(debugfs("stat /d199/f99", &image).contains("User:     0   Group:     0"));
}

#[test]
fn what_does_not_fit_is_told_apart_from_a_full_host() {
    let work = directory();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("large"), vec![1; 80 * 1024 * 1024]).unwrap();
    let image = work.path().join("tree.ext4");
    let error =
        tree::from_directory(&source, &image, 64 * 1024 * 1024, &Cancel::new()).unwrap_err();
    assert!(matches!(error, EnvironmentError::TreeTooLarge { .. }), "{error:?}");
    assert!(!image.exists());
}

/// Root may read everything, so this is only seen by other users.
#[test]
fn an_unreadable_file_is_named() {
    let work = directory();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("secret"), "x").unwrap();
    fs::set_permissions(source.join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let image = work.path().join("tree.ext4");
    match tree::from_directory(&source, &image, IMAGE_VIRTUAL_BYTES, &Cancel::new()) {
        Ok(()) => assert_eq!(fs::metadata("/proc/self").unwrap().uid(), 0),
        Err(EnvironmentError::TreeUnreadable { path, .. }) => {
            assert_eq!(path, source.canonicalize().unwrap().join("secret"));
            assert!(!image.exists());
        }
        Err(other) => panic!("{other:?}"),
    }
}
