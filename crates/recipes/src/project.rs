//! The projects that recipes work on: published versions of real ones, byte for
//! byte, with their licences inside.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use file_tree::archive::Reader;
use file_tree::{Limits, Replacing, Root, SetId, TreeError, unpack};
use flate2::read::GzDecoder;

/// What one of them may hold: far more than they do.
const LIMITS: Limits =
    Limits { members: 1_000, bytes: 16 * 1024 * 1024, file_bytes: 16 * 1024 * 1024 };

/// A published version of a project.
#[derive(Debug, Clone, Copy)]
pub struct Project {
    /// What it is called.
    pub name: &'static str,
    /// Which version it is.
    pub version: &'static str,
    /// What it is, where it was published, and under which licence.
    pub about: &'static str,
    /// The archive, as published: tar, compressed by gzip.
    pub archive: &'static [u8],
    /// SHA-256 of the archive, in hexadecimal.
    pub digest: &'static str,
    /// The directory in the archive that holds everything.
    pub root: &'static str,
}

pub(crate) const PARSE: Project = Project {
    name: "parse",
    version: "1.12.0",
    about: "the opposite of Python's `format()`; source package on PyPI, MIT licence",
    archive: include_bytes!("../projects/parse-1.12.0.tar.gz"),
    digest: "1b68657434d371e5156048ca4a0c5aea5afc6ca59a2fea4dd1a575354f617142",
    root: "parse-1.12.0",
};

pub(crate) const BOTTLE: Project = Project {
    name: "bottle",
    version: "0.13.4",
    about: "a web framework for Python in one file; source package on PyPI, MIT licence",
    archive: include_bytes!("../projects/bottle-0.13.4.tar.gz"),
    digest: "787e78327e12b227938de02248333d788cfe45987edca735f8f88e03472c3f47",
    root: "bottle-0.13.4",
};

pub(crate) const ESBUILD: Project = Project {
    name: "esbuild",
    version: "0.25.0",
    about: "a bundler for JavaScript that runs a program when it is installed; package on npm, \
            MIT licence",
    archive: include_bytes!("../projects/esbuild-0.25.0.tgz"),
    digest: "b8f1eda6f66657b929c96660340bd4307b3d1718a8505d5e8e12ad8ea9ae8a10",
    root: "package",
};

/// Why a project cannot be checked out.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It cannot be unpacked.
    #[error("cannot unpack {project} into {}", .into.display())]
    Unpack {
        /// The project.
        project: &'static str,
        /// Where to.
        into: PathBuf,
        /// Why.
        source: TreeError,
    },
    /// Git cannot be started.
    #[error("cannot start git")]
    Start(#[source] io::Error),
    /// Git failed.
    #[error("git {0} failed: {1}")]
    Git(&'static str, String),
}

impl Project {
    /// Makes a git checkout of it below `into`, a directory that is there, with
    /// everything committed.
    ///
    /// # Errors
    ///
    /// If it cannot be written or git fails.
    pub fn check_out(&self, into: &Path) -> Result<PathBuf, ProjectError> {
        let unpacked = Root::open(into).and_then(|root| {
            let mut archive = Reader::new(GzDecoder::new(self.archive), LIMITS);
            unpack(&mut archive, &root, Replacing::Unseen, SetId::Dropped, &mut || true)
        });
        unpacked.map_err(|source| ProjectError::Unpack {
            project: self.name,
            into: into.to_owned(),
            source,
        })?;
        let checkout = into.join(self.root);
        git(&checkout, "init", &["--quiet", "--initial-branch", "main"])?;
        git(&checkout, "add", &["--all", "--force"])?;
        git(&checkout, "commit", &["--quiet", "--no-verify", "--message", self.version])?;
        Ok(checkout)
    }
}

/// Runs git as nobody in particular, whatever this user has configured.
fn git(checkout: &Path, verb: &'static str, arguments: &[&str]) -> Result<(), ProjectError> {
    let output = Command::new("git")
        .current_dir(checkout)
        .args(["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", verb])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Hotcell")
        .env("GIT_AUTHOR_EMAIL", "hotcell@localhost")
        .env("GIT_COMMITTER_NAME", "Hotcell")
        .env("GIT_COMMITTER_EMAIL", "hotcell@localhost")
        .stdin(Stdio::null())
        .output()
        .map_err(ProjectError::Start)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ProjectError::Git(verb, String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn every_project_is_as_published_and_can_be_checked_out() {
        for project in [PARSE, BOTTLE, ESBUILD] {
            let mut digest = String::new();
            for byte in Sha256::digest(project.archive) {
                write!(digest, "{byte:02x}").unwrap();
            }
            assert_eq!(digest, project.digest, "{}", project.name);
            let into = tempfile::tempdir().unwrap();
            let checkout = project.check_out(into.path()).unwrap();
            assert!(checkout.ends_with(project.root));
            let status = Command::new("git")
                .current_dir(&checkout)
                .args(["status", "--porcelain"])
                .output()
                .unwrap();
            assert!(status.status.success());
            assert_eq!(String::from_utf8_lossy(&status.stdout), "", "{}", project.name);
        }
    }
}
