//! Commands of a lane, which may go on in the background.

use std::fmt::Write as _;
use std::time::Duration;

use operation::OpError;
use workspace_api::command::{BothEnds, Ran, Send, Start, Wait};
use workspace_api::job::{CommandRef, JobState, Signal};
use workspace_api::run::CommandOptions;

use super::Answer;
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// Most bytes of each output in an answer.
const SHOWN_BYTES: u32 = 16_000;

/// Longest time that a command may be given.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long a killed command may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// How a command runs in a lane.
pub(super) fn options(
    lane: &Lane,
    directory: Option<String>,
    timeout: Option<Duration>,
) -> Result<CommandOptions, Trouble> {
    let timeout = timeout.map(|span| span.clamp(Duration::from_millis(1), TIMEOUT_MAX));
    let timeout = timeout.map(TryInto::try_into).transpose()?;
    let env = lane.variables()?;
    Ok(CommandOptions { timeout, env, cwd: directory, ..CommandOptions::default() })
}

/// Begins a line of bash.
pub(super) async fn bash(
    lane: &Lane,
    line: &str,
    timeout: Option<Duration>,
) -> Result<CommandRef, Trouble> {
    begin(lane, &["bash", "-c", line], options(lane, None, timeout)?).await
}

/// Begins a command.
pub(super) async fn begin(
    lane: &Lane,
    command: &[&str],
    options: CommandOptions,
) -> Result<CommandRef, Trouble> {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    let started = lane.cell()?.ask(|workspace| Start { workspace, options, command }).await?;
    Ok(started.id.parse()?)
}

/// How a command is, and why that is told.
pub(super) struct Settled {
    pub(super) ran: Ran,
    /// Whether a message for the agent ended the waiting.
    pub(super) is_cut_short: bool,
}

impl Settled {
    pub(super) fn is_running(&self) -> bool {
        self.ran.command.status.state == JobState::Running
    }
}

/// How a command is, once it has ended, the time is up, or a message waits. What it has
/// done is on the disk if it has ended, whoever is killed next.
pub(super) async fn settled(
    lane: &Lane,
    command: &CommandRef,
    patience: Duration,
) -> Result<Settled, Trouble> {
    let look = async |timeout: Duration| -> Result<Ran, Trouble> {
        let timeout = timeout.max(Duration::from_millis(1));
        let (command, timeout) = (command.clone(), Some(timeout.try_into()?));
        let wait = |workspace| Wait { workspace, command, timeout, max_bytes: SHOWN_BYTES };
        let ran: Result<Ran, OpError> = lane.cell()?.ask(wait).await;
        Ok(ran?)
    };
    let (ran, is_cut_short) = tokio::select! {
        ran = look(patience) => (ran?, false),
        () = lane.until_message() => (look(Duration::ZERO).await?, true),
    };
    let settled = Settled { ran, is_cut_short };
    if !settled.is_running() {
        lane.cell()?.sync().await?;
    }
    Ok(settled)
}

/// Sends a command a signal.
pub(super) async fn signal(
    lane: &Lane,
    command: &CommandRef,
    signal: Signal,
) -> Result<(), Trouble> {
    let command = command.clone();
    lane.cell()?.ask(|workspace| Send { workspace, command, signal }).await?;
    Ok(())
}

/// Waits as [`settled`] does, and tells how the command is. `look` is the tool that shows
/// one that still runs.
pub(super) async fn show(
    lane: &Lane,
    command: &CommandRef,
    patience: Duration,
    look: &str,
) -> Result<Answer, Trouble> {
    Ok(told(&settled(lane, command, patience).await?, look))
}

/// Kills a command and all that it started, and tells how it is then.
pub(super) async fn kill(lane: &Lane, command: &CommandRef, look: &str) -> Result<Answer, Trouble> {
    signal(lane, command, "KILL".parse()?).await?;
    show(lane, command, KILL_TIMEOUT, look).await
}

/// The beginning and the end of what a command has written, and how it is.
fn told(settled: &Settled, look: &str) -> Answer {
    let Ran { command, stdout, stderr } = &settled.ran;
    let mut text = String::new();
    shown(&mut text, "", stdout);
    shown(&mut text, "stderr:\n", stderr);
    if settled.is_running() {
        if settled.is_cut_short {
            text.push_str(super::CUT_SHORT);
        }
        text.push_str(&background(&command.id, look));
        return Answer::text(text);
    }
    match command.status.exit_code {
        Some(0) if text.is_empty() => Answer::text("(no output)"),
        Some(0) => Answer::text(text),
        Some(code) => Answer::Failed(format!("Exit code {code}\n{text}")),
        None => Answer::Failed(format!("{}\n{text}", command.status.summary())),
    }
}

/// What is said of a command that goes on.
pub(super) fn background(id: &str, look: &str) -> String {
    format!("{id} runs in the background: {look} shows it.")
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
