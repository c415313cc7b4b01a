//! The one shape of error that crosses every face.

use std::error::Error;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many causes of an error are kept; a longer chain is cut.
const CAUSES_MAX: usize = 16;

/// Why an operation failed: data, so that it crosses sockets unharmed.
///
/// `message` names the failed step and its object, `causes` says why, from the
/// nearest to the deepest, and `hints` say what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpError {
    /// For branching.
    pub kind: ErrorKind,
    /// The step that failed and its object.
    pub message: String,
    /// Why, from the nearest cause to the deepest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// What class of failure it is. Each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request makes no sense as it stands.
    InvalidRequest,
    /// What it names does not exist.
    NotFound,
    /// It contradicts what exists.
    Conflict,
    /// It is not allowed.
    Denied,
    /// Something that it needs is missing or not ready.
    Unavailable,
    /// The host has no disk space or memory left for it.
    Exhausted,
    /// It took too long.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The machine ended while it was under way.
    MachineLost,
    /// The program to run was found but cannot be executed.
    CommandNotExecutable,
    /// The program to run does not exist in the guest.
    CommandNotFound,
    /// Hotcell itself is wrong.
    Internal,
}

impl ErrorKind {
    /// The exit code of the command line. Codes 124 to 127 and 130 mean what
    /// they mean for `timeout(1)` and for shells; the rest lies in a range that
    /// programs rarely use, because a guest command's own code is passed on.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::InvalidRequest => 2,
            Self::NotFound => 113,
            Self::Conflict => 114,
            Self::Denied => 115,
            Self::Unavailable => 116,
            Self::Exhausted => 117,
            Self::MachineLost => 118,
            Self::Internal => 119,
            Self::TimedOut => 124,
            Self::CommandNotExecutable => 126,
            Self::CommandNotFound => 127,
            Self::Cancelled => 130,
        }
    }
}

impl OpError {
    /// An error made of `error` and the chain of its sources.
    #[must_use]
    pub fn new(kind: ErrorKind, error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            if causes.len() == CAUSES_MAX {
                break;
            }
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self { kind, message: error.to_string(), causes, hints: Vec::new() }
    }

    /// An error that no Rust error stands behind.
    #[must_use]
    pub fn plain(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// The same error with one more hint.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error, as the cause of a step that failed because of it.
    #[must_use]
    pub fn during(mut self, step: impl Into<String>) -> Self {
        let message = std::mem::replace(&mut self.message, step.into());
        self.causes.insert(0, message);
        self.causes.truncate(CAUSES_MAX);
        self
    }
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {}", indented(cause))?;
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Error for OpError {}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_step_causes_and_hint() {
        let error = OpError::plain(ErrorKind::Unavailable, "permission denied")
            .during("failed to open /dev/kvm")
            .during("cannot boot `demo`")
            .hinted("join the `kvm` group");
        insta::assert_snapshot!(error, @r"
        error: cannot boot `demo`
          caused by: failed to open /dev/kvm
          caused by: permission denied
        hint: join the `kvm` group
        ");
    }

    #[test]
    fn exit_codes_are_distinct() {
        use ErrorKind::*;
        let kinds = [
            InvalidRequest,
            NotFound,
            Conflict,
            Denied,
            Unavailable,
            Exhausted,
            TimedOut,
            Cancelled,
            MachineLost,
            CommandNotExecutable,
            CommandNotFound,
            Internal,
        ];
        let codes: std::collections::BTreeSet<u8> =
            kinds.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes.len(), kinds.len());
    }
}
