//! Extended headers: what POSIX archives say about the member that follows.

use super::sparse::SparseExtension;
use crate::entry::Moment;
use crate::error::TreeError;

/// What extended headers said about the next member.
#[derive(Debug, Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) bytes: Option<u64>,
    pub(super) modified: Option<Moment>,
    pub(super) sparse: SparseExtension,
}

impl Extension {
    /// Takes in the records of a POSIX extended header.
    pub(super) fn read_records(&mut self, records: &[u8]) -> Result<(), TreeError> {
        let mut rest = records;
        while !rest.is_empty() {
            let (key, value, after) =
                split_record(rest).ok_or(TreeError::Damaged("an extended header is malformed"))?;
            rest = after;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.bytes = Some(number(value)?),
                b"mtime" => self.modified = moment(value),
                key => self.sparse.read_record(key, value)?,
            }
        }
        Ok(())
    }
}

/// The first record, `LENGTH KEY=VALUE` and a line end, and what follows it. The
/// length counts the whole record; a value may hold line ends.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

/// A decimal number.
pub(super) fn number(text: &[u8]) -> Result<u64, TreeError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(TreeError::Damaged("an extended header has a number that is none"))
}

/// Seconds with a fraction; `None` if it is no such thing, as a time that makes
/// no sense does not make a file worthless.
fn moment(text: &[u8]) -> Option<Moment> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        // -1.25 lies a quarter before -1.
        let seconds = seconds.checked_sub(1)?;
        return Some(Moment { seconds, nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Some(Moment { seconds, nanoseconds })
}

/// A moment as an extended header has it.
pub(super) fn shown(moment: Moment) -> String {
    let Moment { seconds, nanoseconds } = moment;
    match (seconds, nanoseconds) {
        (_, 0) => seconds.to_string(),
        (0.., _) => format!("{seconds}.{nanoseconds:09}"),
        _ => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_moment_is_what_it_is_shown_as(seconds in -10_000_i64..10_000, nanoseconds in 0..1_000_000_000_u32) {
            let moment = Moment { seconds, nanoseconds };
            prop_assert_eq!(super::moment(shown(moment).as_bytes()), Some(moment));
        }
    }
}
