//! Frames: nine bytes of header, then at most [`MAX_PAYLOAD`] bytes.
//!
//! ```text
//! ┌────────────────┬────────┬────────────────┬──────────────┐
//! │ length, u32 LE │ kind u8│ stream, u32 LE │ payload …    │
//! └────────────────┴────────┴────────────────┴──────────────┘
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The largest payload of a frame, in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Length of a frame's header, in bytes.
pub const HEADER_LEN: usize = 9;

/// How many bytes of one channel may be under way before the receiver has
/// granted more. Bounds what any stream can make the other end buffer.
pub const INITIAL_CREDIT: u32 = 256 * 1024;

/// One conversation within an epoch. Chosen by the host, each larger than the
/// one before; never used twice in an epoch, so no request can run twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The stream on which an epoch begins.
    pub const EPOCH: Self = Self(0);
}

/// The byte channels of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Host to guest.
    Stdin,
    /// Guest to host.
    Stdout,
    /// Guest to host.
    Stderr,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A message in JSON, see [`crate::message`].
    Control(Bytes),
    /// Bytes of a channel, exactly as the process wrote or shall read them.
    Data(Channel, Bytes),
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The conversation it belongs to.
    pub stream: StreamId,
    /// What it carries.
    pub body: Body,
}

/// Why bytes are no frame. The stream cannot be used any further then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The header announces more than [`MAX_PAYLOAD`].
    #[error("a frame announces {0} bytes, the limit is {MAX_PAYLOAD}")]
    TooLong(u32),
    /// The kind is none that this generation knows.
    #[error("a frame has the unknown kind {0}")]
    UnknownKind(u8),
}

const CONTROL: u8 = 1;
const STDIN: u8 = 2;
const STDOUT: u8 = 3;
const STDERR: u8 = 4;

/// Appends a frame to `out`.
///
/// # Panics
///
/// If the payload is longer than [`MAX_PAYLOAD`]; senders cut data before.
pub fn encode(frame: &Frame, out: &mut BytesMut) {
    let (kind, payload) = match &frame.body {
        Body::Control(bytes) => (CONTROL, bytes),
        Body::Data(Channel::Stdin, bytes) => (STDIN, bytes),
        Body::Data(Channel::Stdout, bytes) => (STDOUT, bytes),
        Body::Data(Channel::Stderr, bytes) => (STDERR, bytes),
    };
    assert!(payload.len() <= MAX_PAYLOAD, "a frame of {} bytes", payload.len());
    out.reserve(HEADER_LEN + payload.len());
    out.put_u32_le(u32::try_from(payload.len()).expect("bounded above"));
    out.put_u8(kind);
    out.put_u32_le(frame.stream.0);
    out.put_slice(payload);
}

/// Takes the first frame out of `buffer`, or `None` if it is not complete yet.
///
/// # Errors
///
/// If the bytes cannot be a frame; `buffer` is left as it was.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
    let Some(header) = buffer.first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let [l0, l1, l2, l3, kind, s0, s1, s2, s3] = *header;
    let announced = u32::from_le_bytes([l0, l1, l2, l3]);
    let length = match usize::try_from(announced) {
        Ok(length) if length <= MAX_PAYLOAD => length,
        _ => return Err(DecodeError::TooLong(announced)),
    };
    if !(CONTROL..=STDERR).contains(&kind) {
        return Err(DecodeError::UnknownKind(kind));
    }
    if buffer.len() < HEADER_LEN + length {
        buffer.reserve(HEADER_LEN + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEADER_LEN);
    let payload = buffer.split_to(length).freeze();
    let body = match kind {
        CONTROL => Body::Control(payload),
        STDIN => Body::Data(Channel::Stdin, payload),
        STDOUT => Body::Data(Channel::Stdout, payload),
        _ => Body::Data(Channel::Stderr, payload),
    };
    let stream = StreamId(u32::from_le_bytes([s0, s1, s2, s3]));
    Ok(Some(Frame { stream, body }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_frame() -> impl Strategy<Value = Frame> {
        let body = prop_oneof![Just(0u8), Just(1), Just(2), Just(3)];
        (any::<u32>(), body, proptest::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(stream, kind, payload)| {
                let payload = Bytes::from(payload);
                let body = match kind {
                    0 => Body::Control(payload),
                    1 => Body::Data(Channel::Stdin, payload),
                    2 => Body::Data(Channel::Stdout, payload),
                    _ => Body::Data(Channel::Stderr, payload),
                };
                Frame { stream: StreamId(stream), body }
            },
        )
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(
            frames in proptest::collection::vec(any_frame(), 0..8),
            cut in 1usize..50,
        ) {
            let mut stream = BytesMut::new();
            for frame in &frames {
                encode(frame, &mut stream);
            }
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for chunk in stream.chunks(cut) {
                buffer.extend_from_slice(chunk);
                while let Some(frame) = decode(&mut buffer).expect("these are frames") {
                    seen.push(frame);
                }
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn hostile_bytes_never_panic_and_never_grow(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = decode(&mut buffer) {
                let (Body::Control(payload) | Body::Data(_, payload)) = frame.body;
                prop_assert!(payload.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_before_it_is_read() {
        let mut buffer = BytesMut::new();
        buffer.put_u32_le(65_537);
        buffer.put_u8(CONTROL);
        buffer.put_u32_le(1);
        let before = buffer.clone();
        assert_eq!(decode(&mut buffer), Err(DecodeError::TooLong(65_537)));
        assert_eq!(buffer, before);
    }

    #[test]
    fn the_largest_frame_passes_whole_or_not_at_all() {
        let payload = Bytes::from(vec![7; MAX_PAYLOAD]);
        let frame =
            Frame { stream: StreamId(u32::MAX), body: Body::Data(Channel::Stderr, payload) };
        let mut stream = BytesMut::new();
        encode(&frame, &mut stream);
        let last = stream.split_off(stream.len() - 1);
        assert_eq!(decode(&mut stream), Ok(None));
        assert_eq!(stream.len(), HEADER_LEN + MAX_PAYLOAD - 1);
        stream.unsplit(last);
        assert_eq!(decode(&mut stream), Ok(Some(frame)));
        assert!(stream.is_empty());
    }
}
