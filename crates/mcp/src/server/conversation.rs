//! One client's conversation with a server.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, DiscoverResult, ErrorData, GetPromptRequestParams,
    GetPromptResponse, Implementation, InitializeRequestParams, InitializeResult,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, PromptsCapability, ReadResourceRequestParams, ReadResourceResponse,
    ResourcesCapability, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};

use super::logging::{self, Log};
use super::{Prompt, Server};

/// One client's conversation with a server, which others may talk with as well.
pub(crate) struct Conversation<H> {
    server: Arc<Server<H>>,
    log: Log,
}

impl<H> Conversation<H> {
    pub(crate) fn new(server: Arc<Server<H>>) -> Self {
        Self { server, log: Log::default() }
    }
}

impl<H: Send + Sync + 'static> ServerHandler for Conversation<H> {
    fn get_info(&self) -> ServerConfig {
        let server = &self.server;
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        capabilities.resources = server.gallery.as_ref().map(|_| ResourcesCapability::default());
        capabilities.prompts = (!server.prompts.is_empty()).then(PromptsCapability::default);
        capabilities.logging = Some(logging::capability());
        let mut config = ServerConfig::new(capabilities);
        config.server_info = Implementation::new(server.name, server.version);
        config.with_instructions(server.instructions)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let agreed = self.negotiate_initialize(&request)?;
        self.log.begin();
        Ok(agreed)
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let mut info = self.get_info();
        // The revision in which servers are discovered has none.
        info.capabilities.logging = None;
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, info))
    }

    #[expect(deprecated, reason = "the newest revision gives logging up; those before it have it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.log.set(request.level)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.server.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = self.server.catalog.find(&request.name) else {
            let entries = self.server.catalog.entries().iter();
            let known: Vec<&str> = entries.map(|entry| entry.tool.name).collect();
            let message = format!("there is no such tool; there are {}", known.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        Ok(self.server.carry_out(entry, request, &self.log, context).await.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(self.server.resources(&context).await))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(self.server.templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(self.server.resource(&request.uri, &context).await?.into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = self.server.prompts.iter().map(Prompt::defined);
        Ok(ListPromptsResult::with_all_items(prompts.collect()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(self.server.prompt(&request)?.into())
    }
}
