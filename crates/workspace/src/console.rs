//! The end of what a guest's console or a command said, for people who want to
//! know why it failed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a console is looked at, in bytes.
const TAIL_BYTES: u64 = 8 * 1024;

/// How much of a command's output is, in bytes.
pub(crate) const OUTPUT_BYTES: usize = 2 * 1024;

/// How many lines of either are shown.
const TAIL_LINES: usize = 15;

/// The last lines of a console, without control characters; empty if there is
/// nothing to read.
pub(crate) fn tail(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)));
        let _ = file.take(TAIL_BYTES).read_to_end(&mut bytes);
    }
    printable(&bytes)
}

/// The last lines of the first of these outputs that has any, if one has.
pub(crate) fn last_lines<'a>(outputs: impl IntoIterator<Item = &'a Vec<u8>>) -> Option<String> {
    let text = |bytes: &Vec<u8>| {
        let tail = bytes.len().saturating_sub(OUTPUT_BYTES);
        printable(&bytes[tail..])
    };
    outputs.into_iter().map(text).find(|text| !text.is_empty())
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_command_is_quoted_by_what_it_said_last() {
        let [nothing, errors] = [b" \n".to_vec(), b"first\nsecond\n".repeat(500)];
        let end = super::last_lines([&nothing, &errors]).unwrap();
        assert_eq!((end.lines().count(), end.ends_with("first\nsecond")), (15, true), "{end}");
        assert_eq!(super::last_lines([&nothing]), None);
    }

    #[test]
    fn a_hostile_console_cannot_reach_the_terminal() {
        let shown = super::printable(b"one\x1b[2Jtwo\x07\r\n\n\xff three\n");
        assert_eq!(shown, "one[2Jtwo\n\u{fffd} three");
    }
}
