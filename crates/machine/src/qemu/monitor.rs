//! Which QEMU this host has.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{MachineError, MonitorInfo};

/// The executable's name.
const PROGRAM: &str = "qemu-system-x86_64";

/// A QEMU version, as far as features depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl Version {
    /// The first version that can map a file privately without opening it for
    /// writing.
    const READ_ONLY_RAM_FILE: Self = Self { major: 8, minor: 2 };

    pub(super) fn maps_read_only_files(self) -> bool {
        self >= Self::READ_ONLY_RAM_FILE
    }

    /// Reads `7.2.22`; anything unexpected counts as the oldest version.
    pub(super) fn of(info: &MonitorInfo) -> Self {
        let mut parts = info.version.split('.').map(|part| part.parse().unwrap_or(0));
        Self { major: parts.next().unwrap_or(0), minor: parts.next().unwrap_or(0) }
    }
}

/// Looks for QEMU in the directories of `search_path` (as in `PATH`) and asks
/// it for its version.
pub(super) fn find(search_path: &OsStr) -> Result<MonitorInfo, MachineError> {
    let program = std::env::split_paths(search_path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(PROGRAM))
        .find(is_executable)
        .ok_or_else(|| MachineError::MonitorMissing { program: PROGRAM.to_owned() })?;
    let version = version(&program)
        .map_err(|source| MachineError::MonitorVersion { program: program.clone(), source })?;
    Ok(MonitorInfo { program, version })
}

fn is_executable(candidate: &PathBuf) -> bool {
    candidate.is_file() && rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok()
}

fn version(program: &Path) -> io::Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("`--version` ended with {}", output.status)));
    }
    parse_version(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "`--version` printed no version number")
    })
}

/// Reads `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`.
fn parse_version(text: &str) -> Option<String> {
    let word = text.split_once("version ")?.1.split_whitespace().next()?;
    let numeric = word.split('.').all(|part| part.parse::<u32>().is_ok());
    (numeric && word.contains('.')).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_distributions_print() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright";
        assert_eq!(parse_version(debian).as_deref(), Some("7.2.22"));
        assert_eq!(parse_version("QEMU emulator version 9.0.1\n").as_deref(), Some("9.0.1"));
        assert_eq!(parse_version("usage: qemu"), None);
    }

    #[test]
    fn read_only_mapping_begins_with_8_2() {
        let maps = |version: &str| {
            let info = MonitorInfo { program: PathBuf::new(), version: version.to_owned() };
            Version::of(&info).maps_read_only_files()
        };
        assert!(!maps("7.2.22"));
        assert!(!maps("8.1.0"));
        assert!(maps("8.2.0"));
        assert!(maps("10.0.2"));
    }
}
