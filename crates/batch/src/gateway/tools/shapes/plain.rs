//! The tools of pi and OpenCode, and of agents of which nothing is known. Where the two
//! call an argument differently, both names are taken.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::search::{Shown, Sought};
use super::super::{Answer, PATIENCE, Tool, command, file, search};
use super::about;
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Bash {
    /// The command, for bash; every call begins in /workspace.
    command: String,
    /// Seconds after which the command is ended; without it, it may run on.
    timeout: Option<u64>,
    /// Return at once and let it run on.
    #[serde(default, alias = "run_in_background")]
    background: bool,
}

impl Tool for Bash {
    const NAME: &'static str = "bash";
    const ABOUT: &'static str = about::bash!("bash_output");

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let timeout = self.timeout.map(Duration::from_secs);
        let id = command::bash(lane, &self.command, timeout).await?;
        if self.background {
            return Ok(Answer::text(command::background(id.as_str(), BashOutput::NAME)));
        }
        command::show(lane, &id, PATIENCE, BashOutput::NAME).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct BashOutput {
    /// The id of the background command.
    id: String,
    /// Seconds to wait for its end, 25 at most; without it, none.
    #[serde(default)]
    wait: u64,
}

impl Tool for BashOutput {
    const NAME: &'static str = "bash_output";
    const ABOUT: &'static str = about::OUTPUT;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let patience = Duration::from_secs(self.wait).min(PATIENCE);
        command::show(lane, &self.id.parse()?, patience, Self::NAME).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct BashKill {
    /// The id of the background command.
    id: String,
}

impl Tool for BashKill {
    const NAME: &'static str = "bash_kill";
    const ABOUT: &'static str = about::KILL;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        command::kill(lane, &self.id.parse()?, BashOutput::NAME).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Read {
    /// The file: /workspace/… for the repository, /packet/… for the task.
    #[serde(alias = "filePath", alias = "file_path")]
    path: String,
    /// The first line, counted from 1.
    offset: Option<u64>,
    /// How many lines.
    limit: Option<u64>,
}

impl Tool for Read {
    const NAME: &'static str = "read";
    const ABOUT: &'static str = about::READ;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        file::read(lane, &self.path, self.offset, self.limit).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Write {
    /// The file; directories that are missing are made.
    #[serde(alias = "filePath", alias = "file_path")]
    path: String,
    /// All that is to be in it.
    content: String,
}

impl Tool for Write {
    const NAME: &'static str = "write";
    const ABOUT: &'static str = about::WRITE;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        file::write(lane, &self.path, self.content).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Edit {
    /// The file.
    #[serde(alias = "filePath", alias = "file_path")]
    path: String,
    /// The text to replace, exactly as it is in the file, without line numbers.
    #[serde(alias = "oldString", alias = "old_string")]
    old_text: String,
    /// What to put in its place.
    #[serde(alias = "newString", alias = "new_string")]
    new_text: String,
    /// Replace every occurrence.
    #[serde(default, alias = "replace_all")]
    replace_all: bool,
}

impl Tool for Edit {
    const NAME: &'static str = "edit";
    const ABOUT: &'static str = about::EDIT;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        file::edit(lane, &self.path, (self.old_text, self.new_text), self.replace_all).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Glob {
    /// Such as **/*.rs or src/**/*.ts.
    pattern: String,
    /// Directory to look in [default: /workspace].
    path: Option<String>,
}

impl Tool for Glob {
    const NAME: &'static str = "glob";
    const ABOUT: &'static str = about::GLOB;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        search::files(lane, self.pattern, self.path).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grep {
    /// A regular expression, as ripgrep takes it.
    pattern: String,
    /// File or directory to look in [default: /workspace].
    path: Option<String>,
    /// Only files whose names match, such as *.rs.
    #[serde(alias = "include")]
    glob: Option<String>,
    /// Capitals do not matter.
    #[serde(default)]
    ignore_case: bool,
    /// Lines of context.
    #[serde(default)]
    context: u32,
    /// Most lines.
    limit: Option<u32>,
}

impl Tool for Grep {
    const NAME: &'static str = "grep";
    const ABOUT: &'static str =
        "Shows matching lines of the files of the repository. What .gitignore names is left out.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let Self { pattern, path, glob, ignore_case, context, limit } = self;
        let sought = Sought { pattern, path, glob, ignore_case, context, limit };
        search::text(lane, sought, Shown::Content).await
    }
}
