//! A small client of the guest agent, for machines that a task boots itself.
//!
//! It carries one command at a time and collects its output whole, which is all
//! that a task needs; the product's own client lives in the keeper.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use guest_protocol::GENERATION;
use guest_protocol::epoch::{BOOT_TOKEN, Nonce, Skip, opening, skip_past};
use guest_protocol::frame::{self, Body, Channel, Frame, StreamId};
use guest_protocol::message::{self, Begin, End, Exec, GuestMessage, HostMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long a single request that runs no command may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(60);

/// An open stream to a booted guest.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: UnixStream,
    buffer: BytesMut,
    last_stream: u32,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its exit code; a signal's number plus 128, as shells tell it.
    pub(crate) code: i32,
    /// What it wrote to its standard output.
    pub(crate) stdout: String,
    /// What it wrote to its standard error.
    pub(crate) stderr: String,
}

impl Guest {
    /// Waits until the agent of a machine that was just started answers.
    pub(crate) async fn meet(stream: UnixStream, deadline: Duration) -> Result<Self> {
        let mut guest = Self { stream, buffer: BytesMut::new(), last_stream: 0 };
        timeout(deadline, guest.begin()).await.context("the guest's agent did not answer")??;
        Ok(guest)
    }

    async fn begin(&mut self) -> Result<()> {
        let nonce: Nonce = random()?;
        self.stream.write_all(&opening(&BOOT_TOKEN, &nonce)).await?;
        while skip_past(&mut self.buffer, &nonce) == Skip::Missing {
            self.fill().await?;
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let begin = HostMessage::Begin(Begin {
            generation: GENERATION,
            unix_time_ns: u64::try_from(since_epoch.as_nanos())?,
            host_name: "hotcell-lab".to_owned(),
            machine_id: uuid::Uuid::new_v4().simple().to_string(),
            entropy: random()?,
            next_token: random()?,
        });
        self.say(StreamId::EPOCH, &begin).await?;
        match self.answer(StreamId::EPOCH).await? {
            GuestMessage::Begun { .. } => Ok(()),
            other => bail!("the guest's agent answered {other:?} instead of beginning"),
        }
    }

    /// Mounts the second drive at `/workspace`.
    pub(crate) async fn mount_workspace(&mut self) -> Result<()> {
        let stream = self.next_stream();
        self.say(stream, &HostMessage::MountWorkspace).await?;
        match timeout(REQUEST_DEADLINE, self.answer(stream)).await?? {
            GuestMessage::Done => Ok(()),
            other => bail!("the second drive was not mounted: {other:?}"),
        }
    }

    /// Runs a shell script to its end.
    pub(crate) async fn script(&mut self, script: &str, deadline: Duration) -> Result<Finished> {
        let stream = self.next_stream();
        let exec = HostMessage::Exec(Exec {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: "/".to_owned(),
            timeout_ms: Some(u64::try_from(deadline.as_millis())?),
            ..Exec::default()
        });
        self.say(stream, &exec).await?;
        // The guest's own limit comes first, and tells how the command ended.
        timeout(deadline + REQUEST_DEADLINE, self.finish(stream))
            .await
            .context("the guest hangs")?
    }

    async fn finish(&mut self, stream: StreamId) -> Result<Finished> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let frame = self.next_frame().await?;
            if frame.stream != stream {
                continue;
            }
            match &frame.body {
                Body::Data(channel, bytes) => {
                    match channel {
                        Channel::Stderr => stderr.extend_from_slice(bytes),
                        Channel::Stdout | Channel::Stdin => stdout.extend_from_slice(bytes),
                    }
                    let bytes = u32::try_from(bytes.len())?;
                    self.say(stream, &HostMessage::Credit { channel: *channel, bytes }).await?;
                }
                Body::Control(payload) => match parse(stream, payload)? {
                    GuestMessage::Exited { end, .. } => {
                        return Ok(Finished {
                            code: match end {
                                End::Code { code } => i32::from(code),
                                End::Signal { number } => 128 + number,
                                End::TimedOut | End::Killed => bail!(
                                    "the command took too long; it said: {}{}",
                                    String::from_utf8_lossy(&stdout),
                                    String::from_utf8_lossy(&stderr)
                                ),
                            },
                            stdout: String::from_utf8_lossy(&stdout).into_owned(),
                            stderr: String::from_utf8_lossy(&stderr).into_owned(),
                        });
                    }
                    GuestMessage::Refused { message, .. } => bail!("refused: {message}"),
                    _ => {}
                },
            }
        }
    }

    /// The next message on a stream that carries no data.
    async fn answer(&mut self, stream: StreamId) -> Result<GuestMessage> {
        loop {
            let frame = self.next_frame().await?;
            if let Body::Control(payload) = &frame.body
                && frame.stream == stream
            {
                return parse(stream, payload);
            }
        }
    }

    async fn say(&mut self, stream: StreamId, message: &HostMessage) -> Result<()> {
        let frame = message::control(stream, message)?;
        let mut bytes = BytesMut::new();
        frame::encode(&frame, &mut bytes);
        Ok(self.stream.write_all(&bytes).await?)
    }

    async fn next_frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = frame::decode(&mut self.buffer)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the guest is gone"),
            _ => Ok(()),
        }
    }

    fn next_stream(&mut self) -> StreamId {
        self.last_stream += 1;
        StreamId(self.last_stream)
    }
}

fn parse(stream: StreamId, payload: &Bytes) -> Result<GuestMessage> {
    Ok(message::parse(stream, payload)?)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the kernel's generator fails")?;
    Ok(bytes)
}
