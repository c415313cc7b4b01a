//! The protocol's side of a lane: what tools there are, and calls of them.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, Implementation, ListToolsResult,
    MetaObject, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::Value;

use super::lane::Lane;
use super::tools::Row;

/// Asks Claude Code to show a tool from the beginning.
const ALWAYS_LOAD: &str = "anthropic/alwaysLoad";

/// One bridge's conversation with a lane.
#[derive(Debug)]
pub(super) struct Conversation {
    lane: Arc<Lane>,
}

impl Conversation {
    pub(super) fn with(lane: Arc<Lane>) -> Self {
        Self { lane }
    }
}

fn defined(row: &Row) -> Tool {
    let mut tool = Tool::new(row.name, row.about, Arc::new((row.schema)()));
    let mut meta = MetaObject::default();
    meta.insert(ALWAYS_LOAD.to_owned(), Value::Bool(true));
    tool.meta = Some(meta);
    // Codex, told to ask nobody, calls only what says that it destroys nothing and
    // reaches no open world. What happens in a lane does neither.
    tool.annotations = Some(ToolAnnotations::new().destructive(false).open_world(false));
    tool
}

impl ServerHandler for Conversation {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let mut config = ServerConfig::new(capabilities);
        config.server_info = Implementation::new("hotcell", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.lane.tools().iter().map(defined).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tools = self.lane.tools();
        let Some(row) = tools.iter().find(|row| row.name == request.name) else {
            let names: Vec<&str> = tools.iter().map(|row| row.name).collect();
            let message = format!("there is no such tool; there are {}", names.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        Ok(self.lane.call(row, arguments, context.ct).await.told().into())
    }
}
