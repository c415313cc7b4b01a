//! What can go wrong with a guest, in words that a person can act on.

use std::io;
use std::path::Path;

use environment::EnvironmentError;
use file_tree::TreeError;
use host_git::Failure;
use machine::{MachineError, Notice};
use operation::{ErrorKind, OpError};

use crate::console;
use crate::framing::FramingError;
use crate::keeper::GuestFault;
use crate::link::LinkError;

/// Why a guest cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestTrouble {
    #[error("the machine could not be started")]
    Start(#[source] MachineError),
    #[error("the machine could not be saved")]
    Save(#[source] MachineError),
    #[error("the guest did not come up")]
    Link(#[from] LinkError),
    #[error("the guest could not mount its workspace drive: {0}")]
    Mount(String),
    #[error("the guest could not carry out `{step}`: {answer}")]
    Step { step: &'static str, answer: String },
    #[error("{}", describe(.0))]
    Notice(Notice),
    #[error("the guest broke the protocol")]
    Fault(#[source] GuestFault),
    #[error("the connection to the guest broke")]
    Framing(#[source] FramingError),
}

fn describe(notice: &Notice) -> String {
    match notice {
        Notice::Ended(exit) => format!("the monitor {exit}"),
        Notice::HostStorageFull { disk } => {
            format!("the host has no space left for what the guest writes to drive `{disk}`")
        }
        Notice::DiskFailed { disk, reason } => format!("drive `{disk}` failed: {reason}"),
        Notice::GuestShutDown => "the guest shut itself down".to_owned(),
    }
}

impl GuestTrouble {
    /// Whether all that is known is that the stream to the guest broke.
    pub(crate) fn is_broken_stream(&self) -> bool {
        matches!(self, Self::Framing(_) | Self::Link(LinkError::Broken(_)))
    }

    /// The error of something that failed because of this, and left the machine
    /// as it was.
    pub(crate) fn while_it_runs(self) -> OpError {
        let kind = match &self {
            Self::Save(MachineError::State { .. } | MachineError::File { .. }) => {
                ErrorKind::Exhausted
            }
            Self::Save(MachineError::Refused { .. }) => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        OpError::new(kind, &self)
    }

    /// The error of a start that failed because of this.
    pub(crate) fn during_start(self, console: &Path) -> OpError {
        let kind = match &self {
            Self::Notice(Notice::HostStorageFull { .. }) => ErrorKind::Exhausted,
            Self::Link(LinkError::Silent(_)) => ErrorKind::TimedOut,
            Self::Start(MachineError::MonitorMissing { .. }) => ErrorKind::Unavailable,
            _ => ErrorKind::MachineLost,
        };
        with_console(OpError::new(kind, &self), &self, console)
    }
}

/// The error of a machine that ran and can no longer be used.
pub(crate) fn machine_ended(trouble: &GuestTrouble, console: &Path) -> OpError {
    let kind = match trouble {
        GuestTrouble::Notice(Notice::HostStorageFull { .. }) => ErrorKind::Exhausted,
        _ => ErrorKind::MachineLost,
    };
    with_console(OpError::new(kind, trouble), trouble, console)
}

fn with_console(mut error: OpError, trouble: &GuestTrouble, console: &Path) -> OpError {
    if let GuestTrouble::Notice(Notice::HostStorageFull { .. }) = trouble {
        return error.hinted("free some space on the host's disk and try again");
    }
    let tail = console::tail(console);
    if !tail.is_empty() {
        error.causes.push(format!("the guest's console ends with:\n{tail}"));
    }
    match trouble {
        GuestTrouble::Start(MachineError::MonitorMissing { .. }) => {
            error.hinted("`hotcell doctor` says which package to install")
        }
        GuestTrouble::Link(_) => {
            error.hinted("`hotcell prepare --force` makes a new template; `hotcell doctor` says what this host lacks")
        }
        _ => error,
    }
}

/// The error of a failed step on environments, kernels or images.
pub(crate) fn environment_error(error: EnvironmentError) -> OpError {
    let kind = match &error {
        EnvironmentError::UnknownName { .. } | EnvironmentError::NotPresent { .. } => {
            ErrorKind::NotFound
        }
        EnvironmentError::Ambiguous { .. }
        | EnvironmentError::TreeUnreadable { .. }
        | EnvironmentError::TreeTooLarge { .. } => ErrorKind::InvalidRequest,
        EnvironmentError::ToolMissing { .. } | EnvironmentError::DownloadFailed { .. } => {
            ErrorKind::Unavailable
        }
        EnvironmentError::BadSignature { .. } => ErrorKind::Denied,
        EnvironmentError::HostStorageFull { .. } => ErrorKind::Exhausted,
        EnvironmentError::Cancelled => ErrorKind::Cancelled,
        _ => ErrorKind::Internal,
    };
    let hint = error.hint();
    let error = OpError::new(kind, &error);
    match hint {
        Some(hint) => error.hinted(hint),
        None => error,
    }
}

/// What git refused, or why it could not be asked.
pub(crate) fn git_error(failure: Failure) -> OpError {
    match &failure {
        Failure::Missing => {
            OpError::new(ErrorKind::Unavailable, &failure).hinted("install the package git")
        }
        _ => OpError::new(ErrorKind::InvalidRequest, &failure),
    }
}

/// The error of a failed step on a tree that crosses.
pub(crate) fn tree_error(error: TreeError) -> OpError {
    let kind = match (&error, error.io_kind()) {
        (TreeError::Cancelled, _) => ErrorKind::Cancelled,
        (_, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) => {
            ErrorKind::Exhausted
        }
        (_, Some(io::ErrorKind::PermissionDenied)) => ErrorKind::Denied,
        (TreeError::Root { .. }, _) => ErrorKind::NotFound,
        (TreeError::Changed { .. }, _) => ErrorKind::Conflict,
        (TreeError::File { .. }, _) => ErrorKind::Internal,
        _ => ErrorKind::InvalidRequest,
    };
    OpError::new(kind, &error)
}
