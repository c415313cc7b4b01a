//! What the monitor says on the control stream (QMP), as types.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Longest text of the monitor that gets into our errors and notices.
const MAX_TEXT_CHARS: usize = 512;

/// How far a save or a load got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MigrationStatus {
    /// The guest is halted, all but the last of its memory is written, and we
    /// are waited for.
    PreSwitchover,
    Completed,
    Failed,
    Cancelled,
    /// All that come before the end.
    #[serde(other)]
    Underway,
}

/// Something the monitor said without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Migration(MigrationStatus),
    /// The guest stands still.
    Halted {
        at_us: u64,
    },
    /// The guest goes on.
    Resumed {
        at_us: u64,
    },
    /// The job is over; with the reason if it failed.
    JobEnded {
        failure: Option<String>,
    },
    /// The guest is halted because the host's storage is full.
    StorageFull {
        node: String,
    },
    DiskFailed {
        node: String,
        reason: String,
    },
    ShutDown,
}

/// One line of the monitor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Greeting,
    Reply {
        id: u64,
        result: Result<Value, String>,
    },
    /// `None` for what we have no use for.
    Event(Option<Event>),
}

impl Message {
    /// Reads a line; the error says what is wrong with it.
    pub(super) fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        match serde_json::from_slice(line)? {
            Wire::Greeting { .. } => Ok(Self::Greeting),
            Wire::Event { event, data, timestamp } => {
                Ok(Self::Event(read_event(&event, data, timestamp)))
            }
            Wire::Return { value, id } => Ok(Self::Reply { id, result: Ok(value) }),
            Wire::Error { error, id } => Ok(Self::Reply { id, result: Err(short(&error.desc)) }),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Greeting {
        #[serde(rename = "QMP")]
        _qmp: IgnoredAny,
    },
    Event {
        event: String,
        #[serde(default)]
        data: Value,
        #[serde(default)]
        timestamp: WireTime,
    },
    Return {
        #[serde(rename = "return")]
        value: Value,
        id: u64,
    },
    Error {
        error: WireError,
        id: u64,
    },
}

#[derive(Deserialize)]
struct WireError {
    desc: String,
}

/// When something happened, by the host's wall clock.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireTime {
    /// Negative if the host's clock could not be read.
    seconds: i64,
    microseconds: i64,
}

impl WireTime {
    fn microseconds(&self) -> u64 {
        let sum = self.seconds.saturating_mul(1_000_000).saturating_add(self.microseconds);
        u64::try_from(sum).unwrap_or(0)
    }
}

#[derive(Deserialize)]
struct WireJob {
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct WireMigration {
    status: MigrationStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireDiskFailure {
    #[serde(default)]
    node_name: String,
    #[serde(default)]
    nospace: bool,
    action: String,
    #[serde(default)]
    reason: String,
}

fn read_event(name: &str, data: Value, at: WireTime) -> Option<Event> {
    match name {
        "SHUTDOWN" => Some(Event::ShutDown),
        "STOP" => Some(Event::Halted { at_us: at.microseconds() }),
        "RESUME" => Some(Event::Resumed { at_us: at.microseconds() }),
        "BLOCK_JOB_COMPLETED" => {
            let found: WireJob = serde_json::from_value(data).ok()?;
            Some(Event::JobEnded { failure: found.error.as_deref().map(short) })
        }
        "MIGRATION" => {
            let found: WireMigration = serde_json::from_value(data).ok()?;
            Some(Event::Migration(found.status))
        }
        "BLOCK_IO_ERROR" => {
            let found: WireDiskFailure = serde_json::from_value(data).ok()?;
            let node = short(&found.node_name);
            if found.nospace && found.action == "stop" {
                Some(Event::StorageFull { node })
            } else {
                Some(Event::DiskFailed { node, reason: short(&found.reason) })
            }
        }
        _ => None,
    }
}

/// The reason that `query-migrate` gives for a failure.
pub(super) fn migration_failure(answer: &Value) -> String {
    let reason = answer.get("error-desc").and_then(Value::as_str);
    reason.map_or_else(|| "it gave no reason".to_owned(), short)
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(line: &str) -> Message {
        Message::parse(line.as_bytes()).expect("a message")
    }

    #[test]
    fn lines_of_the_monitor_become_messages() {
        let greeting = r#"{"QMP":{"version":{"qemu":{"major":7}},"capabilities":["oob"]}}"#;
        assert_eq!(parse(greeting), Message::Greeting);
        let reply = parse(r#"{"return": {}, "id": 7}"#);
        assert_eq!(reply, Message::Reply { id: 7, result: Ok(json!({})) });
        let refusal = parse(r#"{"id": 8, "error": {"class": "GenericError", "desc": "no"}}"#);
        assert_eq!(refusal, Message::Reply { id: 8, result: Err("no".to_owned()) });
        assert_eq!(parse(r#"{"event":"POWERDOWN","timestamp":{}}"#), Message::Event(None));
        let stop = r#"{"event":"STOP","timestamp":{"seconds":2,"microseconds":5}}"#;
        assert_eq!(parse(stop), Message::Event(Some(Event::Halted { at_us: 2_000_005 })));
        let status = parse(r#"{"event":"MIGRATION","data":{"status":"completed"}}"#);
        let completed = Event::Migration(MigrationStatus::Completed);
        assert_eq!(status, Message::Event(Some(completed)));
    }

    #[test]
    fn a_full_host_is_told_from_a_broken_one() {
        let event = |nospace: bool, action: &str| {
            parse(&format!(
                r#"{{"event":"BLOCK_IO_ERROR","data":{{"device":"","node-name":"drive0",
                "operation":"write","action":"{action}","nospace":{nospace},"reason":"why"}}}}"#
            ))
        };
        let full = Event::StorageFull { node: "drive0".to_owned() };
        assert_eq!(event(true, "stop"), Message::Event(Some(full)));
        let failed = Event::DiskFailed { node: "drive0".to_owned(), reason: "why".to_owned() };
        assert_eq!(event(false, "report"), Message::Event(Some(failed)));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for line in ["", "{}", "[1]", r#"{"return":{}}"#, "\u{0}", r#"{"event":3}"#] {
            assert!(Message::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
