//! JSON with comments, as editors and chat hosts write it.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use serde_json::{Map, Value};

use super::Refusal;

/// What hosts read: comments and trailing commas, and nothing else beside JSON.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

fn parse(text: &str) -> Result<CstRootNode, Refusal> {
    CstRootNode::parse(text, &OPTIONS).map_err(|error| Refusal::Syntax(error.to_string()))
}

pub(super) fn value(text: &str) -> Result<Value, Refusal> {
    let root = parse(text)?;
    match root.value() {
        None => Ok(Value::Object(Map::new())),
        Some(value) => value.to_serde_value().ok_or(Refusal::Unfaithful),
    }
}

pub(super) fn put(
    text: &str,
    path: &[&str],
    fields: &Map<String, Value>,
) -> Result<String, Refusal> {
    let root = parse(text)?;
    if root.value().is_none() {
        let nothing = Map::new();
        let rest = nested(path, fields).unwrap_or(nothing);
        root.set_value(input(&Value::Object(rest)));
        return Ok(with_final_newline(root.to_string()));
    }
    let mut table = root.object_value().ok_or_else(|| Refusal::NotATable(String::new()))?;
    for (depth, key) in path.iter().enumerate() {
        match only(&table, key)? {
            Some(property) => table = inside(&property, &path[..=depth])?,
            None => {
                let rest = nested(&path[depth + 1..], fields).unwrap_or_else(|| fields.clone());
                table.append(key, input(&Value::Object(rest)));
                return Ok(root.to_string());
            }
        }
    }
    for (name, wanted) in fields {
        match only(&table, name)? {
            None => drop(table.append(name, input(wanted))),
            Some(property) if property.to_serde_value().as_ref() == Some(wanted) => {}
            Some(property) => property.set_value(input(wanted)),
        }
    }
    Ok(root.to_string())
}

pub(super) fn take(text: &str, path: &[&str]) -> Result<String, Refusal> {
    let root = parse(text)?;
    let mut table = root.object_value().ok_or_else(|| Refusal::NotATable(String::new()))?;
    let mut way: Vec<(CstObject, CstObjectProp)> = Vec::new();
    for (depth, key) in path.iter().enumerate() {
        let Some(property) = only(&table, key)? else { return Ok(text.to_owned()) };
        way.push((table.clone(), property.clone()));
        if depth + 1 < path.len() {
            table = inside(&property, &path[..=depth])?;
        }
    }
    while let Some((around, property)) = way.pop() {
        property.remove();
        if !around.properties().is_empty() {
            break;
        }
    }
    Ok(root.to_string())
}

/// The property of that name, if there is exactly one.
fn only(table: &CstObject, name: &str) -> Result<Option<CstObjectProp>, Refusal> {
    let is_it = |property: &CstObjectProp| property.decoded_name().as_deref() == Some(name);
    let mut found = table.properties().into_iter().filter(is_it);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Refusal::Twice(name.to_owned())),
        (found, None) => Ok(found),
    }
}

fn inside(property: &CstObjectProp, path: &[&str]) -> Result<CstObject, Refusal> {
    property.object_value().ok_or_else(|| Refusal::NotATable(path.join(".")))
}

/// The fields in tables of these names; `None` without names.
fn nested(path: &[&str], fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    path.iter().rev().fold(None, |inner: Option<Map<String, Value>>, key| {
        let inner = inner.unwrap_or_else(|| fields.clone());
        Some(Map::from_iter([((*key).to_owned(), Value::Object(inner))]))
    })
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(fields) => CstInputValue::Object(
            fields.iter().map(|(name, value)| (name.clone(), input(value))).collect(),
        ),
    }
}

fn with_final_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
