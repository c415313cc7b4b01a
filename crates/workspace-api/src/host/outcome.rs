//! What operations on chat hosts return.

use operation::{ErrorKind, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChatHost, HostScope, ServerName};
use crate::doctor::{Finding, FindingStatus, present_findings};

/// A connection, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// The host.
    pub host: ChatHost,
    /// For which of its sessions.
    pub scope: HostScope,
    /// Under which name.
    pub name: ServerName,
    /// The host's configuration file.
    pub file: String,
    /// What the host starts, program and arguments; empty if it is disconnected.
    pub command: Vec<String>,
    /// What became of the entry, or would have.
    pub change: Change,
    /// Whether nothing was done and only said.
    pub dry_run: bool,
    /// The commands that were run, or would be.
    pub commands: Vec<Vec<String>>,
    /// What changed in a file, or would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was as it should be.
    Unchanged,
    /// It was added.
    Added,
    /// It was changed.
    Changed,
    /// It was removed.
    Removed,
}

/// What changed in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edit {
    /// The file itself, if what the host reads is a link to it.
    pub file: String,
    /// The change, as a unified diff.
    pub diff: String,
    /// Whether the file was made or removed with it.
    pub whole_file: bool,
}

impl Present for Connection {
    fn present(&self, screen: &mut Screen) {
        for command in &self.commands {
            screen.line(format!("$ {}", shell_words(command)));
        }
        if let Some(edit) = &self.edit {
            screen.line(edit.diff.trim_end());
        }
        let Self { host, scope, name, file, .. } = self;
        let done = match (self.change, self.dry_run) {
            (Change::Unchanged, _) if self.command.is_empty() => "is not connected",
            (Change::Unchanged, _) => "is connected already",
            (Change::Added, false) => "is connected",
            (Change::Added, true) => "would be connected",
            (Change::Changed, false) => "is connected anew",
            (Change::Changed, true) => "would be connected anew",
            (Change::Removed, false) => "is disconnected",
            (Change::Removed, true) => "would be disconnected",
        };
        screen.line(format!("{host} {done}: server `{name}`, {scope} scope, {file}"));
        if !self.command.is_empty() {
            screen.line(format!("it starts: {}", shell_words(&self.command)));
        }
        for note in &self.notes {
            screen.note(format!("note: {note}"));
        }
    }
}

/// What connects a host, for pasting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snippet {
    /// The host.
    pub host: ChatHost,
    /// The file that it belongs into.
    pub file: String,
    /// The text.
    pub text: String,
    /// The command of the host that does the same, if it has one.
    pub command: Option<Vec<String>>,
}

impl Present for Snippet {
    fn present(&self, screen: &mut Screen) {
        screen.line(self.text.trim_end());
        screen.note(format!("this belongs into {}", self.file));
        if let Some(command) = &self.command {
            screen.note(format!("or run: {}", shell_words(command)));
        }
    }
}

/// What was found out about a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostDiagnosis {
    /// The host.
    pub host: ChatHost,
    /// For which of its sessions.
    pub scope: HostScope,
    /// Under which name.
    pub name: ServerName,
    /// Whether the host can use workspaces.
    pub verdict: HostVerdict,
    /// What was looked at, one after the other.
    pub findings: Vec<Finding>,
    /// What the server took from its start to the list of its tools, in
    /// milliseconds.
    pub answered_ms: Option<u64>,
    /// How many tools it offers.
    pub tools: Option<u64>,
}

/// Whether a host can use workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostVerdict {
    /// It can.
    Connected,
    /// It has no entry for hotcell.
    NotConnected,
    /// Its entry is not as it should be.
    Drifted,
    /// Something else is in the way.
    Broken,
}

impl Present for HostDiagnosis {
    fn present(&self, screen: &mut Screen) {
        present_findings(screen, &self.findings);
        let Self { host, .. } = self;
        screen.line(match self.verdict {
            HostVerdict::Connected => format!("{host} is connected."),
            HostVerdict::NotConnected => {
                format!("{host} is not connected: run `hotcell host connect {host}`.")
            }
            HostVerdict::Drifted => {
                format!(
                    "{host} has another entry than it should: run `hotcell host repair {host}`."
                )
            }
            HostVerdict::Broken => format!("{host} cannot work: see the lines marked FAIL."),
        });
    }

    fn exit_code(&self) -> u8 {
        match self.verdict {
            HostVerdict::Connected => 0,
            HostVerdict::NotConnected => ErrorKind::NotFound.exit_code(),
            HostVerdict::Drifted => ErrorKind::Conflict.exit_code(),
            HostVerdict::Broken => ErrorKind::Unavailable.exit_code(),
        }
    }
}

impl HostDiagnosis {
    /// Whether anything that was looked at keeps the host from working.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.status == FindingStatus::Failed)
    }
}

/// All chat hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hosts {
    /// One after the other.
    pub hosts: Vec<HostSummary>,
}

/// One chat host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostSummary {
    /// The host.
    pub host: ChatHost,
    /// What people call it.
    pub title: String,
    /// Its program, if it is installed.
    pub program: Option<String>,
    /// The connections it has here.
    pub connections: Vec<ConnectionState>,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionState {
    /// For which sessions.
    pub scope: HostScope,
    /// Under which name.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// What the host starts.
    pub command: Vec<String>,
}

impl Present for Hosts {
    fn present(&self, screen: &mut Screen) {
        for HostSummary { host, title, program, connections } in &self.hosts {
            let installed = if program.is_some() { "installed" } else { "-" };
            let connected: Vec<String> =
                connections.iter().map(|made| format!("{} ({})", made.name, made.scope)).collect();
            let connected =
                if connected.is_empty() { "-".to_owned() } else { connected.join(", ") };
            screen.line(format!("{:<12} {title:<20} {installed:<10} {connected}", host.word()));
        }
    }
}

/// A command as one would type it.
fn shell_words(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    let quoted = command.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
