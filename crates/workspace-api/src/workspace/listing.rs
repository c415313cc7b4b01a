//! Finding workspaces: those that exist, and what is left of deleted ones.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activity, Workspace};
use crate::id::{WorkspaceId, WorkspaceName};
use crate::label::LabelFilter;
use crate::spec::EnvironmentRef;
use crate::state::WorkspaceState;
use operation::text_value;

/// List workspaces, the one with the newest activity first
///
/// Filters narrow the list; each has to match. With `deleted` it lists what is
/// left of workspaces that no longer exist, the newest first: their ledger can
/// still be read with `workspace logs` and `workspace summary`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct List {
    /// Only those with this label: KEY=VALUE, or KEY for any value (can be repeated)
    #[arg(long, value_name = "KEY[=VALUE]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<LabelFilter>,
    /// Only those in this state (can be repeated)
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<WorkspaceState>,
    /// Only those whose name is like this; `*` stands for any text, `?` for one character
    #[arg(long, value_name = "PATTERN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NamePattern>,
    /// Only those that started from this environment
    #[arg(long, value_name = "ENVIRONMENT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentRef>,
    /// List what is left of deleted workspaces instead
    #[arg(long, conflicts_with = "state")]
    pub deleted: bool,
}

impl Operation for List {
    type Output = Workspaces;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "--label team=core --state running --name web-*",
            json: r#"{"label": ["team=core"], "state": ["running"], "name": "web-*"}"#,
        },
        Example { argv: "--deleted", json: r#"{"deleted": true}"# },
    ];
}

/// What a name is like: characters of names, `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

impl NamePattern {
    /// The text, which means to SQLite's `GLOB` what it means here.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let belongs =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '*' | '?');
        let valid =
            (1..=WorkspaceName::LENGTH_MAX).contains(&text.len()) && text.chars().all(belongs);
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAPattern(text.to_owned())) }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that no name can be like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no name is like `{0}`: use a-z, 0-9, `-`, and `*` and `?` for what may differ")]
pub struct NotAPattern(String);

text_value!(NamePattern, "^[a-z0-9*?-]{1,63}$");

/// Workspaces, or what is left of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workspaces {
    /// The one with the newest activity first.
    pub workspaces: Vec<Workspace>,
    /// If it was asked for: what is left of deleted ones, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<Tombstone>,
}

/// What is left of a deleted workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tombstone {
    /// The id that it had.
    pub id: WorkspaceId,
    /// The name that it had; another workspace may have it now.
    pub name: Option<WorkspaceName>,
    /// Why it was deleted.
    pub reason: String,
    /// Name of the environment that it started from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentRef>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was created, if that is known, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it was deleted, RFC 3339 in UTC.
    pub deleted_at: String,
}

impl Present for Workspaces {
    fn present(&self, screen: &mut Screen) {
        for workspace in &self.workspaces {
            let activity = workspace.activity.as_ref().map(Activity::in_short).unwrap_or_default();
            let line = format!(
                "{}  {:<20} {:<9} {:<16} {}  {activity}",
                workspace.id,
                shown(workspace.name.as_ref()),
                workspace.state,
                workspace.environment.as_str(),
                workspace.last_activity_at
            );
            screen.line(line.trim_end());
        }
        for tombstone in &self.deleted {
            screen.line(format!(
                "{}  {:<20} {:<9} {}  {}",
                tombstone.id,
                shown(tombstone.name.as_ref()),
                "deleted",
                tombstone.deleted_at,
                tombstone.reason
            ));
        }
        if self.workspaces.is_empty() && self.deleted.is_empty() {
            screen.note("No workspaces: `hotcell workspace create` makes one");
        }
    }
}

fn shown(name: Option<&WorkspaceName>) -> &str {
    name.map_or("-", WorkspaceName::as_str)
}
