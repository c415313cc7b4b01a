//! The contract of workspaces, as somebody has it who works with them: whole
//! projects, several clients, and processes that are killed.
//!
//! Nothing here knows how a machine is made. The suite runs on another driver by
//! naming it: [`crate::support::MACHINES_VARIABLE`].

mod crowds;
pub(crate) mod projects;
mod sweep;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::inventory::Inventory;
use crate::support::*;

/// What was prepared once and is shared by homes.
const PREPARED: &[&str] = &["environments", "kernels", "initrds", "templates"];

/// A home of one test alone, so that everything that is left in it is the test's.
struct OwnHome {
    path: PathBuf,
    _scratch: tempfile::TempDir,
}

impl OwnHome {
    fn new() -> Self {
        let scratch = tempfile::tempdir_in(test_cache()).unwrap();
        let own = Self { path: sharing_home(scratch.path(), PREPARED), _scratch: scratch };
        // The directories that any use makes.
        own.done(&["workspace", "list"]);
        let warm = own.created(&[]);
        own.delete(&warm);
        own
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = hotcell_in(&self.path);
        command.args(["--yes", "--json"]).args(arguments);
        command
    }

    fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let output = self.call(arguments);
        assert_code(&output, 0);
        json(&output)
    }

    /// A new workspace's id.
    fn created(&self, arguments: &[&str]) -> String {
        let create = [&["workspace", "create", ENVIRONMENT], arguments].concat();
        self.done(&create)["id"].as_str().unwrap().to_owned()
    }

    fn script(&self, id: &str, script: &str) -> String {
        let mut exec = hotcell_in(&self.path);
        let output = exec.args(["workspace", "exec", id, "--", "sh", "-c", script]).output();
        let output = output.unwrap();
        assert_code(&output, 0);
        text(&output.stdout)
    }

    fn delete(&self, id: &str) {
        self.done(&["workspace", "delete", id]);
    }

    fn inventory(&self) -> Inventory {
        Inventory::of(&self.path)
    }

    /// What there is once nobody is at work: a keeper may outlive the deletion of
    /// its workspace by a moment.
    fn at_rest(&self) -> Inventory {
        let mut found = self.inventory();
        eventually("nobody is at work", || {
            found = self.inventory();
            found.processes.is_empty()
        });
        found
    }

    /// Ids and states of the workspaces on record.
    fn workspaces(&self) -> Vec<(String, String)> {
        let listed = self.done(&["workspace", "list"]);
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let found = listed["workspaces"].as_array().unwrap().iter();
        found.map(|found| (word(&found["id"]), word(&found["state"]))).collect()
    }

    /// Deletes what there is; then there is what there was.
    #[track_caller]
    fn assert_back_to(&self, before: &Inventory) {
        for (id, _) in self.workspaces() {
            self.delete(&id);
        }
        eventually_or(
            "nothing is left over",
            || self.inventory() == *before,
            || format!("{:#?}", difference(before, &self.inventory())),
        );
    }
}

/// What is not in both.
fn difference(before: &Inventory, now: &Inventory) -> Vec<String> {
    fn of<T: Ord + std::fmt::Debug>(
        kind: &str,
        before: &std::collections::BTreeSet<T>,
        now: &std::collections::BTreeSet<T>,
    ) -> Vec<String> {
        before.symmetric_difference(now).map(|one| format!("{kind} {one:?}")).collect()
    }
    [
        of("process", &before.processes, &now.processes),
        of("lock", &before.locks, &now.locks),
        of("socket", &before.sockets, &now.sockets),
        of("file", &before.files, &now.files),
        of("row", &before.rows, &now.rows),
    ]
    .concat()
}

/// Waits, and says how things are if it was in vain.
#[track_caller]
fn eventually_or(what: &str, mut is_so: impl FnMut() -> bool, how: impl FnOnce() -> String) {
    let deadline = std::time::Instant::now() + PATIENCE / 4;
    while !is_so() {
        if std::time::Instant::now() >= deadline {
            panic!("{what}: {}", how());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A tree of files with a known content.
fn tree(at: &Path, files: usize) {
    for number in 0..files {
        fs::write(at.join(format!("file-{number}")), format!("old {number}\n")).unwrap();
    }
}
