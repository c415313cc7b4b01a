//! What everybody does all day: run, change, run, start over.

use super::{CREATE, ENVIRONMENT, LEARNS_WORKSPACE, SUITE, WORKSPACE, WRONG};
use crate::Value::Text;
use crate::project::PARSE;
use crate::{Recipe, Step};

/// Run, change, run, start over.
pub static DAILY_LOOP: Recipe = Recipe {
    name: "daily-loop",
    title: "The daily loop: run, change, run, start over",
    story: "One workspace lasts for a day of tries. What an attempt has broken, deleted or left \
            running, a reset takes back; it costs less than to run the tests once.",
    task: "Break `parse.py` on purpose, show that the tests notice, and put everything back.",
    mode: "repro-fix",
    environment: ENVIRONMENT,
    project: &PARSE,
    steps: &[
        Step {
            about: "A machine with a copy of the project",
            tool: "workspace_create",
            arguments: CREATE,
            says: &["State          running"],
            learns: LEARNS_WORKSPACE,
        },
        Step {
            about: "The tests pass",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(SUITE))],
            says: &["OK"],
            learns: &[],
        },
        Step {
            about: "A change that breaks it",
            tool: "file_edit",
            arguments: &[
                WORKSPACE,
                ("path", Text("parse.py")),
                ("old", Text(WRONG)),
                ("new", Text("return None\n")),
            ],
            says: &["1 replaced"],
            learns: &[],
        },
        Step {
            about: "The tests notice",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(SUITE))],
            says: &["FAILED"],
            learns: &[],
        },
        Step {
            about: "Worse: the machine is damaged",
            tool: "workspace_exec",
            arguments: &[
                WORKSPACE,
                ("command", Text("rm -rf /usr/lib/python3* && ! python3 -c 1")),
            ],
            says: &["exit code 0"],
            learns: &[],
        },
        Step {
            about: "Start over",
            tool: "workspace_reset",
            arguments: &[WORKSPACE],
            says: &["State          running"],
            learns: &[],
        },
        Step {
            about: "The tests pass again",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(SUITE))],
            says: &["OK"],
            learns: &[],
        },
        Step {
            about: "The machine goes",
            tool: "workspace_delete",
            arguments: &[WORKSPACE],
            says: &["Deleted"],
            learns: &[],
        },
    ],
};
