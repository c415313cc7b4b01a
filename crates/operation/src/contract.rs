//! Checks over a table, for the tests of the crates that declare one.

use clap::Command;
use serde_json::{Map, Value, json};

use crate::cli;
use crate::table::OpSpec;

/// Everything that is wrong with a table; empty if it keeps the rules.
///
/// * names are unique, `noun.verb` or `verb`, of lower-case words;
/// * every operation and every field of a request is described;
/// * every operation has an example, and its command line and its JSON are the
///   same request once the defaults are filled in.
#[must_use]
pub fn violations<H>(table: &[OpSpec<H>]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, row) in table.iter().enumerate() {
        if table[..index].iter().any(|other| other.name == row.name) {
            found.push(format!("{} is declared twice", row.name));
        }
        let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
        // A verb may be two words: `apply-back`.
        let words = |part: &str| part.split('-').count() <= 2 && part.split('-').all(word);
        if row.name.split('.').count() > 2 || !row.name.split('.').all(words) {
            found.push(format!("{} is no `noun.verb`", row.name));
        }
        if row.summary().is_empty() {
            found.push(format!("{} has no description", row.name));
        }
        undescribed(row.name, &(row.input_schema)(), &mut found);
        examples(row, table, &mut found);
    }
    found
}

fn undescribed(at: &str, schema: &Value, found: &mut Vec<String>) {
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        if property.get("description").is_none() {
            found.push(format!("{at}: field `{field}` has no description"));
        }
    }
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        undescribed(&format!("{at}, {name}"), definition, found);
    }
}

fn examples<H>(row: &OpSpec<H>, table: &[OpSpec<H>], found: &mut Vec<String>) {
    if row.examples.is_empty() {
        found.push(format!("{} has no example", row.name));
    }
    for example in row.examples {
        let words = format!("program {} {}", row.name.replace('.', " "), example.argv);
        let Some(words) = shlex::split(&words) else {
            found.push(format!("{}: `{}` is no line of a shell", row.name, example.argv));
            continue;
        };
        let root = cli::augment(Command::new("program"), &[], table);
        let parsed =
            root.try_get_matches_from(words).and_then(|matches| cli::request(&matches, table));
        let from_argv = match parsed {
            Ok(Some((_, request))) => request,
            Ok(None) => {
                found.push(format!("{}: `{}` is no command", row.name, example.argv));
                continue;
            }
            Err(error) => {
                found.push(format!("{}: `{}`: {error}", row.name, example.argv));
                continue;
            }
        };
        let from_json = serde_json::from_str(example.json)
            .map_err(|error| error.to_string())
            .and_then(|raw| (row.canonical)(raw).map_err(|error| error.to_string()));
        match from_json {
            Ok(request) if request == from_argv => {}
            Ok(request) => found.push(format!(
                "{}: `{}` means {from_argv}, but {} means {request}",
                row.name, example.argv, example.json
            )),
            Err(error) => found.push(format!("{}: {}: {error}", row.name, example.json)),
        }
    }
}

/// The whole public surface as one reviewable value.
#[must_use]
pub fn surface<H>(table: &[OpSpec<H>]) -> Value {
    let rows = table.iter().map(|row| {
        let described = json!({
            "effect": row.effect,
            "input": (row.input_schema)(),
            "event": (row.event_schema)(),
            "output": (row.output_schema)(),
        });
        (row.name.to_owned(), described)
    });
    Value::Object(rows.collect::<Map<_, _>>())
}
