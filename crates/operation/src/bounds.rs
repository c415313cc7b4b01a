//! What the schema of a request says of its numbers and lists, enforced.
//!
//! A field's type does that for texts. For plain numbers and lists the bounds
//! stand in the schema, next to the command line's, and whatever way a request
//! comes in it is held to them here.

use serde_json::Value;

/// What is out of bounds in a request, if anything is.
pub(crate) fn violation(schema: &Value, request: &Value) -> Option<String> {
    within(schema, schema, request, "the request")
}

fn within(root: &Value, schema: &Value, value: &Value, name: &str) -> Option<String> {
    let pointed = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = pointed.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema);
    let refused = |bound: String| Some(format!("`{name}` must be {bound}"));
    match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            let (least, most) = (&schema["minimum"], &schema["maximum"]);
            if least.as_f64().is_some_and(|least| number < least) {
                return refused(format!("at least {least}, not {value}"));
            }
            if most.as_f64().is_some_and(|most| number > most) {
                return refused(format!("at most {most}, not {value}"));
            }
            None
        }
        Value::Array(items) => {
            let most = &schema["maxItems"];
            let length = u64::try_from(items.len()).unwrap_or(u64::MAX);
            if most.as_u64().is_some_and(|most| length > most) {
                return refused(format!("a list of at most {most}, not {length}"));
            }
            items.iter().find_map(|item| within(root, &schema["items"], item, name))
        }
        Value::Object(fields) => fields
            .iter()
            .find_map(|(field, value)| within(root, &schema["properties"][field], value, field)),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, schema_for};
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Request {
        #[schemars(range(min = 1, max = 64))]
        count: u8,
        group: Group,
        #[schemars(length(max = 2))]
        list: Vec<String>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Group {
        #[schemars(range(max = 10))]
        limit: Option<u32>,
    }

    #[test]
    fn numbers_and_lists_are_held_to_the_schema_wherever_they_are() {
        let schema = schema_for!(Request).to_value();
        let told = |request| violation(&schema, &request).unwrap_or_default();
        let good = json!({ "count": 64, "group": { "limit": null }, "list": ["a", "b"] });
        assert_eq!(told(good), "");
        assert_eq!(told(json!({ "count": 0 })), "`count` must be at least 1, not 0");
        let deep = json!({ "group": { "limit": 11 } });
        assert_eq!(told(deep), "`limit` must be at most 10, not 11");
        let long = json!({ "list": ["a", "b", "c"] });
        assert_eq!(told(long), "`list` must be a list of at most 2, not 3");
    }
}
