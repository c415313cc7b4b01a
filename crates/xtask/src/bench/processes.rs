//! Reads from `/proc` what processes use and who belongs to a home.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Private memory of one workspace's processes. The file behind the guest's
/// memory is not in it: its pages are shared by all workspaces of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) keeper_kib: f64,
    pub(super) monitor_kib: f64,
}

/// The memory of the keeper that holds `lock`, and of what it started.
pub(super) fn memory(lock: &Path) -> Result<Memory> {
    let keepers: Vec<u32> =
        all()?.into_iter().filter(|pid| opened(*pid).iter().any(|path| path == lock)).collect();
    let keeper = *keepers.first().context("the workspace has no keeper")?;
    ensure!(keepers.len() == 1, "{} processes hold the workspace's lock", keepers.len());
    let mut monitor_kib = 0.0;
    for child in all()?.into_iter().filter(|pid| parent(*pid) == Some(keeper)) {
        monitor_kib += anonymous_kib(child)?;
    }
    Ok(Memory { keeper_kib: anonymous_kib(keeper)?, monitor_kib })
}

/// Memory of a process that no file stands behind, in KiB.
pub(super) fn anonymous_kib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let value = value.and_then(|value| value.trim().strip_suffix("kB"));
    value.and_then(|kib| kib.trim().parse().ok()).with_context(|| format!("{path} is odd"))
}

/// The processes that have something below `home` open, this one excepted.
pub(super) fn users_of(home: &Path) -> Result<Vec<u32>> {
    let own = std::process::id();
    let uses = |pid: &u32| *pid != own && opened(*pid).iter().any(|path| path.starts_with(home));
    Ok(all()?.into_iter().filter(uses).collect())
}

fn all() -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

/// What a process has open; nothing if it has ended or is somebody else's.
fn opened(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}
