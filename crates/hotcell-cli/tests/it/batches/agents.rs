//! Which agents there are, and what is known of those that are found here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::*;

fn program(directory: &Path, name: &str, says: &str) {
    let file = directory.join(name);
    fs::write(&file, format!("#!/bin/sh\necho '{says}'; touch \"$HOME/was-here\"\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_is_proved_and_what_is_here_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    let list = |json: &[&str]| {
        let mut command = hotcell_in(&directory.path().join("home"));
        let search = format!("relative:{}:{}:/bin", first.display(), second.display());
        command.env("PATH", search).args(["batch", "agents"]).args(json).output().unwrap()
    };
    let none = list(&[]);
    assert_code(&none, 0);
    assert!(text(&none.stderr).contains("no agent"), "{}", text(&none.stderr));
    let listed = json(&list(&["--json"]));
    let kinds = listed["agents"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds.map(|agent| agent["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["claude-code", "codex", "opencode", "pi", "acp", "command"]);
    let proved = &listed["agents"][1]["proved"][0];
    let (version, model) = (proved["version"].as_str().unwrap(), proved["models"][0].as_str());

    program(&first, "codex", &format!("codex-cli {version}"));
    program(&second, "codex", "codex-cli 0.0.1");
    program(&second, "pi", "hello");
    fs::write(first.join("claude"), "no program").unwrap();
    let told = list(&[]);
    assert_code(&told, 0);
    assert_eq!(text(&told.stderr), "");
    let told = text(&told.stdout);
    for line in [
        format!("  here: {}/codex {version}, proved", first.display()),
        format!("  here: {}/codex 0.0.1, not proved", second.display()),
        format!("  here: {}/pi tells no version, not proved", second.display()),
        "command: guest, worktree".to_owned(),
        "acp: worktree".to_owned(),
    ] {
        assert!(told.lines().any(|told| *told == line), "{line}\n{told}");
    }
    let with_cells = told.matches("the tools that it has in a cell").count();
    assert_eq!(with_cells, 4, "kinds that get no cell have none there: {told}");
    let proved = format!("  proved in a cell: {version} with {}", model.unwrap());
    assert!(told.contains(&proved) && !told.contains("first/claude"), "{told}");
    // What was asked wrote into a home that is gone.
    assert!(!directory.path().join("home/was-here").exists());
}
