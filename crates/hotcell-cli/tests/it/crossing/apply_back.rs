//! Changes of a workspace that are applied to the host's checkout.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use super::checkout;
use crate::support::*;

fn apply(workspace: &TestWorkspace, to: &Path, more: &[&str]) -> Output {
    let mut command = hotcell();
    command.args(["--json", "workspace", "apply-back", &workspace.id]).arg(to).args(more);
    command.output().unwrap()
}

/// What becomes of each file.
fn fates(output: &Output) -> Vec<(String, String)> {
    let told = json(output);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let files = told["files"].as_array().unwrap().iter();
    files.map(|file| (text(&file["path"]), text(&file["fate"]))).collect()
}

fn seeded(source: &Path) -> TestWorkspace {
    TestWorkspace::create(&["--seed-path", source.to_str().unwrap()])
}

/// What git would commit of a tree, whoever asks.
const TREE: &str = "git add -A && git write-tree && git reset -q";

#[test]
fn what_changed_inside_comes_to_the_host_once_it_is_allowed() {
    let source = checkout();
    let at = |name: &str| source.path().join(name);
    fs::set_permissions(at("file-1"), fs::Permissions::from_mode(0o640)).unwrap();
    let workspace = seeded(source.path());
    workspace.script(
        "echo changed > file-1; rm file-2; mv file-3 moved; mkdir -p new/deep && echo n > new/deep/f
         chmod +x file-4; ln -s file-5 inner; ln -s ../../outside src/outer
         printf '#!/bin/sh\n' > run.sh; chmod 4755 run.sh; echo '* filter=x' > .gitattributes
         mkdir -p .github/workflows .vscode && echo a > .github/workflows/ci.yml
         echo t > .vscode/tasks.json; mkdir -p bare/inner build/obj && echo o > build/o
         printf '\\0\\377' > data; printf x > \"$(printf 'odd\\377')\"; head -c 17000000 /dev/zero > large
         mkdir .GIT && echo evil > .GIT/config; echo evil >> .git/config; mkfifo pipe; mkdir -p .git/hooks
         echo evil > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    );
    let before = (git(source.path(), &["status", "--short"]), fs::metadata(source.path()).unwrap());
    let plan = apply(&workspace, source.path(), &[]);
    assert_code(&plan, 1);
    let told = json(&plan);
    assert_eq!((&told["mode"], &told["ignored"]), (&"plan".into(), &2.into()));
    assert_eq!(told["left_out"], serde_json::json!([".GIT/config", "pipe"]));
    let dangers: Vec<(String, String)> = told["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| file.get("dangers").is_some())
        .map(|file| (file["path"].to_string(), file["dangers"].to_string()))
        .collect();
    let named = |pairs: &[(&str, &str)]| {
        let json = |&(path, danger): &(&str, &str)| (format!("{path:?}"), format!("[{danger:?}]"));
        pairs.iter().map(json).collect::<Vec<_>>()
    };
    let expected = named(&[
        (".gitattributes", "git-settings"),
        (".github/workflows/ci.yml", "ci"),
        (".vscode/tasks.json", "editor-tasks"),
        ("file-4", "executable"),
        ("run.sh", "executable"),
        ("src/outer", "leaving-link"),
    ]);
    assert_eq!(dangers, expected);
    let refused = apply(&workspace, source.path(), &["--mode", "apply", "--allow", "ci"]);
    assert_code(&refused, 115);
    assert!(text(&refused.stderr).contains("--allow git-settings --allow editor-tasks"));
    let after = fs::metadata(source.path()).unwrap();
    assert_eq!(git(source.path(), &["status", "--short"]), before.0);
    assert_eq!((after.mtime(), after.mtime_nsec()), (before.1.mtime(), before.1.mtime_nsec()));
    let allowed = [
        "--mode",
        "apply",
        "--allow",
        "ci",
        "--allow",
        "git-settings",
        "--allow",
        "editor-tasks",
        "--allow",
        "executable",
        "--allow",
        "leaving-link",
    ];
    let applied = apply(&workspace, source.path(), &allowed);
    assert_code(&applied, 0);
    // git is the judge: both sides are one tree now, but for what was refused.
    workspace.script("rm -r .GIT pipe");
    let inside = workspace.script(TREE);
    let outside = std::process::Command::new("sh")
        .args(["-c", TREE])
        .current_dir(source.path())
        .output()
        .unwrap();
    assert_eq!(text(&outside.stdout), inside);
    assert_eq!(fs::metadata(at("file-1")).unwrap().mode() & 0o7777, 0o640, "its mode is kept");
    assert_eq!(fs::metadata(at("run.sh")).unwrap().mode() & 0o4111, 0o111);
    assert_eq!(fs::read_to_string(at("build/output")).unwrap(), "ours\n");
    assert!(at("bare/inner").is_dir() && !at("build/obj").exists());
    assert!(
        !at("build/o").exists() && !at(".GIT").exists() && !at(".git/hooks/pre-commit").exists()
    );
    assert!(!fs::read_to_string(at(".git/config")).unwrap().contains("evil"));
    let left = fs::read_dir(source.path()).unwrap().flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().contains("hotcell")));
    // Once more there is nothing to do.
    let again = apply(&workspace, source.path(), &[]);
    assert_code(&again, 0);
    assert!(fates(&again).iter().all(|(_, fate)| fate == "same"));
    let logs = hotcell().args(["--json", "workspace", "logs", &workspace.id]).output().unwrap();
    assert!(text(&logs.stdout).contains("\"applied_back\""));
}

#[test]
fn what_both_changed_is_merged_or_refused() {
    let source = checkout();
    let at = |name: &str| source.path().join(name);
    let lines =
        |edit: &dyn Fn(usize) -> String| (1..=30).map(|n| edit(n) + "\n").collect::<String>();
    fs::write(at("text"), lines(&|n| n.to_string())).unwrap();
    fs::write(at("both"), "same\n").unwrap();
    fs::write(at("mine"), "old\n").unwrap();
    let workspace = seeded(source.path());
    workspace.script(
        "sed -i 's/^3$/three/' text; echo inside > both; echo equal > file-1; rm file-2; echo i > file-3
         echo new > fresh; echo deep > src/code",
    );
    fs::write(at("text"), lines(&|n| if n == 28 { "28!".to_owned() } else { n.to_string() }))
        .unwrap();
    fs::write(at("file-1"), "equal\n").unwrap();
    fs::write(at("mine"), "host\n").unwrap();
    let merges = apply(&workspace, source.path(), &["--path", "text", "--path", "file-1"]);
    assert_code(&merges, 0);
    let fate = |path: &str, fate: &str| (path.to_owned(), fate.to_owned());
    assert_eq!(fates(&merges), [fate("file-1", "same"), fate("text", "merged")]);
    fs::write(at("both"), "outside\n").unwrap();
    fs::write(at("file-2"), "host\n").unwrap();
    fs::remove_file(at("file-3")).unwrap();
    // What lies behind a link is somewhere else.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("code"), "code\n").unwrap();
    fs::remove_dir_all(at("src")).unwrap();
    symlink(elsewhere.path(), at("src")).unwrap();
    let before = git(source.path(), &["status", "--short"]);
    let refused = apply(&workspace, source.path(), &["--mode", "apply"]);
    assert_code(&refused, 114);
    assert!(text(&refused.stderr).contains("both: both have changed the same lines"));
    assert_eq!(git(source.path(), &["status", "--short"]), before);
    assert_eq!(fs::read_to_string(at("text")).unwrap().lines().nth(2), Some("3"));
    let rest = apply(&workspace, source.path(), &["--mode", "apply", "--conflicts", "skip"]);
    assert_code(&rest, 0);
    let expected = [
        fate("both", "conflict"),
        fate("file-1", "same"),
        fate("file-2", "conflict"),
        fate("file-3", "conflict"),
        fate("fresh", "taken"),
        fate("src/code", "conflict"),
        fate("text", "merged"),
    ];
    assert_eq!(fates(&rest), expected);
    let merged = lines(&|n| match n {
        3 => "three".to_owned(),
        28 => "28!".to_owned(),
        n => n.to_string(),
    });
    assert_eq!(fs::read_to_string(at("text")).unwrap(), merged);
    let read = |name: &str| fs::read_to_string(at(name)).unwrap();
    assert_eq!(
        (read("both"), read("file-2"), read("mine")),
        ("outside\n".into(), "host\n".into(), "host\n".into())
    );
    assert_eq!(read("fresh"), "new\n");
    assert_eq!(fs::read_to_string(elsewhere.path().join("code")).unwrap(), "code\n");
    for (to, code) in [("/nowhere", 113), (at("mine").to_str().unwrap(), 2)] {
        assert_code(&apply(&workspace, Path::new(to), &[]), code);
    }
}

#[test]
fn a_killed_client_leaves_the_checkout_old_or_new() {
    let source = checkout();
    let workspace = seeded(source.path());
    workspace.script(
        "for n in $(seq 0 299); do echo new-$n > file-$n; done; rm -r src; mkdir -p s e/f && echo s > s/t",
    );
    let state = || {
        let read = |n: usize| fs::read_to_string(source.path().join(format!("file-{n}"))).unwrap();
        let new = (0..300).filter(|&n| read(n) == format!("new-{n}\n")).count();
        let old = (0..300).filter(|&n| read(n) == "x".repeat(n * 10)).count();
        let made = source.path().join("s/t").exists();
        let is_bare = source.path().join("e/f").exists();
        let is_left = fs::read_dir(source.path())
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("hotcell"));
        assert!(is_left || made == is_bare, "a directory on its own");
        (old, new, made, is_left)
    };
    let mut seen = std::collections::BTreeSet::new();
    for attempt in 0..12 {
        let mut command = hotcell();
        command.args(["workspace", "apply-back", &workspace.id]).arg(source.path());
        command.args(["--mode", "apply"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // The moment when things begin to change is different on each machine.
        eventually("it writes", || state().3 || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(attempt * 15));
        child.kill().unwrap();
        child.wait().unwrap();
        // Any use of the product settles what was left; another test's may be at it.
        let mut now = state();
        eventually("it is settled", || {
            assert_code(&hotcell().args(["workspace", "list"]).output().unwrap(), 0);
            now = state();
            !now.3
        });
        assert!(now == (300, 0, false, false) || now == (0, 300, true, false), "{now:?}");
        seen.insert(now);
        if now.1 == 300 {
            git(source.path(), &["reset", "--quiet", "--hard"]);
            git(source.path(), &["clean", "--quiet", "-fd"]);
        }
    }
    assert!(!seen.is_empty());
    assert_code(&apply(&workspace, source.path(), &["--mode", "apply"]), 0);
    assert_eq!(state(), (0, 300, true, false));
}
