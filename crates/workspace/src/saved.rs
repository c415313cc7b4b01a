//! Machines that were saved with their memory while they ran.
//!
//! ```text
//! <directory>/
//!   lock            held, shared, by whoever needs the directory to stay
//!   manifest.json   written last: without it the directory holds no machine
//!   ram  state      what any number of machines are resumed from
//!   *.qcow2         the frozen layers of its drives: names of shared files
//! ```
//!
//! **Nobody takes anything away from others.** Layers are shared by hard links
//! (`disks`). Memory is mapped by the machines that were resumed from it, and
//! the file system keeps it for them when its name is gone. Machines map it
//! copy-on-write; because QEMU before 8.2 opens the file for writing all the
//! same, each use checks that the file is still the one that was saved.
//!
//! * [`shelf`]: where a workspace's saved machines lie, and how they come and go.

pub(crate) mod shelf;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use egress::names::Names;
use guest_protocol::epoch::Token;
use jiff::Timestamp;
use machine::{Convergence, Snapshot};
use serde::{Deserialize, Serialize};

use crate::disks::{Chains, Frozen};
use crate::home::{FileError, FileStamp, disk_space, replace_file, sync_directory};
use crate::jobs::JobRecord;
use crate::services::ServiceRecord;

/// Version of the manifest and of what it is about.
const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest.json";
const RAM: &str = "ram";
const STATE: &str = "state";
const STREAM: &str = "stream";

/// What is known of a saved machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) saved_at: Timestamp,
    /// Opens the machine's next epoch.
    pub(crate) token: Token,
    /// The frozen layers of its drives.
    pub(crate) chains: Chains,
    /// What ran in the background and can be attached to.
    pub(crate) jobs: Vec<JobRecord>,
    /// The services that were looked after; their processes are among the jobs.
    #[serde(default)]
    pub(crate) services: Vec<ServiceRecord>,
    /// What the addresses stand for that its guest has been given.
    pub(crate) names: Names,
    /// How long the machine stood still for it, in microseconds.
    pub(crate) pause_us: u64,
    /// Whether it could run until its last pages were written.
    pub(crate) convergence: Convergence,
    ram: FileStamp,
}

/// What a keeper knows of the machine that it saves.
#[derive(Debug)]
pub(crate) struct Knowledge {
    pub(crate) token: Token,
    pub(crate) chains: Chains,
    pub(crate) jobs: Vec<JobRecord>,
    pub(crate) services: Vec<ServiceRecord>,
    pub(crate) names: Names,
    pub(crate) taken: Snapshot,
}

/// Whether a saved machine outlives the host's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    /// It does.
    Synced,
    /// It is going to be used at once and removed.
    Fleeting,
}

/// A directory that a machine is being saved into.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished(pub(crate) PathBuf);

impl Unfinished {
    /// For memory and devices as the monitor writes them.
    pub(crate) fn stream(&self) -> PathBuf {
        self.0.join(STREAM)
    }

    pub(crate) fn ram(&self) -> PathBuf {
        self.0.join(RAM)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join(STATE)
    }

    /// Makes a saved machine of a directory in which all but the manifest is
    /// there. Blocks for as long as the host's disk takes.
    pub(crate) fn finish(
        &self,
        knowledge: Knowledge,
        durability: Durability,
    ) -> Result<(), FileError> {
        let Knowledge { token, chains, jobs, services, names, taken } = knowledge;
        let stream = self.stream();
        fs::remove_file(&stream).map_err(FileError::at("remove", &stream))?;
        if durability == Durability::Synced {
            let layers = chains.files().map(|layer| self.0.join(layer));
            for path in layers.chain([self.ram(), self.state()]) {
                File::open(&path)
                    .and_then(|file| file.sync_all())
                    .map_err(FileError::at("sync", &path))?;
            }
        }
        let ram = self.ram();
        let manifest = Manifest {
            format: FORMAT,
            saved_at: Timestamp::now(),
            token,
            chains,
            jobs,
            services,
            names,
            pause_us: taken.pause_us,
            convergence: taken.convergence,
            ram: FileStamp::of(&ram).map_err(FileError::at("look at", &ram))?,
        };
        let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        replace_file(&self.0.join(MANIFEST), &json)?;
        match durability {
            Durability::Synced => sync_directory(&self.0),
            Durability::Fleeting => Ok(()),
        }
    }
}

/// A machine that was saved.
#[derive(Debug, Clone)]
pub(crate) struct SavedMachine {
    directory: PathBuf,
    pub(crate) manifest: Manifest,
}

impl SavedMachine {
    /// The machine in a directory, if there is one that this program knows.
    pub(crate) fn open(directory: &Path) -> Result<Option<Self>, FileError> {
        let path = directory.join(MANIFEST);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::at("read", &path)(error)),
        };
        match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(manifest) if manifest.format == FORMAT => {
                Ok(Some(Self { directory: directory.to_owned(), manifest }))
            }
            Ok(_) => Ok(None),
            Err(error) => Err(FileError::at("read", &path)(error.into())),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its memory.
    pub(crate) fn ram(&self) -> PathBuf {
        self.directory.join(RAM)
    }

    /// The state of its devices.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join(STATE)
    }

    /// The layers that its drives go on from.
    pub(crate) fn frozen(&self) -> Frozen {
        Frozen { directory: self.directory.clone(), chains: self.manifest.chains.clone() }
    }

    /// Whether its memory is what was saved.
    pub(crate) fn is_intact(&self) -> bool {
        FileStamp::of(&self.ram()).is_ok_and(|stamp| stamp == self.manifest.ram)
    }

    /// Disk space of its memory and devices, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        disk_space(&self.ram()) + disk_space(&self.state())
    }

    /// Disk space of the layers that it needs, shared or not, in bytes.
    pub(crate) fn layer_bytes(&self) -> u64 {
        let layers = self.manifest.chains.files();
        layers.map(|layer| disk_space(&self.directory.join(layer))).sum()
    }
}
