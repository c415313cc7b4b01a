//! Does a project work on a machine that has never seen it?

use super::{CREATE, ENVIRONMENT, LEARNS_WORKSPACE, THE_END, WORKSPACE};
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
        Step::of("A machine that has never seen the project", "workspace_create", CREATE)
            .says(&["State          running", "53 files"])
            .learns(LEARNS_WORKSPACE),
        Step::of(
            "What the documentation says",
            "file_read",
            &[WORKSPACE, ("path", Text("README.rst")), ("lines", Text("40-65"))],
        )
        .says(&["Run this script", "There are no hard dependencies"]),
        Step::of(
            "The tests",
            "workspace_exec",
            &[
                WORKSPACE,
                ("command", Text("python3 -m unittest discover -s test -t . 2>&1 | tail -3")),
            ],
        )
        .says(&["Ran 359 tests", "OK"]),
        Step::of(
            "The example, as it is printed there",
            "workspace_exec",
            &[WORKSPACE, ("command", Text(EXAMPLE))],
        )
        .says(&["from bottle import route, run, template", "run(host='localhost', port=8080)"]),
        Step::of(
            "The example as a service, ready when it answers",
            "service_start",
            &[
                WORKSPACE,
                ("service", Text("hello")),
                ("command", Text("PYTHONPATH=. exec python3 /tmp/hello.py")),
                ("ready", Text("http:8080/hello/world")),
            ],
        )
        .says(&["ready"]),
        Step::of(
            "It says what it should",
            "workspace_exec",
            &[
                WORKSPACE,
                ("command", Text("curl --silent --show-error http://localhost:8080/hello/hotcell")),
            ],
        )
        .says(&["<b>Hello hotcell</b>!"]),
        Step::of(
            "What the service wrote",
            "service_logs",
            &[WORKSPACE, ("service", Text("hello"))],
        )
        .says(&["GET /hello/hotcell"]),
        Step::of("The service ends", "service_stop", &[WORKSPACE, ("service", Text("hello"))])
            .says(&["stopped"]),
        Step::of("The report", "workspace_summary", &[WORKSPACE]).says(&["0 failed", "unbroken"]),
        THE_END,
    ],
};
