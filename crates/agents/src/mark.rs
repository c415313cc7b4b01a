//! Keys of messages in their text, for agents that keep nothing of ours but the text.
//!
//! The key comes first: so no message is taken for a command of the agent's, which
//! begins with a slash.

use crate::dialogue::{Key, Said};

const BEGIN: &str = "[message ";
const END: &str = "]";

/// The text of a message with its key.
pub(crate) fn marked(message: &Said) -> String {
    format!("{BEGIN}{}{END}\n\n{}", message.key, message.text)
}

/// The key of a message that begins with this text.
pub(crate) fn key_of(text: &str) -> Option<Key> {
    let (key, _) = text.trim_start().strip_prefix(BEGIN)?.split_once(END)?;
    Key::parse(key)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_marked_message_tells_its_key_and_no_other_text_does() {
        let key = Key(Uuid::from_u128(7));
        let message = Said { key, text: "/clear".into() };
        let text = marked(&message);
        assert!(!text.starts_with('/') && text.ends_with("/clear"));
        assert_eq!(key_of(&text), Some(key));
        for other in ["", "[message ", "[message x]", "I was told: [message", &text[1..]] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }
}
