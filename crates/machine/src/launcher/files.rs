//! Which files a monitor can open: a Landlock ruleset, as far as the kernel
//! has it.
//!
//! Descriptors that the monitor was given work regardless; the rules are about
//! what it opens by itself. That is its own program, the libraries and firmware
//! that it loads, a few devices, and those descriptors that it opens again.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope, path_beneath_rules,
};

use rustix::fs::{fcntl_get_seals, fstat};

use super::plan::Reopen;

/// The newest ABI whose rights are asked for; an older kernel enforces fewer.
const NEWEST_ABI: ABI = ABI::V9;

/// Dynamic loaders: the kernel executes them on behalf of the monitor.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"];

/// Libraries, the monitor's modules and its firmware.
const LIBRARIES: [&str; 9] = [
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/usr/share/qemu",
    "/usr/share/seabios",
    "/usr/share/seavgabios",
];

/// Devices that any monitor can read and write.
const HARMLESS_DEVICES: [&str; 2] = ["/dev/null", "/dev/urandom"];

/// The newest Landlock ABI of the kernel that makes a difference to these
/// rules. The crate tells the kernel's own number only to who confines itself,
/// so each right is asked for under the condition that it must be there.
pub(super) fn landlock_abi() -> Option<u32> {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let rights: [(u32, Result<Ruleset, RulesetError>); 7] = [
        (9, strict().handle_access(AccessFs::ResolveUnix)),
        (6, strict().scope(Scope::Signal)),
        (5, strict().handle_access(AccessFs::IoctlDev)),
        (4, strict().handle_access(AccessNet::ConnectTcp)),
        (3, strict().handle_access(AccessFs::Truncate)),
        (2, strict().handle_access(AccessFs::Refer)),
        (1, strict().handle_access(AccessFs::Execute)),
    ];
    let found = rights.into_iter().find(|(_, right)| right.is_ok());
    found.map(|(abi, _)| abi)
}

/// Confines the calling thread to what the monitor needs.
pub(super) fn confine(
    program: &Path,
    devices: &[PathBuf],
    descriptors: &[(OwnedFd, Reopen)],
) -> Result<RestrictionStatus, RulesetError> {
    let read_file = BitFlags::from(AccessFs::ReadFile);
    let execute = AccessFs::Execute | AccessFs::ReadFile;
    let read_write = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut rules: RulesetCreated = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST_ABI))?
        .handle_access(AccessNet::from_all(NEWEST_ABI))?
        .scope(Scope::from_all(NEWEST_ABI))?
        .create()?
        .add_rules(path_beneath_rules([program], execute))?
        .add_rules(path_beneath_rules(LOADERS, execute))?
        .add_rules(path_beneath_rules(LIBRARIES, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(HARMLESS_DEVICES, read_write))?
        .add_rules(path_beneath_rules(devices, read_write | AccessFs::IoctlDev))?;
    for (descriptor, reopen) in descriptors {
        let access = match reopen {
            Reopen::Never => continue,
            Reopen::Read => read_file,
            // The monitor may set the size of a new file.
            Reopen::ReadWrite => read_write | AccessFs::Truncate,
        };
        if !is_memory(descriptor) {
            rules = rules.add_rule(PathBeneath::new(descriptor, access))?;
        }
    }
    rules.restrict_self()
}

/// Whether it is a file in memory without a name. No rule can be about it (the
/// kernel says `EBADFD`), and none is needed: it lies on no mount that Landlock
/// restricts, and nobody finds it who has no descriptor of it.
fn is_memory(descriptor: &OwnedFd) -> bool {
    fstat(descriptor).is_ok_and(|found| found.st_nlink == 0) && fcntl_get_seals(descriptor).is_ok()
}
