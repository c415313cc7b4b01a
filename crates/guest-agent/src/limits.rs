//! What commands may use, so that the agent can always answer.
//!
//! A fork bomb must not take the last process number, nor a memory hog the last
//! page: both are bounded for all commands together, and the agent is exempt
//! from the out-of-memory killer. The processor is shared by group and not by
//! process, so however many processes one command has, another command gets as
//! much as it, and the agent as much as all of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::containment::Cgroups;

const HIERARCHY: &str = "/sys/fs/cgroup";
const MEBIBYTE: u64 = 1024 * 1024;

/// Kept for the kernel and the agent: at least this much, in bytes.
const KEPT_LEAST: u64 = 64 * MEBIBYTE;

/// Kept for the kernel and the agent: this share of the memory, in percent.
const KEPT_SHARE: u64 = 8;

/// Descriptors that the agent may open: five for each of its 1,024 commands,
/// and some. Commands inherit it, so it is not larger than programs expect.
const DESCRIPTORS: u64 = 16 * 1024;

/// Why the limits were not set.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A kernel file cannot be read or holds no number.
    #[error("cannot read {what} from {path}")]
    Read {
        /// The number.
        what: &'static str,
        /// The file.
        path: &'static str,
    },
    /// A kernel file did not take a value.
    #[error("cannot write `{value}` to {path}")]
    Write {
        /// What was written.
        value: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The groups of commands cannot be made.
    #[error("cannot make cgroups in {path}")]
    Groups {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The agent may not open enough files.
    #[error("cannot raise the limit of descriptors to {DESCRIPTORS}")]
    Descriptors(#[source] io::Error),
}

/// Sets them all; the groups are for the commands to come.
///
/// # Errors
///
/// Naming the file and the value.
pub fn apply() -> Result<Cgroups, LimitError> {
    let limit = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS * 32) };
    setrlimit(Resource::Nofile, limit).map_err(|error| LimitError::Descriptors(error.into()))?;
    write(Path::new("/proc/self/oom_score_adj"), "-1000")?;
    let commands = Path::new(HIERARCHY).join("commands");
    write(&Path::new(HIERARCHY).join("cgroup.subtree_control"), "+memory +pids")?;
    let groups = Cgroups::at(&commands)
        .map_err(|source| LimitError::Groups { path: commands.clone(), source })?;
    let memory = number("MemTotal", "/proc/meminfo")?.saturating_mul(1024);
    write(&commands.join("memory.max"), &memory_for_commands(memory).to_string())?;
    let threads = number("", "/proc/sys/kernel/threads-max")?;
    write(&commands.join("pids.max"), &(threads / 4 * 3).to_string())?;
    // A kernel without this controller still runs commands, only less fairly.
    let _ = fs::write(Path::new(HIERARCHY).join("cgroup.subtree_control"), "+cpu");
    let _ = fs::write(commands.join("cgroup.subtree_control"), "+cpu");
    Ok(groups)
}

fn memory_for_commands(total: u64) -> u64 {
    total.saturating_sub(KEPT_LEAST.max(total / 100 * KEPT_SHARE))
}

fn write(path: &Path, value: &str) -> Result<(), LimitError> {
    fs::write(path, value).map_err(|source| LimitError::Write {
        value: value.into(),
        path: path.to_owned(),
        source,
    })
}

/// The first number of the line that begins with `what`.
fn number(what: &'static str, path: &'static str) -> Result<u64, LimitError> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(what))
        .and_then(|rest| rest.split_whitespace().find_map(|word| word.parse().ok()))
        .ok_or(LimitError::Read { what, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_machines_keep_a_minimum_and_large_ones_a_share() {
        assert_eq!(memory_for_commands(256 * MEBIBYTE), 192 * MEBIBYTE);
        assert_eq!(memory_for_commands(100_000 * MEBIBYTE), 92_000 * MEBIBYTE);
        assert_eq!(memory_for_commands(MEBIBYTE), 0);
    }
}
