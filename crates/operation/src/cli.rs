//! The command-line face: a clap tree built from the table.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use crate::table::OpSpec;

/// A noun that groups operations, and its help.
#[derive(Debug, Clone, Copy)]
pub struct Noun {
    /// What stands before the dot in the operations' names.
    pub name: &'static str,
    /// Its help line.
    pub about: &'static str,
}

/// Adds a command for each operation: `env.list` becomes `env list`.
#[must_use]
pub fn augment<H>(mut root: Command, nouns: &[Noun], table: &[OpSpec<H>]) -> Command {
    for row in table {
        match row.name.split_once('.') {
            None => root = root.subcommand(leaf(row, row.name)),
            Some((noun, verb)) => {
                if root.find_subcommand(noun).is_none() {
                    let about = nouns.iter().find(|known| known.name == noun);
                    let group = Command::new(noun)
                        .about(about.map(|noun| noun.about).unwrap_or_default())
                        .subcommand_required(true)
                        .arg_required_else_help(true);
                    root = root.subcommand(group);
                }
                root = root.mut_subcommand(noun, |group| group.subcommand(leaf(row, verb)));
            }
        }
    }
    root
}

/// Name of the flag that asks for nothing but ids.
const ID_ONLY: &str = "id_only";

/// Whether a command line asks for nothing but ids.
#[must_use]
pub fn wants_only_ids(matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some((_, sub)) => wants_only_ids(sub),
        None => matches!(matches.try_get_one::<bool>(ID_ONLY), Ok(Some(true))),
    }
}

fn leaf<H>(row: &OpSpec<H>, verb: &'static str) -> Command {
    let words = row.name.replace('.', " ");
    let mut examples = String::from("Examples:");
    for example in row.examples {
        examples.push_str("\n  hotcell ");
        examples.push_str(format!("{words} {}", example.argv).trim_end());
    }
    let command = (row.augment)(Command::new(verb)).after_help(examples);
    if !row.has_ids {
        return command;
    }
    command.arg(
        Arg::new(ID_ONLY)
            .long("id-only")
            .help("Print nothing but ids, one a line")
            .help_heading("Global options")
            .action(ArgAction::SetTrue),
    )
}

/// The operation that a command line asks for, and its request as JSON; `None`
/// if it asks for something that is not in the table.
///
/// # Errors
///
/// If the request's flags do not parse.
pub fn request<'t, H>(
    matches: &ArgMatches,
    table: &'t [OpSpec<H>],
) -> Result<Option<(&'t OpSpec<H>, Value)>, clap::Error> {
    let Some((first, sub)) = matches.subcommand() else {
        return Ok(None);
    };
    let (name, leaf) = match sub.subcommand() {
        Some((verb, leaf)) => (format!("{first}.{verb}"), leaf),
        None => (first.to_owned(), sub),
    };
    match table.iter().find(|row| row.name == name) {
        Some(row) => Ok(Some((row, (row.parse)(leaf)?))),
        None => Ok(None),
    }
}
