//! What does the work of a batch.

use serde::{Deserialize, Serialize};

/// What does the work: which agent, and where its hands are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSetup {
    /// Which agent.
    pub kind: AgentKind,
    /// Its program with arguments, for [`AgentKind::Command`].
    pub command: Vec<String>,
    /// Where it runs.
    pub lane: LaneMode,
}

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentKind {
    /// A program of the operator's choice, which finds its packet in files.
    Command,
}

/// Where an agent runs, and where its hands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneMode {
    /// All of it runs in the lane's machine.
    Guest,
}

impl AgentKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Command];

    /// The kind as the configuration names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
        }
    }

    /// Where it may run; the first unless the configuration says otherwise.
    #[must_use]
    pub const fn lanes(self) -> &'static [LaneMode] {
        match self {
            Self::Command => &[LaneMode::Guest],
        }
    }
}

impl LaneMode {
    /// The mode as the configuration names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
        }
    }
}

impl AgentSetup {
    /// A command in the lane's machine.
    #[must_use]
    pub const fn guest(command: Vec<String>) -> Self {
        Self { kind: AgentKind::Command, command, lane: LaneMode::Guest }
    }

    /// What is written where there is none yet.
    pub(super) const EXAMPLE: &'static str = "\
        # `batch start` needs this table. A command runs in its task's own machine, once for\n\
        # each context: /workspace holds the repository, $BATCH_PACKET its packet. It does\n\
        # steps of PROMPT.md, checks their boxes in STATUS.md, and ends with exit code 0.\n\
        # [agent]\n\
        # kind = \"command\"\n\
        # command = [\"sh\", \"tools/agent.sh\"]\n";

    /// As the configuration says it.
    pub(super) fn written(&self) -> String {
        let command: toml_edit::Array = self.command.iter().collect();
        let (kind, lane) = (self.kind.as_str(), self.lane.as_str());
        format!("[agent]\nkind = \"{kind}\"\nlane = \"{lane}\"\ncommand = {command}\n")
    }
}
