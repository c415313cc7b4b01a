//! An entry for our server: how it is written, recognised and judged.
//!
//! ```text
//! what a file holds ──judge──▶ Absent
//!                              Foreign       of the same name, and not ours
//!                              Ours([])      as it should be
//!                              Ours([drift]) ours, and otherwise
//! ```
//!
//! An entry is ours if it starts a program called hotcell with `mcp serve`. What it
//! starts has to be as wanted; [`Extra`] fields have to be there, and are somebody's
//! decision once they are: a longer timeout is no drift. Fields that we know nothing
//! of are not looked at.

use std::path::Path;

use serde_json::{Map, Value, json};
use workspace_api::host::ServerName;

/// How long a call may take, in seconds: the first workspace of an environment is
/// made from nothing, which takes minutes.
const CALL_TIMEOUT_SECONDS: u64 = 900;

/// What our server is started with, behind the program.
const SUBCOMMAND: [&str; 2] = ["mcp", "serve"];

/// How a host writes an entry.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// A field that says what kind of server it is, and its value.
    pub kind: Option<(&'static str, &'static str)>,
    /// How program and arguments are written.
    pub command: CommandForm,
    /// What else an entry should say.
    pub extras: &'static [(&'static str, Extra)],
}

/// How program and arguments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandForm {
    /// `command` is the program, `args` are the arguments.
    Split,
    /// The same in fields of these names.
    Named(&'static str, &'static str),
    /// `command` is the list of both.
    Joined,
}

/// What else an entry should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// How long a call may take, in seconds.
    TimeoutSeconds,
    /// The same in milliseconds.
    TimeoutMilliseconds,
    /// That models see the tools at once and need not search for them; only said of
    /// short lists.
    ShownAtOnce,
    /// That it is switched on.
    On,
    /// That all tools are offered.
    EveryTool,
    /// The server's name once more.
    Name,
}

/// Our server, as a host shall start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The name that the host knows it by.
    pub name: ServerName,
    /// The program, by an absolute path.
    pub program: String,
    /// What stands behind `mcp serve`.
    pub arguments: Vec<String>,
    /// Whether models should see its tools at once.
    pub is_short: bool,
}

/// How what a file holds compares with what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no entry of that name.
    Absent,
    /// There is one that is not ours.
    Foreign,
    /// It is ours, and differs in this.
    Ours(Vec<Drift>),
}

/// A difference between an entry and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Drift {
    /// It starts another program.
    #[error("it starts {0}")]
    Program(String),
    /// It starts the program with other arguments.
    #[error("it passes other arguments: `{0}`")]
    Arguments(String),
    /// It is of another kind.
    #[error("its `{0}` is not `{1}`")]
    Kind(&'static str, &'static str),
    /// It does not say something.
    #[error("it lacks `{0}`")]
    Lacks(&'static str),
}

impl Server {
    /// Program and arguments.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let words = SUBCOMMAND.map(str::to_owned);
        [vec![self.program.clone()], words.to_vec(), self.arguments.clone()].concat()
    }
}

impl Shape {
    /// The entry for a server, whole.
    #[must_use]
    pub fn entry(&self, server: &Server) -> Map<String, Value> {
        let mut entry = self.essentials(server);
        for (field, value) in self.said(server) {
            entry.insert(field.to_owned(), value);
        }
        entry
    }

    /// The fields that an entry of ours needs in a place where it has `existing`.
    #[must_use]
    pub fn fields(&self, server: &Server, existing: Option<&Value>) -> Map<String, Value> {
        let mut fields = self.essentials(server);
        for (field, value) in self.said(server) {
            if existing.and_then(|entry| entry.get(field)).is_none() {
                fields.insert(field.to_owned(), value);
            }
        }
        fields
    }

    /// Compares what a file holds under the server's name with what is wanted.
    #[must_use]
    pub fn judge(&self, server: &Server, existing: Option<&Value>) -> Standing {
        let Some(existing) = existing else { return Standing::Absent };
        let Some(command) = self.command_of(existing).filter(|command| is_ours(command)) else {
            return Standing::Foreign;
        };
        let wanted = server.command();
        let mut drifts = Vec::new();
        if let Some((field, kind)) = self.kind
            && existing.get(field).is_none_or(|found| found != kind)
        {
            drifts.push(Drift::Kind(field, kind));
        }
        if command[0] != wanted[0] {
            drifts.push(Drift::Program(command[0].clone()));
        }
        if command[1..] != wanted[1..] {
            drifts.push(Drift::Arguments(command[1..].join(" ")));
        }
        let missing = self.said(server).into_iter().map(|(field, _)| field);
        drifts.extend(missing.filter(|field| existing.get(field).is_none()).map(Drift::Lacks));
        Standing::Ours(drifts)
    }

    /// What an entry starts, if that can be told.
    #[must_use]
    pub fn command_of(&self, entry: &Value) -> Option<Vec<String>> {
        let texts = |list: &Value| -> Option<Vec<String>> {
            list.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let (program, arguments) = match self.command {
            CommandForm::Joined => return texts(entry.get("command")?),
            CommandForm::Split => ("command", "args"),
            CommandForm::Named(program, arguments) => (program, arguments),
        };
        let program = entry.get(program)?.as_str()?.to_owned();
        let arguments = entry.get(arguments).map_or_else(|| Some(Vec::new()), texts)?;
        Some([vec![program], arguments].concat())
    }

    /// What has to be as it is here.
    fn essentials(&self, server: &Server) -> Map<String, Value> {
        let mut entry = Map::new();
        if let Some((field, kind)) = self.kind {
            entry.insert(field.to_owned(), kind.into());
        }
        let command = server.command();
        let (program, arguments) = match self.command {
            CommandForm::Joined => {
                entry.insert("command".to_owned(), json!(command));
                return entry;
            }
            CommandForm::Split => ("command", "args"),
            CommandForm::Named(program, arguments) => (program, arguments),
        };
        entry.insert(program.to_owned(), json!(command[0]));
        entry.insert(arguments.to_owned(), json!(command[1..]));
        entry
    }

    /// What should be said besides.
    fn said(&self, server: &Server) -> Vec<(&'static str, Value)> {
        let value = |extra: &Extra| {
            Some(match extra {
                Extra::TimeoutSeconds => json!(CALL_TIMEOUT_SECONDS),
                Extra::TimeoutMilliseconds => json!(CALL_TIMEOUT_SECONDS * 1000),
                Extra::ShownAtOnce => json!(server.is_short.then_some(true)?),
                Extra::On => json!(true),
                Extra::EveryTool => json!(["*"]),
                Extra::Name => json!(server.name.as_str()),
            })
        };
        let said = self.extras.iter();
        said.filter_map(|(field, extra)| Some((*field, value(extra)?))).collect()
    }
}

/// Whether an entry says that it shall not be used.
#[must_use]
pub fn is_switched_off(entry: &Value) -> bool {
    entry.get("enabled") == Some(&Value::Bool(false))
        || entry.get("disabled") == Some(&Value::Bool(true))
}

/// Whether a command starts our server.
#[must_use]
pub fn is_ours(command: &[String]) -> bool {
    let [program, rest @ ..] = command else { return false };
    let name = Path::new(program).file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("hotcell"))
        && rest.len() >= SUBCOMMAND.len()
        && rest.iter().zip(SUBCOMMAND).all(|(word, wanted)| word == wanted)
}

/// What an entry of ours passes behind `mcp serve`.
#[must_use]
pub fn arguments_of(command: &[String]) -> &[String] {
    command.get(1 + SUBCOMMAND.len()..).unwrap_or_default()
}
