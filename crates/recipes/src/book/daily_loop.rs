//! What everybody does all day: run, change, run, start over.

use super::{CREATE, ENVIRONMENT, LEARNS_WORKSPACE, SUITE, THE_END, WORKSPACE, WRONG};
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
        Step::of("A machine with a copy of the project", "workspace_create", CREATE)
            .says(&["State          running"])
            .learns(LEARNS_WORKSPACE),
        Step::of("The tests pass", "workspace_exec", &[WORKSPACE, ("command", Text(SUITE))])
            .says(&["OK"]),
        Step::of(
            "A change that breaks it",
            "file_edit",
            &[
                WORKSPACE,
                ("path", Text("parse.py")),
                ("old", Text(WRONG)),
                ("new", Text("return None\n")),
            ],
        )
        .says(&["1 replaced"]),
        Step::of("The tests notice", "workspace_exec", &[WORKSPACE, ("command", Text(SUITE))])
            .says(&["FAILED"]),
        Step::of(
            "Worse: the machine is damaged",
            "workspace_exec",
            &[WORKSPACE, ("command", Text("rm -rf /usr/lib/python3* && ! python3 -c 1"))],
        )
        .says(&["exit code 0"]),
        Step::of("Start over", "workspace_reset", &[WORKSPACE]).says(&["State          running"]),
        Step::of("The tests pass again", "workspace_exec", &[WORKSPACE, ("command", Text(SUITE))])
            .says(&["OK"]),
        THE_END,
    ],
};
