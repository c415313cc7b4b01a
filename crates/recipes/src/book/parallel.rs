//! Two tries at one defect, side by side.

use super::{CHECK, ENVIRONMENT, RIGHT, SUITE, WRONG};
use crate::Value::{Learned, Text};
use crate::project::PARSE;
use crate::{Recipe, Step};

const FIRST: (&str, crate::Value) = ("workspace", Learned("workspace of the first"));
const SECOND: (&str, crate::Value) = ("workspace", Learned("workspace of the second"));

/// Two tries at one defect, side by side.
pub static PARALLEL: Recipe = Recipe {
    name: "parallel",
    title: "Try several ways at once and keep the best",
    story: "Each attempt, or each issue, has a machine of its own: what one breaks, the others \
            never see. Workspaces of one project share its disk image, so one more costs little \
            memory and hardly any disk. The results are compared as patches.",
    task: "There are two ideas for making `parse.compile` respect `case_sensitive`: pass the \
           argument on, or make matching sensitive by default. Try both in workspaces of their \
           own, and tell me which one keeps the documented behaviour.",
    mode: "repro-fix",
    environment: ENVIRONMENT,
    project: &PARSE,
    steps: &[
        Step::of(
            "A machine for the first idea",
            "workspace_create",
            &[("environment", Text(ENVIRONMENT))],
        )
        .says(&["State          running"])
        .learns(&[("workspace of the first", "ws_")]),
        Step::of(
            "A machine for the second idea",
            "workspace_create",
            &[("environment", Text(ENVIRONMENT))],
        )
        .says(&["State          running"])
        .learns(&[("workspace of the second", "ws_")]),
        Step::of(
            "First: pass the argument on",
            "file_edit",
            &[FIRST, ("path", Text("parse.py")), ("old", Text(WRONG)), ("new", Text(RIGHT))],
        )
        .says(&["1 replaced"]),
        Step::of(
            "Second: be sensitive by default",
            "file_edit",
            &[
                SECOND,
                ("path", Text("parse.py")),
                (
                    "old",
                    Text("def __init__(self, format, extra_types=None, case_sensitive=False):"),
                ),
                ("new", Text("def __init__(self, format, extra_types=None, case_sensitive=True):")),
            ],
        )
        .says(&["1 replaced"]),
        Step::of(
            "The first is as documented",
            "workspace_exec",
            &[FIRST, ("command", Text(CHECK))],
        )
        .says(&["as documented", "exit code 0"]),
        Step::of(
            "The second has changed the default",
            "workspace_exec",
            &[SECOND, ("command", Text(CHECK))],
        )
        .says(&["exit code 1"]),
        Step::of(
            "The first passes the project's tests",
            "workspace_exec",
            &[FIRST, ("command", Text(SUITE))],
        )
        .says(&["OK"]),
        Step::of(
            "The patch of the first, and nothing of the second in it",
            "workspace_diff",
            &[FIRST, ("format", Text("patch"))],
        )
        .says(&["case_sensitive=case_sensitive", "1 changed: 0 added, 1 modified"]),
        Step::of("The second goes", "workspace_delete", &[SECOND]).says(&["Deleted"]),
        Step::of(
            "The first is still there",
            "workspace_exec",
            &[FIRST, ("command", Text("git status --short"))],
        )
        .says(&["M parse.py"]),
        Step::of("The first goes, too", "workspace_delete", &[FIRST]).says(&["Deleted"]),
    ],
};
