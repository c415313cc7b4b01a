//! The end of a guest's console, for people who want to know why it failed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a console is looked at, in bytes.
const TAIL_BYTES: u64 = 8 * 1024;

/// How many lines of it are shown.
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
    fn a_hostile_console_cannot_reach_the_terminal() {
        let shown = super::printable(b"one\x1b[2Jtwo\x07\r\n\n\xff three\n");
        assert_eq!(shown, "one[2Jtwo\n\u{fffd} three");
    }
}
