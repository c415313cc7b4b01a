//! Programs that an agent goes on with by a number, as Codex has them: each time it is
//! told what is new.
//!
//! They are the conversation's, in memory only: when it is over, whatever runs is ended.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use workspace_api::command;
use workspace_api::job::{CommandRef, JobState, JobStatus, ShellRef, Signal};
use workspace_api::shell::{List, Open, Read, TerminalExcerpt, TerminalSize, View, Write};

use super::command::{begin, options, settled, signal};
use super::{Answer, CUT_SHORT};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// Most programs that one conversation may have going.
const SESSIONS_MAX: usize = 256;

/// How long a terminal has to be silent for an answer to what was typed to be whole.
const QUIET: Duration = Duration::from_millis(250);

/// The least time for an answer to what was typed.
const ANSWER: Duration = Duration::from_secs(1);

/// What Ctrl-C types.
const INTERRUPT: &str = "\u{3}";

/// A program.
#[derive(Debug, Clone)]
pub(super) enum Program {
    /// With pipes: nothing can be typed.
    Piped(CommandRef),
    /// On a terminal.
    Terminal(ShellRef),
}

/// The programs of a conversation, numbered from one, and how much of what each wrote
/// was told.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Sessions(Mutex<Vec<(Program, u64)>>);

impl Sessions {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<(Program, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, number: u64) -> Result<(Program, u64), Trouble> {
        let at = usize::try_from(number)?.checked_sub(1);
        let found = at.and_then(|at| self.all().get(at).cloned());
        found.ok_or_else(|| format!("there is no session {number}").into())
    }

    fn set_told(&self, number: u64, told: u64) {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let mut all = self.all();
        if let Some((_, until)) = at.and_then(|at| all.get_mut(at)) {
            *until = told;
        }
    }

    fn add(&self, program: Program, told: u64) -> Result<u64, Trouble> {
        let mut all = self.all();
        if all.len() >= SESSIONS_MAX {
            return Err("too many programs were begun that went on".into());
        }
        all.push((program, told));
        Ok(all.len() as u64)
    }
}

/// How much is told, and how long is waited for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    pub(super) patience: Duration,
    /// Most bytes of output.
    pub(super) shown: u32,
}

/// Whether a program has a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Pipes,
    Terminal,
}

/// Begins a program, and tells what it writes first. It has a number from then on if it
/// goes on.
pub(super) async fn run(
    lane: &Lane,
    (command, directory): (&str, Option<String>),
    ends: Ends,
    measure: Measure,
) -> Result<Answer, Trouble> {
    let options = options(lane, directory, None)?;
    let program = match ends {
        // Both outputs in the order in which they were written.
        Ends::Pipes => {
            let command = ["bash", "-c", "exec bash -c \"$0\" 2>&1", command];
            Program::Piped(begin(lane, &command, options).await?)
        }
        Ends::Terminal => {
            let (size, command) = (TerminalSize::default(), ["bash", "-c", command]);
            let command = command.map(str::to_owned).to_vec();
            let opened =
                lane.cell()?.ask(|workspace| Open { workspace, size, options, command }).await?;
            Program::Terminal(opened.id.parse()?)
        }
    };
    let news = program.news(lane, 0, measure, None).await?;
    let number = match news.status.state {
        JobState::Running => Some(lane.sessions.add(program, news.until)?),
        JobState::Ended | JobState::Lost => None,
    };
    Ok(news.told(number))
}

/// Types something into a program, if it is not empty, and tells what is new.
pub(super) async fn go_on(
    lane: &Lane,
    number: u64,
    typed: String,
    measure: Measure,
) -> Result<Answer, Trouble> {
    let (program, told) = lane.sessions.find(number)?;
    let quiet = (!typed.is_empty()).then_some(QUIET);
    match (&program, &*typed) {
        (_, "") => {}
        (Program::Piped(id), INTERRUPT) => signal(lane, id, Signal::INTERRUPT).await?,
        (Program::Piped(_), _) => {
            return Ok(Answer::Failed(
                "nothing can be typed into this program: begin it with tty".to_owned(),
            ));
        }
        (Program::Terminal(shell), _) => {
            let (shell, text) = (shell.clone(), Some(typed));
            lane.cell()?.ask(|workspace| Write { workspace, shell, text, raw: true }).await?;
        }
    }
    let news = program.news(lane, told, measure, quiet).await?;
    lane.sessions.set_told(number, news.until);
    let is_running = news.status.state == JobState::Running;
    Ok(news.told(is_running.then_some(number)))
}

/// What a program has written since it was looked at.
struct News {
    text: String,
    /// Where the next news begin.
    until: u64,
    status: JobStatus,
    is_cut_short: bool,
}

impl News {
    fn told(self, number: Option<u64>) -> Answer {
        let Self { text, status, is_cut_short, .. } = self;
        let cut_short = if is_cut_short { CUT_SHORT } else { "" };
        Answer::text(match (number, status.exit_code) {
            (Some(number), _) => {
                format!("{cut_short}Process running with session ID {number}\nOutput:\n{text}")
            }
            (None, Some(code)) => format!("Process exited with code {code}\nOutput:\n{text}"),
            (None, None) => format!("Process {}\nOutput:\n{text}", status.summary()),
        })
    }
}

/// What was left out between two ends.
fn left_out(bytes: u64) -> String {
    format!("\n[… {bytes} bytes left out here …]\n")
}

impl Program {
    async fn news(
        &self,
        lane: &Lane,
        from: u64,
        measure: Measure,
        quiet: Option<Duration>,
    ) -> Result<News, Trouble> {
        match self {
            Self::Piped(id) => piped(lane, id, from, measure).await,
            Self::Terminal(shell) => on_terminal(lane, shell, from, measure, quiet).await,
        }
    }
}

async fn piped(lane: &Lane, id: &CommandRef, from: u64, measure: Measure) -> Result<News, Trouble> {
    let settled = settled(lane, id, measure.patience).await?;
    let status = settled.ran.command.status;
    let until = status.stdout_bytes;
    let read = async |cursor: u64, max_bytes: u32| -> Result<String, Trouble> {
        let (command, channel) = (id.clone(), command::OutputChannel::Stdout);
        let read = |workspace| command::Read { workspace, command, channel, cursor, max_bytes };
        Ok(String::from_utf8_lossy(&lane.cell()?.ask(read).await?.output.0).into_owned())
    };
    let new = until.saturating_sub(from);
    let text = match u32::try_from(new).ok().filter(|new| *new <= measure.shown) {
        Some(0) => String::new(),
        Some(new) => read(from, new).await?,
        None => {
            let half = measure.shown / 2;
            let (head, tail) =
                (read(from, half).await?, read(until - u64::from(half), half).await?);
            format!("{head}{}{tail}", left_out(new - 2 * u64::from(half)))
        }
    };
    Ok(News { text, until, status, is_cut_short: settled.is_cut_short })
}

async fn on_terminal(
    lane: &Lane,
    shell: &ShellRef,
    from: u64,
    measure: Measure,
    quiet: Option<Duration>,
) -> Result<News, Trouble> {
    let read = async |cursor: u64, wait: bool, quiet: Option<Duration>, timeout: Duration| {
        let (shell, max_bytes, view) = (shell.clone(), measure.shown, View::Plain);
        let timeout = Some(timeout.max(Duration::from_millis(1)).try_into()?);
        let idle = quiet.map(TryInto::try_into).transpose()?;
        let read =
            |workspace| Read { workspace, shell, cursor, max_bytes, view, wait, idle, timeout };
        Ok::<TerminalExcerpt, Trouble>(lane.cell()?.ask(read).await?)
    };
    let follow = async || -> Result<(), Trouble> {
        if quiet.is_some() {
            read(from, false, quiet, measure.patience.max(ANSWER)).await?;
            return Ok(());
        }
        let (deadline, mut at) = (Instant::now() + measure.patience, from);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let seen = read(at, true, None, left).await?;
            at = seen.next_cursor;
            if !seen.running || left.is_zero() {
                return Ok(());
            }
        }
    };
    let is_cut_short = tokio::select! {
        followed = follow() => followed.map(|()| false)?,
        () = lane.until_message() => true,
    };
    let now = read(from, false, None, Duration::ZERO).await?;
    let (until, shown) = (now.total_bytes, u64::from(measure.shown));
    let mut text = String::new();
    let last = if until.saturating_sub(from) > shown {
        text.push_str(&left_out(until - from - shown));
        read(until - shown, false, None, Duration::ZERO).await?
    } else {
        now
    };
    text.push_str(&String::from_utf8_lossy(&last.output.0));
    let shells = lane.cell()?.ask(|workspace| List { workspace }).await?.shells;
    let found = shells.into_iter().find(|one| one.id.starts_with(shell.as_str()));
    let status = found.ok_or("the program is gone")?.status;
    if status.state != JobState::Running {
        lane.cell()?.sync().await?;
    }
    Ok(News { text, until, status, is_cut_short })
}
