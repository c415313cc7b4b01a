//! What an agent asks of its client.

use serde_json::{Value, json};

use crate::json::{list, text};

/// What is answered to a question.
pub(super) struct Answer {
    /// The line.
    pub(super) reply: String,
    /// Whether it may do what it asked.
    pub(super) is_permitted: bool,
    /// What it asked for.
    pub(super) asked: String,
}

/// What an agent may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permitted {
    /// Call the tools of the server with this name.
    Gateway(String),
    /// Whatever it asks for: its hands are its own.
    All,
}

/// Answers a question of the agent's. Nobody is there to say yes: it may do what its
/// hands are for, each time for this time.
pub(super) fn answer(said: &Value, permitted: &Permitted) -> Answer {
    let method = text(said, "/method");
    let id = said.get("id");
    if method != "session/request_permission" {
        let error = json!({"code": -32601, "message": "nobody answers such requests here"});
        let reply = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string();
        return Answer { reply, is_permitted: false, asked: method.to_owned() };
    }
    let call = said.pointer("/params/toolCall").unwrap_or(&Value::Null);
    let may = match permitted {
        Permitted::Gateway(gateway) => is_gateways(call, gateway),
        Permitted::All => true,
    };
    let kind = if may { "allow_once" } else { "reject_once" };
    let option = list(said, "/params/options").iter().find(|option| text(option, "/kind") == kind);
    let outcome = match option {
        Some(option) => json!({"outcome": "selected", "optionId": text(option, "/optionId")}),
        // The turn ends: better than what was not meant.
        None => json!({"outcome": "cancelled"}),
    };
    let reply = json!({"jsonrpc": "2.0", "id": id, "result": {"outcome": outcome}}).to_string();
    let is_permitted = may && option.is_some();
    Answer { reply, is_permitted, asked: text(call, "/title").to_owned() }
}

/// Whether this is a call of a tool of the gateway: of no kind that acts where the agent
/// runs, and with nothing in its title but the name that agents give to tools of servers.
/// Commands and files have kinds of their own.
fn is_gateways(call: &Value, gateway: &str) -> bool {
    let title = text(call, "/title");
    let name = title.strip_prefix("mcp__").unwrap_or(title);
    let tool = match title.strip_suffix(&format!(" ({gateway} MCP Server)")) {
        Some(tool) => Some(tool),
        None => name
            .strip_prefix(gateway)
            .and_then(|rest| rest.strip_prefix("__").or_else(|| rest.strip_prefix('_'))),
    };
    let is_name = |tool: &str| {
        !tool.is_empty() && tool.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    text(call, "/kind") == "other" && tool.is_some_and(is_name)
}
