//! The tools of Codex, as version 0.169 offers them, but for what only asks for rights.
//! What it has a grammar for, a patch, comes in an argument as text: the Model Context
//! Protocol knows no other tools.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::session::{Ends, Measure, go_on, run};
use super::super::{Answer, PATIENCE, TEXT_BYTES_MAX, Tool, file, patch};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// How long a command is waited for unless the model says otherwise, in milliseconds.
const YIELD_MS: u64 = 10_000;

/// The same for one that was begun before.
const POLL_MS: u64 = 5_000;

/// The least that is waited, in milliseconds.
const YIELD_MS_MIN: u64 = 250;

/// How much output is told unless the model says otherwise, in tokens.
const OUTPUT_TOKENS: u64 = 10_000;

/// Bytes of a token, roughly.
const TOKEN_BYTES: u64 = 4;

/// The least output that is told, in bytes.
const OUTPUT_BYTES_MIN: u64 = 400;

fn measure(yield_ms: u64, tokens: Option<u64>) -> Result<Measure, Trouble> {
    let bytes = tokens.unwrap_or(OUTPUT_TOKENS).saturating_mul(TOKEN_BYTES);
    // What is said around it has to fit as well.
    let bytes = bytes.clamp(OUTPUT_BYTES_MIN, TEXT_BYTES_MAX as u64 - OUTPUT_BYTES_MIN);
    let patience = Duration::from_millis(yield_ms.max(YIELD_MS_MIN)).min(PATIENCE);
    Ok(Measure { patience, shown: bytes.try_into()? })
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ExecCommand {
    /// Shell command to execute, by bash.
    cmd: String,
    /// Working directory for the command. Defaults to /workspace.
    workdir: Option<String>,
    /// True allocates a PTY for the command; false or omitted uses plain pipes.
    #[serde(default)]
    tty: bool,
    /// Wait before yielding output. Defaults to 10000 ms; effective range is 250-25000 ms.
    yield_time_ms: Option<u64>,
    /// Output token budget. Defaults to 10000 tokens.
    max_output_tokens: Option<u64>,
}

impl Tool for ExecCommand {
    const NAME: &'static str = "exec_command";
    const ABOUT: &'static str = "Runs a command in your own Linux machine, as root, returning output or a session \
                                 ID for ongoing interaction. This is your shell; nothing else can run commands.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let ends = if self.tty { Ends::Terminal } else { Ends::Pipes };
        let measure = measure(self.yield_time_ms.unwrap_or(YIELD_MS), self.max_output_tokens)?;
        run(lane, (&self.cmd, self.workdir), ends, measure).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WriteStdin {
    /// Identifier of the running session.
    session_id: u64,
    /// Bytes to write to stdin. Defaults to empty, which polls without writing. Without a
    /// PTY only "\u0003" can be written, which interrupts.
    #[serde(default)]
    chars: String,
    /// Wait before yielding output. Non-empty writes default to 250 ms, empty polls to 5000
    /// ms; 25000 ms at most.
    yield_time_ms: Option<u64>,
    /// Output token budget. Defaults to 10000 tokens.
    max_output_tokens: Option<u64>,
}

impl Tool for WriteStdin {
    const NAME: &'static str = "write_stdin";
    const ABOUT: &'static str =
        "Writes characters to an existing session of exec_command and returns recent output.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let default = if self.chars.is_empty() { POLL_MS } else { YIELD_MS_MIN };
        let measure = measure(self.yield_time_ms.unwrap_or(default), self.max_output_tokens)?;
        go_on(lane, self.session_id, self.chars, measure).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ApplyPatch {
    /// The entire contents of the patch, from `*** Begin Patch` to `*** End Patch`. Files are
    /// named relative to /workspace, or absolute.
    #[serde(alias = "patch")]
    input: String,
}

impl Tool for ApplyPatch {
    const NAME: &'static str = "apply_patch";
    const ABOUT: &'static str = "Edits files of your machine by a patch, as a whole or not at all: *** Begin Patch, \
                                 then *** Add File: / *** Delete File: / *** Update File: (with *** Move to: and \
                                 hunks that begin with @@), then *** End Patch.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        patch::apply(lane, &self.input).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ViewImage {
    /// Path to an image file (PNG, JPEG, GIF, WebP) in your machine.
    path: String,
}

impl Tool for ViewImage {
    const NAME: &'static str = "view_image";
    const ABOUT: &'static str =
        "Views an image file of your machine when visual inspection is needed.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        file::view(lane, &self.path).await
    }
}
