//! Machines that were saved with their memory while they ran.
//!
//! ```text
//! <directory>/
//!   lock            held, shared, by whoever needs the directory to stay
//!   manifest.json   written last: without it the directory holds no machine
//!   ram  state      what any number of machines are resumed from; once their
//!                   workspace was given a secret, sealed: `ram.sealed`, …
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
use machine::{Convergence, Shape, Snapshot};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::disks::{Chains, Frozen};
use crate::files::{FileError, FileStamp, disk_space, replace_file, sync_directory};
use crate::home::Home;
use crate::jobs::JobRecord;
use crate::secrets::SecretError;
use crate::secrets::memory::{self, Aside};
use crate::services::ServiceRecord;
use crate::template::Template;

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
    /// How large the machine is; one without this is as large as its template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Shape>,
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
    /// What its memory was sealed as, if it was: names the machine for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    ram: FileStamp,
}

/// What a keeper knows of the machine that it saves.
#[derive(Debug)]
pub(crate) struct Knowledge {
    pub(crate) shape: Shape,
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
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) directory: PathBuf,
    /// Where its memory is until it is sealed; `None` if it need not be.
    aside: Option<AsideMemory>,
}

/// Memory that may not be on a disk as it is.
#[derive(Debug)]
struct AsideMemory {
    stream: Aside,
    ram: Aside,
    state: Aside,
}

impl Unfinished {
    /// A directory whose machine's memory anybody may find on the disk.
    pub(crate) const fn clear(directory: PathBuf) -> Self {
        Self { directory, aside: None }
    }

    /// A directory whose machine's memory goes there sealed.
    pub(crate) fn sealed(directory: PathBuf) -> Result<Self, FileError> {
        let aside = AsideMemory { stream: Aside::new()?, ram: Aside::new()?, state: Aside::new()? };
        Ok(Self { directory, aside: Some(aside) })
    }

    /// Whether its memory is on the disk in clear.
    pub(crate) const fn is_clear(&self) -> bool {
        self.aside.is_none()
    }

    /// For memory and devices as the monitor writes them.
    pub(crate) fn stream(&self) -> PathBuf {
        let aside = self.aside.as_ref().map(|aside| aside.stream.path());
        aside.unwrap_or_else(|| self.directory.join(STREAM))
    }

    pub(crate) fn ram(&self) -> PathBuf {
        let aside = self.aside.as_ref().map(|aside| aside.ram.path());
        aside.unwrap_or_else(|| self.directory.join(RAM))
    }

    pub(crate) fn state(&self) -> PathBuf {
        let aside = self.aside.as_ref().map(|aside| aside.state.path());
        aside.unwrap_or_else(|| self.directory.join(STATE))
    }

    /// Gets memory to the disk for good; what it was sealed as.
    fn settle(&mut self, home: &Home) -> Result<Option<String>, SecretError> {
        let Some(AsideMemory { stream, ram, state }) = self.aside.take() else {
            let stream = self.directory.join(STREAM);
            fs::remove_file(&stream).map_err(FileError::at("remove", &stream))?;
            return Ok(None);
        };
        drop(stream);
        let name = Uuid::new_v4().to_string();
        memory::seal(home, [&name, RAM], &ram, &self.directory.join(sealed(RAM)))?;
        memory::seal(home, [&name, STATE], &state, &self.directory.join(sealed(STATE)))?;
        Ok(Some(name))
    }

    /// Makes a saved machine of a directory in which all but the manifest is
    /// there. Blocks for as long as the host's disk takes.
    pub(crate) fn finish(
        mut self,
        home: &Home,
        knowledge: Knowledge,
        durability: Durability,
    ) -> Result<(), SecretError> {
        let Knowledge { shape, token, chains, jobs, services, names, taken } = knowledge;
        let sealed = self.settle(home)?;
        let directory = self.directory;
        let ram = memory_file(&directory, RAM, sealed.as_deref());
        let state = memory_file(&directory, STATE, sealed.as_deref());
        if durability == Durability::Synced {
            let layers = chains.files().map(|layer| directory.join(layer));
            for path in layers.chain([ram.clone(), state]) {
                File::open(&path)
                    .and_then(|file| file.sync_all())
                    .map_err(FileError::at("sync", &path))?;
            }
        }
        let manifest = Manifest {
            format: FORMAT,
            saved_at: Timestamp::now(),
            shape: Some(shape),
            token,
            chains,
            jobs,
            services,
            names,
            pause_us: taken.pause_us,
            convergence: taken.convergence,
            sealed,
            ram: FileStamp::of(&ram).map_err(FileError::at("look at", &ram))?,
        };
        let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        replace_file(&directory.join(MANIFEST), &json)?;
        match durability {
            Durability::Synced => Ok(sync_directory(&directory)?),
            Durability::Fleeting => Ok(()),
        }
    }
}

/// What a sealed file of a name is called.
fn sealed(name: &str) -> String {
    format!("{name}.sealed")
}

/// Where a part of a saved machine's memory lies.
fn memory_file(directory: &Path, name: &str, sealed_as: Option<&str>) -> PathBuf {
    match sealed_as {
        Some(_) => directory.join(sealed(name)),
        None => directory.join(name),
    }
}

/// Memory and devices of a machine, in files that are gone when this is.
#[derive(Debug)]
pub(crate) struct OpenedMemory {
    pub(crate) ram: Aside,
    pub(crate) state: Aside,
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
        memory_file(&self.directory, RAM, self.manifest.sealed.as_deref())
    }

    /// The state of its devices.
    pub(crate) fn state(&self) -> PathBuf {
        memory_file(&self.directory, STATE, self.manifest.sealed.as_deref())
    }

    /// Whether its memory and devices are sealed.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.manifest.sealed.is_some()
    }

    /// Memory and devices as a monitor can read them, if they are sealed. Blocks
    /// for as long as that takes.
    pub(crate) fn opened(&self, home: &Home) -> Result<Option<OpenedMemory>, SecretError> {
        let Some(name) = &self.manifest.sealed else { return Ok(None) };
        Ok(Some(OpenedMemory {
            ram: memory::open(home, [name, RAM], &self.ram())?,
            state: memory::open(home, [name, STATE], &self.state())?,
        }))
    }

    /// How large it is; it was made from that template, or its ancestor was.
    pub(crate) fn shape(&self, template: &Template) -> Shape {
        self.manifest.shape.unwrap_or(template.manifest.ingredients.shape)
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
