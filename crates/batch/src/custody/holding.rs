//! How processes are held together on this host.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cgroup;

/// What holds the descendants of a process, whatever they do.
///
/// Both are emptied by the kernel at a word, forks in flight included. A cgroup
/// can be limited, and is found by its name even if everybody died; but who runs
/// as the same user, and wants to, can move itself out. A PID namespace nobody
/// leaves and it dies with its first process; it limits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Holding {
    /// A cgroup of the second hierarchy for each entry.
    Cgroup {
        /// The group in which they are made.
        parent: PathBuf,
    },
    /// A PID namespace for each entry.
    Namespace {
        /// The program `unshare` of util-linux (2.35 or later).
        unshare: PathBuf,
    },
}

/// Neither way works here.
#[derive(Debug, thiserror::Error)]
#[error(
    "this host lends no way to hold processes together: cgroups: {cgroups}; namespaces: {namespaces}"
)]
pub struct NoHolding {
    /// Why no cgroup can be had.
    pub cgroups: String,
    /// Why no PID namespace can be had.
    pub namespaces: String,
}

/// How much of a digest tells registries apart, in bytes.
const TAG_BYTES: usize = 8;

impl Holding {
    /// The better way of those that work here: cgroups, else namespaces.
    ///
    /// # Errors
    ///
    /// If neither does; why is said for both.
    pub fn detect(registry: &Path, search_path: &str) -> Result<Self, NoHolding> {
        let cgroups = match Self::cgroups(registry) {
            Ok(holding) => return Ok(holding),
            Err(error) => error.to_string(),
        };
        Self::namespaces(search_path)
            .map_err(|error| NoHolding { cgroups, namespaces: error.to_string() })
    }

    /// By cgroups below the one of this process.
    ///
    /// # Errors
    ///
    /// If there is no second hierarchy, or it may not be written, or the kernel
    /// is older than 5.14.
    pub fn cgroups(registry: &Path) -> io::Result<Self> {
        let parent = Self::group_here(registry)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "the second hierarchy is not mounted")
        })?;
        Ok(Self::Cgroup { parent: cgroup::prepare(&parent)? })
    }

    /// Where the groups of a registry are made by whoever is in the group of this process.
    pub(super) fn group_here(registry: &Path) -> io::Result<Option<PathBuf>> {
        Ok(cgroup::own()?.map(|own| own.join(group_of_registry(registry))))
    }

    /// By PID namespaces, within a user namespace unless this is root.
    ///
    /// # Errors
    ///
    /// If `unshare` is missing in `search_path` or the kernel refuses it.
    pub fn namespaces(search_path: &str) -> io::Result<Self> {
        let unshare = search_path
            .split(':')
            .map(|directory| Path::new(directory).join("unshare"))
            .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok())
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "the program `unshare` is missing")
            })?;
        // It is at hand, so it also serves as what is run inside.
        let trial = Command::new(&unshare)
            .args(unsharing())
            .arg(&unshare)
            .arg("--version")
            .env_clear()
            .stdin(Stdio::null())
            .output()?;
        if trial.status.success() {
            return Ok(Self::Namespace { unshare });
        }
        let said = String::from_utf8_lossy(&trial.stderr);
        Err(io::Error::other(said.lines().next().unwrap_or("`unshare` failed").to_owned()))
    }
}

/// The arguments that make the namespaces. The user stays who it is, and
/// `unshare` ends what it started if it is killed itself.
pub(super) fn unsharing() -> impl Iterator<Item = &'static str> {
    let user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-current-user"] };
    let rest = ["--pid", "--fork", "--kill-child", "--mount-proc", "--"];
    user.iter().copied().chain(rest)
}

/// Names the group that holds those of all entries of a registry.
pub(super) fn group_of_registry(registry: &Path) -> String {
    let digest = Sha256::digest(registry.as_os_str().as_encoded_bytes());
    let tag = digest.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}"));
    format!("hotcell-{}", tag.collect::<String>())
}
