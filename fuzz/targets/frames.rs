//! Frames of a hostile guest, and the messages in them, however they arrive.

#![no_main]

use bytes::BytesMut;
use guest_protocol::frame::{self, Body, DecodeError, Frame, HEADER_LEN, MAX_PAYLOAD};
use hotcell_fuzz::{check_message, pieces};
use libfuzzer_sys::fuzz_target;

/// Follows the stream if the input says so. Inputs are far shorter than the
/// largest frame; this lets them have one, and one that is a little too large.
const FILLER: &[u8] = &[0; MAX_PAYLOAD + 64];

fuzz_target!(|data: &[u8]| {
    let Some((&[with_filler], data)) = data.split_first_chunk() else { return };
    let Some((cuts, stream)) = data.split_first_chunk() else { return };
    let filler = (with_filler & 1 == 1).then_some(FILLER);
    let whole = decode_all([stream].into_iter().chain(filler));
    let cut = decode_all(pieces(cuts, stream).chain(filler));
    assert_eq!(whole, cut, "the cut makes a difference");
    for frame in &whole.frames {
        if let Body::Control(payload) = &frame.body {
            check_message(payload);
        }
    }
});

/// All that came out of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    frames: Vec<Frame>,
    end: Result<(), DecodeError>,
}

fn decode_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let mut frames = Vec::new();
    let mut buffer = BytesMut::new();
    // What arrived and is in no frame yet; the decoder's buffer must agree.
    let mut rest = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        rest.extend_from_slice(piece);
        loop {
            let result = frame::decode(&mut buffer);
            if let Ok(Some(frame)) = result {
                let (Body::Control(payload) | Body::Data(_, payload)) = &frame.body;
                assert!(payload.len() <= MAX_PAYLOAD);
                let mut encoded = BytesMut::new();
                frame::encode(&frame, &mut encoded);
                assert_eq!(rest.get(..encoded.len()), Some(&encoded[..]), "other bytes");
                rest.drain(..encoded.len());
                frames.push(frame);
                continue;
            }
            assert_eq!(buffer, rest, "what is no frame is left as it was");
            // The buffer grows by doubling, whatever a header announces.
            assert!(buffer.capacity() <= 2 * (HEADER_LEN + MAX_PAYLOAD + piece.len()));
            match result {
                Ok(_) => break,
                Err(error) => return Decoded { frames, end: Err(error) },
            }
        }
    }
    Decoded { frames, end: Ok(()) }
}
