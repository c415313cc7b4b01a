//! What happened in a workspace, for a person who reviews it.

use std::collections::BTreeMap;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diff::{ChangedFile, Difference};
use crate::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
use crate::state::WorkspaceState;

/// Sum up what happened in a workspace since its last reset
///
/// What ran, what failed, what was changed, what crossed between host and
/// guest, services, snapshots and the network; and whether the ledger that all
/// this comes from is unbroken. Works for deleted workspaces as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Summarize {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// How the text is written
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub format: SummaryFormat,
}

impl Summarize {
    /// Sums up as plain text.
    #[must_use]
    pub fn new(workspace: WorkspaceRef) -> Self {
        Self { workspace, format: SummaryFormat::Text }
    }
}

impl Operation for Summarize {
    type Output = Summary;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.summary";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo --format markdown",
        json: r#"{"workspace": "demo", "format": "markdown"}"#,
    }];
}

/// How a summary's text is written.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum SummaryFormat {
    /// For a terminal.
    #[default]
    Text,
    /// For a chat, a bug or a pull request.
    Markdown,
}

/// What happened in a workspace since its last reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: Option<WorkspaceName>,
    /// Its state.
    pub state: WorkspaceState,
    /// Sequence number of the event that the summary begins with.
    pub since_sequence: u64,
    /// When that was, RFC 3339 in UTC.
    pub since: String,
    /// How the last command ended.
    pub outcome: String,
    /// How many commands ran.
    pub commands_total: u64,
    /// How many of them failed.
    pub commands_failed: u64,
    /// The last of them, the oldest first.
    pub commands: Vec<SummarizedCommand>,
    /// What was done from outside and is worth knowing, by kind of event.
    pub events: BTreeMap<String, Noteworthy>,
    /// What has changed in /workspace since the workspace was created, the first
    /// changes of it; none if that cannot be said now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Difference>,
    /// Names of the secrets that something was given.
    pub secrets: Vec<String>,
    /// The chain that all this comes from.
    pub ledger: LedgerCheck,
    /// How the text is written.
    pub format: SummaryFormat,
}

/// A command of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SummarizedCommand {
    /// Its id.
    pub command: String,
    /// Program and arguments, as a shell would read them, shortened.
    pub line: String,
    /// Its exit code; none while it runs, or if it never ran or was lost.
    pub exit_code: Option<u8>,
    /// Why there is no exit code.
    pub error: Option<String>,
    /// How long it ran, in milliseconds; none while it runs.
    pub duration_ms: Option<u64>,
    /// The last lines that it wrote, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_end: Option<String>,
}

impl SummarizedCommand {
    /// Whether it ended otherwise than with success.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.error.is_some() || matches!(self.exit_code, Some(1..))
    }

    fn last_lines(&self) -> impl Iterator<Item = &str> {
        self.output_end.iter().flat_map(|text| text.lines())
    }

    fn ending(&self) -> String {
        let lasted = self.duration_ms.map(|ms| format!(", {ms} ms")).unwrap_or_default();
        match (self.exit_code, &self.error) {
            (Some(code), _) => format!("exit code {code}{lasted}"),
            (None, Some(error)) => format!("{error}{lasted}"),
            (None, None) => "no end on record".to_owned(),
        }
    }
}

/// Events of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Noteworthy {
    /// How many there were.
    pub count: u64,
    /// The last of them, in short, the oldest first.
    pub last: Vec<String>,
}

/// What a check of a workspace's ledger found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerCheck {
    /// How many events it holds.
    pub events: u64,
    /// Hash of the last one; whoever keeps it elsewhere can tell later that
    /// nothing before it was changed.
    pub head: Option<String>,
    /// The first event that does not follow from the one before it; none if the
    /// chain is unbroken.
    pub broken_at: Option<u64>,
}

impl Summary {
    /// The summary as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut lines = vec![format!("## Workspace {}", code(&self.title())), String::new()];
        let facts = self.facts().into_iter();
        lines.extend(facts.map(|(name, value)| format!("* {name}: {}", escaped(&value))));
        if !self.commands.is_empty() {
            lines.extend(["", "### Commands", ""].map(str::to_owned));
        }
        for command in &self.commands {
            let mark = if command.has_failed() { "**failed** " } else { "" };
            let ending = escaped(&command.ending());
            lines.push(format!("* {mark}{}: {ending}", code(&command.line)));
            lines.extend(command.last_lines().map(|line| format!("  * {}", code(line))));
        }
        if let Some(changes) = self.changes.as_ref().filter(|changes| changes.counts.total > 0) {
            let title = format!("### Changed files ({})", changes.counts.total);
            lines.extend([String::new(), title, String::new()]);
            lines.extend(changes.changes.iter().map(|file| format!("* {}", code(&file.status()))));
        }
        for (kind, events) in &self.events {
            let title = format!("### {} ({})", kind.replace('_', " "), events.count);
            lines.extend([String::new(), title, String::new()]);
            lines.extend(events.last.iter().map(|line| format!("* {}", code(line))));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn title(&self) -> String {
        self.name.as_ref().map_or_else(|| self.workspace.to_string(), ToString::to_string)
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let ledger = match self.ledger.broken_at {
            None => format!("{} events, unbroken", self.ledger.events),
            Some(at) => format!("BROKEN at event {at} of {}", self.ledger.events),
        };
        let mut facts = vec![
            ("Outcome", self.outcome.clone()),
            ("State", self.state.to_string()),
            ("Since", format!("{} (event {})", self.since, self.since_sequence)),
            ("Commands", format!("{}, {} failed", self.commands_total, self.commands_failed)),
        ];
        if let Some(changes) = &self.changes {
            facts.push(("Files", changes.counts.to_string()));
        }
        if !self.secrets.is_empty() {
            facts.push(("Secrets given", self.secrets.join(", ")));
        }
        facts.push(("Ledger", ledger));
        facts
    }
}

impl Present for Summary {
    fn present(&self, screen: &mut Screen) {
        if self.format == SummaryFormat::Markdown {
            screen.out.extend_from_slice(self.to_markdown().as_bytes());
            return;
        }
        screen.line(format!("{:<14} {}", "Workspace", self.title()));
        for (name, value) in self.facts() {
            screen.line(format!("{name:<14} {}", printable(&value)));
        }
        for command in &self.commands {
            let mark = if command.has_failed() { "!" } else { " " };
            let (line, ending) = (printable(&command.line), printable(&command.ending()));
            screen.line(format!("{mark} {line}  ({ending})"));
            for line in command.last_lines() {
                screen.line(format!("  | {}", printable(line)));
            }
        }
        let changed = self.changes.as_ref().map_or(&[] as &[ChangedFile], |found| &found.changes);
        changed.iter().for_each(|file| screen.line(format!("  {}", printable(&file.status()))));
        for (kind, events) in &self.events {
            screen.line(format!("{} ({})", kind.replace('_', " "), events.count));
            events.last.iter().for_each(|line| screen.line(format!("  {}", printable(line))));
        }
    }
}

/// Text that cannot do anything to a terminal.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(shown).collect()
}

/// Text as code in Markdown, whatever is in it.
fn code(text: &str) -> String {
    let text = printable(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 || text.is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Text that stays text in Markdown.
fn escaped(text: &str) -> String {
    let special = |c| "\\`*_{}[]<>()#+!|&~".contains(c);
    let shown = |c: char| if special(c) { format!("\\{c}") } else { c.into() };
    printable(text).chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_chose_stays_text_in_markdown() {
        assert_eq!(code("a `b` ``c"), "``` a `b` ``c ```");
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("\u{1b}[31m\n"), "`\\u{1b}[31m\\n`");
        assert_eq!(escaped("<img> [a](b)\n"), r"\<img\> \[a\]\(b\)\\n");
    }
}
