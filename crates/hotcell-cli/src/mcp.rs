//! The face for models, on the command line: serving it, and what it costs.

use std::env;
use std::path::{Path, PathBuf};

use ::mcp::Server;
use clap::{Arg, ArgMatches, Command, value_parser};
use operation::tool::{Decision, Profile};
use operation::{ErrorKind, OpError, Present, Screen};
use serde::Serialize;
use serde_json::json;
use workspace::{Engine, Settings};
use workspace_api::profile;

/// Tokens of a model's text have about so many bytes; close enough to compare.
const BYTES_PER_TOKEN: usize = 4;

/// `mcp` and what is below it.
pub(crate) fn command() -> Command {
    let profiles = profile::PROFILES.iter().map(|profile| profile.name);
    let choice = Arg::new("profile")
        .long("profile")
        .visible_alias("mode")
        .help("Which tools are offered: a profile, or the mode for one purpose")
        .value_parser(profiles.collect::<Vec<_>>())
        .default_value(profile::DEFAULT);
    let serve = Command::new("serve")
        .about("Serve a model's tools to the chat host at standard input and output")
        .arg(choice.clone())
        .arg(
            Arg::new("project")
                .long("project-path")
                .value_name("DIR")
                .help("Project that workspaces start from [default: the git checkout around here]")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("no-project")
                .long("no-project-source")
                .help("Let workspaces start empty")
                .conflicts_with("project")
                .num_args(0),
        );
    let tools = Command::new("tools")
        .about("Show which tools a profile or mode offers, and what they cost a model")
        .arg(choice);
    Command::new("mcp")
        .about("Tools for models, over the Model Context Protocol")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve)
        .subcommand(tools)
}

/// Serves until the chat host goes away.
pub(crate) async fn serve(matches: &ArgMatches) -> Result<(), OpError> {
    let Some((_, matches)) = matches.subcommand() else {
        unreachable!("clap wants one of the subcommands");
    };
    let project = match matches.get_one::<PathBuf>("project") {
        _ if matches.get_flag("no-project") => None,
        Some(project) => Some(project.clone()),
        None => env::current_dir().ok().and_then(|here| checkout(&here)),
    };
    server(chosen(matches), project.as_deref())?
        .serve_stdio()
        .await
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))
}

/// What a profile offers, and what that costs a model.
#[derive(Debug, Serialize)]
pub(crate) struct Tools {
    /// The profile or mode.
    profile: &'static str,
    /// What a model is told of the whole.
    instructions: &'static str,
    /// Bytes of all names, descriptions and input schemas.
    bytes: usize,
    /// The tools, in their order.
    tools: Vec<Cost>,
}

/// One tool.
#[derive(Debug, Serialize)]
struct Cost {
    name: &'static str,
    about: &'static str,
    /// Bytes of name, description and input schema.
    bytes: usize,
}

impl Present for Tools {
    fn present(&self, screen: &mut Screen) {
        for Cost { name, about, bytes } in &self.tools {
            screen.line(format!("{name:<20} {bytes:>5}  {about}"));
        }
        screen.note(format!(
            "{}: {} tools, {} bytes of names, descriptions and input schemas, about {} tokens",
            self.profile,
            self.tools.len(),
            self.bytes,
            self.bytes / BYTES_PER_TOKEN
        ));
    }
}

/// The tools of a profile and their cost.
pub(crate) fn tools(matches: &ArgMatches) -> Result<Tools, OpError> {
    let profile = chosen(matches);
    let server = server(profile, None)?;
    let costs = server.tools().into_iter().zip(profile.tools).map(|(seen, tool)| {
        let seen = json!({
            "name": seen.name,
            "description": seen.description,
            "inputSchema": seen.input_schema,
        });
        Cost { name: tool.name, about: tool.about, bytes: seen.to_string().len() }
    });
    let tools: Vec<Cost> = costs.collect();
    let bytes = tools.iter().map(|tool| tool.bytes).sum();
    Ok(Tools { profile: profile.name, instructions: profile.instructions, bytes, tools })
}

fn chosen(matches: &ArgMatches) -> &'static Profile {
    let name = matches.get_one::<String>("profile").expect("an argument with a default");
    profile::find(name).expect("clap accepts no other")
}

/// A server of `profile` whose workspaces start from `project`.
fn server(profile: &Profile, project: Option<&Path>) -> Result<Server<Engine>, OpError> {
    let project = project.map(Path::to_string_lossy);
    let decisions: Vec<Decision> =
        project.as_deref().map(profile::starting_from).into_iter().collect();
    let open = || {
        let program = env::current_exe().map_err(|error| {
            OpError::new(ErrorKind::Internal, &error).during("cannot find this program's own file")
        })?;
        Engine::open(Settings::from_environment(Some(program))?)
    };
    let table = workspace_api::operations::<Engine>();
    let identity = ("hotcell", env!("CARGO_PKG_VERSION"));
    Server::new(identity, profile, table, &decisions, Box::new(open))
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))
}

/// The git checkout around a directory.
fn checkout(here: &Path) -> Option<PathBuf> {
    here.ancestors().find(|directory| directory.join(".git").exists()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all tools of a mode may cost a model, in bytes of name, description
    /// and input schema: about 1,500 tokens.
    const MODE_MAX_BYTES: usize = 6_000;
    /// The same for everything: about 5,000 tokens.
    const FULL_MAX_BYTES: usize = 20_000;

    fn cost(profile: &'static str) -> (usize, usize) {
        let matches = command().get_matches_from(["mcp", "tools", "--profile", profile]);
        let (_, matches) = matches.subcommand().unwrap();
        let tools = tools(matches).unwrap();
        (tools.tools.len(), tools.bytes)
    }

    #[test]
    fn every_profile_fits_the_table_and_its_budget() {
        for profile in profile::PROFILES {
            let (count, bytes) = cost(profile.name);
            let is_breadth = profile.name.starts_with("workspace-");
            let (most, limit) =
                if is_breadth { (44, FULL_MAX_BYTES) } else { (12, MODE_MAX_BYTES) };
            assert!(count <= most, "{}: {count} tools", profile.name);
            assert!(bytes <= limit, "{}: {bytes} bytes", profile.name);
        }
    }

    #[test]
    fn every_schema_is_one_that_all_hosts_take() {
        fn check(at: &str, schema: &serde_json::Value) {
            let text = schema.to_string();
            for bad in ["$ref", "$defs", "\"null\"", "$schema"] {
                assert!(!text.contains(bad), "{at}: {bad} in {text}");
            }
            assert_eq!(schema["type"], "object", "{at}");
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property.is_object(), "{at}.{name}");
                assert!(property["type"].is_string(), "{at}.{name}: {property}");
                assert!(property["description"].is_string(), "{at}.{name}");
            }
        }
        for profile in profile::PROFILES {
            let server = server(profile, Some(Path::new("/somewhere"))).unwrap();
            for tool in server.tools() {
                let input = serde_json::to_value(&*tool.input_schema).unwrap();
                check(&format!("{}/{}", profile.name, tool.name), &input);
            }
        }
    }

    #[test]
    fn a_project_is_not_for_models_to_choose() {
        let server = server(&profile::WORKSPACE_CORE, Some(Path::new("/p"))).unwrap();
        let tools = server.tools();
        let create = tools.iter().find(|tool| tool.name == "workspace_create").unwrap();
        assert!(!create.input_schema["properties"].to_string().contains("\"path\""));
    }
}
