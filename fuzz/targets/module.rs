//! Kernel modules out of a package: ELF, and the description in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// What the module under test expects in its crate.
mod manifest {
    pub(crate) use environment::{ModuleGroup, ModuleRecord};
}

#[path = "../../crates/environment/src/module.rs"]
mod module;

fuzz_target!(|bytes: &[u8]| {
    let mut offered = module::Offered::default();
    // The first module that is needed stands for all: whatever it asks for, the
    // search for an order ends.
    let understood = offered.add("virtio.ko", bytes).is_ok();
    if understood {
        assert!(offered.resolve().is_err(), "most modules are missing");
        offered.add_builtin(&String::from_utf8_lossy(bytes));
        let _ = offered.resolve();
    }
});
