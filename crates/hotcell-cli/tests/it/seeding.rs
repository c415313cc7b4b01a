//! Directories of the host that become `/workspace`.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;
use std::time::Duration;

use crate::support::*;

#[test]
fn a_directory_becomes_the_workspace() {
    let source = tempfile::tempdir().unwrap();
    let at = |name: &str| source.path().join(name);
    fs::create_dir_all(at("src/empty")).unwrap();
    fs::write(at("src/file"), "content\n").unwrap();
    fs::write(at("run.sh"), "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../elsewhere", at("src/link")).unwrap();
    fs::hard_link(at("src/file"), at("same")).unwrap();
    let path = source.path().to_str().unwrap();
    let script = "cat src/file; ./run.sh; readlink src/link; stat -c %h same; \
                  stat -c %U:%G . src/file | sort -u; ls -A; echo changed > src/file";
    let output = run_script(&["--seed-path", path], script);
    assert_code(&output, 0);
    assert_eq!(
        text(&output.stdout),
        "content\nran\n../elsewhere\n2\nroot:root\nrun.sh\nsame\nsrc\n"
    );
    assert_eq!(fs::read_to_string(at("src/file")).unwrap(), "content\n", "the host's copy changed");
}

/// A checkout with a file of every kind that matters to git.
fn checkout() -> tempfile::TempDir {
    let source = tempfile::tempdir().unwrap();
    let at = |name: &str| source.path().join(name);
    git(source.path(), &["init", "--quiet", "--initial-branch=main"]);
    for n in 0..300 {
        fs::write(at(&format!("file-{n}")), vec![b'x'; n * 10]).unwrap();
    }
    fs::write(at(".gitignore"), "ignored\n").unwrap();
    git(source.path(), &["add", "."]);
    git(source.path(), &["commit", "--quiet", "-m", "all"]);
    fs::write(at("untracked"), "new\n").unwrap();
    fs::write(at("ignored"), "secret\n").unwrap();
    fs::write(at("file-7"), "changed\n").unwrap();
    fs::remove_file(at("file-8")).unwrap();
    source
}

#[test]
fn a_git_checkout_works_inside() {
    let source = checkout();
    git(source.path(), &["remote", "add", "origin", "https://token@example.org/x"]);
    let hook = source.path().join(".git/hooks/pre-commit");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let path = source.path().to_str().unwrap();
    let before = git(source.path(), &["status", "--short"]);
    let script = "git status --short && git log --format=%s && git remote && ls -A .git/hooks; \
                  ! test -e ignored && ! grep -r token .git/config && git add -A && \
                  git commit -qm inside && git fsck --strict 2>&1 && git log --format=%an -1";
    let output = run_script(&["--seed-path", path], script);
    assert_code(&output, 0);
    assert_eq!(text(&output.stdout), format!("{before}all\nHotcell\n"), "{}", text(&output.stderr));
    assert_eq!(git(source.path(), &["status", "--short"]), before, "the host's checkout changed");
}

#[test]
fn which_files_of_a_checkout_are_taken_can_be_chosen() {
    let source = checkout();
    let path = source.path().to_str().unwrap();
    let script = "ls ignored untracked 2>/dev/null | xargs";
    for (files, expected) in
        [("unignored", "untracked"), ("tracked", ""), ("all", "ignored untracked")]
    {
        let output = run_script(&["--seed-path", path, "--seed-files", files], script);
        assert_code(&output, 0);
        assert_eq!(text(&output.stdout).trim(), expected, "{files}");
    }
    let plain = tempfile::tempdir().unwrap();
    let plain = plain.path().to_str().unwrap();
    assert_code(&run(&["--seed-path", plain, "--seed-files", "tracked"], &["true"]), 2);
}

#[test]
fn a_repository_that_executes_things_is_only_read() {
    let source = checkout();
    let proof = source.path().join("executed");
    let monitor = format!("touch {}; false", proof.display());
    git(source.path(), &["config", "core.fsmonitor", &monitor]);
    let path = source.path().to_str().unwrap();
    assert_code(&run_script(&["--seed-path", path], "git status --short"), 0);
    assert!(!proof.exists());
}

#[test]
fn a_git_file_that_leads_elsewhere_is_not_believed() {
    let private = checkout();
    let hostile = tempfile::tempdir().unwrap();
    let leads = format!("gitdir: {}/.git\n", private.path().display());
    fs::write(hostile.path().join(".git"), leads).unwrap();
    fs::write(hostile.path().join("file"), "x").unwrap();
    let path = hostile.path().to_str().unwrap();
    let workspace = TestWorkspace::create(&["--seed-path", path]);
    assert_eq!(workspace.script("ls -A"), "file\n");
    assert_eq!(workspace.status()["seed"]["left_out"][0]["path"], ".git");
}

#[test]
fn workspaces_of_one_tree_share_its_image() {
    let source = checkout();
    let path = source.path().to_str().unwrap();
    let first = TestWorkspace::create(&["--seed-path", path]);
    let second = TestWorkspace::create(&["--seed-path", path]);
    let seed = |workspace: &TestWorkspace| workspace.status()["seed"].clone();
    assert_eq!(seed(&first)["image"], seed(&second)["image"]);
    assert_eq!((&seed(&first)["cached"], &seed(&second)["cached"]), (&false.into(), &true.into()));
    assert_eq!(seed(&first)["commit"].as_str().unwrap().len(), 40);
    assert!(second.status()["disk_bytes"].as_u64().unwrap() < 1024 * 1024);
    first.script("echo one > file-1");
    assert_eq!(second.script("wc -c < file-1"), "10\n");
    fs::write(source.path().join("file-1"), "host").unwrap();
    let third = TestWorkspace::create(&["--seed-path", path]);
    assert_eq!(third.script("cat file-1"), "host");
    assert_ne!(seed(&third)["image"], seed(&first)["image"]);
    // What is used is never pruned, and a reader of it goes on.
    assert_code(&hotcell().args(["--yes", "env", "prune"]).output().unwrap(), 0);
    assert_eq!(first.script("cat file-1; wc -c < file-2"), "one\n20\n");
}

#[test]
fn an_archive_becomes_the_workspace() {
    let source = tempfile::tempdir().unwrap();
    fs::create_dir(source.path().join("tree")).unwrap();
    fs::write(source.path().join("tree/run.sh"), "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(source.path().join("tree/run.sh"), fs::Permissions::from_mode(0o755))
        .unwrap();
    symlink("/etc/hostname", source.path().join("tree/absolute")).unwrap();
    for (option, name) in
        [("-c", "a.tar"), ("-cz", "a.tgz"), ("-cJ", "a.tar.xz"), ("--zstd", "a.tar.zst")]
    {
        let archive = source.path().join(name);
        let mut tar = std::process::Command::new("tar");
        if option == "--zstd" {
            tar.arg("-c");
        }
        let made = tar
            .arg(option)
            .arg("-f")
            .arg(&archive)
            .arg("-C")
            .arg(source.path().join("tree"))
            .arg(".");
        assert!(made.status().unwrap().success());
        let output =
            run_script(&["--seed-path", archive.to_str().unwrap()], "./run.sh; readlink absolute");
        assert_code(&output, 0);
        assert_eq!(text(&output.stdout), "ran\n/etc/hostname\n", "{name}");
    }
    // git is the judge of zip: modes, links, names below directories.
    let tree = source.path().join("tree");
    fs::create_dir(tree.join("below")).unwrap();
    fs::write(tree.join("below/long"), "the same over and over\n".repeat(5000)).unwrap();
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["add", "-A"]);
    git(&tree, &["commit", "--quiet", "-m", "all"]);
    let zip = source.path().join("a.zip");
    git(&tree, &["archive", "--format=zip", "-o", zip.to_str().unwrap(), "HEAD"]);
    let script = "./run.sh; readlink absolute; uniq below/long | wc; stat -c %a below/long";
    let output = run_script(&["--seed-path", zip.to_str().unwrap()], script);
    assert_code(&output, 0);
    let lines: Vec<String> = text(&output.stdout)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines, ["ran", "/etc/hostname", "1 5 23", "644"]);
    let whole = fs::read(&zip).unwrap();
    fs::write(&zip, &whole[..whole.len() - 30]).unwrap();
    assert_code(&run(&["--seed-path", zip.to_str().unwrap()], &["true"]), 2);
    let no_archive = source.path().join("tree/run.sh");
    let output = run(&["--seed-path", no_archive.to_str().unwrap()], &["true"]);
    assert_code(&output, 2);
}

#[test]
fn a_repository_is_cloned_at_a_reference() {
    let source = checkout();
    git(source.path(), &["tag", "-a", "v1", "-m", "one"]);
    git(source.path(), &["commit", "--quiet", "-am", "later"]);
    let url = format!("file://{}", source.path().display());
    let script = "git log --format=%s; git status --short; git remote; ls untracked 2>&1 | wc -l";
    let at_tag = run_script(&["--repo-url", &url, "--repo-ref", "v1"], script);
    assert_code(&at_tag, 0);
    assert_eq!(text(&at_tag.stdout), "all\n1\n");
    let latest = run_script(&["--repo-url", &url], "git log --format=%s -1; git fsck 2>&1");
    assert_code(&latest, 0);
    assert_eq!(text(&latest.stdout), "later\n");
    assert_code(&run(&["--repo-url", &url, "--repo-ref", "nowhere"], &["true"]), 113);
    assert_code(&run(&["--repo-url", "--upload-pack=touch /tmp/x"], &["true"]), 2);
    assert_code(&run(&["--repo-url=ext::sh -c true"], &["true"]), 2);
}

#[test]
fn whoever_waits_for_a_tree_is_told_what_is_done() {
    // A server that takes its time, and then has no such repository.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/slow.git", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::sleep(Duration::from_millis(2500));
            let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let create = ["workspace", "create", ENVIRONMENT, "--repo-url", &url];
    let run = ["run", ENVIRONMENT, "--repo-url", &url, "--", "true"];
    for arguments in [&create[..], &run] {
        let output = hotcell().args(arguments).output().unwrap();
        assert_ne!(output.status.code(), Some(0));
        let told = text(&output.stderr);
        assert_eq!(told.matches("seed: asking the repository\n").count(), 1, "{told}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let output = run(&["--seed-path", "/nowhere/at/all"], &["true"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("/nowhere/at/all"), "{}", text(&output.stderr));
}
