//! Modes: purposes, each with its own tools and words.

use operation::tool::{Profile, Tool};

use super::tools as t;

/// Reproduce a defect, mend it, prove it. Edits say what a patch would, so that there
/// is room for bringing the mend home.
pub const REPRO_FIX: Profile = Profile {
    name: "repro-fix",
    about: "Reproduce a defect, mend it, prove it; start over with a reset",
    instructions: "Reproduce and fix a defect in a disposable Linux microVM. workspace_create, run \
                   the failing test with workspace_exec, mend with file_edit, run it again, show the \
                   fix with workspace_diff. After a wrong turn: workspace_reset. \
                   workspace_apply_back, if it is there, brings the fix to the project.",
    tools: &[
        t::CREATE,
        t::EXEC,
        t::COMMAND_WAIT,
        t::COMMAND_READ,
        t::FILE_READ,
        t::FILE_WRITE,
        t::FILE_EDIT,
        t::FILE_SEARCH,
        t::DIFF,
        t::APPLY_BACK,
        t::RESET,
        t::DELETE,
    ],
};

/// Look at what is not trusted.
pub const INSPECT: Profile = Profile {
    name: "inspect",
    about: "Look at untrusted code: no network, no secrets, only single files leave",
    instructions: "Inspect untrusted code in an isolated Linux microVM without a network. \
                   workspace_create, then read and search; run it only in there. Write a report in \
                   the workspace; workspace_export, if it is there, hands that one file out.",
    tools: &[
        Tool {
            about: "Create an isolated sandbox (microVM workspace) without network for untrusted code.",
            ..t::CREATE
        },
        t::EXEC,
        t::COMMAND_WAIT,
        t::COMMAND_READ,
        t::FILE_LIST,
        t::FILE_READ,
        t::FILE_SEARCH,
        t::DIFF,
        t::EXPORT,
        t::SUMMARY,
        t::DELETE,
    ],
};

/// Does it build and run from nothing?
pub const COLD_START: Profile = Profile {
    name: "cold-start",
    about: "Prove that a project builds and runs on a fresh machine",
    instructions: "Validate that a project builds, tests and starts on a fresh Linux microVM, \
                   following its own documentation. workspace_create, then workspace_exec each \
                   documented step, service_start what is a server; workspace_reset before a second try; workspace_summary is the \
                   report.",
    tools: &[
        t::CREATE,
        t::EXEC,
        t::COMMAND_WAIT,
        t::COMMAND_READ,
        t::SERVICE_START,
        t::SERVICE_LOGS,
        t::SERVICE_STOP,
        t::FILE_READ,
        t::EXPORT,
        t::RESET,
        t::SUMMARY,
        t::DELETE,
    ],
};

/// Review and evaluate a change. What it comes to is a report, so nothing is copied
/// out; a file that somebody wants can be read by address.
pub const REVIEW_EVAL: Profile = Profile {
    name: "review-eval",
    about: "Review and evaluate a change: check points, terminals, a report",
    instructions: "Review a change in a disposable Linux microVM. workspace_create, apply the change \
                   with patch_apply, keep a check point with snapshot_create, evaluate it with workspace_exec or a terminal (shell_open), \
                   and report with workspace_summary.",
    tools: &[
        t::CREATE,
        t::EXEC,
        t::COMMAND_WAIT,
        t::SHELL_OPEN,
        t::SHELL_READ,
        t::SHELL_WRITE,
        t::PATCH_APPLY,
        t::DIFF,
        t::SNAPSHOT_CREATE,
        t::RESET,
        t::SUMMARY,
        t::DELETE,
    ],
};
