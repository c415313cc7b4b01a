//! Where agents run and where their hands are, and what that leaves open.

use crate::adapter::Adapter;
use crate::capability::Isolation;

/// Where an agent runs, and where its hands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// It runs on the host, and its hands are in the lane's machine.
    Cell,
    /// All of it runs in the lane's machine.
    Guest,
    /// It runs on the host, in a checkout of its task's own, and so do its hands.
    Worktree,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cell, Self::Guest, Self::Worktree];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Guest => "guest",
            Self::Worktree => "worktree",
        }
    }

    /// What runs where.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Cell => {
                "the agent is a process of this host, in an empty directory and with a home of its \
                 own; it has no tools but the gateway's, which act in the task's machine"
            }
            Self::Guest => "the agent and all that it starts run in the task's machine",
            Self::Worktree => {
                "the agent is a process of this host, in a checkout of its task's own and with a \
                 home of its own; it works with its own tools, and what it leaves is verified in a \
                 machine"
            }
        }
    }

    /// What is not kept apart.
    #[must_use]
    pub const fn leaves_open(self) -> &'static str {
        match self {
            Self::Cell => {
                "the agent's own program runs with the rights and the network of whoever starts \
                 the engine; that it keeps to the gateway's tools is proved for the versions and \
                 models that are named, and for no others"
            }
            Self::Guest => {
                "whatever the agent needs to reach its model, credentials too, is in the machine \
                 with the code that it works on, and the machine's network has to reach the \
                 provider"
            }
            Self::Worktree => {
                "everything: the agent, and whatever it runs, have the files, the rights and the \
                 network of whoever starts the engine, and can read and change all that those can, \
                 the batch too; only its processes are held together, and ended with it"
            }
        }
    }

    /// Whether an agent can be given it. A cell is refused where it is not proved
    /// ([`crate::proof()`]).
    #[must_use]
    pub fn takes(self, adapter: Adapter) -> bool {
        match self {
            Self::Cell => adapter.capabilities().isolation == Isolation::Gateway,
            Self::Guest => adapter == Adapter::Command,
            Self::Worktree => true,
        }
    }
}
