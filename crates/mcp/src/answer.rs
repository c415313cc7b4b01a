//! What a model reads of a call: text of bounded length.
//!
//! Hosts cut results differently, the strictest at 8,000 characters and without
//! a word about where the rest is. So the middle is left out here, with a line
//! that says how much is missing: how a program began and how it ended is what
//! somebody needs to go on.

use std::collections::VecDeque;

use operation::{Present, Screen};

/// The most characters of one answer.
pub const TEXT_MAX_CHARS: usize = 8_000;

/// How many bytes from the beginning are kept.
const HEAD_BYTES: usize = 3_600;

/// How many bytes up to the end are kept.
const TAIL_BYTES: usize = 4_000;

/// Text of a call that is under way.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out_bytes: u64,
}

impl Answer {
    /// Adds what people would see of an event or output: standard output first.
    pub(crate) fn add(&mut self, shown: &(impl Present + ?Sized)) {
        let mut screen = Screen::default();
        shown.present(&mut screen);
        self.extend(&screen.out);
        self.extend(&screen.err);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        if let Some(more) = self.tail.len().checked_sub(TAIL_BYTES).filter(|more| *more > 0) {
            self.tail.drain(..more);
            self.left_out_bytes += more as u64;
        }
    }

    /// The text. What is no UTF-8 is shown as replacement characters.
    pub(crate) fn text(self) -> String {
        let Self { mut head, tail, left_out_bytes } = self;
        let tail: Vec<u8> = tail.into();
        if left_out_bytes == 0 {
            head.extend(tail);
            return String::from_utf8_lossy(&head).into_owned();
        }
        // Cut where lines end, if there are any, so that no character is halved.
        let keep = head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1);
        let begin = tail.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let missing = left_out_bytes + (head.len() - keep) as u64 + begin as u64;
        let [head, tail] = [&head[..keep], &tail[begin..]].map(String::from_utf8_lossy);
        format!("{head}[… {missing} bytes left out here …]\n{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pieces: &[&[u8]]) -> String {
        let mut answer = Answer::default();
        pieces.iter().for_each(|piece| answer.extend(piece));
        answer.text()
    }

    #[test]
    fn short_text_is_whole() {
        assert_eq!(answer(&[b"one\n", b"two\n"]), "one\ntwo\n");
        let whole = vec![b'x'; HEAD_BYTES + TAIL_BYTES];
        assert_eq!(answer(&[&whole]).len(), whole.len());
    }

    #[test]
    fn of_long_text_both_ends_are_kept_and_what_is_missing_is_counted() {
        let lines: String = (0..100_000).map(|line| format!("line {line}\n")).collect();
        let text = answer(&lines.as_bytes().chunks(1000).collect::<Vec<_>>());
        assert!(text.chars().count() <= TEXT_MAX_CHARS, "{}", text.len());
        assert!(text.starts_with("line 0\nline 1\n"));
        assert!(text.ends_with("line 99998\nline 99999\n"));
        let (head, rest) = text.split_once("[… ").unwrap();
        let (missing, tail) = rest.split_once(" bytes left out here …]\n").unwrap();
        assert_eq!(head.len() + missing.parse::<usize>().unwrap() + tail.len(), lines.len());
    }

    #[test]
    fn bytes_that_are_no_text_do_not_outgrow_the_limit() {
        let text = answer(&[&[0xff; 100_000]]);
        assert!(text.chars().count() <= TEXT_MAX_CHARS);
    }
}
