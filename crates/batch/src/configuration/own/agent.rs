//! The table of the agent.

use std::path::PathBuf;

use toml_edit::{Item, TableLike};

use super::super::{AgentKind, AgentSetup, HostedSetup, LaneMode, WORDS_MAX, shown};
use super::File;

/// Every key of the table.
const OF_AGENT: [&str; 6] = ["kind", "lane", "command", "program", "model", "credentials"];

/// Those of an agent of some kind, in a lane of some mode.
const fn keys(kind: AgentKind, lane: Option<LaneMode>) -> &'static [&'static str] {
    match (kind, lane) {
        (AgentKind::Command, Some(LaneMode::Worktree)) => {
            &["kind", "lane", "command", "credentials"]
        }
        (AgentKind::Command, _) => &["kind", "lane", "command"],
        (AgentKind::Acp, _) => &["kind", "lane", "command", "model", "credentials"],
        (AgentKind::ClaudeCode | AgentKind::Codex | AgentKind::OpenCode | AgentKind::Pi, _) => {
            &["kind", "lane", "program", "model", "credentials"]
        }
    }
}

impl File<'_, '_> {
    /// What does the work. What is missing or wrong in it is all told, and then there is
    /// none.
    pub(super) fn agent(&mut self, item: &Item, line: u32) {
        let before = self.read.problems.len();
        self.section("agent", item, line, &OF_AGENT, |_, _, _, _| {});
        let Some(table) = item.as_table_like() else { return };
        let at = |file: &Self, item: &Item| file.place(item, line);
        let names = |known: &[&str]| {
            known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let kinds: Vec<&str> = AgentKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let Some(said) = table.get("kind") else {
            let message = format!("found no `kind` in [agent]; expected one of {}", names(&kinds));
            return self.problem(line, message);
        };
        let found =
            said.as_str().and_then(|said| AgentKind::ALL.iter().find(|it| it.as_str() == said));
        let Some(kind) = found.copied() else {
            let message = format!("found another `kind`; expected one of {}", names(&kinds));
            return self.problem(at(self, said), message);
        };
        let mut lane = kind.lanes().first().copied();
        if let Some(said) = table.get("lane") {
            let modes: Vec<&str> = kind.lanes().iter().map(|mode| mode.as_str()).collect();
            lane = said
                .as_str()
                .and_then(|said| kind.lanes().iter().find(|it| it.as_str() == said))
                .copied();
            if lane.is_none() {
                let message = format!(
                    "found another `lane` for `{}`; expected one of {}",
                    kind.as_str(),
                    names(&modes)
                );
                self.problem(at(self, said), message);
            }
        }
        let keys = keys(kind, lane);
        for (key, item) in table.iter().filter(|(key, _)| OF_AGENT.contains(key)) {
            if !keys.contains(&key) {
                let message =
                    format!("found `{key}`, which an agent of kind `{}` has not", kind.as_str());
                self.problem(at(self, item), message);
            }
        }
        let command = match kind.is_any_command() {
            true => self.command(table, line),
            false => Vec::new(),
        };
        let hosted = match lane {
            Some(LaneMode::Guest) | None => None,
            Some(LaneMode::Cell | LaneMode::Worktree) => self.hosted(kind, table, line),
        };
        if let (Some(lane), true) = (lane, self.read.problems.len() == before) {
            self.read.configuration.agent = Some(AgentSetup { kind, command, lane, hosted });
        }
    }

    /// The program of an agent that is a command.
    fn command(&mut self, table: &dyn TableLike, line: u32) -> Vec<String> {
        let Some(command) = table.get("command") else {
            let message = "found no `command` in [agent]; expected a program and its arguments";
            self.problem(line, message);
            return Vec::new();
        };
        let (place, before) = (self.place(command, line), self.read.problems.len());
        let words = self.lines("command", command, place, WORDS_MAX);
        if words.is_empty() && self.read.problems.len() == before {
            self.problem(place, "found an empty `command`; expected a program");
        }
        words
    }

    /// What there is to an agent that is a program of the host.
    fn hosted(&mut self, kind: AgentKind, table: &dyn TableLike, line: u32) -> Option<HostedSetup> {
        let mut said = |name: &str| {
            let item = table.get(name)?;
            let place = self.place(item, line);
            self.line(name, item, place)
        };
        let (program, model) = (said("program"), said("model"));
        if table.get("model").is_none() && !kind.is_any_command() {
            let message = "found no `model` in [agent]; expected one of `hotcell batch agents`";
            self.problem(line, message);
        }
        let program = program.map(PathBuf::from);
        if program.as_ref().is_some_and(|program| !program.is_absolute()) {
            let place = table.get("program").map_or(line, |item| self.place(item, line));
            self.problem(place, "found a `program` that is no absolute path");
        }
        let credentials = match table.get("credentials") {
            None => kind.credentials().iter().map(|&name| name.to_owned()).collect(),
            Some(item) => {
                let place = self.place(item, line);
                let names = self.lines("credentials", item, place, WORDS_MAX);
                if let Some(name) = names.iter().find(|name| !is_variable(name)) {
                    let message =
                        format!("found `{}`; expected the name of a variable", shown(name));
                    self.problem(place, message);
                }
                names
            }
        };
        Some(HostedSetup { program, model, credentials })
    }
}

/// Whether a text can be the name of a variable.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
