//! What a guest's side of the network says, the pieces of its connections, and
//! the answers of a host's proxy, however they arrive.

#![no_main]

use bytes::BytesMut;
use egress::upstream;
use guest_protocol::egress::{
    GuestMessage, HostMessage, Message, PIECE_MAX, Piece, decode, decode_piece, encode,
};
use hotcell_fuzz::{Cuts, pieces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((cuts, stream)) = data.split_first_chunk() else { return };
    messages::<GuestMessage>(cuts, stream);
    messages::<HostMessage>(cuts, stream);
    connection(cuts, stream);
    if let Ok(Some(length)) = upstream::answer(stream) {
        assert!(length <= stream.len());
    }
});

/// The cut makes no difference, and what is understood can be said again.
fn messages<M: Message + PartialEq + std::fmt::Debug>(cuts: &Cuts, stream: &[u8]) {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match decode::<M>(&mut buffer) {
                    Ok(Some((message, body))) => {
                        assert_eq!(message.body_length(), body.len());
                        assert!(body.len() <= M::BODY_MAX);
                        seen.push((message, body));
                    }
                    Ok(None) => break,
                    Err(_) => return (seen, true),
                }
            }
        }
        (seen, false)
    };
    let whole = read(&mut std::iter::once(stream));
    assert_eq!(whole, read(&mut pieces(cuts, stream)));
    for (message, body) in whole.0 {
        let mut again = BytesMut::from(&encode(&message, &body)[..]);
        let heard = decode::<M>(&mut again).expect("our own words");
        assert_eq!(heard, Some((message, body)));
    }
}

/// All bytes of a connection come out, up to its end or the first nonsense.
fn connection(cuts: &Cuts, stream: &[u8]) {
    let mut buffer = BytesMut::new();
    let mut used = 0;
    for part in pieces(cuts, stream) {
        buffer.extend_from_slice(part);
        while let Ok(Some(piece)) = decode_piece(&mut buffer) {
            used += 2;
            match piece {
                Piece::Data(bytes) => {
                    assert!(!bytes.is_empty() && bytes.len() <= PIECE_MAX);
                    used += bytes.len();
                }
                Piece::End => return,
            }
        }
    }
    assert_eq!(used + buffer.len(), stream.len());
}
