//! One server: a catalog, a table, and whoever carries operations out.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use operation::tool::{Catalog, Decision, Entry, Profile, ProfileError, Reply};
use operation::{Effect, OpError, OpSpec, Progress, RawCall, Tell};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
    ProgressToken, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer, ServerHandler, serve_server};
use serde_json::Value;

use crate::answer::Answer;

/// Opens whoever carries operations out.
pub type Host<H> = Box<dyn Fn() -> Result<H, OpError> + Send + Sync>;

/// Serves a profile of a table.
pub struct Server<H> {
    table: Vec<OpSpec<H>>,
    catalog: Catalog,
    instructions: &'static str,
    name: &'static str,
    version: &'static str,
    open: Host<H>,
    opened: OnceLock<H>,
}

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What the client said first was no beginning of a conversation.
    #[error("the client did not begin a conversation")]
    Begin(#[source] Box<rmcp::service::ServerInitializeError>),
    /// The task that serves came to an end that it should not.
    #[error("the server's task failed")]
    Task(#[source] tokio::task::JoinError),
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

impl<H: Send + Sync + 'static> Server<H> {
    /// A server of `profile`, narrowed by `decisions`, under a name and version,
    /// whose operations are carried out by what `open` returns.
    ///
    /// # Errors
    ///
    /// If the profile does not fit the table.
    pub fn new(
        (name, version): (&'static str, &'static str),
        profile: &Profile,
        table: Vec<OpSpec<H>>,
        decisions: &[Decision],
        open: Host<H>,
    ) -> Result<Self, ProfileError> {
        let catalog = Catalog::new(profile, &table, decisions)?;
        let instructions = profile.instructions;
        Ok(Self { table, catalog, instructions, name, version, open, opened: OnceLock::new() })
    }

    /// Serves the client at the other end of standard input and output until it
    /// goes away. Calls that are under way then are cancelled.
    ///
    /// # Errors
    ///
    /// If the client says nothing that begins a conversation.
    pub async fn serve_stdio(self) -> Result<(), ServeError> {
        let service = serve_server(self, rmcp::transport::io::stdio_pipes()).await;
        let service = service.map_err(|source| ServeError::Begin(Box::new(source)))?;
        service.waiting().await.map_err(ServeError::Task)?;
        Ok(())
    }

    /// The definitions of the tools, as hosts see them.
    pub fn tools(&self) -> Vec<Tool> {
        self.catalog.entries().iter().map(defined).collect()
    }

    fn host(&self) -> Result<&H, OpError> {
        if let Some(host) = self.opened.get() {
            return Ok(host);
        }
        let host = (self.open)()?;
        // Somebody else may have been faster; either will do.
        Ok(self.opened.get_or_init(|| host))
    }

    async fn carry_out(
        &self,
        entry: &Entry,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let answer = Arc::new(Mutex::new(Answer::default()));
        let gathered = Arc::clone(&answer);
        let told = ToldProgress::of(&context);
        let call = RawCall::new(move |event: Box<dyn Tell>| {
            let told = told.clone();
            let progress = event.progress();
            if progress.is_none() {
                gathered.lock().expect("nobody panics while adding").add(&*event);
            }
            async move {
                if let Some(progress) = progress {
                    told.tell(progress).await;
                }
            }
        })
        .with_cancel(context.ct.clone());
        let arguments = request.arguments.unwrap_or_default();
        let outcome = async {
            let request = entry.request(arguments)?;
            let row = &self.table[entry.row];
            (row.call)(self.host()?, request, call).await
        };
        match outcome.await {
            Ok(output) => {
                let mut answer = std::mem::take(&mut *answer.lock().expect("as above"));
                answer.add(&*output);
                let mut result = CallToolResult::success(vec![ContentBlock::text(answer.text())]);
                if entry.tool.reply == Reply::Record {
                    result.structured_content = Some(output.json());
                }
                result
            }
            Err(error) => {
                let code = serde_json::to_value(error.kind).unwrap_or(Value::Null);
                let text = format!("{error}\ncode: {}", code.as_str().unwrap_or_default());
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
        }
    }
}

impl<H: Send + Sync + 'static> ServerHandler for Server<H> {
    fn get_info(&self) -> ServerConfig {
        let mut config = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        config.server_info = Implementation::new(self.name, self.version);
        config.with_instructions(self.instructions)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = self.catalog.find(&request.name) else {
            let known: Vec<&str> = self.catalog.entries().iter().map(|e| e.tool.name).collect();
            let message = format!("there is no such tool; there are {}", known.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        Ok(self.carry_out(entry, request, context).await.into())
    }
}

/// A tool's definition, as hosts see it.
fn defined(entry: &Entry) -> Tool {
    let mut tool = Tool::new(entry.tool.name, entry.tool.about, entry.input_schema.clone());
    tool.output_schema = entry.output_schema.clone().map(Arc::new);
    // Hosts that run tools unasked want to read that nothing is destroyed and
    // that no open world is reached. What happens in workspaces is neither,
    // unless it deletes work; what changes the host is for a person to allow.
    let effect = entry.effect;
    let annotations = ToolAnnotations::new().read_only(effect == Effect::Reads);
    let annotations = annotations.open_world(effect == Effect::Crosses);
    tool.annotations = Some(annotations.destructive(effect == Effect::Destroys));
    tool
}

/// Where progress of a call is told, if the client wants to know.
#[derive(Clone)]
struct ToldProgress {
    client: Option<(Peer<RoleServer>, ProgressToken)>,
    steps: Arc<Mutex<f64>>,
}

impl ToldProgress {
    fn of(context: &RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        let client = token.map(|token| (context.peer.clone(), token));
        Self { client, steps: Arc::default() }
    }

    async fn tell(&self, progress: Progress) {
        let Some((peer, token)) = &self.client else { return };
        // The protocol wants a number that only grows; pieces of work that
        // follow each other each begin at zero.
        let step = {
            let mut steps = self.steps.lock().expect("nobody panics while counting");
            *steps += 1.0;
            *steps
        };
        let mut param = ProgressNotificationParam::new(token.clone(), step);
        param.message = Some(match progress.total {
            Some(total) => {
                format!("{}: {} ({} of {total})", progress.task, progress.note, progress.done)
            }
            None => format!("{}: {}", progress.task, progress.note),
        });
        if let Err(error) = peer.notify_progress(param).await {
            tracing::debug!(%error, "the client takes no progress");
        }
    }
}
