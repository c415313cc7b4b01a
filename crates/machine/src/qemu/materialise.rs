//! What snapshots leave, given another form by monitors that run no guest.
//!
//! They are confined like those that run one: what they read was written by a
//! monitor that its guest may have taken over.
//!
//! **What a SIGKILL leaves** is files that are not complete, under the names
//! that the caller chose for them.

use std::path::Path;

use super::command_line;
use super::control::Control;
use super::drives::Drive;
use super::files::{self, Purpose};
use super::machine::QemuMachine;
use super::messages::MigrationStatus;
use super::orders::{Memory, Order};
use super::process::Process;
use super::{Qemu, START_LIMIT_MS, channel, drive_limits, load_failed};
use crate::launcher::{Descriptors, LaunchPlan};
use crate::{
    Disk, DiskImage, MachineError, MachineFuture, MachineSpec, Materialisation, Materialising,
    Merge, RamFile, RamSharing, Start,
};

/// How long loading a stream may take, in milliseconds. It takes a quarter of
/// a second for 256 MiB.
const LOAD_LIMIT_MS: u64 = 300_000;

/// How long merging layers may take, in milliseconds.
const MERGE_LIMIT_MS: u64 = 3_600_000;

impl Materialising for Qemu {
    fn materialise<'a>(
        &'a self,
        plan: &'a Materialisation<'a>,
    ) -> MachineFuture<'a, Result<(), MachineError>> {
        Box::pin(self.load_and_save(plan))
    }

    fn merge<'a>(&'a self, plan: &'a Merge) -> MachineFuture<'a, Result<(), MachineError>> {
        Box::pin(self.merge_layers(plan))
    }
}

impl Qemu {
    async fn load_and_save(&self, plan: &Materialisation<'_>) -> Result<(), MachineError> {
        let spec = MachineSpec {
            ram: RamFile { path: plan.ram.to_owned(), sharing: RamSharing::Shared },
            start: Start::Resume { state: plan.stream.to_owned() },
            ..plan.machine.clone()
        };
        let monitor = self.known_monitor()?;
        let mut machine = self.launch(&spec, Purpose::Materialise, monitor)?;
        match machine.load(plan.stream).await {
            Ok(()) => {}
            Err(error) => return Err(machine.explain_start(error, &spec.start).await),
        }
        let saved = machine.save_state(plan.state.to_owned()).await;
        machine.process.end().await;
        saved
    }

    async fn merge_layers(&self, plan: &Merge) -> Result<(), MachineError> {
        let monitor = self.known_monitor()?;
        let spawn = |source| MachineError::Spawn { program: monitor.program.clone(), source };
        let mut descriptors = Descriptors::new();
        let (control, control_number) = channel(&mut descriptors).map_err(spawn)?;
        let frozen = plan.layers.iter().map(|path| DiskImage::Qcow2 { path: path.clone() });
        let disk = Disk {
            name: "merged".to_owned(),
            layer: plan.into.clone(),
            backing: frozen.chain(plan.below.iter().cloned()).collect(),
        };
        let opened = files::open_disk(&disk, Purpose::Run, &mut descriptors)?;
        let drive = Drive::at_start(0, &disk, &opened);
        let order = |node: &str, base: &str| Order::BlockStream {
            node: node.to_owned(),
            base: base.to_owned(),
        };
        let lowest = plan.layers.len() + 1;
        let order = match (drive.chain.first(), drive.chain.get(lowest)) {
            (Some(top), Some(base)) if lowest > 1 => order(&top.node, &base.node),
            _ => {
                return Err(MachineError::Refused {
                    order: order("", "").name().to_owned(),
                    reason: "there is nothing to merge, or nothing below it".to_owned(),
                });
            }
        };
        let plan = LaunchPlan {
            program: monitor.program.clone(),
            arguments: command_line::merging_arguments(control_number, &drive, &opened),
            user: self.user,
            groups: Vec::new(),
            limits: drive_limits(opened.bytes),
            devices: Vec::new(),
        };
        let child = self.launcher.start(plan, descriptors).map_err(|source| {
            MachineError::Spawn { program: self.launcher.program.clone(), source }
        })?;
        let mut process = Process::new(child, Control::new(control));
        let merged = merge(&mut process.control, order, &drive).await;
        match merged {
            Err(MachineError::Control { source, .. }) if super::is_hang_up(&source) => {
                Err(MachineError::Ended(process.see_off().await))
            }
            merged => {
                process.end().await;
                merged
            }
        }
    }
}

async fn merge(control: &mut Control, order: Order, drive: &Drive) -> Result<(), MachineError> {
    let name = order.name();
    control.greet(START_LIMIT_MS).await?;
    control.execute(order).await?;
    if let Some(reason) = control.job_end(name, MERGE_LIMIT_MS).await? {
        return Err(MachineError::Refused { order: name.to_owned(), reason });
    }
    // Writes what the monitor still holds of the layer.
    for image in drive.chain.iter().take(1) {
        control.execute(Order::BlockdevDel { node: image.node.clone() }).await?;
    }
    Ok(())
}

impl QemuMachine {
    /// Loads a stream with memory in it, and does not let the guest run.
    async fn load(&mut self, stream: &Path) -> Result<(), MachineError> {
        let control = &mut self.process.control;
        control.greet(START_LIMIT_MS).await?;
        let file = std::fs::File::open(stream).map_err(files::at(stream))?;
        control.execute(Order::MigrateSetCapabilities(Memory::InStream)).await?;
        control.execute_with(Order::Getfd, file).await?;
        control.execute(Order::MigrateIncoming).await?;
        match control.migrated(Order::MigrateIncoming, LOAD_LIMIT_MS).await? {
            MigrationStatus::Completed => Ok(()),
            _ => Err(load_failed(stream.to_owned(), "it gave no reason".to_owned())),
        }
    }
}
