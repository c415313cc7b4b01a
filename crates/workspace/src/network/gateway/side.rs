//! The guest's side of the network, as its host keeps it.
//!
//! ```text
//!       policy allows something         Ready
//! down ────────────────────────▶ rising ─────▶ up
//!   ▲                             │  ▲          │
//!   │                             │  └──────────┤ it ended by itself, a few times in a row
//!   │      policy is off: Stop    ▼             ▼
//!   └───────────────────────── falling ◀────────┤
//!                                               └─▶ broken: cannot be set up, or does not stay
//! ```
//!
//! Whenever the machine is replaced by another one, everything starts anew.

use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use guest_protocol::TOOLS_PATH;
use guest_protocol::egress::{AUTHORITIES_MAX, DAEMON, GuestMessage, HostMessage, decode, encode};
use guest_protocol::message::{Exec, Stdin};
use operation::{ErrorKind, OpError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::keeper::client::GuestPipe;

/// How long a guest may take to set its side up.
const RISE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a change of policy waits for the guest's side: a little longer, so
/// that the reason is told.
const SETTLE_PATIENCE: Duration = Duration::from_secs(40);

/// How long a guest may take to take its side down.
const FALL_PATIENCE: Duration = Duration::from_secs(30);

/// How often in a row a daemon that ended by itself is started again.
const RESTARTS_MAX: u32 = 5;
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A daemon that lived this long starts the count of restarts anew.
const STEADY: Duration = Duration::from_secs(10);

/// How many messages to the daemon may wait.
const MESSAGES_MAX: usize = 256;

/// The guest's side of the network, as far as the keeper knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Side {
    Down,
    Rising,
    Up {
        /// Where programs find the authorities that they trust, if there are
        /// some of the operator's among them.
        bundle: Option<String>,
    },
    Falling,
    Broken(String),
}

/// What keeps a daemon running.
#[derive(Debug)]
pub(super) struct DaemonTask {
    /// Has it stopped in good order.
    stopped: CancellationToken,
    task: AbortHandle,
}

impl Gateway {
    /// Has the guest's side run exactly if something is allowed.
    pub(crate) async fn settle(self: &Rc<Self>) -> Result<(), OpError> {
        let is_off = self.rules.borrow().policy().is_off();
        let is_down = matches!(*self.side.borrow(), Side::Down | Side::Broken(_));
        match (is_off, is_down) {
            (true, true) => return Ok(()),
            (true, false) => self.fall(),
            (false, true) => self.rise(),
            (false, false) => {}
        }
        let mut side = self.side.subscribe();
        let settled = side.wait_for(|side| match side {
            Side::Down => is_off,
            Side::Rising | Side::Falling => false,
            Side::Up { .. } => !is_off,
            Side::Broken(_) => true,
        });
        let failed = |reason: String| {
            OpError::plain(ErrorKind::Unavailable, reason)
                .during("the guest's side of the network could not be changed")
        };
        match timeout(SETTLE_PATIENCE, settled).await {
            Ok(Ok(side)) => match &*side {
                Side::Broken(reason) => Err(failed(reason.clone())),
                _ => Ok(()),
            },
            _ => Err(failed("the guest did not answer in time".to_owned())),
        }
    }

    /// The machine is another one, or its memory is: nothing of what ran in it
    /// for the network is heard any more. [`Self::settle`] starts anew. Names keep
    /// their addresses, since the memory may be one that knows them.
    pub(crate) fn machine_replaced(&self) {
        if let Some(daemon) = self.daemon.borrow_mut().take() {
            daemon.task.abort();
        }
        self.side.send_replace(Side::Down);
    }

    fn fall(&self) {
        if let Some(daemon) = &*self.daemon.borrow() {
            daemon.stopped.cancel();
            self.side.send_replace(Side::Falling);
        }
    }

    fn rise(self: &Rc<Self>) {
        self.side.send_replace(Side::Rising);
        let stopped = CancellationToken::new();
        let gateway = Rc::clone(self);
        let kept = stopped.clone();
        let task = tokio::task::spawn_local(async move {
            let side = gateway.keep_up(&kept).await;
            gateway.side.send_replace(side);
            // The policy may have changed once more meanwhile.
            if kept.is_cancelled() && !gateway.rules.borrow().policy().is_off() {
                gateway.rise();
            }
        });
        let task = task.abort_handle();
        *self.daemon.borrow_mut() = Some(DaemonTask { stopped, task });
    }

    /// Runs one daemon after the other, until there is a reason not to.
    async fn keep_up(self: &Rc<Self>, stopped: &CancellationToken) -> Side {
        let mut has_served = false;
        let mut restarts = 0;
        loop {
            let begun = Instant::now();
            let result = self.serve(stopped).await;
            if stopped.is_cancelled() {
                return Side::Down;
            }
            let reason = match result {
                Ok(()) => "its process in the guest ended".to_owned(),
                Err(error) => error.message,
            };
            tracing::warn!(reason, "the guest's side of the network is gone");
            let was_up = matches!(*self.side.borrow(), Side::Up { .. });
            has_served |= was_up;
            if !has_served {
                return Side::Broken(reason);
            }
            restarts = if was_up && begun.elapsed() > STEADY { 0 } else { restarts + 1 };
            if restarts > RESTARTS_MAX {
                return Side::Broken(format!("it does not stay: {reason}"));
            }
            self.side.send_replace(Side::Rising);
            sleep(RESTART_PAUSE).await;
        }
    }

    /// One daemon, from its start to its end.
    async fn serve(self: &Rc<Self>, stopped: &CancellationToken) -> Result<(), OpError> {
        let deadline = Instant::now() + RISE_PATIENCE;
        let authorities = self.authorities().await?;
        let (mut input, mut output, mut ending) = self.start(&[DAEMON]).await?.into_parts();
        let (sender, mut messages) = mpsc::channel::<Vec<u8>>(MESSAGES_MAX);
        let configure = HostMessage::Configure { authorities: authorities.len() };
        let configure = encode(&configure, &authorities);
        let _writer =
            tokio_util::task::AbortOnDropHandle::new(tokio::task::spawn_local(async move {
                let mut next = Some(configure);
                while let Some(bytes) = next {
                    if input.write_all(&bytes).await.is_err() {
                        return;
                    }
                    next = messages.recv().await;
                }
            }));
        let mut is_ready = false;
        let mut buffer = BytesMut::new();
        loop {
            while let Some((message, body)) = decode::<GuestMessage>(&mut buffer)
                .map_err(|error| OpError::new(ErrorKind::MachineLost, &error))?
            {
                match message {
                    GuestMessage::Ready { bundle } => {
                        is_ready = true;
                        self.side.send_replace(Side::Up { bundle });
                    }
                    GuestMessage::Failed { message } => {
                        return Err(OpError::plain(ErrorKind::Unavailable, message));
                    }
                    GuestMessage::Question { id, .. } => self.asked(id, body, sender.clone()),
                    GuestMessage::Connection { id, to } => self.connecting(id, to, sender.clone()),
                }
            }
            buffer.reserve(4096);
            tokio::select! {
                read = output.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => {
                        let end = ending.wait().await?;
                        tracing::debug!(stderr = end.stderr, end = ?end.end, "the daemon ended");
                        return Ok(());
                    }
                    Ok(_) => {}
                },
                () = sleep_until(deadline), if !is_ready => {
                    let message = format!("it was not set up within {RISE_PATIENCE:?}");
                    return Err(OpError::plain(ErrorKind::TimedOut, message));
                }
                () = stopped.cancelled() => {
                    let _ = sender.send(encode(&HostMessage::Stop, &[])).await;
                    // Dropping the ending kills whatever does not stop.
                    let _ = timeout(FALL_PATIENCE, ending.wait()).await;
                    return Ok(());
                }
            }
        }
    }

    async fn authorities(&self) -> Result<Vec<u8>, OpError> {
        let Some(path) = &self.operator.authorities else { return Ok(Vec::new()) };
        let bytes = tokio::fs::read(path).await.map_err(|error| {
            OpError::new(ErrorKind::Unavailable, &error)
                .during(format!("cannot read the certificates {}", path.display()))
        })?;
        if bytes.len() > AUTHORITIES_MAX {
            let reason = format!("{} has more than {AUTHORITIES_MAX} bytes", path.display());
            return Err(OpError::plain(ErrorKind::InvalidRequest, reason));
        }
        Ok(bytes)
    }

    /// Starts a tool in the guest.
    pub(super) async fn start(&self, tool: &[&str]) -> Result<GuestPipe, OpError> {
        let argv = std::iter::once(TOOLS_PATH).chain(tool.iter().copied()).map(str::to_owned);
        let exec = Exec {
            argv: argv.collect(),
            cwd: "/".to_owned(),
            stdin: Stdin::Stream,
            ..Exec::default()
        };
        self.inside.connect().await?.pipe(exec)
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use uuid::Uuid;
    use workspace_api::id::WorkspaceId;
    use workspace_api::network::NetworkOptions;

    use super::*;
    use crate::home::Home;
    use crate::keeper::concealment::Concealment;
    use crate::keeper::inside::way_in;
    use crate::keeper::scribe::Scribe;
    use crate::network::Operator;

    #[test]
    fn a_guest_whose_side_never_says_that_it_is_ready_is_given_up_with_a_reason() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let workspace = WorkspaceId::from_uuid(Uuid::now_v7());
        let concealment = Concealment::new(&home, workspace);
        let scribe = Scribe::start(&home, workspace, concealment);
        let policy = NetworkOptions::egress().policy().unwrap();
        // Connections are taken, and whatever is said on them is never answered.
        let (inside, _guest) = way_in();
        let gateway = Gateway::new(inside, scribe, policy, Operator::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let error = LocalSet::new().block_on(&runtime, gateway.settle()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(error.causes, ["it was not set up within 30s"]);
    }
}
