//! The list of packages in a tree that foreign programs have written.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "files are not read here")]
#[path = "../../crates/environment/src/dpkg.rs"]
mod dpkg;

fuzz_target!(|status: &[u8]| {
    let Ok(packages) = dpkg::parse(status) else { return };
    assert!(packages.is_sorted());
    assert!(packages.len() <= dpkg::MAX_PACKAGES);
    for package in packages {
        for field in [package.name, package.version] {
            assert!((1..=dpkg::MAX_FIELD_BYTES).contains(&field.len()));
        }
    }
});
