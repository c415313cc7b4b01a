//! Which repository, and how it wants its batches.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use batch_api::RepositoryName;
use file_tree::{Root, TreePath};
use operation::{ErrorKind, OpError};
use rustix::fs::{Mode, OFlags};

use crate::configuration::{
    self, FILE_MAX_BYTES, OWN_FILE, Read, TASKPLANE_FILE, TASKPLANE_OLD_FILES,
};

/// How far upwards the repository is looked for, in directories.
const LEVELS_MAX: usize = 64;

/// What a repository is called whose directory has no name that can be used.
const NAMELESS: &str = "repository";

/// An opened repository.
#[derive(Debug)]
pub(crate) struct Repository {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Everything in it is opened beneath this.
    pub(crate) root: Root,
}

impl Repository {
    /// The repository around a directory: the nearest one upwards that has a
    /// configuration or `.git`, or else the directory. What lies around a repository
    /// has no say in it: it may belong to somebody else.
    pub(crate) fn around(directory: &Path) -> Result<Self, OpError> {
        let shown = directory.display();
        let refused = |kind: ErrorKind, error: &io::Error| {
            OpError::new(kind, error)
                .during(format!("cannot find the directory {shown}"))
                .hinted("give a directory in the repository")
        };
        let start = directory.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                refused(ErrorKind::NotFound, &error)
            }
            _ => refused(ErrorKind::Denied, &error),
        })?;
        if !start.is_dir() {
            return Err(refused(ErrorKind::NotFound, &io::ErrorKind::NotADirectory.into()));
        }
        let has = |at: &Path, name: &str| at.join(name).symlink_metadata().is_ok();
        let found = start
            .ancestors()
            .take(LEVELS_MAX)
            .find(|at| [OWN_FILE, TASKPLANE_FILE, ".git"].iter().any(|name| has(at, name)));
        let path = found.unwrap_or(&start).to_owned();
        let root = Root::open(&path).map_err(|error| {
            OpError::new(ErrorKind::Denied, &error).hinted("give a directory that can be read")
        })?;
        Ok(Self { path, root })
    }

    /// How it wants its batches.
    pub(crate) fn configuration(&self) -> Read {
        match self.text(OWN_FILE) {
            Ok(Some(text)) => return configuration::own(&text),
            Ok(None) => {}
            Err(message) => return unreadable(OWN_FILE, message),
        }
        match self.text(TASKPLANE_FILE) {
            Ok(Some(text)) => configuration::taskplane(&text),
            Ok(None) => {
                let mut read = Read::default();
                let old = TASKPLANE_OLD_FILES.iter().find(|name| self.path.join(name).exists());
                if let Some(name) = old {
                    let message =
                        "Taskplane's configuration in YAML is not read; its JSON is".to_owned();
                    read.remarks
                        .push(batch_api::plan::Remark { file: (*name).to_owned(), message });
                }
                read
            }
            Err(message) => unreadable(TASKPLANE_FILE, message),
        }
    }

    /// A file of the repository as text; nothing if it is not there.
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let path = TreePath::parse(name.as_bytes()).map_err(|error| error.to_string())?;
        let Some(bytes) = bytes(&self.root, &path, FILE_MAX_BYTES)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| "found no text in UTF-8".to_owned())
    }

    /// What units call it: after its directory, as far as that makes a name.
    pub(crate) fn name(&self) -> RepositoryName {
        let called = self.path.file_name().unwrap_or_default().to_string_lossy();
        let called = called.to_ascii_lowercase();
        let plain = called.chars().map(|c| match c {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '-',
        });
        let plain: String = plain.take(RepositoryName::LENGTH_MAX).collect();
        let plain = plain.trim_start_matches(['.', '_', '-']);
        plain.parse().unwrap_or_else(|_| NAMELESS.parse().expect("it is a name"))
    }

    /// How a path is told: relative to the repository if it lies there.
    pub(crate) fn told(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.path).unwrap_or(path);
        configuration::shown_path(path)
    }
}

fn unreadable(file: &str, message: String) -> Read {
    let mut read = Read::default();
    let problem = batch_api::plan::PacketProblem { file: file.to_owned(), line: 0, message };
    read.problems.push(problem);
    read
}

/// What a file below a root holds: at most `most` bytes and one more, so that it is
/// seen that there are more. Nothing if it is not there; only plain files are read, and
/// none behind a link.
pub(crate) fn bytes(root: &Root, path: &TreePath, most: usize) -> Result<Option<Vec<u8>>, String> {
    let refused = |error: &dyn std::error::Error| format!("cannot be read: {error}");
    // A pipe would not be opened before somebody writes to it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file: File = match root.open_file(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            return Err("found a symbolic link, which is not followed; expected a file".to_owned());
        }
        Err(errno) => return Err(refused(&errno)),
    };
    let is_file = file.metadata().map_err(|error| refused(&error))?.is_file();
    if !is_file {
        return Err("found something that is no file; expected a file".to_owned());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| refused(&error))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_lies_around_a_repository_does_not_configure_it() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().canonicalize().unwrap();
        let around = |directory: &str| Repository::around(&top.join(directory)).unwrap().path;
        for directory in [".hotcell", "app/.git", "app/docs", "app/part/.hotcell", "app/part/src"] {
            fs::create_dir_all(top.join(directory)).unwrap();
        }
        fs::write(top.join(OWN_FILE), "").unwrap();
        fs::write(top.join("app/part").join(OWN_FILE), "").unwrap();
        assert_eq!(around("app/docs"), top.join("app"));
        assert_eq!(around("app/part/src"), top.join("app/part"));
        fs::create_dir(top.join("other")).unwrap();
        assert_eq!(around("other"), top);
    }
}
