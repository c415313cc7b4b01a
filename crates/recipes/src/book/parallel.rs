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
        Step {
            about: "A machine for the first idea",
            tool: "workspace_create",
            arguments: &[("environment", Text(ENVIRONMENT))],
            says: &["State          running"],
            learns: &[("workspace of the first", "ws_")],
        },
        Step {
            about: "A machine for the second idea",
            tool: "workspace_create",
            arguments: &[("environment", Text(ENVIRONMENT))],
            says: &["State          running"],
            learns: &[("workspace of the second", "ws_")],
        },
        Step {
            about: "First: pass the argument on",
            tool: "file_edit",
            arguments: &[
                FIRST,
                ("path", Text("parse.py")),
                ("old", Text(WRONG)),
                ("new", Text(RIGHT)),
            ],
            says: &["1 replaced"],
            learns: &[],
        },
        Step {
            about: "Second: be sensitive by default",
            tool: "file_edit",
            arguments: &[
                SECOND,
                ("path", Text("parse.py")),
                (
                    "old",
                    Text("def __init__(self, format, extra_types=None, case_sensitive=False):"),
                ),
                ("new", Text("def __init__(self, format, extra_types=None, case_sensitive=True):")),
            ],
            says: &["1 replaced"],
            learns: &[],
        },
        Step {
            about: "The first is as documented",
            tool: "workspace_exec",
            arguments: &[FIRST, ("command", Text(CHECK))],
            says: &["as documented", "exit code 0"],
            learns: &[],
        },
        Step {
            about: "The second has changed the default",
            tool: "workspace_exec",
            arguments: &[SECOND, ("command", Text(CHECK))],
            says: &["exit code 1"],
            learns: &[],
        },
        Step {
            about: "The first passes the project's tests",
            tool: "workspace_exec",
            arguments: &[FIRST, ("command", Text(SUITE))],
            says: &["OK"],
            learns: &[],
        },
        Step {
            about: "The patch of the first, and nothing of the second in it",
            tool: "workspace_diff",
            arguments: &[FIRST, ("format", Text("patch"))],
            says: &["case_sensitive=case_sensitive", "1 changed: 0 added, 1 modified"],
            learns: &[],
        },
        Step {
            about: "The second goes",
            tool: "workspace_delete",
            arguments: &[SECOND],
            says: &["Deleted"],
            learns: &[],
        },
        Step {
            about: "The first is still there",
            tool: "workspace_exec",
            arguments: &[FIRST, ("command", Text("git status --short"))],
            says: &["M parse.py"],
            learns: &[],
        },
        Step {
            about: "The first goes, too",
            tool: "workspace_delete",
            arguments: &[FIRST],
            says: &["Deleted"],
            learns: &[],
        },
    ],
};
