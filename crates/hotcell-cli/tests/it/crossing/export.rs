//! Files, directories and links that are copied out.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::*;

fn export(workspace: &TestWorkspace, path: &str, to: &Path, more: &[&str]) -> Output {
    let mut command = hotcell();
    command.args(["--json", "workspace", "export", &workspace.id, path]).arg(to).args(more);
    command.output().unwrap()
}

/// A tree with everything in it that a tree may have.
const ODD_TREE: &str = r#"
    mkdir -p odd/dir/empty odd/closed && cd odd
    printf '#!/bin/sh\n' > script && chmod 4751 script && ln script dir/same
    ln -s ../script dir/up; ln -s /etc/passwd absolute; ln -s nowhere dangling
    printf x > "$(printf 'odd \377\n name')"
    truncate -s 64M sparse && printf middle | dd of=sparse bs=1 seek=1000000 conv=notrunc status=none
    mkfifo pipe; mknod device c 1 3
    touch -d '2001-02-03 04:05:06.123456789 UTC' script
    echo inside > closed/file && chmod 555 closed"#;

#[test]
fn what_is_copied_out_is_what_was_there() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script(ODD_TREE);
    let host = tempfile::tempdir().unwrap();
    let out = host.path().join("out");
    let copied = export(&workspace, "odd", &out, &[]);
    assert_code(&copied, 0);
    let told = json(&copied);
    let left_out: Vec<&str> = told["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| left["path"].as_str().unwrap())
        .collect();
    assert_eq!(left_out, ["device", "dir/same", "script"], "{told}");
    let at = |name: &str| out.join(name);
    let stat = |name: &str| at(name).symlink_metadata().unwrap();
    assert_eq!(stat("script").mode() & 0o7777, 0o751, "the set-id bit is dropped");
    assert_eq!(stat("script").ino(), stat("dir/same").ino());
    assert_eq!((stat("script").mtime(), stat("script").mtime_nsec()), (981_173_106, 123_456_789));
    assert_eq!(fs::read_link(at("dir/up")).unwrap(), Path::new("../script"));
    assert_eq!(fs::read_link(at("absolute")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(fs::read_link(at("dangling")).unwrap(), Path::new("nowhere"));
    assert!(stat("dir/empty").is_dir() && stat("pipe").file_type().is_fifo());
    assert_eq!(stat("closed").mode() & 0o7777, 0o555);
    assert!(!at("device").exists());
    let odd = out.join(std::ffi::OsStr::from_bytes(b"odd \xff\n name"));
    assert_eq!(fs::read(odd).unwrap(), b"x");
    assert_eq!(stat("sparse").len(), 64 << 20);
    assert!(stat("sparse").blocks() * 512 < 1 << 20, "holes were filled");
    assert_eq!(&fs::read(at("sparse")).unwrap()[1_000_000..1_000_006], b"middle");
    // One more time: it is there now, and only goes if that is asked for.
    fs::write(at("mine"), "").unwrap();
    assert_code(&export(&workspace, "odd", &out, &[]), 114);
    assert!(at("mine").exists());
    assert_code(&export(&workspace, "odd", &out, &["--existing", "replace"]), 0);
    assert!(!at("mine").exists() && at("script").exists());
    let single = host.path().join("single");
    assert_code(&export(&workspace, "odd/closed/file", &single, &[]), 0);
    assert_eq!(fs::read_to_string(&single).unwrap(), "inside\n");
    assert_code(&export(&workspace, "odd/absolute", &single, &["--existing", "replace"]), 0);
    assert_eq!(fs::read_link(&single).unwrap(), Path::new("/etc/passwd"));
    let archive = host.path().join("a.tgz");
    assert_code(&export(&workspace, "odd/closed", &archive, &["--archive", "tar.gz"]), 0);
    let listed = Command::new("tar").arg("-tzf").arg(&archive).output().unwrap();
    assert_eq!(text(&listed.stdout), ".\nfile\n");
    // Another workspace that starts from it has the same, but for what was left out.
    let archive = host.path().join("b.tar.zst");
    assert_code(&export(&workspace, "odd", &archive, &[]), 0);
    let other = TestWorkspace::create(&["--seed-path", archive.to_str().unwrap()]);
    let list = "find . ! -name device \\( -type d -printf '%p\\0' -o -printf '%p %y %s %Ts %l\\0' \\) \
                | sort -z | tr '\\0' '\\n'";
    let there = other.script(list);
    assert_eq!(there, workspace.script(&format!("cd odd && {list}")));
    let mut names: Vec<_> =
        fs::read_dir(host.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.tgz", "b.tar.zst", "out", "single"], "something was left beside them");
    let logs = hotcell().args(["--json", "workspace", "logs", &workspace.id]).output().unwrap();
    assert!(text(&logs.stdout).contains("\"exported\""));
}

#[test]
fn what_cannot_be_copied_out_is_refused_and_leaves_nothing() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script("seq 1000 > file; mkdir many; cd many; seq 50 | xargs touch; ln -s /etc out");
    let host = tempfile::tempdir().unwrap();
    let to = host.path().join("to");
    for (path, more, code) in [
        ("../etc/passwd", &[][..], 115),
        ("many/out/passwd", &[], 115),
        ("nothing", &[], 113),
        ("many", &["--max-files", "10"], 117),
        ("file", &["--max-mib", "0"], 117),
    ] {
        assert_code(&export(&workspace, path, &to, more), code);
    }
    assert_code(&export(&workspace, "file", &host.path().join("no/such/place"), &[]), 113);
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 0);
}

#[test]
fn a_copy_that_is_killed_is_not_there_and_the_next_one_is() {
    let workspace = TestWorkspace::create(&[]);
    workspace
        .script("mkdir big; head -c 60000000 /dev/urandom > big/noise; sha256sum big/noise > sum");
    let host = tempfile::tempdir().unwrap();
    let to = host.path().join("big");
    let mut command = hotcell();
    command.args(["workspace", "export", &workspace.id, "big"]).arg(&to);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    eventually("something is being put together", || {
        fs::read_dir(host.path())
            .unwrap()
            .flatten()
            .any(|entry| entry.path().join("noise").metadata().is_ok_and(|noise| noise.len() > 0))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!to.exists());
    assert_code(&export(&workspace, "big", &to, &[]), 0);
    let sum = Command::new("sha256sum").arg("big/noise").current_dir(host.path()).output().unwrap();
    assert_eq!(text(&sum.stdout), workspace.script("cat sum"));
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 1, "the killed one left something");
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
}
