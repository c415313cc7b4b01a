//! A plan as a picture: lanes as rows, time to the right, what waits for what as
//! arrows. SVG without script, for light and dark pages; every text of a packet is
//! escaped and clipped to its box.
//!
//! ```text
//!            0 h      1 h      2 h
//!  Lane 1   ┌TP-1────────┐ ┌TP-3────┐
//!           └─────────┬──┘ └────────┘
//!  Lane 2   ┌TP-2──┐  └───▶┌TP-4────┐      arrows run in the gaps between the rows
//!           └──────┘       └────────┘
//! ```
//!
//! All measures are whole pixels, so the same plan is the same picture to the byte.

mod layout;
mod style;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use batch_api::plan::{Planned, PlannedTask};
use batch_api::{AreaName, TaskId};

use self::layout::{BAR, BOX_HEIGHT, Box, LEFT, Layout, Route, TOP};

/// More dashed lines than this hide what they should show.
const CONFLICTS_MAX: usize = 120;

/// Draws a plan.
pub(crate) fn draw(plan: &Planned) -> String {
    let layout = Layout::of(plan);
    let mut to = Drawing { text: String::new(), plan, layout };
    to.begin();
    to.lanes();
    to.arrows();
    to.boxes();
    to.legend();
    to.text.push_str("</svg>\n");
    to.text
}

struct Drawing<'p> {
    text: String,
    plan: &'p Planned,
    layout: Layout,
}

impl Drawing<'_> {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }

    fn begin(&mut self) {
        let (width, height) = (self.layout.width, self.layout.height);
        let lanes = self.layout.lanes;
        let tasks = self.plan.tasks.len();
        let title = format!(
            "{tasks} task{} in {lanes} lane{}, about {}",
            plural(tasks),
            plural(lanes),
            hours(self.plan.minutes)
        );
        self.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
            escaped(&title)
        ));
        self.text.push_str(style::STYLE);
        self.add(format_args!("<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>"));
        self.add(format_args!("<text class=\"head\" x=\"24\" y=\"38\">{}</text>", escaped(&title)));
        let path: Vec<&str> = self.plan.critical_path.iter().map(TaskId::as_str).collect();
        let critical = format!(
            "{} of work. Critical path, {}: {}",
            hours(self.plan.work_minutes),
            hours(self.plan.critical_minutes),
            path.join(" → ")
        );
        let shown = shortened(&critical, (width - 48) / 7);
        self.add(format_args!(
            "<text class=\"sub\" x=\"24\" y=\"60\">{}<title>{}</title></text>",
            escaped(&shown),
            escaped(&critical)
        ));
    }

    /// The rows, and the hours above them.
    fn lanes(&mut self) {
        let Layout { width, bottom, lanes, .. } = self.layout;
        for lane in 1..=lanes {
            let y = self.layout.row(lane);
            let (right, height) = (width - LEFT - 16, BOX_HEIGHT + 12);
            self.add(format_args!(
                "<rect class=\"row\" x=\"{LEFT}\" y=\"{}\" width=\"{right}\" height=\"{height}\" rx=\"8\"/>",
                y - 6
            ));
            let middle = y + BOX_HEIGHT / 2 + 5;
            self.add(format_args!(
                "<text class=\"lane\" x=\"24\" y=\"{middle}\">Lane {lane}</text>"
            ));
        }
        for minutes in self.layout.ticks(self.plan.minutes) {
            let x = self.layout.x(minutes);
            self.add(format_args!(
                "<line class=\"tick\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\"/>\
                 <text class=\"hour\" x=\"{x}\" y=\"{}\">{}</text>",
                TOP - 18,
                TOP - 24,
                hours(minutes)
            ));
        }
    }

    fn arrows(&mut self) {
        let plan = self.plan;
        let boxes: BTreeMap<&TaskId, &PlannedTask> =
            plan.tasks.iter().map(|task| (&task.id, task)).collect();
        let mut route = Route::default();
        if plan.conflicts.len() <= CONFLICTS_MAX {
            for conflict in &plan.conflicts {
                let (Some(from), Some(to)) =
                    (boxes.get(&conflict.first), boxes.get(&conflict.second))
                else {
                    continue;
                };
                let path = route.path(self.layout.of_task(from), self.layout.of_task(to));
                let why = format!(
                    "{} and {} may change the same files: {} and {}",
                    conflict.first, conflict.second, conflict.first_scope, conflict.second_scope
                );
                self.add(format_args!(
                    "<path class=\"shares\" d=\"{path}\"><title>{}</title></path>",
                    escaped(&why)
                ));
            }
        }
        // Those of the critical path lie above all others.
        for critical in [false, true] {
            for to in &plan.tasks {
                for from in to.depends_on.iter().filter_map(|id| boxes.get(id)) {
                    if is_critical_step(&plan.critical_path, &from.id, &to.id) != critical {
                        continue;
                    }
                    let path = route.path(self.layout.of_task(from), self.layout.of_task(to));
                    let class = if critical { "arrow critical" } else { "arrow" };
                    let head = if critical { "critical-head" } else { "head-mark" };
                    self.add(format_args!(
                        "<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#{head})\"/>"
                    ));
                }
            }
        }
    }

    fn boxes(&mut self) {
        let colours = colours(self.plan);
        for task in &self.plan.tasks {
            let Box { x, y, width, .. } = self.layout.of_task(task);
            let colour = colours.get(&task.area).copied().unwrap_or_default();
            let class = if task.is_critical { "task critical" } else { "task" };
            let room = width.saturating_sub(BAR + 20) * 2 / 13;
            let size = if width > 96 {
                format!("{} · {}", task.size, hours(task.end - task.start))
            } else {
                String::new()
            };
            self.add(format_args!(
                "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX_HEIGHT}\">\
                 <title>{}</title>\
                 <rect class=\"{class}\" x=\"1\" y=\"1\" width=\"{}\" height=\"{}\" rx=\"7\"/>\
                 <rect class=\"area-{colour}\" x=\"6\" y=\"9\" width=\"{BAR}\" height=\"{}\" rx=\"2\"/>\
                 <text class=\"id\" x=\"{}\" y=\"22\">{}</text>\
                 <text class=\"name\" x=\"{}\" y=\"39\">{}</text>\
                 <text class=\"small\" x=\"{}\" y=\"54\">{size}</text></svg>",
                escaped(&tooltip(task)),
                width.saturating_sub(2),
                BOX_HEIGHT - 2,
                BOX_HEIGHT - 18,
                BAR + 12,
                escaped(&shortened(task.id.as_str(), room)),
                BAR + 12,
                escaped(&shortened(&task.name, room)),
                BAR + 12,
            ));
        }
    }

    fn legend(&mut self) {
        let y = self.layout.bottom + 34;
        let mut x = 24;
        let middle = y - 4;
        self.add(format_args!(
            "<path class=\"arrow critical\" d=\"M{x} {middle}h26\" marker-end=\"url(#critical-head)\"/>\
             <text class=\"small\" x=\"{}\" y=\"{y}\">critical path</text>",
            x + 40
        ));
        x += 136;
        self.add(format_args!(
            "<path class=\"arrow\" d=\"M{x} {middle}h26\" marker-end=\"url(#head-mark)\"/>\
             <text class=\"small\" x=\"{}\" y=\"{y}\">starts when it is merged</text>",
            x + 40
        ));
        x += 208;
        if !self.plan.conflicts.is_empty() {
            let told = if self.plan.conflicts.len() > CONFLICTS_MAX {
                format!("{} pairs share files (not drawn)", self.plan.conflicts.len())
            } else {
                "share files: never at the same time".to_owned()
            };
            self.add(format_args!(
                "<path class=\"shares\" d=\"M{x} {middle}h32\"/>\
                 <text class=\"small\" x=\"{}\" y=\"{y}\">{told}</text>",
                x + 40
            ));
        }
        let colours = colours(self.plan);
        let mut x = 24;
        for (area, colour) in colours.iter().filter(|_| colours.len() > 1).take(8) {
            let (name, below) = (shortened(area.as_str(), 16), y + 24);
            self.add(format_args!(
                "<rect class=\"area-{colour}\" x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\" rx=\"2\"/>\
                 <text class=\"small\" x=\"{}\" y=\"{below}\">{}</text>",
                below - 9,
                x + 18,
                escaped(&name)
            ));
            x += 140;
        }
    }
}

/// A colour for each area.
fn colours(plan: &Planned) -> BTreeMap<&AreaName, usize> {
    let mut areas: Vec<&AreaName> = plan.tasks.iter().map(|task| &task.area).collect();
    areas.sort();
    areas.dedup();
    areas.into_iter().enumerate().map(|(at, area)| (area, at % style::AREAS)).collect()
}

fn is_critical_step(path: &[TaskId], from: &TaskId, to: &TaskId) -> bool {
    path.windows(2).any(|step| step[0] == *from && step[1] == *to)
}

fn tooltip(task: &PlannedTask) -> String {
    let mut text = format!("{} {}\n{}", task.id, task.name, task.prompt);
    let list = |ids: &[TaskId]| ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
    for (what, ids) in [("after", &task.depends_on), ("not beside", &task.conflicts_with)] {
        if !ids.is_empty() {
            let _ = write!(text, "\n{what} {}", list(ids));
        }
    }
    text
}

fn plural(count: impl TryInto<usize>) -> &'static str {
    if count.try_into().is_ok_and(|count| count == 1) { "" } else { "s" }
}

/// A span of minutes, as people say it.
fn hours(minutes: u32) -> String {
    match (minutes / 60, minutes % 60) {
        (0, 0) => "0".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes}"),
    }
}

/// A text of at most so many characters.
fn shortened(text: &str, most: u32) -> String {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A text as XML has it; what XML cannot hold is shown as missing.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
