//! An agent's only hands: tools that act in its lane, while its attempt lasts. One with
//! hands of its own has its voice here.
//!
//! ```text
//! agent ──stdio──▶ bridge ──socket──▶ gateway ──operations──▶ lane: /workspace, /packet
//!       MCP          pass, then bytes    │
//!                                        └ each call: pass known? fenced? engine current?
//! ```
//!
//! An agent's program runs on the host, without tools of its own, in an empty
//! directory. It starts the **bridge** as its server of tools: a program that sends
//! the attempt's *pass* to the engine's socket and moves bytes from then on. The pass
//! lies in a file that only its owner reads, so it is in no argument and no variable;
//! the bridge reads that file and nothing else around it. A socket of the file system
//! rather than a port: nobody but the owner can open it, and no page in a browser.
//!
//! A **pass** names one conversation of one attempt, so every call is stamped with
//! agent, attempt, conversation and engine epoch by what it came in through, whatever
//! it claims. A call is carried out only if
//!
//! * its attempt is not fenced: a fence ends the calls under way, and waits for that;
//! * this engine still owns the batch: one that was stopped, replaced and continued
//!   finds that its store has another name, before a call begins and again before its
//!   answer is given.
//!
//! Whatever a call leaves running in the guest is ended by the stop that follows every
//! fence, also by a later engine's. What a result tells as written is on the lane's
//! disk: files are synced by the operations, and the guest after every command.
//!
//! A call returns after `tools::PATIENCE` with a handle of what still runs, and at
//! once if a message waits for the agent: agents read messages between calls only.
//!
//! **Owner.** One `Gateway` per engine and epoch, with a socket of that epoch's name.
//! **SIGKILL** of the engine closes every connection; a pass of a dead engine opens
//! nothing, for passes are in memory only.

mod bridge;
mod conversation;
mod lane;
mod pass;
mod tools;
mod transport;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use batch_api::{AttemptId, Epoch};
use rmcp::service::serve_server_with_ct;
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

pub use bridge::{BRIDGE_SUBCOMMAND, run_bridge};
pub(crate) use lane::{AUTHOR, Lane};
use pass::{PASS_BYTES, Passes};
use transport::Wire;

/// Most connections of bridges at once: agents open one each, and some of them more
/// when they start.
const CONNECTIONS_MAX: usize = 256;

/// How long a bridge may take to show its pass.
const PASS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before connections are accepted again, if the host has no
/// descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The hands of all agents of one engine.
#[derive(Debug)]
pub(crate) struct Gateway {
    socket: PathBuf,
    passes: Arc<Passes>,
    accepting: AbortHandle,
}

impl Gateway {
    /// Listens in the batch's directory. It belongs on the engine's runtime.
    ///
    /// # Errors
    ///
    /// If there can be no socket.
    pub(crate) fn open(directory: &Path, epoch: Epoch) -> io::Result<Self> {
        let name = format!("gateway-{}", epoch.0);
        let listener = workspace::socket::listen_async(directory, &name)?;
        let socket = directory.join(&name);
        sweep(directory, epoch);
        let passes = Arc::new(Passes::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&passes))).abort_handle();
        Ok(Self { socket, passes, accepting })
    }

    /// Lets an agent in: whoever shows the pass that is written to `file` calls the
    /// lane's tools.
    ///
    /// # Errors
    ///
    /// If the pass cannot be written.
    pub(crate) fn admit(&self, lane: Arc<Lane>, file: &Path) -> io::Result<()> {
        self.passes.issue(lane, &self.socket, file)
    }

    /// Lets the agents of an attempt no longer through. Calls that are under way have
    /// ended when it returns.
    pub(crate) async fn fence(&self, attempt: &AttemptId) {
        for lane in self.passes.withdraw(attempt) {
            lane.fence().await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Removes sockets of earlier engines, on which nobody may serve any more.
fn sweep(directory: &Path, epoch: Epoch) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix("gateway-")?.parse::<u64>().ok());
        if of.is_some_and(|of| of < epoch.0) {
            // One that stays serves nobody either.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

async fn accept(listener: UnixListener, passes: Arc<Passes>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let passes = Arc::clone(&passes);
                tokio::spawn(async move {
                    serve(stream, &passes).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no agent can connect");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one bridge until it or its attempt is gone.
async fn serve(mut stream: UnixStream, passes: &Passes) {
    let mut shown = [0; PASS_BYTES];
    let read = timeout(PASS_TIMEOUT, stream.read_exact(&mut shown)).await;
    let Some(lane) = read.ok().and_then(Result::ok).and_then(|_| passes.lane(&shown)) else {
        tracing::warn!("somebody without a valid pass was sent away");
        return;
    };
    let fenced = lane.fenced();
    let conversation = conversation::Conversation::with(Arc::clone(&lane));
    match serve_server_with_ct(conversation, Wire::over(stream), fenced).await {
        Ok(service) => drop(service.waiting().await),
        Err(error) => {
            tracing::warn!(conversation = %lane.conversation(), %error, "no conversation began");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Nobody is let in without a pass, wherever the batch lies: also deeper than the
    /// address of a socket is long.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_shows_no_pass_is_sent_away() {
        let scratch = tempfile::tempdir().unwrap();
        let deep = scratch.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        std::fs::write(deep.join("gateway-1"), "left over").unwrap();
        let gateway = Gateway::open(&deep, Epoch(2)).unwrap();
        assert!(!deep.join("gateway-1").exists(), "what an earlier engine left is gone");
        let mode = gateway.socket.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut bridge = bridge::connected(&gateway.socket, &[b'0'; PASS_BYTES]).unwrap();
        let mut heard = Vec::new();
        bridge.read_to_end(&mut heard).unwrap();
        assert!(heard.is_empty(), "{heard:?}");
        let socket = gateway.socket.clone();
        drop(gateway);
        assert!(!socket.exists());
    }
}
