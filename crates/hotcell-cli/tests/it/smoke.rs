//! The use cases, worked through by the program as it is shipped.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::*;

/// A home of its own, so that everything in it is the use cases' doing.
fn own_home() -> (tempfile::TempDir, PathBuf) {
    prepared(BUILD_ENVIRONMENT);
    let at = tempfile::tempdir().unwrap();
    let home = sharing_home(at.path(), &["environments", "kernels", "initrds", "templates"]);
    (at, home)
}

#[test]
fn every_use_case_works_and_leaves_nothing_behind() {
    let (_at, home) = own_home();
    let output = hotcell_in(&home).args(["--json", "smoke", "all"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let worked = json(&output);
    let use_cases = worked["use_cases"].as_array().unwrap();
    let names: Vec<&str> = use_cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    let known = ["cold-start", "repro-fix", "parallel", "untrusted", "review-eval", "daily-loop"];
    assert_eq!(names, known);
    for case in use_cases {
        let steps = case["steps"].as_array().unwrap();
        assert!(steps.iter().any(|step| step["tool"] == "workspace_exec"), "{case}");
    }
    let listed = json(&hotcell_in(&home).args(["--json", "workspace", "list"]).output().unwrap());
    assert_eq!(listed["workspaces"], Value::Array(Vec::new()), "{listed}");
    assert_eq!(fs::read_dir(home.join("workspaces")).unwrap().count(), 0);
}

#[test]
fn an_interrupted_use_case_keeps_its_workspace_and_says_so() {
    let (_at, home) = own_home();
    let mut smoke = hotcell_in(&home)
        .args(["smoke", "cold-start"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(smoke.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("workspace_create") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it ended before it was interrupted");
    }
    kill_process(Pid::from_child(&smoke), Signal::INT).unwrap();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert_eq!(smoke.wait().unwrap().code(), Some(130), "{rest}");
    let hint = "`hotcell workspace delete ws_";
    let (_, id) = rest.split_once(hint).unwrap_or_else(|| panic!("no hint in {rest}"));
    let id = format!("ws_{}", id.split('`').next().unwrap());
    let deleted = hotcell_in(&home).args(["workspace", "delete", &id]).output().unwrap();
    assert_code(&deleted, 0);
}
