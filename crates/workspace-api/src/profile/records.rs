//! What tools tell as records: ids, states and counts, which scripts go on with.
//!
//! Hosts that know structure show a model nothing else, so everything is here that
//! the next call needs, and nothing that may grow long: no list of files, no output.

/// What is told of a workspace to whoever goes on in it.
pub(super) const CREATED: &[&str] = &[
    "id",
    "name",
    "labels",
    "state",
    "environment",
    "shape",
    "seed.source",
    "seed.origin",
    "seed.commit",
    "seed.files",
    "seed.left_out_total",
    "seed.lfs_pointers_total",
];
pub(super) const SHOWN: &[&str] = &[
    "id",
    "name",
    "labels",
    "state",
    "reason",
    "environment",
    "accelerator",
    "shape",
    "created_at",
    "last_activity_at",
    "expires_at",
    "seed.source",
    "seed.origin",
    "seed.commit",
    "seed.files",
    "seed.left_out_total",
    "seed.lfs_pointers_total",
    "secrets",
    "disk_bytes",
    "disk_max_bytes",
    "memory_bytes",
    "activity",
];
pub(super) const LISTED: &[&str] = &[
    "workspaces.id",
    "workspaces.name",
    "workspaces.state",
    "workspaces.environment",
    "workspaces.last_activity_at",
    "workspaces.activity.running_commands",
    "workspaces.activity.ready_services",
];
pub(super) const FORKED: &[&str] = &["parent", "children.id", "children.name", "children.state"];
pub(super) const COMMANDS: &[&str] =
    &["commands.id", "commands.argv", "commands.status.state", "commands.status.exit_code"];
pub(super) const OPENED: &[&str] = &["id", "argv", "status.state"];
pub(super) const TAKEN: &[&str] = &["workspace", "snapshot.name", "snapshot.created_at"];
pub(super) const SNAPSHOTS: &[&str] =
    &["snapshots.name", "snapshots.created_at", "snapshots.disk_bytes", "snapshots.jobs"];
pub(super) const STARTED: &[&str] = &["name", "state", "reason", "ready_at", "restarts"];
pub(super) const SERVICES: &[&str] = &[
    "services.name",
    "services.state",
    "services.reason",
    "services.ready_at",
    "services.restarts",
];
pub(super) const EXPORTED: &[&str] = &["path", "to", "kind", "bytes", "left_out_total"];
