//! A defect is reproduced, mended and proved.

use super::{CHECK, CREATE, ENVIRONMENT, LEARNS_WORKSPACE, RIGHT, SUITE, WORKSPACE, WRONG};
use crate::Value::{Learned, Text};
use crate::project::PARSE;
use crate::{Recipe, Step};

/// Reproduce a defect, mend it, prove it.
pub static REPRO_FIX: Recipe = Recipe {
    name: "repro-fix",
    title: "Reproduce a defect, mend it, prove it",
    story: "Somebody reports a defect. The agent reproduces it in a machine of its own, mends it, \
            runs the tests, and hands over a patch; your checkout is not touched. After a wrong \
            turn a reset takes the machine back to where it began, in a fraction of a second.",
    task: "`parse.compile(format, case_sensitive=True)` matches text of any case, though the \
           documentation says that it does not. Reproduce it, mend it, show that the tests still \
           pass, and give me the patch.",
    mode: "repro-fix",
    environment: ENVIRONMENT,
    project: &PARSE,
    steps: &[
        Step {
            about: "A machine with a copy of the project",
            tool: "workspace_create",
            arguments: CREATE,
            says: &["State          running", "11 files"],
            learns: LEARNS_WORKSPACE,
        },
        Step {
            about: "The defect, reproduced",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(CHECK))],
            says: &["case_sensitive=True is ignored", "exit code 1"],
            learns: &[],
        },
        Step {
            about: "The place at fault",
            tool: "file_search",
            arguments: &[
                WORKSPACE,
                ("pattern", Text("return Parser\\(")),
                ("path", Text("parse.py")),
            ],
            says: &["return Parser(format, extra_types=extra_types)"],
            learns: &[],
        },
        Step {
            about: "The mend",
            tool: "file_edit",
            arguments: &[
                ("workspace", Learned("workspace")),
                ("path", Text("parse.py")),
                ("old", Text(WRONG)),
                ("new", Text(RIGHT)),
            ],
            says: &["1 replaced"],
            learns: &[],
        },
        Step {
            about: "The defect is gone",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(CHECK))],
            says: &["as documented", "exit code 0"],
            learns: &[],
        },
        Step {
            about: "The project's own tests pass",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(SUITE))],
            says: &["Ran 77 tests", "OK"],
            learns: &[],
        },
        Step {
            about: "The patch, for people",
            tool: "workspace_diff",
            arguments: &[WORKSPACE, ("format", Text("patch"))],
            says: &["+++ b/parse.py", "1 changed: 0 added, 1 modified"],
            learns: &[],
        },
        Step {
            about: "Back to the beginning, for another try",
            tool: "workspace_reset",
            arguments: &[WORKSPACE],
            says: &["State          running"],
            learns: &[],
        },
        Step {
            about: "Nothing is left of the first one",
            tool: "workspace_diff",
            arguments: &[WORKSPACE],
            says: &["nothing has changed"],
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
