//! Where everything of ours lies on disk.
//!
//! ```text
//! <home>/                       mode 0700
//!   hotcell.sqlite              records and ledger
//!   secret.key                  what this user's secrets are sealed with
//!   host.json                   what this host can do, as of one boot
//!   environments/ kernels/ initrds/ staging/ …   the environment library
//!   templates/<key>/            one warm machine each
//!   seeds/                      images that workspaces start from
//!   workspaces/<id>/            one workspace each
//!   scratch/<uuid>/             what somebody fills for a while
//!   hosts/                      what is remembered of connections of chat hosts
//!   applies/<checkout>/         what is being applied to a checkout of the host
//! ```

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use workspace_api::id::WorkspaceId;

use crate::disks::DiskLayers;
use crate::files::{FileError, create_private, remove_tree, try_lock, while_making};
use crate::saved::shelf::Shelf;

/// The directory that holds everything of ours.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Opens the home, creating what is missing.
    ///
    /// # Errors
    ///
    /// If a directory cannot be created.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let home = Self(path.to_owned());
        for directory in [path, &home.templates(), &home.seeds(), &home.workspaces()] {
            create_private(directory)?;
        }
        // Somebody may have made the directory before us, open to everybody.
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(FileError::at("protect", path))?;
        Ok(home)
    }

    /// The directory itself.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("hotcell.sqlite")
    }

    /// The key that this user's secrets are sealed with.
    pub(crate) fn secret_key(&self) -> PathBuf {
        self.0.join("secret.key")
    }

    pub(crate) fn host_facts(&self) -> PathBuf {
        self.0.join("host.json")
    }

    pub(crate) fn templates(&self) -> PathBuf {
        self.0.join("templates")
    }

    pub(crate) fn seeds(&self) -> PathBuf {
        self.0.join("seeds")
    }

    /// Where repositories are cloned to: on the same file system as the seeds.
    pub(crate) fn clones(&self) -> PathBuf {
        self.seeds().join("clones")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    pub(crate) fn applies(&self) -> PathBuf {
        self.0.join("applies")
    }

    /// What is remembered of connections of chat hosts.
    pub(crate) fn chat_hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    pub(crate) fn workspaces(&self) -> PathBuf {
        self.0.join("workspaces")
    }

    pub(crate) fn workspace(&self, id: WorkspaceId) -> WorkspaceFiles {
        WorkspaceFiles(self.workspaces().join(id.to_string()))
    }
}

/// Extension of a workspace's directory that is being removed.
pub(crate) const DELETED: &str = "deleted";

/// Extension of a workspace's directory that is not locked yet.
pub(crate) const UNNAMED: &str = "new";

/// The files of one workspace.
#[derive(Debug, Clone)]
pub(crate) struct WorkspaceFiles(PathBuf);

impl WorkspaceFiles {
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    /// Held by whoever is responsible for the workspace's machine.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What the machine writes to its drives.
    pub(crate) fn disks(&self) -> DiskLayers {
        DiskLayers::at(self.0.join("disks"))
    }

    /// The image of the tree that the workspace was seeded with: another name of
    /// the one that it shares, and the note that it is used.
    pub(crate) fn seed(&self) -> PathBuf {
        self.0.join("seed.ext4")
    }

    pub(crate) fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }

    /// The memory of a machine that is being booted.
    pub(crate) fn ram(&self) -> PathBuf {
        self.0.join("ram")
    }

    /// Its machine as it was at some moments.
    pub(crate) fn snapshots(&self) -> Shelf {
        Shelf::at(self.0.join("snapshots"))
    }

    /// What is known of commands, shells and services in the background.
    pub(crate) fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }

    /// What is known of services.
    pub(crate) fn services(&self) -> PathBuf {
        self.0.join("services")
    }

    pub(crate) fn keeper_log(&self) -> PathBuf {
        self.0.join("keeper.log")
    }

    /// Creates the directory with its lock, which the caller then holds. It gets
    /// its name when the lock is held, so that nobody ever sees it unlocked.
    pub(crate) fn create(&self) -> Result<File, FileError> {
        let _making = while_making(self.0.parent().expect("workspaces have a directory"))?;
        let unnamed = Self(self.0.with_extension(UNNAMED));
        create_private(&unnamed.0)?;
        let taken = || io::Error::from(io::ErrorKind::AlreadyExists);
        let lock =
            try_lock(&unnamed.lock())?.ok_or_else(|| FileError::at("lock", &unnamed.0)(taken()))?;
        fs::rename(&unnamed.0, &self.0).map_err(FileError::at("create", &self.0))?;
        Ok(lock)
    }

    /// Removes everything. The directory is renamed first, so that it is there
    /// as a workspace or not at all, whatever happens in between.
    pub(crate) fn delete(&self) -> Result<(), FileError> {
        let doomed = self.0.with_extension(DELETED);
        match fs::rename(&self.0, &doomed) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(FileError::at("remove", &self.0)(source))
            }
            _ => remove_tree(&doomed),
        }
    }

    /// Name of the keeper's socket within the directory.
    pub(crate) const SOCKET: &'static str = "keeper.sock";
}
