//! Which driver machines are started with, and as whom.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use machine::MonitorInfo;
use machine::launcher::{Launcher, UidPolicy, UidUse, run};
use machine::qemu::Qemu;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// The monitor's program.
pub(crate) const MONITOR: &str = "qemu-system-x86_64";

/// The hidden subcommand that confines itself and becomes a monitor.
pub(crate) const LAUNCHER_SUBCOMMAND: &str = "launch-monitor";

/// Monitors that root starts run as users without names, counted from here on.
/// The range belongs to no distribution's users. The first is that of machines
/// that become templates.
const FIRST_MONITOR_UID: u32 = 1_879_048_192;

/// The last of them: workspaces are numbered with 16 bits.
const LAST_MONITOR_UID: u32 = FIRST_MONITOR_UID + 0xffff;

/// The group of all such monitors, through which they share templates.
const MONITOR_GID: u32 = FIRST_MONITOR_UID;

/// Which of the monitors' users a workspace has, for itself alone as long as it
/// exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MonitorNumber(pub(crate) u16);

/// The driver of a workspace's machine.
pub(crate) fn driver(program: &Path, monitor: MonitorInfo, number: MonitorNumber) -> Qemu {
    let user = user(UidUse::Dedicated, FIRST_MONITOR_UID + u32::from(number.0));
    Qemu::new(launcher(program), user, OsString::new()).with_monitor(monitor)
}

/// The driver of the machines that become templates.
pub(crate) fn driver_for_templates(program: &Path, monitor: MonitorInfo) -> Qemu {
    let user = user(UidUse::Shared, FIRST_MONITOR_UID);
    Qemu::new(launcher(program), user, OsString::new()).with_monitor(monitor)
}

/// A driver that is only asked which monitor there is.
pub(crate) fn probing_driver(settings: &Settings) -> Qemu {
    let search_path = OsString::from(&settings.search_path);
    Qemu::new(launcher(&settings.program), UidPolicy::Keep, search_path)
}

fn launcher(program: &Path) -> Launcher {
    Launcher { program: program.to_owned(), arguments: vec![LAUNCHER_SUBCOMMAND.into()] }
}

fn user(uid_use: UidUse, uid: u32) -> UidPolicy {
    match monitor_users() {
        MonitorUsers::Own => UidPolicy::Drop { uid, gid: MONITOR_GID, uid_use },
        MonitorUsers::Callers => UidPolicy::Keep,
    }
}

/// As whom monitors run on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MonitorUsers {
    /// As users of their own.
    Own,
    /// As whoever starts them: no root, or root of a user namespace (a container
    /// without root, say) in which those users do not exist.
    Callers,
}

/// Finds out as whom monitors run on this host.
pub(crate) fn monitor_users() -> MonitorUsers {
    let exists =
        |map: &str| fs::read_to_string(map).is_ok_and(|text| maps(&text, LAST_MONITOR_UID));
    let root = rustix::process::geteuid().is_root();
    if root && exists("/proc/self/uid_map") && exists("/proc/self/gid_map") {
        MonitorUsers::Own
    } else {
        MonitorUsers::Callers
    }
}

/// Whether a user namespace has all ids from the first monitor's to `last`. The
/// format is that of `user_namespaces(7)`: first id inside, outside, count.
fn maps(text: &str, last: u32) -> bool {
    text.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => {
                inside <= u64::from(FIRST_MONITOR_UID)
                    && u64::from(last) < inside.saturating_add(count)
            }
            _ => false,
        }
    })
}

/// Becomes a monitor; what the hidden subcommand does. Returns only if that
/// fails.
#[must_use]
pub fn launch_monitor() -> ExitCode {
    let Err(error) = run();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    // Standard error is the driver's, which reports the last words.
    let _ = writeln!(std::io::stderr(), "the launcher failed: {words}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_namespace_with_all_ids_has_users_for_monitors() {
        assert!(maps("         0          0 4294967295\n", LAST_MONITOR_UID));
        assert!(!maps("         0       1000          1\n", LAST_MONITOR_UID));
        assert!(!maps("0 1000 1\n1 100000 65536\n", LAST_MONITOR_UID));
        assert!(!maps("", LAST_MONITOR_UID));
        assert!(!maps("what ever", LAST_MONITOR_UID));
    }
}
