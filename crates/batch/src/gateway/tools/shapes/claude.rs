//! The tools of Claude Code.

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
    /// Milliseconds after which the command is ended; without it, it may run on.
    timeout: Option<u64>,
    /// Return at once and let it run on.
    #[serde(default)]
    run_in_background: bool,
}

impl Tool for Bash {
    const NAME: &'static str = "Bash";
    const ABOUT: &'static str = about::bash!("BashOutput");

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let timeout = self.timeout.map(Duration::from_millis);
        let id = command::bash(lane, &self.command, timeout).await?;
        if self.run_in_background {
            return Ok(Answer::text(command::background(id.as_str(), BashOutput::NAME)));
        }
        command::show(lane, &id, PATIENCE, BashOutput::NAME).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct BashOutput {
    /// The id of the background command.
    bash_id: String,
    /// Seconds to wait for its end, 25 at most; without it, none.
    #[serde(default)]
    wait: u64,
}

impl Tool for BashOutput {
    const NAME: &'static str = "BashOutput";
    const ABOUT: &'static str = about::OUTPUT;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let patience = Duration::from_secs(self.wait).min(PATIENCE);
        command::show(lane, &self.bash_id.parse()?, patience, Self::NAME).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct KillShell {
    /// The id of the background command.
    shell_id: String,
}

impl Tool for KillShell {
    const NAME: &'static str = "KillShell";
    const ABOUT: &'static str = about::KILL;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        command::kill(lane, &self.shell_id.parse()?, BashOutput::NAME).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Read {
    /// The file: /workspace/… for the repository, /packet/… for the task.
    file_path: String,
    /// The first line, counted from 1.
    offset: Option<u64>,
    /// How many lines.
    limit: Option<u64>,
}

impl Tool for Read {
    const NAME: &'static str = "Read";
    const ABOUT: &'static str = about::READ;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        file::read(lane, &self.file_path, self.offset, self.limit).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Write {
    /// The file; directories that are missing are made.
    file_path: String,
    /// All that is to be in it.
    content: String,
}

impl Tool for Write {
    const NAME: &'static str = "Write";
    const ABOUT: &'static str = about::WRITE;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        file::write(lane, &self.file_path, self.content).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Edit {
    /// The file.
    file_path: String,
    /// The text to replace, exactly as it is in the file, without line numbers.
    old_string: String,
    /// What to put in its place.
    new_string: String,
    /// Replace every occurrence.
    #[serde(default)]
    replace_all: bool,
}

impl Tool for Edit {
    const NAME: &'static str = "Edit";
    const ABOUT: &'static str = about::EDIT;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let texts = (self.old_string, self.new_string);
        file::edit(lane, &self.file_path, texts, self.replace_all).await
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
    const NAME: &'static str = "Glob";
    const ABOUT: &'static str = about::GLOB;

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        search::files(lane, self.pattern, self.path).await
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Grep {
    /// A regular expression, as ripgrep takes it.
    pattern: String,
    /// File or directory to look in [default: /workspace].
    path: Option<String>,
    /// Only files whose names match, such as *.rs.
    glob: Option<String>,
    /// Names of files (the default), lines, or counts.
    #[serde(default)]
    output_mode: Shown,
    /// Capitals do not matter.
    #[serde(default, rename = "-i")]
    ignore_case: bool,
    /// Lines of context, with output_mode content.
    #[serde(default, rename = "-C")]
    context: u32,
    /// Most lines.
    head_limit: Option<u32>,
}

impl Tool for Grep {
    const NAME: &'static str = "Grep";
    const ABOUT: &'static str =
        "Searches the files of the repository. What .gitignore names is left out.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let Self { pattern, path, glob, output_mode, ignore_case, context, head_limit } = self;
        let sought = Sought { pattern, path, glob, ignore_case, context, limit: head_limit };
        search::text(lane, sought, output_mode).await
    }
}
