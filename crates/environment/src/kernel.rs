//! Fetches the kernel and keeps what machines need of it.
//!
//! The package is unpacked, not installed: nothing of it runs on this host.
//! What is kept has a digest of its own over kernel and modules, so two
//! fetches of one version are one kernel.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use sha2::Digest as _;

use crate::bootstrap::{Bootstrap, Variant};
use crate::build::BuildOptions;
use crate::cancel::Cancel;
use crate::confinement::Confinement;
use crate::durable;
use crate::error::EnvironmentError;
use crate::library::Library;
use crate::manifest::{self, FORMAT_VERSION, KernelRecord};
use crate::module::Offered;
use crate::name::Digest;
use crate::progress::{Phase, Progress, Rebuild};
use crate::staging::{self, Lock, Staging};
use crate::vmlinuz::{self, KernelImageError};

/// The kernel's package. Not the smaller one for clouds: that lacks the device
/// that tells a guest that it was copied, and copies would share random bytes.
const PACKAGE: &str = "linux-image-amd64";

/// The largest file that is taken out of the package, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

impl Library {
    /// Makes sure that a kernel is present; the newest one if there are more.
    ///
    /// # Errors
    ///
    /// See [`EnvironmentError`]. Nothing half-done is left behind.
    pub fn ensure_kernel(
        &self,
        options: &BuildOptions,
        progress: &mut dyn FnMut(Progress),
        cancel: &Cancel,
    ) -> Result<KernelRecord, EnvironmentError> {
        if let Some(kernel) = self.present_kernel(options.rebuild)? {
            return Ok(kernel);
        }
        let mut waiting = || progress(Progress::phase(Phase::Waiting));
        let _lock = Lock::take(&self.locks().join("kernel"), cancel, &mut waiting)?;
        if let Some(kernel) = self.present_kernel(options.rebuild)? {
            return Ok(kernel);
        }
        staging::sweep(&self.stagings(), &self.staging_guard(), cancel)?;
        let staging = self.staging(cancel)?;
        let confinement = Confinement::detect(&staging.work())?;
        let bootstrap = Bootstrap {
            variant: Variant::FilesOnly,
            includes: &[PACKAGE],
            mirror: options.mirror.as_deref(),
        };
        let taken = staging.work().join("taken");
        durable::create_directory(&taken)?;
        let files = bootstrap
            .run(confinement, &staging, progress, cancel, |output| take(output, &taken))?;
        progress(Progress::phase(Phase::Packing));
        let (kernel, made) = keep(&staging, &taken, &files)?;
        progress(Progress::phase(Phase::Finishing));
        let _publishing = self.publish_lock(cancel)?;
        let directory = self.kernels().join(kernel.digest.digits());
        let path = directory.join(manifest::FILE_NAME);
        if let Some(same) = manifest::read::<KernelRecord>(&path)? {
            return Ok(KernelRecord { directory, ..same });
        }
        durable::publish(&made, &directory)?;
        Ok(KernelRecord { directory, ..kernel })
    }

    fn present_kernel(&self, rebuild: Rebuild) -> Result<Option<KernelRecord>, EnvironmentError> {
        match rebuild {
            Rebuild::IfMissing => Ok(self.kernels_present()?.into_iter().next()),
            Rebuild::Always => Ok(None),
        }
    }
}

/// What was found in the package.
#[derive(Debug, Default)]
struct Taken {
    version: Option<String>,
    modules: Vec<String>,
}

/// What a file of the package is to us.
enum Part<'a> {
    Image,
    Builtin,
    Module { file: &'a str, version: &'a str },
    Other,
}

fn part_of(path: &Path) -> Part<'_> {
    let names: Vec<&str> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    // Releases differ in whether /lib lies below /usr.
    match names.strip_prefix(&["usr"]).unwrap_or(&names) {
        ["boot", file] if file.starts_with("vmlinuz-") => Part::Image,
        ["lib", "modules", _, "modules.builtin"] => Part::Builtin,
        ["lib", "modules", version, "kernel", .., file]
            if Path::new(file).extension() == Some(OsStr::new("ko")) =>
        {
            Part::Module { file, version }
        }
        _ => Part::Other,
    }
}

/// Takes what may be of use out of the archive, as flat files.
fn take(output: &mut dyn Read, to: &Path) -> io::Result<Taken> {
    let mut taken = Taken::default();
    let mut archive = tar::Archive::new(&mut *output);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = match part_of(&path) {
            Part::Image => "vmlinuz",
            Part::Builtin => "modules.builtin",
            Part::Module { file, version } => {
                taken.version = Some(version.to_owned());
                taken.modules.push(file.to_owned());
                file
            }
            Part::Other => continue,
        };
        if entry.size() > MAX_FILE_BYTES {
            return Err(io::Error::other(format!("{} is too large", path.display())));
        }
        io::copy(&mut entry, &mut File::create(to.join(name))?)?;
    }
    // The archive's padding must be read too, or its writer fails.
    io::copy(output, &mut io::sink())?;
    Ok(taken)
}

/// Makes the directory that will be published.
fn keep(
    staging: &Staging,
    from: &Path,
    taken: &Taken,
) -> Result<(KernelRecord, PathBuf), EnvironmentError> {
    let made = staging.work().join("made");
    durable::create_directory(&made.join("modules"))?;
    let image = from.join("vmlinuz");
    let version = taken.version.clone().ok_or(KernelImageError::Missing)?;
    let compressed = match fs::read(&image) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KernelImageError::Missing.into());
        }
        Err(error) => return Err(EnvironmentError::io("read", &image)(error)),
    };
    let vmlinux = vmlinuz::extract(&compressed)?;
    durable::write(&made.join("vmlinux"), &vmlinux)?;

    let mut offered = Offered::default();
    let builtin = from.join("modules.builtin");
    let text = fs::read_to_string(&builtin).map_err(EnvironmentError::io("read", &builtin))?;
    offered.add_builtin(&text);
    for file in &taken.modules {
        let path = from.join(file);
        let bytes = fs::read(&path).map_err(EnvironmentError::io("read", &path))?;
        offered.add(file, &bytes)?;
    }
    let modules = offered.resolve()?;

    let mut hasher = sha2::Sha256::new();
    hasher.update(sha2::Sha256::digest(&vmlinux));
    for module in &modules {
        let path = from.join(&module.file);
        let bytes = fs::read(&path).map_err(EnvironmentError::io("read", &path))?;
        hasher.update(module.file.as_bytes());
        hasher.update(sha2::Sha256::digest(&bytes));
        durable::write(&made.join("modules").join(&module.file), &bytes)?;
    }
    durable::sync(&made.join("modules"))?;
    let record = KernelRecord {
        format_version: FORMAT_VERSION,
        digest: Digest::of_hasher(hasher),
        version,
        created_at: Timestamp::now(),
        modules,
        directory: PathBuf::new(),
    };
    manifest::write(&made.join(manifest::FILE_NAME), &record)?;
    Ok((record, made))
}
