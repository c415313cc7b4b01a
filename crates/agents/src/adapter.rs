//! The adapters, as one: each by its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::capability::Capabilities;
use crate::dialogue::{Dialogue, Key};
use crate::launch::{Launch, Provider, Task};
use crate::{acp, claude, codex, command, opencode, pi};

/// A kind of agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// OpenAI's Codex.
    Codex,
    /// OpenCode, by the Agent Client Protocol.
    #[serde(rename = "opencode")]
    OpenCode,
    /// pi.
    Pi,
    /// Any agent that speaks the Agent Client Protocol, by its command.
    Acp,
    /// A plain command.
    Command,
}

/// Where it can be seen which messages a conversation holds that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// In files whose name ends with this, somewhere below this directory of its home;
    /// [`Adapter::taken`] reads them.
    Files {
        /// Below the home.
        directory: &'static str,
        /// How their names end.
        ending: &'static str,
    },
    /// Another process of the agent tells it: [`Adapter::replay`].
    Replay,
    /// Nowhere.
    Nowhere,
}

impl Adapter {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::ClaudeCode, Self::Codex, Self::OpenCode, Self::Pi, Self::Acp, Self::Command];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::OpenCode => "opencode",
            Self::Pi => "pi",
            Self::Acp => "acp",
            Self::Command => "command",
        }
    }

    /// The program that it is, where people have installed it in the ordinary way.
    #[must_use]
    pub const fn program(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some("claude"),
            Self::Codex => Some("codex"),
            Self::OpenCode => Some("opencode"),
            Self::Pi => Some("pi"),
            Self::Acp | Self::Command => None,
        }
    }

    /// What it can do.
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        match self {
            Self::ClaudeCode => claude::CAPABILITIES,
            Self::Codex => codex::CAPABILITIES,
            Self::OpenCode => opencode::CAPABILITIES,
            Self::Pi => pi::CAPABILITIES,
            Self::Acp => acp::CAPABILITIES,
            Self::Command => command::CAPABILITIES,
        }
    }

    /// How it is started with its hands in the gateway alone. One that is any command
    /// needs nothing but its own words. Another provider of models than its own speaks
    /// what the adapter says; that of Claude Code Anthropic's Messages, and its key is
    /// in `ANTHROPIC_API_KEY`.
    #[must_use]
    pub fn launch(self, task: &Task<'_>, provider: Option<&Provider>) -> Launch {
        match self {
            Self::ClaudeCode => {
                let mut launch = claude::launch(task);
                if let Some(Provider { url, .. }) = provider {
                    launch.variable("ANTHROPIC_BASE_URL", url.trim_end_matches("/v1"));
                }
                launch
            }
            Self::Codex => codex::launch(task, provider),
            Self::OpenCode => opencode::launch(task, provider),
            Self::Pi => pi::launch(task, provider),
            Self::Acp | Self::Command => Launch::default(),
        }
    }

    /// A conversation with what was launched with the same task.
    #[must_use]
    pub fn dialogue(self, task: &Task<'_>) -> Box<dyn Dialogue> {
        match self {
            Self::ClaudeCode => Box::new(claude::Claude::default()),
            Self::Codex => Box::new(codex::Codex::new(task)),
            Self::OpenCode => {
                opencode::at_work(task, |task| Box::new(acp::Acp::new(task, acp::Told::Folding)))
            }
            Self::Pi => Box::new(pi::Pi::default()),
            Self::Acp => Box::new(acp::Acp::new(task, acp::Told::Waiting)),
            Self::Command => Box::new(command::Command::default()),
        }
    }

    /// Where it can be seen which messages a conversation holds that is over.
    #[must_use]
    pub const fn record(self) -> Record {
        match self {
            Self::ClaudeCode => Record::Files { directory: "claude/projects", ending: ".jsonl" },
            Self::Codex => Record::Files { directory: "sessions", ending: ".jsonl" },
            Self::Pi => Record::Files { directory: pi::SESSIONS, ending: ".jsonl" },
            Self::OpenCode => Record::Replay,
            Self::Acp | Self::Command => Record::Nowhere,
        }
    }

    /// The search of a conversation that is over, for what was launched with the same
    /// task, which goes on with it; nothing unless its record is [`Record::Replay`].
    #[must_use]
    pub fn replay(self, task: &Task<'_>) -> Option<acp::Replay> {
        match self {
            Self::OpenCode => Some(opencode::at_work(task, acp::Replay::new)),
            Self::ClaudeCode | Self::Codex | Self::Pi | Self::Acp | Self::Command => None,
        }
    }

    /// The keys of the messages that a file of its records says were taken.
    #[must_use]
    pub fn taken(self, transcript: &str) -> Vec<Key> {
        match self {
            Self::ClaudeCode => claude::taken(transcript),
            Self::Codex => codex::taken(transcript),
            Self::Pi => pi::taken(transcript),
            Self::OpenCode | Self::Acp | Self::Command => Vec::new(),
        }
    }

    /// The version that its program tells when it is asked with `--version`.
    #[must_use]
    pub fn version(said: &str) -> Option<&str> {
        let is_version = |word: &&str| {
            word.len() <= VERSION_BYTES_MAX
                && word.starts_with(|c: char| c.is_ascii_digit())
                && word.contains('.')
                && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))
        };
        said.lines().next()?.split_whitespace().find(is_version)
    }
}

/// Longest version that is believed.
const VERSION_BYTES_MAX: usize = 64;

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No adapter has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kind of agent has this name; there are {}", Adapter::ALL.map(Adapter::as_str).join(", "))]
pub struct UnknownAdapter(());

impl FromStr for Adapter {
    type Err = UnknownAdapter;

    fn from_str(name: &str) -> Result<Self, UnknownAdapter> {
        Self::ALL.into_iter().find(|one| one.as_str() == name).ok_or(UnknownAdapter(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for adapter in Adapter::ALL {
            assert_eq!(adapter.to_string().parse(), Ok(adapter));
            let json = serde_json::to_string(&adapter).unwrap();
            assert_eq!(json, format!("{:?}", adapter.as_str()));
        }
        let error = "gemini".parse::<Adapter>().unwrap_err().to_string();
        assert!(error.contains("claude-code, codex, opencode, pi, acp, command"), "{error}");
    }

    #[test]
    fn versions_are_found_in_what_programs_say_and_nowhere_else() {
        for (said, version) in [
            ("2.1.328 (Claude Code)\n", Some("2.1.328")),
            ("codex-cli 0.169.0", Some("0.169.0")),
            ("1.18.33", Some("1.18.33")),
            ("1.0.0-beta.1+x", Some("1.0.0-beta.1+x")),
            ("", None),
            ("usage: x\n1.0", None),
            ("3 files", None),
            ("1.0;rm", None),
        ] {
            assert_eq!(Adapter::version(said), version, "{said}");
        }
    }
}
