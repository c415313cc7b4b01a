//! Use cases as data: each is a real project, what a person wants of it, and the
//! calls of tools by which a model gets there.
//!
//! ```text
//!               ┌──▶ hotcell smoke       works it through and checks each answer
//!   Recipe ─────┼──▶ docs/use-cases      is printed from it
//!  (one value)  └──▶ tests with hosts    a scripted model says its calls
//! ```
//!
//! Nothing here does any I/O but [`Project::check_out`]. A [`Walk`] is a recipe
//! that is being worked through: it says the next call, is told the answer, and
//! stops where the answer is not what it should be.
//!
//! ```text
//!   call 1 ──answer──▶ call 2 ──answer──▶ … ──▶ through
//!     └──── answer that does not say what it should ──▶ Unexpected
//! ```

mod book;
mod project;
mod walk;

pub use book::{
    COLD_START, DAILY_LOOP, PARALLEL, RECIPES, REPRO_FIX, REVIEW_EVAL, UNTRUSTED, find,
};
pub use project::{Project, ProjectError};
pub use walk::{Answer, Call, Unexpected, Walk};

/// One use case.
#[derive(Debug)]
pub struct Recipe {
    /// What it is chosen by.
    pub name: &'static str,
    /// What it is, as a heading.
    pub title: &'static str,
    /// When somebody wants this, and what Hotcell gives them: a paragraph.
    pub story: &'static str,
    /// What a person says to the agent.
    pub task: &'static str,
    /// The mode whose tools are enough for it.
    pub mode: &'static str,
    /// What its workspaces start from.
    pub environment: &'static str,
    /// What is worked on.
    pub project: &'static Project,
    /// What is done, in order.
    pub steps: &'static [Step],
}

/// One call of a tool, and what has to come out of it.
#[derive(Debug)]
pub struct Step {
    /// What it is for, beginning with a capital letter.
    pub about: &'static str,
    /// The tool.
    pub tool: &'static str,
    /// Its arguments.
    pub arguments: &'static [(&'static str, Value)],
    /// What the answer says, among other things.
    pub says: &'static [&'static str],
    /// What is learned from the answer: a name, and how the word begins that it
    /// stands for from then on.
    pub learns: &'static [(&'static str, &'static str)],
}

impl Step {
    const fn of(
        about: &'static str,
        tool: &'static str,
        arguments: &'static [(&'static str, Value)],
    ) -> Self {
        Self { about, tool, arguments, says: &[], learns: &[] }
    }

    const fn says(self, says: &'static [&'static str]) -> Self {
        Self { says, ..self }
    }

    const fn learns(self, learns: &'static [(&'static str, &'static str)]) -> Self {
        Self { learns, ..self }
    }
}

/// What an argument is.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// This text.
    Text(&'static str),
    /// What was learned under this name.
    Learned(&'static str),
    /// `true`.
    Yes,
}
