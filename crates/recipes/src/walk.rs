//! A recipe that is being worked through.
//!
//! A command that takes too long for one answer goes on, and its step goes on
//! with it:
//!
//! ```text
//!   step ──▶ answered ────────────────────────────────▶ next step
//!     └────▶ "still runs" ──▶ Waiting: command_wait ──▶ answered
//!                                 └──── "still runs" ────┘
//! ```
//!
//! What a terminal does not show yet is read once more, for a while: on a busy
//! host an interpreter takes its time to say hello.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value as Json, json};

use crate::{Recipe, Step, Value};

/// How much of an answer an error shows, in characters.
const SHOWN_MAX_CHARS: usize = 2_000;

/// How the id of a workspace begins, and the tool after which there is none.
const WORKSPACE_ID: &str = "ws_";
const DELETE: &str = "workspace_delete";

/// What is said of a command that takes longer than one answer, how its id
/// begins, and what waits for it.
const STILL_RUNS: &str = " still runs: ";
const COMMAND_ID: &str = "cmd_";
const WAIT: &str = "command_wait";

/// How often a command is waited for. A wait lasts up to 25 s.
const WAITS_MAX: u32 = 40;

/// What reads a terminal, and how often before what should be there is missed.
const READ: &str = "shell_read";
const READS_MAX: u32 = 20;

/// A recipe at one of its steps.
#[derive(Debug)]
pub struct Walk {
    recipe: &'static Recipe,
    done: usize,
    learned: BTreeMap<&'static str, String>,
    waiting: Option<Waiting>,
    /// How often a terminal was read in vain.
    read: u32,
}

/// A command that takes longer than one answer.
#[derive(Debug)]
struct Waiting {
    command: String,
    waits: u32,
}

/// The call that comes next.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What it is for.
    pub about: &'static str,
    /// The tool.
    pub tool: &'static str,
    /// Its arguments.
    pub arguments: Map<String, Json>,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It did what it was asked for, and said this.
    Done(String),
    /// It failed, and said this.
    Failed(String),
}

/// An answer that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// The tool failed.
    #[error("`{tool}` failed: {said}")]
    Failed {
        /// The tool.
        tool: &'static str,
        /// What it said.
        said: Shown,
    },
    /// The answer lacks something.
    #[error("`{tool}` should have said `{missing}`, but said: {said}")]
    Lacks {
        /// The tool.
        tool: &'static str,
        /// What is missing.
        missing: &'static str,
        /// What it said.
        said: Shown,
    },
    /// A command does not end.
    #[error("`{tool}` began {command}, which does not end")]
    Endless {
        /// The tool.
        tool: &'static str,
        /// The command.
        command: String,
    },
    /// No call was waiting for an answer.
    #[error("all steps are done")]
    Through,
}

/// The beginning of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl Walk {
    /// Before the first step.
    #[must_use]
    pub const fn new(recipe: &'static Recipe) -> Self {
        Self { recipe, done: 0, learned: BTreeMap::new(), waiting: None, read: 0 }
    }

    /// What was learned under a name.
    #[must_use]
    pub fn learned(&self, name: &str) -> Option<&str> {
        self.learned.get(name).map(String::as_str)
    }

    /// The workspaces that were created and are not deleted.
    pub fn workspaces(&self) -> impl Iterator<Item = &str> {
        let is_gone = |name: &str| {
            let done = self.recipe.steps[..self.done].iter();
            done.filter(|step| step.tool == DELETE)
                .flat_map(|step| step.arguments)
                .any(|(_, value)| matches!(value, Value::Learned(learned) if *learned == name))
        };
        let all = self.learned.iter().filter(|(_, word)| word.starts_with(WORKSPACE_ID));
        all.filter(move |(name, _)| !is_gone(name)).map(|(_, word)| word.as_str())
    }

    /// The call that comes next; `None` if all is done.
    #[must_use]
    pub fn call(&self) -> Option<Call> {
        let Step { about, tool, arguments, .. } = self.recipe.steps.get(self.done)?;
        let said = |(name, value): &(&str, Value)| ((*name).to_owned(), self.said(*value));
        let Some(Waiting { command, .. }) = &self.waiting else {
            return Some(Call { about, tool, arguments: arguments.iter().map(said).collect() });
        };
        let workspace = arguments.iter().filter(|(name, _)| *name == "workspace").map(said);
        let mut arguments: Map<String, Json> = workspace.collect();
        arguments.insert("command".to_owned(), json!(command));
        Some(Call { about, tool: WAIT, arguments })
    }

    fn said(&self, value: Value) -> Json {
        match value {
            Value::Text(text) => json!(text),
            Value::Yes => json!(true),
            Value::Learned(name) => json!(self.learned(name)),
        }
    }

    /// Takes in the answer to that call.
    ///
    /// # Errors
    ///
    /// If it is not what it should be; the step is not done then.
    pub fn answered(&mut self, answer: &Answer) -> Result<(), Unexpected> {
        let Some(step) = self.recipe.steps.get(self.done) else {
            return Err(Unexpected::Through);
        };
        let tool = step.tool;
        let shown = |text: &str| Shown(text.chars().take(SHOWN_MAX_CHARS).collect());
        let text = match answer {
            Answer::Done(text) => text,
            Answer::Failed(text) => return Err(Unexpected::Failed { tool, said: shown(text) }),
        };
        if text.contains(STILL_RUNS)
            && let Some(command) = word(text, COMMAND_ID)
        {
            let waits = self.waiting.as_ref().map_or(0, |waiting| waiting.waits) + 1;
            if waits > WAITS_MAX {
                return Err(Unexpected::Endless { tool, command });
            }
            self.waiting = Some(Waiting { command, waits });
            return Ok(());
        }
        let lacks = |missing| Unexpected::Lacks { tool, missing, said: shown(text) };
        if let Some(missing) = step.says.iter().find(|words| !text.contains(**words)) {
            self.read += 1;
            return if tool == READ && self.read < READS_MAX {
                Ok(())
            } else {
                Err(lacks(missing))
            };
        }
        for (name, beginning) in step.learns {
            let word = word(text, beginning).ok_or_else(|| lacks(beginning))?;
            self.learned.insert(name, word);
        }
        self.waiting = None;
        self.read = 0;
        self.done += 1;
        Ok(())
    }
}

/// The first word of a text that begins so.
fn word(text: &str, beginning: &str) -> Option<String> {
    let is_inside = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut words = text.split(|character| !is_inside(character));
    words.find(|word| word.starts_with(beginning)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Project;

    static TERMINAL: Recipe = Recipe {
        steps: &[Step { about: "Read", tool: READ, arguments: &[], says: &[">>>"], learns: &[] }],
        ..RECIPE
    };
    static PROJECT: Project = Project { archive: &[], ..crate::project::PARSE };
    static RECIPE: Recipe = Recipe {
        name: "test",
        title: "",
        story: "",
        task: "",
        mode: "",
        environment: "",
        project: &PROJECT,
        steps: &[
            Step {
                about: "Create",
                tool: "create",
                arguments: &[("quick", Value::Yes), ("name", Value::Text("try"))],
                says: &["running"],
                learns: &[("workspace", "ws_")],
            },
            Step {
                about: "Delete",
                tool: DELETE,
                arguments: &[("workspace", Value::Learned("workspace"))],
                says: &[],
                learns: &[],
            },
        ],
    };

    fn done(text: &str) -> Answer {
        Answer::Done(text.to_owned())
    }

    #[test]
    fn what_one_answer_says_is_said_in_the_next_call() {
        let mut walk = Walk::new(&RECIPE);
        let call = walk.call().unwrap();
        assert_eq!(Json::from(call.arguments), json!({ "quick": true, "name": "try" }));
        walk.answered(&done("Workspace ws_12ab\nState running")).unwrap();
        let call = walk.call().unwrap();
        assert_eq!(Json::from(call.arguments), json!({ "workspace": "ws_12ab" }));
        assert_eq!(walk.workspaces().collect::<Vec<_>>(), ["ws_12ab"]);
        walk.answered(&done("")).unwrap();
        assert_eq!(walk.workspaces().count(), 0);
        assert_eq!(walk.call(), None);
        assert_eq!(walk.answered(&done("")), Err(Unexpected::Through));
    }

    #[test]
    fn a_command_that_takes_longer_than_one_answer_is_waited_for() {
        let mut walk = Walk::new(&RECIPE);
        walk.answered(&done("ws_1 running")).unwrap();
        for _ in 0..WAITS_MAX {
            walk.answered(&done("cmd_2 still runs: wait for it")).unwrap();
            let Call { tool, arguments, .. } = walk.call().unwrap();
            assert_eq!(
                (tool, Json::from(arguments)),
                (WAIT, json!({ "workspace": "ws_1", "command": "cmd_2" }))
            );
        }
        assert!(matches!(
            walk.answered(&done("cmd_2 still runs: wait for it")),
            Err(Unexpected::Endless { .. })
        ));
        walk.answered(&done("cmd_2: exit code 0")).unwrap();
        assert_eq!(walk.call(), None);
    }

    #[test]
    fn a_terminal_is_read_until_it_shows_what_it_should_but_not_for_ever() {
        let mut walk = Walk::new(&TERMINAL);
        for _ in 1..READS_MAX {
            walk.answered(&done("$ python3")).unwrap();
            assert_eq!(walk.call().unwrap().tool, READ);
        }
        assert!(matches!(walk.answered(&done("$ python3")), Err(Unexpected::Lacks { .. })));
        walk.answered(&done(">>> ")).unwrap();
        assert_eq!(walk.call(), None);
    }

    #[test]
    fn an_answer_that_is_not_as_it_should_be_ends_the_walk_at_its_step() {
        let mut walk = Walk::new(&RECIPE);
        let failed = walk.answered(&Answer::Failed("no\n".to_owned())).unwrap_err();
        assert_eq!(failed.to_string(), "`create` failed: no");
        let lacks = walk.answered(&done("ws_1 stopped")).unwrap_err();
        assert_eq!(
            lacks.to_string(),
            "`create` should have said `running`, but said: ws_1 stopped"
        );
        assert!(matches!(
            walk.answered(&done("running")),
            Err(Unexpected::Lacks { missing: "ws_", .. })
        ));
        assert_eq!(walk.call().unwrap().tool, "create");
    }
}
