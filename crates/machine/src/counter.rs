//! The pace of this host's time stamp counter, which is that of emulated guests.
//!
//! A guest that finds the pace out by itself measures it against the emulated
//! board's timers, and those stumble when the host is busy: a guest on a host of two
//! cores and a load of 14 took its counter for one of 406 instead of 2,594 MHz. Its
//! clock then ran six times too fast, and so did that of every machine that was
//! resumed from it. Here the counter is read beside the host's clock.

use std::thread;
use std::time::{Duration, Instant};

/// How long the counter is watched.
const SPAN: Duration = Duration::from_millis(20);

/// Looks at counter and clock, of which the quickest counts: between the two a busy
/// host may do something else.
const LOOKS: u32 = 8;

/// How often the counter ticks within a millisecond; `None` if it is no clock here.
pub(crate) fn khz() -> Option<u32> {
    let first = look();
    thread::sleep(SPAN);
    let last = look();
    let ticks = u128::from(last.ticks.checked_sub(first.ticks)?);
    let nanoseconds = last.at.checked_duration_since(first.at)?.as_nanos();
    let khz = (ticks * 1_000_000).checked_div(nanoseconds)?;
    u32::try_from(khz).ok().filter(|khz| *khz > 0)
}

/// What the counter said at some time.
struct Look {
    ticks: u64,
    at: Instant,
    took: Duration,
}

fn look() -> Look {
    let once = || {
        let at = Instant::now();
        let ticks = ticks();
        Look { ticks, at, took: at.elapsed() }
    };
    let looks = (1..LOOKS).map(|_| once());
    looks.fold(once(), |best, look| if look.took < best.took { look } else { best })
}

fn ticks() -> u64 {
    #[expect(unsafe_code, reason = "the processor is asked by an instruction of its own")]
    // SAFETY: the instruction reads a register and touches no memory. Every x86-64
    // processor has it, and Linux lets programs use it unless they renounce it.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_pace() {
        let (one, other) = (khz().expect("a clock"), khz().expect("a clock"));
        assert!(one.abs_diff(other) <= one / 100, "{one} and {other} kHz");
    }
}
