//! What is wrong with a packet: where, what was found, what was expected.

use std::fmt;

use crate::limits::{PROBLEMS_MAX, QUOTE_MAX_CHARS};
use batch_api::{RepositoryName, TaskId};

/// Something in a file that is wrong or could be read in two ways.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Problem {
    /// Counted from one; 0 if it is about the file as a whole.
    pub line: u32,
    /// What it is.
    pub fault: Fault,
}

/// A text of somebody else, fit to be told: short, and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote(String);

impl Quote {
    pub(crate) fn new(text: &str) -> Self {
        let short: String = text.chars().take(QUOTE_MAX_CHARS).map(visible).collect();
        let is_cut = text.chars().nth(QUOTE_MAX_CHARS).is_some();
        Self(if is_cut { short + "…" } else { short })
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same character, or what is shown of one that a terminal would obey.
pub(crate) fn visible(c: char) -> char {
    // Marks that turn the direction of text make it read as something else.
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { '\u{fffd}' } else { c }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is larger than anything that is read.
    #[error("the file has more than {} KiB", .0 >> 10)]
    TooLarge(usize),
    /// The file is no text.
    #[error("the file is no text in UTF-8")]
    NotText,
    /// There is more of something than is read.
    #[error("found more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are read.
        most: usize,
    },
    /// A block of code does not end.
    #[error(
        "found a code block that is not closed, so everything below is code; expected its closing fence"
    )]
    OpenFence,
    /// A comment does not end.
    #[error("found a comment that is not closed, so everything below is hidden; expected `-->`")]
    OpenComment,
    /// Something that looks as if it counted stands where it does not.
    #[error(
        "found `{0}` in {1}, where it does not count; expected it at the beginning of a line, or in a fenced code block if it is an example"
    )]
    Hidden(Quote, &'static str),
    /// Neither heading nor folder says which task it is.
    #[error(
        "found no id of the task; expected a first heading like `# Task: TP-014 - Name`, or a folder named like `TP-014-name`"
    )]
    NoId,
    /// The heading can be read in two ways.
    #[error(
        "found `{found}`, which could mean {first} or {second}; expected `# Task: TP-014 - Name`"
    )]
    TwoReadings {
        /// The heading.
        found: Quote,
        /// One way.
        first: TaskId,
        /// The other.
        second: TaskId,
    },
    /// Two headings name different tasks.
    #[error("found the id {found}, but line {other_line} says {other}; expected one task per file")]
    TwoIds {
        /// The id here.
        found: TaskId,
        /// The id there.
        other: TaskId,
        /// Where.
        other_line: u32,
    },
    /// The folder says another id.
    #[error(
        "found the id {found}, but the folder is named for {folder}; expected the same id in both"
    )]
    OtherFolder {
        /// In the file.
        found: TaskId,
        /// In the folder's name.
        folder: TaskId,
    },
    /// A size that there is none of.
    #[error("found the size `{0}`; expected S, M or L (what is larger has to be split)")]
    Size(Quote),
    /// A review level that there is none of.
    #[error("found the review level `{0}`; expected a number from 0 to 3")]
    ReviewLevel(Quote),
    /// A value that stands in two places, differently.
    #[error("found {what} `{found}`, but line {other_line} says `{other}`; expected it once")]
    Differs {
        /// Which value.
        what: &'static str,
        /// The value here.
        found: Quote,
        /// The value there.
        other: Quote,
        /// Where.
        other_line: u32,
    },
    /// A section that stands there twice.
    #[error("found the section `{found}` again, it begins on line {other_line}; expected it once")]
    SectionTwice {
        /// Its heading.
        found: Quote,
        /// Where the first one is.
        other_line: u32,
    },
    /// Something under dependencies that is none.
    #[error(
        "found `{0}` under dependencies; expected `None`, `TP-014`, `area/TP-014`, or `External: …`, an explanation in parentheses or behind a dash"
    )]
    Dependency(Quote),
    /// An id in a text of which it is unclear whether it is a dependency.
    #[error(
        "found `{found}`, where {task} may be a dependency or part of the explanation; expected ids with commas between them, and the explanation in parentheses or behind a dash"
    )]
    UnclearDependency {
        /// The line.
        found: Quote,
        /// The id.
        task: TaskId,
    },
    /// Dependencies, and the word that there are none.
    #[error("found `None` beside dependencies; expected one or the other")]
    NoneAndSome,
    /// An entry of the file scope that is none.
    #[error(
        "found `{found}` in the file scope; expected a path or pattern relative to the repository: {why}"
    )]
    Scope {
        /// The entry.
        found: Quote,
        /// What is wrong.
        why: &'static str,
    },
    /// A name that no repository has.
    #[error("found the repository `{0}`; expected a name of a-z, 0-9 and `-`")]
    Repository(Quote),
    /// A heading that looks like a step.
    #[error("found `{0}`; expected a step like `### Step 1: Name`")]
    Step(Quote),
    /// There is no step.
    #[error(
        "found no step, so nothing could be done and nothing could be checked; expected headings like `### Step 1: Name`"
    )]
    NoSteps,
    /// Steps at two levels of headings.
    #[error(
        "found a step as heading of level {found}, but the one on line {other_line} has level {other}; expected all steps at one level"
    )]
    StepLevel {
        /// The level here.
        found: u8,
        /// The level there.
        other: u8,
        /// Where.
        other_line: u32,
    },
    /// A number that two steps have.
    #[error("found step {number} again, it is on line {other_line}; expected numbers that differ")]
    StepTwice {
        /// The number.
        number: u32,
        /// Where the first one is.
        other_line: u32,
    },
    /// Steps that are not in the order of their numbers.
    #[error(
        "found step {number} behind step {before}; expected steps in the order of their numbers"
    )]
    StepOrder {
        /// The number here.
        number: u32,
        /// The number of the step before.
        before: u32,
    },
    /// A step that was added while the task was under way.
    #[error("found a step among the amendments; expected steps only above them")]
    StepInAmendments,
    /// A box that is neither checked nor unchecked.
    #[error("found the box `{0}`; expected `[ ]` or `[x]`")]
    Box(Quote),
    /// A segment that two steps could mean.
    #[error(
        "found the segment {repository} again in this step, it is on line {other_line}; expected it once"
    )]
    SegmentTwice {
        /// Its repository.
        repository: RepositoryName,
        /// Where the first one is.
        other_line: u32,
    },
    /// A segment in which there is nothing to do.
    #[error("found the segment {0} without a box; expected something to do in it")]
    SegmentEmpty(RepositoryName),
    /// A repository that the graph of segments does not name.
    #[error(
        "found {0}, which the segment graph does not list under `Repos:`; expected one of those"
    )]
    Undeclared(RepositoryName),
    /// A graph of segments that names no repository.
    #[error("found a segment graph without repositories; expected a list under `Repos:`")]
    NoRepositories,
    /// A line of a graph of segments that cannot be read.
    #[error(
        "found `{0}` in the segment graph; expected a repository under `Repos:`, or `a -> b` under `Edges:`"
    )]
    SegmentGraph(Quote),
    /// A segment that waits for itself.
    #[error("found an edge from {0} to itself; expected two repositories")]
    SegmentSelf(RepositoryName),
    /// Segments that wait for each other.
    #[error("found segments that wait for each other: {}; expected an order", path(.0))]
    SegmentCycle(Vec<RepositoryName>),
    /// A verdict that there is none of.
    #[error("found the verdict `{0}`; expected APPROVE, REVISE or RETHINK")]
    Verdict(Quote),
    /// A review that says nothing.
    #[error("found no verdict; expected a line like `Verdict: APPROVE`")]
    NoVerdict,
}

fn path(names: &[RepositoryName]) -> String {
    names.iter().map(RepositoryName::as_str).collect::<Vec<_>>().join(" → ")
}

/// The problems of one file, as they are found.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, line: u32, fault: Fault) {
        // One more than is told, so that it is known whether there are more.
        if self.0.len() <= PROBLEMS_MAX {
            self.0.push(Problem { line, fault });
        }
    }

    /// What there is, in the order of the file.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| problem.line);
        if self.0.len() > PROBLEMS_MAX {
            self.0.truncate(PROBLEMS_MAX);
            let fault = Fault::TooMany { what: "problems", most: PROBLEMS_MAX };
            self.0.push(Problem { line: 0, fault });
        }
        self.0
    }
}
