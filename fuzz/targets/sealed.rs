//! Sealed values and keys, in files that anybody may have written to.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sealing::{Binding, Key, open, seal};

fuzz_target!(|input: (&[u8], &str, [u8; 2])| {
    let (bytes, name, [place, change]) = input;
    let binding = Binding::new(["stored", name]);
    let Ok(key) = Key::generate() else { return };
    assert!(open(&key, &binding, bytes).is_err(), "a value that nobody sealed");
    if let Ok(read) = Key::from_text(bytes) {
        assert_eq!(read.to_text().trim_end().as_bytes(), bytes.trim_ascii_end());
    }
    let Ok(mut sealed) = seal(&key, &binding, bytes) else { return };
    assert_eq!(open(&key, &binding, &sealed).as_deref().map(Vec::as_slice), Ok(bytes));
    assert!(open(&key, &Binding::new(["stored", name, ""]), &sealed).is_err());
    let place = usize::from(place) % sealed.len();
    sealed[place] ^= change | 1;
    assert!(open(&key, &binding, &sealed).is_err(), "what was altered");
});
