//! A running QEMU machine.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Child;

use super::command_line::drive_of_node;
use super::control::Control;
use super::files;
use super::messages::{Event, MigrationStatus, Order, migration_failure};
use super::output::LastWords;
use crate::{Exit, Machine, MachineError, MachineFuture, Notice, Pausing, RamSharing, Saving};

/// How long saving the state may take, in milliseconds. Without memory in it,
/// it takes about 7.
const SAVE_LIMIT_MS: u64 = 120_000;

/// How long a monitor that closed its control stream may take to end, in
/// milliseconds. It does both in one go.
const SEE_OFF_LIMIT_MS: u64 = 2000;

/// Whether the monitor is there.
#[derive(Debug)]
enum Life {
    Running,
    /// It was waited for.
    Ended(Exit),
}

/// Whether the guest was saved: it must not run on then, because its memory
/// file belongs to the saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    No,
    Yes,
}

/// One monitor of ours. The child is killed when this is dropped.
#[derive(Debug)]
pub(super) struct QemuMachine {
    child: Child,
    pid: u32,
    control: Control,
    agent: Option<UnixStream>,
    last_words: LastWords,
    sharing: RamSharing,
    disks: Vec<String>,
    life: Life,
    saved: Saved,
}

impl QemuMachine {
    pub(super) fn new(
        child: Child,
        control: Control,
        agent: UnixStream,
        last_words: LastWords,
        sharing: RamSharing,
        disks: Vec<String>,
    ) -> Self {
        // The child was not waited for yet, so it has an id.
        let pid = child.id().unwrap_or_default();
        let agent = Some(agent);
        let life = Life::Running;
        Self { child, pid, control, agent, last_words, sharing, disks, life, saved: Saved::No }
    }

    pub(super) fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// Kills the monitor if it is there, and waits for it. Cancel safe.
    pub(super) async fn end(&mut self) -> Exit {
        if let Life::Ended(exit) = &self.life {
            return exit.clone();
        }
        // Fails only for a process that is gone already.
        let _ = self.child.start_kill();
        self.wait().await
    }

    /// Waits for a monitor that hung up. It ends by itself, and its own exit
    /// says more than our signal would; if it does not end, it is killed.
    pub(super) async fn see_off(&mut self) -> Exit {
        let limit = Duration::from_millis(SEE_OFF_LIMIT_MS);
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => self.end().await,
        }
    }

    async fn wait(&mut self) -> Exit {
        let status = self.child.wait().await;
        let last_words = self.last_words.hear_out().await;
        let exit = match status {
            Ok(status) => Exit { code: status.code(), signal: status.signal(), last_words },
            Err(error) => Exit {
                code: None,
                signal: None,
                last_words: format!("{last_words}\ncannot wait for the monitor: {error}"),
            },
        };
        self.life = Life::Ended(exit.clone());
        exit
    }

    async fn next_notice(&mut self) -> Notice {
        loop {
            if let Life::Ended(exit) = &self.life {
                return Notice::Ended(exit.clone());
            }
            match self.control.event().await {
                Ok(Event::Migration(_)) => {}
                Ok(Event::ShutDown) => return Notice::GuestShutDown,
                Ok(Event::StorageFull { node }) => {
                    return Notice::HostStorageFull { disk: self.disk(node) };
                }
                Ok(Event::DiskFailed { node, reason }) => {
                    return Notice::DiskFailed { disk: self.disk(node), reason };
                }
                Err(error) if is_hang_up(&error) => {
                    return Notice::Ended(self.see_off().await);
                }
                // It does not keep to the protocol: it is not ours any more.
                Err(_) => return Notice::Ended(self.end().await),
            }
        }
    }

    fn disk(&self, node: String) -> String {
        drive_of_node(&node).and_then(|index| self.disks.get(index)).cloned().unwrap_or(node)
    }

    async fn save_state(&mut self, path: PathBuf) -> Result<(), MachineError> {
        if self.sharing != RamSharing::Shared {
            let reason = "its memory is not in a file of its own".to_owned();
            return Err(MachineError::State { action: "save", path, reason });
        }
        self.control.execute(Order::Stop).await?;
        self.saved = Saved::Yes;
        self.control.execute(Order::MigrateSetCapabilities).await?;
        let file = files::create_state(&path)?;
        let handed_over = file.try_clone().map_err(files::at(&path))?;
        self.control.execute_with(Order::Getfd, handed_over).await?;
        self.control.execute(Order::Migrate).await?;
        match self.control.migrated(Order::Migrate, SAVE_LIMIT_MS).await? {
            MigrationStatus::Completed => {}
            MigrationStatus::Failed | MigrationStatus::Cancelled | MigrationStatus::Underway => {
                let answer = self.control.execute(Order::QueryMigrate).await?;
                let reason = migration_failure(&answer);
                return Err(MachineError::State { action: "save", path, reason });
            }
        }
        tokio::fs::File::from_std(file).sync_all().await.map_err(files::at(&path))
    }
}

impl Machine for QemuMachine {
    fn take_agent(&mut self) -> Option<UnixStream> {
        self.agent.take()
    }

    fn monitor_pid(&self) -> u32 {
        self.pid
    }

    fn notice(&mut self) -> MachineFuture<'_, Notice> {
        Box::pin(self.next_notice())
    }

    fn stop(&mut self) -> MachineFuture<'_, Exit> {
        Box::pin(self.end())
    }

    fn saving(&mut self) -> Option<&mut dyn Saving> {
        Some(self)
    }

    fn pausing(&mut self) -> Option<&mut dyn Pausing> {
        Some(self)
    }
}

impl Saving for QemuMachine {
    fn save<'a>(&'a mut self, state: PathBuf) -> MachineFuture<'a, Result<(), MachineError>> {
        Box::pin(self.save_state(state))
    }
}

impl Pausing for QemuMachine {
    fn pause(&mut self) -> MachineFuture<'_, Result<(), MachineError>> {
        Box::pin(async { self.control.execute(Order::Stop).await.map(drop) })
    }

    fn unpause(&mut self) -> MachineFuture<'_, Result<(), MachineError>> {
        Box::pin(async {
            match self.saved {
                Saved::No => self.control.execute(Order::Cont).await.map(drop),
                Saved::Yes => Err(MachineError::Refused {
                    order: Order::Cont.name().to_owned(),
                    reason: "the machine's memory belongs to a saved state".to_owned(),
                }),
            }
        })
    }
}

/// Whether an error of the control stream means no more than its end. A
/// monitor that dies before it read all that was sent resets the stream.
pub(super) fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
