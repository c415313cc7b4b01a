//! Questions that a guest asks its name server.

#![no_main]

use egress::dns::{self, Answer, QUESTION_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(question) = dns::parse(bytes) else { return };
    assert!(bytes.len() <= QUESTION_MAX);
    for answer in [Answer::Nothing, Answer::Refused, Answer::Failed, Answer::NoSuchName] {
        assert!(dns::write(&question, answer, 60).len() <= bytes.len());
    }
    let address = "fd00::1".parse().expect("an address");
    // A pointer to the name, ten bytes and the address.
    assert!(dns::write(&question, Answer::Address(address), 60).len() <= bytes.len() + 28);
});
