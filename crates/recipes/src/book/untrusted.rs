//! Code that nobody trusts is looked at.

use super::{CREATE, ENVIRONMENT, LEARNS_WORKSPACE, WORKSPACE};
use crate::Value::{Text, Yes};
use crate::project::ESBUILD;
use crate::{Recipe, Step};

/// Says what a package does when it is installed, without installing it.
const REPORT: &str = "{
  echo '# What runs at installation'
  jq -r '.scripts | to_entries[] | \"\\(.key): \\(.value)\"' package.json
  echo '# Programs that it starts'
  grep -nE 'execFileSync|execSync|spawn' install.js
  echo '# Hosts that it asks'
  grep -nE 'https?\\.get|fetch\\(' install.js
} > /tmp/report.txt; cat /tmp/report.txt";

/// Look at untrusted code.
pub static UNTRUSTED: Recipe = Recipe {
    name: "untrusted",
    title: "Look at code that you do not trust",
    story: "A package that somebody recommends may do anything when it is installed or even when \
            its tests run. The agent looks at it in a machine without a network, without secrets \
            and without your files. What it runs there stays there, and only what you ask for \
            comes out.",
    task: "Before we install this package: what does it run when it is installed, which programs \
           does it start, and what does it load from the network? Do not let it reach anything.",
    mode: "inspect",
    environment: ENVIRONMENT,
    project: &ESBUILD,
    steps: &[
        Step::of("A machine without a network", "workspace_create", CREATE)
            .says(&["State          running", "7 files"])
            .learns(LEARNS_WORKSPACE),
        Step::of("What there is", "file_list", &[WORKSPACE, ("recursive", Yes)])
            .says(&["install.js", "package.json"]),
        Step::of(
            "Scripts that run at installation",
            "file_search",
            &[WORKSPACE, ("pattern", Text("\"(pre|post)?install\""))],
        )
        .says(&["\"postinstall\": \"node install.js\""]),
        Step::of(
            "What that script does",
            "file_read",
            &[WORKSPACE, ("path", Text("install.js")), ("lines", Text("136-200"))],
        )
        .says(&["https.get", "execSync"]),
        Step::of(
            "A report, made inside",
            "workspace_exec",
            &[WORKSPACE, ("command", Text(REPORT))],
        )
        .says(&["postinstall: node install.js", "https.get(", "exit code 0"]),
        Step::of(
            "Nothing is reached from there",
            "workspace_exec",
            &[
                WORKSPACE,
                ("command", Text("curl --silent --show-error --max-time 10 https://example.org/")),
            ],
        )
        .says(&["Could not resolve host", "exit code 6"]),
        Step::of("What was done, for the record", "workspace_summary", &[WORKSPACE])
            .says(&["Commands       2, 1 failed", "unbroken"]),
        Step::of("The machine goes, and whatever was in it", "workspace_delete", &[WORKSPACE])
            .says(&["Deleted"]),
    ],
};
