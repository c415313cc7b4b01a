//! Finding packets: which repository, which areas, which tasks.
//!
//! ```text
//! directory ──▶ repository (upwards: configuration, or else .git)
//! repository ──▶ configuration ──▶ areas, by name
//! what is asked for ──▶ areas and packets   (`all`, a name, a directory, a PROMPT.md)
//! area ──▶ its sub-directories ──▶ done (.DONE), archived, or to be done
//! ```
//!
//! What lies below the repository is somebody else's: areas of the configuration are
//! opened beneath the repository and packets beneath their area, no link in them is
//! followed, and only so many names are looked at. A path that the caller gives is the
//! caller's own.

mod area;
mod repository;
mod sources;

use std::collections::BTreeMap;

use batch_api::plan::{PacketProblem, Remark};
use batch_api::{AreaName, TaskId};
use packet::Prompt;
use packet::status::Status;

pub(crate) use self::repository::{Repository, bytes};
pub(crate) use self::sources::directory;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The packets that are to be done.
    pub(crate) wanted: Vec<Packet>,
    /// Tasks that are done, wherever they lie.
    pub(crate) completed: Vec<(AreaName, TaskId)>,
    /// Tasks that are neither done nor asked for.
    pub(crate) pending: Vec<(AreaName, TaskId)>,
    /// How many tasks of the areas that were asked for are done.
    pub(crate) completed_here: u32,
    pub(crate) problems: Vec<PacketProblem>,
    pub(crate) remarks: Vec<Remark>,
}

/// A packet that is to be done.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) area: AreaName,
    /// Its PROMPT.md, as it is told.
    pub(crate) file: String,
    pub(crate) prompt: Prompt,
    /// Its STATUS.md, or why it cannot be read. An agent writes it, so it keeps nothing
    /// from being planned.
    pub(crate) status: Result<Option<Status>, String>,
}

/// What a folder of an area turned out to be.
#[derive(Debug)]
pub(crate) enum Folder {
    /// A task that is done; its id, if its name says it.
    Completed(Option<TaskId>),
    /// A task that is to be done.
    Open(Box<Packet>),
    /// A packet that cannot be read; its id, if its name says it.
    Broken(Option<TaskId>, Vec<PacketProblem>),
}

/// Everything that an area holds, by the names of its folders.
#[derive(Debug, Default)]
pub(crate) struct Area {
    pub(crate) folders: BTreeMap<String, Folder>,
    /// The tasks in its archive.
    pub(crate) archived: Vec<TaskId>,
    pub(crate) remarks: Vec<Remark>,
}
