//! What an agent asks of its client.

use serde_json::{Value, json};

use crate::dialogue::Heard;
use crate::event::Event;
use crate::json::{beginning, list, text};

/// Answers a question of the agent's. Nobody is there to say yes: only the gateway's
/// tools may be called, each time for this time.
pub(super) fn answer(said: &Value, gateway: &str) -> Heard {
    let method = text(said, "/method");
    let id = said.get("id");
    if method != "session/request_permission" {
        let error = json!({"code": -32601, "message": "nobody answers such requests here"});
        let reply = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string();
        let denied = Event::Denied { what: beginning(method) };
        return Heard { events: vec![denied], reply: vec![reply] };
    }
    let call = said.pointer("/params/toolCall").unwrap_or(&Value::Null);
    let is_gateways = is_gateways(call, gateway);
    let kind = if is_gateways { "allow_once" } else { "reject_once" };
    let options = list(said, "/params/options").iter();
    let option = options.clone().find(|option| text(option, "/kind") == kind);
    let outcome = match option {
        Some(option) => json!({"outcome": "selected", "optionId": text(option, "/optionId")}),
        // The turn ends: better than what was not meant.
        None => json!({"outcome": "cancelled"}),
    };
    let reply = json!({"jsonrpc": "2.0", "id": id, "result": {"outcome": outcome}}).to_string();
    let denied = Event::Denied { what: beginning(text(call, "/title")) };
    let events = if is_gateways && option.is_some() { Vec::new() } else { vec![denied] };
    Heard { events, reply: vec![reply] }
}

/// Whether this is a call of a tool of the gateway: of no kind that acts where the agent
/// runs, and titled with the name alone that hosts give to tools of servers.
fn is_gateways(call: &Value, gateway: &str) -> bool {
    let title = text(call, "/title");
    let name = title.strip_prefix("mcp__").unwrap_or(title);
    let rest = name.strip_prefix(gateway).map(|rest| rest.trim_start_matches('_'));
    let is_name = |rest: &str| {
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    text(call, "/kind") == "other" && name.len() > gateway.len() + 1 && rest.is_some_and(is_name)
}
