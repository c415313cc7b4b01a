//! Does a project work on a machine that has never seen it?

use super::{CREATE, ENVIRONMENT, LEARNS_WORKSPACE, WORKSPACE};
use crate::Value::Text;
use crate::project::BOTTLE;
use crate::{Recipe, Step};

/// Takes the example out of the project's own documentation.
const EXAMPLE: &str = "sed -n '/^  from bottle/,/^  run(/s/^  //p' README.rst | tee /tmp/hello.py";

/// Validate a project from a cold start.
pub static COLD_START: Recipe = Recipe {
    name: "cold-start",
    title: "Prove that a project works on a fresh machine",
    story: "What works for its authors may lean on what they installed years ago. The agent \
            follows the project's own documentation on a machine that has nothing but the \
            environment: runs the tests, starts the server that the README shows, asks it \
            something, and reports.",
    task: "Does this project work on a fresh machine? Run its tests, start the example of its \
           README as a service, and show that it answers.",
    mode: "cold-start",
    environment: ENVIRONMENT,
    project: &BOTTLE,
    steps: &[
        Step {
            about: "A machine that has never seen the project",
            tool: "workspace_create",
            arguments: CREATE,
            says: &["State          running", "53 files"],
            learns: LEARNS_WORKSPACE,
        },
        Step {
            about: "What the documentation says",
            tool: "file_read",
            arguments: &[WORKSPACE, ("path", Text("README.rst")), ("lines", Text("40-65"))],
            says: &["Run this script", "There are no hard dependencies"],
            learns: &[],
        },
        Step {
            about: "The tests",
            tool: "workspace_exec",
            arguments: &[
                WORKSPACE,
                ("command", Text("python3 -m unittest discover -s test -t . 2>&1 | tail -3")),
            ],
            says: &["Ran 359 tests", "OK"],
            learns: &[],
        },
        Step {
            about: "The example, as it is printed there",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(EXAMPLE))],
            says: &["from bottle import route, run, template", "run(host='localhost', port=8080)"],
            learns: &[],
        },
        Step {
            about: "The example as a service, ready when it answers",
            tool: "service_start",
            arguments: &[
                WORKSPACE,
                ("service", Text("hello")),
                ("command", Text("PYTHONPATH=. exec python3 /tmp/hello.py")),
                ("ready", Text("http:8080/hello/world")),
            ],
            says: &["ready"],
            learns: &[],
        },
        Step {
            about: "It says what it should",
            tool: "workspace_exec",
            arguments: &[
                WORKSPACE,
                ("command", Text("curl --silent --show-error http://localhost:8080/hello/hotcell")),
            ],
            says: &["<b>Hello hotcell</b>!"],
            learns: &[],
        },
        Step {
            about: "What the service wrote",
            tool: "service_logs",
            arguments: &[WORKSPACE, ("service", Text("hello"))],
            says: &["GET /hello/hotcell"],
            learns: &[],
        },
        Step {
            about: "The service ends",
            tool: "service_stop",
            arguments: &[WORKSPACE, ("service", Text("hello"))],
            says: &["stopped"],
            learns: &[],
        },
        Step {
            about: "The report",
            tool: "workspace_summary",
            arguments: &[WORKSPACE],
            says: &["0 failed", "unbroken"],
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
