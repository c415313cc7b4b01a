//! The mark that opens an epoch is found wherever it lies in whatever debris,
//! and nowhere else.

#![no_main]

use bytes::BytesMut;
use guest_protocol::epoch::{Skip, TOKEN_LEN, Token, position, skip_past};
use hotcell_fuzz::pieces;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    /// Repeated, because marks that overlap themselves are the hard ones.
    pattern: [u8; 4],
    mark_at: Vec<u16>,
    cuts: [u8; 8],
    debris: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let mut mark: Token = [0; TOKEN_LEN];
    for (byte, value) in mark.iter_mut().zip(input.pattern.iter().cycle()) {
        *byte = *value;
    }
    let mut stream = input.debris;
    for at in input.mark_at.iter().take(4) {
        let at = usize::from(*at) % (stream.len() + 1);
        stream.splice(at..at, mark);
    }

    let expected = stream.windows(TOKEN_LEN).position(|window| window == mark);
    assert_eq!(position(&stream, &mark), expected);

    let mut buffer = BytesMut::new();
    let mut arrived = 0;
    for piece in pieces(&input.cuts, &stream) {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        match skip_past(&mut buffer, &mark) {
            Skip::Missing => assert!(buffer.len() < TOKEN_LEN, "debris is kept"),
            Skip::Found => {
                let end = expected.expect("a mark that is not there") + TOKEN_LEN;
                assert_eq!(&buffer[..], &stream[end..arrived]);
                return;
            }
        }
    }
    assert_eq!(expected, None, "the mark was missed");
});
