//! Runs `mmdebstrap`, which makes a system from Debian's signed packages.
//!
//! Which mirrors it asks is its own knowledge (the release, its updates and
//! its security updates) unless the caller names one. Its temporary directory
//! lies in our staging entry, so what it leaves when it is killed is swept.

use std::io::{self, Read};

use crate::cancel::Cancel;
use crate::catalog::{SOURCE_DATE_EPOCH, SUITE};
use crate::command::{Exit, Failure, Observed};
use crate::confinement::Confinement;
use crate::error::EnvironmentError;
use crate::progress::{Phase, Progress};
use crate::staging::Staging;

/// What a guest does not need: 30 % of the smallest system. The licences stay.
/// The rules also hold for packages that are installed later in the guest.
const TRIMMED: &[&str] = &[
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
];

/// Lays `/usr` out in its merged form before anything is unpacked.
const MERGED_USR: &str = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr";

/// The host's name and resolver are copied in for the installation; they are
/// nobody's business in an image and would make each host's image another one.
const FORGET_HOST: &str = "--customize-hook=: >\"$1/etc/hostname\"; rm -f \"$1/etc/resolv.conf\"; : >\"$1/etc/resolv.conf\"";

/// What the error stream holds when signatures are the reason.
const SIGNATURE_TEXTS: &[&str] = &[
    "NO_PUBKEY",
    "BADSIG",
    "EXPKEYSIG",
    "REVKEYSIG",
    "is not signed",
    "signatures were invalid",
    "signatures couldn't be verified",
];

/// What the error stream holds when the network is the reason.
const NETWORK_TEXTS: &[&str] = &[
    "Failed to fetch",
    "Could not resolve",
    "Could not connect",
    "Unable to connect",
    "Temporary failure",
    "does not have a Release file",
    "Hash Sum mismatch",
    "Connection failed",
    "Connection timed out",
];

/// What kind of system is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Variant {
    /// One that a machine can run; packages are set up.
    Installed(&'static str),
    /// The files of the packages and nothing else.
    FilesOnly,
}

/// A system to be made.
#[derive(Debug)]
pub(crate) struct Bootstrap<'a> {
    pub(crate) variant: Variant,
    pub(crate) includes: &'a [&'a str],
    pub(crate) mirror: Option<&'a str>,
}

impl Bootstrap<'_> {
    /// Makes the system; `consume` takes it as a tar archive.
    pub(crate) fn run<T>(
        &self,
        confinement: Confinement,
        staging: &Staging,
        progress: &mut dyn FnMut(Progress),
        cancel: &Cancel,
        consume: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, EnvironmentError> {
        let work = staging.work();
        let temporary = work.join("tmp");
        crate::durable::create_directory(&temporary)?;
        let variant = match self.variant {
            Variant::Installed(variant) => variant,
            Variant::FilesOnly => "extract",
        };
        let mut invocation = confinement
            .invocation("mmdebstrap", "mmdebstrap", &work)?
            .env("TMPDIR", &temporary)
            .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(staging.lock()?)
            .args(&["--verbose", "--mode=auto", "--format=tar"])
            .arg(format!("--variant={variant}"))
            .arg(format!("--include={}", self.includes.join(",")));
        if let Variant::Installed(_) = self.variant {
            invocation = invocation.args(TRIMMED).args(&[MERGED_USR, FORGET_HOST]);
        }
        invocation = invocation.args(&["--", SUITE, "-"]);
        if let Some(mirror) = self.mirror {
            invocation = invocation.arg(mirror);
        }
        let mut reading = Reading::default();
        let mut observe = |observed: Observed<'_>| {
            if let Some(event) = reading.observe(&observed) {
                progress(event);
            }
        };
        invocation.stream(cancel, &mut observe, consume).map_err(|failure| match failure {
            Failure::Exit(exit) => explain(exit),
            Failure::Other(error) => error,
        })
    }
}

/// Finds out from the last words what a failure was about. Signatures come
/// first: a source that fails them is also reported as one that failed.
fn explain(exit: Exit) -> EnvironmentError {
    let mentions = |texts: &[&str]| texts.iter().any(|text| exit.tail.contains(text));
    if mentions(SIGNATURE_TEXTS) {
        EnvironmentError::BadSignature { tail: exit.tail }
    } else if mentions(NETWORK_TEXTS) {
        EnvironmentError::DownloadFailed { tail: exit.tail }
    } else {
        Failure::Exit(exit).into()
    }
}

/// What was understood of the error stream so far.
#[derive(Debug, Default)]
struct Reading {
    stage: Stage,
    packages: u32,
    fetched: u32,
    set_up: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Lists,
    Packages,
    Installing,
    Archive,
}

impl Reading {
    fn observe(&mut self, observed: &Observed<'_>) -> Option<Progress> {
        match observed {
            Observed::Output(bytes) => {
                self.stage = Stage::Archive;
                Some(Progress { phase: Phase::Packing, fraction: None, bytes: Some(*bytes) })
            }
            Observed::Line(line) => self.line(line),
        }
    }

    fn line(&mut self, line: &str) -> Option<Progress> {
        if line.starts_with("I: running apt-get update") {
            return Some(Progress::phase(Phase::Downloading));
        } else if line.starts_with("I: downloading packages") {
            self.stage = Stage::Packages;
        } else if line.starts_with("I: extracting archives") {
            self.stage = Stage::Installing;
        } else if line.starts_with("Get:") && self.stage == Stage::Packages {
            self.fetched = self.fetched.saturating_add(1);
        } else if line.starts_with("Setting up ") {
            self.set_up = self.set_up.saturating_add(1);
        } else if let Some(count) = newly_installed(line) {
            self.packages = self.packages.saturating_add(count);
            return None;
        } else {
            return None;
        }
        let (phase, done) = match self.stage {
            Stage::Packages => (Phase::Downloading, self.fetched),
            Stage::Installing => (Phase::Installing, self.set_up),
            Stage::Lists | Stage::Archive => return None,
        };
        let fraction = (self.packages > 0)
            .then(|| (f64::from(done) / f64::from(self.packages)).clamp(0.0, 1.0));
        Some(Progress { phase, fraction, bytes: None })
    }
}

/// Reads `0 upgraded, 69 newly installed, 0 to remove …`.
fn newly_installed(line: &str) -> Option<u32> {
    let (before, _) = line.split_once(" newly installed")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn explained(tail: &str) -> EnvironmentError {
        let status = std::process::ExitStatus::from_raw(256);
        explain(Exit { program: "mmdebstrap", status, tail: tail.to_owned() })
    }

    #[test]
    fn failures_are_told_apart() {
        let unsigned = "Get:1 x\nNO_PUBKEY 12\nE: The repository 'x' is not signed.";
        assert!(matches!(explained(unsigned), EnvironmentError::BadSignature { .. }));
        let offline = "E: Failed to fetch x  Could not resolve 'x'";
        assert!(matches!(explained(offline), EnvironmentError::DownloadFailed { .. }));
        assert!(matches!(explained("E: what?"), EnvironmentError::ToolFailed { .. }));
    }

    #[test]
    fn progress_is_read_from_the_error_stream() {
        let mut reading = Reading::default();
        let lines = [
            "I: running apt-get update...",
            "Get:1 lists",
            "I: downloading packages with apt...",
            "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
            "Get:1 a",
            "I: extracting archives...",
            "Setting up a (1) ...",
            "Setting up b (1) ...",
        ];
        let events: Vec<_> = lines
            .iter()
            .filter_map(|line| reading.line(line))
            .map(|event| (event.phase, event.fraction))
            .collect();
        assert_eq!(
            events,
            [
                (Phase::Downloading, None),
                (Phase::Downloading, None),
                (Phase::Downloading, Some(0.5)),
                (Phase::Installing, Some(0.0)),
                (Phase::Installing, Some(0.5)),
                (Phase::Installing, Some(1.0)),
            ]
        );
    }
}
