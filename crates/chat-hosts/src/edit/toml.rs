//! TOML.

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value as TomlValue};

use super::Refusal;

fn parse(text: &str) -> Result<DocumentMut, Refusal> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Refusal::Syntax(error.to_string().trim_end().to_owned())
    })
}

pub(super) fn value(text: &str) -> Result<Value, Refusal> {
    Ok(table_value(parse(text)?.as_table()))
}

pub(super) fn put(
    text: &str,
    path: &[&str],
    fields: &Map<String, Value>,
) -> Result<String, Refusal> {
    let mut document = parse(text)?;
    let is_empty = document.is_empty();
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for (depth, key) in path.iter().enumerate() {
        let is_last = depth + 1 == path.len();
        if !table.contains_key(key) {
            let mut made = Table::new();
            made.set_implicit(!is_last);
            if is_last && !is_empty {
                made.decor_mut().set_prefix("\n");
            }
            table.insert(key, Item::Table(made));
        }
        let inner = table.get_mut(key).and_then(Item::as_table_like_mut);
        table = inner.ok_or_else(|| Refusal::NotATable(path[..=depth].join(".")))?;
    }
    for (name, wanted) in fields {
        if table.get(name).is_some_and(|found| item_value(found) == *wanted) {
            continue;
        }
        let wanted = input(wanted).ok_or(Refusal::Unfaithful)?;
        match table.get_mut(name).and_then(Item::as_value_mut) {
            // What stands around the old value, such as a comment, stays.
            Some(old) => {
                let decor = old.decor().clone();
                *old = wanted;
                *old.decor_mut() = decor;
            }
            None => drop(table.insert(name, Item::Value(wanted))),
        }
    }
    Ok(document.to_string())
}

pub(super) fn take(text: &str, path: &[&str]) -> Result<String, Refusal> {
    let mut document = parse(text)?;
    remove(document.as_table_mut(), path);
    Ok(document.to_string())
}

fn remove(table: &mut dyn TableLike, path: &[&str]) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.remove(key);
        return;
    }
    let Some(inner) = table.get_mut(key).and_then(Item::as_table_like_mut) else { return };
    remove(inner, rest);
    if inner.is_empty() {
        table.remove(key);
    }
}

fn input(value: &Value) -> Option<TomlValue> {
    Some(match value {
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.as_i64()?.into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => {
            items.iter().map(input).collect::<Option<Array>>().map(TomlValue::Array)?
        }
        Value::Null | Value::Object(_) => return None,
    })
}

fn table_value(table: &dyn TableLike) -> Value {
    let fields = table.iter().map(|(name, item)| (name.to_owned(), item_value(item)));
    Value::Object(fields.collect())
}

fn item_value(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => plain(value),
        Item::Table(table) => table_value(table),
        Item::ArrayOfTables(tables) => {
            Value::Array(tables.iter().map(|table| table_value(table)).collect())
        }
    }
}

fn plain(value: &TomlValue) -> Value {
    match value {
        TomlValue::String(text) => text.value().as_str().into(),
        TomlValue::Integer(number) => (*number.value()).into(),
        // Numbers that JSON has not are compared by how they are written.
        TomlValue::Float(number) => serde_json::Number::from_f64(*number.value())
            .map_or_else(|| number.value().to_string().into(), Value::Number),
        TomlValue::Boolean(value) => (*value.value()).into(),
        TomlValue::Datetime(time) => time.value().to_string().into(),
        TomlValue::Array(items) => Value::Array(items.iter().map(plain).collect()),
        TomlValue::InlineTable(table) => table_value(table),
    }
}
