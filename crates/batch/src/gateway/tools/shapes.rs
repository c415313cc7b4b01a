//! The tools as models know them: a list for each family of models, over the same few
//! operations.
//!
//! Models are best with the tools that they were trained with, so each family gets the
//! names, arguments and answers that its own agent has. `reply` and `escalate`, which
//! no agent has, are the same for all.
//!
//! | family | commands | files | finding |
//! |---|---|---|---|
//! | [`claude`] | `Bash`, `BashOutput`, `KillShell` | `Read`, `Write`, `Edit` | `Glob`, `Grep` |
//! | [`codex`] | `exec_command`, `write_stdin` | `apply_patch`, `view_image` | by commands |
//! | [`plain`] (pi, OpenCode and others) | `bash`, `bash_output`, `bash_kill` | `read`, `write`, `edit` | `glob`, `grep` |
//!
//! Codex's `update_plan` is not among them: Codex 0.169 does not offer it itself, and the
//! plan of a task is its STATUS.md.

mod about;
mod claude;
mod codex;
mod plain;

use agents::Habits;

use super::mail::{Escalate, Reply};
use super::{Row, row};

/// The tools of a family; of an agent with hands of its own, those by which it speaks.
pub(in crate::gateway) const fn of(habits: Option<Habits>) -> &'static [Row] {
    match habits {
        None => VOICE,
        Some(Habits::Claude) => CLAUDE,
        Some(Habits::Codex) => CODEX,
        Some(Habits::Plain) => PLAIN,
    }
}

const VOICE: &[Row] = &[row::<Reply>(), row::<Escalate>()];

const CLAUDE: &[Row] = &[
    row::<claude::Bash>(),
    row::<claude::BashOutput>(),
    row::<claude::KillShell>(),
    row::<claude::Read>(),
    row::<claude::Write>(),
    row::<claude::Edit>(),
    row::<claude::Glob>(),
    row::<claude::Grep>(),
    row::<Reply>(),
    row::<Escalate>(),
];

const CODEX: &[Row] = &[
    row::<codex::ExecCommand>(),
    row::<codex::WriteStdin>(),
    row::<codex::ApplyPatch>(),
    row::<codex::ViewImage>(),
    row::<Reply>(),
    row::<Escalate>(),
];

const PLAIN: &[Row] = &[
    row::<plain::Bash>(),
    row::<plain::BashOutput>(),
    row::<plain::BashKill>(),
    row::<plain::Read>(),
    row::<plain::Write>(),
    row::<plain::Edit>(),
    row::<plain::Glob>(),
    row::<plain::Grep>(),
    row::<Reply>(),
    row::<Escalate>(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_takes_and_every_argument_what_it_means() {
        for habits in Habits::ALL {
            for row in of(Some(habits)) {
                let schema = (row.schema)();
                assert_eq!(schema["type"], "object", "{}", row.name);
                let properties = schema["properties"].as_object().unwrap();
                for (name, property) in properties {
                    assert!(property["description"].is_string(), "{}: {name}", row.name);
                }
            }
            let words: usize = of(Some(habits)).iter().map(|row| row.about.len()).sum();
            assert!(words < 4_000, "what is said of tools is in every context: {words} bytes");
        }
    }

    /// What is told of an agent is what it gets.
    #[test]
    fn tools_are_named_as_it_is_told_of_the_agents() {
        for habits in Habits::ALL {
            let told = habits.tools().iter().chain(&["reply", "escalate"]);
            assert!(of(Some(habits)).iter().map(|row| &row.name).eq(told), "{habits:?}");
        }
    }
}
