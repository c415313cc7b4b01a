//! The ids of the things that an output is about, for a face that is asked for
//! nothing else.
//!
//! They are found by one rule, so that no output has to say anything about them:
//! the field `id` of the output itself, or else of the things that lie in its
//! fields, alone or in a list.

use serde_json::Value;

/// The field that holds an id.
const FIELD: &str = "id";

/// The ids in an output.
#[must_use]
pub fn ids(output: &Value) -> Vec<String> {
    if let Some(id) = own(output) {
        return vec![id.to_owned()];
    }
    let fields = output.as_object().into_iter().flat_map(|fields| fields.values());
    let things = fields.flat_map(|value| match value {
        Value::Array(things) => things.as_slice(),
        thing => std::slice::from_ref(thing),
    });
    things.filter_map(own).map(str::to_owned).collect()
}

fn own(thing: &Value) -> Option<&str> {
    thing.get(FIELD)?.as_str()
}

/// Whether outputs of a schema have ids.
pub(crate) fn has_ids(schema: &Value) -> bool {
    let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    has_own(schema, schema)
        || fields.flat_map(alternatives).any(|field| {
            has_own(schema, field) || field.get("items").is_some_and(|items| has_own(schema, items))
        })
}

fn has_own(root: &Value, schema: &Value) -> bool {
    let pointed = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = pointed.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema);
    schema["properties"].get(FIELD).is_some()
}

/// A schema, or those of which one is meant.
fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema["anyOf"].as_array() {
        Some(alternatives) => alternatives.iter().collect(),
        None => vec![schema],
    }
}

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, schema_for};
    use serde::Serialize;
    use serde_json::to_value;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Thing {
        id: String,
    }

    #[derive(Serialize, JsonSchema)]
    struct Things {
        things: Vec<Thing>,
        best: Option<Thing>,
        count: u32,
    }

    #[derive(Serialize, JsonSchema)]
    struct Other {
        text: String,
        parts: Vec<String>,
    }

    #[test]
    fn ids_are_found_where_the_schema_says_that_there_are_some() {
        let thing = |id: &str| Thing { id: id.to_owned() };
        let things = Things { things: vec![thing("a"), thing("b")], best: None, count: 2 };
        assert!(has_ids(&schema_for!(Thing).to_value()));
        assert_eq!(ids(&to_value(thing("a")).unwrap()), ["a"]);
        assert!(has_ids(&schema_for!(Things).to_value()));
        assert_eq!(ids(&to_value(things).unwrap()), ["a", "b"]);
        let best = Things { things: Vec::new(), best: Some(thing("c")), count: 1 };
        assert_eq!(ids(&to_value(best).unwrap()), ["c"]);
        let other = Other { text: "id".to_owned(), parts: vec!["id".to_owned()] };
        assert!(!has_ids(&schema_for!(Other).to_value()));
        assert!(ids(&to_value(other).unwrap()).is_empty());
    }
}
