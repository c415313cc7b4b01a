//! How tools come by the powers that installing packages takes.
//!
//! Installing a system means mounts, many owners and programs that are killed
//! in the middle. The first two of these ways put all of that into namespaces:
//! mounts vanish with them, and so does every process when the first one dies,
//! so a killed build leaves plain files and nothing else.
//!
//! | way | who | owners in the image | mounts and processes |
//! |---|---|---|---|
//! | [`Confinement::Root`] | root | real | vanish |
//! | [`Confinement::Subordinate`] | a user with `/etc/subuid` | real, mapped | vanish |
//! | [`Confinement::Plain`] | anybody else | faked | none, swept by lock |

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use crate::cancel::Cancel;
use crate::command::Invocation;
use crate::error::EnvironmentError;

const ROOT: &[&str] =
    &["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];

/// The user stays the owner of the directory (as root of the namespace), so it
/// can be closed to everybody else; that is why the package tool's own way of
/// unsharing, which maps the user to nobody, is not used.
const SUBORDINATE: &[&str] = &[
    "unshare",
    "--user",
    "--map-auto",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
];

/// How tools are run that need the powers of an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// As root, in namespaces of its own.
    Root,
    /// As root of a user namespace with subordinate ids.
    Subordinate,
    /// As whoever we are, without namespaces.
    Plain,
}

impl Confinement {
    /// Tries out what this host permits.
    pub(crate) fn detect(storage: &Path) -> Result<Self, EnvironmentError> {
        let way = if rustix::process::geteuid().is_root() { Self::Root } else { Self::Subordinate };
        let trial = way.invocation("true", "coreutils", storage)?.run(&Cancel::new());
        Ok(if trial.is_ok() { way } else { Self::Plain })
    }

    /// Whether owners must be faked because there is only one real one.
    pub(crate) fn fakes_owners(self) -> bool {
        self == Self::Plain && !rustix::process::geteuid().is_root()
    }

    pub(crate) fn invocation(
        self,
        program: &'static str,
        package: &'static str,
        storage: &Path,
    ) -> Result<Invocation, EnvironmentError> {
        let wrapper: Vec<&OsStr> = self.wrapper().iter().map(OsStr::new).collect();
        Invocation::wrapped(&wrapper, program, package, storage)
    }

    /// Like [`Self::invocation`], with faked owners if need be. They are kept
    /// in the file `state` between one program and the next.
    pub(crate) fn owning(
        self,
        program: &'static str,
        package: &'static str,
        storage: &Path,
        state: &Path,
    ) -> Result<Invocation, EnvironmentError> {
        if !self.fakes_owners() {
            return self.invocation(program, package, storage);
        }
        File::options()
            .append(true)
            .create(true)
            .open(state)
            .map_err(EnvironmentError::io("create", state))?;
        crate::command::find_program("fakeroot")
            .ok_or(EnvironmentError::ToolMissing { program: "fakeroot", package: "fakeroot" })?;
        let wrapper = [
            OsStr::new("fakeroot"),
            OsStr::new("-i"),
            state.as_os_str(),
            OsStr::new("-s"),
            state.as_os_str(),
            OsStr::new("--"),
        ];
        Invocation::wrapped(&wrapper, program, package, storage)
    }

    fn wrapper(self) -> &'static [&'static str] {
        match self {
            Self::Root => ROOT,
            Self::Subordinate => SUBORDINATE,
            Self::Plain => &[],
        }
    }
}
