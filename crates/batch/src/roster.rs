//! `batch.agents`: the kinds of agents, what is proved of them, and which are here.
//!
//! Whoever gives an agent a cell asks for its [`version()`] and for its proof
//! ([`agents::proof()`]).

mod version;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agents::{Adapter, Lane, PROVED};
use batch_api::agents::{
    AgentList, AgentTrait, Agents, FoundAgent, ListedAgent, ListedLane, ProvedAgent,
};
use operation::{Call, Handler, NoEvents, OpError};

use crate::Batches;

pub use version::{VersionError, version};

/// Most directories that are looked through for programs.
const DIRECTORIES_MAX: usize = 256;

impl Handler<Agents> for Batches {
    async fn handle(&self, _: Agents, _: &mut Call<NoEvents>) -> Result<AgentList, OpError> {
        let search = std::env::var_os("PATH").unwrap_or_default();
        let mut all = Vec::new();
        for adapter in Adapter::ALL {
            let found = match adapter.program() {
                Some(name) => found(adapter, name, &search).await,
                None => Vec::new(),
            };
            all.push(listed(adapter, found));
        }
        let lanes = Lane::ALL.map(|lane| ListedLane {
            lane: lane.as_str().to_owned(),
            about: lane.about().to_owned(),
            leaves_open: lane.leaves_open().to_owned(),
        });
        Ok(AgentList { agents: all, lanes: lanes.into() })
    }
}

fn listed(adapter: Adapter, found: Vec<FoundAgent>) -> ListedAgent {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let lanes = Lane::ALL.into_iter().filter(|lane| lane.takes(adapter));
    let rows = PROVED.iter().filter(|row| row.adapter == adapter);
    let proved =
        rows.map(|row| ProvedAgent { version: row.version.to_owned(), models: owned(row.models) });
    let traits = adapter.capabilities().traits().into_iter();
    // What it has in a cell is nothing to one that never gets one.
    let traits = traits.filter(|one| one.name != "habits" || Lane::Cell.takes(adapter));
    let traits = traits.map(|one| AgentTrait {
        name: one.name.to_owned(),
        about: one.about.to_owned(),
        value: one.value.to_owned(),
        meaning: one.meaning.to_owned(),
    });
    ListedAgent {
        kind: adapter.to_string(),
        lanes: lanes.map(|lane| lane.as_str().to_owned()).collect(),
        proved: proved.collect(),
        traits: traits.collect(),
        found,
    }
}

/// The programs of a kind, in the order of the search path.
async fn found(adapter: Adapter, name: &str, search: &OsStr) -> Vec<FoundAgent> {
    let mut found = Vec::new();
    for program in programs(name, search) {
        let version = version(&program, search).await.ok();
        let is_version = |row: &&agents::Proved| Some(row.version) == version.as_deref();
        let is_proved =
            PROVED.iter().filter(|row| row.adapter == adapter).any(|row| is_version(&row));
        found.push(FoundAgent {
            program: program.to_string_lossy().into_owned(),
            version,
            is_proved,
        });
    }
    found
}

/// Where programs with a name are.
pub(crate) fn programs(name: &str, search: &OsStr) -> Vec<PathBuf> {
    let mut programs: Vec<PathBuf> = Vec::new();
    for directory in std::env::split_paths(search).take(DIRECTORIES_MAX) {
        let program = directory.join(name);
        if directory.is_absolute() && is_program(&program) && !programs.contains(&program) {
            programs.push(program);
        }
    }
    programs
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
