//! What snapshots leave, given another form.
//!
//! A stream is taken apart ([`stream`]) by ourselves: a monitor that loads it into a
//! file takes several times as long, because each page is a fault for the host's
//! file system. Layers are merged by a monitor that runs no guest, confined like
//! those that run one: what it reads was written by a monitor that its guest may
//! have taken over.
//!
//! **What a SIGKILL leaves** is files that are not complete, under the names
//! that the caller chose for them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tokio::task::spawn_blocking;

use super::command_line;
use super::control::Control;
use super::drives::Drive;
use super::files;
use super::orders::Order;
use super::process::Process;
use super::stream::{self, SplitError};
use super::{MIB, Qemu, START_LIMIT_MS, channel, drive_limits, load_failed};
use crate::launcher::{Descriptors, LaunchPlan, UidPolicy};
use crate::{Disk, DiskImage, MachineError, MachineFuture, Materialisation, Materialising, Merge};

/// How much of a stream is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// The name of the guest's memory in a stream: that of its object on the monitor's
/// command line.
const MEMORY: &str = "ram";

/// How long merging layers may take, in milliseconds.
const MERGE_LIMIT_MS: u64 = 3_600_000;

impl Materialising for Qemu {
    fn materialise<'a>(
        &'a self,
        plan: &'a Materialisation<'a>,
    ) -> MachineFuture<'a, Result<(), MachineError>> {
        let user = self.user;
        let bytes = u64::from(plan.memory_mib).saturating_mul(MIB);
        let [stream, ram, state] = [plan.stream, plan.ram, plan.state].map(Path::to_owned);
        Box::pin(async move {
            let taking = spawn_blocking({
                let stream = stream.clone();
                move || take_apart(&stream, &ram, &state, bytes, user)
            });
            taking.await.unwrap_or_else(|error| Err(load_failed(stream, error.to_string())))
        })
    }

    fn merge<'a>(&'a self, plan: &'a Merge) -> MachineFuture<'a, Result<(), MachineError>> {
        Box::pin(self.merge_layers(plan))
    }
}

impl Qemu {
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
        let opened = files::open_disk(&disk, &mut descriptors)?;
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

/// Takes a stream apart. Blocks for as long as copying the memory takes.
fn take_apart(
    stream: &Path,
    ram: &Path,
    state: &Path,
    bytes: u64,
    user: UidPolicy,
) -> Result<(), MachineError> {
    let file = File::open(stream).map_err(files::at(stream))?;
    let mut from = BufReader::with_capacity(READ_BYTES, file);
    let memory = files::create_ram(ram, bytes, user)?;
    let mut rest = BufWriter::new(files::create_state(state)?);
    let put = |offset, pages: &[u8]| memory.write_all_at(pages, offset);
    let taken_apart = stream::split(&mut from, (MEMORY, bytes), put, &mut rest);
    let written = taken_apart.and_then(|()| rest.flush().map_err(SplitError::State));
    written.map_err(|error| match error {
        SplitError::Stream(source) => files::at(stream)(source),
        SplitError::Memory(source) => files::at(ram)(source),
        SplitError::State(source) => files::at(state)(source),
        SplitError::Odd(reason) => load_failed(stream.to_owned(), reason.to_owned()),
    })
}
