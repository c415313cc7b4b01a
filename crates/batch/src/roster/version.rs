//! Which version a program is, by its own word.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agents::Adapter;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most bytes that are read of what it says.
const SAID_BYTES_MAX: u64 = 4096;

/// Why the version of a program is not known.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// It could not be started or listened to.
    #[error("cannot ask `{program}` for its version", program = .program.display())]
    Ask {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not answer.
    #[error("`{program} --version` says nothing for {} s", PATIENCE.as_secs(), program = .0.display())]
    Silent(PathBuf),
    /// Its answer has no version.
    #[error("`{program} --version` tells no version", program = .0.display())]
    Untold(PathBuf),
}

/// Asks a program for its version, in an empty home that is gone afterwards.
///
/// # Errors
///
/// If it tells none in time.
pub async fn version(program: &Path, search: &OsStr) -> Result<String, VersionError> {
    let failed = |source| VersionError::Ask { program: program.to_owned(), source };
    let home = tempfile::tempdir().map_err(failed)?;
    let mut child = Command::new(program)
        .arg("--version")
        .env_clear()
        .env("PATH", search)
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut said = Vec::new();
    let listening = async {
        if let Some(out) = child.stdout.take() {
            out.take(SAID_BYTES_MAX).read_to_end(&mut said).await?;
        }
        child.kill().await
    };
    match tokio::time::timeout(PATIENCE, listening).await {
        Ok(heard) => heard.map_err(failed)?,
        Err(_) => return Err(VersionError::Silent(program.to_owned())),
    }
    let said = String::from_utf8_lossy(&said);
    let version = Adapter::version(&said).map(str::to_owned);
    version.ok_or_else(|| VersionError::Untold(program.to_owned()))
}
