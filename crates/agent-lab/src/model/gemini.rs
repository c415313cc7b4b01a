//! Google's Gemini: contents that are generated, at once or as a stream.

use serde_json::{Value, json};

use super::{Answer, Offered, Response, Script, Turn, Way};

/// How the path of a request ends that wants a stream.
pub(super) const STREAM: &str = ":streamGenerateContent";

/// How the path of a request ends that wants all of it at once.
pub(super) const WHOLE: &str = ":generateContent";

/// Answers what was asked as a stream.
pub(super) fn stream(request: &Value, script: &dyn Script, number: usize) -> Response {
    match answer(request, script, number) {
        Ok(answer) => Response::Events(vec![(String::new(), answer.to_string())]),
        Err(refused) => refused,
    }
}

/// Answers at once.
pub(super) fn whole(request: &Value, script: &dyn Script, number: usize) -> Response {
    answer(request, script, number).map_or_else(|refused| refused, Response::Json)
}

fn answer(request: &Value, script: &dyn Script, number: usize) -> Result<Value, Response> {
    let contents = request["contents"].as_array().into_iter().flatten();
    let parts = contents.flat_map(|content| content["parts"].as_array().into_iter().flatten());
    let results = parts.filter(|part| part["functionResponse"].is_object());
    let results: Vec<String> =
        results.map(|part| part["functionResponse"]["response"].to_string()).collect();
    let tools = request["tools"].as_array().into_iter().flatten();
    let tools =
        tools.flat_map(|tools| tools["functionDeclarations"].as_array().into_iter().flatten());
    let tools = tools.filter_map(|tool| {
        Some(Offered { name: tool["name"].as_str()?.to_owned(), namespace: None, way: Way::Direct })
    });
    let turn = Turn {
        step: script.step(&results),
        tools: tools.collect(),
        has_searched: false,
        id: format!("response_{number}"),
        model: Value::Null,
    };
    let part = match turn.answer() {
        Answer::Failure(status, kind) => return Err(Response::failure(status, kind)),
        Answer::Search(text) | Answer::Script(text) | Answer::Text(text) => json!({ "text": text }),
        Answer::Call(tool, arguments) => {
            json!({ "functionCall": { "name": tool.name, "args": arguments } })
        }
    };
    Ok(json!({
        "responseId": turn.id,
        "candidates": [{
            "index": 0, "finishReason": "STOP", "content": { "role": "model", "parts": [part] },
        }],
        "usageMetadata": {
            "promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15,
        },
    }))
}
