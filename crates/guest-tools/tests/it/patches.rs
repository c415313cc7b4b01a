//! The tool `patch`, with `git apply` as the judge.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use guest_protocol::tools::patch::Intent;
use proptest::prelude::*;

use crate::support::*;

/// What a file can be.
#[derive(Debug, Clone)]
enum Thing {
    Text(Vec<u8>),
    Data(Vec<u8>),
    Script(Vec<u8>),
    Link(String),
}

fn thing() -> impl Strategy<Value = Thing> {
    let line = prop::sample::select(vec!["alpha", "beta", "gamma", "", "delta\r", "\tä x", "-- y"]);
    let text = (prop::collection::vec(line, 0..24), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text = lines.join("\n");
        if ends && !text.is_empty() {
            text.push('\n');
        }
        text.into_bytes()
    });
    prop_oneof![
        6 => text.clone().prop_map(Thing::Text),
        2 => prop::collection::vec(any::<u8>(), 0..300).prop_map(|mut data| {
            data.insert(0, 0);
            Thing::Data(data)
        }),
        1 => text.prop_map(Thing::Script),
        1 => "[a-c]{1,4}".prop_map(Thing::Link),
    ]
}

const NAMES: &[&[u8]] = &[
    b"a" as &[u8],
    b"b",
    b"dir/c",
    b"dir/d e",
    b"dir",
    b"dir/sub/f",
    "\u{e9}t\u{e9}".as_bytes(),
    b"no\xfftext",
    b"q\"uote",
    b"tab\there",
];

fn trees() -> impl Strategy<Value = (Vec<Option<Thing>>, Vec<Option<Thing>>)> {
    let tree = || prop::collection::vec(prop::option::of(thing()), NAMES.len());
    // Some files stay as they are, some change places, some change a little.
    (tree(), tree(), prop::collection::vec(0..5_u8, NAMES.len())).prop_map(|(old, new, how)| {
        let after = (0..NAMES.len())
            .map(|n| match how[n] {
                0 => new[n].clone(),
                1 => old[(n + 1) % NAMES.len()].clone(),
                2 => match (&old[n], &new[n]) {
                    (Some(Thing::Text(one)), Some(Thing::Text(two))) => {
                        Some(Thing::Text([one.as_slice(), two].concat()))
                    }
                    (Some(Thing::Data(one)), Some(Thing::Data(two))) => {
                        Some(Thing::Data([one.as_slice(), two].concat()))
                    }
                    (old, _) => old.clone(),
                },
                _ => old[n].clone(),
            })
            .collect();
        (old, after)
    })
}

fn fill(at: &Path, things: &[Option<Thing>]) {
    for (name, thing) in NAMES.iter().zip(things) {
        let path = at.join(std::ffi::OsStr::from_bytes(name));
        let Some(thing) = thing else { continue };
        // `dir` is a directory or a file.
        if path.exists() || fs::create_dir_all(path.parent().unwrap()).is_err() {
            continue;
        }
        match thing {
            Thing::Text(bytes) | Thing::Data(bytes) => fs::write(&path, bytes).unwrap(),
            Thing::Script(bytes) => {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            Thing::Link(target) => symlink(target, &path).unwrap(),
        }
    }
}

/// A repository with two commits, and the patch between them.
fn patch_between(old: &[Option<Thing>], new: &[Option<Thing>], options: &[&str]) -> Vec<u8> {
    let repository = Workspace::new();
    repository.git(&["init", "--quiet"]);
    fill(repository.path(), old);
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--allow-empty", "-m", "old"]);
    for child in fs::read_dir(repository.path()).unwrap().flatten() {
        if child.file_name() == ".git" {
        } else if child.file_type().unwrap().is_dir() {
            fs::remove_dir_all(child.path()).unwrap();
        } else {
            fs::remove_file(child.path()).unwrap();
        }
    }
    fill(repository.path(), new);
    repository.git(&["add", "--all"]);
    let patch = repository.git(&[&["diff", "--cached"], options].concat());
    assert!(patch.status.success());
    patch.stdout
}

/// Applies a patch with git and with the tool to copies of one tree.
fn judge(base: &[Option<Thing>], patch: &[u8]) -> Result<(), TestCaseError> {
    let (ours, theirs) = (Workspace::new(), Workspace::new());
    fill(ours.path(), base);
    fill(theirs.path(), base);
    let before = ours.tree();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("patch");
    fs::write(&file, patch).unwrap();
    let judged = theirs.git(&["apply", file.to_str().unwrap()]);
    let applied = ours.patch(patch, Intent::Apply);
    let text = String::from_utf8_lossy(patch).into_owned();
    let said = String::from_utf8_lossy(&judged.stderr).into_owned();
    // Git refuses what it prints itself when a link is renamed into a directory
    // of the link's name: the patch does not say that it was a link.
    if said.contains("is beyond a symbolic link") {
        return Ok(());
    }
    prop_assert_eq!(applied.is_ok(), judged.status.success(), "{:?}\n{}\n{}", applied, said, text);
    if applied.is_ok() {
        prop_assert_eq!(ours.tree(), theirs.tree(), "{}", text);
    } else {
        prop_assert_eq!(ours.tree(), before, "{}", text);
    }
    prop_assert!(!ours.at(".hotcell-staging").exists());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_git_prints_is_applied_as_git_applies_it((old, new) in trees(), n in 0..4_usize) {
        let options: &[&str] = [
            &["--binary"][..],
            &["--binary", "--find-renames=30%", "--find-copies-harder"],
            &["--binary", "--unified=1", "--no-renames"],
            &["--binary", "--full-index", "--find-renames"],
        ][n];
        judge(&old, &patch_between(&old, &new, options))?;
    }

    #[test]
    fn a_patch_for_another_tree_is_judged_as_git_judges_it(
        (old, new) in trees(), (base, _) in trees(), n in 0..2_usize,
    ) {
        let patch = patch_between(&old, &new, [&["--binary"][..], &[]][n]);
        // Half of the files are those that the patch was made for.
        let mixed: Vec<Option<Thing>> = (0..NAMES.len())
            .map(|n| if n % 2 == 0 { old[n].clone() } else { base[n].clone() })
            .collect();
        judge(&mixed, &patch)?;
    }
}

/// Lines `1` to `60`, each once.
fn numbers(workspace: &Workspace, skip: u32) {
    let text: String = (1..=60).filter(|n| *n != skip).map(|n| format!("line {n}\n")).collect();
    workspace.put("f", text);
}

const HUNKS: &str = "--- a/f\n+++ b/f\n@@ -20,3 +20,3 @@\n line 20\n-line 21\n+LINE 21\n line 22\n\
                     @@ -40,3 +40,3 @@\n line 40\n-line 41\n+LINE 41\n line 42\n";

#[test]
fn hunks_are_found_where_their_lines_are() {
    let workspace = Workspace::new();
    numbers(&workspace, 3);
    let applied = workspace.patch(HUNKS.as_bytes(), Intent::Apply).unwrap();
    assert_eq!(
        applied.files[0].moved_hunks.iter().map(|hunk| hunk.lines).collect::<Vec<_>>(),
        [-1, -1]
    );
    assert!(workspace.get("f").contains("LINE 21\nline 22\n"));
}

#[test]
fn one_hunk_that_does_not_match_changes_nothing_and_is_shown() {
    let workspace = Workspace::new();
    numbers(&workspace, 41);
    workspace.put("g", "old\n");
    let patch = format!("--- a/g\n+++ b/g\n@@ -1 +1 @@\n-old\n+new\n{HUNKS}");
    let before = workspace.tree();
    let refused = workspace.patch(patch.as_bytes(), Intent::Apply).unwrap_err();
    assert_eq!(workspace.tree(), before);
    assert!(refused.message.contains("hunk 2 (line 13 of the patch)"), "{}", refused.message);
    assert!(refused.message.contains("most like it is line 40:"), "{}", refused.message);
    assert!(refused.message.contains("< line 41\n> line 42"), "{}", refused.message);
}

#[test]
fn what_models_do_to_patches_is_borne() {
    let workspace = Workspace::new();
    workspace.put("f", "a\n\nb\n\nc\n");
    // Blank lines of context without their space, and no end of the last line.
    let patch = "some words\n--- a/f\n+++ b/f\n@@ -1,5 +1,5 @@\n a\n\n-b\n+B\n\n c";
    workspace.patch(patch.as_bytes(), Intent::Check).unwrap();
    assert_eq!(workspace.get("f"), "a\n\nb\n\nc\n");
    workspace.patch(patch.as_bytes(), Intent::Apply).unwrap();
    assert_eq!(workspace.get("f"), "a\n\nB\n\nc\n");
}

#[test]
fn no_name_leads_out() {
    let workspace = Workspace::new();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), workspace.at("link")).unwrap();
    for name in ["../x", "/x", ".git/hooks/x", "link/x", "a/../../x"] {
        let patch = format!(
            "diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n\
             @@ -0,0 +1 @@\n+x\n"
        );
        assert!(workspace.patch(patch.as_bytes(), Intent::Apply).is_err(), "{name}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(workspace.path()).unwrap().count(), 1);
}
