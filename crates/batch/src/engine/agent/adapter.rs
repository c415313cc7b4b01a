//! Which program an agent is, and the adapter that launches and understands it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use agents::{Adapter, Dialogue, Launch, Provider, Task, proof};
use batch_api::ConversationId;

use super::super::site::Site;
use super::super::world::Trouble;
use crate::custody::Environment;
use crate::roster;

/// The provider of Codex's models, unless there is another one.
const OPENAI: &str = "https://api.openai.com/v1";

/// A program of the host that works on a task.
#[derive(Debug, Clone)]
pub struct HostAgent {
    /// Which agent it is.
    pub adapter: Adapter,
    /// The program.
    pub program: PathBuf,
    /// What comes before the arguments that its adapter gives it: all of them, if it is
    /// any command.
    pub arguments: Vec<String>,
    /// The model, as the agent calls it; its default if none is named.
    pub model: Option<String>,
    /// Where its model is, up to and with `/v1`, if not with the agent's own provider.
    pub endpoint: Option<String>,
    /// The credentials for its model, by the names of variables. They are in no file,
    /// no argument and no record.
    pub credentials: Environment,
    /// Where it finds other programs.
    pub search_path: String,
    /// This program, as which warden, door and bridge are run.
    pub hotcell: PathBuf,
}

impl HostAgent {
    /// Fails unless this version of the program is proved to keep its hands in a cell with
    /// this model: what nobody has tried is refused.
    pub(super) async fn prove(&self) -> Result<(), Trouble> {
        let version = roster::version(&self.program, OsStr::new(&self.search_path)).await?;
        proof(self.adapter, &version, self.model.as_deref())?;
        Ok(())
    }

    /// How many tokens its context holds, if it does not say so itself.
    pub(super) const fn window(&self) -> u64 {
        200_000
    }

    /// How it is launched for a task, and understood.
    pub(super) fn adapted(&self, task: &Task<'_>) -> (Launch, Box<dyn Dialogue>) {
        // Codex's own provider wants a login; with a key, it is one among others.
        let url = match (&self.endpoint, self.adapter) {
            (None, Adapter::Codex) => Some(OPENAI.to_owned()),
            (endpoint, _) => endpoint.clone(),
        };
        let provider = url
            .zip(self.credentials.names().next())
            .map(|(url, name)| Provider { url, key_variable: name.to_owned() });
        (self.adapter.launch(task, provider.as_ref()), self.adapter.dialogue(task))
    }

    /// All variables of its process.
    pub(super) fn environment(
        &self,
        home: &Path,
        site: &Site,
        conversation: &ConversationId,
        launch: &Launch,
    ) -> Result<Environment, Trouble> {
        let mut environment = self.credentials.clone();
        // An agent that is any command may have been given its person's.
        if !environment.names().any(|name| name == "HOME") {
            environment.set("HOME", &home.to_string_lossy())?;
        }
        environment.set("PATH", &self.search_path)?;
        for (name, value) in &launch.variables {
            environment.set(name, value)?;
        }
        for (name, value) in site.variables(conversation) {
            environment.set(name, &value)?;
        }
        Ok(environment)
    }
}
