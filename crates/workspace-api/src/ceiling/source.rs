//! What workspaces of a project start from, and which ones are the project's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::label::Label;
use crate::seed::{Seed, SeedFiles};

/// The key of the label that says whose a workspace is.
pub const PROJECT_LABEL: &str = "hotcell.project";

/// What a workspace starts from for which nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It starts empty.
    Nothing,
    /// A tree of the host: the project's directory, by its absolute path.
    Directory(String),
    /// A repository that is cloned for it.
    Repository {
        /// Where it is.
        url: String,
        /// Branch, tag or commit; its default branch if none is named.
        reference: Option<String>,
    },
}

impl Source {
    /// A project's directory, by its absolute path.
    ///
    /// # Errors
    ///
    /// If the path is no text or too long to be a label.
    pub fn directory(path: PathBuf) -> Result<Self, NotASource> {
        match path.into_os_string().into_string() {
            Ok(path) => Self::Directory(path).checked(),
            Err(path) => Err(NotASource(PathBuf::from(path).display().to_string())),
        }
    }

    /// A repository.
    ///
    /// # Errors
    ///
    /// If the address holds credentials, which would be seen by everybody who sees
    /// a workspace, or if it is too long to be a label.
    pub fn repository(url: String, reference: Option<String>) -> Result<Self, NotASource> {
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let user = authority.split('/').next().and_then(|host| host.rsplit_once('@'));
        if user.is_some_and(|(user, _)| user.contains(':')) {
            return Err(NotASource("an address that holds a password".to_owned()));
        }
        Self::Repository { url, reference }.checked()
    }

    fn checked(self) -> Result<Self, NotASource> {
        match self.name().map(|name| format!("{PROJECT_LABEL}={name}").parse::<Label>()) {
            Some(Err(_)) => Err(NotASource(self.name().unwrap_or_default().to_owned())),
            _ => Ok(self),
        }
    }

    /// What the project is known by.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Directory(path) => Some(path),
            Self::Repository { url, .. } => Some(url),
        }
    }

    /// The seed that means it.
    #[must_use]
    pub fn seed(&self, files: SeedFiles) -> Seed {
        match self {
            Self::Nothing => Seed { files, ..Seed::default() },
            Self::Directory(path) => Seed { files, ..Seed::from_path(path) },
            Self::Repository { url, reference } => {
                Seed { files, repo_ref: reference.clone(), ..Seed::from_repository(url) }
            }
        }
    }

    /// Whether it is the directory at this path.
    #[must_use]
    pub fn is_directory(&self, path: &str) -> bool {
        matches!(self, Self::Directory(own) if Path::new(own) == Path::new(path))
    }

    /// What to do when a workspace cannot start from it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let other = "the operator can serve another source: `--project-path DIR`, `--repo-url URL` \
                     or `--no-project-source` of `mcp serve`";
        format!("workspaces here start from {self}; {other}")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing: /workspace begins empty"),
            Self::Directory(path) => write!(f, "the project at {path}"),
            Self::Repository { url, reference: None } => write!(f, "the repository {url}"),
            Self::Repository { url, reference: Some(reference) } => {
                write!(f, "{reference} of the repository {url}")
            }
        }
    }
}

/// Something that no workspace can start from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be a project: its path or address has to be text of at most {max} bytes, \
         without a password", max = Label::VALUE_MAX)]
pub struct NotASource(String);

/// Which workspaces there are for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those that have the project's label.
    Project(Label),
    /// Those of no project.
    Unowned,
    /// All.
    Everything,
}

impl Scope {
    /// The workspaces of whoever starts from `source`.
    #[must_use]
    pub fn of(source: &Source) -> Self {
        let label = source.name().and_then(|name| format!("{PROJECT_LABEL}={name}").parse().ok());
        label.map_or(Self::Unowned, Self::Project)
    }

    /// Whether a workspace with these labels is one of them.
    #[must_use]
    pub fn includes(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(PROJECT_LABEL);
        match self {
            Self::Project(label) => found == Some(&label.value),
            Self::Unowned => found.is_none(),
            Self::Everything => true,
        }
    }

    /// The label that a new workspace gets.
    #[must_use]
    pub fn stamp(&self, source: &Source) -> Option<Label> {
        match self {
            Self::Project(label) => Some(label.clone()),
            Self::Unowned => None,
            Self::Everything => match Self::of(source) {
                Self::Project(label) => Some(label),
                Self::Unowned | Self::Everything => None,
            },
        }
    }
}

// The key is a label's.
const _: () = assert!(PROJECT_LABEL.len() <= crate::label::LabelKey::LENGTH_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::LabelFilter;

    #[test]
    fn addresses_with_passwords_are_no_projects() {
        let repository = |url: &str| Source::repository(url.to_owned(), None);
        assert!(repository("https://me:ghp_secret@example.org/x").is_err());
        for good in ["https://example.org/x@y:z", "ssh://git@example.org/x", "git@example.org:x"] {
            assert!(repository(good).is_ok(), "{good}");
        }
        let told = repository("https://me:ghp_secret@example.org/x").unwrap_err().to_string();
        assert!(!told.contains("ghp_secret"), "{told}");
    }

    #[test]
    fn a_project_is_a_label_that_can_be_asked_for() {
        let source = Source::directory(PathBuf::from("/projects/a=b c")).unwrap();
        let Scope::Project(label) = Scope::of(&source) else { panic!("{source}") };
        let filter: LabelFilter = label.to_string().parse().unwrap();
        let labels = [(label.key.to_string(), label.value.clone())].into();
        assert!(filter.matches(&labels) && Scope::of(&source).includes(&labels));
        assert!(!Scope::Unowned.includes(&labels) && Scope::Everything.includes(&labels));
        let long = PathBuf::from(format!("/{}", "x".repeat(255)));
        assert!(Source::directory(long).is_err());
    }
}
