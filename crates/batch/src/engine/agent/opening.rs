//! What an agent is told when a context is opened.
//!
//! Contexts are fresh: what an earlier one knew is in the packet, in the tree and in
//! the directives that are still in force, and nowhere else.

use std::fmt::Write as _;

use agents::Habits;

use super::super::site::Site;
use super::super::world::{AboutUnit, Trouble};

/// Files of the repository that say how to work in it.
const OF_PROJECT: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

/// Most bytes of such a file that are told.
const OF_PROJECT_BYTES_MAX: usize = 32 * 1024;

/// What an agent is told of a machine that its tools reach.
const OF_MACHINE: &str = "\
You are one of several agents that work through a batch of tasks, each alone in a Linux machine of its own. Nobody watches \
and nobody answers questions while you work: decide what is yours to decide, and use the tool `escalate` for what is not.

Your machine is reached by your tools only; nothing that you do there can harm anything else.";

/// What an agent is told that works on this host.
const OF_HOST: &str = "\
You are one of several agents that work through a batch of tasks, each in a checkout of its own. Nobody watches \
and nobody answers questions while you work: decide what is yours to decide, and use the tool `escalate` for what is not.

You work on somebody's computer, and nothing keeps you from the rest of it: change nothing outside of your two directories, \
and install nothing.";

/// What an agent is told of commands whose waiting has an end.
fn of_commands(habits: Habits) -> String {
    let look = habits.look();
    let mut text = format!(
        "\n- Commands that take longer than 25 seconds go on in the background: `{look}` shows them."
    );
    // Codex offers some models a tool of its own that has the name of one of ours, and
    // nothing switches it off.
    if habits == Habits::Codex {
        text.push_str(
            "\n- Files and commands are those of your machine by the tools of the server `hotcell` only. An \
             `apply_patch` that is not that server's acts elsewhere, and is refused: use the server's.",
        );
    }
    text
}

/// What an agent is told before all else.
pub(super) async fn instructions(site: &Site, habits: Habits) -> Result<String, Trouble> {
    let (workspace, packet) = (site.workspace(), site.packet());
    let (place, commands) = match site {
        Site::Cell(_) => (OF_MACHINE, of_commands(habits)),
        Site::Worktree(_) => (OF_HOST, String::new()),
    };
    let mut text = format!(
        "{place}
- {workspace} is a git repository: the project, as it was when your task began, with what you have done so far. Change \
it as the task asks. Commit as you like; what you leave uncommitted is committed for you. It has no remotes, and \
nothing has to be pushed: your work is taken out, merged and verified when you are done.
- {packet}/PROMPT.md is the task. {packet}/STATUS.md says how far it is: check the box of an outcome as soon as it is \
true, and note what somebody who knows nothing else has to know to go on. The task is done when every box of every \
step is checked.
- Your context may end at any time, and another one go on from these files. So keep STATUS.md true, and look what is \
already done before you begin.{commands}
- Messages may reach you while you work. A directive is in force until you have answered it with the tool `reply`."
    );
    let mut told: Vec<Vec<u8>> = Vec::new();
    for file in OF_PROJECT {
        let Some(mut content) = site.of_project(file).await? else { continue };
        content.truncate(OF_PROJECT_BYTES_MAX);
        // The one is often a copy of the other, or a link to it.
        if content.is_empty() || told.contains(&content) {
            continue;
        }
        let _ = write!(text, "\n\n# The project's {file}\n\n{}", String::from_utf8_lossy(&content));
        told.push(content);
    }
    Ok(text)
}

/// The message that opens a context.
pub(super) fn first(unit: &AboutUnit, site: &Site) -> String {
    let (task, packet) = (&unit.unit.task, site.packet());
    let mut text = format!(
        "Your task is {task}. Read {packet}/PROMPT.md and {packet}/STATUS.md, and do what is not done yet."
    );
    for message in &unit.messages {
        let _ = write!(text, "\n\n{message}");
    }
    text
}
