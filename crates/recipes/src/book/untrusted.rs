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
        Step {
            about: "A machine without a network",
            tool: "workspace_create",
            arguments: CREATE,
            says: &["State          running", "7 files"],
            learns: LEARNS_WORKSPACE,
        },
        Step {
            about: "What there is",
            tool: "file_list",
            arguments: &[WORKSPACE, ("recursive", Yes)],
            says: &["install.js", "package.json"],
            learns: &[],
        },
        Step {
            about: "Scripts that run at installation",
            tool: "file_search",
            arguments: &[WORKSPACE, ("pattern", Text("\"(pre|post)?install\""))],
            says: &["\"postinstall\": \"node install.js\""],
            learns: &[],
        },
        Step {
            about: "What that script does",
            tool: "file_read",
            arguments: &[WORKSPACE, ("path", Text("install.js")), ("lines", Text("136-200"))],
            says: &["https.get", "execSync"],
            learns: &[],
        },
        Step {
            about: "A report, made inside",
            tool: "workspace_exec",
            arguments: &[WORKSPACE, ("command", Text(REPORT))],
            says: &["postinstall: node install.js", "https.get(", "exit code 0"],
            learns: &[],
        },
        Step {
            about: "Nothing is reached from there",
            tool: "workspace_exec",
            arguments: &[
                WORKSPACE,
                ("command", Text("curl --silent --show-error --max-time 10 https://example.org/")),
            ],
            says: &["Could not resolve host", "exit code 6"],
            learns: &[],
        },
        Step {
            about: "What was done, for the record",
            tool: "workspace_summary",
            arguments: &[WORKSPACE],
            says: &["Commands       2, 1 failed", "unbroken"],
            learns: &[],
        },
        Step {
            about: "The machine goes, and whatever was in it",
            tool: "workspace_delete",
            arguments: &[WORKSPACE],
            says: &["Deleted"],
            learns: &[],
        },
    ],
};
