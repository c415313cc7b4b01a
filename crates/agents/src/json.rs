//! Lines of JSON that somebody else wrote.

use serde_json::Value;

use crate::dialogue::LINE_BYTES_MAX;
use crate::event::TEXT_CHARACTERS_MAX;

/// Reads a line, if it is an object of a size that is taken.
pub(crate) fn object(line: &[u8]) -> Option<Value> {
    if line.len() > LINE_BYTES_MAX {
        return None;
    }
    serde_json::from_slice::<Value>(line).ok().filter(Value::is_object)
}

/// A text somewhere in a value, empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number somewhere in a value.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// The elements of a list somewhere in a value.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The beginning of a text.
pub(crate) fn beginning(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS_MAX).collect()
}

/// The beginning of a value, as JSON.
pub(crate) fn beginning_of(value: Option<&Value>) -> String {
    value.map(|value| beginning(&value.to_string())).unwrap_or_default()
}

/// A sum of dollars, in millionths of one.
pub(crate) fn micro_dollars(dollars: Option<&Value>) -> Option<u64> {
    format!("{:.0}", dollars?.as_f64()? * 1e6).parse().ok()
}
