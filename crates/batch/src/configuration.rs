//! How a repository wants its batches: `.hotcell/batch.toml`, or Taskplane's
//! configuration where there is none.
//!
//! The file is the repository's, so nothing in it is trusted: it is bounded, an area
//! is a path below the repository, and what is not known in it is an error with its
//! line. What Taskplane's says and nothing here reads is told.

mod agent;
mod limits;
mod own;
mod taskplane;

use std::collections::BTreeMap;

use batch_api::AreaName;
use batch_api::plan::{PacketProblem, Remark, SourceOfSettings};
use batch_core::plan::{Policy, Weights};
use batch_core::spec::{FailurePolicy, Limits};
use file_tree::TreePath;
use workspace_api::spec::EnvironmentRef;

pub use agent::{AgentKind, AgentSetup, HostedSetup, LaneMode};
pub(crate) use limits::contract as limits_told;

/// Our own configuration.
pub(crate) const OWN_FILE: &str = ".hotcell/batch.toml";

/// Taskplane's.
pub(crate) const TASKPLANE_FILE: &str = ".pi/taskplane-config.json";

/// Taskplane's old ones, which are not read.
pub(crate) const TASKPLANE_OLD_FILES: [&str; 2] =
    [".pi/task-runner.yaml", ".pi/task-orchestrator.yaml"];

/// A configuration larger than this is none, in bytes.
pub(crate) const FILE_MAX_BYTES: usize = 1 << 20;

/// Most areas of a repository.
pub(crate) const AREAS_MAX: usize = 256;

/// Most that a task of any size may weigh.
const WEIGHT_MAX: u32 = 1000;

/// Most lines that verify what is merged.
const VERIFY_MAX: usize = 64;

/// Most words of an agent's command.
const WORDS_MAX: usize = 256;

/// Longest line, word or name in it, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// What a batch begins with unless the configuration says otherwise.
const BASE: &str = "HEAD";

/// How a repository wants its batches.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) source: SourceOfSettings,
    /// Where packets lie.
    pub(crate) areas: BTreeMap<AreaName, TreePath>,
    /// How many lanes, and what tasks weigh.
    pub(crate) policy: Policy,
    /// What lanes start from.
    pub(crate) environment: EnvironmentRef,
    /// The commit that a batch begins with, by a name that it has there.
    pub(crate) base: String,
    /// Lines for the guest's shell that have to succeed on what is merged.
    pub(crate) verify: Vec<String>,
    /// What does the work; nothing is started without it.
    pub(crate) agent: Option<AgentSetup>,
    /// When to give up.
    pub(crate) limits: Limits,
    /// What happens to the others when a task fails.
    pub(crate) on_task_failure: FailurePolicy,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            source: SourceOfSettings::Defaults,
            areas: BTreeMap::new(),
            policy: Policy::default(),
            environment: EnvironmentRef::default(),
            base: BASE.to_owned(),
            verify: Vec::new(),
            agent: None,
            limits: limits::DEFAULTS,
            on_task_failure: limits::POLICY,
        }
    }
}

/// What comes of reading a configuration, with what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) configuration: Configuration,
    pub(crate) problems: Vec<PacketProblem>,
    pub(crate) remarks: Vec<Remark>,
}

impl Read {
    fn problem(&mut self, file: &str, line: u32, message: impl Into<String>) {
        self.problems.push(PacketProblem { file: file.to_owned(), line, message: message.into() });
    }

    fn remark(&mut self, file: &str, message: impl Into<String>) {
        self.remarks.push(Remark { file: file.to_owned(), message: message.into() });
    }

    fn area(&mut self, file: &str, line: u32, name: &str, path: &str) {
        let name: AreaName = match name.parse() {
            Ok(name) => name,
            Err(_) => {
                let message = format!(
                    "found the area `{}`; expected 1 to 63 letters, digits and `._-`",
                    shown(name)
                );
                return self.problem(file, line, message);
            }
        };
        if name.as_str() == "all" {
            let message = "found the area `all`, which means every area; expected another name";
            return self.problem(file, line, message);
        }
        if self.configuration.areas.len() == AREAS_MAX {
            return self.problem(file, line, format!("found more than {AREAS_MAX} areas"));
        }
        match TreePath::parse(path.as_bytes()) {
            Ok(path) => {
                self.configuration.areas.insert(name, path);
            }
            Err(error) => {
                let expected = "expected a directory below the repository";
                self.problem(file, line, format!("{error}; {expected}"));
            }
        }
    }
}

/// Reads our own configuration.
pub(crate) fn own(text: &str) -> Read {
    own::read(text)
}

/// Reads Taskplane's.
pub(crate) fn taskplane(text: &str) -> Read {
    taskplane::read(text)
}

/// What is written for a repository that has none: every key, and what it means.
pub(crate) fn written(configuration: &Configuration) -> String {
    let Policy { lanes, weights: Weights { small, medium, large } } = configuration.policy;
    let text_of = |text: &str| toml_edit::Value::from(text).to_string();
    let (environment, base) =
        (text_of(configuration.environment.as_str()), text_of(&configuration.base));
    let verify: toml_edit::Array = configuration.verify.iter().collect();
    let agent = match &configuration.agent {
        Some(agent) => agent.written(),
        None => AgentSetup::EXAMPLE.to_owned(),
    };
    let limits = limits::written(&configuration.limits, configuration.on_task_failure);
    let mut text = format!(
        "# How Hotcell runs batches of tasks in this repository: docs/batches.md of Hotcell.\n\
         version = 1\n\n\
         # Most tasks that run at the same time.\n\
         lanes = {lanes}\n\n\
         # What lanes start from, as `hotcell prepare` makes it.\n\
         environment = {environment}\n\n\
         # The commit that a batch begins with.\n\
         base = {base}\n\n\
         # Lines for a shell that have to succeed on whatever is merged, in a machine of its own.\n\
         verify = {verify}\n\n\
         # What does the work.\n\
         {agent}\n\
         # When to give up: what a task and the batch as a whole may use before its owner is\n\
         # asked, how long an agent may show no progress, how long an answer may take before\n\
         # its default is taken, how many contexts a task may have, how often it is tried again,\n\
         # and what happens to the others when it fails.\n\
         {limits}\n\
         # What a task of each size weighs; one is about half an hour of work.\n\
         [sizes]\nS = {small}\nM = {medium}\nL = {large}\n\n\
         # Where packets lie: a directory each, with a sub-directory for every task.\n\
         [areas]\n"
    );
    for (name, path) in &configuration.areas {
        let path = toml_edit::Value::from(path.to_string());
        let quoted = toml_edit::Value::from(name.as_str());
        let is_bare =
            name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let name = if is_bare { name.to_string() } else { quoted.to_string().trim().to_owned() };
        text.push_str(&name);
        text.push_str(" = ");
        text.push_str(path.to_string().trim());
        text.push('\n');
    }
    text
}

/// A text of somebody else, fit to be told.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    text.chars().take(CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A path as it is told.
pub(crate) fn shown_path(path: &std::path::Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What may have been meant, said as a question.
pub(crate) fn suggestion<'n>(
    word: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let distance = |name: &str| strsim::damerau_levenshtein(word, name);
    let near = known.into_iter().map(|name| (distance(name), name)).min()?;
    (near.0 <= 2.max(word.len() / 3)).then_some(near.1)
}

/// The table of an agent that is proved, for somebody who has none.
pub(crate) fn example_of_agent() -> String {
    let proved = agents::PROVED.iter().map(|row| (row.adapter.as_str(), row.models));
    let lines = proved.take(1).flat_map(|(kind, models)| {
        let model = models.iter().take(1).map(|model| format!("model = \"{model}\"\n"));
        std::iter::once(format!("[agent]\nkind = \"{kind}\"\n")).chain(model)
    });
    lines.collect()
}

#[cfg(test)]
mod tests;
