//! A person's terminal, attached to a shell of a workspace.
//!
//! ```text
//! keys ──▶ detach keys? ──▶ typed into the shell
//! screen ◀── painted once, then what the shell writes
//! window ──▶ size of the shell's terminal
//! ```
//!
//! It is a client of the operations on shells, and somebody who is there: that holds
//! the workspace's idle timer off, also while nothing is typed. Who is killed
//! here, or detaches, leaves the shell as it is, and comes back to the same
//! screen. The terminal is put back to how it was on every way out but `SIGKILL`.

use std::io;
use std::pin::pin;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use operation::{Call, ErrorKind, Handler as _, OpError};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use workspace::Engine;
use workspace_api::id::WorkspaceRef;
use workspace_api::job::{JobState, JobStatus, ShellRef};
use workspace_api::shell::{List, Read, Resize, TerminalSize, View, Write};

/// The key that begins what is meant for this program: Ctrl-].
const PREFIX: u8 = 0x1d;

/// The key behind it that detaches.
const DETACH: u8 = b'd';

/// How many keys are taken at once, in bytes.
const KEYS_MAX: usize = 4096;

/// How much of a shell's output is read at once, in bytes.
const OUTPUT_MAX: u32 = 64 * 1024;

/// The largest terminal that a shell may have, in characters each way.
const SIZE_MAX: u16 = 1000;

/// `attach`, below the noun of shells.
pub(crate) fn command() -> Command {
    Command::new("attach")
        .about("Attach this terminal to a shell until it ends or Ctrl-] d is pressed")
        .long_about(
            "Attach this terminal to a shell until it ends or Ctrl-] d is pressed\n\n\
             The shell's screen is painted, and its terminal gets the size of this one. Ctrl-] \
             twice types one Ctrl-]. Exits with the shell's exit code, or with 0 when detached: \
             the shell goes on then.",
        )
        .arg(
            Arg::new("workspace")
                .help("Name or id of the workspace")
                .required(true)
                .value_parser(value_parser!(WorkspaceRef)),
        )
        .arg(
            Arg::new("shell")
                .help("Id of the shell")
                .required(true)
                .value_parser(value_parser!(ShellRef)),
        )
}

/// How it ended.
enum End {
    Detached,
    Ended(JobStatus),
}

/// Attaches until one of the two ends it.
pub(crate) async fn run(engine: &Engine, matches: &ArgMatches) -> Result<ExitCode, OpError> {
    let argument = "a required argument";
    let at = Place {
        engine,
        workspace: matches.get_one::<WorkspaceRef>("workspace").expect(argument).clone(),
        shell: matches.get_one::<ShellRef>("shell").expect(argument).clone(),
    };
    let status = at.status().await?;
    if status.state != JobState::Running {
        let message = format!("the shell {} is no longer there: {}", at.shell, status.summary());
        return Err(OpError::plain(ErrorKind::Conflict, message)
            .hinted("`hotcell shell read` shows what it wrote"));
    }
    let raw = RawTerminal::enter()?;
    let end = at.attached().await;
    drop(raw);
    // The cursor may be anywhere.
    let (note, code) = match end? {
        End::Detached => (format!("detached from {}", at.shell), 0),
        End::Ended(status) => {
            let lost = ErrorKind::MachineLost.exit_code();
            (format!("{} {}", at.shell, status.summary()), status.exit_code.unwrap_or(lost))
        }
    };
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("\r\nhotcell: {note}\n"));
    Ok(ExitCode::from(code))
}

/// The shell.
struct Place<'a> {
    engine: &'a Engine,
    workspace: WorkspaceRef,
    shell: ShellRef,
}

impl Place<'_> {
    async fn attached(&self) -> Result<End, OpError> {
        let mut windows = listen(SignalKind::window_change())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hangup = listen(SignalKind::hangup())?;
        let _here = self.engine.attend(&self.workspace).await?;
        self.resize().await?;
        let mut output = pin!(self.show());
        let mut keys = pin!(self.type_keys());
        loop {
            tokio::select! {
                ended = &mut output => {
                    ended?;
                    return Ok(End::Ended(self.status().await?));
                }
                detached = &mut keys => return detached.map(|()| End::Detached),
                _ = windows.recv() => self.resize().await?,
                _ = terminate.recv() => return Ok(End::Detached),
                _ = hangup.recv() => return Ok(End::Detached),
            }
        }
    }

    /// Paints the screen, then shows what is written, until the shell ends.
    async fn show(&self) -> Result<(), OpError> {
        let mut screen = tokio::io::stdout();
        let mut seen = self.read(View::Paint, 0).await?;
        loop {
            let shown = async {
                screen.write_all(&seen.output.0).await?;
                screen.flush().await
            };
            shown.await.map_err(|error| terminal_failed(&error, "write to"))?;
            if !seen.running && seen.next_cursor >= seen.total_bytes {
                return Ok(());
            }
            seen = self.read(View::Raw, seen.next_cursor).await?;
        }
    }

    async fn read(
        &self,
        view: View,
        cursor: u64,
    ) -> Result<workspace_api::shell::TerminalExcerpt, OpError> {
        let read = Read {
            workspace: self.workspace.clone(),
            shell: self.shell.clone(),
            cursor,
            max_bytes: OUTPUT_MAX,
            view,
            wait: view == View::Raw,
            idle: None,
            timeout: None,
        };
        self.engine.handle(read, &mut Call::quiet()).await
    }

    /// Types what is pressed, until that means to detach.
    async fn type_keys(&self) -> Result<(), OpError> {
        let mut keyboard = tokio::io::stdin();
        let mut keys = Keys::default();
        let mut pressed = vec![0; KEYS_MAX];
        loop {
            let length = keyboard.read(&mut pressed).await;
            let length = length.map_err(|error| terminal_failed(&error, "read from"))?;
            let (typed, wish) = keys.take(&pressed[..length]);
            if !typed.is_empty() {
                let (workspace, shell) = (self.workspace.clone(), self.shell.clone());
                let write = Write { workspace, shell, text: None, raw: true };
                let mut call = Call::quiet().with_input(io::Cursor::new(typed));
                match self.engine.handle(write, &mut call).await {
                    // It has ended: its output says so as well, and how.
                    Err(error) if error.kind == ErrorKind::Conflict => {
                        return std::future::pending().await;
                    }
                    typed => drop(typed?),
                }
            }
            if wish == Wish::Detach || length == 0 {
                return Ok(());
            }
        }
    }

    /// Gives the shell's terminal the size of this one.
    async fn resize(&self) -> Result<(), OpError> {
        let window =
            tcgetwinsize(io::stdin()).map_err(|error| terminal_failed(&error.into(), "look at"))?;
        let bounded = |characters: u16| characters.clamp(1, SIZE_MAX);
        let size = TerminalSize { columns: bounded(window.ws_col), rows: bounded(window.ws_row) };
        let (workspace, shell) = (self.workspace.clone(), self.shell.clone());
        match self.engine.handle(Resize { workspace, shell, size }, &mut Call::quiet()).await {
            Err(error) if error.kind != ErrorKind::Conflict => Err(error),
            _ => Ok(()),
        }
    }

    async fn status(&self) -> Result<JobStatus, OpError> {
        let list = List { workspace: self.workspace.clone() };
        let listed = self.engine.handle(list, &mut Call::quiet()).await?;
        let mut found =
            listed.shells.into_iter().filter(|shell| shell.id.starts_with(self.shell.as_str()));
        match (found.next(), found.next()) {
            (Some(shell), None) => Ok(shell.status),
            (None, _) => {
                let message = format!("there is no `{}`", self.shell);
                Err(OpError::plain(ErrorKind::NotFound, message)
                    .hinted(format!("`hotcell shell list {}` shows what there is", self.workspace)))
            }
            (Some(_), Some(_)) => {
                let message = format!("`{}` is the beginning of several ids", self.shell);
                Err(OpError::plain(ErrorKind::InvalidRequest, message)
                    .hinted("give more of its digits"))
            }
        }
    }
}

/// What the keys mean besides what they type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stay,
    Detach,
}

/// Tells what is typed from what is meant for this program.
#[derive(Debug, Default)]
struct Keys {
    after_prefix: bool,
}

impl Keys {
    /// What these keys type, and what they mean. What comes after the wish to
    /// detach is not typed.
    fn take(&mut self, pressed: &[u8]) -> (Vec<u8>, Wish) {
        let mut typed = Vec::with_capacity(pressed.len());
        for &key in pressed {
            match (std::mem::take(&mut self.after_prefix), key) {
                (false, PREFIX) => self.after_prefix = true,
                (true, DETACH) => return (typed, Wish::Detach),
                (true, PREFIX) | (false, _) => typed.push(key),
                (true, _) => typed.extend([PREFIX, key]),
            }
        }
        (typed, Wish::Stay)
    }
}

/// A terminal that hands every key on as it is, until this is dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> Result<Self, OpError> {
        let before = tcgetattr(io::stdin()).map_err(|error| {
            OpError::new(ErrorKind::InvalidRequest, &error)
                .during("standard input is no terminal")
                .hinted("without one, use `hotcell shell write` and `hotcell shell read`")
        })?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)
            .map_err(|error| terminal_failed(&error.into(), "change"))?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

fn listen(kind: SignalKind) -> Result<Signal, OpError> {
    signal(kind).map_err(|error| OpError::new(ErrorKind::Internal, &error))
}

fn terminal_failed(error: &io::Error, step: &str) -> OpError {
    OpError::new(ErrorKind::Internal, error).during(format!("cannot {step} this terminal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_typed_twice_or_not_at_all() {
        let mut keys = Keys::default();
        assert_eq!(keys.take(b"ls\r"), (b"ls\r".to_vec(), Wish::Stay));
        assert_eq!(keys.take(b"a\x1d"), (b"a".to_vec(), Wish::Stay));
        assert_eq!(keys.take(b"\x1db"), (b"\x1db".to_vec(), Wish::Stay));
        assert_eq!(keys.take(b"\x1dx\x1d"), (b"\x1dx".to_vec(), Wish::Stay));
        assert_eq!(keys.take(b"dnot this"), (Vec::new(), Wish::Detach));
    }
}
