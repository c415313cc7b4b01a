//! Which driver machines are started with, and as whom.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use machine::MonitorInfo;
use machine::launcher::{Launcher, UidPolicy, UidUse, run};
use machine::qemu::Qemu;
use workspace_api::id::WorkspaceId;

use crate::settings::Settings;

/// The monitor's program.
pub(crate) const MONITOR: &str = "qemu-system-x86_64";

/// The hidden subcommand that confines itself and becomes a monitor.
pub(crate) const LAUNCHER_SUBCOMMAND: &str = "launch-monitor";

/// Monitors that root starts run as users without names: the first of them, and
/// how many there are. The range belongs to no distribution's users.
const FIRST_MONITOR_UID: u32 = 1_879_048_192;
const MONITOR_UIDS: u32 = 1 << 16;

/// The group of all such monitors, through which they share templates.
const MONITOR_GID: u32 = FIRST_MONITOR_UID;

/// The driver of a workspace's machine.
pub(crate) fn driver(program: &Path, monitor: MonitorInfo, workspace: WorkspaceId) -> Qemu {
    let user = user(UidUse::Shared, uid_of(workspace));
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
    if rustix::process::geteuid().is_root() {
        UidPolicy::Drop { uid, gid: MONITOR_GID, uid_use }
    } else {
        UidPolicy::Keep
    }
}

/// Two workspaces may meet in one user, but so seldom that a monitor that was
/// taken over cannot count on reaching another one.
fn uid_of(workspace: WorkspaceId) -> u32 {
    let id = workspace.to_string();
    let random = u32::from_str_radix(&id[id.len() - 4..], 16).expect("ids end in digits");
    // The first user is that of templates.
    FIRST_MONITOR_UID + 1 + random % (MONITOR_UIDS - 1)
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
