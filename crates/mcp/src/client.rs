//! The other side: a program that is served to, as a chat host is.
//!
//! It starts a server as a process of its own and speaks the protocol with it,
//! so that what is tried is what hosts get.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::{RoleClient, serve_client};
use serde_json::{Map, Value};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a server may take to begin. It boots nothing, so this is long.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long one call may take: a cold machine, slowly emulated, and a test suite.
const CALL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long a server may take to end once nobody speaks to it any more.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A server, and the conversation with it. Dropped, it kills the server.
#[derive(Debug)]
pub struct Client {
    service: RunningService<RoleClient, ()>,
    server: Child,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAnswer {
    /// Its text.
    pub text: String,
    /// Whether the text says what was done or why it was not.
    pub outcome: Outcome,
}

/// Whether a tool did what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Done,
    /// It did not.
    Failed,
}

/// Why a conversation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server did not begin.
    #[error("the server did not answer the first message")]
    Begin(#[source] Box<ClientInitializeError>),
    /// A call was not answered.
    #[error("the server did not answer a call of `{tool}`")]
    Call {
        /// The tool.
        tool: String,
        /// Why.
        source: Box<ServiceError>,
    },
    /// It took too long.
    #[error("the server said nothing for {0:?}")]
    Silent(Duration),
}

impl Client {
    /// Starts `program` with `arguments` as a server, and begins a conversation.
    ///
    /// # Errors
    ///
    /// If it cannot be started or does not begin.
    pub async fn start(program: &Path, arguments: &[OsString]) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Start { program: program.to_owned(), source };
        let mut server = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(output), Some(input)) = (server.stdout.take(), server.stdin.take()) else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let service = timeout(BEGIN_TIMEOUT, serve_client((), (output, input)))
            .await
            .map_err(|_| ClientError::Silent(BEGIN_TIMEOUT))?
            .map_err(|source| ClientError::Begin(Box::new(source)))?;
        Ok(Self { service, server })
    }

    /// Calls a tool.
    ///
    /// # Errors
    ///
    /// If there is no answer, or there is no such tool.
    pub async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
    ) -> Result<ToolAnswer, ClientError> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = timeout(CALL_TIMEOUT, self.service.call_tool(request))
            .await
            .map_err(|_| ClientError::Silent(CALL_TIMEOUT))?
            .map_err(|source| ClientError::Call {
                tool: tool.to_owned(),
                source: Box::new(source),
            })?;
        Ok(ToolAnswer::of(&result))
    }

    /// Ends the conversation and waits for the server, for a while.
    pub async fn end(mut self) {
        if let Err(error) = self.service.cancel().await {
            tracing::debug!(%error, "the conversation did not end as it should");
        }
        if timeout(END_TIMEOUT, self.server.wait()).await.is_err() {
            tracing::warn!("the server does not end; it is killed");
        }
    }
}

impl ToolAnswer {
    fn of(result: &CallToolResult) -> Self {
        let texts = result.content.iter().filter_map(|block| block.as_text());
        let text: Vec<&str> = texts.map(|text| text.text.as_str()).collect();
        let outcome = match result.is_error {
            Some(true) => Outcome::Failed,
            _ => Outcome::Done,
        };
        Self { text: text.join("\n"), outcome }
    }
}
