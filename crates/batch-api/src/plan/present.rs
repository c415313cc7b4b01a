//! A plan as text.

use operation::{ErrorKind, Present, Screen};

use super::{Planned, PlannedTask, ScopeOverlap};
use crate::id::TaskId;

/// How many names of a list are told before the rest is counted.
const NAMES_SHOWN: usize = 8;

impl Present for Planned {
    fn present(&self, screen: &mut Screen) {
        for remark in &self.remarks {
            screen.note(format!("note: {}: {}", remark.file, remark.message));
        }
        if !self.problems.is_empty() {
            self.present_problems(screen);
        } else if let Some(picture) = &self.picture {
            screen.out.extend_from_slice(picture.as_bytes());
        } else if self.tasks.is_empty() {
            screen.line(format!("Nothing to be done: {} are done.", count(self.completed, "task")));
        } else {
            self.present_plan(screen);
        }
    }

    fn exit_code(&self) -> u8 {
        if self.problems.is_empty() { 0 } else { ErrorKind::InvalidRequest.exit_code() }
    }
}

impl Planned {
    fn present_problems(&self, screen: &mut Screen) {
        let mut files: Vec<&str> = self.problems.iter().map(|it| it.file.as_str()).collect();
        files.dedup();
        let problems = count(self.problems.len(), "problem");
        screen.note(format!("error: {problems} in {}", count(files.len(), "file")));
        for problem in &self.problems {
            let line = if problem.line == 0 { String::new() } else { format!("{}:", problem.line) };
            screen.note(format!("{}:{line} {}", problem.file, problem.message));
        }
    }

    fn present_plan(&self, screen: &mut Screen) {
        let tasks = count(self.tasks.len(), "task");
        let used = self.tasks.iter().map(|task| task.lane).max().unwrap_or_default();
        let time = hours(self.minutes);
        let (work, critical) = (hours(self.work_minutes), hours(self.critical_minutes));
        screen.line(format!(
            "{tasks} in {}: about {time}, for {work} of work; {} done before",
            count(used, "lane"),
            self.completed
        ));
        screen.line(format!("Critical path, {critical}: {}", chain(&self.critical_path)));
        let width = |text: &dyn Fn(&PlannedTask) -> usize| self.tasks.iter().map(text).max();
        let ids = width(&|task| task.id.as_str().len()).unwrap_or_default();
        let names = width(&|task| task.name.chars().count()).unwrap_or_default().min(40);
        for lane in 1..=used {
            screen.line(format!("\nLane {lane}"));
            for task in self.tasks.iter().filter(|task| task.lane == lane) {
                let mark = if task.is_critical { '*' } else { ' ' };
                let name = shortened(&task.name, names);
                let progress = match task.steps_complete {
                    0 => String::new(),
                    done => format!("  {done} of {} steps complete", task.steps),
                };
                let line = format!(
                    " {mark}{:>6}  {:<ids$}  {}  {name:<names$}{}{progress}",
                    clock(task.start),
                    task.id.as_str(),
                    task.size,
                    self.reasons(task)
                );
                screen.line(line.trim_end());
            }
        }
        self.present_conflicts(screen);
        screen.line("\nWaves (a view: a task starts when its own dependencies are merged)");
        for (number, wave) in (1..).zip(&self.waves) {
            screen.line(format!("  {number:>3}  {}", some(wave)));
        }
    }

    /// Why a task does not start at once.
    fn reasons(&self, task: &PlannedTask) -> String {
        let mut reasons = Vec::new();
        if !task.depends_on.is_empty() {
            reasons.push(format!("after {}", some(&task.depends_on)));
        }
        let earlier: Vec<TaskId> = self
            .conflicts
            .iter()
            .filter(|conflict| conflict.second == task.id)
            .map(|conflict| conflict.first.clone())
            .collect();
        if !earlier.is_empty() {
            reasons.push(format!("shares files with {}", some(&earlier)));
        }
        if reasons.is_empty() { String::new() } else { format!("  {}", reasons.join("; ")) }
    }

    fn present_conflicts(&self, screen: &mut Screen) {
        if self.conflicts.is_empty() {
            return;
        }
        screen.line("\nNever at the same time");
        for conflict in &self.conflicts {
            let (one, two) = (&conflict.first_scope, &conflict.second_scope);
            let why = match conflict.overlap {
                ScopeOverlap::Same => format!("both change {one}"),
                ScopeOverlap::Inside | ScopeOverlap::Patterns => format!("{one} meets {two}"),
                ScopeOverlap::Undecided => format!("{one} may meet {two}"),
            };
            screen.line(format!("  {} before {}: {why}", conflict.first, conflict.second));
        }
    }
}

fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn chain(tasks: &[TaskId]) -> String {
    tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" → ")
}

fn some(tasks: &[TaskId]) -> String {
    let shown: Vec<&str> = tasks.iter().take(NAMES_SHOWN).map(TaskId::as_str).collect();
    let rest = match tasks.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{rest}", shown.join(", "))
}

/// A span of minutes, as people say it.
pub(crate) fn hours(minutes: u32) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A moment, in hours and minutes from the beginning.
fn clock(minutes: u32) -> String {
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
