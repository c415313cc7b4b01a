//! Schemas that every host takes.

use serde_json::{Map, Value, json};

/// Words that say nothing to a model, or that some host rejects.
const DROPPED: &[&str] =
    &["$schema", "$defs", "title", "format", "pattern", "additionalProperties", "minimum"];

/// The same schema without references, alternatives with null, boolean schemas
/// and what costs words without helping a model. References that lie deeper than
/// `references_max` become schemas that take anything.
#[must_use]
pub fn portable(schema: &Value, references_max: usize) -> Value {
    rewritten(schema, &schema["$defs"], references_max)
}

fn rewritten(schema: &Value, definitions: &Value, left: usize) -> Value {
    let Some(schema) = schema.as_object() else {
        return json!({});
    };
    let follow = |reference: &Value| {
        let name = reference.as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        match left {
            0 => json!({}),
            _ => rewritten(&definitions[name], definitions, left - 1),
        }
    };
    let mut result = match schema.get("$ref").map(follow) {
        Some(Value::Object(target)) => target,
        _ => Map::new(),
    };
    for alternatives in ["anyOf", "oneOf"] {
        let Some(choices) = schema.get(alternatives).and_then(Value::as_array) else { continue };
        result.extend(chosen(choices, alternatives, definitions, left));
    }
    for (word, value) in schema {
        match word.as_str() {
            "$ref" | "anyOf" | "oneOf" => {}
            word if DROPPED.contains(&word) => {}
            "default" if value.is_null() || value.as_object().is_some() => {}
            "type" => {
                result.insert("type".into(), without_null(value));
            }
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties = properties
                    .map(|(name, inner)| (name.clone(), rewritten(inner, definitions, left)));
                result.insert("properties".into(), Value::Object(properties.collect()));
            }
            "items" => {
                result.insert("items".into(), rewritten(value, definitions, left));
            }
            _ => {
                result.insert(word.clone(), value.clone());
            }
        }
    }
    Value::Object(result)
}

/// What is left of alternatives: the only one, a list of words, or all of them.
fn chosen(choices: &[Value], word: &str, definitions: &Value, left: usize) -> Map<String, Value> {
    let choices: Vec<&Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
    if let [only] = choices[..] {
        return rewritten(only, definitions, left).as_object().cloned().unwrap_or_default();
    }
    let words: Option<Vec<Value>> =
        choices.iter().map(|choice| choice.get("const").cloned()).collect();
    let mut result = Map::new();
    match words {
        Some(words) => {
            result.insert("type".into(), "string".into());
            result.insert("enum".into(), Value::Array(words));
        }
        None => {
            let all = choices.iter().map(|choice| rewritten(choice, definitions, left));
            result.insert(word.to_owned(), Value::Array(all.collect()));
        }
    }
    result
}

fn without_null(types: &Value) -> Value {
    let Some(list) = types.as_array() else {
        return types.clone();
    };
    let mut kept: Vec<Value> = list.iter().filter(|name| *name != "null").cloned().collect();
    if kept.len() == 1 { kept.remove(0) } else { Value::Array(kept) }
}
