//! The host's end of the stream to a guest: how an epoch begins.
//!
//! ```text
//! opening ──token, nonce──▶ waiting for the nonce ──▶ Begin ──▶ Begun: open
//!     └─────────────── deadline, or the stream breaks ───────────▶ LinkError
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use guest_protocol::GENERATION;
use guest_protocol::epoch::{Nonce, Token, opening};
use guest_protocol::frame::StreamId;
use guest_protocol::message::{Begin, GuestMessage};
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::time::timeout;

use crate::framing::{FrameReader, FrameSender, FramingError, parse, spawn_writer};

/// Who a guest is from the beginning of an epoch on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its host name.
    pub(crate) host_name: String,
    /// 32 hexadecimal digits.
    pub(crate) machine_id: String,
}

/// Why there is no epoch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The guest did not answer in time.
    #[error("the guest's agent did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The stream broke.
    #[error("the connection to the guest's agent broke")]
    Broken(#[source] FramingError),
    /// The guest answered something else.
    #[error("the guest's agent answered out of turn")]
    OutOfTurn,
    /// The guest is newer than this host.
    #[error("the guest's agent speaks generation {0}, this program up to {GENERATION}")]
    TooNew(u32),
}

/// An open stream to a guest.
#[derive(Debug)]
pub(crate) struct GuestLink {
    pub(crate) reader: FrameReader<OwnedReadHalf>,
    pub(crate) sender: FrameSender,
    /// Opens the next epoch of this machine.
    pub(crate) next_token: Token,
    /// The guest's kernel, as it says.
    pub(crate) kernel: String,
}

impl GuestLink {
    /// Begins an epoch on `stream`.
    pub(crate) async fn open(
        stream: UnixStream,
        token: &Token,
        identity: &Identity,
        deadline: Duration,
    ) -> Result<Self, LinkError> {
        match timeout(deadline, Self::begin(stream, token, identity)).await {
            Ok(result) => result,
            Err(_) => Err(LinkError::Silent(deadline)),
        }
    }

    async fn begin(
        stream: UnixStream,
        token: &Token,
        identity: &Identity,
    ) -> Result<Self, LinkError> {
        let (read, write) = stream.into_split();
        let mut reader = FrameReader::new(read);
        let (sender, _) = spawn_writer(write);
        let nonce: Nonce = random();
        sender.raw(Bytes::copy_from_slice(&opening(token, &nonce)));
        reader.skip_past(&nonce).await.map_err(LinkError::Broken)?;
        let next_token = random();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let begin = guest_protocol::message::HostMessage::Begin(Begin {
            generation: GENERATION,
            unix_time_ns: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
            host_name: identity.host_name.clone(),
            machine_id: identity.machine_id.clone(),
            entropy: random(),
            next_token,
        });
        sender.message(StreamId::EPOCH, &begin).expect("a short message");
        let frame = reader.next().await.map_err(LinkError::Broken)?;
        match parse(&frame).map_err(LinkError::Broken)? {
            Some(GuestMessage::Begun { generation, .. }) if generation > GENERATION => {
                Err(LinkError::TooNew(generation))
            }
            Some(GuestMessage::Begun { kernel, .. }) => {
                Ok(Self { reader, sender, next_token, kernel })
            }
            _ => Err(LinkError::OutOfTurn),
        }
    }

    /// Sends a request that needs no more than a final answer, and waits for it.
    /// Only for a link on which nothing else is under way.
    pub(crate) async fn request(
        &mut self,
        stream: StreamId,
        request: &guest_protocol::message::HostMessage,
        deadline: Duration,
    ) -> Result<GuestMessage, LinkError> {
        self.sender.message(stream, request).map_err(|_| LinkError::OutOfTurn)?;
        let answer = async {
            loop {
                let frame = self.reader.next().await.map_err(LinkError::Broken)?;
                match parse(&frame).map_err(LinkError::Broken)? {
                    Some(
                        answer @ (GuestMessage::Done
                        | GuestMessage::Exited { .. }
                        | GuestMessage::Refused { .. }),
                    ) if frame.stream == stream => return Ok(answer),
                    _ => {}
                }
            }
        };
        match timeout(deadline, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(LinkError::Silent(deadline)),
        }
    }
}

/// Bytes from the kernel's generator.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel's generator is there since boot");
    bytes
}
