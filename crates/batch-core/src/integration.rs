//! Bringing work to where its operator wants it: into a branch of the operator's
//! repository, or to a remote of it.
//!
//! ```text
//!  Asked ──▶ UnderWay, one at a time ──▶ Over: integrated, contained, in the way, …
//! ```
//!
//! What is brought is settled when it is asked for: the tip of the integration branch as
//! the journal has it, which is verified. So whoever does it again, after an engine has
//! died, brings the same, and finds it there if it was brought before. A branch only
//! moves forward to it, so an engine that was replaced in the middle can do nothing that
//! was not asked for either.
//!
//! It is none of a batch's own work: a batch ends without it, and no failure of it is
//! counted. What it came to is told to whoever asked, who may ask for it again.

use batch_api::CommitName;
use batch_api::control::integrate::BranchName;
use serde::{Deserialize, Serialize};

use crate::effect::Outcome;

/// Where work is brought to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// What the batch's branch is called there.
    pub branch: BranchName,
    /// How it goes on from that.
    pub course: Course,
}

/// How work comes to where it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Course {
    /// A branch moves forward to it.
    Forward {
        /// Which.
        into: BranchName,
    },
    /// A merge is made of both, and the branch moves forward to that.
    Merge {
        /// Which branch.
        into: BranchName,
    },
    /// The batch's branch is pushed.
    Push {
        /// Where to.
        remote: BranchName,
    },
}

/// Something that is to be brought, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// The commit.
    pub commit: CommitName,
    /// Where to, and how.
    pub handover: Handover,
    /// How many units were on the integration branch then.
    pub merged: usize,
    /// How far it is.
    pub stage: Stage,
}

/// How far bringing work somewhere is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It was asked for.
    Asked,
    /// It is an effect.
    UnderWay,
    /// It came to this.
    Over(Outcome),
}
