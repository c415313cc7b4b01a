//! Opens the files of a machine and hands them over as descriptors.
//!
//! QEMU uses most of them as they are (`-add-fd`). The kernel, the initial file
//! system and the file behind the memory it can only open by name, so it opens
//! their descriptors again through `/proc/self/fd`; if its user is another one
//! than ours, that user's group is given access to them first. A file that the
//! group can use already is left alone, so that a template's RAM file, once
//! saved, never changes its change time by being used.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::process::Gid;

use crate::launcher::{Descriptors, Reopen, UidPolicy};
use crate::{Disk, DiskImage, MachineError, MachineSpec, RamSharing};

/// Mode of files that the driver creates.
const PRIVATE_MODE: u32 = 0o600;

/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// The first bytes of a qcow2 file.
const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";

/// Where a qcow2 header holds the drive's size, big-endian.
const QCOW2_SIZE_OFFSET: usize = 24;

/// The numbers under which the monitor finds its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileNumbers {
    pub(super) kernel: u32,
    pub(super) initrd: u32,
    pub(super) ram: u32,
    pub(super) disks: Vec<DiskFiles>,
}

/// The numbers of one drive's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiskFiles {
    /// Size of the drive as the guest sees it.
    pub(super) bytes: u64,
    pub(super) layer: LayerNumbers,
    pub(super) backing: Vec<(u32, ImageFormat)>,
}

/// The numbers of a layer that can be written. When it is frozen later, QEMU
/// wants to open it again for reading, and can open nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerNumbers {
    pub(super) read_write: u32,
    pub(super) read_only: u32,
}

/// How an image holds its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageFormat {
    Raw,
    Qcow2,
}

/// How QEMU opens the file behind the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RamAccess {
    Read,
    ReadWrite,
}

/// What was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) numbers: FileNumbers,
    /// Size of the largest drive as the guest sees it, in bytes.
    pub(super) largest_drive_bytes: u64,
}

/// Opens everything and adds it to `descriptors`.
pub(super) fn open(
    spec: &MachineSpec,
    user: UidPolicy,
    ram_access: RamAccess,
    descriptors: &mut Descriptors,
) -> Result<Opened, MachineError> {
    let kernel = open_for_reading(&spec.kernel, user)?;
    let kernel = descriptors.add(kernel.into(), Reopen::Read);
    let initrd = open_for_reading(&spec.initrd, user)?;
    let initrd = descriptors.add(initrd.into(), Reopen::Read);
    let path = &spec.ram.path;
    let ram = open_ram(spec, user, ram_access).map_err(at(path))?;
    let reopen = match ram_access {
        RamAccess::Read => Reopen::Read,
        RamAccess::ReadWrite => Reopen::ReadWrite,
    };
    let ram = descriptors.add(ram.into(), reopen);
    let mut disks = Vec::new();
    let mut largest_drive_bytes = 0;
    for disk in &spec.disks {
        let files = open_disk(disk, descriptors)?;
        largest_drive_bytes = largest_drive_bytes.max(files.bytes);
        disks.push(files);
    }
    let numbers = FileNumbers { kernel, initrd, ram, disks };
    Ok(Opened { numbers, largest_drive_bytes })
}

/// Opens the console's file for appending.
pub(super) fn open_console(path: &Path) -> Result<File, MachineError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(PRIVATE_MODE).open(path).map_err(at(path))
}

/// Opens a file for the state to be written to.
pub(super) fn create_state(path: &Path) -> Result<File, MachineError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(PRIVATE_MODE).open(path).map_err(at(path))
}

/// Creates the file behind the memory of copies: so many bytes, all zeros. It gets
/// the rights that they will need, so that it never changes by being used.
pub(super) fn create_ram(path: &Path, bytes: u64, user: UidPolicy) -> Result<File, MachineError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(PRIVATE_MODE);
    let create = || -> io::Result<File> {
        let file = options.open(path)?;
        file.set_len(bytes)?;
        grant(&file, user, 0o6)?;
        Ok(file)
    };
    create().map_err(at(path))
}

fn open_for_reading(path: &Path, user: UidPolicy) -> Result<File, MachineError> {
    let file = File::open(path).map_err(at(path))?;
    grant(&file, user, 0o4).map_err(at(path))?;
    Ok(file)
}

fn open_ram(spec: &MachineSpec, user: UidPolicy, access: RamAccess) -> io::Result<File> {
    let expected = u64::from(spec.shape.memory_mib).saturating_mul(MIB);
    let mut options = OpenOptions::new();
    options.read(true);
    match access {
        RamAccess::Read => {}
        RamAccess::ReadWrite => {
            options.write(true);
        }
    }
    if spec.ram.sharing == RamSharing::Shared {
        options.create(true).mode(PRIVATE_MODE);
    }
    let file = options.open(&spec.ram.path)?;
    let found = file.metadata()?.len();
    if found == 0 && spec.ram.sharing == RamSharing::Shared {
        file.set_len(expected)?;
    } else if found != expected {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it has {found} bytes, but the machine's memory {expected}"),
        ));
    }
    // A template's file gets the rights that its copies will need, so that it
    // need not change once it was saved.
    grant(&file, user, 0o6)?;
    Ok(file)
}

/// Opens a drive's images.
pub(super) fn open_disk(
    disk: &Disk,
    descriptors: &mut Descriptors,
) -> Result<DiskFiles, MachineError> {
    let LayerFiles { read_write, read_only, bytes } = open_layer(&disk.layer)?;
    let layer = LayerNumbers {
        read_write: descriptors.add(read_write.into(), Reopen::Never),
        read_only: descriptors.add(read_only.into(), Reopen::Never),
    };
    let mut backing = Vec::new();
    for image in &disk.backing {
        let (path, format) = match image {
            DiskImage::Raw { path } => (path, ImageFormat::Raw),
            DiskImage::Qcow2 { path } => (path, ImageFormat::Qcow2),
        };
        let file = File::open(path).map_err(at(path))?;
        backing.push((descriptors.add(file.into(), Reopen::Never), format));
    }
    Ok(DiskFiles { bytes, layer, backing })
}

/// A layer, opened twice.
#[derive(Debug)]
pub(super) struct LayerFiles {
    pub(super) read_write: File,
    pub(super) read_only: File,
    /// Size of its drive as the guest sees it.
    pub(super) bytes: u64,
}

/// Opens a layer that is going to be written and later frozen.
pub(super) fn open_layer(path: &Path) -> Result<LayerFiles, MachineError> {
    let mut read_write = OpenOptions::new().read(true).write(true).open(path).map_err(at(path))?;
    let bytes = drive_bytes(&mut read_write).map_err(at(path))?;
    let read_only = File::open(path).map_err(at(path))?;
    Ok(LayerFiles { read_write, read_only, bytes })
}

/// The size that a qcow2 file's header gives the drive.
fn drive_bytes(layer: &mut File) -> io::Result<u64> {
    let mut header = [0_u8; QCOW2_SIZE_OFFSET + size_of::<u64>()];
    layer.read_exact(&mut header)?;
    let (start, size) = header.split_at(QCOW2_SIZE_OFFSET);
    if !start.starts_with(&QCOW2_MAGIC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a qcow2 image"));
    }
    let mut number = [0; size_of::<u64>()];
    number.copy_from_slice(size);
    Ok(u64::from_be_bytes(number))
}

/// Lets the monitor's group use a file, if its user is not ours. `bits` are
/// the permission bits of one class, as in `0o6`.
fn grant(file: &File, user: UidPolicy, bits: u32) -> io::Result<()> {
    let UidPolicy::Drop { gid, .. } = user else {
        return Ok(());
    };
    let found = file.metadata()?;
    let (mode, group_bits) = (found.mode(), bits << 3);
    let everyone_can = mode & bits == bits;
    let group_can = found.gid() == gid && mode & group_bits == group_bits;
    if everyone_can || group_can {
        return Ok(());
    }
    rustix::fs::fchown(file, None, Some(Gid::from_raw(gid)))?;
    file.set_permissions(PermissionsExt::from_mode((mode & 0o7777) | group_bits))
}

/// Puts the file's path into an error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> MachineError {
    let path = path.to_owned();
    move |source| MachineError::File { path, source }
}
