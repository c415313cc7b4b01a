//! Where everything stands, in pixels.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use batch_api::plan::{Planned, PlannedTask};

/// Where time begins.
pub(super) const LEFT: u32 = 96;
/// Where the first row begins.
pub(super) const TOP: u32 = 124;
/// How high a task is.
pub(super) const BOX_HEIGHT: u32 = 62;
/// How wide the bar of an area's colour is.
pub(super) const BAR: u32 = 4;
/// What lies between two rows: arrows run there.
const GAP: u32 = 44;
/// How wide the shortest task is, if there is room.
const SHORTEST: u32 = 156;
/// No picture is wider than this.
const WIDTH_MAX: u32 = 16_000;
/// Nor narrower: head and legend need it.
const WIDTH_MIN: u32 = 760;
/// What is free at each side of a task, so that arrows find a way.
const SIDE: u32 = 11;
/// How many arrows run beside each other before the next one is drawn over the first.
const TRACKS: u32 = 7;
/// What lies between two arrows.
const TRACK: u32 = 4;

/// The measures of a picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Where the rows end.
    pub(super) bottom: u32,
    pub(super) lanes: u32,
    /// So many pixels stand for so many minutes.
    scale: (u64, u64),
}

/// A task's box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Box {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    lane: u32,
}

impl Layout {
    pub(super) fn of(plan: &Planned) -> Self {
        let shortest =
            plan.tasks.iter().map(|task| task.end - task.start).min().unwrap_or(1).max(1);
        let minutes = plan.minutes.max(1);
        let room = u64::from(WIDTH_MAX - LEFT);
        let scale = (u64::from(SHORTEST), u64::from(shortest));
        let wanted = u64::from(minutes) * scale.0 / scale.1;
        let scale = if wanted > room { (room, u64::from(minutes)) } else { scale };
        let lanes = plan.tasks.iter().map(|task| u32::from(task.lane)).max().unwrap_or(1);
        let bottom = TOP + lanes * (BOX_HEIGHT + GAP) - GAP / 2 + 6;
        let mut layout = Self { width: 0, height: bottom + 76, bottom, lanes, scale };
        layout.width = (layout.x(minutes) + 32).max(WIDTH_MIN);
        layout
    }

    /// Where a moment is.
    pub(super) fn x(&self, minutes: u32) -> u32 {
        let pixels = u64::from(minutes) * self.scale.0 / self.scale.1;
        LEFT + u32::try_from(pixels).unwrap_or(WIDTH_MAX)
    }

    /// Where the boxes of a lane begin.
    pub(super) fn row(&self, lane: u32) -> u32 {
        TOP + lane.saturating_sub(1) * (BOX_HEIGHT + GAP)
    }

    pub(super) fn of_task(&self, task: &PlannedTask) -> Box {
        let lane = u32::from(task.lane);
        let (from, to) = (self.x(task.start), self.x(task.end));
        let side = if to - from > 3 * SIDE { SIDE } else { 1 };
        let width = (to - from).saturating_sub(2 * side).max(2);
        Box { x: from + side, y: self.row(lane), width, lane }
    }

    /// The moments that are written above the rows: hours, or as many of them at once
    /// as leave room for the words.
    pub(super) fn ticks(&self, minutes: u32) -> Vec<u32> {
        const APART: u32 = 84;
        let steps = [30, 60, 120, 240, 480, 1440, 10_080];
        let step = steps.into_iter().find(|step| self.x(*step) - LEFT >= APART).unwrap_or(100_800);
        (0..=minutes / step).map(|tick| tick * step).collect()
    }
}

/// Gives arrows a way beside each other.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// How many arrows run in each gap.
    used: BTreeMap<u32, u32>,
}

impl Route {
    /// From the end of one box to the beginning of another: out, along the gap next to
    /// the second one's row, and in.
    pub(super) fn path(&mut self, from: Box, to: Box) -> String {
        const ROUND: u32 = 5;
        let (x1, y1) = (from.x + from.width, from.y + BOX_HEIGHT / 2);
        let (x2, y2) = (to.x, to.y + BOX_HEIGHT / 2);
        let is_next = from.lane == to.lane && x2.saturating_sub(x1) <= 2 * SIDE + 1;
        if is_next || x2 <= x1 {
            return format!("M{x1} {y1}L{x2} {y2}");
        }
        // Rows below are entered from above, all others from below.
        let is_down = to.lane > from.lane;
        let gap = if is_down { to.lane - 1 } else { to.lane };
        let track = self.used.entry(gap).or_default();
        let shift = (*track % TRACKS) * TRACK;
        *track += 1;
        let along = if is_down { to.y - 9 - shift } else { to.y + BOX_HEIGHT + 9 + shift };
        let spread = shift / 5;
        let (out, inn) = (x1 + 4 + spread, x2 - 6 - spread);
        if inn <= out + 2 * ROUND {
            // Right below or above: a curve through the narrow gap.
            let middle = x1.midpoint(x2);
            return format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}");
        }
        // A corner is a curve from before it to behind it.
        let step = |from: u32, to: u32| {
            if to > from { (to - ROUND, to + ROUND) } else { (to + ROUND, to - ROUND) }
        };
        let (before, _) = step(y1, along);
        let start = if along > y1 { y1 + ROUND } else { y1 - ROUND };
        let (into, _) = step(along, y2);
        let leave = if y2 > along { along + ROUND } else { along - ROUND };
        let mut path =
            format!("M{x1} {y1}H{}Q{out} {y1} {out} {start}", out.saturating_sub(ROUND).max(x1));
        let _ = write!(path, "V{before}Q{out} {along} {} {along}", out + ROUND);
        let _ = write!(path, "H{}Q{inn} {along} {inn} {leave}", inn - ROUND);
        let _ = write!(path, "V{into}Q{inn} {y2} {x2} {y2}");
        path
    }
}
