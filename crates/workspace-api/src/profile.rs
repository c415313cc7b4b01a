//! What models are offered: profiles and modes, as data.
//!
//! A profile is a breadth (`vm-run`, `workspace-core`, `workspace-full`); a mode
//! is a purpose, with its own tools, words and limits. Both are lists of tools
//! over the same operations; `hotcell mcp tools` prints what each costs.

use operation::Operation as _;
use operation::tool::{Decision, Profile};
use serde_json::Value;

use crate::workspace::Create;

mod modes;
mod tools;

pub use modes::{COLD_START, INSPECT, REPRO_FIX, REVIEW_EVAL};

use tools as t;

/// What is served unless somebody chooses.
pub const DEFAULT: &str = WORKSPACE_CORE.name;

/// All profiles, the modes last.
pub const PROFILES: &[Profile] =
    &[VM_RUN, WORKSPACE_CORE, WORKSPACE_FULL, REPRO_FIX, INSPECT, COLD_START, REVIEW_EVAL];

/// The profile of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// Workspaces start from this tree of the host, and models have no say in it.
#[must_use]
pub fn starting_from(tree: &str) -> Decision {
    Decision { operation: Create::NAME, field: "path", value: Value::from(tree) }
}

/// One tool: commands in machines that leave nothing behind.
pub const VM_RUN: Profile = Profile {
    name: "vm-run",
    about: "One tool: run a command in a fresh microVM that leaves nothing behind",
    instructions: "Use vm_run to run any command in a fresh, isolated Linux microVM.",
    tools: &[t::VM_RUN],
};

/// Everyday work in workspaces.
pub const WORKSPACE_CORE: Profile = Profile {
    name: "workspace-core",
    about: "Everyday work: create, run, edit, patch, search, diff, snapshot, fork, reset",
    instructions: "Work in disposable Linux microVMs. workspace_create first; name the workspace in \
                   every later call. workspace_exec returns within 25 s; what still runs goes on, \
                   and command_wait waits for it. workspace_reset starts over in a second.",
    tools: &[
        t::CREATE,
        t::EXEC,
        t::COMMAND_WAIT,
        t::COMMAND_READ,
        t::COMMAND_SIGNAL,
        t::FILE_LIST,
        t::FILE_READ,
        t::FILE_WRITE,
        t::FILE_EDIT,
        t::FILE_SEARCH,
        t::PATCH_APPLY,
        t::DIFF,
        t::SNAPSHOT_CREATE,
        t::RESET,
        t::FORK,
        t::SUMMARY,
        t::LIST,
        t::DELETE,
    ],
};

/// Everything that makes sense for a model.
pub const WORKSPACE_FULL: Profile = Profile {
    name: "workspace-full",
    about: "Everything: also shells, services, history, networks, stop and start",
    instructions: WORKSPACE_CORE.instructions,
    tools: &[
        t::VM_RUN,
        t::CREATE_WITH_NETWORK,
        t::EXEC,
        t::COMMAND_WAIT,
        t::COMMAND_READ,
        t::COMMAND_SIGNAL,
        t::COMMAND_LIST,
        t::SHELL_OPEN,
        t::SHELL_READ,
        t::SHELL_WRITE,
        t::SHELL_SIGNAL,
        t::SHELL_CLOSE,
        t::FILE_LIST,
        t::FILE_READ,
        t::FILE_WRITE,
        t::FILE_EDIT,
        t::FILE_SEARCH,
        t::FILE_MOVE,
        t::FILE_COPY,
        t::FILE_DELETE,
        t::PATCH_APPLY,
        t::DIFF,
        t::SERVICE_START,
        t::SERVICE_LIST,
        t::SERVICE_LOGS,
        t::SERVICE_STOP,
        t::SNAPSHOT_CREATE,
        t::SNAPSHOT_LIST,
        t::SNAPSHOT_DELETE,
        t::FORK,
        t::NETWORK_SET,
        t::NETWORK_LOG,
        t::STATUS,
        t::LOGS,
        t::SUMMARY,
        t::RESET,
        t::STOP,
        t::START,
        t::LIST,
        t::DELETE,
    ],
};
