//! What a process prints, line by line, with a bound.
//!
//! Nothing is read ahead of who asks: a reader that is slow lets the pipe fill,
//! and a full pipe makes the writer wait. Lines end with a line feed and nothing
//! else; the agents' JSON may contain every other separator that there is.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// How long a line may be, in bytes. Agents print results of tools, pictures
/// included, in one line.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much is kept of a line that is longer, in bytes.
const BEGINNING_BYTES: usize = 1024;

/// How much is read at once, in bytes; as much as a pipe holds.
const CHUNK_BYTES: usize = 64 * 1024;

/// A line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// All of it. The last one need not have had an end.
    Whole(Vec<u8>),
    /// It was too long.
    Cut {
        /// How it began.
        beginning: Vec<u8>,
        /// How long it was, in bytes.
        bytes: u64,
    },
}

/// The lines of a stream.
#[derive(Debug)]
pub struct Lines<R> {
    stream: R,
    longest: usize,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no end of a line.
    searched: usize,
    /// How much of a long line was dropped, besides what the buffer holds.
    dropped: Option<u64>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Of a stream, none longer than `longest` bytes.
    pub fn of(stream: R, longest: usize) -> Self {
        Self { stream, longest, buffer: Vec::new(), searched: 0, dropped: None, ended: false }
    }

    /// The next one; `None` at the end. Nothing is lost if this is given up on.
    ///
    /// # Errors
    ///
    /// If the stream cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(self.rest());
            }
            self.buffer.reserve(CHUNK_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                self.ended = true;
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            if self.dropped.is_some() || self.buffer.len() > self.longest {
                self.drop_middle();
            }
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + at;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        self.searched = 0;
        Some(self.finish(line))
    }

    /// Drops what a long line holds beyond its beginning.
    fn drop_middle(&mut self) {
        let excess = self.buffer.len().saturating_sub(BEGINNING_BYTES);
        self.buffer.truncate(BEGINNING_BYTES);
        *self.dropped.get_or_insert(0) += excess as u64;
    }

    fn rest(&mut self) -> Option<Line> {
        if self.buffer.is_empty() && self.dropped.is_none() {
            return None;
        }
        self.searched = 0;
        let line = std::mem::take(&mut self.buffer);
        Some(self.finish(line))
    }

    fn finish(&mut self, mut line: Vec<u8>) -> Line {
        match self.dropped.take() {
            None if line.len() <= self.longest => Line::Whole(line),
            dropped => {
                let bytes = line.len() as u64 + dropped.unwrap_or(0);
                line.truncate(BEGINNING_BYTES);
                Line::Cut { beginning: line, bytes }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &[u8], longest: usize) -> Vec<Line> {
        let mut lines = Lines::of(text, longest);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn a_line_ends_with_a_line_feed_only() {
        let found = all("a\r\n\u{2028}b\n\nlast".as_bytes(), 100).await;
        let expected = ["a\r", "\u{2028}b", "", "last"];
        let expected: Vec<Line> =
            expected.iter().map(|line| Line::Whole(line.as_bytes().to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; 300_000];
        let text = [&long[..], b"\nnext\n", &long[..200_000]].concat();
        let found = all(&text, 100_000).await;
        let cut = |bytes| Line::Cut { beginning: vec![b'x'; BEGINNING_BYTES], bytes };
        assert_eq!(found, [cut(300_000), Line::Whole(b"next".to_vec()), cut(200_000)]);
    }
}
