//! Letters: what an agent without tools says to whoever watches over it, one file each.
//!
//! ```text
//! reply msg_4            escalate
//!
//! Done as you say.       Which of the two formats is meant?
//! ```
//!
//! The first line says what it is, the rest is its text.

use batch_api::MessageId;

use crate::limits::LETTER_MAX_BYTES;
use crate::problem::Quote;

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What it is.
    pub kind: LetterKind,
    /// Its text: something, without space around it.
    pub text: String,
}

/// What a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// The answer to a directive.
    Reply(MessageId),
    /// A decision is needed.
    Escalate,
}

/// A file that is no letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotALetter {
    /// It is too large.
    #[error("a letter has at most {LETTER_MAX_BYTES} bytes")]
    TooLarge,
    /// It is no text.
    #[error("a letter is text in UTF-8")]
    NotText,
    /// It does not say what it is.
    #[error("a letter begins with `escalate`, or with `reply` and the message's id: found `{0}`")]
    Kind(Quote),
    /// It says nothing.
    #[error("the letter has no text below its first line")]
    Empty,
}

impl Letter {
    /// Reads a letter.
    ///
    /// # Errors
    ///
    /// If it is too large, no text, does not say what it is, or says nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotALetter> {
        if bytes.len() > LETTER_MAX_BYTES {
            return Err(NotALetter::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NotALetter::NotText)?;
        let (head, text) = text.split_once('\n').unwrap_or((text, ""));
        let words: Vec<&str> = head.split_whitespace().collect();
        let kind = match words[..] {
            ["escalate"] => Some(LetterKind::Escalate),
            ["reply", message] => message.parse().ok().map(LetterKind::Reply),
            _ => None,
        };
        let kind = kind.ok_or_else(|| NotALetter::Kind(Quote::new(head.trim())))?;
        match text.trim() {
            "" => Err(NotALetter::Empty),
            text => Ok(Self { kind, text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_in_its_first_line_what_it_is() {
        let read = |text: &str| Letter::parse(text.as_bytes());
        let reply = read("reply msg_4\n\nDone\nas you say.\n").unwrap();
        assert_eq!(reply.kind, LetterKind::Reply(MessageId::numbered(4)));
        assert_eq!(reply.text, "Done\nas you say.");
        assert_eq!(read("escalate\r\nWhich?").unwrap().kind, LetterKind::Escalate);
        for bad in ["", "reply\n\nx", "reply msg_04\nx", "Escalate\nx", "escalate now\nx"] {
            assert!(matches!(read(bad), Err(NotALetter::Kind(_))), "{bad}");
        }
        assert_eq!(read("escalate\n \n"), Err(NotALetter::Empty));
        assert_eq!(Letter::parse(b"escalate\n\xff"), Err(NotALetter::NotText));
        assert_eq!(Letter::parse(&[b'x'; LETTER_MAX_BYTES + 1]), Err(NotALetter::TooLarge));
    }
}
