//! Payloads of control frames, without the frames around them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| hotcell_fuzz::check_message(payload));
