//! What is written next to an image or kernel, and how it is read again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dpkg::Package;
use crate::durable;
use crate::error::EnvironmentError;
use crate::name::{Digest, EnvironmentName};

/// Counts changes of the manifests that older programs cannot read.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The name of the manifest in each directory.
pub(crate) const FILE_NAME: &str = "manifest.json";

/// What an environment was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The release.
    pub suite: String,
    /// The set of packages that every system has.
    pub variant: String,
    /// The packages that were asked for besides.
    pub includes: Vec<String>,
}

/// What is known of an environment. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentManifest {
    /// The version of this format.
    pub format_version: u32,
    /// What it was built as; the name may mean a newer one by now.
    pub name: EnvironmentName,
    /// The digest of the archive that the image was made from.
    pub digest: Digest,
    /// When it was built.
    pub created_at: Timestamp,
    /// What it was made from.
    pub recipe: Recipe,
    /// Every package in it.
    pub packages: Vec<Package>,
    /// Size of the archive.
    pub tar_bytes: u64,
    /// Size of the image as a guest sees it.
    pub image_virtual_bytes: u64,
    /// What the image occupied on disk when it was made.
    pub image_disk_bytes: u64,
}

/// What a kernel module is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleGroup {
    /// Finding and mounting the disks, and speaking with the host.
    Boot,
    /// What a workspace uses later.
    Workspace,
    /// Machines within the machine, on AMD's extensions.
    NestedAmd,
    /// Machines within the machine, on Intel's extensions.
    NestedIntel,
}

/// A kernel module that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRecord {
    /// Its name, with underscores.
    pub name: String,
    /// Its file in the kernel's `modules` directory.
    pub file: String,
    /// The first group that needs it.
    pub group: ModuleGroup,
}

/// A kernel and the modules that were kept. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRecord {
    /// The version of this format.
    pub format_version: u32,
    /// The digest over kernel and modules.
    pub digest: Digest,
    /// The release, as `uname -r` tells it.
    pub version: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The modules in the order in which they can be loaded.
    pub modules: Vec<ModuleRecord>,
    /// Where it lies; known by the place that it was read from.
    #[serde(skip)]
    pub directory: PathBuf,
}

impl KernelRecord {
    /// The uncompressed kernel, an ELF file that can be entered directly.
    #[must_use]
    pub fn vmlinux(&self) -> PathBuf {
        self.directory.join("vmlinux")
    }

    /// The file of a module.
    #[must_use]
    pub fn module(&self, module: &ModuleRecord) -> PathBuf {
        self.directory.join("modules").join(&module.file)
    }
}

#[derive(Deserialize)]
struct Versioned {
    format_version: u32,
}

/// Reads a manifest; `None` if there is no such file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EnvironmentError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EnvironmentError::io("read", path)(error)),
    };
    let invalid = |source| EnvironmentError::Manifest { path: path.to_owned(), source };
    let Versioned { format_version } = serde_json::from_slice(&bytes).map_err(invalid)?;
    if format_version > FORMAT_VERSION {
        return Err(EnvironmentError::ManifestVersion {
            path: path.to_owned(),
            found: format_version,
            known: FORMAT_VERSION,
        });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(invalid)
}

/// Writes a manifest and syncs it.
pub(crate) fn write<T: Serialize>(path: &Path, manifest: &T) -> Result<(), EnvironmentError> {
    let bytes = serde_json::to_vec_pretty(manifest)
        .map_err(|source| EnvironmentError::Manifest { path: path.to_owned(), source })?;
    durable::write(path, &bytes)
}
