//! A server, spoken to by the protocol's own client.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use operation::tool::{Field, Load, Profile, Reply, Tool};
use operation::{Call, Effect, ErrorKind, Handler, NoEvents, OpError, OpSpec, Operation};
use operation::{Example, Present, Screen};
use rmcp::model::{CallToolRequestParams, JsonObject};
use rmcp::service::{
    ClientLifecycleMode, NotificationContext, RunningService, serve_client_with_lifecycle,
};
use rmcp::{ClientHandler, RoleClient, serve_server};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Conversation, Server};

/// Ask for something
#[derive(Debug, Serialize, Deserialize, JsonSchema, clap::Args)]
struct Ask {
    /// What for
    what: String,
}

/// What was given.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Given {
    /// Names it.
    id: String,
}

impl Present for Given {
    fn present(&self, screen: &mut Screen) {
        screen.line(&self.id);
    }
}

impl Operation for Ask {
    type Output = Given;
    type Event = NoEvents;
    const NAME: &'static str = "ask";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[];
}

struct Giver;

impl Handler<Ask> for Giver {
    async fn handle(&self, ask: Ask, _: &mut Call<NoEvents>) -> Result<Given, OpError> {
        match ask.what.as_str() {
            "much" => Err(OpError::plain(ErrorKind::Denied, "that is too much").hinted("ask less")),
            _ => Ok(Given { id: "gift_1".to_owned() }),
        }
    }
}

const PROFILE: Profile = Profile {
    name: "asking",
    about: "",
    instructions: "Ask.",
    tools: &[Tool {
        name: "ask",
        operation: "ask",
        about: "Ask for something.",
        fields: &[Field::own("what")],
        fixed: &[],
        reply: Reply::Record(&["id"]),
        load: Load::Always,
    }],
};

/// A client that keeps what it is told: each message with its level.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<(String, String)>>>);

#[expect(deprecated, reason = "the newest revision gives logging up; those before it have it")]
impl ClientHandler for Listener {
    async fn on_logging_message(
        &self,
        message: rmcp::model::LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let level = json!(message.level).as_str().unwrap().to_owned();
        let text = message.data.as_str().unwrap().to_owned();
        self.0.lock().unwrap().push((level, text));
    }
}

impl Listener {
    fn heard(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }
}

async fn conversation(
    lifecycle: ClientLifecycleMode,
) -> (Listener, RunningService<RoleClient, Listener>) {
    let table = vec![OpSpec::<Giver>::of::<Ask>()];
    let server = Server::new(("test", "1"), &PROFILE, table, &[], Box::new(|| Ok(Giver))).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let service = serve_server(Conversation::new(Arc::new(server)), far).await.unwrap();
        service.waiting().await.unwrap();
    });
    let listener = Listener::default();
    let client = serve_client_with_lifecycle(listener.clone(), near, lifecycle).await.unwrap();
    (listener, client)
}

fn asking(what: &str) -> CallToolRequestParams {
    let arguments: JsonObject = json!({ "what": what }).as_object().unwrap().clone();
    CallToolRequestParams::new("ask").with_arguments(arguments)
}

/// Waits until so many messages have come, which follow answers in their own time.
async fn hears(listener: &Listener, count: usize) -> Vec<(String, String)> {
    for _ in 0..1000 {
        if listener.heard().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    listener.heard()
}

#[tokio::test]
#[expect(deprecated, reason = "the newest revision gives logging up; those before it have it")]
async fn a_client_is_told_what_was_refused_and_from_a_level_on_what_was_done() {
    use rmcp::model::{LoggingLevel, SetLevelRequestParams};

    let (listener, client) = conversation(ClientLifecycleMode::Initialize).await;
    assert!(client.peer_info().unwrap().capabilities.logging.is_some());
    client.call_tool(asking("little")).await.unwrap();
    let refused = client.call_tool(asking("much")).await.unwrap();
    assert_eq!(refused.is_error, Some(true));
    let heard = hears(&listener, 1).await;
    let told = "ask was refused\nerror: that is too much\nhint: ask less".to_owned();
    assert_eq!(heard, [("warning".to_owned(), told)]);
    client.set_level(SetLevelRequestParams::new(LoggingLevel::Info)).await.unwrap();
    let given = client.call_tool(asking("little")).await.unwrap();
    assert_eq!(given.structured_content, Some(json!({ "id": "gift_1" })));
    let heard = hears(&listener, 2).await;
    let (level, text) = &heard[1];
    assert!(level == "info" && text.starts_with("ask answered after ") && text.ends_with("gift_1"));
}

#[tokio::test]
#[expect(deprecated, reason = "the newest revision gives logging up; those before it have it")]
async fn the_revision_without_logging_has_none() {
    use rmcp::model::{ErrorCode, LoggingLevel, ProtocolVersion, SetLevelRequestParams};
    use rmcp::service::ServiceError;

    let discover =
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] };
    let (listener, client) = conversation(discover).await;
    assert!(client.peer_info().unwrap().capabilities.logging.is_none());
    let refused = client.set_level(SetLevelRequestParams::new(LoggingLevel::Debug)).await;
    let Err(ServiceError::McpError(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code, ErrorCode::METHOD_NOT_FOUND);
    client.call_tool(asking("much")).await.unwrap();
    client.call_tool(asking("little")).await.unwrap();
    assert!(listener.heard().is_empty());
}
