//! Chat hosts: the programs in which people talk with models, and what connects
//! them with workspaces.

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile;
use crate::spec::EnvironmentRef;
use operation::text_value;

mod outcome;

pub use outcome::{
    Change, Connection, ConnectionState, Edit, HostDiagnosis, HostSummary, HostVerdict, Hosts,
    Snippet,
};

/// A chat host.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum ChatHost {
    /// Claude Code, by Anthropic.
    ClaudeCode,
    /// Codex CLI, by `OpenAI`.
    Codex,
    /// `OpenCode`.
    Opencode,
    /// Gemini CLI, by Google.
    Gemini,
    /// Qwen Code, by Alibaba.
    Qwen,
    /// Copilot CLI, by GitHub.
    Copilot,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    Vscode,
    /// Zed.
    Zed,
    /// Amp, by Sourcegraph.
    Amp,
    /// goose, by Block.
    Goose,
}

impl ChatHost {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ClaudeCode,
        Self::Codex,
        Self::Opencode,
        Self::Gemini,
        Self::Qwen,
        Self::Copilot,
        Self::Cursor,
        Self::Vscode,
        Self::Zed,
        Self::Amp,
        Self::Goose,
    ];

    /// The word for it on command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Opencode => "opencode",
            Self::Gemini => "gemini",
            Self::Qwen => "qwen",
            Self::Copilot => "copilot",
            Self::Cursor => "cursor",
            Self::Vscode => "vscode",
            Self::Zed => "zed",
            Self::Amp => "amp",
            Self::Goose => "goose",
        }
    }
}

impl fmt::Display for ChatHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// For which sessions of a chat host a connection is.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum HostScope {
    /// All of this user's.
    #[default]
    User,
    /// Those in the project around the current directory, of whoever uses it.
    Project,
}

impl fmt::Display for HostScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Project => "project",
        })
    }
}

/// Under which name a chat host knows the server: 1 to 32 letters, digits, `_` and
/// `-`, starting with a letter. Hosts put it before the names of tools.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl ServerName {
    /// Longest name, in bytes.
    pub const LENGTH_MAX: usize = 32;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ServerName {
    fn default() -> Self {
        Self("hotcell".to_owned())
    }
}

impl FromStr for ServerName {
    type Err = NotAServerName;

    fn from_str(text: &str) -> Result<Self, NotAServerName> {
        let valid = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAServerName(text.to_owned())) }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(ServerName, "^[A-Za-z][A-Za-z0-9_-]{0,31}$");

/// A text that is no name for a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name for a server: use letters, digits, `_` and `-`, starting with a letter")]
pub struct NotAServerName(String);

/// What models are offered: the name of a profile or mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl Default for ProfileName {
    fn default() -> Self {
        Self(profile::DEFAULT.to_owned())
    }
}

impl FromStr for ProfileName {
    type Err = NotAProfile;

    fn from_str(text: &str) -> Result<Self, NotAProfile> {
        let found = profile::find(text).ok_or_else(|| NotAProfile(text.to_owned()))?;
        Ok(Self(found.name.to_owned()))
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(ProfileName, "^[a-z-]+$");

/// A text that is neither a profile nor a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAProfile(String);

impl std::error::Error for NotAProfile {}

impl fmt::Display for NotAProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is neither a profile nor a mode; there are", self.0)?;
        for (index, profile) in profile::PROFILES.iter().enumerate() {
            write!(f, "{} `{}`", if index == 0 { "" } else { "," }, profile.name)?;
        }
        Ok(())
    }
}

/// Which connection of a chat host is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// For which sessions of the host it is
    #[arg(long, value_enum, default_value_t)]
    pub scope: HostScope,
    /// Under which name the host knows the server
    #[arg(long, default_value_t)]
    pub name: ServerName,
}

/// How the server is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Serving {
    /// Which tools models are offered: a profile, or the mode for one purpose
    #[arg(long, visible_alias = "mode", default_value_t)]
    pub profile: ProfileName,
    /// Project that workspaces start from, wherever the host is started
    #[arg(long, value_name = "DIR", conflicts_with_all = ["no_project_source", "repo_url"])]
    pub project_path: Option<String>,
    /// Git repository that workspaces start from instead
    #[arg(long, value_name = "URL", conflicts_with = "no_project_source")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_url: Option<String>,
    /// Branch, tag or commit of that repository [default: its default branch]
    #[arg(long, value_name = "REF", requires = "repo_url")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_ref: Option<String>,
    /// Let workspaces start empty
    #[arg(long)]
    pub no_project_source: bool,
    /// Environment that workspaces start from [default: models choose]
    #[arg(long, value_name = "ENVIRONMENT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentRef>,
    /// More arguments for `hotcell mcp serve`
    #[arg(last = true, value_name = "ARGUMENT")]
    #[schemars(length(max = 64))]
    pub arguments: Vec<String>,
}

/// Connect a chat host with workspaces
///
/// Registers `hotcell mcp serve` with the host, through its own command where
/// that can say all that is needed and by an edit of its configuration file
/// otherwise. Doing it again changes nothing; other options change the entry. What
/// else the entry or the file holds stays, comments included. A server of the same
/// name that is not hotcell's is never replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// Chat host
    #[arg(value_enum)]
    pub host: ChatHost,
    /// Which connection
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// How the server is started
    #[command(flatten)]
    #[serde(default)]
    pub serving: Serving,
    /// Only show what would be done: commands, and what changes in files
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Connect {
    /// Connects `host` for all sessions of this user.
    #[must_use]
    pub fn new(host: ChatHost) -> Self {
        Self { host, target: Target::default(), serving: Serving::default(), dry_run: false }
    }
}

impl Operation for Connect {
    type Output = Connection;
    type Event = NoEvents;
    const NAME: &'static str = "host.connect";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "claude-code", json: r#"{"host": "claude-code"}"# },
        Example {
            argv: "codex --mode repro-fix --scope project --dry-run",
            json: r#"{"host": "codex", "target": {"scope": "project"},
                      "serving": {"profile": "repro-fix"}, "dry_run": true}"#,
        },
    ];
}

/// Print what connects a chat host, for pasting into its configuration
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct PrintConfig {
    /// Chat host
    #[arg(value_enum)]
    pub host: ChatHost,
    /// Which connection
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// How the server is started
    #[command(flatten)]
    #[serde(default)]
    pub serving: Serving,
}

impl Operation for PrintConfig {
    type Output = Snippet;
    type Event = NoEvents;
    const NAME: &'static str = "host.print-config";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "goose --mode inspect",
        json: r#"{"host": "goose", "serving": {"profile": "inspect"}}"#,
    }];
}

/// Check the connection of a chat host, end to end
///
/// Looks at the host, its entry, the program that the entry names, the project
/// that workspaces start from, and the machine; then starts the server as the host
/// would and asks it for its tools. Exits with 0 if all is well, with 113 if the
/// host is not connected, with 114 if the entry is not as it should be (`host
/// repair` mends that), and with 116 if something else keeps it from working.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Chat host
    #[arg(value_enum)]
    pub host: ChatHost,
    /// Which connection
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
}

impl Operation for Check {
    type Output = HostDiagnosis;
    type Event = NoEvents;
    const NAME: &'static str = "host.doctor";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "claude-code", json: r#"{"host": "claude-code"}"# }];
}

/// Make the connection of a chat host what it was when it was connected
///
/// Puts back an entry that was removed or edited, and names the program that runs
/// this command if the old one moved. Fields that somebody added stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// Chat host
    #[arg(value_enum)]
    pub host: ChatHost,
    /// Which connection
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Only show what would be done
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Operation for Repair {
    type Output = Connection;
    type Event = NoEvents;
    const NAME: &'static str = "host.repair";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "codex --dry-run", json: r#"{"host": "codex", "dry_run": true}"# }];
}

/// Disconnect a chat host from workspaces
///
/// Removes the entry. If nothing else changed in the file since, the file is again
/// what it was before the host was connected, to the byte. Workspaces stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Disconnect {
    /// Chat host
    #[arg(value_enum)]
    pub host: ChatHost,
    /// Which connection
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Only show what would be done
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Operation for Disconnect {
    type Output = Connection;
    type Event = NoEvents;
    const NAME: &'static str = "host.disconnect";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "opencode --scope project",
        json: r#"{"host": "opencode", "target": {"scope": "project"}}"#,
    }];
}

/// List chat hosts: which are installed, which are connected
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {}

impl Operation for List {
    type Output = Hosts;
    type Event = NoEvents;
    const NAME: &'static str = "host.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example { argv: "", json: "{}" }];
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_host_is_called_the_same_everywhere() {
        assert_eq!(ChatHost::value_variants(), ChatHost::ALL);
        for host in ChatHost::ALL {
            assert_eq!(serde_json::to_value(host).unwrap(), host.word());
            assert_eq!(host.to_possible_value().unwrap().get_name(), host.word());
        }
    }

    #[test]
    fn names_and_profiles_are_parsed_once() {
        assert!("hotcell-2".parse::<ServerName>().is_ok());
        for bad in ["", "2x", "a b", "a.b", "é", &"a".repeat(33)] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad}");
        }
        assert_eq!("inspect".parse::<ProfileName>().unwrap().to_string(), "inspect");
        let refused = "all".parse::<ProfileName>().unwrap_err().to_string();
        assert!(refused.contains("`all` is neither") && refused.contains("`repro-fix`"));
    }
}
