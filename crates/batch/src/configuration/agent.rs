//! What does the work of a batch.

use std::path::PathBuf;

use agents::{Adapter, Lane};
use batch_api::plan::Remark;
use batch_core::spec::Receipts;
use serde::{Deserialize, Serialize};

use super::OWN_FILE;

/// What does the work: which agent, and where its hands are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSetup {
    /// Which agent.
    pub kind: AgentKind,
    /// Its program with arguments, if it is any command.
    pub command: Vec<String>,
    /// Where it runs.
    pub lane: LaneMode,
    /// What else there is to an agent that is a program of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted: Option<HostedSetup>,
}

/// What an agent is that is a program of the host. Of credentials it holds the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostedSetup {
    /// The program; the first of its name in the search path unless it is said.
    pub program: Option<PathBuf>,
    /// The model, as the agent calls it; its default if it is any command.
    pub model: Option<String>,
    /// Variables that its process gets from whoever starts an engine.
    pub credentials: Vec<String>,
}

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentKind {
    /// A program of the operator's choice, which finds its packet in files.
    Command,
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// OpenAI's Codex.
    Codex,
    /// OpenCode.
    #[serde(rename = "opencode")]
    OpenCode,
    /// pi.
    Pi,
    /// Any agent that speaks the Agent Client Protocol.
    Acp,
}

/// Where an agent runs, and where its hands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneMode {
    /// All of it runs in the lane's machine.
    Guest,
    /// It runs on the host, and its only hands are in the lane's machine.
    Cell,
    /// It runs on the host, in a checkout of the lane's, and so do its hands.
    Worktree,
}

impl AgentKind {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Command, Self::ClaudeCode, Self::Codex, Self::OpenCode, Self::Pi, Self::Acp];

    /// The kind as the configuration names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::OpenCode => "opencode",
            Self::Pi => "pi",
            Self::Acp => "acp",
        }
    }

    /// Who launches and understands it, if it is a program of the host.
    #[must_use]
    pub const fn adapter(self) -> Adapter {
        match self {
            Self::Command => Adapter::Command,
            Self::ClaudeCode => Adapter::ClaudeCode,
            Self::Codex => Adapter::Codex,
            Self::OpenCode => Adapter::OpenCode,
            Self::Pi => Adapter::Pi,
            Self::Acp => Adapter::Acp,
        }
    }

    /// Whether it is whatever command the configuration says.
    #[must_use]
    pub const fn is_any_command(self) -> bool {
        matches!(self, Self::Command | Self::Acp)
    }

    /// The variables that hold its credentials, unless the configuration says others.
    #[must_use]
    pub const fn credentials(self) -> &'static [&'static str] {
        match self {
            Self::Command | Self::Acp => &[],
            Self::ClaudeCode => &["ANTHROPIC_API_KEY"],
            Self::Codex | Self::OpenCode | Self::Pi => &["OPENAI_API_KEY"],
        }
    }

    /// The variable that says where its model is, up to and with `/v1`, if not with the
    /// agent's own provider. It is for whoever starts a batch to say: a repository that
    /// could would be sent the credentials.
    #[must_use]
    pub const fn endpoint(self) -> Option<&'static str> {
        match self {
            Self::Command | Self::Acp => None,
            Self::ClaudeCode => Some("ANTHROPIC_BASE_URL"),
            Self::Codex | Self::OpenCode | Self::Pi => Some("OPENAI_BASE_URL"),
        }
    }

    /// Where it may run; the first unless the configuration says otherwise.
    #[must_use]
    pub const fn lanes(self) -> &'static [LaneMode] {
        match self {
            Self::Command => &[LaneMode::Guest, LaneMode::Worktree],
            Self::ClaudeCode | Self::Codex | Self::OpenCode | Self::Pi | Self::Acp => {
                &[LaneMode::Cell, LaneMode::Worktree]
            }
        }
    }
}

impl LaneMode {
    /// The mode as the configuration names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Cell => "cell",
            Self::Worktree => "worktree",
        }
    }

    /// The same, where it is told what it isolates.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Guest => Lane::Guest,
            Self::Cell => Lane::Cell,
            Self::Worktree => Lane::Worktree,
        }
    }
}

impl AgentSetup {
    /// A command in the lane's machine.
    #[must_use]
    pub const fn guest(command: Vec<String>) -> Self {
        Self { kind: AgentKind::Command, command, lane: LaneMode::Guest, hosted: None }
    }

    /// What can be proved about a message that was sent to it.
    #[must_use]
    pub fn receipts(&self) -> Receipts {
        match self.kind.adapter().capabilities().receipts {
            agents::Receipts::Dedupes => Receipts::Dedupes,
            agents::Receipts::Searchable => Receipts::Searchable,
            agents::Receipts::Unprovable => Receipts::Unprovable,
        }
    }

    /// What whoever plans or starts a batch should know of it.
    pub(crate) fn remark(&self) -> Option<Remark> {
        let not_kept_apart = match self.lane {
            LaneMode::Guest | LaneMode::Cell => return None,
            LaneMode::Worktree => Lane::Worktree.leaves_open(),
        };
        let message = format!("agents work on this host. Not kept apart: {not_kept_apart}");
        Some(Remark { file: OWN_FILE.to_owned(), message })
    }

    /// What is written where there is none yet.
    pub(super) const EXAMPLE: &'static str = "\
        # `batch start` needs this table. A command runs in its task's own machine, once for\n\
        # each context: /workspace holds the repository, $BATCH_PACKET its packet. It does\n\
        # steps of PROMPT.md, checks their boxes in STATUS.md, and ends with exit code 0.\n\
        # [agent]\n\
        # kind = \"command\"\n\
        # command = [\"sh\", \"tools/agent.sh\"]\n\
        # Or an agent of the host, whose only hands are in the machine (`hotcell batch agents`\n\
        # says which versions and models):\n\
        # kind = \"claude-code\"\n\
        # model = \"claude-sonnet-5-5\"\n\
        # Or one that works on this host, in a checkout, which nothing keeps from the rest of it;\n\
        # `batch start --on-host` allows that:\n\
        # lane = \"worktree\"\n";

    /// As the configuration says it.
    pub(super) fn written(&self) -> String {
        let mut table = toml_edit::Table::new();
        table["kind"] = toml_edit::value(self.kind.as_str());
        table["lane"] = toml_edit::value(self.lane.as_str());
        let list = |words: &[String]| toml_edit::value(words.iter().collect::<toml_edit::Array>());
        if self.kind.is_any_command() {
            table["command"] = list(&self.command);
        }
        if let Some(HostedSetup { program, model, credentials }) = &self.hosted {
            if let Some(program) = program {
                table["program"] = toml_edit::value(program.to_string_lossy().as_ref());
            }
            if let Some(model) = model {
                table["model"] = toml_edit::value(model);
            }
            table["credentials"] = list(credentials);
        }
        let mut document = toml_edit::DocumentMut::new();
        document["agent"] = toml_edit::Item::Table(table);
        document.to_string()
    }
}
