//! What background commands and shells have in common.

use std::fmt;
use std::str::FromStr;

use operation::{ErrorKind, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::output::OutputBytes;
use crate::run::CommandEnd;
use operation::text_value;

/// Declares how a kind of job is named: a prefix and 32 hexadecimal digits, of
/// which a unique beginning of at least four does.
macro_rules! job_reference {
    ($name:ident, $prefix:literal, $what:literal, $example:literal) => {
        #[doc = concat!("Means one ", $what, ": its id, or a unique beginning of it.")]
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What its ids begin with.
            pub const PREFIX: &'static str = $prefix;

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAJob;

            fn from_str(text: &str) -> Result<Self, NotAJob> {
                let is_valid = text.strip_prefix($prefix).is_some_and(|digits| {
                    (4..=32).contains(&digits.len())
                        && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
                });
                if is_valid {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NotAJob { text: text.to_owned(), what: $what, example: $example })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_value!($name, concat!("^", $prefix, "[0-9a-f]{4,32}$"));
    };
}

job_reference!(CommandRef, "cmd_", "command", "cmd_0190a6f2");
job_reference!(ShellRef, "sh_", "shell", "sh_0190a6f2");

/// A text that means no job of a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` means no {what}: give its id, or the id's first digits (`{example}`)")]
pub struct NotAJob {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// A signal: a name such as `INT` or `SIGTERM`, or a number from 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// The signals that have names here, and their numbers on Linux.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("WINCH", 28),
];

impl Signal {
    /// What a key press of Ctrl-C sends.
    pub const INTERRUPT: Self = Self(2);
    /// The polite request to end.
    pub const TERMINATE: Self = Self(15);

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = NotASignal;

    fn from_str(text: &str) -> Result<Self, NotASignal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let named = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let number = named.or_else(|| text.parse().ok().filter(|n| (1..=64).contains(n)));
        number.map(Self).ok_or_else(|| NotASignal(text.to_owned()))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIGNALS.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A text that is no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no signal: write a name such as INT, TERM or KILL, or a number from 1 to 64")]
pub struct NotASignal(String);

text_value!(Signal, "^[A-Za-z0-9]+$");

/// Whether a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It does.
    Running,
    /// It ended; how is known.
    Ended,
    /// It is gone with its machine or its keeper; how it ended is not known.
    Lost,
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Lost => "lost",
        })
    }
}

/// How a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobStatus {
    /// Whether it runs.
    pub state: JobState,
    /// Its exit code as shells count it, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<CommandEnd>,
    /// How long it ran by the guest's clock, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why nobody knows how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was started, RFC 3339 in UTC.
    pub started_at: String,
    /// Bytes that it wrote to its standard output, or its terminal.
    pub stdout_bytes: u64,
    /// Bytes that it wrote to its standard error.
    pub stderr_bytes: u64,
}

impl JobStatus {
    /// It in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        match (self.state, self.exit_code) {
            (JobState::Ended, Some(code)) => format!("ended, exit code {code}"),
            (JobState::Lost, _) => {
                format!("lost ({})", self.reason.as_deref().unwrap_or("nobody knows why"))
            }
            (state, _) => state.to_string(),
        }
    }

    /// The exit code of a command line that waited for the job: its own, or what
    /// tells that it still runs or is lost.
    #[must_use]
    pub const fn waited_exit_code(&self) -> u8 {
        match (self.state, self.exit_code) {
            (JobState::Running, _) => ErrorKind::TimedOut.exit_code(),
            (_, Some(code)) => code,
            (_, None) => ErrorKind::MachineLost.exit_code(),
        }
    }
}

/// Some of what a job wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputExcerpt {
    /// Position of its first byte in all that the job wrote.
    pub cursor: u64,
    /// Where to read on.
    pub next_cursor: u64,
    /// How much the job has written so far, in bytes.
    pub total_bytes: u64,
    /// How many bytes before `cursor` were asked for and are no longer kept.
    pub skipped_bytes: u64,
    /// Whether the job runs, and may write more.
    pub running: bool,
    /// The bytes.
    pub output: OutputBytes,
}

impl Present for OutputExcerpt {
    fn present(&self, screen: &mut Screen) {
        screen.out.extend_from_slice(&self.output.0);
        if self.skipped_bytes > 0 {
            screen.note(format!("hotcell: {} bytes are no longer kept", self.skipped_bytes));
        }
        if self.next_cursor < self.total_bytes {
            screen.note(format!("hotcell: read on with --cursor {}", self.next_cursor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("INT", 2), ("sigterm", 15), ("9", 9), ("64", 64)] {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
        assert_eq!("SIGHUP".parse::<Signal>().unwrap().to_string(), "HUP");
        for bad in ["", "0", "65", "-1", "SIGNOTHING"] {
            assert!(bad.parse::<Signal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn references_carry_their_kind() {
        assert!("cmd_0190".parse::<CommandRef>().is_ok());
        assert!("sh_0190".parse::<CommandRef>().is_err());
        assert!("cmd_01".parse::<CommandRef>().is_err());
        assert!("sh_../..".parse::<ShellRef>().is_err());
    }
}
