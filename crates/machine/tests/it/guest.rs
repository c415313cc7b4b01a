//! The smallest bootable guests, and what a machine needs besides one.

use std::path::{Path, PathBuf};

use machine::{Accelerator, Disk, DiskImage, MachineSpec, RamFile, RamSharing, Shape, Start};
use uuid::Uuid;

/// Where the code is loaded, and begins.
const ENTRY: u32 = 0x10_0000;

/// What a guest does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guest {
    /// Prints `B` once and then `T` again and again.
    Tick,
    /// Asks for a reset at once.
    Reset,
}

impl Guest {
    /// 32-bit code; the entry is its first byte.
    fn code(self) -> &'static [u8] {
        match self {
            Self::Tick => &[
                0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
                0xb0, b'B', // mov al, 'B'
                0xee, // out dx, al
                0xff, 0x05, 0x00, 0x00, 0x20, 0x00, // again: inc dword [0x200000]
                0xf7, 0x05, 0x00, 0x00, 0x20, 0x00, 0xff, 0xff, 0x1f, 0x00, // test, 0x1fffff
                0x75, 0xee, // jnz again
                0xb0, b'T', // mov al, 'T'
                0xee, // out dx, al
                0xeb, 0xe9, // jmp again
            ],
            Self::Reset => &[
                0x66, 0xba, 0xf9, 0x0c, // mov dx, 0xcf9
                0xb0, 0x06, // mov al, 6
                0xee, // out dx, al
                0xeb, 0xfe, // jmp here
            ],
        }
    }

    /// An ELF file with a PVH entry, as the kernel of a machine.
    fn kernel(self) -> Vec<u8> {
        const NOTE: u32 = 0x80;
        const CODE: u32 = 0x100;
        const FILE_BYTES: usize = 0x1000;
        let half = |value: u16| value.to_le_bytes().to_vec();
        let word = |value: u32| value.to_le_bytes().to_vec();
        let length = u32::try_from(self.code().len()).unwrap();
        let mut file = Vec::new();
        // File header: 32 bits, little-endian, executable, 386.
        file.extend([0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend([half(2), half(3), word(1), word(ENTRY), word(52), word(0)].concat());
        file.extend([word(0), half(52), half(32), half(2), half(40), half(0), half(0)].concat());
        // One segment to load, readable, writable, executable.
        for value in [1, CODE, ENTRY, ENTRY, length, length, 7, 0x10] {
            file.extend(word(value));
        }
        // One note: type 18 of `Xen` is the physical 32-bit entry.
        for value in [4, NOTE, 0, 0, 20, 20, 4, 4] {
            file.extend(word(value));
        }
        file.resize(NOTE as usize, 0);
        file.extend([word(4), word(4), word(18), b"Xen\0".to_vec(), word(ENTRY)].concat());
        file.resize(CODE as usize, 0);
        file.extend(self.code());
        file.resize(FILE_BYTES, 0);
        file
    }
}

/// Writes all files of a machine to `place`: one drive over a raw image.
pub(crate) fn machine_in(place: &Path, guest: Guest) -> MachineSpec {
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = place.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let kernel = file("kernel", &guest.kernel());
    let base = file("base.raw", &vec![0; 1 << 20]);
    MachineSpec {
        accelerator: Accelerator::Tcg,
        cpu_model: None,
        shape: Shape { cpus: 1, memory_mib: 64 },
        kernel,
        initrd: file("initrd", b"nothing in here"),
        command_line: String::new(),
        ram: RamFile { path: place.join("ram"), sharing: RamSharing::Shared },
        disks: vec![Disk {
            name: "root".to_owned(),
            layer: file("layer.qcow2", &empty_layer(1 << 20)),
            backing: vec![DiskImage::Raw { path: base }],
        }],
        console: place.join("console"),
        generation_id: Uuid::new_v4(),
        start: Start::Boot,
    }
}

/// A copy of a saved machine, with its own drive and console.
pub(crate) fn copy_of(spec: &MachineSpec, state: &Path, place: &Path) -> MachineSpec {
    let mut copy = spec.clone();
    let layer = place.join("copy.qcow2");
    std::fs::write(&layer, empty_layer(1 << 20)).unwrap();
    copy.disks[0].layer = layer;
    copy.ram.sharing = RamSharing::CopyOnWrite;
    copy.console = place.join("copy.console");
    copy.generation_id = Uuid::new_v4();
    copy.start = Start::Resume { state: state.to_owned() };
    copy
}

/// A qcow2 file without data: header, count table, count block, address table,
/// one cluster each.
fn empty_layer(bytes: u64) -> Vec<u8> {
    const CLUSTER: u32 = 1 << 16;
    let mut file = Vec::new();
    file.extend(b"QFI\xfb");
    file.extend(2_u32.to_be_bytes());
    // No backing file: offset and length of its name.
    file.extend([0; 12]);
    file.extend(16_u32.to_be_bytes());
    file.extend(bytes.to_be_bytes());
    // No encryption, one entry in the address table.
    file.extend(0_u32.to_be_bytes());
    file.extend(1_u32.to_be_bytes());
    file.extend(u64::from(3 * CLUSTER).to_be_bytes());
    file.extend(u64::from(CLUSTER).to_be_bytes());
    file.extend(1_u32.to_be_bytes());
    file.extend([0; 12]);
    file.resize(CLUSTER as usize, 0);
    file.extend(u64::from(2 * CLUSTER).to_be_bytes());
    file.resize(2 * CLUSTER as usize, 0);
    file.extend([0, 1, 0, 1, 0, 1, 0, 1]);
    file.resize(4 * CLUSTER as usize, 0);
    file
}
