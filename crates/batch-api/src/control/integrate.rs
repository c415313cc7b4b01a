//! Bringing the work of a batch to where its operator wants it.

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::id::{BatchId, CommitName, NotAnId, RequestId};

/// Bring what a batch has merged into a branch of yours, or push it for a pull request
///
/// The batch's integration branch becomes a branch of the repository, and then one branch
/// is moved, or that one is pushed. Nothing else of the repository is touched: a checkout
/// of the branch is brought along, and if something that is not committed is in the way,
/// nothing is changed. Doing it again brings what was merged since.
///
/// The batch's engine does it, with what git needs of your environment, and its journal
/// has what was asked for and what it came to. If the engine dies in between, the next one
/// looks at the branch, or at the remote. Repeated under the same name, a request is
/// answered with what the first one came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Integrate {
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// How
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub way: IntegrationWay,
    /// Branch that the work is brought into [default: the one that is checked out]
    #[arg(long, value_name = "BRANCH")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<BranchName>,
    /// Remote that is pushed to, by its name in the repository
    #[arg(long, value_name = "REMOTE", default_value = "origin")]
    #[serde(default = "origin")]
    pub remote: BranchName,
    /// What the batch's branch is called [default: hotcell/ and the beginning of its id]
    #[arg(long, value_name = "BRANCH")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    /// Name of this request: repeated, it gets the first answer
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

fn origin() -> BranchName {
    BranchName("origin".to_owned())
}

impl Integrate {
    /// Brings a batch into the branch that is checked out, if that has not moved on.
    #[must_use]
    pub fn of(target: Target) -> Self {
        let way = IntegrationWay::FastForward;
        Self { target, way, into: None, remote: origin(), branch: None, request_id: None }
    }
}

impl Operation for Integrate {
    type Output = Integrated;
    type Event = NoEvents;
    const NAME: &'static str = "batch.integrate";
    const EFFECT: Effect = Effect::Crosses;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "bat_0190 --way merge --into main",
            json: r#"{"target": {"batch": "bat_0190"}, "way": "merge", "into": "main"}"#,
        },
        Example {
            argv: "--way push --branch agents/night",
            json: r#"{"way": "push", "branch": "agents/night"}"#,
        },
    ];
}

/// How work is brought to where it is wanted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum IntegrationWay {
    /// The branch moves forward to it; refused if the branch has moved on meanwhile
    #[default]
    FastForward,
    /// A merge commit is made, and the branch moves forward to that
    Merge,
    /// The batch's branch is pushed to a remote; no branch of yours moves
    Push,
}

/// The name of a branch or a remote: at most 200 bytes, beginning with a letter, a digit
/// or `_`, of what git allows in names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// Most bytes of it.
    pub const LENGTH_MAX: usize = 200;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BranchName {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let begins = text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
        let is_one = begins
            && text.len() <= Self::LENGTH_MAX
            && !text.contains(forbidden)
            && !["..", "//", "@{", "/."].iter().any(|part| text.contains(part))
            && ![".", "/", ".lock"].iter().any(|end| text.ends_with(end));
        let form = "a name as git takes it, of at most 200 bytes";
        if is_one { Ok(Self(text.to_owned())) } else { Err(NotAnId::of("branch", text, form)) }
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(BranchName, "^[^ !+/-][^ ]{0,199}$");

/// Where the work of a batch is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Integrated {
    /// The batch.
    pub id: BatchId,
    /// How it was brought.
    pub way: IntegrationWay,
    /// The batch's branch in the repository.
    pub branch: BranchName,
    /// The branch that it was brought into, unless it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<BranchName>,
    /// The remote that it was pushed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<BranchName>,
    /// The commit that is there now, if something was brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitName>,
    /// How many units the batch has.
    pub units: u32,
    /// How many of them are part of it.
    pub done: u32,
    /// The name under which it can be repeated.
    pub request_id: RequestId,
}

impl Present for Integrated {
    fn present(&self, screen: &mut Screen) {
        let Self { units, done, .. } = self;
        let from = format!("{done} of {units} units, also as branch {}", self.branch);
        let at = self.commit.as_ref().map(|commit| format!("{:.12}", commit.as_str()));
        screen.line(match (&self.into, &self.remote, at) {
            (_, Some(remote), Some(at)) => format!("{remote} has it at {at}: {from}"),
            (Some(into), _, Some(at)) => format!("{into} is at {at}: {from}"),
            _ => format!("everything is there already: {from}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_would_take_for_something_else_are_refused() {
        for name in ["main", "feature/one", "_x", "größe", "v1.2", "a-b@c"] {
            assert!(name.parse::<BranchName>().is_ok(), "{name}");
        }
        for bad in [
            "", "-f", "!", "a b", "a..b", "a~1", "a:b", "a/", "a.lock", "/a", "a//b", "a/.b",
            "x@{1}", "+x", "a\nb",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad}");
        }
    }
}
