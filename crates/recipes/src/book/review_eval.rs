//! A change is reviewed: tried out, broken on purpose, reported.

use super::{CHECK, CREATE, ENVIRONMENT, LEARNS_WORKSPACE, SUITE, WORKSPACE};
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
        Step {
            about: "A machine with the project as it was",
            tool: "workspace_create",
            arguments: CREATE,
            says: &["State          running"],
            learns: LEARNS_WORKSPACE,
        },
        Step {
            about: "The change under review",
            tool: "patch_apply",
            arguments: &[WORKSPACE, ("patch", Text(CHANGE))],
            says: &["M parse.py +1 -1"],
            learns: &[],
        },
        Step {
            about: "A terminal with an interpreter in it",
            tool: "shell_open",
            arguments: &[WORKSPACE],
            says: &["State     running"],
            learns: &[("shell", "sh_")],
        },
        Step {
            about: "The interpreter",
            tool: "shell_write",
            arguments: &[WORKSPACE, SHELL, ("text", Text("python3 -B -q -i -c 'import parse'"))],
            says: &["Typed"],
            learns: &[],
        },
        Step {
            about: "It is there",
            tool: "shell_read",
            arguments: &[WORKSPACE, SHELL, ("idle", Text("1s"))],
            says: &[">>>"],
            learns: &[],
        },
        Step {
            about: "The machine as it is now, interpreter included",
            tool: "snapshot_create",
            arguments: &[WORKSPACE, ("name", Text("changed"))],
            says: &["changed"],
            learns: &[],
        },
        Step {
            about: "The change, tried by hand",
            tool: "shell_write",
            arguments: &[
                WORKSPACE,
                SHELL,
                (
                    "text",
                    Text("print('matches:', parse.compile('A', case_sensitive=True).parse('a'))"),
                ),
            ],
            says: &["Typed"],
            learns: &[],
        },
        Step {
            about: "It does what it says",
            tool: "shell_read",
            arguments: &[WORKSPACE, SHELL, ("idle", Text("1s"))],
            says: &["matches: None"],
            learns: &[],
        },
        Step {
            about: "An experiment: without the change",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text("git checkout --quiet parse.py"))],
            says: &["exit code 0"],
            learns: &[],
        },
        Step {
            about: "The tests do not notice: a finding",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(SUITE))],
            says: &["OK"],
            learns: &[],
        },
        Step {
            about: "Back to the change, with the interpreter as it was",
            tool: "workspace_reset",
            arguments: &[WORKSPACE, ("to", Text("changed"))],
            says: &["State          running"],
            learns: &[],
        },
        Step {
            about: "The change is in place",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(CHECK))],
            says: &["as documented"],
            learns: &[],
        },
        Step {
            about: "And all tests pass with it",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(SUITE))],
            says: &["Ran 77 tests", "OK"],
            learns: &[],
        },
        Step {
            about: "The report",
            tool: "workspace_summary",
            arguments: &[WORKSPACE],
            says: &["Commands       2, 0 failed", "unbroken"],
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
