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
        (String::new(), "nothing has changed\n".into())
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

fn snapshot(workspace: &TestWorkspace, name: &str) {
    let taken = hotcell().args(["snapshot", "create", &workspace.id, name]).output().unwrap();
    assert_code(&taken, 0);
}

fn compare(workspace: &TestWorkspace, from: &str, to: &str) -> Value {
    let mut compare = hotcell();
    compare.args(["--json", "snapshot", "compare", &workspace.id, from, to]);
    let output = compare.output().unwrap();
    assert_code(&output, 0);
    json(&output)
}

fn disk(workspace: &TestWorkspace, arguments: &[&str]) -> std::process::Output {
    let (verb, rest) = arguments.split_first().unwrap();
    hotcell().args(["--json", "disk", verb, &workspace.id]).args(rest).output().unwrap()
}

fn owned<const N: usize>(changes: [(&str, &str); N]) -> BTreeMap<String, String> {
    BTreeMap::from(changes.map(|(path, kind)| (path.to_owned(), kind.to_owned())))
}

#[test]
fn snapshots_are_compared_and_the_disks_of_a_stopped_workspace_are_read() {
    let tree = tree();
    let workspace = TestWorkspace::small_with(&["--seed-path", tree.path().to_str().unwrap()]);
    workspace.script("echo before > made; rm gone; echo kept > /etc/kept");
    snapshot(&workspace, "one");
    workspace.script(
        "echo later! > made; mkdir d; echo x > d/new; mv edited d/edited; ln -s new d/link; \
         head -c 3000000 /dev/zero | tr '\\0' x > d/large",
    );
    snapshot(&workspace, "two");
    let later = owned([
        ("d/edited", "renamed"),
        ("d/large", "added"),
        ("d/link", "added"),
        ("d/new", "added"),
        ("made", "modified"),
    ]);
    assert_eq!(told(&diff(&workspace, &["--against", "one"])), later);
    assert_eq!(told(&compare(&workspace, "one", "two")), later);
    let sooner = owned([("gone", "deleted"), ("made", "added")]);
    assert_eq!(told(&compare(&workspace, "baseline", "one")), sooner);
    assert_eq!(diff(&workspace, &["--against", "two"])["counts"]["total"], 0);
    let running = patch(&workspace, &["--against", "one", "--max-bytes", "9000000"]);
    assert!(text(&running).contains("-before\n+later!\n"));
    let unknown = ["workspace", "diff", &workspace.id, "--against", "three"];
    assert_code(&hotcell().args(unknown).output().unwrap(), 113);
    assert_code(&disk(&workspace, &["list"]), 114);

    let output =
        hotcell().args(["--json", "workspace", "summary", &workspace.id]).output().unwrap();
    assert_eq!(json(&output)["changes"]["counts"]["total"], 6);
    assert_code(&hotcell().args(["workspace", "hibernate", &workspace.id]).output().unwrap(), 0);
    let refused = disk(&workspace, &["list"]);
    assert_code(&refused, 114);
    assert!(text(&refused.stderr).contains("give its memory up"), "{}", text(&refused.stderr));
    assert_eq!(told(&diff(&workspace, &["--against", "one"])), later, "and it woke for that");
    assert_code(&hotcell().args(["workspace", "stop", &workspace.id]).output().unwrap(), 0);
    assert_eq!(patch(&workspace, &["--against", "one", "--max-bytes", "9000000"]), running);
    let listed = json(&disk(&workspace, &["list", "/workspace/d"]));
    let paths = listed["entries"].as_array().unwrap().iter().map(|entry| entry["path"].as_str());
    let expected = ["edited", "large", "link", "new"].map(|name| format!("/workspace/d/{name}"));
    assert!(paths.eq(expected.iter().map(|path| Some(path.as_str()))), "{listed}");
    assert_eq!(listed["entries"][2]["target"], "new");
    let read = json(&disk(&workspace, &["read", "/workspace/d/new"]));
    assert_eq!(read["content"]["text"], "x\n");
    assert_eq!(json(&disk(&workspace, &["read", "/etc/kept"]))["content"]["text"], "kept\n");
    let all = json(&disk(&workspace, &["list", "/", "--recursive", "--limit", "10000"]));
    let has = |path: &str| all["entries"].as_array().unwrap().iter().any(|one| one["path"] == path);
    assert!(has("/workspace/d/new") && has("/etc/kept"));
    for (arguments, code) in [
        (&["read", "/workspace/none"][..], 113),
        (&["read", "/workspace/d"], 114),
        (&["read", "/workspace/d/link"], 114),
        (&["read", "workspace/d/new"], 2),
        (&["list", "/workspace/../etc"], 2),
    ] {
        assert_code(&disk(&workspace, arguments), code);
    }

    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    let export = ["export", image.to_str().unwrap(), "--drive", "workspace"];
    assert_code(&disk(&workspace, &export), 0);
    assert_code(&disk(&workspace, &export), 114);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "something else was left");
    let logs = hotcell().args(["--json", "workspace", "logs", &workspace.id]).output().unwrap();
    assert!(text(&logs.stdout).contains("\"drive workspace\""), "{}", text(&logs.stdout));
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(&image).unwrap();
    assert!(metadata.blocks() * 512 < metadata.len() / 50, "{metadata:?}");
    // e2fsprogs is the judge of what is in it.
    let fixed = Command::new("e2fsck").args(["-f", "-y"]).arg(&image).output().unwrap();
    assert!(fixed.status.code().is_some_and(|code| code < 4), "{}", text(&fixed.stdout));
    let read = Command::new("debugfs").args(["-R", "cat /d/new"]).arg(&image).output().unwrap();
    assert_eq!(text(&read.stdout), "x\n");
    assert_code(&hotcell().args(["workspace", "start", &workspace.id]).output().unwrap(), 0);
    assert_eq!(workspace.script("cat d/new /etc/kept"), "x\nkept\n");
}
