//! Letters of agents: whatever is in one, it is a message within bounds or it is refused
//! with a reason that can be told.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet::letter::Letter;
use packet::limits::{LETTER_MAX_BYTES, QUOTE_MAX_CHARS};

fuzz_target!(|bytes: &[u8]| match Letter::parse(bytes) {
    Ok(letter) => {
        assert!(!letter.text.trim().is_empty() && letter.text.len() < LETTER_MAX_BYTES);
        assert!(bytes.ends_with(letter.text.as_bytes()) || letter.text.len() < bytes.len());
    }
    Err(error) => {
        let told = error.to_string();
        assert!(!told.contains(char::is_control), "{told:?}");
        assert!(told.chars().count() < QUOTE_MAX_CHARS + 200);
    }
});
