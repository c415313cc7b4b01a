//! Where an entry stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use workspace_api::host::HostScope;

use crate::catalog::{Base, Host, Location};

/// What hosts find their configuration by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The user's home directory.
    pub home: PathBuf,
    /// The values of [`VARIABLES`] that are set.
    pub variables: BTreeMap<&'static str, PathBuf>,
    /// The project around the current directory.
    pub project: PathBuf,
}

/// The variables by which hosts are told where their configuration lies.
pub const VARIABLES: &[&str] =
    &["XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "COPILOT_HOME"];

/// A place where an entry stands.
#[derive(Debug, Clone)]
pub struct Place {
    /// For which sessions it counts.
    pub scope: HostScope,
    /// What is known of the file.
    pub location: Location,
    /// The directory by which the host finds it. Of several files in it, the host
    /// may make another than the one that was there.
    pub directory: PathBuf,
    /// The file.
    pub file: PathBuf,
    /// The directory that the file has to stay in, whatever links lead elsewhere:
    /// the files of a project may be a stranger's.
    pub within: Option<PathBuf>,
}

impl Place {
    /// Where entries of `host` stand for `scope`; `None` if it knows no such scope.
    #[must_use]
    pub fn of(host: &Host, scope: HostScope, surroundings: &Surroundings) -> Option<Self> {
        let location = host.location(scope)?;
        let directory = surroundings.directory(location.base);
        let exists = |file: &&&str| directory.join(file).symlink_metadata().is_ok();
        let file = location.files.iter().find(exists).or_else(|| location.files.first())?;
        let within = (location.base == Base::Project).then(|| surroundings.project.clone());
        let file = directory.join(file);
        Some(Self { scope, location, directory, file, within })
    }

    /// The keys that lead to the entry of that name.
    #[must_use]
    pub fn path<'a>(&self, name: &'a str) -> Vec<&'a str> {
        [self.location.table, &[name][..]].concat()
    }
}

impl Surroundings {
    fn directory(&self, base: Base) -> PathBuf {
        let variable = |name| self.variables.get(name).cloned();
        match base {
            Base::Home => self.home.clone(),
            Base::Config => {
                variable("XDG_CONFIG_HOME").unwrap_or_else(|| self.home.join(".config"))
            }
            Base::Variable(name, default) => {
                variable(name).unwrap_or_else(|| self.home.join(default))
            }
            Base::Project => self.project.clone(),
        }
    }
}

/// The git checkout around a directory, and otherwise the directory itself.
#[must_use]
pub fn project_around(directory: &Path) -> PathBuf {
    let is_checkout = |directory: &&Path| directory.join(".git").exists();
    directory.ancestors().find(is_checkout).unwrap_or(directory).to_owned()
}
