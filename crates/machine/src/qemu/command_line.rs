//! The monitor's command line: a pure function of the machine and of the
//! numbers under which its files arrive.
//!
//! Only numbers of the caller's files and values of closed sets get into
//! option strings, so nothing has to be quoted. The processor model is the
//! exception: it is in the monitor's words by definition.
//!
//! What was measured, with the whole of a Debian kernel, saved and resumed
//! under emulation: without the devices that no guest needs, QEMU is up in
//! 22 ms instead of 26; a random generator and a generation id cost nothing.
//! Without the old timer chip (`pit=off`) the kernel does not boot.

use super::drives::{Drive, drive_node};
use super::files::{DiskFiles, FileNumbers, RamAccess};
use super::orders::NodeAccess;
use crate::{Accelerator, MachineSpec, RamSharing, Start, counter};

/// Name under which the guest finds its end of the agent's stream.
const AGENT_PORT: &str = "hotcell.agent";

/// Translated code that emulation keeps, in MiB. It is private memory of the
/// monitor, filled as code is translated. QEMU's own value is 1024; 128 was as
/// fast in a boot and a shell's work, 32 took a fifth longer.
const TRANSLATION_MIB: u32 = 128;

/// Processor that emulation offers: x86-64-v2, which current distributions
/// expect, with AES for their transports. Measured against `max`, boot and work
/// were the same and a command's round trip took a tenth less, since there is
/// less that the kernel switches at each entry; Nehalem, an Intel model, makes
/// the kernel keep two page tables, and its round trip took 1.6 times as long.
const EMULATED_PROCESSOR: &str =
    "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+lahf-lm,+aes,+pclmulqdq,-svm";

/// Devices of the board that a headless Linux guest has no use for.
const BOARD: &str = "q35,memory-backend=ram,vmport=off,hpet=off,smbus=off,sata=off,usb=off";

/// QEMU's own confinement, on top of the launcher's.
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// What the driver needs of the kernel: a console, silence on it (each byte
/// costs an exit), and that a panic or a reboot ends the machine.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 reboot=t";

/// Emulated timers are too coarse for the kernel's check of them.
const EMULATED_KERNEL_ARGUMENTS: &str = "no_timer_check";

/// The numbers under which the monitor finds all that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) control: u32,
    pub(super) agent: u32,
    pub(super) console: u32,
    pub(super) files: FileNumbers,
}

/// All arguments of the monitor.
pub(super) fn arguments(
    spec: &MachineSpec,
    ram_access: RamAccess,
    numbers: &Numbers,
    drives: &[Drive],
) -> Vec<String> {
    let mut line = Line::default();
    line.option("-sandbox", SANDBOX);
    line.option("-machine", BOARD);
    processors(&mut line, spec);
    memory(&mut line, spec, ram_access, numbers.files.ram);
    line.flag("-nodefaults");
    line.flag("-no-user-config");
    line.flag("-no-reboot");
    line.option("-display", "none");
    kernel(&mut line, spec, &numbers.files);
    line.option("-chardev", format!("socket,id=control,fd={}", numbers.control));
    line.option("-mon", "chardev=control,mode=control");
    line.option("-chardev", format!("socket,id=console,fd={}", numbers.console));
    line.option("-serial", "chardev:console");
    line.option("-device", "virtio-serial-pci,id=channels");
    line.option("-chardev", format!("socket,id=agent,fd={}", numbers.agent));
    line.option(
        "-device",
        format!("virtserialport,bus=channels.0,chardev=agent,name={AGENT_PORT}"),
    );
    line.option("-object", "rng-builtin,id=random");
    line.option("-device", "virtio-rng-pci,rng=random");
    line.option("-device", format!("vmgenid,guid={}", spec.generation_id));
    for (index, (drive, files)) in drives.iter().zip(&numbers.files.disks).enumerate() {
        add_drive(&mut line, index, drive, files);
    }
    if let Start::Resume { .. } = spec.start {
        line.option("-incoming", "defer");
    }
    line.arguments
}

/// All arguments of a monitor that has a drive and neither guest nor memory.
pub(super) fn merging_arguments(control: u32, drive: &Drive, files: &DiskFiles) -> Vec<String> {
    let mut line = Line::default();
    line.option("-sandbox", SANDBOX);
    line.option("-machine", "none");
    line.flag("-nodefaults");
    line.flag("-no-user-config");
    line.flag("-S");
    line.option("-display", "none");
    line.option("-chardev", format!("socket,id=control,fd={control}"));
    line.option("-mon", "chardev=control,mode=control");
    add_images(&mut line, drive, files);
    line.arguments
}

#[derive(Debug, Default)]
struct Line {
    arguments: Vec<String>,
}

impl Line {
    fn flag(&mut self, name: &str) {
        self.arguments.push(name.to_owned());
    }

    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.arguments.extend([name.to_owned(), value.into()]);
    }
}

fn processors(line: &mut Line, spec: &MachineSpec) {
    let (accelerator, default) = match spec.accelerator {
        Accelerator::Kvm => ("kvm".to_owned(), "host"),
        Accelerator::Tcg => (format!("tcg,tb-size={TRANSLATION_MIB}"), EMULATED_PROCESSOR),
    };
    line.option("-accel", accelerator);
    line.option("-cpu", spec.cpu_model.as_deref().unwrap_or(default));
    line.option("-smp", spec.shape.cpus.to_string());
}

fn memory(line: &mut Line, spec: &MachineSpec, access: RamAccess, ram: u32) {
    let megabytes = spec.shape.memory_mib;
    let sharing = match (spec.ram.sharing, access) {
        (RamSharing::Shared, _) => "share=on",
        (RamSharing::CopyOnWrite, RamAccess::ReadWrite) => "share=off",
        (RamSharing::CopyOnWrite, RamAccess::Read) => "share=off,readonly=on,rom=off",
    };
    line.option("-m", format!("{megabytes}M"));
    line.option(
        "-object",
        format!(
            "memory-backend-file,id=ram,size={megabytes}M,mem-path=/proc/self/fd/{ram},{sharing}"
        ),
    );
}

fn kernel(line: &mut Line, spec: &MachineSpec, files: &FileNumbers) {
    let mut words = vec![KERNEL_ARGUMENTS.to_owned()];
    if spec.accelerator == Accelerator::Tcg {
        words.push(EMULATED_KERNEL_ARGUMENTS.to_owned());
        // A guest that is resumed knows it already.
        let khz = if spec.start == Start::Boot { counter::khz() } else { None };
        words.extend(khz.map(|khz| format!("tsc_early_khz={khz}")));
    }
    words.push(spec.command_line.clone());
    words.retain(|word| !word.is_empty());
    line.option("-kernel", format!("/proc/self/fd/{}", files.kernel));
    line.option("-initrd", format!("/proc/self/fd/{}", files.initrd));
    line.option("-append", words.join(" "));
}

/// A drive is a chain of explicit nodes, so that nothing that an image's
/// header says is ever followed. The lowest image comes first. Locks stay on:
/// they are what keeps two monitors from writing one layer, and readers share
/// them.
fn add_drive(line: &mut Line, index: usize, drive: &Drive, files: &DiskFiles) {
    let top = drive_node(index);
    add_images(line, drive, files);
    // A full host must not become an I/O error inside the guest, which would
    // make its file systems read-only for good.
    line.option(
        "-device",
        format!("virtio-blk-pci,id={top}-device,drive={top},werror=stop,rerror=report"),
    );
}

fn add_images(line: &mut Line, drive: &Drive, files: &DiskFiles) {
    for number in files.backing.iter().map(|(number, _)| number) {
        line.option("-add-fd", format!("fd={number},set={number}"));
    }
    for number in [files.layer.read_write, files.layer.read_only] {
        line.option("-add-fd", format!("fd={number},set={}", files.layer.read_write));
    }
    for (depth, image) in drive.chain.iter().enumerate().rev() {
        let access = if depth == 0 { NodeAccess::ReadWrite } else { NodeAccess::ReadOnly };
        for node in image.nodes(drive.chain.get(depth + 1), access) {
            line.option("-blockdev", node.json().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::Value;
    use uuid::Uuid;

    use super::super::files::{ImageFormat, LayerNumbers};
    use super::*;
    use crate::{Disk, RamFile, Shape};

    fn spec(start: Start, sharing: RamSharing) -> MachineSpec {
        MachineSpec {
            accelerator: Accelerator::Tcg,
            cpu_model: None,
            shape: Shape { cpus: 2, memory_mib: 256 },
            kernel: PathBuf::from("/evil,kernel"),
            initrd: PathBuf::from("/evil,initrd"),
            command_line: "hotcell.x=1".to_owned(),
            ram: RamFile { path: PathBuf::from("/evil,share=on"), sharing },
            disks: Vec::new(),
            console: PathBuf::from("/evil,console"),
            generation_id: Uuid::nil(),
            start,
        }
    }

    fn numbers() -> Numbers {
        let layer = LayerNumbers { read_write: 10, read_only: 11 };
        let backing = vec![(12, ImageFormat::Qcow2), (13, ImageFormat::Raw)];
        let disks = vec![DiskFiles { bytes: 1 << 20, layer, backing }];
        let files = FileNumbers { kernel: 6, initrd: 7, ram: 8, disks };
        Numbers { control: 3, agent: 4, console: 5, files }
    }

    fn line(spec: &MachineSpec) -> Vec<String> {
        let numbers = numbers();
        let disk =
            Disk { name: "root".to_owned(), layer: "/evil,layer".into(), backing: Vec::new() };
        let drives: Vec<Drive> =
            numbers.files.disks.iter().map(|files| Drive::at_start(0, &disk, files)).collect();
        arguments(spec, RamAccess::ReadWrite, &numbers, &drives)
    }

    #[test]
    fn no_path_of_the_caller_gets_into_the_command_line() {
        let state = PathBuf::from("/evil,state");
        let spec = spec(Start::Resume { state }, RamSharing::CopyOnWrite);
        let line = line(&spec).join(" ");
        assert!(!line.contains("evil"), "{line}");
        assert!(line.contains("share=off -nodefaults"), "{line}");
        assert!(line.ends_with("-incoming defer"), "{line}");
    }

    #[test]
    fn a_layer_can_be_opened_again_for_reading() {
        let line = line(&spec(Start::Boot, RamSharing::Shared)).join(" ");
        assert!(line.contains("-add-fd fd=10,set=10 -add-fd fd=11,set=10"), "{line}");
        assert!(line.contains("/dev/fdset/10"), "{line}");
    }

    #[test]
    fn a_chain_is_built_from_below_and_ends_in_null() {
        let spec = spec(Start::Boot, RamSharing::Shared);
        let line = line(&spec);
        let nodes: Vec<Value> = line
            .iter()
            .filter(|argument| argument.starts_with('{'))
            .map(|argument| serde_json::from_str(argument).expect("JSON"))
            .filter(|node: &Value| node["driver"] != "file")
            .collect();
        let summary: Vec<String> =
            nodes.iter().map(|n| format!("{} on {}", n["node-name"], n["backing"])).collect();
        let expected = [
            r#""drive0-base1" on null"#,
            r#""drive0-base0" on "drive0-base1""#,
            r#""drive0" on "drive0-base0""#,
        ];
        assert_eq!(summary, expected);
    }
}
