//! A change is reviewed: tried out, broken on purpose, reported.

use super::{CHECK, CREATE, ENVIRONMENT, LEARNS_WORKSPACE, SUITE, THE_END, WORKSPACE};
use crate::Value::{Learned, Text};
use crate::project::PARSE;
use crate::{Recipe, Step};

const SHELL: (&str, crate::Value) = ("shell", Learned("shell"));

/// The change under review: what the author published as 1.12.1.
const CHANGE: &str = "--- a/parse.py
+++ b/parse.py
@@ -1310,7 +1310,7 @@
 
     Returns a Parser instance.
     '''
-    return Parser(format, extra_types=extra_types)
+    return Parser(format, extra_types=extra_types, case_sensitive=case_sensitive)
 
 
 # Copyright (c) 2012-2019 Richard Jones <richard@python.org>
";

/// Review and evaluate a change.
pub static REVIEW_EVAL: Recipe = Recipe {
    name: "review-eval",
    title: "Review a change by trying it",
    story: "Reading a patch says what it means to do; running it says what it does. The reviewer \
            keeps a snapshot of the machine with the change in place, tries it by hand in a \
            terminal, and goes back to the snapshot, memory and all, after each experiment. The \
            summary is the report.",
    task: "Review this patch for `parse`: apply it, try it in an interpreter, run the tests, and \
           find out whether they would notice if the change were taken out again.",
    mode: "review-eval",
    environment: ENVIRONMENT,
    project: &PARSE,
    steps: &[
        Step::of("A machine with the project as it was", "workspace_create", CREATE)
            .says(&["State          running"])
            .learns(LEARNS_WORKSPACE),
        Step::of("The change under review", "patch_apply", &[WORKSPACE, ("patch", Text(CHANGE))])
            .says(&["M parse.py +1 -1"]),
        Step::of("A terminal with an interpreter in it", "shell_open", &[WORKSPACE])
            .says(&["State     running"])
            .learns(&[("shell", "sh_")]),
        Step::of(
            "The interpreter",
            "shell_write",
            &[WORKSPACE, SHELL, ("text", Text("python3 -B -q -i -c 'import parse'"))],
        )
        .says(&["Typed"]),
        Step::of("It is there", "shell_read", &[WORKSPACE, SHELL, ("idle", Text("2s"))])
            .says(&[">>>"]),
        Step::of(
            "The machine as it is now, interpreter included",
            "snapshot_create",
            &[WORKSPACE, ("name", Text("changed"))],
        )
        .says(&["changed"]),
        Step::of(
            "The change, tried by hand",
            "shell_write",
            &[
                WORKSPACE,
                SHELL,
                (
                    "text",
                    Text("print('matches:', parse.compile('A', case_sensitive=True).parse('a'))"),
                ),
            ],
        )
        .says(&["Typed"]),
        Step::of("It does what it says", "shell_read", &[WORKSPACE, SHELL, ("idle", Text("2s"))])
            .says(&["matches: None"]),
        Step::of(
            "An experiment: without the change",
            "workspace_exec",
            &[WORKSPACE, ("command", Text("git checkout --quiet parse.py"))],
        )
        .says(&["exit code 0"]),
        Step::of(
            "The tests do not notice: a finding",
            "workspace_exec",
            &[WORKSPACE, ("command", Text(SUITE))],
        )
        .says(&["OK"]),
        Step::of(
            "Back to the change, with the interpreter as it was",
            "workspace_reset",
            &[WORKSPACE, ("to", Text("changed"))],
        )
        .says(&["State          running"]),
        Step::of(
            "The change is in place",
            "workspace_exec",
            &[WORKSPACE, ("command", Text(CHECK))],
        )
        .says(&["as documented"]),
        Step::of(
            "And all tests pass with it",
            "workspace_exec",
            &[WORKSPACE, ("command", Text(SUITE))],
        )
        .says(&["Ran 77 tests", "OK"]),
        Step::of("The report", "workspace_summary", &[WORKSPACE])
            .says(&["Commands       2, 0 failed", "unbroken"]),
        THE_END,
    ],
};
