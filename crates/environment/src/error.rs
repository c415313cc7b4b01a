//! What can go wrong, a variant per step that failed, with its object.

use std::io;
use std::path::{Path, PathBuf};

use crate::dpkg::StatusError;
use crate::module::ModuleError;
use crate::name::EnvironmentName;
use crate::vmlinuz::KernelImageError;

/// Why an operation of this crate failed. Nothing half-done is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The name is in no catalog.
    #[error("there is no environment {name}")]
    UnknownName {
        /// The name that was asked for.
        name: EnvironmentName,
    },
    /// Neither a name nor a digest that is present.
    #[error("no environment {wanted} is present")]
    NotPresent {
        /// What was asked for.
        wanted: String,
    },
    /// The digest prefix fits more than one environment.
    #[error("{wanted} fits {count} environments")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many it fits.
        count: usize,
    },
    /// A program of the host is missing.
    #[error("the program {program} is missing")]
    ToolMissing {
        /// The program.
        program: &'static str,
        /// The Debian package that provides it.
        package: &'static str,
    },
    /// A program was found and could not be started.
    #[error("the program {program} cannot be started")]
    ToolStart {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program ended with a failure that has no variant of its own.
    #[error("{program} failed ({status}): {tail}")]
    ToolFailed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it wrote to its error stream.
        tail: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The host's file system (or the user's quota) is used up.
    #[error("the storage that holds {} is full", path.display())]
    HostStorageFull {
        /// Where the space was wanted.
        path: PathBuf,
    },
    /// Packages could not be fetched.
    #[error("packages cannot be downloaded: {tail}")]
    DownloadFailed {
        /// The end of what the tool wrote to its error stream.
        tail: String,
    },
    /// What was fetched is not signed by a key that is trusted.
    #[error("the package source is not signed by a trusted key: {tail}")]
    BadSignature {
        /// The end of what the tool wrote to its error stream.
        tail: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A manifest is not what this crate writes.
    #[error("{} is no valid manifest", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest is from a version that this one does not understand.
    #[error("{} has the format version {found}, this program reads up to {known}", path.display())]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// The tree that was built has no readable list of packages.
    #[error("the list of installed packages cannot be read")]
    PackageList(#[from] StatusError),
    /// The package holds no usable kernel.
    #[error("the kernel package holds no usable kernel")]
    KernelImage(#[from] KernelImageError),
    /// The package's modules are not what is needed.
    #[error("the kernel's modules cannot be used")]
    Modules(#[from] ModuleError),
    /// The initial RAM file system cannot hold this.
    #[error("{name} is too long for an initial RAM file system")]
    InitrdEntry {
        /// The entry.
        name: String,
    },
    /// A file of a tree may not be read by this user.
    #[error("cannot read {}", path.display())]
    TreeUnreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A tree does not fit the image that was asked for.
    #[error("the tree at {} does not fit into an image of {virtual_bytes} bytes", path.display())]
    TreeTooLarge {
        /// The tree.
        path: PathBuf,
        /// The size that was asked for.
        virtual_bytes: u64,
    },
    /// An image is not laid out as this crate had it made.
    #[error("the image {} is not laid out as expected", path.display())]
    ImageLayout {
        /// The image.
        path: PathBuf,
    },
}

impl EnvironmentError {
    /// What the user can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownName { .. } => {
                let names: Vec<_> = crate::catalog().iter().map(|curated| curated.name).collect();
                format!("known environments: {}", names.join(", "))
            }
            Self::NotPresent { .. } => "build it, or list what is present".to_owned(),
            Self::Ambiguous { .. } => "give more digits of the digest".to_owned(),
            Self::ToolMissing { package, .. } => format!("install the Debian package {package}"),
            Self::HostStorageFull { path } => {
                format!("prune environments, or free space where {} lies", path.display())
            }
            Self::DownloadFailed { .. } => {
                "check the network and, if one is used, the mirror and the proxy".to_owned()
            }
            Self::BadSignature { .. } => "install or update debian-archive-keyring; \
                                          if it is current, do not trust this mirror"
                .to_owned(),
            Self::ManifestVersion { .. } => "use a newer version of this program".to_owned(),
            Self::TreeUnreadable { path, .. } => {
                format!("make {} readable or exclude it", path.display())
            }
            Self::TreeTooLarge { .. } => "leave large files out, or ask for more space".to_owned(),
            _ => return None,
        })
    }

    /// Gives a failed file operation its object; a full disk is a case of its
    /// own because the user can do something about it.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| {
            if is_storage_full(&source) {
                Self::HostStorageFull { path }
            } else {
                Self::Io { action, path, source }
            }
        }
    }
}

/// Whether an error says that no space is left, for everybody or for this user.
pub(crate) fn is_storage_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
