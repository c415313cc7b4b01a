//! What changed in a workspace, with `git apply` as the judge.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::*;

/// A tree with something of everything, none of it known to git.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let put = |path: &str, content: &[u8]| {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    put("stays", b"as it is\n");
    put("touched", b"as it is\n");
    put("same size and time", b"abc\n");
    put("edited", b"one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n");
    put("gone", b"gone\n");
    put("script", b"#!/bin/sh\n");
    put("data", b"\0\x01\x02\xff");
    put("becomes a link", b"text\n");
    put("moved/whole", b"a\nb\nc\nd\ne\nf\ng\n");
    put("moved/changed", b"1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    // One takes the other's place below, and nothing of the files changes.
    put("versions/one/x", b"version 1\n");
    put("versions/two/x", b"version 2\n");
    std::os::unix::fs::symlink("nowhere", tree.path().join("link")).unwrap();
    tree
}

/// Changes all of that.
const CHANGES: &str = r#"set -e
touch touched
touch -r 'same size and time' /tmp/time
printf 'abX\n' > 'same size and time'
touch -r /tmp/time 'same size and time'
sed -i 's/two/2/; s/nine/9/' edited
printf 'no newline' >> edited
rm gone 'becomes a link'
ln -s stays 'becomes a link'
ln -sfn elsewhere link
chmod 755 script
printf '\001\000\003' > data
mkdir elsewhere
mv moved/whole elsewhere/
sed 's/5/!/' moved/changed > elsewhere/changed
rm -r moved
mv versions/one versions/old
mv versions/two versions/one
mv versions/old versions/two
: > empty
mkdir -p dir/nothing
printf 'x\n' > "$(printf 'caf\303\251 \377\t"')"
head -c 300000 /dev/urandom > random
git init --quiet; git add -A
"#;

fn diff(workspace: &TestWorkspace, arguments: &[&str]) -> Value {
    let output = hotcell()
        .args(["--json", "workspace", "diff", &workspace.id])
        .args(arguments)
        .output()
        .unwrap();
    assert_code(&output, 0);
    json(&output)
}

fn patch(workspace: &TestWorkspace, arguments: &[&str]) -> Vec<u8> {
    let output = hotcell()
        .args(["workspace", "diff", &workspace.id, "--format", "patch"])
        .args(arguments)
        .output()
        .unwrap();
    assert_code(&output, 0);
    output.stdout
}

/// Path and kind of each change.
fn told(difference: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let changes = difference["changes"].as_array().unwrap().iter();
    changes.map(|change| (text(&change["path"]), text(&change["change"]))).collect()
}

/// What lies in a directory, as a script prints it here and in a guest.
const LISTED: &str = "find . -name .git -prune -o \\( -type f -o -type l \\) -print0 | LC_ALL=C sort -z \
     | while IFS= read -r -d '' f; do printf '%s\\0' \"$f\"; \
       if [ -h \"$f\" ]; then readlink \"$f\"; else stat -c %A \"$f\" | cut -c4; cat \"$f\"; fi; done \
     | sha256sum";

fn listed_on_host(at: &Path) -> String {
    let output = Command::new("bash").arg("-c").arg(LISTED).current_dir(at).output().unwrap();
    assert_code(&output, 0);
    text(&output.stdout)
}

fn listed_in(workspace: &TestWorkspace) -> String {
    let output = workspace.exec(&[], &["bash", "-c", LISTED]);
    assert_code(&output, 0);
    text(&output.stdout)
}

#[test]
fn a_patch_makes_the_changed_tree_of_the_one_that_it_was() {
    let tree = tree();
    let seed = ["--seed-path", tree.path().to_str().unwrap()];
    let changed = TestWorkspace::create(&seed);
    assert_eq!(diff(&changed, &[])["counts"]["total"], 0);
    changed.script(CHANGES);
    let difference = diff(&changed, &["--format", "stat"]);
    let expected = [
        ("\"caf\u{e9} \\377\\t\\\"\"", "added"),
        ("becomes a link", "type_changed"),
        ("data", "modified"),
        ("dir/nothing", "added"),
        ("edited", "modified"),
        ("elsewhere/changed", "renamed"),
        ("elsewhere/whole", "renamed"),
        ("empty", "added"),
        ("gone", "deleted"),
        ("link", "modified"),
        ("random", "added"),
        ("same size and time", "modified"),
        ("script", "modified"),
        ("versions/one/x", "modified"),
        ("versions/two/x", "modified"),
    ];
    let expected = expected.map(|(path, kind)| (path.to_owned(), kind.to_owned()));
    assert_eq!(told(&difference), BTreeMap::from(expected));
    let of = |path: &str| {
        let changes = difference["changes"].as_array().unwrap();
        changes.iter().find(|change| change["path"] == path).unwrap().clone()
    };
    assert_eq!(of("edited")["lines"], serde_json::json!({"added": 3, "removed": 2}));
    assert_eq!(of("elsewhere/changed")["from"], "moved/changed");
    assert_eq!(of("elsewhere/whole")["similarity"], 100);
    assert_eq!(of("data")["binary"], true);
    assert_eq!(of("dir/nothing")["no_patch"], "not_kept_by_git");
    assert_eq!(of("script")["before"]["mode"], "644");
    assert_eq!(of("script")["after"]["mode"], "755");

    // Through `git apply` on the host, and through `patch apply` in another one.
    let whole = patch(&changed, &[]);
    let applied = with_input(git_apply(tree.path()), whole.clone());
    assert_code(&applied, 0);
    assert_eq!(listed_on_host(tree.path()), listed_in(&changed));
    let other = {
        // The seed's image is what it was, whatever became of the directory.
        let pristine = self::tree();
        let other = TestWorkspace::create(&["--seed-path", pristine.path().to_str().unwrap()]);
        let mut apply = hotcell();
        apply.args(["patch", "apply", &other.id]);
        assert_code(&with_input(apply, whole.clone()), 0);
        other
    };
    assert_eq!(listed_in(&other), listed_in(&changed));
    assert_eq!(patch(&other, &[]), whole, "the same tree is told differently");

    // In parts that together are the whole, and each a patch of its own.
    let mut parts = Vec::new();
    let mut options = vec!["--limit".to_owned(), "4".to_owned()];
    loop {
        let these: Vec<&str> = options.iter().map(String::as_str).collect();
        parts.extend_from_slice(&patch(&changed, &these));
        let part = diff(&changed, &these);
        assert!(part["changes"].as_array().unwrap().len() <= 4);
        let Some(next) = part["next"].as_str() else { break };
        options.truncate(2);
        options.extend(["--after".to_owned(), next.to_owned()]);
    }
    assert_eq!(parts, whole);
    let few = diff(&changed, &["--format", "patch", "--max-bytes", "1024"]);
    assert!(few["next"].is_string(), "{few}");
    let long = diff(&changed, &["random", "--format", "patch", "--max-bytes", "1024"]);
    assert_eq!(long["changes"][0]["no_patch"], "too_long");
    let below = diff(&changed, &["versions", "link"]);
    let expected = ["link", "versions/one/x", "versions/two/x"];
    assert!(told(&below).keys().eq(expected), "{below}");

    let output = hotcell().args(["workspace", "reset", &changed.id]).output().unwrap();
    assert_code(&output, 0);
    assert_eq!(diff(&changed, &[])["counts"]["total"], 0);
}

fn git_apply(at: &Path) -> Command {
    let mut git = Command::new("git");
    git.args(["-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"]).current_dir(at);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CEILING_DIRECTORIES", at.parent().unwrap());
    git
}

#[test]
fn without_a_seed_everything_is_new() {
    let workspace = TestWorkspace::create(&[]);
    let output = hotcell().args(["workspace", "diff", &workspace.id]).output().unwrap();
    assert_code(&output, 0);
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        (String::new(), "Nothing has changed\n".into())
    );
    workspace.script("mkdir a; echo x > a/b; mkfifo pipe");
    let output = hotcell().args(["workspace", "diff", &workspace.id]).output().unwrap();
    assert_eq!(text(&output.stdout), "A a/b\nA pipe\n");
    for outside in ["/etc", "../x"] {
        let output =
            hotcell().args(["workspace", "diff", &workspace.id, outside]).output().unwrap();
        assert_ne!(output.status.code(), Some(0), "{outside}");
    }
}
