//! One server: a catalog, a table, and whoever carries operations out.

mod call;
mod conversation;
mod logging;
mod outbox;
mod prompt;
mod resource;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use operation::tool::{Catalog, Decision, Entry, Load, Profile, ProfileError};
use operation::view::{Gallery, GalleryError, Shelf, View};
use operation::{Effect, OpError, OpSpec};
use rmcp::model::{MetaObject, Tool, ToolAnnotations};
use rmcp::service::serve_server_with_ct;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::conversation::Conversation;
pub use self::outbox::{Copied, Outbox};
pub use self::prompt::Prompt;

/// How long calls may take to end what they began, once nobody waits for them.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks Claude Code to show a tool from the beginning.
const ALWAYS_LOAD: &str = "anthropic/alwaysLoad";

/// Opens whoever carries operations out.
pub type Host<H> = Box<dyn Fn() -> Result<H, OpError> + Send + Sync>;

/// Serves a profile of a table.
pub struct Server<H> {
    table: Vec<OpSpec<H>>,
    catalog: Catalog,
    gallery: Option<Gallery>,
    outbox: Option<Outbox<H>>,
    prompts: Vec<Prompt>,
    instructions: &'static str,
    name: &'static str,
    version: &'static str,
    open: Host<H>,
    opened: OnceLock<H>,
    /// Calls that are under way.
    pub(crate) under_way: TaskTracker,
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
        Ok(Self {
            table,
            catalog,
            gallery: None,
            outbox: None,
            prompts: Vec::new(),
            instructions,
            name,
            version,
            open,
            opened: OnceLock::new(),
            under_way: TaskTracker::new(),
        })
    }

    /// The same server with texts that can be read by address.
    ///
    /// # Errors
    ///
    /// If they do not fit the table.
    pub fn with_views(mut self, views: &[View], shelf: Shelf) -> Result<Self, GalleryError> {
        self.gallery = Some(Gallery::new(views, shelf, &self.table)?);
        Ok(self)
    }

    /// The same server with files that were copied out, to be read again.
    #[must_use]
    pub fn with_outbox(mut self, outbox: Outbox<H>) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// The same server with beginnings of conversations.
    #[must_use]
    pub fn with_prompts(mut self, prompts: Vec<Prompt>) -> Self {
        self.prompts = prompts;
        self
    }

    /// Serves the client at the other end of standard input and output until it
    /// goes away or `until` is cancelled. Calls that are under way then are
    /// cancelled, and that is waited for, for a while.
    ///
    /// # Errors
    ///
    /// If the client says nothing that begins a conversation.
    pub async fn serve_stdio(self, until: CancellationToken) -> Result<(), ServeError> {
        let under_way = self.under_way.clone();
        let conversation = Conversation::new(Arc::new(self));
        let served =
            serve_server_with_ct(conversation, rmcp::transport::io::stdio_pipes(), until).await;
        let service = served.map_err(|source| ServeError::Begin(Box::new(source)))?;
        service.waiting().await.map_err(ServeError::Task)?;
        ended(under_way).await;
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
}

/// Waits until calls that were cancelled have ended what they began: what runs in a
/// guest is ended by whoever carries the call out, and not by our end.
pub(crate) async fn ended(under_way: TaskTracker) {
    under_way.close();
    if timeout(END_TIMEOUT, under_way.wait()).await.is_err() {
        tracing::warn!("{} calls do not end", under_way.len());
    }
}

/// A tool's definition, as hosts see it.
fn defined(entry: &Entry) -> Tool {
    let mut tool = Tool::new(entry.tool.name, entry.tool.about, entry.input_schema.clone());
    tool.output_schema = entry.output_schema.clone().map(Arc::new);
    // Hosts that run tools unasked want to read that nothing is destroyed and
    // that no open world is reached. What happens in workspaces is neither,
    // unless it deletes work; what changes the host is for a person to allow.
    if entry.tool.load == Load::Always {
        let mut meta = MetaObject::default();
        meta.insert(ALWAYS_LOAD.to_owned(), Value::Bool(true));
        tool.meta = Some(meta);
    }
    let effect = entry.effect;
    let annotations = ToolAnnotations::new().read_only(effect == Effect::Reads);
    let annotations = annotations.open_world(effect == Effect::Crosses);
    tool.annotations = Some(annotations.destructive(effect == Effect::Destroys));
    tool
}

#[cfg(test)]
mod tests;
