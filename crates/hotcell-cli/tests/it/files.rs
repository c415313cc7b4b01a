//! Files, search and patches of a workspace, on a real machine.

use crate::support::*;

fn file(workspace: &TestWorkspace, verb: &str, arguments: &[&str]) -> std::process::Output {
    hotcell().args(["--json", "file", verb, &workspace.id]).args(arguments).output().unwrap()
}

#[test]
fn files_are_written_read_edited_and_found() {
    let workspace = TestWorkspace::create(&[]);
    let mut write = hotcell();
    write.args(["file", "write", &workspace.id, "src/data", "--parents"]);
    let noise: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    assert_code(&with_input(write, noise.clone()), 0);
    let mut read = hotcell();
    read.args(["file", "read", &workspace.id, "src/data", "--max-bytes", "1000000"]);
    assert!(read.output().unwrap().stdout == noise, "what came back is not what went in");
    let bytes = ["src/bytes", "--text", "AAH/\n/v8=", "--encoding", "base64"];
    assert_code(&file(&workspace, "write", &bytes), 0);
    let read = json(&file(&workspace, "read", &["src/bytes"]));
    assert_eq!(read["content"]["base64"], "AAH//v8=", "{read}");
    for wrong in [&["--text", "no base64!"][..], &[]] {
        let bad = [&["src/bytes", "--encoding", "base64"], wrong].concat();
        assert_code(&file(&workspace, "write", &bad), 2);
    }
    let script = "#!/bin/sh\necho one\necho two\n";
    assert_code(&file(&workspace, "write", &["run.sh", "--text", script, "--mode", "755"]), 0);
    let edited = file(&workspace, "edit", &["run.sh", "--old", "one", "--new", "1"]);
    assert_eq!(json(&edited)["lines"], serde_json::json!([2]));
    assert_eq!(workspace.script("./run.sh"), "1\ntwo\n");
    let lines = file(&workspace, "read", &["run.sh", "--lines", "2-3"]);
    assert_eq!(json(&lines)["content"]["text"], "echo 1\necho two\n");
    let found = file(&workspace, "search", &["two"]);
    assert_eq!(json(&found)["lines"][0]["path"], "run.sh");
    assert_code(&file(&workspace, "search", &["three"]), 1);
    let listed = json(&file(&workspace, "list", &["--recursive", "--limit", "2"]));
    assert_eq!((&listed["entries"][1]["path"], &listed["next"]), (&"src".into(), &"src".into()));
}

#[test]
fn what_is_refused_changes_nothing() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script("echo a > f; ln -s /etc link; echo a > g; echo a >> g");
    for (verb, arguments, code) in [
        ("read", &["../etc/passwd"][..], 115),
        ("read", &["link/passwd"], 115),
        ("write", &["link/new", "--text", "x"], 115),
        ("write", &["f", "--text", "x", "--create-only"], 114),
        ("write", &["missing/f", "--text", "x"], 113),
        ("edit", &["g", "--old", "a", "--new", "b"], 114),
        ("move", &["f", "g"], 114),
        ("delete", &["."], 2),
        ("stat", &["nothing"], 113),
    ] {
        assert_code(&file(&workspace, verb, arguments), code);
    }
    assert_eq!(
        workspace.script("cat f g; ls /etc/new 2>/dev/null; ls -A"),
        "a\na\na\nf\ng\nlink\n"
    );
}

#[test]
fn a_patch_is_applied_whole_or_not_at_all() {
    let workspace = TestWorkspace::create(&[]);
    let patch = workspace.script(
        "git init -q . && git config user.email t@example.org && git config user.name t
         seq 30 > numbers; head -c 3000 /dev/zero > data; echo x > gone
         git add . && git commit -qm old
         sed -i s/^15$/fifteen/ numbers; git mv numbers renamed; git rm -q gone
         head -c 2000 /dev/urandom >> data; printf 'no end' > new; chmod +x data
         git add . && git diff --cached --binary && git stash -q >&2",
    );
    let host = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(host.path(), &patch).unwrap();
    let from_file = |path: &str, more: &[&str]| {
        let mut apply = hotcell();
        apply.args(["patch", "apply", &workspace.id, "--patch-file", path]).args(more);
        apply.output().unwrap()
    };
    let path = host.path().to_str().unwrap();
    assert_code(&from_file(path, &["--check"]), 0);
    assert_code(&from_file(path, &["--patch", "x"]), 2);
    assert_code(&from_file("/nowhere/at/all", &[]), 113);
    let mut apply = hotcell();
    apply.args(["patch", "apply", &workspace.id]);
    let applied = with_input(apply, patch.into_bytes());
    assert_code(&applied, 0);
    assert!(text(&applied.stdout).contains("R renamed (from numbers) +1 -1"));
    let same = workspace.script("git add -A && git diff --cached stash@{0} && git reset -q --hard");
    assert_eq!(same, "");
    workspace.script("sed -i s/^14$/FOURTEEN/ numbers");
    let before = workspace.script("git status --short");
    let refused = from_file(path, &[]);
    assert_code(&refused, 114);
    assert!(text(&refused.stderr).contains("> FOURTEEN"), "{}", text(&refused.stderr));
    assert_eq!(workspace.script("git status --short"), before);
}
