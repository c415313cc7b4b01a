//! STATUS.md: how far a task is, in the words of the agent that works on it.
//!
//! It is an agent's text, so nothing in it decides anything, and what cannot be read
//! in it ([`Status::oddities`]) does not hide the rest.

use crate::document::{Kind, Line, lines};
use crate::field::{Mark, fields};
use crate::limits::{BOXES_MAX, ROWS_MAX, STATUS_MAX_BYTES, STEPS_MAX};
use crate::place::Located;
use crate::problem::{Fault, Problem, Problems, Quote};
use crate::prompt::steps::{Heading, heading};
use crate::prompt::{Outcome, bounded, line_mark};

/// How far a task is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The step that is worked on.
    pub current_step: Option<Located<String>>,
    /// What is said of the task as a whole.
    pub status: Option<Located<String>>,
    /// When it was last changed.
    pub last_updated: Option<Located<String>>,
    /// Which reviews are wanted.
    pub review_level: Option<Located<String>>,
    /// How many reviews there were.
    pub review_counter: Option<Located<u32>>,
    /// How often a fresh agent began.
    pub iteration: Option<Located<u32>>,
    /// How large it is.
    pub size: Option<Located<String>>,
    /// Its steps.
    pub steps: Vec<StepStatus>,
    /// The table of reviews.
    pub reviews: Table,
    /// The table of what was found out.
    pub discoveries: Table,
    /// The table of what was done.
    pub log: Table,
    /// What keeps it from going on.
    pub blockers: Vec<Located<String>>,
    /// What else was noted.
    pub notes: Vec<Located<String>>,
    /// What could not be read.
    pub oddities: Vec<Problem>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepStatus {
    /// Its number.
    pub number: Located<u32>,
    /// What it is called.
    pub name: String,
    /// What is said of it.
    pub said: Option<Located<String>>,
    /// Its boxes.
    pub outcomes: Vec<Outcome>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Nobody has said otherwise.
    NotStarted,
    /// It is worked on.
    InProgress,
    /// It is said to be done, or all its boxes are checked.
    Complete,
}

impl StepStatus {
    /// How far it is: complete if that is said, or if it has boxes and all of them are
    /// checked.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let said = self.said.as_ref().map(|said| said.value.to_lowercase()).unwrap_or_default();
        let all_checked = self.outcomes.iter().all(|outcome| outcome.is_checked);
        // `Not complete` and `incomplete` do not say that it is.
        let denied = said.contains("incomplete") || said.contains("not ");
        if (!self.outcomes.is_empty() && all_checked)
            || (!denied && (said.contains('✅') || said.contains("complete")))
        {
            Progress::Complete
        } else if said.contains('🟨') || said.contains("progress") {
            Progress::InProgress
        } else {
            Progress::NotStarted
        }
    }
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What its columns are called.
    pub heads: Vec<String>,
    /// Its rows, as many cells as they have.
    pub rows: Vec<Located<Vec<String>>>,
    /// How many rows there were beyond [`ROWS_MAX`].
    pub left_out: usize,
}

impl Status {
    /// Reads a STATUS.md.
    ///
    /// # Errors
    ///
    /// If it is too large or no text.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let text = bounded(bytes, STATUS_MAX_BYTES).map_err(|fault| Problem { line: 0, fault })?;
        let mut oddities = Problems::default();
        let lines = lines(text, &mut oddities);
        let mut status = Self::default();
        let mut place = Place::Head;
        for line in &lines {
            if let Kind::Heading(level) = line.kind {
                place = status.enter(line, level, place, &mut oddities);
            } else {
                status.take(line, place, &mut oddities);
            }
        }
        status.oddities = oddities.into_sorted();
        Ok(status)
    }

    /// What a heading begins.
    fn enter(&mut self, line: &Line, level: u8, before: Place, odd: &mut Problems) -> Place {
        match heading(&line.text) {
            Some(Heading::Step { number, name }) => {
                if self.steps.len() == STEPS_MAX {
                    odd.add(line.number, Fault::TooMany { what: "steps", most: STEPS_MAX });
                    return Place::Elsewhere;
                }
                let other = self.steps.iter().find(|step| step.number.value == number);
                if let Some(other) = other {
                    let other_line = other.number.line;
                    odd.add(line.number, Fault::StepTwice { number, other_line });
                    return Place::Elsewhere;
                }
                let (number, name) = (Located::new(number, line.number), name.to_owned());
                self.steps.push(StepStatus { number, name, said: None, outcomes: Vec::new() });
                return Place::Step(level);
            }
            Some(Heading::Unclear) => {
                odd.add(line.number, Fault::Step(Quote::new(&line.text)));
                return Place::Elsewhere;
            }
            None => {}
        }
        match (line.text.to_ascii_lowercase().as_str(), before) {
            _ if level == 1 => Place::Head,
            ("reviews", _) => Place::Reviews,
            ("discoveries", _) => Place::Discoveries,
            ("execution log", _) => Place::Log,
            ("blockers", _) => Place::Blockers,
            ("notes", _) => Place::Notes,
            // A heading below the one of a step is part of it.
            (_, Place::Step(of)) if level > of => before,
            _ => Place::Elsewhere,
        }
    }

    fn take(&mut self, line: &Line, place: Place, odd: &mut Problems) {
        match place {
            Place::Head => fields(&line.text)
                .into_iter()
                .for_each(|(name, value)| self.field(name, value, line.number)),
            Place::Step(_) => self.in_step(line, odd),
            Place::Reviews => self.reviews.take(line),
            Place::Discoveries => self.discoveries.take(line),
            Place::Log => self.log.take(line),
            Place::Blockers => note(&mut self.blockers, line),
            Place::Notes => note(&mut self.notes, line),
            Place::Elsewhere => {}
        }
    }

    fn field(&mut self, name: &str, value: &str, line: u32) {
        let text = || Some(Located::new(value.to_owned(), line));
        let number = || value.parse().ok().map(|number| Located::new(number, line));
        match name.to_ascii_lowercase().as_str() {
            "current step" => self.current_step = text(),
            "status" => self.status = text(),
            "last updated" => self.last_updated = text(),
            "review level" => self.review_level = text(),
            "review counter" => self.review_counter = number(),
            "iteration" => self.iteration = number(),
            "size" => self.size = text(),
            _ => {}
        }
    }

    fn in_step(&mut self, line: &Line, odd: &mut Problems) {
        let Some(step) = self.steps.last_mut() else { return };
        for (name, value) in fields(&line.text) {
            if name.eq_ignore_ascii_case("status") && step.said.is_none() {
                step.said = Some(Located::new(value.to_owned(), line.number));
            }
        }
        let (text, is_checked) = match line_mark(line) {
            None => return,
            Some(Mark::Open(text)) => (text, false),
            Some(Mark::Checked(text)) => (text, true),
            // What is unclear is not checked.
            Some(Mark::Unclear(text)) => {
                odd.add(line.number, Fault::Box(Quote::new(text)));
                (text, false)
            }
        };
        if step.outcomes.len() == BOXES_MAX {
            odd.add(line.number, Fault::TooMany { what: "boxes in one step", most: BOXES_MAX });
        } else {
            step.outcomes.push(Outcome { text: text.to_owned(), is_checked, line: line.number });
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Head,
    /// In a step, whose heading has this level.
    Step(u8),
    Reviews,
    Discoveries,
    Log,
    Blockers,
    Notes,
    Elsewhere,
}

fn note(notes: &mut Vec<Located<String>>, line: &Line) {
    let is_none = ["none", "*none*", "_none_"].contains(&line.text.to_ascii_lowercase().as_str());
    if notes.len() < ROWS_MAX && !is_none && matches!(line.kind, Kind::Prose | Kind::Item) {
        notes.push(Located::new(line.text.clone(), line.number));
    }
}

impl Table {
    fn take(&mut self, line: &Line) {
        if !line.text.starts_with('|') {
            return;
        }
        let cells = cells(&line.text);
        let is_ruler = cells
            .iter()
            .all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')));
        if is_ruler {
            return;
        }
        if self.heads.is_empty() {
            self.heads = cells;
        } else if self.rows.len() == ROWS_MAX {
            self.left_out += 1;
        } else {
            self.rows.push(Located::new(cells, line.number));
        }
    }
}

/// The cells of a row: what stands between bars that are not escaped.
fn cells(row: &str) -> Vec<String> {
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut cells = vec![String::new()];
    let mut is_escaped = false;
    for c in row.chars() {
        match (c, is_escaped) {
            ('\\', false) => is_escaped = true,
            ('|', false) => cells.push(String::new()),
            (c, was) => {
                let cell = cells.last_mut().expect("there is always one");
                if was && c != '|' {
                    cell.push('\\');
                }
                cell.push(c);
                is_escaped = false;
            }
        }
    }
    if cells.len() > 1 && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests;
