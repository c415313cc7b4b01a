//! The drives of a machine that does not run, read on the host.
//!
//! What is read was written by a guest, through a monitor that it may have taken
//! over: the crate `disk-image` believes none of it. Which layer lies on which is
//! known from records of ours.

use std::fs::File;
use std::path::PathBuf;

use disk_image::Layers;
use disk_image::ext4::{Ext4, Ext4Error, Inode, Kind};
use guest_protocol::path::quote;
use machine::{Disk, DiskImage};
use operation::{ErrorKind, OpError};
use workspace_api::snapshot::SnapshotName;
use workspace_api::state::WorkspaceState;

use super::Engine;
use super::snapshots::missing;
use crate::disks::DiskLayers;
use crate::files::FileError;
use crate::origin::Origin;
use crate::saved::shelf::Hold;
use crate::store::Record;

/// Where the guest has the tree of the workspace.
const WORKSPACE: &[u8] = b"workspace";

/// The files that the drives of a machine consist of.
#[derive(Debug)]
pub(super) struct Drives {
    pub(super) root: DriveFiles,
    /// The drive of a workspace that was seeded.
    pub(super) workspace: Option<DriveFiles>,
}

/// The files that a drive consists of.
#[derive(Debug)]
pub(super) struct DriveFiles {
    /// The uppermost first.
    layers: Vec<PathBuf>,
    image: PathBuf,
}

/// The drives of a stopped workspace, which stays stopped as long as this lives.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) drives: Drives,
    _lock: File,
}

impl DriveFiles {
    fn of(disk: &Disk) -> Result<Self, OpError> {
        let mut layers = vec![disk.layer.clone()];
        for below in &disk.backing {
            match below {
                DiskImage::Qcow2 { path } => layers.push(path.clone()),
                DiskImage::Raw { path } => return Ok(Self { layers, image: path.clone() }),
            }
        }
        let message = format!("the drive `{}` lies on no image", disk.name);
        Err(OpError::plain(ErrorKind::Internal, message))
    }

    /// The drive, for reading.
    pub(super) fn open(&self) -> Result<Layers, OpError> {
        let open = |path: &PathBuf| File::open(path).map_err(FileError::at("open", path));
        let layers = self.layers.iter().map(open).collect::<Result<_, _>>()?;
        Layers::new(layers, open(&self.image)?).map_err(|error| {
            OpError::new(ErrorKind::Internal, &error).during("cannot read the workspace's disk")
        })
    }

    fn system(&self) -> Result<Ext4, OpError> {
        Ext4::open(Box::new(self.open()?)).map_err(|error| unreadable(&error))
    }
}

impl Drives {
    fn of(disks: &[Disk], is_seeded: bool) -> Result<Self, OpError> {
        let [root, workspace] = disks else {
            return Err(OpError::plain(ErrorKind::Internal, "a machine of another kind"));
        };
        let workspace = if is_seeded { Some(DriveFiles::of(workspace)?) } else { None };
        Ok(Self { root: DriveFiles::of(root)?, workspace })
    }

    /// The file system that the workspace's tree lies in, and where in it.
    pub(super) fn tree(&self) -> Result<(Ext4, &'static [&'static [u8]]), OpError> {
        Ok(match &self.workspace {
            Some(workspace) => (workspace.system()?, &[]),
            None => (self.root.system()?, &[WORKSPACE]),
        })
    }

    /// The file systems of all drives.
    pub(super) fn systems(&self) -> Result<Systems, OpError> {
        let workspace = self.workspace.as_ref().map(DriveFiles::system).transpose()?;
        Ok(Systems { root: self.root.system()?, workspace })
    }
}

impl Engine {
    /// The drives of a stopped workspace.
    pub(super) async fn stopped(&self, record: &Record) -> Result<Stopped, OpError> {
        if record.state != WorkspaceState::Stopped {
            let message = format!("workspace {} is {} and not stopped", record.id, record.state);
            let error = OpError::plain(ErrorKind::Conflict, message);
            return Err(match record.state {
                // What its guest had not written down yet is only in its memory.
                WorkspaceState::Hibernated => error.hinted(
                    "wake it and use `hotcell file`; or give its memory up: \
                     `hotcell workspace stop`",
                ),
                _ => error.hinted("stop it first: `hotcell workspace stop`"),
            });
        }
        let files = self.home.workspace(record.id);
        let lock = super::power::take(&files, record).await?;
        let origin = Origin::template(&self.template_of(record)?, &files);
        let layers = files.disks();
        let disks = layers.drives(&layers.chains()?, &origin.below);
        Ok(Stopped { drives: Drives::of(&disks, files.seed().exists())?, _lock: lock })
    }

    /// The drives of a snapshot of a workspace, as they were frozen, and what
    /// keeps them there.
    pub(super) fn frozen(
        &self,
        record: &Record,
        name: &SnapshotName,
    ) -> Result<(Drives, Hold), OpError> {
        let files = self.home.workspace(record.id);
        let found = files.snapshots().find(name)?;
        let (saved, hold) = found.ok_or_else(|| missing(record, name))?;
        let origin = Origin::template(&self.template_of(record)?, &files);
        let frozen = saved.frozen();
        let disks = DiskLayers::at(frozen.directory).drives(&frozen.chains, &origin.below);
        Ok((Drives::of(&disks, files.seed().exists())?, hold))
    }
}

/// Runs work that blocks away from the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpError> + Send + 'static,
) -> Result<T, OpError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| OpError::new(ErrorKind::Internal, &error))?
}

/// The file systems of a machine, as its guest has them mounted.
#[derive(Debug)]
pub(super) struct Systems {
    root: Ext4,
    workspace: Option<Ext4>,
}

/// Something in a file system.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// Its path, from the root on.
    pub(super) path: Vec<Vec<u8>>,
    pub(super) system: &'a Ext4,
    pub(super) inode: Inode,
}

impl Systems {
    /// What lies at a path; no link is followed.
    pub(super) fn find(&self, path: &[Vec<u8>]) -> Result<Place<'_>, OpError> {
        let mut place = self.place(Vec::new(), &self.root, None)?;
        for name in path {
            if place.inode.kind != Kind::Directory {
                return Err(not_a_directory(&place));
            }
            let names = place.system.list(&place.inode).map_err(|error| unreadable(&error))?;
            let mut deeper = place.path.clone();
            deeper.push(name.clone());
            let found = names.into_iter().find(|found| found.name == *name);
            let found = found.ok_or_else(|| {
                OpError::plain(ErrorKind::NotFound, format!("there is no `{}`", shown(&deeper)))
            })?;
            place = self.place(deeper, place.system, Some(found.inode))?;
        }
        Ok(place)
    }

    /// What lies in a directory, in order.
    pub(super) fn list<'a>(&'a self, directory: &Place<'a>) -> Result<Vec<Place<'a>>, OpError> {
        let mut names =
            directory.system.list(&directory.inode).map_err(|error| unreadable(&error))?;
        names.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let place = |name: disk_image::ext4::Name| {
            let mut path = directory.path.clone();
            path.push(name.name);
            self.place(path, directory.system, Some(name.inode))
        };
        names.into_iter().map(place).collect()
    }

    /// `None` is the root of the system.
    fn place<'a>(
        &'a self,
        path: Vec<Vec<u8>>,
        system: &'a Ext4,
        inode: Option<u32>,
    ) -> Result<Place<'a>, OpError> {
        // The guest mounts the other drive there.
        if let (Some(workspace), [name]) = (&self.workspace, path.as_slice())
            && name == WORKSPACE
        {
            let inode = workspace.root().map_err(|error| unreadable(&error))?;
            return Ok(Place { path, system: workspace, inode });
        }
        let inode = match inode {
            Some(number) => system.inode(number),
            None => system.root(),
        };
        Ok(Place { path, system, inode: inode.map_err(|error| unreadable(&error))? })
    }
}

fn not_a_directory(place: &Place<'_>) -> OpError {
    let message = format!("`{}` is no directory", shown(&place.path));
    let error = OpError::plain(ErrorKind::Conflict, message);
    match place.inode.kind {
        Kind::Symlink => error.hinted("it is a symbolic link, and none is followed"),
        _ => error,
    }
}

/// A path as it is told.
pub(super) fn shown(path: &[Vec<u8>]) -> String {
    quote(&[b"/".as_slice(), &path.join(&b'/')].concat())
}

/// The error of a disk that cannot be read.
pub(super) fn unreadable(error: &Ext4Error) -> OpError {
    OpError::new(ErrorKind::Internal, error).during("cannot read the workspace's disk")
}
