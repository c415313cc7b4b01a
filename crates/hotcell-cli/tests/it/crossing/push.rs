//! Changes of the host that are brought into a workspace.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Output, Stdio};

use super::checkout;
use crate::support::*;

fn push(workspace: &TestWorkspace, from: &Path, more: &[&str]) -> Output {
    let mut command = hotcell();
    command.args(["--json", "sync", "push", &workspace.id]).arg(from).args(more);
    command.output().unwrap()
}

/// What a push says that it sent and deleted.
fn told(output: &Output) -> (Vec<String>, Vec<String>, u64) {
    assert_code(output, 0);
    let told = json(output);
    let names = |list: &str| {
        let names = told[list].as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    (names("sent"), names("deleted"), told["unchanged"].as_u64().unwrap())
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn only_what_changed_crosses_and_only_what_is_gone_goes() {
    let source = checkout();
    let at = |name: &str| source.path().join(name);
    let workspace = TestWorkspace::create(&["--seed-path", source.path().to_str().unwrap()]);
    assert_eq!(told(&push(&workspace, source.path(), &[])), (vec![], vec![], 302));
    fs::write(at("file-1"), "host").unwrap();
    fs::write(at("src/new"), "new").unwrap();
    fs::set_permissions(at("file-2"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("file-1", at("link")).unwrap();
    // Another time and the same content: nothing to do.
    fs::write(at("file-3"), fs::read(at("file-3")).unwrap()).unwrap();
    fs::remove_file(at("file-4")).unwrap();
    workspace.script(
        "mkdir build && echo object > build/o && echo mine > mine && echo x >> file-9
         mkdir notes && echo n > notes/n",
    );
    let before = git(source.path(), &["status", "--short", "--ignored"]);
    let expected = names(&["file-1", "file-2", "file-9", "link", "src/new"]);
    let dry = told(&push(&workspace, source.path(), &["--delete", "--dry-run"]));
    assert_eq!(dry, (expected.clone(), names(&["file-4", "mine", "notes/n"]), 298));
    assert_eq!(workspace.script("cat file-1 | wc -c; ls link 2>&1 | wc -l"), "10\n1\n");
    let pushed = told(&push(&workspace, source.path(), &[]));
    assert_eq!(pushed, (expected, vec![], 298));
    let script = "cat file-1 src/new; stat -c %a file-2; readlink link; cat mine; ls file-4; \
                  git status --short | wc -l; ls -A | grep hotcell";
    assert_eq!(
        text(&workspace.exec(&[], &["sh", "-c", script]).stdout),
        "hostnew755\nfile-1\nmine\nfile-4\n6\n"
    );
    let deleted = told(&push(&workspace, source.path(), &["--delete"]));
    assert_eq!(deleted, (vec![], names(&["file-4", "mine", "notes/n"]), 303));
    assert_eq!(
        workspace.script("cat build/o; ls -d mine notes file-4 2>/dev/null | wc -l"),
        "object\n0\n"
    );
    assert_eq!(git(source.path(), &["status", "--short", "--ignored"]), before);
    // What has become something else gives way only if nothing is lost with it.
    workspace.script("rm file-1 && mkdir file-1 && touch file-1/x && rm -r src && echo f > src");
    assert_code(&push(&workspace, source.path(), &[]), 114);
    assert_code(&push(&workspace, source.path(), &["--delete"]), 0);
    assert_eq!(workspace.script("cat file-1 src/new"), "hostnew");
}

#[test]
fn a_plain_directory_is_mirrored_below_another() {
    let source = tempfile::tempdir().unwrap();
    let at = |name: &str| source.path().join(name);
    fs::create_dir_all(at("a/empty")).unwrap();
    fs::write(at("a/one"), "1").unwrap();
    fs::hard_link(at("a/one"), at("a/same")).unwrap();
    fs::File::create(at("sparse")).unwrap().set_len(1 << 26).unwrap();
    let workspace = TestWorkspace::create(&[]);
    assert_code(&push(&workspace, source.path(), &["--to", "in/here"]), 0);
    workspace.script("touch in/here/a/empty/extra && mkdir in/here/more && touch outside");
    assert_code(&push(&workspace, source.path(), &["--to", "in/here", "--delete"]), 0);
    let script =
        "cd in/here; find . | sort; stat -c %h a/same; du -k sparse | cut -f1; ls ../../outside";
    assert_eq!(
        workspace.script(script),
        ".\n./a\n./a/empty\n./a/one\n./a/same\n./sparse\n2\n0\n../../outside\n"
    );
    for (from, to, code) in
        [("/nowhere", "x", 113), (source.path().to_str().unwrap(), "../out", 115)]
    {
        assert_code(&push(&workspace, Path::new(from), &["--to", to]), code);
    }
}

#[test]
fn whoever_is_killed_leaves_each_file_old_or_new() {
    let source = tempfile::tempdir().unwrap();
    let fill = |byte: u8| {
        for n in 0..30 {
            fs::write(source.path().join(format!("file-{n}")), vec![byte; 300_000 + n]).unwrap();
        }
    };
    fill(b'o');
    let workspace = TestWorkspace::create(&["--seed-path", source.path().to_str().unwrap()]);
    fill(b'n');
    let whole = "for f in file-*; do tr -d o < $f | wc -c; done | sort -n | uniq -c | \
                 awk '$2 > 0 && $2 < 300000 {print \"half\"} {print ($2 > 0)}' | sort -u | xargs; \
                 ls -A | grep -c hotcell";
    for victim in ["client", "client", "keeper"] {
        let mut command = hotcell();
        command.args(["sync", "push", &workspace.id]).arg(source.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("files arrive", || {
            let listed = workspace.exec(&[], &["sh", "-c", "ls .hotcell-staging/*"]);
            text(&listed.stdout).contains('5') || child.try_wait().unwrap().is_some()
        });
        if victim == "keeper" {
            kill(keeper_of(&workspace.directory()));
            child.wait().unwrap();
            let start = hotcell().args(["workspace", "start", &workspace.id]).output().unwrap();
            assert_code(&start, 0);
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // Whoever looks at files next settles what was left.
        eventually("it is settled", || {
            let stat = hotcell().args(["file", "stat", &workspace.id, "file-1"]).output().unwrap();
            assert_code(&stat, 0);
            workspace.script("ls -A | grep -c hotcell || true") == "0\n"
        });
        let state = text(&workspace.exec(&[], &["sh", "-c", whole]).stdout);
        assert!(["0 0\n", "0\n0\n", "1\n0\n"].contains(&state.as_str()), "{victim}: {state:?}");
    }
    assert_code(&push(&workspace, source.path(), &[]), 0);
    assert_eq!(workspace.script("cat file-* | tr -d n | wc -c"), "0\n");
}
