//! Boots a machine through the product's own driver and launcher.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use environment::IMAGE_VIRTUAL_BYTES;
use machine::launcher::{Launcher, UidPolicy, UidUse};
use machine::qemu::Qemu;
use machine::{
    Accelerator, Disk, DiskImage, Driver, Machine, MachineSpec, RamFile, RamSharing, Shape, Start,
};

use crate::guest::Guest;

/// As whom root starts monitors: the group is the one that the product uses, so
/// that both can use the same kernel without changing its group back and forth.
const MONITOR_ID: u32 = 1_879_048_192;

/// What a machine is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What executes the guest.
    pub(crate) accelerator: Accelerator,
    /// The processor, in the monitor's words; `None` is the driver's default.
    pub(crate) processor: Option<&'static str>,
    /// How large the machine is.
    pub(crate) shape: Shape,
    /// Kernel.
    pub(crate) vmlinux: PathBuf,
    /// Initial RAM file system with the agent.
    pub(crate) initrd: PathBuf,
    /// The images below the drives.
    pub(crate) drives: Vec<PathBuf>,
}

/// A machine whose agent has answered. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Booted {
    /// The machine; kept, because its end is the guest's.
    pub(crate) machine: Box<dyn Machine>,
    /// The stream to its agent.
    pub(crate) guest: Guest,
}

impl Parts {
    /// Starts a machine and waits for its agent. `program` is `hotcell`, which is
    /// also the launcher; what the machine writes goes to `directory`, which the
    /// caller removes. The kernel ends the machine with the thread that calls
    /// this.
    pub(crate) async fn boot(
        &self,
        program: &Path,
        directory: &Path,
        deadline: Duration,
    ) -> Result<Booted> {
        let console = directory.join("console.log");
        let spec = self.spec(directory, &console)?;
        let mut machine = driver(program).start(&spec).await?;
        let agent = machine.take_agent().context("the machine has no agent's stream")?;
        let guest = Guest::meet(agent, deadline)
            .await
            .with_context(|| format!("its console said:\n{}", tail(&console)))?;
        Ok(Booted { machine, guest })
    }

    fn spec(&self, directory: &Path, console: &Path) -> Result<MachineSpec> {
        let ram = directory.join("ram");
        File::create(&ram)?.set_len(u64::from(self.shape.memory_mib) << 20)?;
        let mut disks = Vec::new();
        for (index, image) in self.drives.iter().enumerate() {
            let layer = directory.join(format!("drive{index}.qcow2"));
            create_layer(&layer)?;
            let backing = vec![DiskImage::Raw { path: image.clone() }];
            disks.push(Disk { name: format!("drive{index}"), layer, backing });
        }
        Ok(MachineSpec {
            accelerator: self.accelerator,
            cpu_model: self.processor.map(str::to_owned),
            shape: self.shape,
            kernel: self.vmlinux.clone(),
            initrd: self.initrd.clone(),
            command_line: String::new(),
            // Nothing of the guest's memory shall reach the disk.
            ram: RamFile { path: ram, sharing: RamSharing::CopyOnWrite },
            disks,
            console: console.to_owned(),
            generation_id: uuid::Uuid::new_v4(),
            start: Start::Boot,
        })
    }
}

fn driver(program: &Path) -> Qemu {
    let launcher = Launcher {
        program: program.to_owned(),
        arguments: vec![OsString::from(workspace::LAUNCHER_SUBCOMMAND)],
    };
    let user = if rustix::process::geteuid().is_root() {
        UidPolicy::Drop { uid: MONITOR_ID, gid: MONITOR_ID, uid_use: UidUse::Shared }
    } else {
        UidPolicy::Keep
    };
    Qemu::new(launcher, user, env::var_os("PATH").unwrap_or_default())
}

fn create_layer(path: &Path) -> Result<()> {
    let output = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2"])
        .arg(path)
        .arg(IMAGE_VIRTUAL_BYTES.to_string())
        .output()
        .context("cannot start qemu-img")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The last lines of a console.
fn tail(console: &Path) -> String {
    const LINES: usize = 20;
    let text = std::fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
