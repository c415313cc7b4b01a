//! The git of batches: the one place where what agents made becomes commits of a
//! batch, and of the operator's repository in the end.
//!
//! ```text
//! operator's repository ──copied──▶ Store ──seed──▶ workspace of a lane (.git without
//!        ▲                            ▲               remotes or credentials)
//!        │                            │ judged            │ capture.sh
//!        │                        quarantine ◀──bundle────┘
//!        │                            │ kept, then committed
//!        │                            ▼
//!        └──publish, integrate── integration branch ◀──merge── attempts
//! ```
//!
//! **Names in a store.** Nothing below `refs/hotcell` is ever removed by a batch
//! that goes on, so whatever was taken in stays reachable.
//!
//! | reference | what it is |
//! |---|---|
//! | `refs/heads/integration` | verified work, one merge commit per unit |
//! | `refs/hotcell/base` | where the batch began |
//! | `refs/hotcell/attempts/TASK/VISIT/N/captures/COMMIT/hotcell/work` | all that lay there: see [`capture`] |
//! | `refs/hotcell/attempts/TASK/VISIT/N/captures/COMMIT/…` | branches and stashes that the agent had |
//! | `refs/hotcell/attempts/TASK/VISIT/N/result` | its commits, and the engine's over the rest |
//!
//! **Who writes.** One engine owns a store. Its directory is called after the
//! engine's epoch, and taking over means renaming it: whatever an earlier engine
//! still tries finds nothing under the name that it knows ([`Store::claim`]).
//!
//! **What is hostile.** The bundle, and everything in it. It is unpacked aside,
//! every object is checked, what it says it contains is compared with what it
//! contains, and only then is it reachable from anything. git never runs in a
//! directory that a guest wrote, and over a store it runs with nobody's settings:
//! no hooks, filters, merge drivers, replaced objects or remotes.
//!
//! **SIGKILL here.** Each step either changes references in one transaction or
//! leaves objects that nothing refers to. All steps are repeated with the same
//! arguments and then come to the same commits: times are given, never read.

pub mod capture;
mod checkout;
mod commit;
mod incoming;
mod integrate;
mod merge;
mod names;
mod store;

pub use commit::{Note, Signature};
pub use incoming::{COMMITS_MAX, Finding, Limits, Received};
pub use integrate::{Integrated, Operator, Way, current_branch};
pub use merge::{CONFLICTS_MAX, Merged};
pub use names::{CommitId, NotACommit};
pub use store::Store;

use std::path::PathBuf;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git refused a step, or could not be run.
    #[error("{step} failed")]
    Git {
        /// What was to be done.
        step: &'static str,
        /// What git says.
        #[source]
        source: host_git::Failure,
    },
    /// A file or directory of the store cannot be used.
    #[error("cannot {step} {}", path.display())]
    File {
        /// What was to be done with it.
        step: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another engine owns the store by now, or somebody removed it.
    #[error("the store {} is not this engine's (any more)", path.display())]
    NotOwned {
        /// Where this engine had it.
        path: PathBuf,
    },
    /// What should be there is not.
    #[error("there is no {what} in {}", path.display())]
    Missing {
        /// What it is.
        what: String,
        /// Where.
        path: PathBuf,
    },
    /// What an agent handed over is not acceptable.
    #[error("what the agent handed over is refused: {0}")]
    Refused(String),
    /// The operator's repository is in the way of a step, which changed nothing.
    #[error("{0}")]
    InTheWay(String),
    /// git answered in a way that it never should.
    #[error("git answered {step} with `{answer}`")]
    Answer {
        /// What was asked.
        step: &'static str,
        /// What it said.
        answer: String,
    },
}

impl GitError {
    fn during(step: &'static str) -> impl FnOnce(host_git::Failure) -> Self {
        move |source| Self::Git { step, source }
    }

    fn at(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { step, path, source }
    }
}
