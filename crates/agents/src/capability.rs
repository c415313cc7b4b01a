//! What agents differ in.

use serde::Serialize;

/// What an adapter can do, with the version of the agent that its tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Capabilities {
    /// What becomes of a message to an agent at work.
    pub steering: Steering,
    /// How a message that may have been taken is told from one that was not.
    pub receipts: Receipts,
    /// What becomes of a running tool when the turn is interrupted.
    pub interrupted: Surviving,
    /// What becomes of a message that waits for a tool when the agent is killed.
    pub waiting: Waiting,
    /// Whether another process goes on with a conversation.
    pub resuming: Resuming,
    /// What it says about the cost of its work.
    pub spending: Spending,
    /// Whether its hands can be kept in a workspace.
    pub isolation: Isolation,
    /// Which tools its models know best.
    pub habits: Habits,
}

/// One thing that agents differ in, as it is told to people and to programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trait {
    /// What it is called.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// What it is for this agent, in a word.
    pub value: &'static str,
    /// The same, as a sentence.
    pub meaning: &'static str,
}

impl Capabilities {
    /// All of it, as it is told.
    #[must_use]
    pub fn traits(&self) -> [Trait; 8] {
        let of = |name, about, (value, meaning)| Trait { name, about, value, meaning };
        [
            of("steering", "a message to an agent at work", self.steering.told()),
            of("receipts", "whether a message was taken, after a kill", self.receipts.told()),
            of(
                "interrupted",
                "a tool that runs when the turn is interrupted",
                self.interrupted.told(),
            ),
            of("waiting", "a message that waits when the agent is killed", self.waiting.told()),
            of("resuming", "the conversation after a kill", self.resuming.told()),
            of("spending", "the cost of its work", self.spending.told()),
            of("isolation", "where its hands are", self.isolation.told()),
            of("habits", "the tools that it has in a cell", self.habits.told()),
        ]
    }
}

/// What becomes of a message to an agent at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Steering {
    /// It enters the turn that runs.
    Folds,
    /// It opens a turn after the one that runs.
    Queues,
    /// It has to wait until the turn is over: what would become of it is not known.
    Waits,
    /// It is not heard.
    Deaf,
}

impl Steering {
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Folds => ("folds", "it enters the turn, after the tool that runs"),
            Self::Queues => ("queues", "it opens a turn after the one that runs"),
            Self::Waits => {
                ("waits", "it is held back until the turn is over: agents of this kind differ")
            }
            Self::Deaf => ("deaf", "it is not heard"),
        }
    }
}

/// How a message that may have been taken is told from one that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipts {
    /// It need not be told: sent again with the same key, it is taken once.
    Dedupes,
    /// The transcript has its key.
    Searchable,
    /// It cannot be told.
    Unprovable,
}

impl Receipts {
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Dedupes => {
                ("dedupes", "sent again with the same key it is taken once, by another process too")
            }
            Self::Searchable => (
                "searchable",
                "its key is found in the conversation's record, or is not; sent again it is taken again",
            ),
            Self::Unprovable => ("unprovable", "nobody can tell"),
        }
    }
}

/// What becomes of a running tool when the turn is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Surviving {
    /// It goes on; ending it is up to whoever owns the processes.
    GoesOn,
}

impl Surviving {
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::GoesOn => ("goes_on", "it goes on until whoever owns it ends it"),
        }
    }
}

/// What becomes of a message that waits for a tool when the agent is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// It was in memory only, and is not in the conversation.
    Lost,
    /// It is in the conversation from the moment it was sent.
    Kept,
    /// No message waits.
    Never,
}

impl Waiting {
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Lost => ("lost", "it is lost, and not on record"),
            Self::Kept => ("kept", "it is in the conversation, and on record"),
            Self::Never => ("never", "none waits"),
        }
    }
}

/// Whether another process goes on with a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resuming {
    /// It does, with all that is on record.
    Continues,
    /// It does if the agent says that it can.
    Asks,
    /// It cannot.
    Never,
}

impl Resuming {
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Continues => ("continues", "another process goes on with it"),
            Self::Asks => ("asks", "another process goes on with it if the agent says that it can"),
            Self::Never => ("never", "it is over"),
        }
    }
}

/// What an agent says about the cost of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spending {
    /// Tokens and money.
    Money,
    /// Tokens.
    Tokens,
    /// When a turn is over: money where prices are known; of tokens, those of the last
    /// answer in it.
    MoneyAtEnd,
    /// Nothing.
    Untold,
}

impl Spending {
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Money => ("money", "tokens and money"),
            Self::Tokens => ("tokens", "tokens"),
            Self::MoneyAtEnd => (
                "money_at_end",
                "when a turn is over: money where prices are known, and the tokens of the last answer in it",
            ),
            Self::Untold => ("untold", "nothing is told"),
        }
    }
}

/// Whether an agent's hands can be kept in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// It can be launched with no tools but those of the gateway. Whether a certain
    /// version with a certain model keeps to that has to be proved.
    Gateway,
    /// Its tools are its own, and act where it runs.
    Own,
}

impl Isolation {
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Gateway => ("gateway", "it can be launched with no tools but the gateway's"),
            Self::Own => ("own", "its tools are its own, and act where it runs"),
        }
    }
}

/// Which tools the models of an agent know best: those that they were trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Habits {
    /// Those of Claude Code.
    Claude,
    /// Those of Codex.
    Codex,
    /// Those that most others have, by plain names.
    Plain,
}

impl Habits {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Claude, Self::Codex, Self::Plain];

    /// What the tools are called, but for those that speak to the engine.
    #[must_use]
    pub const fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Claude => {
                &["Bash", "BashOutput", "KillShell", "Read", "Write", "Edit", "Glob", "Grep"]
            }
            Self::Codex => &["exec_command", "write_stdin", "apply_patch", "view_image"],
            Self::Plain => {
                &["bash", "bash_output", "bash_kill", "read", "write", "edit", "glob", "grep"]
            }
        }
    }

    /// The one that shows a command that goes on in the background.
    #[must_use]
    pub const fn look(self) -> &'static str {
        self.tools()[1]
    }

    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Claude => (
                "claude",
                "`Bash`, `BashOutput`, `KillShell`, `Read`, `Write`, `Edit`, `Glob`, `Grep`",
            ),
            Self::Codex => ("codex", "`exec_command`, `write_stdin`, `apply_patch`, `view_image`"),
            Self::Plain => (
                "plain",
                "`bash`, `bash_output`, `bash_kill`, `read`, `write`, `edit`, `glob`, `grep`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Adapter;

    #[test]
    fn what_is_told_is_what_is_declared() {
        for adapter in Adapter::ALL {
            let declared = serde_json::to_value(adapter.capabilities()).unwrap();
            let told = adapter.capabilities().traits();
            assert_eq!(declared.as_object().unwrap().len(), told.len());
            for one in told {
                assert_eq!(declared[one.name], one.value, "{adapter}: {}", one.name);
            }
        }
    }
}
