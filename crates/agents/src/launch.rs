//! How a process of an agent is started.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// What an agent is started for.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The program.
    pub program: &'a Path,
    /// The directory that it runs in: an empty one, or where its own hands work.
    pub directory: &'a Path,
    /// A directory for its settings and transcripts, empty when it is started first.
    pub home: &'a Path,
    /// The model, as the agent calls it; its default if there is none.
    pub model: Option<&'a str>,
    /// What it is told before all else.
    pub instructions: &'a str,
    /// Where it finds tools that are not its own.
    pub gateway: &'a Gateway,
    /// Which tools it works with.
    pub hands: Hands<'a>,
    /// The conversation to go on with, by the name that it was opened under; another
    /// one if there is none.
    pub resume: Option<&'a str>,
}

/// Which tools an agent works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hands<'a> {
    /// The gateway's and no others: its hands are elsewhere.
    Gateway,
    /// Its own, where it runs, with the gateway's beside them.
    Own {
        /// A directory besides the one it runs in, in which it works.
        packet: &'a Path,
    },
}

/// A provider of models other than the agent's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Where it is, up to and with `/v1`.
    pub url: String,
    /// The variable that holds the key for it.
    pub key_variable: String,
}

/// A server of tools that an agent starts and speaks to, over the Model Context
/// Protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// What the agent calls it.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables for it.
    pub variables: Vec<(String, String)>,
}

impl Gateway {
    /// Its variables, as an object of JSON.
    pub(crate) fn variables_as_json(&self) -> Map<String, Value> {
        self.variables.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
    }
}

/// The two parts of `provider/model`. The provider of a model that names none is called
/// `other`.
pub(crate) fn provider_and_model(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("other", name))
}

/// How a process is started. Nothing of the starter's environment is passed on but
/// what is named by whoever starts it: credentials above all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// Arguments of the program.
    pub arguments: Vec<String>,
    /// Variables that it needs besides `PATH`.
    pub variables: Vec<(String, String)>,
    /// Files that have to be there before.
    pub files: Vec<File>,
}

/// A file that is written before an agent is started, for its owner's eyes only: it may
/// hold variables of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub content: String,
}

impl Launch {
    pub(crate) fn file(&mut self, path: PathBuf, content: impl Into<String>) {
        self.files.push(File { path, content: content.into() });
    }

    pub(crate) fn words(&mut self, words: &[&str]) {
        self.arguments.extend(words.iter().map(|&word| word.to_owned()));
    }

    pub(crate) fn variable(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }
}
