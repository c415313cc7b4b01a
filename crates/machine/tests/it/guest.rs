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
    /// Counts in memory and on its disk, and looks at each step whether the disk
    /// holds what memory says: prints `B` once, `T` again and again, and `X` for
    /// ever once they differ.
    Count,
    /// Changes all of its memory as fast as it can; prints `B` once and then `T`
    /// again and again.
    Churn,
}

impl Guest {
    fn memory_mib(self) -> u32 {
        match self {
            Self::Tick | Self::Reset | Self::Count => 64,
            // More than can be written within the pause that a snapshot allows.
            Self::Churn => 256,
        }
    }

    /// 32-bit code; the entry is its first byte. Operands in AT&T's order.
    #[rustfmt::skip]
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
            // The disk is driven through virtio's legacy ports.
            Self::Count => &[
                0xbc, 0x00, 0x00, 0x28, 0x00, // mov 0x280000, esp
                // Find the first disk on bus 0: 1af4:1001.
                0xbb, 0x00, 0x00, 0x00, 0x80, // mov 0x80000000, ebx
                0x89, 0xd8, // find: mov ebx, eax
                0x66, 0xba, 0xf8, 0x0c, // mov 0xcf8, dx
                0xef, // out eax, dx
                0xb2, 0xfc, // mov 0xfc, dl
                0xed, // in dx, eax
                0x3d, 0xf4, 0x1a, 0x01, 0x10, // cmp 0x10011af4, eax
                0x74, 0x08, // je found
                0x81, 0xc3, 0x00, 0x08, 0x00, 0x00, // add 0x800, ebx
                0xeb, 0xe7, // jmp find
                // Memory, I/O and bus mastering on.
                0x8d, 0x43, 0x04, // found: lea 4(ebx), eax
                0xb2, 0xf8, // mov 0xf8, dl
                0xef, // out eax, dx
                0xb2, 0xfc, // mov 0xfc, dl
                0xb8, 0x07, 0x00, 0x00, 0x00, // mov 7, eax
                0xef, // out eax, dx
                // Where its ports are.
                0x8d, 0x43, 0x10, // lea 0x10(ebx), eax
                0xb2, 0xf8, // mov 0xf8, dl
                0xef, // out eax, dx
                0xb2, 0xfc, // mov 0xfc, dl
                0xed, // in dx, eax
                0x25, 0xfc, 0xff, 0x00, 0x00, // and 0xfffc, eax
                0x89, 0xc5, // mov eax, ebp
                // Reset, acknowledge, driver.
                0x8d, 0x55, 0x12, // lea 18(ebp), edx
                0x31, 0xc0, // xor eax, eax
                0xee, // out al, dx
                0xb0, 0x03, // mov 3, al
                0xee, // out al, dx
                // No features; queue 0 at 0x300000.
                0x8d, 0x55, 0x04, // lea 4(ebp), edx
                0x31, 0xc0, // xor eax, eax
                0xef, // out eax, dx
                0x8d, 0x55, 0x0e, // lea 14(ebp), edx
                0x66, 0xef, // out ax, dx
                0x8d, 0x55, 0x08, // lea 8(ebp), edx
                0xb8, 0x00, 0x03, 0x00, 0x00, // mov 0x300, eax
                0xef, // out eax, dx
                0x8d, 0x55, 0x12, // lea 18(ebp), edx
                0xb0, 0x07, // mov 7, al
                0xee, // out al, dx
                // Three descriptors: header 0x310000, data 0x311000, status 0x312000.
                0xbf, 0x00, 0x00, 0x30, 0x00, // mov 0x300000, edi
                0xc7, 0x07, 0x00, 0x00, 0x31, 0x00, // movl 0x310000, (edi)
                0xc7, 0x47, 0x08, 0x10, 0x00, 0x00, 0x00, // movl 16, 8(edi)
                0xc7, 0x47, 0x0c, 0x01, 0x00, 0x01, 0x00, // movl 0x00010001, 12(edi)
                0xc7, 0x47, 0x10, 0x00, 0x10, 0x31, 0x00, // movl 0x311000, 16(edi)
                0xc7, 0x47, 0x18, 0x00, 0x02, 0x00, 0x00, // movl 512, 24(edi)
                0xc7, 0x47, 0x20, 0x00, 0x20, 0x31, 0x00, // movl 0x312000, 32(edi)
                0xc7, 0x47, 0x28, 0x01, 0x00, 0x00, 0x00, // movl 1, 40(edi)
                0xc7, 0x47, 0x2c, 0x02, 0x00, 0x00, 0x00, // movl 2, 44(edi)
                // Go on counting where the disk says.
                0xc7, 0x05, 0x00, 0x00, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, // movl 0, 0x310000
                0xc7, 0x47, 0x1c, 0x03, 0x00, 0x02, 0x00, // movl 0x00020003, 28(edi)
                0xe8, 0x82, 0x00, 0x00, 0x00, // call io
                0xa1, 0x00, 0x10, 0x31, 0x00, // mov 0x311000, eax
                0xa3, 0x00, 0x00, 0x20, 0x00, // mov eax, 0x200000
                0x66, 0xba, 0xf8, 0x03, // mov 0x3f8, dx
                0xb0, 0x42, // mov 'B', al
                0xee, // out al, dx
                // The disk must hold what was written last: type 0 reads, data is device-writable.
                0xc7, 0x05, 0x00, 0x00, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, // again: movl 0, 0x310000
                0xc7, 0x47, 0x1c, 0x03, 0x00, 0x02, 0x00, // movl 0x00020003, 28(edi)
                0xe8, 0x5b, 0x00, 0x00, 0x00, // call io
                0xa1, 0x00, 0x10, 0x31, 0x00, // mov 0x311000, eax
                0x3b, 0x05, 0x00, 0x00, 0x20, 0x00, // cmp 0x200000, eax
                0x75, 0x45, // jne wrong
                // Write the next number, to a page of its own as well.
                0x40, // inc eax
                0xa3, 0x00, 0x10, 0x31, 0x00, // mov eax, 0x311000
                0x89, 0xc1, // mov eax, ecx
                0x81, 0xe1, 0xff, 0x03, 0x00, 0x00, // and 0x3ff, ecx
                0xc1, 0xe1, 0x0c, // shl 12, ecx
                0x89, 0x81, 0x00, 0x00, 0x40, 0x00, // mov eax, 0x400000(ecx)
                0xc7, 0x05, 0x00, 0x00, 0x31, 0x00, 0x01, 0x00, 0x00, 0x00, // movl 1, 0x310000
                0xc7, 0x47, 0x1c, 0x01, 0x00, 0x02, 0x00, // movl 0x00020001, 28(edi)
                0xe8, 0x21, 0x00, 0x00, 0x00, // call io
                0xff, 0x05, 0x00, 0x00, 0x20, 0x00, // incl 0x200000
                0xf6, 0x05, 0x00, 0x00, 0x20, 0x00, 0x3f, // testb 0x3f, 0x200000
                0x75, 0xa1, // jnz again
                0x66, 0xba, 0xf8, 0x03, // mov 0x3f8, dx
                0xb0, 0x54, // mov 'T', al
                0xee, // out al, dx
                0xeb, 0x98, // jmp again
                0x66, 0xba, 0xf8, 0x03, // wrong: mov 0x3f8, dx
                0xb0, 0x58, // mov 'X', al
                0xee, // out al, dx
                0xeb, 0xf7, // jmp wrong
                0x66, 0xff, 0x87, 0x02, 0x10, 0x00, 0x00, // io: incw 0x1002(edi)
                0x8d, 0x55, 0x10, // lea 16(ebp), edx
                0x31, 0xc0, // xor eax, eax
                0x66, 0xef, // out ax, dx
                0x66, 0x8b, 0x87, 0x02, 0x10, 0x00, 0x00, // wait: mov 0x1002(edi), ax
                0x66, 0x3b, 0x87, 0x02, 0x20, 0x00, 0x00, // cmp 0x2002(edi), ax
                0x75, 0xf0, // jne wait
                0xc3, // ret
            ],
            Self::Churn => &[
                0x66, 0xba, 0xf8, 0x03, // mov 0x3f8, dx
                0xb0, 0x42, // mov 'B', al
                0xee, // out al, dx
                0xbf, 0x00, 0x00, 0x40, 0x00, // pass: mov 0x400000, edi
                0xff, 0x07, // page: incl (edi)
                0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, // add 0x1000, edi
                0x81, 0xff, 0x00, 0x00, 0x00, 0x0f, // cmp 0xf000000, edi
                0x75, 0xf0, // jne page
                0xfe, 0xc3, // incb bl
                0xf6, 0xc3, 0x3f, // testb 0x3f, bl
                0x75, 0xe4, // jnz pass
                0xb0, 0x54, // mov 'T', al
                0xee, // out al, dx
                0xeb, 0xdf, // jmp pass
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
        shape: Shape { cpus: 1, memory_mib: guest.memory_mib() },
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
pub(crate) fn empty_layer(bytes: u64) -> Vec<u8> {
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
