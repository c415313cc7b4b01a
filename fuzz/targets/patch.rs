//! Patches, and deltas in them.

#![no_main]

use guest_tools::patch::binary::apply_delta;
use guest_tools::patch::image::Image;
use guest_tools::patch::parse::{Body, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (text, content) = input;
    if let Some(result) = apply_delta(content, text) {
        assert!(result.len() <= 64 << 20);
    }
    let Ok(files) = parse(text) else { return };
    assert!(!files.is_empty());
    for file in files {
        assert!(!file.change.name().is_empty());
        let Body::Text(hunks) = &file.body else { continue };
        let mut image = Image::new(content);
        if hunks.iter().all(|hunk| image.apply(hunk).is_some()) {
            let added: usize = hunks.iter().flat_map(|hunk| hunk.after()).map(<[u8]>::len).sum();
            assert!(image.content().len() <= content.len() + added);
        }
    }
});
