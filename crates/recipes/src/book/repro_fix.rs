//! A defect is reproduced, mended and proved.

use super::{
    CHECK, CREATE, ENVIRONMENT, LEARNS_WORKSPACE, RIGHT, SUITE, THE_END, WORKSPACE, WRONG,
};
use crate::Value::Text;
use crate::project::PARSE;
use crate::{Recipe, Step};

/// Reproduce a defect, mend it, prove it.
pub static REPRO_FIX: Recipe = Recipe {
    name: "repro-fix",
    title: "Reproduce a defect, mend it, prove it",
    story: "Somebody reports a defect. The agent reproduces it in a machine of its own, mends it, \
            runs the tests, and hands over a patch; your checkout is not touched, unless you let \
            the agent apply it (`host connect … -- --apply-back yes`). After a wrong turn a reset \
            takes the machine back to where it began, in a fraction of a second.",
    task: "`parse.compile(format, case_sensitive=True)` matches text of any case, though the \
           documentation says that it does not. Reproduce it, mend it, show that the tests still \
           pass, and give me the patch.",
    mode: "repro-fix",
    environment: ENVIRONMENT,
    project: &PARSE,
    steps: &[
        Step::of("A machine with a copy of the project", "workspace_create", CREATE)
            .says(&["State          running", "11 files"])
            .learns(LEARNS_WORKSPACE),
        Step::of(
            "The defect, reproduced",
            "workspace_exec",
            &[WORKSPACE, ("command", Text(CHECK))],
        )
        .says(&["case_sensitive=True is ignored", "exit code 1"]),
        Step::of(
            "The place at fault",
            "file_search",
            &[WORKSPACE, ("pattern", Text("return Parser\\(")), ("path", Text("parse.py"))],
        )
        .says(&["return Parser(format, extra_types=extra_types)"]),
        Step::of(
            "The mend",
            "file_edit",
            &[WORKSPACE, ("path", Text("parse.py")), ("old", Text(WRONG)), ("new", Text(RIGHT))],
        )
        .says(&["1 replaced"]),
        Step::of("The defect is gone", "workspace_exec", &[WORKSPACE, ("command", Text(CHECK))])
            .says(&["as documented", "exit code 0"]),
        Step::of(
            "The project's own tests pass",
            "workspace_exec",
            &[WORKSPACE, ("command", Text(SUITE))],
        )
        .says(&["Ran 77 tests", "OK"]),
        Step::of(
            "The patch, for people",
            "workspace_diff",
            &[WORKSPACE, ("format", Text("patch"))],
        )
        .says(&["+++ b/parse.py", "1 changed: 0 added, 1 modified"]),
        Step::of("Back to the beginning, for another try", "workspace_reset", &[WORKSPACE])
            .says(&["State          running"]),
        Step::of("Nothing is left of the first one", "workspace_diff", &[WORKSPACE])
            .says(&["nothing has changed"]),
        THE_END,
    ],
};
