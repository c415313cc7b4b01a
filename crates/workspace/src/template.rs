//! Templates: machines that were booted once and saved, to be resumed often.
//!
//! ```text
//!          prepare: boot, warm up, save
//! cold ───────────────────────────────▶ warm ──▶ stale (something it was made
//!   ▲                                    │              from has changed)
//!   └──────────── prune ─────────────────┴────────────────┘
//! ```
//!
//! A template is a directory named by its key, the digest of everything that
//! its saved state depends on, and a number of its own: one that is made again
//! comes beside the old one, because workspaces may lie on the old one's disk.
//! It is made in a directory of another name and renamed when it is complete,
//! so a template is there whole or not at all. Its files never change
//! afterwards; because QEMU before 8.2 wants to open the RAM
//! file for writing although it maps it privately, each use checks that the
//! file is still the one that was saved.

mod make;

use std::fs;
use std::path::{Path, PathBuf};

use environment::{EnvironmentRecord, KernelRecord};
use guest_protocol::epoch::Token;
use jiff::Timestamp;
use machine::{Accelerator, Shape};
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use workspace_api::spec::EnvironmentRef;

pub(crate) use make::{Making, Remake, make};

use crate::files::{FileError, FileStamp, disk_bytes, remove_tree, try_lock};
use crate::guest_programs;
use crate::hex::hex;
use crate::home::Home;

/// Version of a template's files and of the machine that they hold.
const FORMAT: u32 = 2;

/// Everything that a template's saved state depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ingredients {
    pub(crate) format: u32,
    pub(crate) environment: String,
    pub(crate) kernel: String,
    pub(crate) agent: String,
    pub(crate) monitor: String,
    pub(crate) machine: u32,
    pub(crate) command_line: String,
    pub(crate) accelerator: Accelerator,
    /// The host's: its features under KVM, the pace of its counter elsewhere.
    pub(crate) processor: String,
    pub(crate) shape: Shape,
}

impl Ingredients {
    pub(crate) fn new(
        environment: &EnvironmentRecord,
        kernel: &KernelRecord,
        monitor: &machine::MonitorInfo,
        accelerator: Accelerator,
        processor: &str,
        shape: Shape,
    ) -> Self {
        Self {
            format: FORMAT,
            environment: environment.manifest.digest.to_string(),
            kernel: kernel.digest.to_string(),
            agent: guest_programs::digest().to_owned(),
            monitor: monitor.version.clone(),
            machine: machine::qemu::MACHINE_REVISION,
            command_line: command_line(accelerator).to_owned(),
            accelerator,
            processor: processor.to_owned(),
            shape,
        }
    }

    /// What a template of these ingredients is called.
    pub(crate) fn key(&self) -> String {
        let json = serde_json::to_vec(self).expect("ingredients are plain data");
        hex(&Sha256::digest(json))[..32].to_owned()
    }
}

/// What guests are told by their kernel's command line.
///
/// Emulated guests do without address space randomisation: the emulator has to
/// translate a program's code anew at every new address, which makes each start
/// of a dynamically linked program four times slower
/// (`docs/decisions/0004-no-aslr-under-emulation.md`). And they keep the time
/// stamp counter as their clock even if it seemed to stumble while they booted
/// on a busy host; the next best clock is a port of the emulator's, which makes
/// everything slower for as long as the template lives.
const fn command_line(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Tcg => "norandmaps tsc=reliable",
        Accelerator::Kvm => "",
    }
}

/// What is known of a template.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The name that the environment had when the template was made.
    pub(crate) name: EnvironmentRef,
    pub(crate) ingredients: Ingredients,
    pub(crate) made_at: Timestamp,
    /// Opens the next epoch of the saved machine.
    pub(crate) token: Token,
    pub(crate) guest_kernel: String,
    pub(crate) vmlinux: PathBuf,
    pub(crate) initrd: PathBuf,
    pub(crate) root_image: PathBuf,
    pub(crate) empty_seed: PathBuf,
    ram: FileStamp,
}

/// A template that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Name of its directory: key and number.
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    pub(crate) manifest: Manifest,
}

/// What was found under a key.
#[derive(Debug)]
pub(crate) enum Found {
    Warm(Box<Template>),
    /// The RAM file is not the one that was saved.
    Tampered,
    Cold,
}

const MANIFEST: &str = "manifest.json";

/// Extension of a directory in which a template is being made.
const UNFINISHED: &str = "unfinished";

/// Extension of the lock that whoever makes a template of that key holds.
const LOCK: &str = "lock";

impl Template {
    /// The newest template of a key.
    pub(crate) fn find(home: &Home, key: &str) -> Result<Found, OpError> {
        let of_key = Self::named(home, &|name| name.split_once('-').is_some_and(|(k, _)| k == key));
        let newest = of_key?.into_iter().max_by_key(|template| template.manifest.made_at);
        let Some(template) = newest else {
            return Ok(Found::Cold);
        };
        match FileStamp::of(&template.ram()) {
            Ok(stamp) if stamp == template.manifest.ram => Ok(Found::Warm(Box::new(template))),
            _ => Ok(Found::Tampered),
        }
    }

    /// The template of a name, unless it is gone or was written to since it was
    /// saved.
    pub(crate) fn intact(home: &Home, name: &str) -> Result<Option<Self>, OpError> {
        let found = Self::named(home, &|candidate| candidate == name)?.into_iter().next();
        let is_intact = |template: &Self| {
            FileStamp::of(&template.ram()).is_ok_and(|stamp| stamp == template.manifest.ram)
        };
        Ok(found.filter(is_intact))
    }

    /// All templates that are there, warm or not, the newest first.
    pub(crate) fn list(home: &Home) -> Result<Vec<Self>, OpError> {
        let mut found = Self::named(home, &|_| true)?;
        found.sort_by_key(|template| std::cmp::Reverse(template.manifest.made_at));
        Ok(found)
    }

    /// The complete templates whose names are wanted.
    fn named(home: &Home, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Self>, OpError> {
        let mut found = Vec::new();
        let entries =
            fs::read_dir(home.templates()).map_err(FileError::at("list", &home.templates()))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Locks and unfinished templates have an extension.
            if name.contains('.') || !is_wanted(&name) {
                continue;
            }
            let directory = entry.path();
            if let Some(manifest) = read_manifest(&directory)? {
                found.push(Self { name, directory, manifest });
            }
        }
        Ok(found)
    }

    /// Removes what makings left that were killed; how many bytes that freed.
    pub(crate) fn sweep(home: &Home) -> Result<u64, OpError> {
        let mut freed = 0;
        let entries =
            fs::read_dir(home.templates()).map_err(FileError::at("list", &home.templates()))?;
        for unfinished in entries.flatten().map(|entry| entry.path()) {
            if unfinished.extension().is_some_and(|extension| extension == UNFINISHED)
                && let Some(_lock) = try_lock(&unfinished.with_extension(LOCK))?
            {
                freed += disk_bytes(&unfinished);
                remove_tree(&unfinished)?;
            }
        }
        Ok(freed)
    }

    pub(crate) fn ram(&self) -> PathBuf {
        self.directory.join("ram")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// What the machine wrote to its root drive while it booted.
    pub(crate) fn root_layer(&self) -> PathBuf {
        self.directory.join("root.qcow2")
    }

    /// A layer without content, to be copied for each workspace.
    pub(crate) fn empty_layer(&self) -> PathBuf {
        self.directory.join("empty.qcow2")
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.directory)
    }
}

fn read_manifest(directory: &Path) -> Result<Option<Manifest>, OpError> {
    let path = directory.join(MANIFEST);
    match fs::read(&path) {
        Ok(bytes) => match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a template cannot be read");
                Ok(None)
            }
        },
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(OpError::new(ErrorKind::Internal, &error)
            .during(format!("cannot read {}", path.display()))),
    }
}
