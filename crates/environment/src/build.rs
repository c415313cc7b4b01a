//! Builds environments.
//!
//! ```text
//! name lock ─▶ staging ─▶ archive (digest) ─▶ unpacked ─▶ image ─▶ published ─▶ named
//!                 └───────── any failure or death: swept ────────┘     │
//!                                      death: unnamed, pruned or reused ┘
//! ```
//!
//! Whoever holds the lock of a name builds it; others wait and find it present.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use sha2::Digest as _;

use crate::bootstrap::{Bootstrap, Variant};
use crate::cancel::Cancel;
use crate::catalog::{self, SUITE, VARIANT};
use crate::confinement::Confinement;
use crate::dpkg;
use crate::durable;
use crate::error::EnvironmentError;
use crate::ext4::{self, IMAGE_VIRTUAL_BYTES, Layout, Owners};
use crate::library::{EnvironmentRecord, Library, ROOT_IMAGE, Selector};
use crate::manifest::{self, EnvironmentManifest, FORMAT_VERSION, Recipe};
use crate::name::{Digest, EnvironmentName};
use crate::progress::{Phase, Progress, Rebuild};
use crate::staging::{self, Lock, Staging};

/// What the guest sees as the label of a root image.
const LABEL: &str = "hotcell-root";

/// How much of an archive is copied at once, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// How an environment is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Whether one that is there is built anew.
    pub rebuild: Rebuild,
    /// The only source of packages to ask, as an address or as a line of
    /// `sources.list`. Unless given, the release, its updates and its security
    /// updates come from Debian's own mirrors.
    pub mirror: Option<String>,
}

/// Whether anything had to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildOutcome {
    /// It was there, perhaps because another process has just built it.
    AlreadyPresent,
    /// It was built.
    Built,
}

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The environment that the name means now.
    pub record: EnvironmentRecord,
    /// Whether anything had to be done.
    pub outcome: BuildOutcome,
}

impl Library {
    /// Makes sure that an environment of the catalog is present.
    ///
    /// # Errors
    ///
    /// See [`EnvironmentError`]. Nothing half-done is left behind.
    pub fn build(
        &self,
        name: &EnvironmentName,
        options: &BuildOptions,
        progress: &mut dyn FnMut(Progress),
        cancel: &Cancel,
    ) -> Result<Built, EnvironmentError> {
        let curated = catalog::find(name)
            .ok_or_else(|| EnvironmentError::UnknownName { name: name.clone() })?;
        self.build_packages(name, &curated.packages(), options, progress, cancel)
    }

    /// Makes sure that an environment with packages of the caller's choice is
    /// present under a name of the caller's choice. One that has that name
    /// already is kept, whatever packages it was made from, unless it shall be
    /// built anew.
    ///
    /// # Errors
    ///
    /// See [`EnvironmentError`]. Nothing half-done is left behind.
    pub fn build_packages(
        &self,
        name: &EnvironmentName,
        packages: &[&str],
        options: &BuildOptions,
        progress: &mut dyn FnMut(Progress),
        cancel: &Cancel,
    ) -> Result<Built, EnvironmentError> {
        if let Some(built) = self.present(name, options.rebuild)? {
            return Ok(built);
        }
        let lock = self.locks().join(format!("build-{}", name.encoded()));
        let mut waiting = || progress(Progress::phase(Phase::Waiting));
        let _lock = Lock::take(&lock, cancel, &mut waiting)?;
        if let Some(built) = self.present(name, options.rebuild)? {
            return Ok(built);
        }
        staging::sweep(&self.stagings(), &self.staging_guard(), cancel)?;
        let staging = self.staging(cancel)?;
        self.build_in(&staging, name, packages, options, progress, cancel)?;
        let record = self.inspect(&Selector::Name(name.clone()))?;
        Ok(Built { record, outcome: BuildOutcome::Built })
    }

    fn present(
        &self,
        name: &EnvironmentName,
        rebuild: Rebuild,
    ) -> Result<Option<Built>, EnvironmentError> {
        if rebuild == Rebuild::Always {
            return Ok(None);
        }
        match self.inspect(&Selector::Name(name.clone())) {
            Ok(record) => Ok(Some(Built { record, outcome: BuildOutcome::AlreadyPresent })),
            Err(EnvironmentError::NotPresent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn build_in(
        &self,
        staging: &Staging,
        name: &EnvironmentName,
        includes: &[&str],
        options: &BuildOptions,
        progress: &mut dyn FnMut(Progress),
        cancel: &Cancel,
    ) -> Result<(), EnvironmentError> {
        let work = staging.work();
        let confinement = Confinement::detect(&work)?;
        let archive = work.join("root.tar");
        let bootstrap = Bootstrap {
            variant: Variant::Installed(VARIANT),
            includes,
            mirror: options.mirror.as_deref(),
        };
        let (digest, tar_bytes) =
            bootstrap
                .run(confinement, staging, progress, cancel, |output| save(output, &archive))?;
        // The same packages give the same archive; then the image is there.
        if !self.environment(&digest).join(manifest::FILE_NAME).exists() {
            progress(Progress { phase: Phase::Packing, fraction: None, bytes: Some(tar_bytes) });
            let recipe = Recipe {
                suite: SUITE.to_owned(),
                variant: VARIANT.to_owned(),
                includes: includes.iter().map(|&package| package.to_owned()).collect(),
            };
            let made =
                pack(staging, confinement, name, &archive, &digest, tar_bytes, recipe, cancel)?;
            progress(Progress::phase(Phase::Finishing));
            let _publishing = self.publish_lock(cancel)?;
            self.publish_environment(&made, &digest)?;
            return self.set_name(staging, name, &digest);
        }
        progress(Progress::phase(Phase::Finishing));
        let _publishing = self.publish_lock(cancel)?;
        self.set_name(staging, name, &digest)
    }

    fn publish_environment(&self, made: &Path, digest: &Digest) -> Result<(), EnvironmentError> {
        let target = self.environment(digest);
        // Another name with the same packages may have been faster.
        if target.join(manifest::FILE_NAME).exists() {
            return Ok(());
        }
        durable::publish(made, &target)
    }
}

/// Writes an archive to a file and tells its digest and size.
fn save(output: &mut dyn Read, archive: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::create(archive)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    let mut total: u64 = 0;
    loop {
        let count = output.read(&mut buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        hasher.update(read);
        file.write_all(read)?;
        total = total.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    Ok((Digest::of_hasher(hasher), total))
}

/// Makes image and manifest in a directory that is ready to be published.
#[expect(clippy::too_many_arguments, reason = "one step of one caller, cut out for its length")]
fn pack(
    staging: &Staging,
    confinement: Confinement,
    name: &EnvironmentName,
    archive: &Path,
    digest: &Digest,
    tar_bytes: u64,
    recipe: Recipe,
    cancel: &Cancel,
) -> Result<std::path::PathBuf, EnvironmentError> {
    let work = staging.work();
    let (tree, made) = (work.join("tree"), work.join("made"));
    let owners = work.join("owners");
    durable::create_directory(&tree)?;
    durable::create_directory(&made)?;
    let mut unpack = confinement
        .owning("tar", "tar", &work, &owners)?
        .stdin(staging.lock()?)
        .args(&["--extract", "--numeric-owner", "--same-owner", "--same-permissions"])
        // The guest's kernel fills /dev itself.
        .args(&["--exclude=./dev/*"]);
    if !confinement.fakes_owners() {
        unpack = unpack.args(&["--xattrs", "--xattrs-include=security.capability"]);
    }
    unpack.arg("--file").arg(archive).arg("--directory").arg(&tree).run(cancel)?;
    fs::remove_file(archive).map_err(EnvironmentError::io("remove", archive))?;
    let packages = dpkg::read(&tree.join("var/lib/dpkg/status"))?;

    let image = made.join(ROOT_IMAGE);
    let invocation =
        confinement.owning("mke2fs", "e2fsprogs", &work, &owners)?.stdin(staging.lock()?);
    let layout = Layout {
        virtual_bytes: IMAGE_VIRTUAL_BYTES,
        label: LABEL,
        uuid: digest.uuid(),
        owners: Owners::Kept,
    };
    ext4::make(invocation, Some(&tree), &image, &layout, cancel)?;
    durable::sync(&image)?;
    let manifest = EnvironmentManifest {
        format_version: FORMAT_VERSION,
        name: name.clone(),
        digest: digest.clone(),
        created_at: Timestamp::now(),
        recipe,
        packages,
        tar_bytes,
        image_virtual_bytes: IMAGE_VIRTUAL_BYTES,
        image_disk_bytes: durable::disk_bytes(&image),
    };
    manifest::write(&made.join(manifest::FILE_NAME), &manifest)?;
    Ok(made)
}
