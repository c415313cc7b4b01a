//! What a workspace's machine comes from.
//!
//! Whoever starts a keeper or has it put its machine back says so with an
//! [`Origin`]. The keeper adds what it alone knows, the layers that are written,
//! and brings the machine up; from where makes no difference to it.

use std::path::{Path, PathBuf};

use guest_protocol::epoch::{BOOT_TOKEN, Token};
use machine::{DiskImage, MachineSpec, RamFile, RamSharing, Shape, Start};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::disks::Below;
use crate::home::WorkspaceFiles;
use crate::saved::SavedMachine;
use crate::template::Template;

/// What a machine comes from: everything but the layers of its drives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The machine, without drives.
    pub(crate) machine: MachineSpec,
    /// What the layers of its drives lie on.
    pub(crate) below: Below,
    /// Opens its next epoch.
    pub(crate) token: Token,
    /// Where its workspace's tree lies.
    pub(crate) tree: WorkspaceTree,
    /// The directory of the saved machine that it is, if it is one: what ran in
    /// the background goes on, and the names that it knows keep their meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saved: Option<PathBuf>,
}

/// Where a workspace's tree lies when its machine comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkspaceTree {
    /// In the root file system: it began empty, and a mount would cost time.
    OnRoot,
    /// On the drive that was made from the seed; the guest has to mount it.
    OnDrive,
    /// Where it was when the machine was saved.
    InPlace,
}

impl Origin {
    /// A new machine of a template, for a workspace with these files.
    pub(crate) fn template(template: &Template, files: &WorkspaceFiles) -> Self {
        let manifest = &template.manifest;
        let (tree, image) = workspace_drive(template, files);
        Self {
            machine: MachineSpec {
                accelerator: manifest.ingredients.accelerator,
                cpu_model: None,
                shape: manifest.ingredients.shape,
                kernel: manifest.vmlinux.clone(),
                initrd: manifest.initrd.clone(),
                command_line: manifest.ingredients.command_line.clone(),
                ram: RamFile { path: template.ram(), sharing: RamSharing::CopyOnWrite },
                disks: Vec::new(),
                console: files.console(),
                generation_id: Uuid::new_v4(),
                start: Start::Resume { state: template.state() },
            },
            below: Below {
                root: vec![
                    DiskImage::Qcow2 { path: template.root_layer() },
                    DiskImage::Raw { path: manifest.root_image.clone() },
                ],
                workspace: vec![DiskImage::Raw { path: image }],
            },
            token: manifest.token,
            tree,
            saved: None,
        }
    }

    /// A machine that boots from the drives of a workspace that was made from a
    /// template, with `ram` as its empty memory; it may be of another size.
    pub(crate) fn boot(
        template: &Template,
        files: &WorkspaceFiles,
        ram: &Path,
        shape: Shape,
    ) -> Self {
        let made = Self::template(template, files);
        Self {
            machine: MachineSpec {
                shape,
                // Its own writes stay private, so the file is never anything but empty.
                ram: RamFile { path: ram.to_owned(), sharing: RamSharing::CopyOnWrite },
                start: Start::Boot,
                ..made.machine
            },
            token: BOOT_TOKEN,
            ..made
        }
    }

    /// A machine that goes on from where it was saved, for a workspace with
    /// these files. It was made from that template, or its ancestor was.
    pub(crate) fn saved(saved: &SavedMachine, template: &Template, files: &WorkspaceFiles) -> Self {
        let made = Self::template(template, files);
        Self {
            machine: MachineSpec {
                shape: saved.shape(template),
                ram: RamFile { path: saved.ram(), sharing: RamSharing::CopyOnWrite },
                start: Start::Resume { state: saved.state() },
                ..made.machine
            },
            token: saved.manifest.token,
            tree: WorkspaceTree::InPlace,
            saved: Some(saved.directory().to_owned()),
            ..made
        }
    }
}

/// Where the tree of a new workspace lies, and the image below its drive.
fn workspace_drive(template: &Template, files: &WorkspaceFiles) -> (WorkspaceTree, PathBuf) {
    let seed = files.seed();
    if seed.exists() {
        (WorkspaceTree::OnDrive, seed)
    } else {
        (WorkspaceTree::OnRoot, template.manifest.empty_seed.clone())
    }
}
