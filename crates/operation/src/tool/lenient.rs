//! What a model meant that wrote a value in another form than the schema has.
//!
//! Models write `"3"` for 3, `"true"` for true, a text where a list is wanted, and
//! null or nothing at all between quotes for what they do not want to say. Where the
//! schema leaves only one reading, that is what is taken. Everything else stays as
//! it is, for the request to refuse; and whatever is read, the request is judged
//! as if it had been written that way.

use serde_json::{Number, Value, json};

/// Integers up to here are the same as a float (IEEE 754, 53 bits).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The value that is meant under `schema`; none if nothing was said.
pub(super) fn meant(value: Value, schema: &Value, need: Spoken) -> Option<Value> {
    match (&value, need) {
        (Value::Null, _) => None,
        (Value::String(text), Spoken::IfWanted) if text.is_empty() => None,
        _ => Some(formed(value, schema)),
    }
}

/// Whether a field has to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// It may be left out.
    IfWanted,
    /// It has to be there, and may be an empty text.
    Always,
}

fn formed(value: Value, schema: &Value) -> Value {
    match (schema["type"].as_str(), value) {
        (Some("array"), Value::Array(items)) => {
            items.into_iter().map(|item| formed(item, &schema["items"])).collect()
        }
        (Some("array"), Value::String(text)) => listed(text, &schema["items"]),
        (Some("array"), value @ (Value::Number(_) | Value::Bool(_))) => {
            json!([formed(value, &schema["items"])])
        }
        (Some("integer"), value) => whole(&value).map_or(value, Value::Number),
        (Some("number"), Value::String(text)) => {
            let number = text.trim().parse().ok().and_then(Number::from_f64);
            number.map_or(Value::String(text), Value::Number)
        }
        (Some("boolean"), Value::String(text)) => match text.trim() {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            _ => Value::String(text),
        },
        (Some("string"), Value::Number(number)) if !number.is_f64() => number.to_string().into(),
        (_, value) => value,
    }
}

/// A list that was written as a text: as JSON, or its only item.
fn listed(text: String, items: &Value) -> Value {
    match serde_json::from_str(&text) {
        Ok(Value::Array(found)) => found.into_iter().map(|item| formed(item, items)).collect(),
        _ => json!([formed(Value::String(text), items)]),
    }
}

/// A whole number that was written as a text or with zeros behind its point.
fn whole(value: &Value) -> Option<Number> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            let negative = || text.parse::<i64>().map(Number::from);
            text.parse::<u64>().map(Number::from).or_else(|_| negative()).ok()
        }
        Value::Number(number) => {
            let number = number.as_f64().filter(|_| number.is_f64())?;
            let is_whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
            // Through text, so that nothing is cut off on the way.
            is_whole.then(|| format!("{number:.0}").parse::<i64>().ok())?.map(Number::from)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_meant_in_one_way_only_is_taken_and_nothing_else() {
        let list = json!({ "type": "array", "items": { "type": "string" } });
        let numbers = json!({ "type": "array", "items": { "type": "integer" } });
        let [text, integer, number, boolean] =
            ["string", "integer", "number", "boolean"].map(|name| json!({ "type": name }));
        for (written, schema, read) in [
            (json!("a"), &list, json!(["a"])),
            (json!(r#"["a", "b c"]"#), &list, json!(["a", "b c"])),
            (json!(r#"{"a": 1}"#), &list, json!([r#"{"a": 1}"#])),
            (json!("a,b"), &list, json!(["a,b"])),
            (json!(7), &list, json!(["7"])),
            (json!(["1", 2]), &numbers, json!([1, 2])),
            (json!("[1, \"2\"]"), &numbers, json!([1, 2])),
            (json!("12"), &integer, json!(12)),
            (json!(" -3 "), &integer, json!(-3)),
            (json!(4.0), &integer, json!(4)),
            (json!("0.5"), &number, json!(0.5)),
            (json!("true"), &boolean, json!(true)),
            (json!("False"), &boolean, json!(false)),
            (json!(10), &text, json!("10")),
            (json!("10"), &text, json!("10")),
            // These are for the request to refuse.
            (json!(4.5), &integer, json!(4.5)),
            (json!(1e300), &integer, json!(1e300)),
            (json!("4 MiB"), &integer, json!("4 MiB")),
            (json!("NaN"), &number, json!("NaN")),
            (json!("yes"), &boolean, json!("yes")),
            (json!(1), &boolean, json!(1)),
            (json!(true), &text, json!(true)),
            (json!(0.5), &text, json!(0.5)),
            (json!(["a"]), &text, json!(["a"])),
            (json!({ "a": 1 }), &list, json!({ "a": 1 })),
        ] {
            assert_eq!(meant(written.clone(), schema, Spoken::IfWanted), Some(read), "{written}");
        }
    }

    #[test]
    fn nothing_is_said_by_null_and_by_empty_quotes_where_nothing_has_to_be_said() {
        for schema in ["string", "array", "integer", "boolean"].map(|name| json!({ "type": name }))
        {
            assert_eq!(meant(json!(null), &schema, Spoken::Always), None);
            assert_eq!(meant(json!(null), &schema, Spoken::IfWanted), None);
            assert_eq!(meant(json!(""), &schema, Spoken::IfWanted), None);
        }
        let text = json!({ "type": "string" });
        assert_eq!(meant(json!(""), &text, Spoken::Always), Some(json!("")));
        assert_eq!(
            meant(json!([]), &json!({ "type": "array" }), Spoken::IfWanted),
            Some(json!([]))
        );
    }
}
