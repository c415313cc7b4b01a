//! What an agent on the host needs: its program, its proof, and its credentials.
//!
//! Credentials are nowhere but in memory. Whoever starts an engine, by `start` or by
//! `resume`, reads them from its own environment by the names that the setup has, and
//! tells them to the engine over the socket between both; the engine gives them to the
//! processes of agents.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use agents::{Adapter, Lane};
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use workspace::settings::variable;

use crate::configuration::shown;
use crate::custody::Environment;
use crate::engine::{AgentSetup, HostAgent, LaneMode};
use crate::roster;

/// What is told to an engine and written down nowhere.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    variables: BTreeMap<String, String>,
    /// Where the model is, if the operator says so.
    endpoint: Option<String>,
    search_path: String,
}

/// Only names are told.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Credentials {
    /// Those that an agent needs, from this process's environment.
    pub(super) fn of(agent: &AgentSetup) -> Result<Self, OpError> {
        let Some(hosted) = &agent.hosted else { return Ok(Self::default()) };
        let mut variables = BTreeMap::new();
        for name in &hosted.credentials {
            let value = variable(name).and_then(|value| value.into_string().ok());
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                let message = format!(
                    "the variable `{name}`, which the agent's credentials are in, is not set here"
                );
                return Err(OpError::plain(ErrorKind::Unavailable, message).hinted(format!(
                    "set `{name}`, and start or resume again: credentials are kept nowhere"
                )));
            };
            variables.insert(name.clone(), value);
        }
        let endpoint = agent.kind.endpoint().and_then(variable);
        let endpoint = endpoint.and_then(|value| value.into_string().ok());
        let search_path = search_path().to_string_lossy().into_owned();
        Ok(Self { variables, endpoint, search_path })
    }

    /// The agent that they are for, if it runs on the host.
    pub(super) fn host(
        self,
        agent: &AgentSetup,
        hotcell: PathBuf,
    ) -> Result<Option<HostAgent>, OpError> {
        let Some(hosted) = &agent.hosted else { return Ok(None) };
        let mut credentials = Environment::empty();
        for (name, value) in &self.variables {
            credentials
                .set(name, value)
                .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        }
        Ok(Some(HostAgent {
            adapter: agent.kind.adapter(),
            program: hosted.program.clone().unwrap_or_default(),
            arguments: agent.command.get(1..).unwrap_or_default().to_vec(),
            model: hosted.model.clone(),
            endpoint: self.endpoint,
            credentials,
            search_path: self.search_path,
            hotcell,
        }))
    }
}

/// An agent as it is written down, with the program that it is here, if its lane may be
/// given to it: a cell if it is proved to keep its hands there, this host if whoever
/// starts the batch says so.
pub(super) async fn judged(
    mut agent: AgentSetup,
    repository: &Path,
    on_host: bool,
) -> Result<AgentSetup, String> {
    let Some(hosted) = &mut agent.hosted else { return Ok(agent) };
    if agent.lane == LaneMode::Worktree && !on_host {
        return Err(format!(
            "its agents would work on this host. Not kept apart: {}. If that is meant, `--on-host` allows it",
            Lane::Worktree.leaves_open()
        ));
    }
    let (adapter, search) = (agent.kind.adapter(), search_path());
    let command = || agent.command.first().map(String::as_str);
    let name = adapter.program().or_else(command).unwrap_or_default();
    let program = match &hosted.program {
        Some(program) => program.clone(),
        None if Path::new(name).is_absolute() => PathBuf::from(name),
        None => {
            let found = roster::programs(name, &search).into_iter().next();
            found.ok_or_else(|| {
                format!(
                    "found no program `{}` in PATH; expected it, or where it is as `program`",
                    shown(name)
                )
            })?
        }
    };
    // What a repository holds is somebody else's, and never run on the host.
    let is_its = |path: &Path| path.starts_with(repository);
    if is_its(&program) || program.canonicalize().is_ok_and(|real| is_its(&real)) {
        return Err(format!(
            "{} is within the repository; expected one outside",
            program.display()
        ));
    }
    if agent.lane == LaneMode::Cell {
        proved(adapter, &program, &search, hosted.model.as_deref()).await.map_err(|why| {
            format!(
                "{why}. It would be taken with `lane = \"worktree\"`; not kept apart there: {}",
                Lane::Worktree.leaves_open()
            )
        })?;
    }
    hosted.program = Some(program);
    Ok(agent)
}

/// Fails unless this program is proved to keep its hands in a cell.
async fn proved(
    adapter: Adapter,
    program: &Path,
    search: &OsStr,
    model: Option<&str>,
) -> Result<(), String> {
    // Of a kind of which nothing is proved no version is asked for: it may be anything.
    let is_known = agents::PROVED.iter().any(|row| row.adapter == adapter);
    let version = match is_known {
        true => roster::version(program, search).await.map_err(|error| error.to_string())?,
        false => String::new(),
    };
    agents::proof(adapter, &version, model).map(drop).map_err(|error| error.to_string())
}

fn search_path() -> OsString {
    variable("PATH").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown() {
        let variables = BTreeMap::from([("KEY".to_owned(), "hidden".to_owned())]);
        let credentials = Credentials { variables, ..Credentials::default() };
        assert_eq!(format!("{credentials:?}"), r#"{"KEY"}"#);
    }
}
