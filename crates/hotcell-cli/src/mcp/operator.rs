//! What an operator says when tools are served, once and for all: the project and
//! the ceiling. Models have no say in any of it.
//!
//! Paths are resolved here, when somebody is there to read an error; only the
//! project may turn out to be missing later, because a chat host starts its
//! servers whatever state the project is in, and the tool that needs it says so.

use std::env;
use std::fs;
use std::path::{Path, PathBuf, absolute};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgAction, ArgMatches, ValueEnum as _, value_parser};
use operation::tool::{Decision, Profile};
use operation::{ErrorKind, OpError, Operation as _};
use serde_json::Value;
use workspace_api::ceiling::{ApplyBackCeiling, Ceiling, HostRoot, NetworkCeiling, Scope, Source};
use workspace_api::profile;
use workspace_api::run::Run;
use workspace_api::secret::SecretName;
use workspace_api::spec::{EnvironmentRef, Shape};
use workspace_api::workspace::Create;

/// What an operator has said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// What may be done at most.
    pub(crate) ceiling: Ceiling,
    /// What every workspace starts from, if models have no choice.
    environment: Option<EnvironmentRef>,
}

/// The arguments by which an operator says it.
pub(crate) fn arguments() -> Vec<Arg> {
    let project = "Project";
    let ceiling = "What models may do at most";
    vec![
        Arg::new("project-path")
            .long("project-path")
            .value_name("DIR")
            .help("Project that workspaces start from [default: the git checkout around here]")
            .help_heading(project)
            .value_parser(value_parser!(PathBuf)),
        Arg::new("repo-url")
            .long("repo-url")
            .value_name("URL")
            .help("Git repository that workspaces start from instead")
            .help_heading(project)
            .conflicts_with("project-path"),
        Arg::new("repo-ref")
            .long("repo-ref")
            .value_name("REF")
            .help("Branch, tag or commit of that repository [default: its default branch]")
            .help_heading(project)
            .requires("repo-url"),
        Arg::new("no-project-source")
            .long("no-project-source")
            .help("Let workspaces start empty")
            .help_heading(project)
            .conflicts_with_all(["project-path", "repo-url"])
            .action(ArgAction::SetTrue),
        Arg::new("all-workspaces")
            .long("all-workspaces")
            .help("Let models use every workspace, not only the project's own")
            .help_heading(project)
            .action(ArgAction::SetTrue),
        Arg::new("environment")
            .long("environment")
            .value_name("ENVIRONMENT")
            .help("Environment that workspaces start from [default: models choose]")
            .help_heading(project)
            .value_parser(value_parser!(EnvironmentRef)),
        Arg::new("max-network")
            .long("max-network")
            .value_name("off|egress|HOST,…")
            .help("What workspaces may reach: nothing, every public host, or these hosts")
            .help_heading(ceiling)
            .default_value("off")
            .value_parser(value_parser!(NetworkCeiling)),
        Arg::new("max-cpus")
            .long("max-cpus")
            .value_name("COUNT")
            .help("Processors of one machine [default: 8]")
            .help_heading(ceiling)
            .value_parser(value_parser!(u8).range(1..=64)),
        Arg::new("max-memory-mib")
            .long("max-memory-mib")
            .value_name("MIB")
            .help("Memory of one machine [default: 16384]")
            .help_heading(ceiling)
            .value_parser(value_parser!(u32).range(256..=262_144)),
        Arg::new("max-workspaces")
            .long("max-workspaces")
            .value_name("COUNT")
            .help("How many workspaces there may be [default: 32]")
            .help_heading(ceiling)
            .value_parser(value_parser!(u32).range(1..)),
        Arg::new("secret")
            .long("secret")
            .value_name("NAME")
            .help("Secret that commands may be given, by its name (can be repeated)")
            .help_heading(ceiling)
            .action(ArgAction::Append)
            .value_parser(value_parser!(SecretName)),
        Arg::new("host-root")
            .long("host-root")
            .value_name("DIR")
            .help("Directory of the host below which anything may be read and written (can be repeated)")
            .help_heading(ceiling)
            .action(ArgAction::Append)
            .value_parser(value_parser!(PathBuf)),
        Arg::new("export-dir")
            .long("export-dir")
            .value_name("DIR")
            .help("Directory of the host that single files may be copied into, over nothing that is there")
            .help_heading(ceiling)
            .value_parser(value_parser!(PathBuf)),
        Arg::new("apply-back")
            .long("apply-back")
            .value_name("WHAT")
            .help("What may be done to the project's checkout [default: dry-run, with a checkout]")
            .help_heading(ceiling)
            .value_parser(apply_back()),
    ]
}

fn apply_back() -> impl clap::builder::TypedValueParser<Value = ApplyBackCeiling> {
    let values = ApplyBackCeiling::value_variants();
    PossibleValuesParser::new(values.iter().map(|value| value.as_str())).map(|word| {
        let values = ApplyBackCeiling::value_variants().iter();
        let found = values.copied().find(|value| value.as_str() == word);
        found.expect("clap accepts no other")
    })
}

impl Terms {
    /// What was said on a command line with [`arguments`].
    ///
    /// # Errors
    ///
    /// If a directory is none, or if `profile` does not have what is allowed.
    pub(crate) fn of(profile: &Profile, matches: &ArgMatches) -> Result<Self, OpError> {
        let source = source(matches)?;
        let scope = match matches.get_flag("all-workspaces") {
            true => Scope::Everything,
            false => Scope::of(&source),
        };
        let usual = Ceiling::default();
        let unsaid = match source {
            Source::Directory(_) if profile.name != profile::INSPECT.name => {
                ApplyBackCeiling::DryRun
            }
            _ => ApplyBackCeiling::No,
        };
        let apply_back = matches.get_one("apply-back").copied().unwrap_or(unsaid);
        let one = |id: &str| matches.get_one(id).map(|path: &PathBuf| root(path)).transpose();
        let roots = matches.get_many("host-root").into_iter().flatten();
        let ceiling = Ceiling {
            network: matches.get_one("max-network").cloned().unwrap_or(usual.network),
            shape: Shape {
                cpus: matches.get_one("max-cpus").copied().unwrap_or(usual.shape.cpus),
                memory_mib: matches
                    .get_one("max-memory-mib")
                    .copied()
                    .unwrap_or(usual.shape.memory_mib),
            },
            workspaces: matches.get_one("max-workspaces").copied().unwrap_or(usual.workspaces),
            secrets: matches.get_many("secret").into_iter().flatten().cloned().collect(),
            apply_back,
            roots: roots.map(|path: &PathBuf| root(path)).collect::<Result<_, _>>()?,
            folder: one("export-dir")?,
            source,
            scope,
        };
        profile::fits(profile, &ceiling)
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        Ok(Self { ceiling, environment: matches.get_one("environment").cloned() })
    }

    /// What it means for all tools.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        let mut made = self.ceiling.decisions();
        if let Some(environment) = &self.environment {
            made.extend([Create::NAME, Run::NAME].map(|operation| Decision::Fixed {
                operation,
                field: "environment",
                value: Value::from(environment.as_str()),
            }));
        }
        made
    }
}

/// What workspaces start from.
///
/// # Errors
///
/// If it can be no project.
pub(crate) fn source(matches: &ArgMatches) -> Result<Source, OpError> {
    let refused = |error| OpError::new(ErrorKind::InvalidRequest, &error);
    if matches.get_flag("no-project-source") {
        return Ok(Source::Nothing);
    }
    if let Some(url) = matches.get_one::<String>("repo-url") {
        let reference = matches.get_one("repo-ref").cloned();
        return Source::repository(url.clone(), reference).map_err(refused);
    }
    let project = match matches.get_one::<PathBuf>("project-path") {
        Some(project) => Some(project.clone()),
        None => env::current_dir().ok().and_then(|here| checkout(&here)),
    };
    let Some(project) = project else { return Ok(Source::Nothing) };
    // One that is not there now may be there when a workspace is made.
    let project = fs::canonicalize(&project).or_else(|_| absolute(&project)).unwrap_or(project);
    Source::directory(project).map_err(refused)
}

/// A directory of the host that models may use.
fn root(path: &Path) -> Result<HostRoot, OpError> {
    let during = |error: OpError| error.during(format!("cannot allow {}", path.display()));
    let found = fs::canonicalize(path)
        .map_err(|error| during(OpError::new(ErrorKind::InvalidRequest, &error)))?;
    if !found.is_dir() {
        return Err(during(OpError::plain(ErrorKind::InvalidRequest, "it is no directory")));
    }
    HostRoot::new(found).map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))
}

/// The git checkout around a directory.
fn checkout(here: &Path) -> Option<PathBuf> {
    here.ancestors().find(|directory| directory.join(".git").exists()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn matches(words: &[&str]) -> ArgMatches {
        Command::new("x").no_binary_name(true).args(arguments()).get_matches_from(words)
    }

    #[test]
    fn defaults_allow_nothing_of_the_host() {
        let said = matches(&["--no-project-source"]);
        let Terms { ceiling, .. } = Terms::of(&profile::WORKSPACE_CORE, &said).unwrap();
        assert_eq!(ceiling.network, NetworkCeiling::Off);
        assert!(ceiling.secrets.is_empty() && ceiling.roots.is_empty());
        assert_eq!((ceiling.apply_back, ceiling.scope), (ApplyBackCeiling::No, Scope::Unowned));
        let said = matches(&["--project-path", "/usr"]);
        let Terms { ceiling, .. } = Terms::of(&profile::WORKSPACE_CORE, &said).unwrap();
        assert_eq!(ceiling.apply_back, ApplyBackCeiling::DryRun);
        let Terms { ceiling, .. } = Terms::of(&profile::INSPECT, &said).unwrap();
        assert_eq!(ceiling.apply_back, ApplyBackCeiling::No);
    }
}
