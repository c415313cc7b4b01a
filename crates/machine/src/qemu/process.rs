//! A monitor process of ours and its control stream, from its start to its end.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use tokio::process::Child;

use super::control::Control;
use super::output::LastWords;
use crate::Exit;

/// How long a monitor that closed its control stream may take to end, in
/// milliseconds. It does both in one go.
const SEE_OFF_LIMIT_MS: u64 = 2000;

/// Whether the monitor is there.
#[derive(Debug)]
enum Life {
    Running,
    /// It was waited for.
    Ended(Exit),
}

/// One monitor of ours. The child is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) control: Control,
    child: Child,
    pid: u32,
    last_words: LastWords,
    life: Life,
}

impl Process {
    pub(super) fn new(mut child: Child, control: Control) -> Self {
        // The child was not waited for yet, so it has an id.
        let pid = child.id().unwrap_or_default();
        let last_words = LastWords::listen(child.stderr.take());
        Self { control, child, pid, last_words, life: Life::Running }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// How the monitor ended, if it has.
    pub(super) fn ended(&self) -> Option<&Exit> {
        match &self.life {
            Life::Running => None,
            Life::Ended(exit) => Some(exit),
        }
    }

    /// Kills the monitor if it is there, and waits for it. Cancel safe.
    pub(super) async fn end(&mut self) -> Exit {
        if let Life::Ended(exit) = &self.life {
            return exit.clone();
        }
        // Fails only for a process that is gone already.
        let _ = self.child.start_kill();
        self.wait().await
    }

    /// Waits for a monitor that hung up. It ends by itself, and its own exit
    /// says more than our signal would; if it does not end, it is killed.
    pub(super) async fn see_off(&mut self) -> Exit {
        let limit = Duration::from_millis(SEE_OFF_LIMIT_MS);
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => self.end().await,
        }
    }

    async fn wait(&mut self) -> Exit {
        let status = self.child.wait().await;
        let last_words = self.last_words.hear_out().await;
        let exit = match status {
            Ok(status) => Exit { code: status.code(), signal: status.signal(), last_words },
            Err(error) => Exit {
                code: None,
                signal: None,
                last_words: format!("{last_words}\ncannot wait for the monitor: {error}"),
            },
        };
        self.life = Life::Ended(exit.clone());
        exit
    }
}

/// Whether an error of the control stream means no more than its end. A
/// monitor that dies before it read all that was sent resets the stream.
pub(super) fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
