//! Snapshots of a machine that runs, by the monitor's own means.
//!
//! ```text
//! fresh layers added ─▶ memory written beside the guest ─▶ pre-switchover:
//!      │                    │             │                   guest halted
//!      │                    │             └─ too slow: halted by us,
//!      │                    │                the rest is written ──▶ │
//!      ▼                    ▼                                        ▼
//!   taken back ◀── stream failed                      fresh layers on top of all
//!                                                     drives in one transaction
//!                                                                    │
//!                          frozen layers let go ◀── guest goes on ◀──┘ rest written
//! ```
//!
//! **An emulated guest does not run beside it.** It is halted first and written
//! as a whole. QEMU's emulator cannot be relied on to know which pages a guest
//! writes to meanwhile: that it takes note of a page and that it stops asking
//! about it are two steps, and if memory is looked through between the two, what
//! is written to that page later is missing from the stream. On a busy host one
//! child in eight of a busy guest met a page as it had been before; kernels
//! panicked (`docs/decisions/0013-snapshots-under-emulation.md`). With KVM the
//! host's kernel takes note.
//!
//! Between the halt and `cont` the monitor writes the last pages and gives the
//! host's disk what the drives' layers hold. So a guest that wrote much just
//! before, or a slow disk, makes the pause longer.
//!
//! **What a SIGKILL of the monitor leaves** at each step: before the
//! transaction, the old chains, whole, with unused files beside; after it, the
//! fresh layers on top of them. In both cases the stream is only whole if
//! [`Snapshots::snapshot`] said so.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::drives::Image;
use super::files::{self, LayerFiles};
use super::machine::{QemuMachine, Wanted};
use super::messages::{Event, MigrationStatus, migration_failure};
use super::orders::{Memory, NodeAccess, Order, Overlay};
use super::process::is_hang_up;
use crate::{
    Accelerator, Adoption, Convergence, LayersInUse, MachineError, MachineFuture, RamSharing,
    RunBeside, Snapshot, SnapshotFailed, SnapshotPlan, Snapshots,
};

/// How often the stream's size is looked at, in milliseconds.
const SIZE_POLL_MS: u64 = 20;

/// How long writing the stream may take in all, in milliseconds.
const STREAM_LIMIT_MS: u64 = 300_000;

/// How long the monitor may take to finish once the stream is complete, in
/// milliseconds. It is a matter of microseconds.
const FINISH_LIMIT_MS: u64 = 10_000;

/// How often it is asked meanwhile, in microseconds.
const FINISH_POLL_US: u64 = 200;

impl Snapshots for QemuMachine {
    fn snapshot<'a>(
        &'a mut self,
        plan: &'a SnapshotPlan,
    ) -> MachineFuture<'a, Result<Snapshot, SnapshotFailed>> {
        Box::pin(async {
            match self.take_snapshot(plan).await {
                Ok(snapshot) => Ok(snapshot),
                Err(SnapshotFailed { layers, source }) => {
                    let source = self.explain(source).await;
                    Err(SnapshotFailed { layers, source })
                }
            }
        })
    }

    fn adopt<'a>(
        &'a mut self,
        adoption: &'a Adoption,
    ) -> MachineFuture<'a, Result<(), MachineError>> {
        Box::pin(async {
            match self.adopt_layer(adoption).await {
                Ok(()) => Ok(()),
                Err(error) => Err(self.explain(error).await),
            }
        })
    }
}

/// A fresh layer that the monitor knows of.
struct Fresh {
    drive: usize,
    image: Image,
}

impl QemuMachine {
    async fn take_snapshot(&mut self, plan: &SnapshotPlan) -> Result<Snapshot, SnapshotFailed> {
        let with_old = |source| SnapshotFailed { layers: LayersInUse::Old, source };
        let with_fresh = |source| SnapshotFailed { layers: LayersInUse::Fresh, source };
        let opened = self.check(plan).map_err(with_old)?;
        let mut added = Vec::new();
        let reached = match self.add_layers(opened, &mut added).await {
            Ok(()) => self.write_until_switchover(&plan.stream, plan.beside).await,
            Err(error) => Err(error),
        };
        let (stream, convergence) = match reached {
            Ok(reached) => reached,
            Err(error) => return Err(with_old(self.take_back(added, error).await)),
        };
        let overlays = added.iter().map(|fresh| self.overlay(fresh)).collect();
        if let Err(error) = self.process.control.execute(Order::Transaction(overlays)).await {
            let error = self.cancel(error).await;
            return Err(with_old(self.take_back(added, error).await));
        }
        let frozen = self.put_on_top(added);
        let written = self.write_rest(&plan.stream).await;
        let resumed = self.go_on().await;
        let let_go = self.let_go(frozen).await;
        written.and(resumed).and(let_go).map_err(with_fresh)?;
        Ok(Snapshot {
            pause_us: self.pause_us(),
            convergence,
            stream_bytes: length(&stream, &plan.stream).map_err(with_fresh)?,
        })
    }

    /// Opens the fresh layers and refuses what cannot work.
    fn check(&self, plan: &SnapshotPlan) -> Result<Vec<LayerFiles>, MachineError> {
        let refused = |reason: String| MachineError::Refused {
            order: Order::Migrate.name().to_owned(),
            reason,
        };
        if self.is_saved() {
            return Err(refused("the machine's memory belongs to a saved state".to_owned()));
        }
        if self.sharing == RamSharing::Shared {
            return Err(refused("the machine's memory is not its own".to_owned()));
        }
        if plan.layers.len() != self.drives.len() {
            let (layers, drives) = (plan.layers.len(), self.drives.len());
            return Err(refused(format!("{layers} layers were given for {drives} drives")));
        }
        let mut opened = Vec::new();
        for (path, drive) in plan.layers.iter().zip(&self.drives) {
            let layer = files::open_layer(path)?;
            if layer.bytes != drive.bytes {
                let (layer, drive) = (layer.bytes, drive.bytes);
                return Err(refused(format!(
                    "{} is for a drive of {layer} bytes instead of {drive}",
                    path.display()
                )));
            }
            opened.push(layer);
        }
        Ok(opened)
    }

    /// Makes the fresh layers known to the monitor; those that are end up in
    /// `added` even if it fails.
    async fn add_layers(
        &mut self,
        opened: Vec<LayerFiles>,
        added: &mut Vec<Fresh>,
    ) -> Result<(), MachineError> {
        for (drive, files) in opened.into_iter().enumerate() {
            let Some(known) = self.drives.get_mut(drive) else { continue };
            let image = known.new_image(&mut self.sets);
            let set = image.set;
            let nodes = image.nodes(None, NodeAccess::ReadWrite);
            added.push(Fresh { drive, image });
            let control = &mut self.process.control;
            control.execute_with(Order::AddFd { set }, files.read_write).await?;
            control.execute_with(Order::AddFd { set }, files.read_only).await?;
            for node in nodes {
                control.execute(Order::BlockdevAdd(node)).await?;
            }
        }
        Ok(())
    }

    /// Writes memory to the stream until the guest stands still.
    async fn write_until_switchover(
        &mut self,
        path: &Path,
        beside: RunBeside,
    ) -> Result<(File, Convergence), MachineError> {
        let control = &mut self.process.control;
        // Nothing that is left of an earlier snapshot may be taken for ours.
        while control.take(is_of_snapshot).is_some() {}
        let stream = files::create_state(path)?;
        let handed_over = stream.try_clone().map_err(files::at(path))?;
        control.execute(Order::MigrateSetCapabilities(Memory::InStream)).await?;
        control.execute(Order::MigrateSetParameters).await?;
        control.execute_with(Order::Getfd, handed_over).await?;
        let mut convergence = Convergence::Converged;
        if self.accelerator == Accelerator::Tcg {
            // See above: its writes would be lost.
            convergence = Convergence::Paused;
            control.execute(Order::Stop).await?;
        }
        control.execute(Order::Migrate).await?;
        let begun = Instant::now();
        let limit_bytes = self.memory_bytes.saturating_mul(beside.limit_percent) / 100;
        loop {
            let elapsed = begun.elapsed();
            if elapsed > Duration::from_millis(STREAM_LIMIT_MS) {
                return Err(timed_out());
            }
            let is_slow = elapsed > Duration::from_millis(beside.limit_ms)
                || length(&stream, path)? > limit_bytes;
            if is_slow && convergence == Convergence::Converged {
                convergence = Convergence::Paused;
                control.execute(Order::Stop).await?;
            }
            let poll = Instant::now() + Duration::from_millis(SIZE_POLL_MS);
            match timeout_at(poll, control.migration_step()).await {
                Ok(Ok(MigrationStatus::PreSwitchover)) => return Ok((stream, convergence)),
                Ok(Ok(MigrationStatus::Underway)) => {}
                Ok(Ok(_)) => return Err(self.stream_failed(path).await),
                Ok(Err(source)) => return Err(broken(source)),
                Err(_) => {}
            }
        }
    }

    /// Writes what is left to the stream; the guest stands still.
    async fn write_rest(&mut self, path: &Path) -> Result<(), MachineError> {
        let control = &mut self.process.control;
        control.execute(Order::MigrateContinue).await?;
        match control.migrated(Order::MigrateContinue, STREAM_LIMIT_MS).await? {
            MigrationStatus::Completed => Ok(()),
            _ => Err(self.stream_failed(path).await),
        }
    }

    /// Lets the guest go on, unless somebody wants it to stand still. The monitor
    /// says that the stream is complete a moment before it would accept this.
    async fn go_on(&mut self) -> Result<(), MachineError> {
        if self.wanted == Wanted::Halted {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_millis(FINISH_LIMIT_MS);
        loop {
            match self.order(Order::Cont).await {
                Err(MachineError::Refused { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_micros(FINISH_POLL_US)).await;
                }
                result => return result,
            }
        }
    }

    /// Why the stream could not be written.
    async fn stream_failed(&mut self, path: &Path) -> MachineError {
        match self.process.control.execute(Order::QueryMigrate).await {
            Ok(answer) => {
                let (path, reason) = (path.to_owned(), migration_failure(&answer));
                MachineError::State { action: "save", path, reason }
            }
            Err(error) => error,
        }
    }

    fn overlay(&self, fresh: &Fresh) -> Overlay {
        let top = self.drives.get(fresh.drive).and_then(|drive| drive.chain.first());
        let node = top.map(|image| image.node.clone()).unwrap_or_default();
        Overlay { node, overlay: fresh.image.node.clone() }
    }

    /// Notes that the fresh layers are on top; returns the sets of those that
    /// are frozen now.
    fn put_on_top(&mut self, added: Vec<Fresh>) -> Vec<u32> {
        let mut frozen = Vec::new();
        for Fresh { drive, image } in added {
            let Some(drive) = self.drives.get_mut(drive) else { continue };
            frozen.extend(drive.chain.first().map(|image| image.set));
            drive.chain.insert(0, image);
        }
        frozen
    }

    /// Closes descriptors of frozen layers that could still write: with them
    /// goes the lock that keeps other monitors from reading the layers.
    async fn let_go(&mut self, frozen: Vec<u32>) -> Result<(), MachineError> {
        for set in frozen {
            self.process.control.execute(Order::RemoveFd { set }).await?;
        }
        Ok(())
    }

    /// Ends a migration before its switchover.
    async fn cancel(&mut self, error: MachineError) -> MachineError {
        let cancelled = async {
            let control = &mut self.process.control;
            control.execute(Order::MigrateCancel).await?;
            control.migrated(Order::MigrateCancel, STREAM_LIMIT_MS).await
        };
        cancelled.await.err().unwrap_or(error)
    }

    /// Undoes what a snapshot did that did not get as far as its layers. An
    /// error of the control stream counts more than the first one.
    async fn take_back(&mut self, added: Vec<Fresh>, error: MachineError) -> MachineError {
        let undone = async {
            self.go_on().await?;
            for Fresh { image, .. } in added.into_iter().rev() {
                for node in [image.node.clone(), image.file_node()] {
                    // The monitor does not know those that it refused.
                    allow_refusal(self.order(Order::BlockdevDel { node }).await)?;
                }
                allow_refusal(self.order(Order::RemoveFd { set: image.set }).await)?;
            }
            Ok(())
        };
        match undone.await {
            Ok(()) => error,
            Err(undoing) => undoing,
        }
    }

    async fn order(&mut self, order: Order) -> Result<(), MachineError> {
        self.process.control.execute(order).await.map(drop)
    }

    /// How long the guest stood still in all, by the events that the snapshot
    /// left.
    fn pause_us(&mut self) -> u64 {
        let control = &mut self.process.control;
        let mut halted = Vec::new();
        while let Some(at_us) = control.take(|event| match event {
            Event::Halted { at_us } => Some(*at_us),
            _ => None,
        }) {
            halted.push(at_us);
        }
        let mut resumed = Vec::new();
        while let Some(at_us) = control.take(|event| match event {
            Event::Resumed { at_us } => Some(*at_us),
            _ => None,
        }) {
            resumed.push(at_us);
        }
        // One that stood still before and still does has neither.
        halted.iter().zip(&resumed).map(|(halted, resumed)| resumed.saturating_sub(*halted)).sum()
    }

    async fn adopt_layer(&mut self, adoption: &Adoption) -> Result<(), MachineError> {
        let Adoption { drive, first, count, merged } = adoption;
        let refused = |reason: &str| MachineError::Refused {
            order: "blockdev-reopen".to_owned(),
            reason: reason.to_owned(),
        };
        let known = self.drives.get_mut(*drive).ok_or_else(|| refused("there is no such drive"))?;
        let end = first.saturating_add(*count);
        if *first == 0 || *count == 0 || end >= known.chain.len() {
            return Err(refused("these images cannot be replaced"));
        }
        let file = File::open(merged).map_err(files::at(merged))?;
        let image = known.new_image(&mut self.sets);
        let set = image.set;
        let nodes = image.nodes(known.chain.get(end), NodeAccess::ReadOnly);
        let above = known.chain.get(first - 1).cloned().ok_or_else(|| refused("nothing above"))?;
        let access = if *first == 1 { NodeAccess::ReadWrite } else { NodeAccess::ReadOnly };
        let reopened = above.format_node(Some(&image), access);
        let control = &mut self.process.control;
        control.execute_with(Order::AddFd { set }, file).await?;
        let mut switched = Ok(());
        for order in
            nodes.map(Order::BlockdevAdd).into_iter().chain([Order::BlockdevReopen(reopened)])
        {
            if switched.is_ok() {
                switched = control.execute(order).await.map(drop);
            }
        }
        let gone = match &switched {
            Ok(()) => match self.drives.get_mut(*drive) {
                Some(known) => known.chain.splice(*first..end, [image]).collect(),
                None => Vec::new(),
            },
            Err(MachineError::Refused { .. }) => vec![image],
            Err(_) => Vec::new(),
        };
        for image in gone {
            for node in [image.node.clone(), image.file_node()] {
                allow_refusal(self.order(Order::BlockdevDel { node }).await)?;
            }
            allow_refusal(self.order(Order::RemoveFd { set: image.set }).await)?;
        }
        switched
    }

    /// Gives the end of the control stream its reason.
    async fn explain(&mut self, error: MachineError) -> MachineError {
        match error {
            MachineError::Control { source, .. } if is_hang_up(&source) => {
                MachineError::Ended(self.process.see_off().await)
            }
            other => other,
        }
    }
}

/// What only a snapshot waits for.
fn is_of_snapshot(event: &Event) -> Option<()> {
    matches!(event, Event::Migration(_) | Event::Halted { .. } | Event::Resumed { .. })
        .then_some(())
}

fn allow_refusal(result: Result<(), MachineError>) -> Result<(), MachineError> {
    match result {
        Err(MachineError::Refused { .. }) => Ok(()),
        other => other,
    }
}

fn length(stream: &File, path: &Path) -> Result<u64, MachineError> {
    stream.metadata().map(|found| found.len()).map_err(files::at(path))
}

fn broken(source: std::io::Error) -> MachineError {
    MachineError::Control { order: Order::Migrate.name().to_owned(), source }
}

fn timed_out() -> MachineError {
    let order = Order::Migrate.name().to_owned();
    MachineError::TimedOut { order, limit_ms: STREAM_LIMIT_MS }
}
