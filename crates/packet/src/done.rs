//! .DONE: that a task is done.
//!
//! The file counts by being there; what it says is for people.

use crate::field::label;
use crate::limits::NOTE_MAX_BYTES;
use crate::problem::{Fault, Problem, visible};
use crate::prompt::bounded;
use crate::prompt::title::task_id;
use batch_api::TaskId;

/// What a .DONE says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// When the task was done, in the words of whoever wrote it.
    pub completed: Option<String>,
    /// Which task it is, if that is said.
    pub task: Option<TaskId>,
}

impl Done {
    /// Reads a .DONE.
    ///
    /// # Errors
    ///
    /// If it is too large or no text. One that says nothing is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let text =
            bounded(bytes, NOTE_MAX_BYTES).map_err(|fault: Fault| Problem { line: 0, fault })?;
        let mut done = Self::default();
        for line in text.lines() {
            let said = label(line).filter(|(name, _)| name.eq_ignore_ascii_case("completed"));
            if let Some((_, when)) = said {
                done.completed.get_or_insert_with(|| when.chars().map(visible).collect());
            }
            let is_outside = |c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c);
            let mut words = line.split(is_outside).filter_map(task_id);
            // A time stamp has no letters in front, so it is no id.
            if done.task.is_none() {
                done.task = words.next();
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_when_and_which() {
        let done = Done::parse(b"Completed: 2026-03-14T10:00:00Z\nTask: TP-014\n").unwrap();
        assert_eq!(done.completed.as_deref(), Some("2026-03-14T10:00:00Z"));
        assert_eq!(done.task.unwrap().as_str(), "TP-014");
        assert_eq!(Done::parse(b"").unwrap(), Done::default());
        assert!(Done::parse(b"\xff").is_err());
    }
}
