//! The layers of a workspace's drives.
//!
//! ```text
//! written layer ──▶ frozen layer ──▶ … ──▶ what the template and the seed give
//! └─────────── the chain ────────────┘     └────────── never changes ────────┘
//! ```
//!
//! A chain begins with one layer per drive. Each snapshot freezes the written
//! layer and puts a fresh one above it; a frozen layer never changes any more.
//! Whoever needs a frozen layer, be it a workspace, a snapshot or a child, has a
//! name of its own for it in a directory of its own (a hard link): so the file
//! system counts who needs it, and what is deleted takes nothing away from
//! others, by whatever means it is deleted.
//!
//! **SIGKILL here.** The chain is one file, replaced whole, and is written down
//! *before* a snapshot puts fresh layers to use: they are empty until then, and
//! empty layers above a chain change nothing about what is read. A directory of
//! layers is replaced as a whole.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use machine::{Disk, DiskImage};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::files::{FileError, create_private, remove_tree, replace_file};

/// Names the drives' layers; where it is missing, each drive has its first one.
const CHAIN: &str = "chain.json";

/// A drive's first layer.
const FIRST_ROOT: &str = "root.qcow2";
const FIRST_WORKSPACE: &str = "workspace.qcow2";

/// How the name of every layer ends.
const LAYER_EXTENSION: &str = ".qcow2";

/// The layers of each drive: file names, the written one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chains {
    pub(crate) root: Vec<String>,
    pub(crate) workspace: Vec<String>,
}

/// Names a drive of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DriveName {
    /// The one with the root file system.
    Root,
    /// The one with the tree that the workspace was seeded with.
    Workspace,
}

impl DriveName {
    /// Its place among the machine's drives.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Root => 0,
            Self::Workspace => 1,
        }
    }
}

impl Default for Chains {
    fn default() -> Self {
        Self { root: vec![FIRST_ROOT.to_owned()], workspace: vec![FIRST_WORKSPACE.to_owned()] }
    }
}

impl Chains {
    /// All layers of all drives.
    pub(crate) fn files(&self) -> impl Iterator<Item = &String> {
        self.root.iter().chain(&self.workspace)
    }

    /// The layers of a drive.
    pub(crate) const fn of(&self, drive: DriveName) -> &Vec<String> {
        match drive {
            DriveName::Root => &self.root,
            DriveName::Workspace => &self.workspace,
        }
    }

    /// Where in a drive's chain these layers follow upon each other, if they do.
    pub(crate) fn place(&self, drive: DriveName, layers: &[String]) -> Option<usize> {
        let length = std::num::NonZeroUsize::new(layers.len())?;
        self.of(drive).windows(length.get()).position(|found| found == layers)
    }

    /// Puts one layer in the place of several.
    pub(crate) fn merge(&mut self, drive: DriveName, merged: Range<usize>, into: String) {
        let chain = match drive {
            DriveName::Root => &mut self.root,
            DriveName::Workspace => &mut self.workspace,
        };
        chain.splice(merged, [into]);
    }

    /// How many layers the drive with most of them has.
    pub(crate) fn depth(&self) -> usize {
        self.root.len().max(self.workspace.len())
    }

    /// The same with a fresh layer above each drive's.
    pub(crate) fn grown(&self) -> Self {
        let grow = |layers: &[String]| {
            let fresh = new_layer();
            std::iter::once(fresh).chain(layers.iter().cloned()).collect()
        };
        Self { root: grow(&self.root), workspace: grow(&self.workspace) }
    }

    /// The written layer of each drive, in the drives' order.
    pub(crate) fn tops(&self) -> impl Iterator<Item = &String> {
        self.root.first().into_iter().chain(self.workspace.first())
    }
}

/// A name for a layer that no other has.
pub(crate) fn new_layer() -> String {
    format!("{}{LAYER_EXTENSION}", Uuid::new_v4().simple())
}

/// What the layers of each drive lie on, nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Below {
    pub(crate) root: Vec<DiskImage>,
    pub(crate) workspace: Vec<DiskImage>,
}

/// What the drives of a workspace become.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NewLayers {
    /// A layer without content.
    pub(crate) empty: PathBuf,
    /// The frozen layers below, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) over: Option<Frozen>,
}

/// Frozen layers, and the directory that has names for them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Frozen {
    pub(crate) directory: PathBuf,
    pub(crate) chains: Chains,
}

/// A directory with the layers of a workspace's drives.
#[derive(Debug, Clone)]
pub(crate) struct DiskLayers(PathBuf);

impl DiskLayers {
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The layers as they are on record.
    pub(crate) fn chains(&self) -> Result<Chains, FileError> {
        let path = self.0.join(CHAIN);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| FileError::at("read", &path)(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Chains::default()),
            Err(error) => Err(FileError::at("read", &path)(error)),
        }
    }

    /// Puts the layers on record.
    pub(crate) fn write(&self, chains: &Chains) -> Result<(), FileError> {
        let json = serde_json::to_vec_pretty(chains).expect("chains are plain data");
        replace_file(&self.0.join(CHAIN), &json)
    }

    /// The drives of a machine, in their order.
    pub(crate) fn drives(&self, chains: &Chains, below: &Below) -> Vec<Disk> {
        let drive = |name: &str, layers: &[String], below: &[DiskImage]| {
            let mut layers = layers.iter().map(|layer| self.layer(layer));
            Disk {
                name: name.to_owned(),
                layer: layers.next().unwrap_or_default(),
                backing: layers
                    .map(|path| DiskImage::Qcow2 { path })
                    .chain(below.iter().cloned())
                    .collect(),
            }
        };
        vec![
            drive("root", &chains.root, &below.root),
            drive("workspace", &chains.workspace, &below.workspace),
        ]
    }

    /// Makes the directory with layers to be written.
    pub(crate) fn create(&self, layers: &NewLayers) -> Result<(), FileError> {
        create_private(&self.0)?;
        let chains = match &layers.over {
            None => Chains::default(),
            Some(frozen) => {
                frozen.link_into(&self.0)?;
                let chains = frozen.chains.grown();
                self.write(&chains)?;
                chains
            }
        };
        self.add_empty(&chains, &layers.empty)
    }

    /// Makes the layers without content that `chains` begin with.
    pub(crate) fn add_empty(&self, chains: &Chains, empty: &Path) -> Result<(), FileError> {
        for layer in chains.tops().map(|name| self.layer(name)) {
            fs::copy(empty, &layer).map_err(FileError::at("write", &layer))?;
        }
        Ok(())
    }

    /// Removes the names of layers that are not on record.
    pub(crate) fn forget<'a>(&self, layers: impl IntoIterator<Item = &'a String>) {
        for layer in layers.into_iter().map(|name| self.layer(name)) {
            if let Err(error) = fs::remove_file(&layer)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, layer = %layer.display(), "an unused layer stays");
            }
        }
    }

    /// Removes the names of all layers that are not on record: what was killed
    /// before they came to use, or after they went out of use. Only for whoever
    /// holds the workspace's lock, before there is a machine. With them goes
    /// what a killed [`Self::replace`] left.
    pub(crate) fn tidy(&self) -> Result<(), FileError> {
        remove_tree(&self.other().0)?;
        let chains = self.chains()?;
        let entries = fs::read_dir(&self.0).map_err(FileError::at("list", &self.0))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let unused = |name: &String| {
            name.ends_with(LAYER_EXTENSION) && chains.files().all(|layer| layer != name)
        };
        self.forget(&names.filter(unused).collect::<Vec<_>>());
        Ok(())
    }

    /// Puts other layers in the place of these. All change in one step: whoever
    /// is killed here leaves all the old ones or all the new ones, and beside
    /// them a directory that the next start or reset removes.
    pub(crate) fn replace(&self, layers: &NewLayers) -> Result<(), FileError> {
        let other = self.other();
        remove_tree(&other.0)?;
        other.create(layers)?;
        rustix::fs::renameat_with(
            rustix::fs::CWD,
            &other.0,
            rustix::fs::CWD,
            &self.0,
            rustix::fs::RenameFlags::EXCHANGE,
        )
        .map_err(|errno| FileError::at("replace", &self.0)(errno.into()))?;
        remove_tree(&other.0)
    }

    /// Where layers lie on their way in, and for a moment on their way out.
    fn other(&self) -> Self {
        Self(self.0.with_extension("other"))
    }
}

impl Frozen {
    /// Gives the layers names in another directory as well.
    pub(crate) fn link_into(&self, directory: &Path) -> Result<(), FileError> {
        for name in self.chains.files() {
            let link = directory.join(name);
            fs::hard_link(self.directory.join(name), &link)
                .map_err(FileError::at("share", &link))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::disk_bytes;

    #[test]
    fn a_start_removes_what_a_killed_replacement_left() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty");
        fs::write(&empty, "nothing").unwrap();
        let disks = DiskLayers::at(directory.path().join("disks"));
        disks.create(&NewLayers { empty: empty.clone(), over: None }).unwrap();
        disks.other().create(&NewLayers { empty, over: None }).unwrap();
        disks.tidy().unwrap();
        assert!(!disks.other().0.exists());
        assert!(disks.layer(FIRST_ROOT).exists());
    }

    #[test]
    fn whoever_shares_a_layer_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty");
        fs::write(&empty, "nothing").unwrap();
        let source = DiskLayers::at(directory.path().join("source"));
        source.create(&NewLayers { empty: empty.clone(), over: None }).unwrap();
        fs::write(source.layer(FIRST_ROOT), vec![1; 10_000]).unwrap();
        let frozen = Frozen { directory: source.0.clone(), chains: source.chains().unwrap() };
        let child = DiskLayers::at(directory.path().join("child"));
        child.create(&NewLayers { empty, over: Some(frozen) }).unwrap();
        assert!(disk_bytes(&source.0) < 10_000, "what is shared counts for neither");

        remove_tree(&source.0).unwrap();
        let chains = child.chains().unwrap();
        assert_eq!(chains.root.len(), 2);
        let below = DiskImage::Raw { path: "/image".into() };
        let below = Below { root: vec![below.clone()], workspace: vec![below] };
        let drives = child.drives(&chains, &below);
        assert_eq!(fs::read(&drives[0].layer).unwrap(), b"nothing");
        let [DiskImage::Qcow2 { path }, DiskImage::Raw { .. }] = &drives[0].backing[..] else {
            panic!("{drives:?}")
        };
        assert_eq!(fs::read(path).unwrap().len(), 10_000);
        assert!(disk_bytes(&child.0) >= 10_000, "now it is the child's alone");
    }
}
