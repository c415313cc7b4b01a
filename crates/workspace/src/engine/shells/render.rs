//! What a terminal's output looks like to a person.
//!
//! The bytes are a guest's and may be anything; the emulator (crate `vt100`)
//! holds a grid of bounded size whatever they say.

use std::num::NonZeroU16;

use guest_protocol::message::TerminalSize;
use vt100::Parser;

/// How many lines that have left the screen are told.
const SCROLLBACK_LINES: usize = 10_000;

/// What a screen shows that was fed these bytes.
pub(super) fn screen(bytes: &[u8], size: TerminalSize) -> String {
    let mut parser = emulator(size, 0);
    parser.process(bytes);
    trimmed(&parser.screen().contents())
}

/// What paints that screen, its attributes, its cursor and the modes of its keys
/// on another terminal.
pub(super) fn paint(bytes: &[u8], size: TerminalSize) -> Vec<u8> {
    let mut parser = emulator(size, 0);
    parser.process(bytes);
    parser.screen().state_formatted().into_bytes()
}

/// The lines that these bytes leave on a screen that was empty before, those
/// that have scrolled off it included.
pub(super) fn new_text(bytes: &[u8], size: TerminalSize) -> String {
    let mut parser = emulator(size, SCROLLBACK_LINES);
    parser.process(bytes);
    // The emulator shows one screen at a time, so it is scrolled back as far as
    // it goes and then forward, a screen at a time.
    parser.screen_mut().set_scrollback(SCROLLBACK_LINES);
    let mut above = parser.screen().scrollback();
    let rows = usize::from(size.rows);
    let mut lines: Vec<String> = Vec::new();
    while above > 0 {
        parser.screen_mut().set_scrollback(above);
        let step = above.min(rows);
        lines.extend(parser.screen().rows(0, size.columns).take(step));
        above -= step;
    }
    parser.screen_mut().set_scrollback(0);
    lines.extend(parser.screen().rows(0, size.columns));
    trimmed(&lines.join("\n"))
}

/// A terminal without anything on it; one of no size has one place.
fn emulator(size: TerminalSize, scrollback: usize) -> Parser {
    let at_least_one = |number| NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN);
    Parser::new(at_least_one(size.rows), at_least_one(size.columns), scrollback)
}

/// Without what is blank at the ends of lines and of the whole.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    lines[..used].join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: TerminalSize = TerminalSize { columns: 20, rows: 5 };

    #[test]
    fn colours_and_rewritten_lines_are_as_a_person_sees_them() {
        let bytes = b"\x1b[31mred\x1b[0m text\r\n10%\r50%\r100%\r\nlast\x08\x08\x08oo";
        assert_eq!(new_text(bytes, SIZE), "red text\n100%\nloot");
    }

    #[test]
    fn lines_that_have_left_the_screen_are_told_in_order() {
        let bytes: String = (1..=103).map(|n| format!("line {n}\r\n")).collect();
        let expected: Vec<String> = (1..=103).map(|n| format!("line {n}")).collect();
        assert_eq!(new_text(bytes.as_bytes(), SIZE), expected.join("\n"));
        assert_eq!(screen(bytes.as_bytes(), SIZE), "line 100\nline 101\nline 102\nline 103");
    }

    #[test]
    fn programs_that_paint_the_screen_are_shown_as_they_look() {
        let bytes = b"\x1b[2J\x1b[3;5Hhere\x1b[1;1Htop";
        assert_eq!(screen(bytes, SIZE), "top\n\n    here");
    }

    proptest! {
        #[test]
        fn hostile_bytes_neither_panic_nor_grow(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let text = new_text(&bytes, SIZE);
            prop_assert!(text.lines().count() <= 2000 + 5);
            screen(&bytes, SIZE);
        }
    }
}
