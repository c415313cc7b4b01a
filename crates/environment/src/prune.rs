//! Removes what nothing uses any more.
//!
//! What stays: everything that the caller says is in use, every environment
//! that has a name, the newest kernel, the newest initial RAM file system and
//! the staging entries of living processes. A thing that goes is first moved
//! to staging, so a death in between leaves it whole or stale, never half.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cancel::Cancel;
use crate::durable;
use crate::error::EnvironmentError;
use crate::library::{Library, digests_in};
use crate::name::Digest;
use crate::staging;

/// Whether something is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUse {
    /// It is, by a workspace, a template or a snapshot.
    Yes,
    /// Nothing that the caller knows of needs it.
    No,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Environments, kernels and initial RAM file systems that were removed.
    pub removed: Vec<Digest>,
    /// What they and stale staging entries occupied on disk.
    pub freed_bytes: u64,
}

impl Library {
    /// Removes what is superseded and not in use. `in_use` is asked about each
    /// candidate: digests of environments, kernels and initial RAM file systems
    /// (whose file name is their digest).
    ///
    /// # Errors
    ///
    /// Something cannot be listed or removed; what was removed stays removed.
    pub fn prune(
        &self,
        in_use: &dyn Fn(&Digest) -> InUse,
        cancel: &Cancel,
    ) -> Result<Pruned, EnvironmentError> {
        let mut pruned = Pruned {
            removed: Vec::new(),
            freed_bytes: staging::sweep(&self.stagings(), &self.staging_guard(), cancel)?,
        };
        let trash = self.staging(cancel)?;
        let _publishing = self.publish_lock(cancel)?;
        for (digest, path) in self.candidates()? {
            if cancel.is_cancelled() {
                return Err(EnvironmentError::Cancelled);
            }
            if in_use(&digest) == InUse::Yes {
                continue;
            }
            let bytes = durable::disk_bytes(&path);
            durable::publish(&path, &trash.work().join(digest.digits()))?;
            path.parent().map_or(Ok(()), durable::sync)?;
            pruned.freed_bytes = pruned.freed_bytes.saturating_add(bytes);
            pruned.removed.push(digest);
        }
        Ok(pruned)
    }

    fn candidates(&self) -> Result<Vec<(Digest, PathBuf)>, EnvironmentError> {
        let mut candidates = Vec::new();
        for record in self.list()? {
            if record.names.is_empty() {
                candidates.push((record.manifest.digest, record.directory));
            }
        }
        for kernel in self.kernels_present()?.into_iter().skip(1) {
            candidates.push((kernel.digest, kernel.directory));
        }
        let mut initrds = Vec::new();
        for digest in digests_in(&self.initrds())? {
            let path = self.initrds().join(digest.digits()).with_added_extension("img");
            initrds.push((std::cmp::Reverse(modified(&path)?), digest, path));
        }
        initrds.sort();
        candidates.extend(initrds.into_iter().skip(1).map(|(_, digest, path)| (digest, path)));
        Ok(candidates)
    }
}

fn modified(path: &Path) -> Result<SystemTime, EnvironmentError> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map_err(EnvironmentError::io("look at", path))
}
