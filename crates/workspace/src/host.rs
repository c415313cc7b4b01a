//! What this host can execute guests with.
//!
//! Probing costs a process and a small machine, so the facts are kept in a file
//! and hold until the host boots again or its monitor changes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use machine::kvm::{self, KvmVerdict};
use machine::{Driver, MachineError, MonitorInfo};
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use workspace_api::spec::Accelerator;

use crate::files::replace_file;
use crate::home::Home;
use crate::machines;
use crate::settings::{AcceleratorChoice, Settings};

/// What this host can do, as of one boot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HostFacts {
    boot_id: String,
    monitor_stamp: Option<MonitorStamp>,
    /// Name of the processor; machines under KVM can only be resumed on the
    /// same one.
    pub(crate) processor: String,
    /// Whether KVM executes guests here, as proved by running one.
    pub(crate) kvm: KvmVerdict,
    /// The monitor, if there is one.
    pub(crate) monitor: Option<MonitorInfo>,
}

/// Changes when the monitor is upgraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MonitorStamp {
    path: PathBuf,
    inode: u64,
    changed_at: i64,
}

impl HostFacts {
    /// The facts, from the file if they still hold.
    pub(crate) fn load(home: &Home, settings: &Settings) -> Result<Self, OpError> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = boot_id.trim().to_owned();
        let monitor_stamp = monitor_stamp(settings);
        let kept = fs::read(home.host_facts())
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .filter(|facts| facts.boot_id == boot_id && facts.monitor_stamp == monitor_stamp)
            .filter(|facts| facts.kvm_was_timed());
        if let Some(facts) = kept {
            return Ok(facts);
        }
        let monitor = match machines::probing_driver(settings).monitor() {
            Ok(monitor) => Some(monitor),
            Err(MachineError::MonitorMissing { .. }) => None,
            Err(error) => return Err(OpError::new(ErrorKind::Unavailable, &error)),
        };
        let facts =
            Self { boot_id, monitor_stamp, processor: processor(), kvm: kvm::probe(), monitor };
        let json = serde_json::to_vec_pretty(&facts).expect("facts are plain data");
        if let Err(error) = replace_file(&home.host_facts(), &json) {
            // They are probed again next time; nothing else is lost.
            tracing::warn!(%error, "what this host can do was not kept");
        }
        Ok(facts)
    }

    /// Whether a guest was timed on KVM. Only that holds until the next boot;
    /// whoever follows the doctor's advice about a device that is missing or
    /// closed shall not have to boot for it, and to look again costs nothing.
    const fn kvm_was_timed(&self) -> bool {
        matches!(self.kvm, KvmVerdict::Usable { .. } | KvmVerdict::TooSlow { .. })
    }

    /// What shall execute guests.
    pub(crate) fn accelerator(&self, choice: AcceleratorChoice) -> Result<Accelerator, OpError> {
        let kvm_works = matches!(self.kvm, KvmVerdict::Usable { .. });
        match choice {
            AcceleratorChoice::Auto if kvm_works => Ok(Accelerator::Kvm),
            AcceleratorChoice::Auto => Ok(Accelerator::Tcg),
            AcceleratorChoice::Only(Accelerator::Kvm) if !kvm_works => Err(OpError::plain(
                ErrorKind::Unavailable,
                format!("KVM was asked for and cannot be used here: {}", self.kvm),
            )
            .hinted("`hotcell doctor` says what to do about it")),
            AcceleratorChoice::Only(accelerator) => Ok(accelerator),
        }
    }

    /// The monitor.
    pub(crate) fn monitor(&self) -> Result<&MonitorInfo, OpError> {
        self.monitor.as_ref().ok_or_else(|| {
            OpError::plain(ErrorKind::Unavailable, "no QEMU is installed")
                .hinted("install it: `apt-get install qemu-system-x86 qemu-utils`")
        })
    }
}

fn monitor_stamp(settings: &Settings) -> Option<MonitorStamp> {
    let path = crate::settings::find_program(machines::MONITOR, &settings.search_path)?;
    let metadata = fs::metadata(&path).ok()?;
    Some(MonitorStamp { path, inode: metadata.ino(), changed_at: metadata.ctime() })
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.split_once(':').map(|(_, value)| value.trim()))
            .unwrap_or_default()
            .to_owned()
    };
    format!("{} {} {}", value("model name"), value("stepping"), value("microcode"))
}

/// Free space of the file system that holds `path`, in bytes.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Memory that a process has for itself alone, in bytes: what it shares with others,
/// or could read again from a file, does not count.
pub(crate) fn private_memory(pid: u32) -> Option<u64> {
    kibibytes(Path::new(&format!("/proc/{pid}/status")), "RssAnon:")
}

/// Memory that the host can give to new processes, in bytes.
pub(crate) fn available_memory() -> Option<u64> {
    kibibytes(Path::new("/proc/meminfo"), "MemAvailable:")
}

/// What a file of the kernel says under a key in KiB, in bytes.
fn kibibytes(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
