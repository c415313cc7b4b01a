//! The part of an answer that a tool tells as a record.
//!
//! Hosts that know structure show a model nothing but the record, so it has what
//! somebody goes on with, and not all that there is. A part is named by paths:
//! `seed.commit` is that field of the object `seed`, or of each object of the list
//! `seed`; `seed` is all of it.
//!
//! Hosts cut long answers wherever they end. So a list that is too long is cut here,
//! between two items, and the record says how many are missing.

use serde_json::{Map, Value, json};

/// The field that says how many items are missing.
const LEFT_OUT: &str = "left_out";

/// How many bytes that field may take.
const LEFT_OUT_BYTES: usize = 32;

/// The paths of a part that lead on below `name`: none at all if it does not belong,
/// and an empty list if all below it does.
fn below<'a>(paths: &[&'a str], name: &str) -> Option<Vec<&'a str>> {
    let mut on = Vec::new();
    for path in paths {
        match path.strip_prefix(name) {
            Some("") => return Some(Vec::new()),
            Some(rest) => on.extend(rest.strip_prefix('.')),
            None => {}
        }
    }
    (!on.is_empty()).then_some(on)
}

/// That part of an answer. What is null is left out: schemas know no null.
pub(super) fn part(answer: Value, paths: &[&str]) -> Value {
    match answer {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter_map(|(name, value)| {
                let on = if paths.is_empty() { Vec::new() } else { below(paths, &name)? };
                (!value.is_null()).then(|| (name, part(value, &on)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.into_iter().map(|item| part(item, paths)).collect(),
        value => value,
    }
}

/// The schema of that part, or the first path that leads nowhere.
pub(super) fn schema<'a>(
    whole: &Value,
    paths: &'static [&'static str],
) -> Result<Map<String, Value>, &'a str> {
    let lost = paths.iter().find(|path| !leads(whole, path));
    if let Some(path) = lost {
        return Err(path);
    }
    let mut schema = narrowed(whole, paths).as_object().cloned().unwrap_or_default();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut)
        && properties.values().any(|property| property["type"] == "array")
    {
        let about = "How many items are missing at the end of a list that is too long";
        properties.insert(LEFT_OUT.into(), json!({ "type": "integer", "description": about }));
    }
    Ok(schema)
}

fn leads(schema: &Value, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
    let found = &schema["properties"][name];
    found.is_object() && rest.is_none_or(|rest| leads(found, rest))
}

fn narrowed(schema: &Value, paths: &[&str]) -> Value {
    let Some(fields) = schema.as_object().filter(|_| !paths.is_empty()) else {
        return schema.clone();
    };
    let word = |(word, value): (&String, &Value)| {
        let value = match (word.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let kept = properties.iter().filter_map(|(name, inner)| {
                    Some((name.clone(), narrowed(inner, &below(paths, name)?)))
                });
                Value::Object(kept.collect())
            }
            ("required", Value::Array(names)) => {
                let is_kept =
                    |name: &&Value| below(paths, name.as_str().unwrap_or_default()).is_some();
                Value::Array(names.iter().filter(is_kept).cloned().collect())
            }
            ("items", items) => narrowed(items, paths),
            (_, value) => value.clone(),
        };
        (word.clone(), value)
    };
    Value::Object(fields.iter().map(word).collect())
}

/// Shortens the longest list of a record until it has at most so many bytes as text.
pub(super) fn cut(record: &mut Value, bytes_max: usize) {
    let mut length = record.to_string().len();
    if length <= bytes_max {
        return;
    }
    let Some(fields) = record.as_object_mut() else { return };
    let lists = fields.values_mut().filter_map(Value::as_array_mut);
    let Some(longest) = lists.max_by_key(|items| json!(items).to_string().len()) else { return };
    let mut missing = 0_u32;
    while length + LEFT_OUT_BYTES > bytes_max
        && let Some(item) = longest.pop()
    {
        // With its comma.
        length -= item.to_string().len() + 1;
        missing += 1;
    }
    fields.insert(LEFT_OUT.into(), missing.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: &[&str] = &["id", "seed.commit", "children.id", "labels"];

    #[test]
    fn a_part_has_what_its_paths_name_and_no_null() {
        let answer = json!({
            "id": "x", "name": null, "ident": 1, "labels": { "a": "b", "c": null },
            "seed": { "commit": "c", "files": 3 },
            "children": [{ "id": 1, "state": "s" }, { "id": 2 }],
        });
        let kept = json!({
            "id": "x", "labels": { "a": "b" }, "seed": { "commit": "c" },
            "children": [{ "id": 1 }, { "id": 2 }],
        });
        assert_eq!(part(answer, PATHS), kept);
    }

    #[test]
    fn its_schema_says_the_same_and_paths_that_lead_nowhere_are_found() {
        let text = json!({ "type": "string" });
        let object = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required });
        let child = object(json!({ "id": text, "state": text }), json!(["id", "state"]));
        let whole = object(
            json!({
                "id": text, "name": text, "labels": { "type": "object" },
                "seed": object(json!({ "commit": text, "files": text }), json!(["files"])),
                "children": { "type": "array", "items": child },
            }),
            json!(["id", "name", "children"]),
        );
        let schema = Value::Object(super::schema(&whole, PATHS).unwrap());
        assert_eq!(schema["required"], json!(["id", "children"]));
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["children", "id", "labels", "left_out", "seed"]);
        let child = &schema["properties"]["children"]["items"];
        assert_eq!(child, &object(json!({ "id": text }), json!(["id"])));
        assert_eq!(schema["properties"]["seed"]["required"], json!([]));
        assert_eq!(super::schema(&whole, &["id", "seed.comit"]), Err("seed.comit"));
    }

    #[test]
    fn a_list_that_is_too_long_is_cut_between_items_and_says_so() {
        let items: Vec<Value> = (0..1000).map(|id| json!({ "id": id })).collect();
        let mut record = json!({ "few": [1, 2], "items": items });
        cut(&mut record, 2_000);
        let kept = record["items"].as_array().unwrap().len();
        assert_eq!(record["left_out"], 1000 - kept);
        let length = record.to_string().len();
        assert!((1_900..=2_000).contains(&length) && record["few"] == json!([1, 2]), "{length}");
        let mut short = json!({ "items": [1] });
        cut(&mut short, 2_000);
        assert_eq!(short, json!({ "items": [1] }));
    }
}
