//! From an initramfs to the machine that commands see.
//!
//! ```text
//! /dev /proc /sys ─▶ modules ─▶ /dev/vda ─▶ /newroot ─▶ move, free, switch ─▶
//!     /dev/pts /dev/shm /run, tools /tmp /sys/fs/cgroup /workspace ─▶ loopback
//! ```
//!
//! The initramfs holds this program as `/init`, modules under `/modules` and
//! their order in `/modules/order`: a path relative to `/modules` and, behind a
//! space, parameters per line, each module after those that it needs. Its files are deleted, because they
//! would stay in memory for ever otherwise.
//!
//! A machine whose boot failed is of no use. The error names step and object;
//! the caller prints it for the host and powers off.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use guest_protocol::TOOLS_PATH;
use rustix::mount::{MountFlags, mount, mount_move};

use crate::identity;
use crate::machine::{EXT4_OPTIONS, IDENTITY, MachineError};

const MODULES: &str = "/modules";
const TOOLS: &str = "/tools";
const DISK: &str = "/dev/vda";
const NEW_ROOT: &str = "/newroot";
const APPEARANCE: Duration = Duration::from_secs(10);

/// The step of the boot that failed.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A directory could not be made.
    #[error("cannot make the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file system could not be mounted.
    #[error("cannot mount {source_name} ({kind}) on {target}")]
    Mount {
        /// What.
        source_name: &'static str,
        /// The kind of file system.
        kind: &'static str,
        /// Where.
        target: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The list of modules could not be read.
    #[error("cannot read {MODULES}/order")]
    Modules(#[source] io::Error),
    /// A module could not be loaded.
    #[error("cannot load the module {path}")]
    Module {
        /// The module.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk did not appear.
    #[error("no disk {DISK} appeared within {} s", APPEARANCE.as_secs())]
    NoDisk,
    /// A mounted file system could not be moved.
    #[error("cannot move the mount {from} to {to}")]
    Move {
        /// From where.
        from: PathBuf,
        /// To where.
        to: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk could not become the root directory.
    #[error("cannot make {NEW_ROOT} the root directory")]
    Root(#[source] io::Error),
    /// A directory is not open to everybody.
    #[error("cannot set the mode of {path}")]
    Mode {
        /// The directory.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files that say who the machine is could not be put in memory.
    #[error("cannot prepare the machine's identity")]
    Identity(#[from] MachineError),
    /// The program of tools could not be put in memory.
    #[error("cannot {action} the program of tools {path}")]
    Tools {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no local network.
    #[error("cannot bring the loopback interface up")]
    Loopback(#[source] io::Error),
}

/// Does all of it.
///
/// # Errors
///
/// At the first step that fails.
pub fn boot() -> Result<(), BootError> {
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    let closed = quiet | MountFlags::NODEV;
    attach("devtmpfs", "/dev", "devtmpfs", MountFlags::NOSUID, "mode=0755")?;
    attach("proc", "/proc", "proc", closed, "")?;
    attach("sysfs", "/sys", "sysfs", closed, "")?;
    load_modules()?;
    wait_for_disk()?;
    attach(DISK, NEW_ROOT, "ext4", MountFlags::NOATIME, EXT4_OPTIONS)?;
    let tools = read_tools()?;
    switch_root()?;

    attach("devpts", "/dev/pts", "devpts", quiet, "mode=0620,ptmxmode=0666,gid=5")?;
    let shared = MountFlags::NOSUID | MountFlags::NODEV;
    attach("tmpfs", "/dev/shm", "tmpfs", shared, "mode=1777")?;
    attach("tmpfs", "/run", "tmpfs", shared, "mode=0755")?;
    identity::prepare(Path::new(IDENTITY))?;
    install_tools(&tools)?;
    attach("cgroup2", "/sys/fs/cgroup", "cgroup2", closed, "")?;
    make_directory(Path::new("/workspace"))?;
    make_directory(Path::new("/tmp"))?;
    fs::set_permissions("/tmp", Permissions::from_mode(0o1777))
        .map_err(|source| BootError::Mode { path: "/tmp", source })?;
    // IFF_UP and IFF_LOOPBACK; the kernel gives the interface its addresses.
    fs::write("/sys/class/net/lo/flags", "0x9").map_err(BootError::Loopback)
}

fn make_directory(path: &Path) -> Result<(), BootError> {
    // The mode is the caller's wish: init inherits no mask that would cut it.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|source| BootError::Directory { path: path.to_owned(), source })
}

fn attach(
    source_name: &'static str,
    target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    options: &str,
) -> Result<(), BootError> {
    make_directory(Path::new(target))?;
    let options = std::ffi::CString::new(options).unwrap_or_default();
    mount(source_name, target, kind, flags, options.as_c_str()).map_err(|error| BootError::Mount {
        source_name,
        kind,
        target,
        source: error.into(),
    })
}

fn load_modules() -> Result<(), BootError> {
    let order = Path::new(MODULES).join("order");
    let order = fs::read_to_string(order).map_err(BootError::Modules)?;
    for line in order.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (file, parameters) = line.split_once(' ').unwrap_or((line, ""));
        let path = Path::new(MODULES).join(file);
        let parameters = std::ffi::CString::new(parameters).unwrap_or_default();
        let load = || -> io::Result<()> {
            match rustix::system::finit_module(File::open(&path)?, &parameters, 0) {
                // A module that is there already does what it shall.
                Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        load().map_err(|source| BootError::Module { path: path.clone(), source })?;
    }
    Ok(())
}

fn read_tools() -> Result<Vec<u8>, BootError> {
    fs::read(TOOLS).map_err(|source| BootError::Tools { action: "read", path: TOOLS, source })
}

/// Keeps the program in memory, of which every copy of this machine has the same.
fn install_tools(tools: &[u8]) -> Result<(), BootError> {
    let failed = |source| BootError::Tools { action: "write", path: TOOLS_PATH, source };
    fs::write(TOOLS_PATH, tools).map_err(failed)?;
    fs::set_permissions(TOOLS_PATH, Permissions::from_mode(0o755)).map_err(failed)
}

fn wait_for_disk() -> Result<(), BootError> {
    let deadline = Instant::now() + APPEARANCE;
    while !Path::new(DISK).exists() {
        if Instant::now() >= deadline {
            return Err(BootError::NoDisk);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn switch_root() -> Result<(), BootError> {
    let shift = |from: &str, to: &str| {
        mount_move(from, to).map_err(|error| BootError::Move {
            from: from.into(),
            to: to.into(),
            source: error.into(),
        })
    };
    for name in ["dev", "proc", "sys"] {
        let target = Path::new(NEW_ROOT).join(name);
        make_directory(&target)?;
        shift(&format!("/{name}"), &target.to_string_lossy())?;
    }
    let root = Path::new("/");
    if let Ok(root_entry) = fs::symlink_metadata(root) {
        free(root, root_entry.dev());
    }
    std::env::set_current_dir(NEW_ROOT).map_err(BootError::Root)?;
    shift(".", "/")?;
    rustix::process::chroot(".").map_err(|error| BootError::Root(error.into()))?;
    std::env::set_current_dir("/").map_err(BootError::Root)
}

/// Deletes what is in a directory and on the same device. What cannot be
/// deleted only costs memory, so nothing is an error.
fn free(directory: &Path, device: u64) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::symlink_metadata(&path) {
            Ok(found) if found.dev() != device => {}
            Ok(found) if found.is_dir() => {
                free(&path, device);
                let _ = fs::remove_dir(&path);
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }
}
