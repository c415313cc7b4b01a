//! Frames over a byte stream of the host: the guest's port and the keeper's
//! sockets carry the same frames.

use std::io;

use bytes::{Bytes, BytesMut};
use guest_protocol::frame::{self, Body, DecodeError, Frame, StreamId};
use guest_protocol::message::{self, MessageError, MessageTooLong};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// How much is read from a stream at once, in bytes.
const READ_CHUNK: usize = 64 * 1024;

/// Why a stream of frames broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FramingError {
    /// The other end closed it.
    #[error("the other end closed the connection")]
    Closed,
    /// Reading or writing failed.
    #[error("reading from the connection failed")]
    Io(#[source] io::Error),
    /// The bytes are no frames.
    #[error("the other end sent bytes that are no frame")]
    Decode(#[source] DecodeError),
    /// A control frame has no meaning.
    #[error("the other end sent a message without meaning")]
    Message(#[source] MessageError),
}

/// Reads frames. Cancel safe: bytes of an unfinished frame stay in the buffer.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Result<Frame, FramingError> {
        loop {
            if let Some(frame) = frame::decode(&mut self.buffer).map_err(FramingError::Decode)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Reads until `mark` has been seen and drops everything up to its end.
    pub(crate) async fn skip_past(
        &mut self,
        mark: &[u8; guest_protocol::epoch::TOKEN_LEN],
    ) -> Result<(), FramingError> {
        use guest_protocol::epoch::{Skip, skip_past};
        while skip_past(&mut self.buffer, mark) == Skip::Missing {
            self.fill().await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), FramingError> {
        self.buffer.reserve(READ_CHUNK);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(FramingError::Closed),
            Ok(_) => Ok(()),
            Err(source) => Err(FramingError::Io(source)),
        }
    }
}

/// Sends frames from anywhere; a task of its own writes them in order.
///
/// The queue is not bounded by itself: every byte channel that goes through it
/// is bounded by the credit of its stream.
#[derive(Debug, Clone)]
pub(crate) struct FrameSender(mpsc::UnboundedSender<Outgoing>);

#[derive(Debug)]
enum Outgoing {
    Frame(Frame),
    Raw(Bytes),
}

impl FrameSender {
    /// Queues a frame. Nothing happens if the stream is broken; its reader
    /// notices.
    pub(crate) fn frame(&self, frame: Frame) {
        let _ = self.0.send(Outgoing::Frame(frame));
    }

    /// Queues bytes that are no frame: the opening of an epoch.
    pub(crate) fn raw(&self, bytes: Bytes) {
        let _ = self.0.send(Outgoing::Raw(bytes));
    }

    /// Queues a message.
    pub(crate) fn message<M: Serialize>(
        &self,
        stream: StreamId,
        message: &M,
    ) -> Result<(), MessageTooLong> {
        self.frame(message::control(stream, message)?);
        Ok(())
    }
}

/// Starts the task that writes frames to `stream` until all senders are gone,
/// then closes it.
pub(crate) fn spawn_writer<W>(mut stream: W) -> (FrameSender, tokio::task::JoinHandle<()>)
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let mut batch = BytesMut::new();
        while let Some(first) = receiver.recv().await {
            append(first, &mut batch);
            while batch.len() < READ_CHUNK {
                match receiver.try_recv() {
                    Ok(next) => append(next, &mut batch),
                    Err(_) => break,
                }
            }
            if stream.write_all(&batch).await.is_err() {
                return;
            }
            batch.clear();
        }
        let _ = stream.shutdown().await;
    });
    (FrameSender(sender), task)
}

fn append(outgoing: Outgoing, batch: &mut BytesMut) {
    match outgoing {
        Outgoing::Frame(frame) => frame::encode(&frame, batch),
        Outgoing::Raw(bytes) => batch.extend_from_slice(&bytes),
    }
}

/// Reads a control frame's message; data frames have none.
pub(crate) fn parse<M: DeserializeOwned>(frame: &Frame) -> Result<Option<M>, FramingError> {
    match &frame.body {
        Body::Control(payload) => {
            message::parse(frame.stream, payload).map(Some).map_err(FramingError::Message)
        }
        Body::Data(..) => Ok(None),
    }
}
