//! Lines of a monitor that its guest has taken over.

#![no_main]

use libfuzzer_sys::fuzz_target;
use messages::{Event, Message};

#[path = "../../crates/machine/src/qemu/messages.rs"]
mod messages;

/// The longest text, in characters, that may get into our errors.
const MAX_TEXT_CHARS: usize = 512;

fuzz_target!(|line: &[u8]| {
    match Message::parse(line) {
        Ok(Message::Event(Some(Event::StorageFull { node }))) => assert_short(&node),
        Ok(Message::Event(Some(Event::DiskFailed { node, reason }))) => {
            assert_short(&node);
            assert_short(&reason);
        }
        Ok(Message::Event(Some(Event::JobEnded { failure: Some(reason) }))) => {
            assert_short(&reason);
        }
        Ok(Message::Reply { result: Err(reason), .. }) => assert_short(&reason),
        Ok(Message::Reply { result: Ok(answer), .. }) => {
            assert_short(&messages::migration_failure(&answer));
        }
        Ok(Message::Greeting | Message::Event(_)) | Err(_) => {}
    }
});

fn assert_short(text: &str) {
    assert!(text.chars().count() <= MAX_TEXT_CHARS);
}
