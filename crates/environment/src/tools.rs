//! What this crate needs of the host.

use std::path::{Path, PathBuf};

use crate::command::find_program;

/// Where Debian's keys lie.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether a tool was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It lies here.
    Found(PathBuf),
    /// It does not lie in any of the system's directories.
    Missing,
}

/// A program or file of the host that this crate needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCheck {
    /// What it is called.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    /// The Debian package that provides it.
    pub package: &'static str,
    /// Whether it was found.
    pub presence: Presence,
}

/// Looks for everything that this user needs.
#[must_use]
pub fn tools() -> Vec<ToolCheck> {
    let program = |name, purpose, package| ToolCheck {
        name,
        purpose,
        package,
        presence: find_program(name).map_or(Presence::Missing, Presence::Found),
    };
    let mut checks = vec![
        program("mmdebstrap", "makes systems from signed packages", "mmdebstrap"),
        program("apt-get", "fetches packages and checks signatures", "apt"),
        program("mke2fs", "makes images", "e2fsprogs"),
        program("tar", "unpacks systems", "tar"),
        program("setpriv", "ends tools with the program that started them", "util-linux"),
        program("unshare", "keeps mounts and processes of a build apart", "util-linux"),
    ];
    if !rustix::process::geteuid().is_root() {
        checks.push(program("newuidmap", "gives a build owners of its own", "uidmap"));
        checks.push(program("fakeroot", "the same without subordinate ids", "fakeroot"));
        checks.push(program("fakechroot", "the same without subordinate ids", "fakechroot"));
    }
    let keyring = Path::new(KEYRING);
    checks.push(ToolCheck {
        name: "debian-archive-keyring",
        purpose: "the keys that packages are signed with",
        package: "debian-archive-keyring",
        presence: if keyring.exists() {
            Presence::Found(keyring.to_owned())
        } else {
            Presence::Missing
        },
    });
    checks
}
