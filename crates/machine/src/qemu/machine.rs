//! A running QEMU machine.

use std::path::PathBuf;

use tokio::net::UnixStream;

use super::drives::{Drive, Sets, drive_of_node};
use super::files;
use super::messages::{Event, MigrationStatus, migration_failure};
use super::orders::{Memory, Order};
use super::process::{Process, is_hang_up};
use crate::{
    Accelerator, Exit, Machine, MachineError, MachineFuture, Notice, Pausing, RamSharing, Saving,
    Snapshots,
};

/// How long saving the state may take, in milliseconds. Without memory in it,
/// it takes about 7.
const SAVE_LIMIT_MS: u64 = 120_000;

/// Whether the guest was saved: it must not run on then, because its memory
/// file belongs to the saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    No,
    Yes,
}

/// Whether somebody wants the guest to stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Running,
    Halted,
}

/// A machine and the monitor that it is in.
#[derive(Debug)]
pub(super) struct QemuMachine {
    pub(super) process: Process,
    pub(super) drives: Vec<Drive>,
    pub(super) sets: Sets,
    pub(super) wanted: Wanted,
    pub(super) accelerator: Accelerator,
    /// Size of the guest's memory.
    pub(super) memory_bytes: u64,
    agent: Option<UnixStream>,
    pub(super) sharing: RamSharing,
    saved: Saved,
}

impl QemuMachine {
    pub(super) fn new(
        process: Process,
        agent: UnixStream,
        accelerator: Accelerator,
        sharing: RamSharing,
        memory_bytes: u64,
        drives: Vec<Drive>,
    ) -> Self {
        Self {
            process,
            drives,
            sets: Sets::new(),
            wanted: Wanted::Running,
            accelerator,
            memory_bytes,
            agent: Some(agent),
            sharing,
            saved: Saved::No,
        }
    }

    async fn next_notice(&mut self) -> Notice {
        loop {
            if let Some(exit) = self.process.ended() {
                return Notice::Ended(exit.clone());
            }
            match self.process.control.event().await {
                Ok(
                    Event::Migration(_)
                    | Event::Halted { .. }
                    | Event::Resumed { .. }
                    | Event::JobEnded { .. },
                ) => {}
                Ok(Event::ShutDown) => return Notice::GuestShutDown,
                Ok(Event::StorageFull { node }) => {
                    return Notice::HostStorageFull { disk: self.disk(node) };
                }
                Ok(Event::DiskFailed { node, reason }) => {
                    return Notice::DiskFailed { disk: self.disk(node), reason };
                }
                Err(error) if is_hang_up(&error) => {
                    return Notice::Ended(self.process.see_off().await);
                }
                // It does not keep to the protocol: it is not ours any more.
                Err(_) => return Notice::Ended(self.process.end().await),
            }
        }
    }

    fn disk(&self, node: String) -> String {
        let drive = drive_of_node(&node).and_then(|index| self.drives.get(index));
        drive.map_or(node, |drive| drive.name.clone())
    }

    /// Writes the state, without memory; the guest does not run afterwards.
    pub(super) async fn save_state(&mut self, path: PathBuf) -> Result<(), MachineError> {
        if self.sharing != RamSharing::Shared {
            let reason = "its memory is not in a file of its own".to_owned();
            return Err(MachineError::State { action: "save", path, reason });
        }
        let control = &mut self.process.control;
        control.execute(Order::Stop).await?;
        self.saved = Saved::Yes;
        control.execute(Order::MigrateSetCapabilities(Memory::InFile)).await?;
        let file = files::create_state(&path)?;
        control.execute_with(Order::Getfd, file).await?;
        control.execute(Order::Migrate).await?;
        match control.migrated(Order::Migrate, SAVE_LIMIT_MS).await? {
            MigrationStatus::Completed => Ok(()),
            _ => {
                let answer = control.execute(Order::QueryMigrate).await?;
                let reason = migration_failure(&answer);
                Err(MachineError::State { action: "save", path, reason })
            }
        }
    }

    /// Whether the guest was saved and must not run on.
    pub(super) fn is_saved(&self) -> bool {
        self.saved == Saved::Yes
    }
}

impl Machine for QemuMachine {
    fn take_agent(&mut self) -> Option<UnixStream> {
        self.agent.take()
    }

    fn monitor_pid(&self) -> u32 {
        self.process.pid()
    }

    fn notice(&mut self) -> MachineFuture<'_, Notice> {
        Box::pin(self.next_notice())
    }

    fn stop(&mut self) -> MachineFuture<'_, Exit> {
        Box::pin(self.process.end())
    }

    fn saving(&mut self) -> Option<&mut dyn Saving> {
        Some(self)
    }

    fn pausing(&mut self) -> Option<&mut dyn Pausing> {
        Some(self)
    }

    fn snapshots(&mut self) -> Option<&mut dyn Snapshots> {
        Some(self)
    }
}

impl Saving for QemuMachine {
    fn save<'a>(&'a mut self, state: PathBuf) -> MachineFuture<'a, Result<(), MachineError>> {
        Box::pin(async move {
            self.save_state(state.clone()).await?;
            let file = tokio::fs::File::open(&state).await.map_err(files::at(&state))?;
            file.sync_all().await.map_err(files::at(&state))
        })
    }
}

impl Pausing for QemuMachine {
    fn pause(&mut self) -> MachineFuture<'_, Result<(), MachineError>> {
        Box::pin(async {
            self.wanted = Wanted::Halted;
            self.process.control.execute(Order::Stop).await.map(drop)
        })
    }

    fn unpause(&mut self) -> MachineFuture<'_, Result<(), MachineError>> {
        Box::pin(async {
            match self.saved {
                Saved::No => {
                    self.wanted = Wanted::Running;
                    self.process.control.execute(Order::Cont).await.map(drop)
                }
                Saved::Yes => Err(MachineError::Refused {
                    order: Order::Cont.name().to_owned(),
                    reason: "the machine's memory belongs to a saved state".to_owned(),
                }),
            }
        })
    }
}
