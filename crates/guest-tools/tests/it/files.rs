//! The tool `file`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use guest_protocol::tools::FailureKind;
use guest_protocol::tools::file::*;

use crate::support::*;

fn write(path: &str, existing: Existing) -> FileRequest {
    let (path, parents) = (place(path), Parents::Create);
    FileRequest::Write(Write { path, mode: None, parents, existing })
}

fn read(workspace: &Workspace, path: &str, part: Part, max: u32) -> (Content, String) {
    let request = FileRequest::Read(Read { path: place(path), part, max_bytes: max });
    let (content, bytes) = workspace.file::<Content>(&request, &[]);
    let content = content.unwrap();
    assert_eq!(content.length, bytes.len() as u64);
    (content, String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_write_keeps_the_mode_and_leaves_nothing_aside() {
    let workspace = Workspace::new();
    workspace.put("run.sh", "old");
    fs::set_permissions(workspace.at("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    let (written, _) =
        workspace.file::<Written>(&write("run.sh", Existing::Replace), &chunked(b"new"));
    let written = written.unwrap();
    assert_eq!((written.created, written.entry.mode), (false, 0o750));
    assert_eq!(workspace.get("run.sh"), "new");
    let (made, _) = workspace.file::<Written>(&write("a/b/c", Existing::Keep), &chunked(b"x"));
    assert!(made.unwrap().created);
    let (refused, _) = workspace.file::<Written>(&write("a/b/c", Existing::Keep), &chunked(b"y"));
    assert_eq!(refused.unwrap_err().kind, FailureKind::Conflict);
    assert_eq!(workspace.get("a/b/c"), "x");
    assert!(!workspace.at(".hotcell-staging").exists());
}

#[test]
fn content_that_ends_early_is_never_written() {
    let workspace = Workspace::new();
    workspace.put("f", "old");
    let cut = &chunked(b"new")[..5];
    let (refused, _) = workspace.file::<Written>(&write("f", Existing::Replace), cut);
    assert!(refused.is_err());
    assert_eq!(workspace.get("f"), "old");
}

#[test]
fn links_are_followed_as_long_as_they_stay_inside() {
    let workspace = Workspace::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    workspace.put("dir/real", "one");
    symlink(workspace.at("dir"), workspace.at("absolute")).unwrap();
    symlink("dir/real", workspace.at("relative")).unwrap();
    symlink(outside.path(), workspace.at("out")).unwrap();
    symlink(outside.path().join("secret"), workspace.at("leak")).unwrap();
    let all = Part::Bytes { offset: 0 };
    assert_eq!(read(&workspace, "absolute/real", all, 100).1, "one");
    let (done, _) =
        workspace.file::<Written>(&write("relative", Existing::Replace), &chunked(b"2"));
    done.unwrap();
    assert_eq!(workspace.get("dir/real"), "2");
    assert!(fs::symlink_metadata(workspace.at("relative")).unwrap().is_symlink());
    for path in ["out/secret", "leak"] {
        let request = FileRequest::Read(Read { path: place(path), part: all, max_bytes: 9 });
        let refused = workspace.file::<Content>(&request, &[]).0.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Outside, "{path}");
        let (refused, _) =
            workspace.file::<Written>(&write(path, Existing::Replace), &chunked(b"3"));
        assert_eq!(refused.unwrap_err().kind, FailureKind::Outside, "{path}");
    }
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
}

#[test]
fn parts_of_files_are_read() {
    let workspace = Workspace::new();
    workspace.put("f", "one\ntwo\nthree\nfour");
    let lines = |first, last| Part::Lines { first, last };
    let (content, text) = read(&workspace, "f", lines(2, Some(3)), 100);
    assert_eq!((text.as_str(), content.offset), ("two\nthree\n", 4));
    assert_eq!((content.total_lines, content.size, content.truncated), (Some(4), 18, false));
    assert_eq!(read(&workspace, "f", lines(4, None), 100).1, "four");
    assert_eq!(read(&workspace, "f", lines(9, None), 100).1, "");
    let (content, text) = read(&workspace, "f", lines(1, None), 9);
    assert_eq!((text.as_str(), content.truncated), ("one\ntwo\n", true));
    assert_eq!(read(&workspace, "f", Part::Bytes { offset: 14 }, 100).1, "four");
    workspace.put("u", "äää");
    assert_eq!(read(&workspace, "u", Part::Bytes { offset: 0 }, 3).1, "ä");
    workspace.put("b", b"a\0b");
    assert!(read(&workspace, "b", Part::Bytes { offset: 0 }, 100).0.binary);
}

#[test]
fn an_edit_replaces_what_occurs_once() {
    let workspace = Workspace::new();
    workspace.put("f", "a = 1\nb = 1\n  c = 2\n");
    let edit = |old: &str, new: &str, occurrences| {
        let length = |text: &str| u32::try_from(text.len()).unwrap();
        let (old_bytes, new_bytes) = (length(old), length(new));
        let edit = Edit { path: place("f"), old_bytes, new_bytes, occurrences };
        let bulk = [old.as_bytes(), new.as_bytes()].concat();
        workspace.file::<Edited>(&FileRequest::Edit(edit), &bulk).0
    };
    let several = edit("= 1", "= 3", Occurrences::One).unwrap_err();
    assert!(several.message.contains("2 times") && several.message.contains("lines 1, 2"));
    let near = edit("c =  2\n", "", Occurrences::One).unwrap_err();
    assert!(near.hints[0].contains("line 3"), "{near:?}");
    assert_eq!(edit("b = 1", "b = 9", Occurrences::One).unwrap().lines, [2]);
    assert_eq!(edit("= ", "=", Occurrences::All).unwrap().replaced, 3);
    assert_eq!(workspace.get("f"), "a =1\nb =9\n  c =2\n");
}

#[test]
fn listings_are_sorted_filtered_and_paged() {
    let workspace = Workspace::new();
    for path in ["a/x.rs", "a/y.txt", "a-b", "target/z.rs", ".git/config"] {
        workspace.put(path, "");
    }
    workspace.put(".gitignore", "target\n");
    let list = |depth, globs: &[&str], after: Option<&str>, limit| {
        let globs = globs.iter().map(|glob| (*glob).to_owned()).collect();
        let selection = Selection { globs, ignored: Ignored::Skip };
        let after = after.map(place);
        let list = List { path: place("."), depth, selection, after, limit };
        let listing = workspace.file::<Listing>(&FileRequest::List(list), &[]).0.unwrap();
        let names: Vec<String> =
            listing.entries.iter().map(|entry| entry.path.to_string()).collect();
        (names.join(" "), listing.more)
    };
    assert_eq!(list(Depth::Shallow, &[], None, 100).0, ".gitignore a a-b");
    assert_eq!(list(Depth::Deep, &[], None, 3), (".gitignore a a/x.rs".into(), true));
    assert_eq!(list(Depth::Deep, &[], Some("a/x.rs"), 9), ("a/y.txt a-b".into(), false));
    assert_eq!(list(Depth::Deep, &["*.rs"], None, 9).0, "a/x.rs");
    assert_eq!(list(Depth::Deep, &["!a/"], None, 9).0, ".gitignore a-b");
}

#[test]
fn things_are_moved_copied_and_deleted() {
    let workspace = Workspace::new();
    workspace.put("d/f", "1");
    fs::hard_link(workspace.at("d/f"), workspace.at("d/g")).unwrap();
    symlink("nowhere", workspace.at("d/l")).unwrap();
    let (from, to) = (place("d"), place("e/d"));
    let (parents, existing) = (Parents::Create, Existing::Keep);
    let copy = Copy { from: from.clone(), to: to.clone(), parents, existing };
    let copied = workspace.file::<Copied>(&FileRequest::Copy(copy.clone()), &[]).0.unwrap();
    assert_eq!((copied.entries, copied.bytes), (4, 1));
    assert_eq!(workspace.get("e/d/g"), "1");
    let again = workspace.file::<Copied>(&FileRequest::Copy(copy), &[]).0.unwrap_err();
    assert_eq!(again.kind, FailureKind::Conflict);
    let inside = Move { from: from.clone(), to: place("d/x"), parents, existing };
    let refused = workspace.file::<Entry>(&FileRequest::Move(inside), &[]).0.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid);
    let away = Move { from: from.clone(), to: place("m"), parents, existing };
    workspace.file::<Entry>(&FileRequest::Move(away), &[]).0.unwrap();
    assert!(workspace.at("m/f").exists() && !workspace.at("d").exists());
    let delete = |path: &str, depth| {
        let delete = Delete { path: place(path), depth };
        workspace.file::<Removed>(&FileRequest::Delete(delete), &[]).0
    };
    assert_eq!(delete("e", Depth::Shallow).unwrap_err().kind, FailureKind::Conflict);
    assert_eq!(delete("e", Depth::Deep).unwrap().entries, 5);
    assert_eq!(delete(".", Depth::Deep).unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(delete("nowhere", Depth::Deep).unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(fs::read_dir(workspace.path()).unwrap().count(), 1);
}
