//! What a command wrote.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of one piece of output, exactly as the command wrote them.
///
/// In JSON they are text if they are UTF-8 and base64 otherwise, so a reader of
/// text never has to decode anything and no byte is ever altered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputBytes(pub Vec<u8>);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "OutputBytes", description = "Bytes: as text if they are UTF-8, else base64")]
enum Encoded {
    /// The bytes are this text.
    Text(String),
    /// The bytes, in base64.
    Base64(String),
}

impl Serialize for OutputBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Encoded::Text(text.to_owned()),
            Err(_) => Encoded::Base64(STANDARD.encode(&self.0)),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OutputBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Encoded::deserialize(deserializer)? {
            Encoded::Text(text) => Ok(Self(text.into_bytes())),
            Encoded::Base64(text) => {
                STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
            }
        }
    }
}

impl JsonSchema for OutputBytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OutputBytes".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Encoded::json_schema(generator)
    }
}

/// The end of what a command wrote to one channel, and how much it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapturedOutput {
    /// All bytes that the command wrote, counted.
    pub total_bytes: u64,
    /// How many of the first bytes are missing in `tail`.
    pub omitted_bytes: u64,
    /// The last bytes, at most 1 MiB.
    pub tail: OutputBytes,
}

/// Collects what a command writes, keeping a bounded tail.
#[derive(Debug, Default)]
pub struct Capture {
    total: u64,
    tail: Vec<u8>,
}

impl Capture {
    /// How much of a channel's end is kept, in bytes.
    pub const TAIL_MAX: usize = 1024 * 1024;

    /// Adds bytes in the order in which the command wrote them.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        // Cutting only when twice the limit is held keeps this linear.
        if self.tail.len() > 2 * Self::TAIL_MAX {
            self.tail.drain(..self.tail.len() - Self::TAIL_MAX);
        }
    }

    /// What was collected.
    #[must_use]
    pub fn finish(mut self) -> CapturedOutput {
        if self.tail.len() > Self::TAIL_MAX {
            self.tail.drain(..self.tail.len() - Self::TAIL_MAX);
        }
        CapturedOutput {
            total_bytes: self.total,
            omitted_bytes: self.total - self.tail.len() as u64,
            tail: OutputBytes(self.tail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_survive_json(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let json = serde_json::to_string(&OutputBytes(bytes.clone())).unwrap();
            prop_assert_eq!(serde_json::from_str::<OutputBytes>(&json).unwrap().0, bytes);
        }
    }

    #[test]
    fn text_stays_text() {
        let json = serde_json::to_string(&OutputBytes(b"hi\n".to_vec())).unwrap();
        assert_eq!(json, r#"{"text":"hi\n"}"#);
    }

    #[test]
    fn a_capture_keeps_the_end() {
        let mut capture = Capture::default();
        for _ in 0..40 {
            capture.push(&[1; 100_000]);
        }
        capture.push(b"end");
        let captured = capture.finish();
        assert_eq!(captured.total_bytes, 4_000_003);
        assert_eq!(captured.tail.0.len(), Capture::TAIL_MAX);
        assert_eq!(captured.omitted_bytes, 4_000_003 - 1_048_576);
        assert!(captured.tail.0.ends_with(b"end"));
    }
}
