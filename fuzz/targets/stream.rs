//! Streams of a monitor that its guest has taken over.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/machine/src/qemu/stream.rs"]
mod stream;

/// Memory of the machine; as much as the inputs worth keeping have.
const BYTES: u64 = 4 * 4096;

fuzz_target!(|input: &[u8]| {
    let mut rest: &[u8] = input;
    let mut state = Vec::new();
    let put = |offset: u64, pages: &[u8]| {
        assert!(offset % 4096 == 0 && pages.len() % 4096 == 0);
        assert!(offset + pages.len() as u64 <= BYTES);
        Ok(())
    };
    if stream::split(&mut rest, ("ram", BYTES), put, &mut state).is_ok() {
        assert!(rest.is_empty());
        assert!(state.len() <= input.len());
        // What is left has no memory of the guest's, so it is what is left of itself.
        let mut again = Vec::new();
        let nothing = |_, _: &[u8]| -> std::io::Result<()> { panic!("memory was left") };
        stream::split(&mut state.as_slice(), ("ram", BYTES), nothing, &mut again)
            .expect("what is left is a stream");
        assert!(again == state);
    }
});
