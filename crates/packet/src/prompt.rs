//! PROMPT.md: what a task is.
//!
//! ```text
//! # Task: TP-014 - Name          title: id and name                [`title`]
//! **Size:** M                    fields of the head
//! ## Review Level: 1 (…)
//! ## Dependencies                TP-012, area/TP-013 (why)         [`dependencies`]
//! ## File Scope                  `src/**`, …                       [`scope`]
//! ## Execution Target            Repo: api                         [`repositories`]
//! ## Segment DAG                 Repos: …, Edges: a -> b           [`repositories`]
//! ## Steps
//! ### Step 1: Name               - [ ] outcome                     [`steps`]
//! #### Segment: web              what of it is done elsewhere
//! ---
//! ## Amendments (…)              what came later; above, nothing changes any more
//! ```

mod dependencies;
mod repositories;
mod scope;
mod sections;
pub(crate) mod steps;
pub(crate) mod title;

use crate::document::{Kind, Line, lines};
use crate::field::{Mark, fields, mark};
use crate::limits::{BOXES_MAX, PROMPT_MAX_BYTES};
use crate::place::Located;
use crate::problem::{Fault, Problem, Problems, Quote};
use batch_api::ScopePattern;
use batch_api::{AreaName, RepositoryName, TaskId};
use batch_api::{ReviewLevel, Size};

use self::sections::{Known, Sections};

/// A task, as its PROMPT.md says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Which task it is.
    pub id: Located<TaskId>,
    /// What people call it.
    pub name: Located<String>,
    /// How large it is, if it says so.
    pub size: Option<Located<Size>>,
    /// Which reviews it wants, if it says so.
    pub review_level: Option<Located<ReviewLevel>>,
    /// When it was written, in the author's words.
    pub created: Option<Located<String>>,
    /// What has to be done before.
    pub dependencies: Vec<Located<Dependency>>,
    /// What it needs that is no task, in the author's words.
    pub external: Vec<Located<String>>,
    /// Which files it changes.
    pub scope: Vec<Located<ScopePattern>>,
    /// What is read before anything else.
    pub context: Vec<Located<String>>,
    /// Where it is worked, if it says so.
    pub target: Option<Target>,
    /// In which repositories, and in which order, if it says so.
    pub segments: Option<SegmentGraph>,
    /// What is done, in this order; at least one.
    pub steps: Vec<Step>,
    /// When it is done.
    pub criteria: Vec<Outcome>,
    /// What was added while it was under way.
    pub amendments: Vec<Located<String>>,
    /// The line from which on it may change: the divider above the amendments.
    pub divider: Option<u32>,
}

/// A task that has to be done before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dependency {
    /// Where it lies, if that is said.
    pub area: Option<AreaName>,
    /// Which it is.
    pub task: TaskId,
}

/// Where a task is worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// In which repository.
    pub repository: Option<Located<RepositoryName>>,
    /// In which workspace, in the author's words.
    pub workspace: Option<Located<String>>,
}

/// In which repositories a task is worked, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentGraph {
    /// All of them.
    pub repositories: Vec<Located<RepositoryName>>,
    /// What is before what; without a circle.
    pub edges: Vec<Located<(RepositoryName, RepositoryName)>>,
}

/// A step of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub number: Located<u32>,
    /// What it is called.
    pub name: String,
    /// What comes of it.
    pub outcomes: Vec<Outcome>,
    /// What of it is done in which repository.
    pub segments: Vec<Segment>,
    /// What it makes or changes, in the author's words.
    pub artifacts: Vec<Located<String>>,
    /// Whether its plan is reviewed.
    pub plan_checkpoint: Option<u32>,
    /// Whether its code is reviewed.
    pub code_checkpoint: Option<u32>,
    /// Whether the agent adds outcomes when it gets here.
    pub hydrate: Option<u32>,
}

impl Step {
    /// How many outcomes it has, those of its segments as well.
    #[must_use]
    pub fn outcome_count(&self) -> usize {
        let in_segments: usize = self.segments.iter().map(|segment| segment.outcomes.len()).sum();
        self.outcomes.len() + in_segments
    }
}

/// What of a step is done in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Which.
    pub repository: Located<RepositoryName>,
    /// What comes of it; at least one.
    pub outcomes: Vec<Outcome>,
}

/// Something that is so or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What.
    pub text: String,
    /// Whether its box is checked.
    pub is_checked: bool,
    /// Where.
    pub line: u32,
}

impl Prompt {
    /// Reads a PROMPT.md that lies in the folder of that name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of its lines.
    pub fn parse(bytes: &[u8], folder: &str) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let read = bounded(bytes, PROMPT_MAX_BYTES).map(|text| {
            let lines = lines(text, &mut problems);
            Self::read(&lines, folder, &mut problems)
        });
        match read {
            Err(fault) => Err(vec![Problem { line: 0, fault }]),
            Ok(prompt) => {
                let problems = problems.into_sorted();
                match prompt {
                    Some(prompt) if problems.is_empty() => Ok(prompt),
                    _ => Err(problems),
                }
            }
        }
    }

    fn read(lines: &[Line], folder: &str, problems: &mut Problems) -> Option<Self> {
        let title = title::read(lines, folder, problems);
        let sections = Sections::of(lines, problems);
        let head = Head::read(sections.above_amendments(lines), problems);
        let steps = steps::read(lines, &sections, problems);
        let (dependencies, external) = dependencies::read(lines, &sections, &head, problems);
        let target = repositories::target(lines, &sections, &head, problems);
        let segments = repositories::graph(lines, &sections, problems);
        repositories::check(segments.as_ref(), &steps, problems);
        let scope = scope::read(lines, &sections, problems);
        let context = scope::context(lines, &sections, problems);
        let criteria = outcomes(sections.body(lines, Known::Criteria), "criteria", problems);
        // Whatever is wrong further down is told as well.
        let (id, name) = title?;
        Some(Self {
            id,
            name,
            size: head.size,
            review_level: head.review_level,
            created: head.created,
            dependencies,
            external,
            scope,
            context,
            target,
            segments,
            steps,
            criteria,
            amendments: sections.amendments(lines),
            divider: sections.divider,
        })
    }

    /// How large it is; [`Size::Medium`] if it does not say.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size.map(|size| size.value).unwrap_or_default()
    }

    /// Which reviews it wants; [`ReviewLevel::Code`] if it does not say.
    #[must_use]
    pub fn review_level(&self) -> ReviewLevel {
        self.review_level.map(|level| level.value).unwrap_or_default()
    }

    /// How many outcomes its steps have.
    #[must_use]
    pub fn outcome_count(&self) -> usize {
        self.steps.iter().map(Step::outcome_count).sum()
    }

    /// The first line that says that it is worked in several repositories.
    #[must_use]
    pub fn several_repositories(&self) -> Option<u32> {
        let graph = self.segments.iter().filter_map(|graph| graph.repositories.first());
        let graph = graph.map(|repository| repository.line);
        let steps = self.steps.iter().flat_map(|step| &step.segments);
        graph.chain(steps.map(|segment| segment.repository.line)).min()
    }
}

/// The text of a file that is not too large.
pub(crate) fn bounded(bytes: &[u8], most: usize) -> Result<&str, Fault> {
    if bytes.len() > most {
        return Err(Fault::TooLarge(most));
    }
    std::str::from_utf8(bytes).map_err(|_| Fault::NotText)
}

/// The boxes of some lines.
fn outcomes(lines: &[Line], what: &'static str, problems: &mut Problems) -> Vec<Outcome> {
    let mut found = Vec::new();
    for line in lines {
        let Some(mark) = line_mark(line) else { continue };
        let (text, is_checked) = match mark {
            Mark::Open(text) => (text, false),
            Mark::Checked(text) => (text, true),
            Mark::Unclear(text) => {
                problems.add(line.number, Fault::Box(Quote::new(text)));
                continue;
            }
        };
        if found.len() == BOXES_MAX {
            problems.add(line.number, Fault::TooMany { what, most: BOXES_MAX });
            break;
        }
        found.push(Outcome { text: text.to_owned(), is_checked, line: line.number });
    }
    found
}

/// The box that a line begins with, if it is an item or one whose mark lacks its space.
pub(crate) fn line_mark(line: &Line) -> Option<Mark<'_>> {
    match line.kind {
        Kind::Item => mark(&line.text),
        Kind::Prose => line.text.strip_prefix("-[").and_then(|_| mark(&line.text[1..])),
        _ => None,
    }
}

/// What stands in fields above the steps; dependencies, which have a section of their own,
/// only above the first section.
#[derive(Debug, Default)]
struct Head {
    size: Option<Located<Size>>,
    review_level: Option<Located<ReviewLevel>>,
    created: Option<Located<String>>,
    repository: Option<Located<String>>,
    dependencies: Option<Located<String>>,
}

impl Head {
    fn read(lines: &[Line], problems: &mut Problems) -> Self {
        let mut head = Self::default();
        let mut is_section = false;
        for line in lines {
            let number = line.number;
            if let Kind::Heading(2..) = line.kind {
                if steps::heading(&line.text).is_some() {
                    // What stands in a step is about the step.
                    break;
                }
                let words = line.text.to_ascii_lowercase();
                let rest = words.strip_prefix("review level").map(str::trim_start);
                let is_value = |rest: &&str| {
                    rest.is_empty() || rest.starts_with(|c: char| c == ':' || c.is_ascii_digit())
                };
                if let Some(rest) = rest.filter(is_value) {
                    head.review(rest, number, problems);
                } else {
                    is_section = true;
                }
            }
            if !matches!(line.kind, Kind::Prose | Kind::Item) {
                continue;
            }
            for (name, value) in fields(&line.text) {
                match name.to_ascii_lowercase().as_str() {
                    "size" => head.size(value, number, problems),
                    "review level" => head.review(value, number, problems),
                    "created" => {
                        head.created.get_or_insert_with(|| Located::new(value.to_owned(), number));
                    }
                    "repo" | "repository" => {
                        let value = Located::new(value.to_owned(), number);
                        keep(&mut head.repository, value, "the repository", problems);
                    }
                    "dependencies" | "depends on" if !is_section => {
                        let value = Located::new(value.to_owned(), number);
                        keep(&mut head.dependencies, value, "dependencies", problems);
                    }
                    _ => {}
                }
            }
        }
        head
    }

    fn size(&mut self, value: &str, line: u32, problems: &mut Problems) {
        let word = value.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        match word.parse() {
            Ok(size) => keep(&mut self.size, Located::new(size, line), "the size", problems),
            Err(()) => problems.add(line, Fault::Size(Quote::new(value))),
        }
    }

    fn review(&mut self, value: &str, line: u32, problems: &mut Problems) {
        let value = value.trim_start_matches([':', ' ']);
        let digits = value.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let level = digits.parse::<u8>().ok().and_then(|number| number.try_into().ok());
        match level {
            Some(level) => {
                let level = Located::new(level, line);
                keep(&mut self.review_level, level, "the review level", problems);
            }
            None => problems.add(line, Fault::ReviewLevel(Quote::new(value))),
        }
    }
}

/// What is told of a value that stands in two places.
trait Told {
    fn told(&self) -> String;
}

impl Told for Size {
    fn told(&self) -> String {
        self.letter().to_owned()
    }
}

impl Told for ReviewLevel {
    fn told(&self) -> String {
        u8::from(*self).to_string()
    }
}

impl Told for RepositoryName {
    fn told(&self) -> String {
        self.to_string()
    }
}

impl Told for String {
    fn told(&self) -> String {
        self.clone()
    }
}

/// Keeps a value, unless another one was there before.
fn keep<T: Told + PartialEq>(
    kept: &mut Option<Located<T>>,
    value: Located<T>,
    what: &'static str,
    problems: &mut Problems,
) {
    match kept {
        None => *kept = Some(value),
        Some(other) if other.value == value.value => {}
        Some(other) => {
            let (found, told) = (value.value.told(), other.value.told());
            let (found, other_line) = (Quote::new(&found), other.line);
            let fault = Fault::Differs { what, found, other: Quote::new(&told), other_line };
            problems.add(value.line, fault);
        }
    }
}
