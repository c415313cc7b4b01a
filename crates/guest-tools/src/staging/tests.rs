//! What a tool that dies, or a step that fails, leaves.

use std::fs;
use std::mem::forget;
use std::os::unix::fs::MetadataExt as _;

use super::*;

/// A file that is replaced, one that goes with its directory, and a new one in
/// a new directory.
fn prepared(at: &std::path::Path) -> (Root, Vec<(&'static str, Option<&'static str>)>) {
    fs::write(at.join("changed"), "old").unwrap();
    fs::create_dir(at.join("gone")).unwrap();
    fs::write(at.join("gone/file"), "old").unwrap();
    let after = vec![("changed", Some("new")), ("gone/file", None), ("made/here/f", Some("new"))];
    (Root::open(at).unwrap(), after)
}

fn staged(at: &std::path::Path, staging: &mut Staging<'_>) -> Journal {
    let path = |text: &str| text.parse::<WorkspacePath>().unwrap();
    let inode = |text: &str| Some(fs::symlink_metadata(at.join(text)).unwrap().ino());
    let mut new = || {
        let slot = staging.finished_file(b"new", 0o644, None).unwrap();
        (slot, Some(staging.inode(slot).unwrap()))
    };
    let ((one, one_inode), (two, two_inode)) = (new(), new());
    let steps = vec![
        Step { path: path("gone/file"), slot: staging.slot(), old: inode("gone/file"), new: None },
        Step { path: path("changed"), slot: one, old: inode("changed"), new: one_inode },
        Step { path: path("made/here/f"), slot: two, old: None, new: two_inode },
    ];
    Journal { directories: vec![path("made"), path("made/here")], steps }
}

/// Frees the locks without cleaning up, as the kernel does for a dead process.
fn die(staging: Staging<'_>) {
    rustix::fs::flock(&staging.directory, FlockOperation::Unlock).unwrap();
    unlock(staging.root);
    forget(staging);
}

fn assert_after(at: &std::path::Path, after: &[(&str, Option<&str>)]) {
    for (path, content) in after {
        assert_eq!(fs::read_to_string(at.join(path)).ok().as_deref(), *content, "{path}");
    }
    assert!(!at.join("gone").exists(), "an empty directory is left");
    assert!(!at.join(STAGING).exists(), "something is left aside");
}

fn assert_before(at: &std::path::Path) {
    assert_eq!(fs::read_to_string(at.join("changed")).unwrap(), "old");
    assert_eq!(fs::read_to_string(at.join("gone/file")).unwrap(), "old");
    assert!(!at.join("made").exists(), "a new directory is left");
    assert!(!at.join(STAGING).exists(), "something is left aside");
}

#[test]
fn a_death_before_the_journal_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (root, _) = prepared(directory.path());
    let mut staging = Staging::begin(&root).unwrap();
    staging.lock().unwrap();
    let _ = staged(directory.path(), &mut staging);
    die(staging);
    Root::open(directory.path()).unwrap();
    assert_before(directory.path());
}

#[test]
fn a_death_after_any_step_is_carried_to_the_end() {
    for done in 0..=3 {
        let directory = tempfile::tempdir().unwrap();
        let (root, after) = prepared(directory.path());
        let mut staging = Staging::begin(&root).unwrap();
        staging.lock().unwrap();
        let journal = staged(directory.path(), &mut staging);
        staging.write_journal(&journal).unwrap();
        let steps = journal.steps[..done].to_vec();
        forward(&root, &staging.directory, &Journal { steps, ..Journal::default() }).unwrap();
        die(staging);
        Root::open(directory.path()).unwrap();
        assert_after(directory.path(), &after);
    }
}

#[test]
fn a_step_that_fails_undoes_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (root, _) = prepared(directory.path());
    let mut staging = Staging::begin(&root).unwrap();
    let mut journal = staged(directory.path(), &mut staging);
    // Somebody has put something there meanwhile.
    fs::write(directory.path().join("late"), "theirs").unwrap();
    let slot = staging.finished_file(b"ours", 0o644, None).unwrap();
    let new = Some(staging.inode(slot).unwrap());
    journal.steps.push(Step { path: "late".parse().unwrap(), slot, old: None, new });
    let refused = staging.commit(&journal).unwrap_err();
    assert!(matches!(refused, ToolError::Exists(_)), "{refused:?}");
    drop(staging);
    assert_before(directory.path());
    assert_eq!(fs::read_to_string(directory.path().join("late")).unwrap(), "theirs");
}

#[test]
fn a_death_while_steps_are_undone_leaves_all_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (root, _) = prepared(directory.path());
    let mut staging = Staging::begin(&root).unwrap();
    staging.lock().unwrap();
    let journal = staged(directory.path(), &mut staging);
    staging.write_journal(&journal).unwrap();
    forward(&root, &staging.directory, &journal).unwrap();
    // The last step alone is undone, then nobody is left.
    let steps = journal.steps[2..].to_vec();
    backward(&root, &staging.directory, &Journal { steps, ..Journal::default() }).unwrap();
    die(staging);
    let after = [("changed", Some("new")), ("gone/file", None), ("made/here/f", Some("new"))];
    Root::open(directory.path()).unwrap();
    assert_after(directory.path(), &after);
}
