//! Directories of the host that become `/workspace`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

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

#[test]
fn a_git_checkout_works_inside() {
    let source = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .current_dir(source.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
    };
    git(&["init", "--quiet"]);
    for n in 0..300 {
        fs::write(source.path().join(format!("file-{n}")), vec![b'x'; n * 10]).unwrap();
    }
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "all"]);
    let path = source.path().to_str().unwrap();
    let output = run_script(&["--seed-path", path], "git status --short && git log --format=%s");
    assert_code(&output, 0);
    assert_eq!(text(&output.stdout), "all\n");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let output = run(&["--seed-path", "/nowhere/at/all"], &["true"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("/nowhere/at/all"), "{}", text(&output.stderr));
}
