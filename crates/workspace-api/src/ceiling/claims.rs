//! What each operation wants of the world.

use operation::Operation;

use super::{PROJECT_LABEL, Scope};
use crate::id::WorkspaceRef;
use crate::label::{Label, LabelKey};
use crate::network::NetworkOptions;
use crate::run::CommandOptions;
use crate::secret::SecretUse;
use crate::seed::Seed;
use crate::spec::Shape;
use crate::workspace::{ApplyMode, ArchiveFormat, Danger, Existing, ExportedKind};
use crate::{
    command, diff, disk, doctor, env, file, host, logs, network, patch, port, prepare, run, secret,
    service, shell, snapshot, summary, sync, workspace,
};

/// Something that a request wants, and that somebody may want to limit.
#[derive(Debug)]
pub enum Claim<'a> {
    /// To use a workspace, or what is left of it.
    Workspace(&'a mut WorkspaceRef),
    /// To make so many workspaces.
    Making(u32),
    /// Labels for what is made.
    Naming(&'a mut Vec<Label>),
    /// To set or remove labels with these keys.
    Labelling(Vec<&'a LabelKey>),
    /// A machine of this shape.
    Shape(&'a mut Shape),
    /// To give a machine another size, in whichever of both.
    Resizing {
        /// Virtual processors.
        cpus: Option<u8>,
        /// Memory in MiB.
        memory_mib: Option<u32>,
    },
    /// To reach something.
    Network(&'a mut NetworkOptions),
    /// To start from something.
    Source(&'a mut Seed),
    /// To give secrets to a command.
    Secrets(&'a [SecretUse]),
    /// Whether content may leave that holds the value of a secret.
    SecretsLeave(bool),
    /// To read a directory or a file of the host.
    Reading(&'a mut String),
    /// To write something to the host.
    Leaving(Leaving<'a>),
    /// To apply changes to a checkout of the host.
    Returning(Returning<'a>),
    /// What only an operator does: the operation's name.
    Operator(&'static str),
}

/// A copy to the host.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// The place.
    pub to: &'a mut String,
    /// What becomes of what is there.
    pub existing: Existing,
    /// Whether it becomes an archive.
    pub archive: Option<ArchiveFormat>,
    /// What may be copied.
    pub kind: &'a mut Option<ExportedKind>,
}

impl Leaving<'_> {
    /// Whether it is at most one file that replaces nothing.
    pub(super) fn is_plain(&self) -> bool {
        self.existing == Existing::Refuse
            && self.archive.is_none()
            && matches!(self.kind, None | Some(ExportedKind::File))
    }

    /// Has anything refused that is no regular file.
    pub(super) fn only_a_file(&mut self) {
        *self.kind = Some(ExportedKind::File);
    }
}

/// Changes for a checkout of the host.
#[derive(Debug)]
pub struct Returning<'a> {
    /// The checkout.
    pub checkout: &'a mut String,
    /// Whether anything is changed.
    pub mode: ApplyMode,
    /// Dangers that are allowed.
    pub allow: &'a [Danger],
}

/// An operation that says what it wants of the world.
pub trait Claims: Operation {
    /// What it wants: all of it.
    fn claims(&mut self) -> Vec<Claim<'_>>;

    /// Takes out of an answer what lies outside a scope.
    fn conceal(_: &mut Self::Output, _: &Scope) {}
}

/// Operations on a workspace that want nothing else.
macro_rules! in_a_workspace {
    ($($operation:ty),+ $(,)?) => {
        $(impl Claims for $operation {
            fn claims(&mut self) -> Vec<Claim<'_>> {
                vec![Claim::Workspace(&mut self.workspace)]
            }
        })+
    };
}

in_a_workspace!(
    workspace::Status,
    workspace::Reset,
    workspace::Stop,
    workspace::Hibernate,
    workspace::Start,
    workspace::Delete,
    file::List,
    file::Stat,
    file::Write,
    file::Edit,
    file::Mkdir,
    file::Move,
    file::Copy,
    file::Delete,
    file::Search,
    logs::Logs,
    summary::Summarize,
    command::List,
    command::Status,
    command::Wait,
    command::Read,
    command::Send,
    shell::List,
    shell::Read,
    shell::Write,
    shell::Resize,
    shell::Send,
    shell::Close,
    snapshot::Create,
    snapshot::List,
    snapshot::Delete,
    service::List,
    service::Status,
    service::Logs,
    service::Stop,
    service::Restart,
    network::operations::Show,
    network::operations::Log,
    port::List,
    disk::List,
);

/// Operations that start something, which may be given secrets.
macro_rules! with_secrets {
    ($($operation:ty),+ $(,)?) => {
        $(impl Claims for $operation {
            fn claims(&mut self) -> Vec<Claim<'_>> {
                vec![
                    Claim::Workspace(&mut self.workspace),
                    Claim::Secrets(&self.options.secret),
                ]
            }
        })+
    };
}

with_secrets!(workspace::Exec, command::Run, command::Start, shell::Open);

/// Operations that show content of a workspace as it is, and which of their fields
/// says whether values of secrets may be in it.
macro_rules! shows_content {
    ($($operation:ty: $($allowed:ident).+),+ $(,)?) => {
        $(impl Claims for $operation {
            fn claims(&mut self) -> Vec<Claim<'_>> {
                vec![
                    Claim::Workspace(&mut self.workspace),
                    Claim::SecretsLeave(self.$($allowed).+),
                ]
            }
        })+
    };
}

shows_content!(
    file::Read: allow_secrets,
    diff::Diff: extent.allow_secrets,
    diff::Compare: extent.allow_secrets,
    disk::Read: allow_secrets,
);

/// Operations on the host itself: what is installed, kept or let in there.
macro_rules! operator_only {
    ($($operation:ty),+ $(,)?) => {
        $(impl Claims for $operation {
            fn claims(&mut self) -> Vec<Claim<'_>> {
                vec![Claim::Operator(<$operation>::NAME)]
            }
        })+
    };
}

operator_only!(
    prepare::Prepare,
    doctor::Doctor,
    env::Pull,
    env::Build,
    env::Prune,
    secret::Set,
    secret::List,
    secret::Delete,
    disk::Export,
    port::Publish,
    port::Unpublish,
    host::List,
    host::Connect,
    host::PrintConfig,
    host::Check,
    host::Repair,
    host::Disconnect,
);

/// Operations that anybody may ask for.
macro_rules! for_everybody {
    ($($operation:ty),+ $(,)?) => {
        $(impl Claims for $operation {
            fn claims(&mut self) -> Vec<Claim<'_>> {
                Vec::new()
            }
        })+
    };
}

for_everybody!(env::List, env::Inspect);

// What follows names all fields of its request: one that is added has to be thought
// of here, or it does not compile.

impl Claims for run::Run {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self { environment: _, shape, seed, network_policy, options, command: _ } = self;
        let CommandOptions { timeout: _, env: _, secret, cwd: _ } = options;
        let mut claims = vec![
            Claim::Shape(shape),
            Claim::Network(network_policy),
            Claim::Secrets(secret),
            Claim::Making(1),
        ];
        // Unless it names a source it starts empty, wherever workspaces start from.
        let Seed { path, files: _, repo_url, repo_ref: _ } = &*seed;
        if path.is_some() || repo_url.is_some() {
            claims.push(Claim::Source(seed));
        }
        claims
    }
}

impl Claims for workspace::Create {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self { environment: _, name: _, label, shape, seed, network_policy, idle: _ } = self;
        vec![
            Claim::Shape(shape),
            Claim::Source(seed),
            Claim::Network(network_policy),
            Claim::Naming(label),
            Claim::Making(1),
        ]
    }
}

impl Claims for workspace::Fork {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self { workspace, from: _, count, name: _ } = self;
        vec![Claim::Workspace(workspace), Claim::Making((*count).into())]
    }
}

impl Claims for workspace::List {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        Vec::new()
    }

    fn conceal(found: &mut Self::Output, scope: &Scope) {
        found.workspaces.retain(|workspace| scope.includes(&workspace.labels));
        found.deleted.retain(|tombstone| scope.includes(&tombstone.labels));
    }
}

impl Claims for workspace::Update {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self {
            workspace,
            name: _,
            label,
            remove_label,
            idle_after: _,
            idle_then: _,
            extend: _,
            cpus,
            memory_mib,
        } = self;
        let keys = label.iter().map(|label| &label.key).chain(&*remove_label).collect();
        let resizing = Claim::Resizing { cpus: *cpus, memory_mib: *memory_mib };
        vec![Claim::Workspace(workspace), Claim::Labelling(keys), resizing]
    }
}

impl Claims for workspace::Export {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self {
            workspace,
            path: _,
            to,
            existing,
            kind,
            archive,
            max_files: _,
            max_mib: _,
            allow_secrets,
        } = self;
        let leaving = Leaving { to, existing: *existing, archive: *archive, kind };
        vec![
            Claim::Workspace(workspace),
            Claim::SecretsLeave(*allow_secrets),
            Claim::Leaving(leaving),
        ]
    }
}

impl Claims for workspace::ApplyBack {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self { workspace, checkout, path: _, mode, conflicts: _, allow, allow_secrets } = self;
        vec![
            Claim::Workspace(workspace),
            Claim::SecretsLeave(*allow_secrets),
            Claim::Returning(Returning { checkout, mode: *mode, allow }),
        ]
    }
}

impl Claims for sync::Push {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self { workspace, directory, to: _, files: _, delete: _, compare: _, dry_run: _ } =
            self;
        vec![Claim::Workspace(workspace), Claim::Reading(directory)]
    }
}

impl Claims for patch::Apply {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self { workspace, patch: _, patch_file, directory: _, check: _ } = self;
        let file = patch_file.as_mut().map(Claim::Reading);
        [Claim::Workspace(workspace)].into_iter().chain(file).collect()
    }
}

impl Claims for service::Start {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self {
            workspace,
            service: _,
            readiness: _,
            ending: _,
            after: _,
            publish,
            no_wait: _,
            options,
            command: _,
        } = self;
        let CommandOptions { timeout: _, env: _, secret, cwd: _ } = options;
        let mut claims = vec![Claim::Workspace(workspace), Claim::Secrets(secret)];
        if !publish.is_empty() {
            claims.push(Claim::Operator(port::Publish::NAME));
        }
        claims
    }
}

impl Claims for network::operations::Set {
    fn claims(&mut self) -> Vec<Claim<'_>> {
        let Self { workspace, network_policy } = self;
        vec![Claim::Workspace(workspace), Claim::Network(network_policy)]
    }
}

/// Whether a label says whose a workspace is.
pub(super) fn is_the_operators(key: &LabelKey) -> bool {
    key.as_str() == PROJECT_LABEL
}
