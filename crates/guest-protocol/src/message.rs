//! The meaning of control frames: JSON, one type per direction.
//!
//! A request opens a stream; every stream ends with exactly one final answer:
//! `Exited`, `Done` or `Refused`. After it the stream's id is spent.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::epoch::Token;
use crate::frame::{Body, Channel, Frame, MAX_PAYLOAD, StreamId};

/// The longest command line plus environment of an [`Exec`], in bytes of JSON.
pub const MAX_CONTROL: usize = MAX_PAYLOAD;

/// What the host tells the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum HostMessage {
    /// Stream 0, first in every epoch. Answered by [`GuestMessage::Begun`].
    Begin(Begin),
    /// Opens a stream: run a command.
    Exec(Exec),
    /// Opens a stream: go on with the command that was started with this name in
    /// [`Exec::keep`], in this epoch or in one before. Answered by `Started` and
    /// then as an `Exec`; the host has the initial credit once more.
    Attach {
        /// The name.
        name: String,
    },
    /// Opens a stream: mount the workspace drive. Answered by `Done`.
    MountWorkspace,
    /// Opens a stream: write everything to the disks. Answered by `Done`.
    Sync,
    /// On a command's stream: the host has consumed this much of a channel.
    Credit {
        /// Standard output or standard error.
        channel: Channel,
        /// Bytes the guest may send in addition.
        bytes: u32,
    },
    /// On a command's stream: nothing more will come on its standard input.
    StdinClosed,
    /// On a command's stream: its terminal has another size.
    Resize(TerminalSize),
    /// On a command's stream: signal its process group, or the foreground job of
    /// its terminal.
    Signal {
        /// Number of the signal, 1 to 64.
        number: i32,
    },
    /// On a command's stream: end it. Its process group gets a signal; what is
    /// left of its process tree when it has ended, or when the grace is over, is
    /// killed.
    Cancel {
        /// How long it may take to end by itself, in milliseconds.
        grace_ms: u64,
        /// Number of the signal, 1 to 64; SIGINT unless another is named. Older
        /// guests know no other.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    },
    /// On a command's stream: kill its whole process tree.
    Kill,
}

/// Who this machine is from now on. The guest applies all of it before it
/// answers, so no command ever sees the identity of the machine it was copied
/// from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The host's [`crate::GENERATION`].
    pub generation: u32,
    /// Wall clock, in nanoseconds since 1970-01-01 UTC.
    pub unix_time_ns: u64,
    /// The guest's host name.
    pub host_name: String,
    /// 32 hexadecimal digits for `/etc/machine-id`.
    pub machine_id: String,
    /// Random bytes from the host for the guest's generator.
    pub entropy: [u8; 32],
    /// Opens the next epoch.
    pub next_token: Token,
}

/// A command to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments; at least the program.
    pub argv: Vec<String>,
    /// Set on top of the guest's default environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: String,
    /// Kill the process tree after this many milliseconds.
    pub timeout_ms: Option<u64>,
    /// Where standard input comes from.
    pub stdin: Stdin,
    /// Gives it a terminal of this size instead of pipes. All that it writes
    /// then arrives as standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSize>,
    /// Keeps it across epochs under this name. While nobody is attached, it is
    /// not heard and may block on its output; how it ended waits for whoever
    /// attaches. Without a name, it goes on unheard in the next epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// What becomes of its descendants once it has ended.
    #[serde(default, skip_serializing_if = "Leftovers::are_spared")]
    pub leftovers: Leftovers,
}

/// What becomes of a command's descendants once it has ended by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftovers {
    /// They go on, unheard. What older guests always do.
    #[default]
    Spared,
    /// They are killed before the end is told.
    Killed,
}

impl Leftovers {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    const fn are_spared(&self) -> bool {
        matches!(self, Self::Spared)
    }
}

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Where a command's standard input comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// The stream, until [`HostMessage::StdinClosed`].
    Stream,
}

/// What the guest tells the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GuestMessage {
    /// Stream 0: the epoch has begun.
    Begun {
        /// The guest's [`crate::GENERATION`].
        generation: u32,
        /// Version of the agent.
        agent_version: String,
        /// `uname -r` of the guest.
        kernel: String,
    },
    /// The command runs.
    Started {
        /// Its process id in the guest.
        pid: u32,
    },
    /// The process has consumed this much of its standard input.
    Credit {
        /// Bytes the host may send in addition.
        bytes: u32,
    },
    /// The process closed its standard input; what is still sent is dropped.
    StdinRefused,
    /// Final answer of a command: it ended, and all its output has been sent.
    Exited {
        /// How it ended.
        end: End,
        /// Milliseconds from start to end, by the guest's clock.
        duration_ms: u64,
    },
    /// Final answer of a request that only succeeds.
    Done,
    /// Final answer of a request that could not be carried out.
    Refused {
        /// For branching.
        reason: Refusal,
        /// For reading.
        message: String,
    },
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum End {
    /// It exited.
    Code {
        /// Its exit code, 0 to 255.
        code: u8,
    },
    /// A signal ended it.
    Signal {
        /// Number of the signal.
        number: i32,
    },
    /// The guest killed it because its time was up.
    TimedOut,
    /// The guest killed it because the host said [`HostMessage::Kill`].
    Killed,
}

/// Why a request could not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No such program.
    CommandNotFound,
    /// The program exists but cannot be executed.
    NotExecutable,
    /// The working directory does not exist or cannot be entered.
    BadWorkingDirectory,
    /// No command was kept under that name, or somebody is attached to it.
    NotKept,
    /// The guest has no processes, memory or descriptors left.
    Exhausted,
    /// Said by the host: the machine that it ran in was put back to an earlier
    /// state.
    LostByRestore,
    /// The request makes no sense to this guest.
    Unsupported,
    /// A step failed; the message says which.
    Failed,
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
#[error("a control frame on stream {stream} is no message of this protocol")]
pub struct MessageError {
    stream: u32,
    #[source]
    source: serde_json::Error,
}

/// Reads a control frame's payload.
///
/// # Errors
///
/// If it is not the JSON of `M`.
pub fn parse<'de, M: Deserialize<'de>>(
    stream: StreamId,
    payload: &'de [u8],
) -> Result<M, MessageError> {
    serde_json::from_slice(payload).map_err(|source| MessageError { stream: stream.0, source })
}

/// A control frame that holds `message`.
///
/// # Errors
///
/// With the length in bytes, if the message does not fit into a frame.
pub fn control<M: Serialize>(stream: StreamId, message: &M) -> Result<Frame, MessageTooLong> {
    let payload = serde_json::to_vec(message).expect("messages are plain data");
    if payload.len() > MAX_CONTROL {
        return Err(MessageTooLong(payload.len()));
    }
    Ok(Frame { stream, body: Body::Control(Bytes::from(payload)) })
}

/// A message that does not fit into one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes does not fit into a frame of {MAX_CONTROL}")]
pub struct MessageTooLong(pub usize);

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here is a change that frozen guests have to live with.
    #[test]
    fn the_wire_form_of_each_message() {
        let begin = Begin {
            generation: 1,
            unix_time_ns: 2,
            host_name: "demo".into(),
            machine_id: "0".repeat(32),
            entropy: [0; 32],
            next_token: [1; 32],
        };
        let exec = Exec {
            argv: vec!["ls".into(), "-l".into()],
            env: BTreeMap::from([("A".into(), "b".into())]),
            cwd: "/workspace".into(),
            timeout_ms: Some(1000),
            stdin: Stdin::Stream,
            ..Exec::default()
        };
        let shell = Exec {
            terminal: Some(TerminalSize { columns: 80, rows: 24 }),
            keep: Some("shell".into()),
            ..exec.clone()
        };
        let service = Exec { leftovers: Leftovers::Killed, ..exec.clone() };
        let host = [
            HostMessage::Begin(begin),
            HostMessage::Exec(exec),
            HostMessage::Exec(shell),
            HostMessage::Exec(service),
            HostMessage::Attach { name: "shell".into() },
            HostMessage::Resize(TerminalSize { columns: 100, rows: 50 }),
            HostMessage::MountWorkspace,
            HostMessage::Sync,
            HostMessage::Credit { channel: Channel::Stdout, bytes: 3 },
            HostMessage::StdinClosed,
            HostMessage::Signal { number: 2 },
            HostMessage::Cancel { grace_ms: 3, signal: None },
            HostMessage::Cancel { grace_ms: 3, signal: Some(15) },
            HostMessage::Kill,
        ];
        let guest = [
            GuestMessage::Begun {
                generation: 1,
                agent_version: "0.1.0".into(),
                kernel: "6.1".into(),
            },
            GuestMessage::Started { pid: 7 },
            GuestMessage::Credit { bytes: 3 },
            GuestMessage::StdinRefused,
            GuestMessage::Exited { end: End::Code { code: 0 }, duration_ms: 4 },
            GuestMessage::Exited { end: End::Signal { number: 9 }, duration_ms: 4 },
            GuestMessage::Exited { end: End::TimedOut, duration_ms: 4 },
            GuestMessage::Exited { end: End::Killed, duration_ms: 4 },
            GuestMessage::Done,
            GuestMessage::Refused { reason: Refusal::CommandNotFound, message: "no".into() },
        ];
        let lines: Vec<String> = host
            .iter()
            .map(|message| serde_json::to_string(message).unwrap())
            .chain(guest.iter().map(|message| serde_json::to_string(message).unwrap()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
