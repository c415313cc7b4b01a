//! The contract of workspaces: the words of the product and the operations on
//! them. It does no I/O and reads no clock.
//!
//! * [`id`], [`digest`], [`spec`] and [`time`]: values that are parsed once, at the edge.
//! * [`ceiling`]: what somebody who is not the operator may have done at most.
//! * [`label`]: what workspaces are found by.
//! * [`ledger`]: what can happen in a workspace.
//! * [`idle`]: what becomes of one that nobody uses.
//! * [`state`]: the states of a workspace and [`state::next`], the only judge
//!   of legal steps.
//! * One module per noun with its operations: [`run`], [`seed`], [`prepare`], [`mod@env`],
//!   [`doctor`], [`workspace`].
//!
//! The table that all faces are derived from is [`operations`].

pub mod ceiling;
pub mod command;
pub mod crossing;
pub mod diff;
pub mod digest;
pub mod disk;
pub mod doctor;
pub mod env;
pub mod file;
pub mod host;
pub mod id;
pub mod idle;
pub mod job;
pub mod label;
pub mod ledger;
pub mod logs;
pub mod network;
pub mod output;
pub mod patch;
pub mod path;
pub mod port;
pub mod prepare;
pub mod profile;
pub mod run;
pub mod secret;
pub mod seed;
pub mod service;
pub mod shell;
pub mod snapshot;
pub mod spec;
pub mod state;
pub mod summary;
pub mod sync;
pub mod time;
pub mod workspace;

use operation::cli::Noun;

operation::operations! {
    /// Implemented by whatever carries out every operation on workspaces.
    WorkspaceOperations:
    run::Run,
    prepare::Prepare,
    doctor::Doctor,
    workspace::Create,
    workspace::Exec,
    workspace::List,
    workspace::Status,
    workspace::Reset,
    workspace::Fork,
    workspace::Update,
    workspace::Stop,
    workspace::Hibernate,
    workspace::Start,
    workspace::Export,
    workspace::ApplyBack,
    workspace::Delete,
    sync::Push,
    file::List,
    file::Stat,
    file::Read,
    file::Write,
    file::Edit,
    file::Mkdir,
    file::Move,
    file::Copy,
    file::Delete,
    file::Search,
    patch::Apply,
    diff::Diff,
    logs::Logs,
    summary::Summarize,
    command::Run,
    command::Start,
    command::List,
    command::Status,
    command::Wait,
    command::Read,
    command::Send,
    shell::Open,
    shell::List,
    shell::Read,
    shell::Write,
    shell::Resize,
    shell::Send,
    shell::Close,
    secret::Set,
    secret::List,
    secret::Delete,
    snapshot::Create,
    snapshot::List,
    snapshot::Delete,
    service::Start,
    service::List,
    service::Status,
    service::Logs,
    service::Stop,
    service::Restart,
    diff::Compare,
    network::operations::Show,
    network::operations::Set,
    network::operations::Log,
    port::Publish,
    port::List,
    port::Unpublish,
    disk::List,
    disk::Read,
    disk::Export,
    env::List,
    env::Inspect,
    env::Pull,
    env::Build,
    env::Prune,
    host::List,
    host::Connect,
    host::PrintConfig,
    host::Check,
    host::Repair,
    host::Disconnect,
}

/// The nouns of the operations' names, and their help.
pub const NOUNS: &[Noun] = &[
    Noun { name: "workspace", about: "Disposable machines that an agent inhabits" },
    Noun { name: "sync", about: "Changes of the host for a workspace" },
    Noun { name: "file", about: "Files of a workspace" },
    Noun { name: "patch", about: "Patches for a workspace" },
    Noun { name: "command", about: "Commands in the background of a workspace" },
    Noun { name: "shell", about: "Programs on terminals, inhabited across many calls" },
    Noun { name: "secret", about: "Values that commands get and nobody else sees" },
    Noun { name: "snapshot", about: "States that a workspace can go back to" },
    Noun { name: "service", about: "Named processes that a workspace looks after" },
    Noun { name: "network", about: "What a workspace may reach, and what it was refused" },
    Noun { name: "port", about: "Ports of a workspace that can be reached from this host" },
    Noun { name: "disk", about: "Disks of a stopped workspace, read without booting it" },
    Noun { name: "env", about: "Environments: what a workspace starts from" },
    Noun { name: "host", about: "Chat hosts, and what connects them with workspaces" },
];
