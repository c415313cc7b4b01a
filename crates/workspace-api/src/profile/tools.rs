//! The tools that profiles and modes choose from.
//!
//! A first sentence carries the words by which hosts find a tool; a field is
//! shown only where a model has a use for it.

use operation::tool::{Field, Load, Reply, Tool};

use super::records as r;

const WORKSPACE: Field = Field::told("workspace", "Name or id");
const COMMAND_ID: Field = Field::told("command", "Id from workspace_exec");
const SHELL_ID: Field = Field::told("shell", "Id from shell_open");
const SERVICE: Field = Field::told("service", "Name of the service");
const PATH: Field = Field::told("path", "Path in /workspace");
const LINE: Field = Field::shell_line("command", "Command line for bash");
const CWD: Field = Field::told("cwd", "Working directory [default: /workspace]");
const ENVIRONMENT: Field = Field::told("environment", "What it starts from");
const NAME: Field = Field::told("name", "Name to call it by");
const CPUS: Field = Field::own("cpus");
const MEMORY: Field = Field::told("memory_mib", "Memory in MiB");
const LABEL: Field = Field::told("label", "Labels, KEY=VALUE");
const NETWORK: Field = Field::told("network", "egress to reach public hosts");
const ALLOW: Field = Field::told("allow", "Reach only these hosts, such as *.example.org");
const SECRET: Field = Field::told("secret", "Names of secrets to give it");

const SEED_PATH: (&str, &str) = ("path", "null");

pub(super) const VM_RUN: Tool = Tool {
    name: "vm_run",
    operation: "run",
    about: "Run a shell command in a fresh, isolated Linux VM (sandbox, microVM) that is deleted afterwards.",
    fields: &[
        LINE,
        ENVIRONMENT,
        CWD,
        Field::told("timeout", "Kill it after this time, such as 20s"),
        NETWORK,
        ALLOW,
        SECRET,
    ],
    fixed: &[SEED_PATH],
    reply: Reply::Text,
    load: Load::Always,
};

pub(super) const CREATE: Tool = Tool {
    name: "workspace_create",
    operation: "workspace.create",
    about: "Create a disposable Linux sandbox (microVM workspace) to run, test and edit code in.",
    fields: &[NAME, ENVIRONMENT, CPUS, MEMORY, NETWORK, ALLOW],
    fixed: &[],
    reply: Reply::Record(r::CREATED),
    load: Load::Always,
};

pub(super) const CREATE_LABELLED: Tool =
    Tool { fields: &[NAME, ENVIRONMENT, CPUS, MEMORY, LABEL, NETWORK, ALLOW], ..CREATE };

pub(super) const EXEC: Tool = Tool {
    name: "workspace_exec",
    operation: "command.run",
    about: "Run (exec) a shell command in a workspace: build, test, inspect, execute. Returns within \
            25 s; what still runs goes on.",
    fields: &[WORKSPACE, LINE, CWD, Field::told("env", "Variables, KEY=VALUE"), SECRET],
    fixed: &[],
    reply: Reply::Text,
    load: Load::Always,
};

pub(super) const COMMAND_WAIT: Tool = Tool {
    name: "command_wait",
    operation: "command.wait",
    about: "Wait up to 25 s for a command that still runs.",
    fields: &[WORKSPACE, COMMAND_ID],
    fixed: &[("timeout", "\"25s\"")],
    reply: Reply::Text,
    load: Load::Always,
};

pub(super) const COMMAND_READ: Tool = Tool {
    name: "command_read",
    operation: "command.read",
    about: "Read output of a command from a position on.",
    fields: &[WORKSPACE, COMMAND_ID, Field::own("channel"), Field::told("cursor", "First byte")],
    fixed: &[("max_bytes", "7000")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const COMMAND_SIGNAL: Tool = Tool {
    name: "command_signal",
    operation: "command.signal",
    about: "Stop or signal a running command.",
    fields: &[WORKSPACE, COMMAND_ID, Field::told("signal", "Such as TERM, INT or KILL")],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const COMMAND_LIST: Tool = Tool {
    name: "command_list",
    operation: "command.list",
    about: "List the commands of a workspace, the newest first.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Record(r::COMMANDS),
    load: Load::OnDemand,
};

pub(super) const SHELL_OPEN: Tool = Tool {
    name: "shell_open",
    operation: "shell.open",
    about: "Open an interactive terminal (PTY shell) in a workspace, for REPLs, debuggers and prompts.",
    fields: &[WORKSPACE, CWD, SECRET],
    fixed: &[],
    reply: Reply::Record(r::OPENED),
    load: Load::OnDemand,
};

pub(super) const SHELL_READ: Tool = Tool {
    name: "shell_read",
    operation: "shell.read",
    about: "Read what a shell's terminal shows, once it is quiet.",
    fields: &[
        WORKSPACE,
        SHELL_ID,
        Field::told("cursor", "Position from the last read"),
        Field::own("view"),
        Field::told("idle", "First wait for so much silence, such as 300ms"),
    ],
    fixed: &[("timeout", "\"20s\""), ("max_bytes", "7000")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const SHELL_WRITE: Tool = Tool {
    name: "shell_write",
    operation: "shell.write",
    about: "Write to a shell: type into its terminal.",
    fields: &[
        WORKSPACE,
        SHELL_ID,
        Field::needed("text", "What to type; Enter is added"),
        Field::told("raw", "Do not add Enter"),
    ],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const SHELL_SIGNAL: Tool = Tool {
    name: "shell_signal",
    operation: "shell.signal",
    about: "Interrupt or signal what runs in a shell's terminal.",
    fields: &[WORKSPACE, SHELL_ID, Field::told("signal", "Such as INT or KILL")],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const SHELL_CLOSE: Tool = Tool {
    name: "shell_close",
    operation: "shell.close",
    about: "Close a shell and end what runs in it.",
    fields: &[WORKSPACE, SHELL_ID],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const FILE_LIST: Tool = Tool {
    name: "file_list",
    operation: "file.list",
    about: "List files of a workspace (ls, find, glob).",
    fields: &[
        WORKSPACE,
        Field::told("path", "Directory in /workspace"),
        Field::told("recursive", "Everything below it"),
        Field::told("glob", "Only matching names, such as *.rs"),
        Field::told("after", "Continue after this path"),
    ],
    fixed: &[("limit", "200")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const FILE_READ: Tool = Tool {
    name: "file_read",
    operation: "file.read",
    about: "Read a file of a workspace, or some lines of it.",
    fields: &[WORKSPACE, PATH, Field::told("lines", "Such as 10-40")],
    fixed: &[("max_bytes", "7000")],
    reply: Reply::Text,
    load: Load::Always,
};

pub(super) const FILE_WRITE: Tool = Tool {
    name: "file_write",
    operation: "file.write",
    about: "Write a file of a workspace: create or replace it.",
    fields: &[
        WORKSPACE,
        PATH,
        Field::needed("text", "The whole content"),
        Field::told("encoding", "What the text is"),
    ],
    fixed: &[("parents", "true")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const FILE_EDIT: Tool = Tool {
    name: "file_edit",
    operation: "file.edit",
    about: "Edit a file of a workspace: replace an exact text that occurs once.",
    fields: &[
        WORKSPACE,
        PATH,
        Field::told("old", "The text that is there, exactly"),
        Field::told("new", "What takes its place"),
        Field::told("all", "Replace every occurrence"),
    ],
    fixed: &[],
    reply: Reply::Text,
    load: Load::Always,
};

pub(super) const FILE_SEARCH: Tool = Tool {
    name: "file_search",
    operation: "file.search",
    about: "Search files of a workspace by regular expression (grep).",
    fields: &[
        WORKSPACE,
        Field::told("pattern", "Regular expression"),
        Field::told("path", "Directory or file"),
        Field::told("glob", "Only matching names, such as *.rs"),
        Field::told("context", "Lines around each match"),
    ],
    fixed: &[("limit", "100")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const FILE_MOVE: Tool = Tool {
    name: "file_move",
    operation: "file.move",
    about: "Move or rename a file or directory of a workspace.",
    fields: &[WORKSPACE, Field::own("from"), Field::own("to")],
    fixed: &[("parents", "true")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const FILE_COPY: Tool = Tool {
    name: "file_copy",
    operation: "file.copy",
    about: "Copy a file or directory of a workspace.",
    fields: &[WORKSPACE, Field::own("from"), Field::own("to")],
    fixed: &[("parents", "true")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const FILE_DELETE: Tool = Tool {
    name: "file_delete",
    operation: "file.delete",
    about: "Delete a file or directory of a workspace.",
    fields: &[WORKSPACE, PATH, Field::told("recursive", "A directory and all in it")],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const PATCH_APPLY: Tool = Tool {
    name: "patch_apply",
    operation: "patch.apply",
    about: "Apply a patch (unified diff, as git diff prints) to a workspace: everything or nothing.",
    fields: &[WORKSPACE, Field::needed("patch", "The patch")],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const DIFF: Tool = Tool {
    name: "workspace_diff",
    operation: "workspace.diff",
    about: "Show what changed in a workspace since it was created (git diff, patch).",
    fields: &[
        WORKSPACE,
        Field::told("path", "Only at or below these paths"),
        Field::told("against", "A snapshot to compare with instead"),
        Field::told("format", "How much of each change"),
        Field::told("after", "Continue after this path"),
    ],
    fixed: &[("limit", "200"), ("max_bytes", "7000")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const EXPORT: Tool = Tool {
    name: "workspace_export",
    operation: "workspace.export",
    about: "Export (copy out, download) a file of a workspace to the host.",
    fields: &[WORKSPACE, PATH, Field::told("to", "Where to put it on the host")],
    fixed: &[],
    reply: Reply::Record(r::EXPORTED),
    load: Load::OnDemand,
};

pub(super) const APPLY_BACK: Tool = Tool {
    name: "workspace_apply_back",
    operation: "workspace.apply-back",
    about: "Apply the changes of a workspace back to the project on the host, or say what that would do.",
    fields: &[
        WORKSPACE,
        Field::told("checkout", "Checkout of the host"),
        Field::told("path", "Only at or below these paths"),
        Field::told("mode", "plan says what would be done"),
        Field::own("conflicts"),
    ],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const SYNC_PUSH: Tool = Tool {
    name: "sync_push",
    operation: "sync.push",
    about: "Sync (upload, push) what changed in the project on the host into a workspace.",
    fields: &[
        WORKSPACE,
        Field::told("directory", "Directory of the host"),
        Field::told("delete", "Also delete what the host does not have"),
    ],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const SNAPSHOT_CREATE: Tool = Tool {
    name: "snapshot_create",
    operation: "snapshot.create",
    about: "Create a snapshot (checkpoint) of a running workspace: disk, memory and processes.",
    fields: &[WORKSPACE, Field::told("name", "Name of the snapshot")],
    fixed: &[],
    reply: Reply::Record(r::TAKEN),
    load: Load::OnDemand,
};

pub(super) const SNAPSHOT_LIST: Tool = Tool {
    name: "snapshot_list",
    operation: "snapshot.list",
    about: "List the snapshots of a workspace.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Record(r::SNAPSHOTS),
    load: Load::OnDemand,
};

pub(super) const SNAPSHOT_DELETE: Tool = Tool {
    name: "snapshot_delete",
    operation: "snapshot.delete",
    about: "Delete a snapshot of a workspace.",
    fields: &[WORKSPACE, Field::told("name", "Name of the snapshot")],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const FORK: Tool = Tool {
    name: "workspace_fork",
    operation: "workspace.fork",
    about: "Fork a running workspace into independent copies, to try things in parallel.",
    fields: &[
        WORKSPACE,
        Field::told("from", "Snapshot to fork instead"),
        Field::told("count", "How many"),
        Field::told("name", "Name of the copy, or what their names begin with"),
    ],
    fixed: &[],
    reply: Reply::Record(r::FORKED),
    load: Load::OnDemand,
};

pub(super) const SERVICE_START: Tool = Tool {
    name: "service_start",
    operation: "service.start",
    about: "Start a service (server, daemon) in a workspace, and wait until it is ready.",
    fields: &[
        WORKSPACE,
        Field::told("service", "Name to give it"),
        LINE,
        CWD,
        Field::told("ready", "file:PATH, tcp:PORT, http:PORT/PATH, command:SCRIPT or log:REGEX"),
        Field::told("restart", "When it is started again"),
        Field::told("after", "Services that have to be ready first"),
        SECRET,
    ],
    fixed: &[("ready_timeout", "\"25s\"")],
    reply: Reply::Record(r::STARTED),
    load: Load::OnDemand,
};

pub(super) const SERVICE_LIST: Tool = Tool {
    name: "service_list",
    operation: "service.list",
    about: "List the services of a workspace, and how they are.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Record(r::SERVICES),
    load: Load::OnDemand,
};

pub(super) const SERVICE_LOGS: Tool = Tool {
    name: "service_logs",
    operation: "service.logs",
    about: "Read the logs of a service: the last lines that it wrote.",
    fields: &[WORKSPACE, SERVICE, Field::told("tail", "How many lines")],
    fixed: &[("max_bytes", "3500")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const SERVICE_STOP: Tool = Tool {
    name: "service_stop",
    operation: "service.stop",
    about: "Stop a service of a workspace.",
    fields: &[WORKSPACE, SERVICE],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const NETWORK_SET: Tool = Tool {
    name: "network_set",
    operation: "network.set",
    about: "Set the network of a workspace: allow it to reach hosts, or cut it off.",
    fields: &[
        WORKSPACE,
        Field::own("network"),
        Field::told("allow", "Hosts, such as *.example.org or example.org:443"),
    ],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const NETWORK_LOG: Tool = Tool {
    name: "network_log",
    operation: "network.log",
    about: "Show the network log of a workspace: what it reached, what it was refused, and why.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const STATUS: Tool = Tool {
    name: "workspace_status",
    operation: "workspace.status",
    about: "Show the status of a workspace: state, source, sizes, activity.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Record(r::SHOWN),
    load: Load::OnDemand,
};

pub(super) const LIST: Tool = Tool {
    name: "workspace_list",
    operation: "workspace.list",
    about: "List the workspaces, the one used last first.",
    fields: &[],
    fixed: &[],
    reply: Reply::Record(r::LISTED),
    load: Load::OnDemand,
};

pub(super) const LOGS: Tool = Tool {
    name: "workspace_logs",
    operation: "workspace.logs",
    about: "Show the logs (history) of a workspace: commands, edits, network decisions.",
    fields: &[WORKSPACE, Field::told("after", "Only after this sequence number")],
    fixed: &[("limit", "50")],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const SUMMARY: Tool = Tool {
    name: "workspace_summary",
    operation: "workspace.summary",
    about: "Summary for review: what ran, changed and failed in a workspace since its last reset.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const RESET: Tool = Tool {
    name: "workspace_reset",
    operation: "workspace.reset",
    about: "Reset a workspace to how it was created, or to a snapshot, to start over cleanly.",
    fields: &[WORKSPACE, Field::told("to", "Snapshot")],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const STOP: Tool = Tool {
    name: "workspace_stop",
    operation: "workspace.stop",
    about: "Stop a workspace; its disk stays.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const START: Tool = Tool {
    name: "workspace_start",
    operation: "workspace.start",
    about: "Start a stopped workspace from its disk.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};

pub(super) const DELETE: Tool = Tool {
    name: "workspace_delete",
    operation: "workspace.delete",
    about: "Delete a workspace and everything in it.",
    fields: &[WORKSPACE],
    fixed: &[],
    reply: Reply::Text,
    load: Load::OnDemand,
};
