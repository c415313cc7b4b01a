//! What is told beside the patch.

use std::fs;
use std::time::{Duration, SystemTime};

use guest_protocol::tools::file::Kind;
use tree_diff::{Status, Tree as _, compare};

use crate::support::*;

fn told(before: &mut Directory, after: &mut Directory) -> Vec<(String, Status)> {
    let changes = compare(before, after).unwrap().changes;
    changes.iter().map(|change| (change.path.to_string(), change.status())).collect()
}

#[test]
fn a_change_of_equal_size_and_time_is_found_and_a_touch_is_none() {
    let mut before = Directory::new();
    before.put("touched", "same");
    before.put("secretly", "abcd");
    let mut after = before.copy();
    let at = |directory: &Directory, name: &str| {
        fs::symlink_metadata(directory.at(name)).unwrap().modified().unwrap()
    };
    let time = at(&before, "secretly");
    after.put("secretly", "abcX");
    let file = fs::File::options().write(true).open(after.at("secretly")).unwrap();
    file.set_modified(time).unwrap();
    fs::File::options()
        .write(true)
        .open(after.at("touched"))
        .unwrap()
        .set_modified(SystemTime::now() + Duration::from_secs(9))
        .unwrap();
    assert_eq!(at(&after, "secretly"), time);
    assert_eq!(told(&mut before, &mut after), [("secretly".to_owned(), Status::Modified)]);
}

#[test]
fn what_git_cannot_keep_is_told_and_in_no_patch() {
    let mut before = Directory::new();
    fs::create_dir(before.at("was empty")).unwrap();
    before.put("private", "x");
    let mut after = Directory::new();
    fs::create_dir_all(after.at("new/empty")).unwrap();
    after.put("private", "x");
    after.set_mode("private", 0o600);
    after.put(".git/config", "no part of any diff");
    after.put("sub/.git", "gitdir: elsewhere");
    let (changes, patch) = difference(&mut before, &mut after);
    assert_eq!(String::from_utf8_lossy(&patch), "");
    let told: Vec<_> =
        changes.iter().map(|change| (change.path.to_string(), change.status())).collect();
    let expected = [
        ("new/empty", Status::Added),
        ("private", Status::Modified),
        ("sub", Status::Added),
        ("was empty", Status::Deleted),
    ];
    assert_eq!(told, expected.map(|(path, status)| (path.to_owned(), status)));
    assert!(changes.iter().all(|change| !change.is_told_by_patch()));
}

#[test]
fn of_many_files_that_changed_places_each_is_found() {
    let (mut before, mut after) = (Directory::new(), Directory::new());
    for n in 0..200 {
        before.put(&format!("old/{n}"), format!("content {n}\n"));
        after.put(&format!("new/{n}"), format!("content {n}\n"));
    }
    let changes = compare(&mut before, &mut after).unwrap().changes;
    assert_eq!(changes.len(), 200);
    for change in changes {
        let origin = change.from.clone().unwrap();
        assert_eq!(origin.path.to_string(), change.path.to_string().replace("new", "old"));
        assert_eq!((change.status(), origin.similarity), (Status::Renamed, 100));
    }
}

#[test]
fn a_tree_of_a_deep_path_and_a_pipe_is_listed() {
    let mut directory = Directory::new();
    let deep = vec!["d"; 100].join("/");
    directory.put(&format!("{deep}/file"), "x");
    let pipe = directory.at("pipe");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let entries = directory.entries().unwrap();
    assert_eq!(entries.len(), 102);
    assert_eq!(entries.last().unwrap().kind, Kind::Special);
    assert!(entries.is_sorted_by_key(|entry| entry.path.clone()));
}
