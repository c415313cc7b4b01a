//! The commands by which hosts change their configuration themselves, and what
//! people paste into files that nobody else changes.

use std::path::Path;

use chat_hosts::catalog::OwnCommand;
use operation::OpError;
use serde_json::{Map, Value};
use workspace_api::host::Target;

use super::Site;
use crate::chat::program;

/// The commands that make an entry what it should be: one that is there is removed
/// first, since hosts refuse to add what they have.
pub(super) fn adding(
    site: &Site,
    own: OwnCommand,
    program: &Path,
    target: &Target,
    fields: &Map<String, Value>,
) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut entry = fields.clone();
    if let Some(Value::Object(existing)) = &site.entry {
        commands.push(removing(own, program, target));
        entry = existing.clone();
        entry.extend(fields.clone());
    }
    commands.push(add(own, program, target, &entry));
    commands
}

/// The command that adds an entry.
pub(super) fn add(
    own: OwnCommand,
    program: &Path,
    target: &Target,
    entry: &Map<String, Value>,
) -> Vec<String> {
    let entry = Value::Object(entry.clone()).to_string();
    words(program, own.add, target, &entry)
}

/// The command that removes one.
pub(super) fn removing(own: OwnCommand, program: &Path, target: &Target) -> Vec<String> {
    words(program, own.remove, target, "")
}

fn words(program: &Path, template: &[&str], target: &Target, entry: &str) -> Vec<String> {
    let filled = template.iter().map(|word| match *word {
        "{name}" => target.name.to_string(),
        "{entry}" => entry.to_owned(),
        word => word.to_owned(),
    });
    [program.display().to_string()].into_iter().chain(filled).collect()
}

/// Runs commands one after the other.
pub(super) async fn run(commands: &[Vec<String>]) -> Result<(), OpError> {
    for command in commands {
        if let [program, arguments @ ..] = command.as_slice() {
            program::run(Path::new(program), arguments).await?;
        }
    }
    Ok(())
}

/// An entry as YAML, which takes values as JSON writes them.
pub(super) fn yaml(path: &[&str], fields: &Map<String, Value>) -> String {
    let indent = |depth: usize| "  ".repeat(depth);
    let mut text = String::new();
    for (depth, key) in path.iter().enumerate() {
        text.push_str(&format_args!("{}{key}:\n", indent(depth)).to_string());
    }
    for (field, value) in fields {
        text.push_str(&format_args!("{}{field}: {value}\n", indent(path.len())).to_string());
    }
    text
}
