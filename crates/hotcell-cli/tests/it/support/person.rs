//! A person with a home directory of his own, a project, and real chat hosts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use agent_lab::programs;
use tempfile::TempDir;

use super::{ENVIRONMENT, MACHINES_VARIABLE, git, home, json, prepared, text};

/// What keeps hosts from reaching for the internet.
const OFFLINE: [(&str, &str); 7] = [
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
    ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
    ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
    ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1"),
    ("NO_COLOR", "1"),
];

/// A person with a home, and a project that is a git checkout.
pub(crate) struct Person {
    directory: TempDir,
    programs: PathBuf,
}

impl Person {
    /// One who needs nothing but what all tests do.
    pub(crate) fn new() -> Self {
        Self::with(ENVIRONMENT)
    }

    /// One for whom an environment is prepared.
    pub(crate) fn with(environment: &str) -> Self {
        prepared(environment);
        let directory = tempfile::tempdir().unwrap();
        let person = Self { directory, programs: programs() };
        // Where servers look that are told nothing: a home of the person's own, so that
        // all in it is the hosts' doing, with what was prepared for all tests.
        let own = person.home().join(".local/share/hotcell");
        fs::create_dir_all(&own).unwrap();
        for shared in ["environments", "kernels", "initrds", "templates"] {
            symlink(home().join(shared), own.join(shared)).unwrap();
        }
        fs::create_dir(person.project()).unwrap();
        git(&person.project(), &["init", "--quiet", "--initial-branch=main"]);
        person
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("person")
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// A file of the person's, in the home.
    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let file = self.home().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    /// One of the hosts, in the project.
    pub(crate) fn host(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.surround(&mut command);
        command
    }

    /// Hotcell, in the project.
    pub(crate) fn hotcell(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(super::program());
        self.surround(&mut command);
        if let Some(machines) = std::env::var_os(MACHINES_VARIABLE) {
            command.env("HOTCELL_ACCELERATOR", machines);
        }
        command.args(arguments).output().unwrap()
    }

    /// The workspaces that there are.
    pub(crate) fn workspaces(&self) -> Vec<String> {
        let listed = self.hotcell(&["--json", "workspace", "list"]);
        let listed = json(&listed)["workspaces"].clone();
        let ids = listed.as_array().unwrap().iter().map(|listed| listed["id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    }

    fn surround(&self, command: &mut Command) {
        let inherited = std::env::var("PATH").unwrap();
        command
            .env_clear()
            .envs(OFFLINE)
            .env("HOME", self.home())
            .env("PATH", format!("{}:{inherited}", self.programs.display()))
            .current_dir(self.project())
            .stdin(Stdio::null());
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let listed = self.hotcell(&["workspace", "list", "--id-only"]);
        for workspace in text(&listed.stdout).lines() {
            self.hotcell(&["--yes", "workspace", "delete", workspace]);
        }
    }
}

/// What a file holds, and that it exists.
pub(crate) fn content(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok()
}
