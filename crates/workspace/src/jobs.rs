//! What runs in a workspace without a client waiting for it: background
//! commands, shells, services.
//!
//! A job belongs to the workspace's keeper, which follows its process in the
//! guest (`keeper/jobs`). What is known of it lies in a directory of its own, so
//! whoever wants to read does not need the keeper, and can read on when it is
//! gone:
//!
//! ```text
//! jobs/<id>/
//!   record.json          what it is and how it is or was
//!   stdout.<offset>      what it wrote, in segments named by their first byte
//!   stderr.<offset>
//! ```
//!
//! **SIGKILL here.** A record is replaced whole. A record that says `running`
//! while the workspace's machine is not that of the record's keeper is out of
//! date: the next keeper writes down that the job was lost.

pub(crate) mod log;
pub(crate) mod record;

pub(crate) use record::{JobId, JobKind, JobRecord, JobState, Jobs};
