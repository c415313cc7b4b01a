//! Shortening events that are too long.

use std::fmt::Write as _;

use serde_json::Value;

use super::LedgerEvent;

/// The longest text and list that an event may hold at first; both are halved
/// until the event fits.
const TEXT_BYTES: usize = 4096;
const LIST_ITEMS: usize = 1024;

/// Limits below which nothing is shortened any further.
const TEXT_BYTES_MIN: usize = 32;
const LIST_ITEMS_MIN: usize = 4;

impl LedgerEvent {
    /// The largest event, in bytes of its JSON.
    pub const BYTES_MAX: usize = 16 * 1024;

    /// The event, with long texts and lists cut so that it fits. What is cut
    /// says how much is missing.
    #[must_use]
    pub fn bounded(self) -> Self {
        let (mut text, mut items) = (TEXT_BYTES, LIST_ITEMS);
        let mut value = serde_json::to_value(&self).expect("events are plain data");
        if value.to_string().len() <= Self::BYTES_MAX {
            return self;
        }
        loop {
            shorten(&mut value, text, items);
            if value.to_string().len() <= Self::BYTES_MAX {
                return serde_json::from_value(value).expect("a shorter event is an event");
            }
            if text == TEXT_BYTES_MIN && items == LIST_ITEMS_MIN {
                let mut rest = serde_json::Map::new();
                rest.insert("kind".to_owned(), value["kind"].take());
                return Self::Other(rest);
            }
            text = (text / 2).max(TEXT_BYTES_MIN);
            items = (items / 2).max(LIST_ITEMS_MIN);
        }
    }
}

fn shorten(value: &mut Value, text_max: usize, items_max: usize) {
    match value {
        Value::String(text) => shorten_text(text, text_max),
        Value::Array(items) => {
            let missing = items.len().saturating_sub(items_max);
            items.truncate(items_max);
            items.iter_mut().for_each(|item| shorten(item, text_max, items_max));
            if missing > 0 && items.iter().all(|item| matches!(item, Value::String(_))) {
                items.push(Value::String(format!("… ({missing} more)")));
            }
        }
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| shorten(field, text_max, items_max));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shorten_text(text: &mut String, max: usize) {
    if text.len() <= max {
        return;
    }
    let end = text.floor_char_boundary(max);
    let missing = text.len() - end;
    text.truncate(end);
    write!(text, "… ({missing} bytes more)").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_event_is_cut_and_says_so() {
        for argv in [vec!["ä".repeat(100_000)], vec!["x".to_owned(); 100_000]] {
            let (command, cwd) = ("1".to_owned(), "/".to_owned());
            let event =
                LedgerEvent::CommandStarted { command, argv, cwd, secrets: Vec::new() }.bounded();
            assert!(serde_json::to_string(&event).unwrap().len() <= LedgerEvent::BYTES_MAX);
            let LedgerEvent::CommandStarted { argv, .. } = event else { panic!("{event:?}") };
            assert!(argv.last().unwrap().ends_with("more)"), "{:?}", argv.last());
        }
        let labels = (0..10_000).map(|key| (key.to_string(), String::new())).collect();
        let event = LedgerEvent::Updated { name: None, labels, idle: None, shape: None }.bounded();
        assert_eq!(event.kind(), "updated");
        assert!(serde_json::to_string(&event).unwrap().len() <= LedgerEvent::BYTES_MAX);
    }

    #[test]
    fn a_short_event_stays_as_it_is() {
        let event = LedgerEvent::Stopped { reason: "enough".into() };
        assert_eq!(event.clone().bounded(), event);
    }
}
