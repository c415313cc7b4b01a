//! A large repository with one commit after another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Directories of the repository, and files in each.
const DIRECTORIES: usize = 400;
const FILES_EACH: usize = 50;

/// Files of the repository.
pub(super) const FILES: usize = DIRECTORIES * FILES_EACH;

/// A repository on this host.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) path: PathBuf,
}

impl Repository {
    /// Makes one below a directory.
    pub(super) fn new(below: &Path) -> Result<Self> {
        let path = below.join("repository");
        fs::create_dir(&path)?;
        let repository = Self { path };
        repository.git(&["init", "--quiet"])?;
        for directory in 0..DIRECTORIES {
            fs::create_dir_all(repository.path.join(Self::directory(directory)))?;
            for file in 0..FILES_EACH {
                let number = directory * FILES_EACH + file;
                let line = format!("pub fn function_{number}() -> u64 {{ {number} }}\n");
                let path = repository.path.join(Self::file(number));
                fs::write(path, line.repeat(5 + number % 60))?;
            }
        }
        repository.git(&["add", "."])?;
        repository.git(&["commit", "--quiet", "-m", "all"])?;
        // Like a clone, it has its objects in one file.
        repository.git(&["repack", "-adq"])?;
        Ok(repository)
    }

    /// The path of one of its files in it.
    pub(super) fn file(number: usize) -> String {
        let directory = Self::directory(number / FILES_EACH);
        format!("{directory}/file_{}.rs", number % FILES_EACH)
    }

    fn directory(number: usize) -> String {
        format!("package-{}/module-{number}", number % 20)
    }

    /// Commits something, so that it is another tree.
    pub(super) fn commit(&self, what: &str) -> Result<()> {
        fs::write(self.path.join("round"), what)?;
        self.git(&["add", "round"])?;
        self.git(&["commit", "--quiet", "-m", "round"])
    }

    fn git(&self, arguments: &[&str]) -> Result<()> {
        let settings = ["user.name=bench", "user.email=bench@example.org", "gc.auto=0"];
        let done = Command::new("git")
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .args(arguments)
            .current_dir(&self.path)
            .status()
            .context("cannot start git")?;
        ensure!(done.success(), "git {} failed", arguments.join(" "));
        Ok(())
    }
}
