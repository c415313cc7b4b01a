//! The face for models, on the command line: serving it, and what it costs.
//!
//! * `copies`: what was copied into the operator's folder, as resources.
//! * `operator`: what an operator says when it is served, as a ceiling.
//! * `prompts`: the recipes, as beginnings of conversations.

mod copies;
mod operator;
mod prompts;

use std::env;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use ::mcp::{BearerToken, Door, Server};
use clap::{Arg, ArgMatches, Command, value_parser};
use operation::tool::Profile;
use operation::{ErrorKind, OpError, Present, Screen};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use workspace::{Engine, Governed, Settings};
use workspace_api::profile;

use self::operator::Terms;

/// Tokens of a model's text have about so many bytes; close enough to compare.
const BYTES_PER_TOKEN: usize = 4;

/// Which tools are offered.
pub(crate) fn choice() -> Arg {
    let profiles = profile::PROFILES.iter().map(|profile| profile.name);
    Arg::new("profile")
        .long("profile")
        .visible_alias("mode")
        .help("Which tools are offered: a profile, or the mode for one purpose")
        .value_parser(profiles.collect::<Vec<_>>())
        .default_value(profile::DEFAULT)
}

/// `mcp` and what is below it.
pub(crate) fn command() -> Command {
    let serve = Command::new("serve")
        .about("Serve a model's tools to the chat host at standard input and output")
        .arg(choice())
        .args(operator::arguments())
        .arg(
            Arg::new("http")
                .long("http")
                .value_name("ADDRESS:PORT")
                .help("Serve clients of this host over HTTP instead, such as at 127.0.0.1:7070")
                .help_heading("Transport")
                .requires("http-token-file")
                .value_parser(value_parser!(SocketAddr)),
        )
        .arg(
            Arg::new("http-token-file")
                .long("http-token-file")
                .value_name("FILE")
                .help("File of mode 0600 with the token that they have to bring")
                .help_heading("Transport")
                .requires("http")
                .value_parser(value_parser!(PathBuf)),
        );
    let tools = Command::new("tools")
        .about("Show which tools a profile or mode offers, and what they cost a model")
        .arg(choice())
        .args(operator::arguments());
    Command::new("mcp")
        .about("Tools for models, over the Model Context Protocol")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve)
        .subcommand(tools)
}

/// Serves until the chat host goes away, or over HTTP until `until` is cancelled.
pub(crate) async fn serve(matches: &ArgMatches, until: CancellationToken) -> Result<(), OpError> {
    let Some((_, matches)) = matches.subcommand() else {
        unreachable!("clap wants one of the subcommands");
    };
    let profile = chosen(matches);
    let server = server(profile, Terms::of(profile, matches)?)?;
    let file = matches.get_one::<PathBuf>("http-token-file");
    let (Some(address), Some(file)) = (matches.get_one::<SocketAddr>("http"), file) else {
        let served = server.serve_stdio(until).await;
        return served.map_err(|error| OpError::new(ErrorKind::Internal, &error));
    };
    let token =
        BearerToken::read(file).map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
    let door = Door::open(*address, token)
        .await
        .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
    // Whoever reads this may connect: the port may have been left to the system.
    let _ = writeln!(io::stderr(), "serving at {}", door.url());
    door.serve(server, until).await;
    Ok(())
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
    /// Bytes of all output schemas; most hosts show them to no model.
    output_schema_bytes: usize,
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
            "{}: {} tools, {} bytes of names, descriptions and input schemas, about {} tokens; \
             {} bytes of output schemas",
            self.profile,
            self.tools.len(),
            self.bytes,
            self.bytes / BYTES_PER_TOKEN,
            self.output_schema_bytes
        ));
    }
}

/// The tools of a profile and their cost.
pub(crate) fn tools(matches: &ArgMatches) -> Result<Tools, OpError> {
    let profile = chosen(matches);
    let server = server(profile, Terms::of(profile, matches)?)?;
    let tools = profile.tools.iter();
    let schemas = server.tools().into_iter().filter_map(|seen| seen.output_schema);
    let output_schema_bytes = schemas.map(|schema| json!(*schema).to_string().len()).sum();
    let costs = server.tools().into_iter().filter_map(|seen| {
        let tool = tools.clone().find(|tool| tool.name == seen.name)?;
        let seen = json!({
            "name": seen.name,
            "description": seen.description,
            "inputSchema": seen.input_schema,
        });
        Some(Cost { name: tool.name, about: tool.about, bytes: seen.to_string().len() })
    });
    let tools: Vec<Cost> = costs.collect();
    let bytes = tools.iter().map(|tool| tool.bytes).sum();
    let Profile { name, instructions, .. } = *profile;
    Ok(Tools { profile: name, instructions, bytes, output_schema_bytes, tools })
}

fn chosen(matches: &ArgMatches) -> &'static Profile {
    let name = matches.get_one::<String>("profile").expect("an argument with a default");
    profile::find(name).expect("clap accepts no other")
}

/// A server of `profile` on an operator's terms.
fn server(profile: &Profile, terms: Terms) -> Result<Server<Governed>, OpError> {
    let decisions = terms.decisions();
    let has_folder = terms.ceiling.folder.is_some();
    let open = move || {
        let program = env::current_exe().map_err(|error| {
            OpError::new(ErrorKind::Internal, &error).during("cannot find this program's own file")
        })?;
        let engine = Engine::open(Settings::from_environment(Some(program))?)?;
        Ok(Governed::new(engine, terms.ceiling.clone()))
    };
    let table = workspace_api::operations::<Governed>();
    let identity = ("hotcell", env!("CARGO_PKG_VERSION"));
    let server = Server::new(identity, profile, table, &decisions, Box::new(open))
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
    let tools: Vec<String> = server.tools().iter().map(|tool| tool.name.to_string()).collect();
    let server = server.with_prompts(prompts::of(&tools));
    let server = if has_folder { server.with_outbox(copies::OUTBOX) } else { server };
    if profile.name == profile::VM_RUN.name {
        // Nothing stays of which there could be a view.
        return Ok(server);
    }
    server
        .with_views(profile::VIEWS, profile::SHELF)
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all tools of a mode may cost a model, in bytes of name, description
    /// and input schema: about 1,500 tokens.
    const MODE_MAX_BYTES: usize = 6_000;
    /// The same for everything: about 5,000 tokens.
    const FULL_MAX_BYTES: usize = 20_000;

    /// What an operator says who allows as much as there is.
    const EVERYTHING: &[&str] = &[
        "--project-path",
        "/",
        "--max-network",
        "pip.test,*.pythonfiles.test,crates.test,*.crates.test",
        "--secret",
        "DEPLOY_TOKEN",
        "--secret",
        "GITHUB_TOKEN",
        "--host-root",
        "/usr/share",
        "--apply-back",
        "yes",
    ];

    fn tools_for(profile: &'static str) -> Tools {
        let limits = if profile == profile::INSPECT.name {
            &["--project-path", "/", "--export-dir", "/tmp"]
        } else {
            EVERYTHING
        };
        let words =
            ["mcp", "tools", "--profile", profile].into_iter().chain(limits.iter().copied());
        let matches = command().get_matches_from(words);
        tools(matches.subcommand().unwrap().1).unwrap()
    }

    #[test]
    fn every_profile_fits_the_table_and_its_budget() {
        for profile in profile::PROFILES {
            let Tools { tools, bytes, .. } = tools_for(profile.name);
            let count = tools.len();
            assert_eq!(count, profile.tools.len(), "{}: something is withheld", profile.name);
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
            let server = server(profile, Terms::default()).unwrap();
            for tool in server.tools() {
                let at = format!("{}/{}", profile.name, tool.name);
                check(&at, &serde_json::to_value(&*tool.input_schema).unwrap());
                let output = tool.output_schema.map(|schema| json!(*schema));
                for bad in ["$ref", "$defs", "\"null\"", "$schema", ":true", ":{}"] {
                    let text = output.as_ref().map(ToString::to_string).unwrap_or_default();
                    assert!(!text.contains(bad), "{at}: {bad} in {text}");
                }
                assert!(output.is_none_or(|schema| schema["type"] == "object"), "{at}");
            }
        }
    }

    #[test]
    fn what_an_operator_forbids_is_not_offered() {
        let server = server(&profile::WORKSPACE_FULL, Terms::default()).unwrap();
        let tools = server.tools();
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        for withheld in ["network_set", "workspace_export", "workspace_apply_back", "sync_push"] {
            assert!(!names.contains(&withheld), "{withheld}");
        }
        for tool in &tools {
            let fields = tool.input_schema["properties"].as_object().unwrap();
            for hidden in ["network", "allow", "secret", "path_of_host", "allow_secrets"] {
                assert!(!fields.contains_key(hidden), "{}: {hidden}", tool.name);
            }
        }
    }

    #[test]
    fn every_mode_has_its_recipes_as_prompts() {
        for recipe in recipes::RECIPES {
            let profile = profile::find(recipe.mode).unwrap();
            let tools: Vec<String> =
                profile.tools.iter().map(|tool| tool.name.to_owned()).collect();
            assert!(prompts::of(&tools).iter().any(|prompt| prompt.name == recipe.name));
        }
        assert!(prompts::of(&["vm_run".to_owned()]).is_empty());
    }

    #[test]
    fn the_mode_for_what_is_not_trusted_has_neither_network_nor_secrets() {
        for limits in [["--max-network", "egress"], ["--secret", "TOKEN"], ["--host-root", "/"]] {
            let words = ["mcp", "serve", "--mode", "inspect"].into_iter().chain(limits);
            let matches = command().get_matches_from(words);
            let (_, matches) = matches.subcommand().unwrap();
            let error = Terms::of(&profile::INSPECT, matches).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error}");
        }
    }
}
