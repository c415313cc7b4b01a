//! What a process has used, as `/proc` tells it.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

/// What a process has used so far.
#[derive(Debug)]
pub(super) struct Cost {
    at: Instant,
    processor_s: f64,
    wake_ups: f64,
}

/// What it has used between two moments.
#[derive(Debug)]
pub(super) struct Used {
    /// Of one core, in percent.
    pub(super) core_percent: f64,
    /// How often its threads were woken, in a second.
    pub(super) wake_ups: f64,
}

impl Cost {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, stat) = stat.rsplit_once(") ").context("an odd stat")?;
        let field = |place: usize| -> Result<f64> {
            Ok(stat.split(' ').nth(place).context("a short stat")?.parse()?)
        };
        // Fields 14 and 15, of which the third is the first one here.
        let ticks = field(11)? + field(12)?;
        let mut wake_ups = 0.0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end at this moment.
            let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            wake_ups += value(&status, "voluntary_ctxt_switches:").unwrap_or_default();
        }
        let per_second = u32::try_from(rustix::param::clock_ticks_per_second())?;
        Ok(Self { at: Instant::now(), processor_s: ticks / f64::from(per_second), wake_ups })
    }

    pub(super) fn until(&self, now: &Self) -> Used {
        let span = now.at.duration_since(self.at).as_secs_f64();
        Used {
            core_percent: 100.0 * (now.processor_s - self.processor_s) / span,
            wake_ups: (now.wake_ups - self.wake_ups) / span,
        }
    }
}

/// The memory of a process in MiB: all that is resident, and its share of that.
pub(super) fn memory(pid: u32) -> Result<(f64, f64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let of = |name: &str| value(&text, name).map(|kib| kib / 1024.0);
    of("Rss:").zip(of("Pss:")).context("an odd smaps_rollup")
}

/// The first number behind a name at the beginning of a line.
fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
