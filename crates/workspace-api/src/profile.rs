//! What models are offered: profiles and modes, as data.
//!
//! A profile is a breadth (`vm-run`, `workspace-core`, `workspace-full`); a mode
//! is a purpose, with its own tools, words and limits. Both are lists of tools
//! over the same operations; `hotcell mcp tools` prints what each costs.

use operation::tool::Profile;

use crate::ceiling::{ApplyBackCeiling, Ceiling, NetworkCeiling};

mod modes;
mod records;
mod tools;
mod views;

pub use modes::{COLD_START, INSPECT, REPRO_FIX, REVIEW_EVAL};
pub use views::{COPIES, SHELF, VIEWS};

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

/// What a profile does not have, whatever an operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mode `{mode}` has {without}, so that what is inspected cannot misuse it")]
pub struct NotInMode {
    mode: &'static str,
    without: &'static str,
}

/// Whether a ceiling fits a profile: `inspect` has no network, no secrets and
/// nothing of the host but a folder for copies.
///
/// # Errors
///
/// If it allows what the profile does not have.
pub fn fits(profile: &Profile, ceiling: &Ceiling) -> Result<(), NotInMode> {
    let mode = profile.name;
    if mode != INSPECT.name {
        return Ok(());
    }
    let without = if ceiling.network != NetworkCeiling::Off {
        "no network"
    } else if !ceiling.secrets.is_empty() {
        "no secrets"
    } else if !ceiling.roots.is_empty() {
        "nothing of the host but the folder of `--export-dir`"
    } else if ceiling.apply_back != ApplyBackCeiling::No {
        "no way back to the project"
    } else {
        return Ok(());
    };
    Err(NotInMode { mode, without })
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
        t::SYNC_PUSH,
        t::APPLY_BACK,
        t::EXPORT,
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
        t::CREATE_LABELLED,
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
        t::SYNC_PUSH,
        t::APPLY_BACK,
        t::EXPORT,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts that keep tools to themselves let models search in what is said of them,
    /// word by word, and models look for words of names that they have read about.
    #[test]
    fn what_is_said_of_a_tool_has_the_words_of_its_name() {
        for profile in PROFILES {
            for tool in profile.tools {
                let about = tool.about.to_lowercase();
                let words = about.split(|c: char| !c.is_alphanumeric());
                for word in tool.name.split('_') {
                    // A word or its plural, as searches take them.
                    let found = words.clone().any(|said| {
                        said.strip_suffix('s').unwrap_or(said)
                            == word.strip_suffix('s').unwrap_or(word)
                    });
                    assert!(found, "{}: {word} is not in {about:?}", tool.name);
                }
            }
        }
    }
}
