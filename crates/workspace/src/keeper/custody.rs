//! Who has the machine right now.
//!
//! ```text
//! Here ──lend──▶ Lent (a snapshot is being taken) ──back──▶ Here
//!                  └── its task failed ──▶ Gone
//! ```
//!
//! A snapshot takes a while, during which the guest runs on and must be heard.
//! So the machine is handed to a task of its own for that time, and whoever
//! waits for what happens to it waits for it to come back.

use machine::{
    Adoption, Exit, Machine, MachineError, Notice, Snapshot, SnapshotFailed, SnapshotPlan,
};
use tokio::task::JoinHandle;

/// The machine of a keeper.
pub(super) enum Custody {
    Here(Box<dyn Machine>),
    Lent(JoinHandle<Loan>),
    /// Whoever had it ended unexpectedly, and with him the monitor.
    Gone,
}

/// A machine on its way back.
pub(super) struct Loan {
    machine: Box<dyn Machine>,
    taken: Result<Snapshot, SnapshotFailed>,
}

/// What happens to a machine.
pub(super) enum Happening {
    /// Something by itself.
    Notice(Notice),
    /// It came back from being snapshotted.
    Back(Result<Snapshot, SnapshotFailed>),
}

impl Custody {
    /// The next thing that happens to the machine. Cancel safe.
    pub(super) async fn next(&mut self) -> Happening {
        match self {
            Self::Here(machine) => Happening::Notice(machine.notice().await),
            Self::Lent(task) => match task.await {
                Ok(Loan { machine, taken }) => {
                    *self = Self::Here(machine);
                    Happening::Back(taken)
                }
                Err(error) => {
                    tracing::error!(%error, "a snapshot's task ended");
                    *self = Self::Gone;
                    Happening::Notice(Notice::Ended(gone()))
                }
            },
            Self::Gone => Happening::Notice(Notice::Ended(gone())),
        }
    }

    /// What happens to the machine by itself. Cancel safe.
    pub(super) async fn notice(&mut self) -> Notice {
        loop {
            if let Happening::Notice(notice) = self.next().await {
                return notice;
            }
        }
    }

    /// Whether the machine is here, to be worked with.
    pub(super) fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// The monitor's process, if the machine is here.
    pub(super) fn monitor_pid(&self) -> Option<u32> {
        match self {
            Self::Here(machine) => Some(machine.monitor_pid()),
            Self::Lent(_) | Self::Gone => None,
        }
    }

    /// Whether the machine can be snapshotted.
    pub(super) fn can_snapshot(&mut self) -> bool {
        match self {
            Self::Here(machine) => machine.snapshots().is_some(),
            Self::Lent(_) | Self::Gone => false,
        }
    }

    /// Halts the guest, if the machine is here and can do that.
    pub(super) async fn pause(&mut self) -> Option<Result<(), MachineError>> {
        match self {
            Self::Here(machine) => Some(machine.pausing()?.pause().await),
            Self::Lent(_) | Self::Gone => None,
        }
    }

    /// Lets a halted guest go on.
    pub(super) async fn unpause(&mut self) -> Option<Result<(), MachineError>> {
        match self {
            Self::Here(machine) => Some(machine.pausing()?.unpause().await),
            Self::Lent(_) | Self::Gone => None,
        }
    }

    /// Hands the machine to a task that snapshots it.
    pub(super) fn lend(&mut self, plan: SnapshotPlan) {
        *self = match std::mem::replace(self, Self::Gone) {
            Self::Here(mut machine) => Self::Lent(tokio::task::spawn_local(async move {
                let snapshots = machine.snapshots().expect("it was asked before");
                let taken = snapshots.snapshot(&plan).await;
                Loan { machine, taken }
            })),
            other => other,
        };
    }

    /// Has the machine read one image instead of several.
    pub(super) async fn adopt(&mut self, adoption: &Adoption) -> Result<(), MachineError> {
        let snapshots = match self {
            Self::Here(machine) => machine.snapshots(),
            Self::Lent(_) | Self::Gone => None,
        };
        match snapshots {
            Some(snapshots) => snapshots.adopt(adoption).await,
            None => Err(MachineError::Ended(gone())),
        }
    }

    /// Ends the machine, whoever has it.
    pub(super) async fn stop(&mut self) -> Exit {
        match std::mem::replace(self, Self::Gone) {
            Self::Here(mut machine) => machine.stop().await,
            Self::Lent(task) => {
                // What is dropped is killed.
                task.abort();
                let _ = task.await;
                gone()
            }
            Self::Gone => gone(),
        }
    }
}

fn gone() -> Exit {
    Exit { code: None, signal: None, last_words: "while it was being snapshotted".to_owned() }
}
