//! Anthropic's Messages.

use serde_json::{Value, json};

use super::{Answer, Offered, Response, Script, Turn, Way, result_text};

pub(super) fn answer(request: &Value, script: &dyn Script, number: usize) -> Response {
    let messages = request["messages"].as_array().into_iter().flatten();
    let blocks = messages.flat_map(|message| message["content"].as_array().into_iter().flatten());
    let results = blocks.filter(|block| block["type"] == "tool_result");
    let results: Vec<String> = results.map(|block| result_text(&block["content"])).collect();
    let tools = request["tools"].as_array().into_iter().flatten();
    let tools = tools.filter_map(|tool| {
        Some(Offered { name: tool["name"].as_str()?.to_owned(), namespace: None, way: Way::Direct })
    });
    let turn = Turn {
        step: script.step(&results),
        tools: tools.collect(),
        has_searched: false,
        id: format!("msg_{number}"),
        model: request["model"].clone(),
    };
    let (block, delta, stop) = match turn.answer() {
        Answer::Failure(status, kind) => return Response::failure(status, kind),
        Answer::Search(text) | Answer::Script(text) | Answer::Text(text) => (
            json!({ "type": "text", "text": "" }),
            json!({ "type": "text_delta", "text": text }),
            "end_turn",
        ),
        Answer::Call(tool, arguments) => (
            json!({ "type": "tool_use", "id": format!("toolu_{number}"), "name": tool.name, "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": arguments.to_string() }),
            "tool_use",
        ),
    };
    let usage = json!({ "input_tokens": 10, "output_tokens": 5 });
    if request["stream"] != true {
        let text = delta["text"].as_str().unwrap_or_default();
        return Response::Json(json!({
            "id": turn.id, "type": "message", "role": "assistant", "model": turn.model,
            "content": [{ "type": "text", "text": text }],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage,
        }));
    }
    Response::typed(vec![
        json!({ "type": "message_start", "message": {
            "id": turn.id, "type": "message", "role": "assistant", "model": turn.model,
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
        } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": stop, "stop_sequence": null },
            "usage": { "output_tokens": 5 },
        }),
        json!({ "type": "message_stop" }),
    ])
}
