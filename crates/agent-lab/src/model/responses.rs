//! OpenAI's Responses. Tools of a server come in a namespace, and a call names it.
//!
//! Codex offers them in three ways: models that it does not know get all of them,
//! `gpt-5.5` a tool that searches for them (`tool_search`), and `gpt-6-sol` one that runs
//! scripts (`exec`), offered in the conversation itself.

use serde_json::{Value, json};

use super::{Answer, Offered, Response, Script, Turn, Way, result_text};

pub(super) fn answer(request: &Value, script: &dyn Script, number: usize) -> Response {
    let items = || request["input"].as_array().into_iter().flatten();
    let is_result = |item: &&Value| {
        item["type"] == "function_call_output" || item["type"] == "custom_tool_call_output"
    };
    let results = items().filter(is_result);
    let results: Vec<String> = results.map(|item| result_text(&item["output"])).collect();
    let mut tools = Vec::new();
    offered(&request["tools"], None, &mut tools);
    for item in items() {
        if item["type"] == "additional_tools" || item["type"] == SEARCHED {
            offered(&item["tools"], None, &mut tools);
        }
    }
    let turn = Turn {
        step: script.step(&results),
        tools,
        has_searched: items().last().is_some_and(|item| item["type"] == SEARCHED),
        id: format!("resp_{number}"),
        model: request["model"].clone(),
    };
    let item = match turn.answer() {
        Answer::Failure(status, kind) => return Response::failure(status, kind),
        Answer::Text(text) => json!({
            "type": "message", "id": format!("msg_{number}"), "role": "assistant",
            "status": "completed",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }),
        Answer::Call(tool, arguments) => {
            let mut call = json!({
                "type": "function_call", "id": format!("fc_{number}"),
                "call_id": format!("call_{number}"), "name": tool.name,
                "arguments": arguments.to_string(), "status": "completed",
            });
            if let Some(namespace) = tool.namespace {
                call["namespace"] = namespace.into();
            }
            call
        }
        Answer::Search(query) => json!({
            "type": "tool_search_call", "id": format!("tsc_{number}"),
            "call_id": format!("call_{number}"), "execution": "client",
            "arguments": { "query": query }, "status": "completed",
        }),
        Answer::Script(script) => json!({
            "type": "custom_tool_call", "id": format!("ctc_{number}"),
            "call_id": format!("call_{number}"), "name": "exec", "input": script,
            "status": "completed",
        }),
    };
    let response = |status: &str, output: Value, usage: Value| {
        json!({
            "id": turn.id, "object": "response", "created_at": 0, "status": status,
            "model": turn.model, "output": output, "parallel_tool_calls": false, "tools": [],
            "usage": usage,
        })
    };
    let usage = json!({
        "input_tokens": 10, "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 15,
    });
    let begun = response("in_progress", json!([]), Value::Null);
    let done = response("completed", json!([item]), usage);
    if request["stream"] != true {
        return Response::Json(done);
    }
    Response::typed(vec![
        json!({ "type": "response.created", "sequence_number": 0, "response": begun }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": "response.completed", "response": done }),
    ])
}

/// What a search has found.
const SEARCHED: &str = "tool_search_output";

fn offered(tools: &Value, namespace: Option<&str>, found: &mut Vec<Offered>) {
    for tool in tools.as_array().into_iter().flatten() {
        let name = tool["name"].as_str().unwrap_or_default();
        let way = match (tool["type"].as_str(), name) {
            (Some("namespace"), _) => {
                offered(&tool["tools"], Some(name), found);
                continue;
            }
            (Some("tool_search"), _) => Way::Search,
            (Some("custom"), "exec") => Way::Script,
            // What it calls has arguments.
            (Some("custom"), _) => continue,
            _ => Way::Direct,
        };
        let namespace = namespace.map(str::to_owned);
        found.push(Offered { name: name.to_owned(), namespace, way });
    }
}
