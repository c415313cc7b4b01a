//! A repository is somebody else's: nothing in it leads out, and nothing in it is
//! waited for.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn no_link_is_followed_and_no_area_lies_outside() {
    let outside = tempfile::tempdir().unwrap();
    let project = Project::configured();
    project.packet("core/TP-001-good", "S", "", "src");
    let elsewhere = Project::configured();
    elsewhere.packet("core/TP-002-elsewhere", "S", "", "src");
    let packet = elsewhere.path().join("tasks/core/TP-002-elsewhere");
    symlink(&packet, project.path().join("tasks/core/TP-002-elsewhere")).unwrap();
    fs::create_dir(project.path().join("tasks/core/TP-003-link")).unwrap();
    symlink(packet.join("PROMPT.md"), project.path().join("tasks/core/TP-003-link/PROMPT.md"))
        .unwrap();
    let told = project.refused(&["plan"], 2);
    insta::assert_snapshot!(told, @r"
    note: tasks/core/TP-002-elsewhere: a link, which is not followed
    error: 1 problem in 1 file
    tasks/core/TP-003-link/PROMPT.md: found a symbolic link, which is not followed; expected a file
    ");
    fs::remove_dir_all(project.path().join("tasks/core/TP-003-link")).unwrap();
    let plan = json(&project.batch(&["plan", "--json"]));
    assert_eq!(plan["tasks"].as_array().unwrap().len(), 1, "{plan}");
    for path in ["../outside", "/etc", "link"] {
        symlink(outside.path(), project.path().join("link")).ok();
        let text = format!("version = 1\n[areas]\ncore = \"{path}\"\n");
        project.write(".hotcell/batch.toml", &text);
        let told = project.refused(&["plan"], 2);
        assert!(
            told.contains("batch.toml:3:") || told.contains("cannot look at the area"),
            "{told}"
        );
    }
    // Nor is anything written through a link.
    let linked = Project::new();
    symlink(outside.path(), linked.path().join("tasks")).unwrap();
    linked.refused(&["init"], 114);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_packet_is_neither_waited_for_nor_read_without_end() {
    let project = Project::configured();
    project.write("tasks/core/TP-001-large/PROMPT.md", &"# TP-001: x\n".repeat(40_000));
    fs::create_dir_all(project.path().join("tasks/core/TP-002-pipe")).unwrap();
    let pipe = project.path().join("tasks/core/TP-002-pipe/PROMPT.md");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    fs::create_dir_all(project.path().join("tasks/core/TP-003-directory/PROMPT.md")).unwrap();
    project.write("tasks/core/TP-004-bytes/PROMPT.md", "x");
    fs::write(project.path().join("tasks/core/TP-004-bytes/PROMPT.md"), b"\xff\xfe").unwrap();
    // What an agent writes keeps nothing from being planned.
    project.packet("web/TP-006-status", "S", "", "src");
    fs::write(project.path().join("tasks/web/TP-006-status/STATUS.md"), b"\xff").unwrap();
    let plan = project.batch(&["plan", "web"]);
    assert_code(&plan, 0);
    assert!(text(&plan.stderr).contains("TP-006-status/STATUS.md: the file is no text"));
    let escape = "# TP-005: a\u{1b}[31mb\n**Size:** \u{1b}]0;x\u{7}\n### Step 1: x\n";
    project.write("tasks/core/TP-005-escape/PROMPT.md", escape);
    let told = project.refused(&["plan"], 2);
    assert!(!told.contains(['\u{1b}', '\u{7}']), "{told}");
    insta::assert_snapshot!(told, @r"
    note: tasks/web/TP-006-status/STATUS.md: the file is no text in UTF-8
    error: 5 problems in 5 files
    tasks/core/TP-001-large/PROMPT.md: the file has more than 256 KiB
    tasks/core/TP-002-pipe/PROMPT.md: found something that is no file; expected a file
    tasks/core/TP-003-directory/PROMPT.md: found something that is no file; expected a file
    tasks/core/TP-004-bytes/PROMPT.md: the file is no text in UTF-8
    tasks/core/TP-005-escape/PROMPT.md:2: found the size `�]0;x�`; expected S, M or L (what is larger has to be split)
    ");
}
