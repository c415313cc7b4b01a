//! Commands, and those that go on in the background.

use std::fmt::Write as _;
use std::time::Duration;

use operation::OpError;
use schemars::JsonSchema;
use serde::Deserialize;
use workspace_api::command::{BothEnds, Ran, Send, Start, Wait};
use workspace_api::job::{CommandRef, JobState};
use workspace_api::run::CommandOptions;

use super::{Answer, PATIENCE, Tool};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// Most bytes of each output in an answer.
const SHOWN_BYTES: u32 = 16_000;

/// Longest time that a command may be given, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 24 * 3600 * 1000;

/// How long a killed command may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Bash {
    /// The command, for bash; every call begins in /workspace.
    command: String,
    /// Milliseconds after which the command is ended; without it, it may run on.
    timeout: Option<u64>,
    /// Return at once and let it run on.
    #[serde(default)]
    run_in_background: bool,
}

impl Tool for Bash {
    const NAME: &'static str = "Bash";
    const ABOUT: &'static str = "Runs a bash command in your own Linux machine, as root, in /workspace. Returns \
                                 its output when it ends, or after 25 seconds (sooner if a message waits for \
                                 you) with the id of a background command, which runs on: BashOutput shows it. \
                                 Variables and directories do not carry over to the next call.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let timeout = self.timeout.map(|milliseconds| milliseconds.clamp(1, TIMEOUT_MS_MAX));
        let timeout = timeout.map(|span| Duration::from_millis(span).try_into()).transpose()?;
        let env = lane.variables()?;
        let options = CommandOptions { timeout, env, ..CommandOptions::default() };
        let command = ["bash", "-c", &self.command].map(str::to_owned).to_vec();
        let started = lane.cell()?.ask(|workspace| Start { workspace, options, command }).await?;
        if self.run_in_background {
            let id = started.id;
            return Ok(Answer::text(format!("{id} runs in the background: BashOutput shows it.")));
        }
        progress(lane, &started.id.parse()?, PATIENCE).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct BashOutput {
    /// The id of the background command.
    bash_id: String,
    /// Seconds to wait for its end, 25 at most; without it, none.
    #[serde(default)]
    wait: u64,
}

impl Tool for BashOutput {
    const NAME: &'static str = "BashOutput";
    const ABOUT: &'static str = "Shows what a background command has written so far, its beginning and its end, \
                                 and whether it still runs.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let patience = Duration::from_secs(self.wait).clamp(Duration::from_millis(1), PATIENCE);
        progress(lane, &self.bash_id.parse()?, patience).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct KillShell {
    /// The id of the background command.
    shell_id: String,
}

impl Tool for KillShell {
    const NAME: &'static str = "KillShell";
    const ABOUT: &'static str = "Kills a background command and all that it started.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let (command, signal): (CommandRef, _) = (self.shell_id.parse()?, "KILL".parse()?);
        let named = command.clone();
        lane.cell()?.ask(|workspace| Send { workspace, command: named, signal }).await?;
        progress(lane, &command, KILL_TIMEOUT).await
    }
}

/// How a command is, once it has ended, the time is up, or a message waits.
async fn progress(
    lane: &Lane,
    command: &CommandRef,
    patience: Duration,
) -> Result<Answer, Trouble> {
    let look = async |timeout: Duration| -> Result<Ran, Trouble> {
        let (command, timeout) = (command.clone(), Some(timeout.try_into()?));
        let wait = |workspace| Wait { workspace, command, timeout, max_bytes: SHOWN_BYTES };
        let ran: Result<Ran, OpError> = lane.cell()?.ask(wait).await;
        Ok(ran?)
    };
    let (ran, is_cut_short) = tokio::select! {
        ran = look(patience) => (ran?, false),
        () = lane.until_message() => (look(Duration::from_millis(1)).await?, true),
    };
    let status = &ran.command.status;
    let mut text = String::new();
    shown(&mut text, "", &ran.stdout);
    shown(&mut text, "stderr:\n", &ran.stderr);
    if status.state == JobState::Running {
        if is_cut_short {
            text.push_str("A message for you ended the waiting. ");
        }
        let id = &ran.command.id;
        let _ = write!(text, "{id} still runs in the background: BashOutput shows it.");
        return Ok(Answer::text(text));
    }
    // What a result tells as done is on the disk by then, whoever is killed next.
    lane.cell()?.sync().await?;
    Ok(match status.exit_code {
        Some(0) if text.is_empty() => Answer::text("(no output)"),
        Some(0) => Answer::text(text),
        Some(code) => Answer::Failed(format!("Exit code {code}\n{text}")),
        None => Answer::Failed(format!("{}\n{text}", status.summary())),
    })
}

fn shown(text: &mut String, title: &str, output: &BothEnds) {
    if output.total_bytes == 0 {
        return;
    }
    text.push_str(title);
    text.push_str(&String::from_utf8_lossy(&output.head.0));
    if output.left_out_bytes() > 0 {
        let _ = writeln!(text, "[… {} bytes left out here …]", output.left_out_bytes());
    }
    text.push_str(&String::from_utf8_lossy(&output.tail.0));
    if !text.ends_with('\n') {
        text.push('\n');
    }
}
