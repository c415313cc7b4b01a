//! What becomes of a workspace that nobody uses.
//!
//! A workspace is *idle* while no command and no service runs in it, nobody is
//! attached to a shell of it, and nobody changes anything in it: looking at it is
//! no use of it. One that was idle for as long as its policy says is put aside,
//! after a warning. Idleness never deletes anything.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::TimeSpan;
use operation::text_value;

/// How long a workspace may be idle: a span of time of at least a second, or
/// `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum IdleAfter {
    /// As long as it likes.
    Never,
    /// So long.
    Span(TimeSpan),
}

impl IdleAfter {
    /// The shortest span: what is shorter would end workspaces between two steps
    /// of one piece of work.
    pub const MIN: Duration = Duration::from_secs(1);

    /// The span of workspaces for which nobody says otherwise.
    pub const DEFAULT: Duration = Duration::from_secs(60 * 60);

    const NEVER: &'static str = "never";
}

impl Default for IdleAfter {
    fn default() -> Self {
        Self::Span(TimeSpan::try_from(Self::DEFAULT).expect("a span within the bounds"))
    }
}

impl FromStr for IdleAfter {
    type Err = NotAnIdleSpan;

    fn from_str(text: &str) -> Result<Self, NotAnIdleSpan> {
        if text == Self::NEVER {
            return Ok(Self::Never);
        }
        match text.parse::<TimeSpan>() {
            Ok(span) if span.duration() >= Self::MIN => Ok(Self::Span(span)),
            _ => Err(NotAnIdleSpan(text.to_owned())),
        }
    }
}

impl fmt::Display for IdleAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str(Self::NEVER),
            Self::Span(span) => span.fmt(f),
        }
    }
}

/// A text that does not say how long a workspace may be idle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time to be idle: write `never`, or a span between 1s and 30d such as `30m`")]
pub struct NotAnIdleSpan(String);

text_value!(IdleAfter, "^(never|[0-9].*)$");

/// How an idle workspace is put aside.
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
pub enum IdleAction {
    /// Its machine is put aside with its memory; nothing in it ends.
    #[default]
    Hibernate,
    /// Its machine is stopped; its disks stay, what was only in memory ends.
    Stop,
}

impl fmt::Display for IdleAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hibernate => "hibernate",
            Self::Stop => "stop",
        })
    }
}

/// What becomes of a workspace that nobody uses
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::Args,
)]
#[serde(deny_unknown_fields, default)]
pub struct IdlePolicy {
    /// Put it aside when nobody has used it for so long, such as 30m; or never
    #[arg(long, value_name = "TIME", default_value_t)]
    pub idle_after: IdleAfter,
    /// How it is put aside
    #[arg(long, value_enum, value_name = "ACTION", default_value_t)]
    pub idle_then: IdleAction,
}

impl IdlePolicy {
    /// It runs on, whether anybody uses it or not.
    #[must_use]
    pub fn never() -> Self {
        Self { idle_after: IdleAfter::Never, ..Self::default() }
    }

    /// Whether it is the one that workspaces have unless somebody says otherwise.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for IdlePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.idle_after {
            IdleAfter::Never => f.write_str("runs on"),
            IdleAfter::Span(span) => write!(f, "{} after {span}", self.idle_then),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_span_or_never() {
        assert_eq!("never".parse(), Ok(IdleAfter::Never));
        let half_an_hour: IdleAfter = "30m".parse().unwrap();
        assert_eq!(half_an_hour.to_string().parse(), Ok(half_an_hour));
        for bad in ["", "Never", "0", "999ms", "31d", "-1h"] {
            assert!(bad.parse::<IdleAfter>().is_err(), "{bad}");
        }
    }
}
