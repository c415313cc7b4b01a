//! OpenAI's Chat Completions.

use serde_json::{Value, json};

use super::{Answer, Offered, Response, Script, Turn, Way, result_text};

pub(super) fn answer(request: &Value, script: &dyn Script, number: usize) -> Response {
    let messages = request["messages"].as_array().into_iter().flatten();
    let results = messages.filter(|message| message["role"] == "tool");
    let results: Vec<String> = results.map(|message| result_text(&message["content"])).collect();
    let tools = request["tools"].as_array().into_iter().flatten();
    let tools = tools.filter_map(|tool| {
        let name = tool["function"]["name"].as_str()?.to_owned();
        Some(Offered { name, namespace: None, way: Way::Direct })
    });
    let turn = Turn {
        step: script.step(&results),
        tools: tools.collect(),
        has_searched: false,
        id: format!("chatcmpl-{number}"),
        model: request["model"].clone(),
    };
    let (message, reason) = match turn.answer() {
        Answer::Failure(status, kind) => return Response::failure(status, kind),
        Answer::Search(text) | Answer::Script(text) | Answer::Text(text) => {
            (json!({ "role": "assistant", "content": text }), "stop")
        }
        Answer::Call(tool, arguments) => (
            json!({
                "role": "assistant", "content": null,
                "tool_calls": [{
                    "index": 0, "id": format!("call_{number}"), "type": "function",
                    "function": { "name": tool.name, "arguments": arguments.to_string() },
                }],
            }),
            "tool_calls",
        ),
    };
    let usage = json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 });
    let whole = |kind: &str, choices: Value, usage: Value| {
        json!({
            "id": turn.id, "object": kind, "created": 0, "model": turn.model,
            "choices": choices, "usage": usage,
        })
    };
    if request["stream"] != true {
        let choice = json!([{ "index": 0, "message": message, "finish_reason": reason }]);
        return Response::Json(whole("chat.completion", choice, usage));
    }
    let chunk = |delta: &Value, reason: Value| {
        let choice = json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
        whole("chat.completion.chunk", choice, Value::Null)
    };
    let chunks = [
        chunk(&message, Value::Null),
        chunk(&json!({}), reason.into()),
        whole("chat.completion.chunk", json!([]), usage),
    ];
    let mut events: Vec<(String, String)> =
        chunks.iter().map(|chunk| (String::new(), chunk.to_string())).collect();
    events.push((String::new(), "[DONE]".to_owned()));
    Response::Events(events)
}
