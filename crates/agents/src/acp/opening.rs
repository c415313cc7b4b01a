//! How a session is opened: a greeting, the session itself, and its model.

use serde_json::{Value, json};

use super::permission::Permitted;
use crate::event::{End, Failure};
use crate::json::{beginning, list, number, text};
use crate::launch::{Gateway, Hands, Task};

/// The version of the protocol that is spoken.
const VERSION: u64 = 1;

/// A request that belongs to opening a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Initialize,
    /// A session, another one or that which is gone on with.
    Session,
    Model,
}

/// A session that is being opened, or is open.
#[derive(Debug)]
pub(super) struct Opening {
    directory: String,
    gateway: Gateway,
    permitted: Permitted,
    model: Option<String>,
    resume: Option<String>,
    session: String,
    /// What the agent calls the choice of its model.
    choice: String,
}

impl Opening {
    pub(super) fn new(task: &Task<'_>) -> Self {
        Self {
            directory: task.directory.to_string_lossy().into_owned(),
            gateway: task.gateway.clone(),
            permitted: match task.hands {
                Hands::Gateway => Permitted::Gateway(task.gateway.name.clone()),
                Hands::Own { .. } => Permitted::All,
            },
            model: task.model.map(str::to_owned),
            resume: task.resume.map(str::to_owned),
            session: String::new(),
            choice: String::new(),
        }
    }

    /// What the agent calls the session, empty until it is open.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// Whether it is gone on with.
    pub(super) const fn is_resumed(&self) -> bool {
        self.resume.is_some()
    }

    /// What the agent may do.
    pub(super) const fn permitted(&self) -> &Permitted {
        &self.permitted
    }

    /// The method and the parameters of a request.
    pub(super) fn request(&self, request: Request) -> (&'static str, Value) {
        match request {
            Request::Initialize => (
                "initialize",
                json!({
                    "protocolVersion": VERSION,
                    "clientCapabilities": {
                        "fs": {"readTextFile": false, "writeTextFile": false},
                        "terminal": false,
                    },
                    "clientInfo": {"name": "hotcell", "version": env!("CARGO_PKG_VERSION")},
                }),
            ),
            Request::Session => {
                let variables = self.gateway.variables.iter();
                let variables: Vec<Value> =
                    variables.map(|(name, value)| json!({"name": name, "value": value})).collect();
                let server = json!({
                    "name": self.gateway.name,
                    "command": self.gateway.program,
                    "args": self.gateway.arguments,
                    "env": variables,
                });
                let mut parameters = json!({"cwd": self.directory, "mcpServers": [server]});
                match &self.resume {
                    Some(session) => {
                        parameters["sessionId"] = json!(session);
                        ("session/load", parameters)
                    }
                    None => ("session/new", parameters),
                }
            }
            Request::Model => (
                "session/set_config_option",
                json!({"sessionId": self.session, "configId": self.choice, "value": self.model}),
            ),
        }
    }

    /// What is to be asked after an answer; nothing when the session is open.
    ///
    /// # Errors
    ///
    /// How the conversation ends that cannot be opened.
    pub(super) fn answered(
        &mut self,
        request: Request,
        said: &Value,
    ) -> Result<Option<Request>, End> {
        let failed = |failure, text: &str| Err(End::Failed { failure, text: beginning(text) });
        if said.get("error").is_some() {
            let failure = match request {
                Request::Model => Failure::Access,
                Request::Initialize | Request::Session => super::failure(said),
            };
            return failed(failure, text(said, "/error/message"));
        }
        match request {
            Request::Initialize if number(said, "/result/protocolVersion") != Some(VERSION) => {
                failed(Failure::Unknown, "it speaks another version of the protocol")
            }
            Request::Initialize
                if self.resume.is_some()
                    && said.pointer("/result/agentCapabilities/loadSession")
                        != Some(&Value::Bool(true)) =>
            {
                failed(Failure::Unknown, "it does not go on with conversations")
            }
            Request::Initialize => Ok(Some(Request::Session)),
            Request::Session => {
                self.session = match &self.resume {
                    Some(session) => session.clone(),
                    None => beginning(text(said, "/result/sessionId")),
                };
                Ok(self.chooses(said).then_some(Request::Model))
            }
            Request::Model => Ok(None),
        }
    }

    /// Whether the model has to be chosen. An agent that offers no choice was told its
    /// model when it was launched.
    fn chooses(&mut self, said: &Value) -> bool {
        let Some(model) = &self.model else { return false };
        let mut options = list(said, "/result/configOptions").iter();
        let Some(choice) = options.find(|option| text(option, "/category") == "model") else {
            return false;
        };
        self.choice = beginning(text(choice, "/id"));
        text(choice, "/currentValue") != model
    }
}
