//! Batches: packets found and planned, processes in custody. Only what runs needs machines.

mod agents;
mod cells;
mod contract;
mod engine;
mod mailbox;
mod parts;
mod plans;
mod processes;
mod untrusted;
mod worktrees;

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::*;

/// A repository with packets, and a home of its own.
struct Project(tempfile::TempDir);

impl Project {
    /// A repository without anything.
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        fs::create_dir(project.path().join(".git")).unwrap();
        project
    }

    /// One with two areas.
    fn configured() -> Self {
        let project = Self::new();
        let text =
            "version = 1\nlanes = 2\n\n[areas]\ncore = \"tasks/core\"\nweb = \"tasks/web\"\n";
        project.write(".hotcell/batch.toml", text);
        fs::create_dir_all(project.path().join("tasks/core")).unwrap();
        fs::create_dir_all(project.path().join("tasks/web")).unwrap();
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A packet: its folder in `tasks`, size, dependencies and file scope, words each.
    fn packet(&self, folder: &str, size: &str, dependencies: &str, scope: &str) {
        let (_, name) = folder.rsplit_once('/').unwrap();
        let (id, name) = name.split_at(6);
        let list =
            |text: &str| text.split_whitespace().map(|it| format!("- {it}\n")).collect::<String>();
        let dependencies = match dependencies {
            "" => "- None\n".to_owned(),
            some => list(some),
        };
        let text = format!(
            "# Task: {id} - The {}\n\n**Size:** {size}\n\n## Dependencies\n\n{dependencies}\n\
             ## File Scope\n\n{}\n## Steps\n\n### Step 1: Do it\n\n- [ ] done\n\n\
             ### Step 2: Test it\n\n- [ ] tested\n",
            name.trim_start_matches('-'),
            list(scope)
        );
        self.write(&format!("tasks/{folder}/PROMPT.md"), &text);
    }

    fn batch(&self, arguments: &[&str]) -> Output {
        let home = self.path().join(".home");
        let mut command = hotcell_in(&home);
        command.arg("batch").args(arguments).current_dir(self.path()).output().unwrap()
    }

    /// What is told of problems: standard error.
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.batch(arguments);
        assert_code(&output, code);
        text(&output.stderr)
    }
}
