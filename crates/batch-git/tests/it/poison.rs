//! Programs that settings of all kinds would start, none of which may run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use batch_git::{Integrated, Merged, Operator, Way};

use crate::scene::*;

/// Where the settings of the poisoned user lie; set for the child alone.
const POISONED: &str = "BATCH_GIT_TEST_POISONED_HOME";

/// Settings that start a program: hooks, filters, merge drivers and the like.
fn settings(program: &Path) -> String {
    let program = program.display();
    format!(
        "[core]\n\thooksPath = {hooks}\n\tfsmonitor = {program}\n\tsshCommand = {program}\n\
         \tpager = {program}\n\teditor = {program}\n\
         [filter \"poison\"]\n\tclean = {program}\n\tsmudge = {program}\n\
         [merge \"poison\"]\n\tdriver = {program}\n\
         [diff]\n\texternal = {program}\n[diff \"poison\"]\n\ttextconv = {program}\n\
         [gpg]\n\tprogram = {program}\n[commit]\n\tgpgSign = true\n\
         [uploadpack]\n\tpackObjectsHook = {program}\n[credential]\n\thelper = {program}\n",
        hooks = Path::new(&program.to_string()).with_file_name("hooks").display(),
    )
}

#[test]
fn nothing_that_is_set_anywhere_runs() {
    let Some(home) = std::env::var_os(POISONED) else {
        let home = tempfile::tempdir().unwrap();
        let (canary, program) = (home.path().join("canary"), home.path().join("program"));
        let script = format!("#!/bin/sh\necho \"$0 $*\" >> {}\ncat\n", canary.display());
        for hook in [
            "program",
            "hooks/pre-push",
            "hooks/post-merge",
            "hooks/reference-transaction",
            "hooks/post-checkout",
            "hooks/pre-commit",
            "hooks/post-index-change",
        ] {
            write(home.path(), hook, &script);
            let path = home.path().join(hook);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(home.path().join(".gitconfig"), settings(&program)).unwrap();
        // The poison works: somebody who runs git like this is harmed.
        write(home.path(), "victim/file", "x\n");
        let victim = home.path().join("victim");
        let harmed = |arguments: &[&str]| {
            Command::new("git")
                .args(arguments)
                .current_dir(&victim)
                .env("HOME", home.path())
                .output()
        };
        harmed(&["init"]).unwrap();
        harmed(&["add", "--all"]).unwrap();
        assert!(fs::read_to_string(&canary).unwrap().contains("hooks/post-index-change"));
        fs::remove_file(&canary).unwrap();

        let name = "poison::nothing_that_is_set_anywhere_runs";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(POISONED, home.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(!canary.exists(), "{}", fs::read_to_string(&canary).unwrap());
        return;
    };
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    write(&lane, ".gitattributes", "* filter=poison merge=poison diff=poison\n");
    write(&lane, "lines", "ONE\ntwo\nthree\nfour\nfive\n");
    let bundle = scene.captured(&lane);
    // From here on everything that runs git is ours, as that user, over repositories
    // whose own settings are poisoned as well.
    let program = Path::new(&home).join("program");
    for repository in [scene.operator.join(".git"), scene.store.path().to_owned()] {
        let config = repository.join("config");
        let own = fs::read_to_string(&config).unwrap();
        fs::write(&config, own + &settings(&program)).unwrap();
        fs::create_dir_all(repository.join("hooks")).unwrap();
        for hook in fs::read_dir(Path::new(&home).join("hooks")).unwrap() {
            let hook = hook.unwrap();
            fs::copy(hook.path(), repository.join("hooks").join(hook.file_name())).unwrap();
        }
    }
    git(&scene.path(""), &["init", "--quiet", "--bare", "remote.git"]);
    let remote = scene.path("remote.git").to_string_lossy().into_owned();
    fs::write(
        scene.operator.join(".git/config"),
        format!(
            "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = {remote}\n{}",
            settings(&program)
        ),
    )
    .unwrap();
    let received = scene.receive(1, &bundle).unwrap();
    let (attempt, base, note, signature) = (attempt(1), &scene.base, note("rest"), signature());
    let store = &scene.store;
    runtime().block_on(async {
        let result = store.commit(&attempt, base, &received.work, &note, &signature).await.unwrap();
        let merged = store.merge(base, &result, &note, &signature).await.unwrap();
        let Merged::Commit(tip) = merged else { panic!("{merged:?}") };
        store.advance(base, &tip).await.unwrap();
        store.check().await.unwrap();
        let (operator, branch) = (Operator::at(&scene.operator), "hotcell/batch");
        let way = Way::Push { remote: "origin".into() };
        let done = store.integrate(&operator, &tip, branch, &way, &note, &signature).await;
        assert_eq!(done.unwrap(), Integrated::Pushed(tip));
    });
}
