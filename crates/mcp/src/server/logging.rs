//! What the server tells a person who looks, over the protocol's own logging.
//!
//! ```text
//! initialize ──▶ from `notice` on ──logging/setLevel──▶ from that level on
//! server/discover: this revision has no logging, and nothing is told
//! ```
//!
//! Told are calls that were refused, with the rule and the remedy (`warning`), those
//! that take long and what they are at (`notice`), and how each other one ended
//! (`info`). Arguments and answers are not. A message has a bounded length, and there
//! are so many in a time: of the rest it is said how many they were.

#![expect(deprecated, reason = "the newest revision gives logging up; those before it have it")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::{
    ErrorData, JsonObject, LoggingLevel, LoggingMessageNotificationParam, SetLevelRequestMethod,
};
use rmcp::{Peer, RoleServer};
use serde_json::Value;

/// What is told unless the client says otherwise.
const LEVEL_DEFAULT: LoggingLevel = LoggingLevel::Notice;

/// Who says it.
const LOGGER: &str = "hotcell";

/// The longest message, in characters.
const MESSAGE_MAX_CHARS: usize = 1_000;

/// How many messages there are at most in [`WINDOW`].
const MESSAGES_MAX: u32 = 20;

/// The time in which they are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// A call ended.
    Info,
    /// Somebody may wonder.
    Notice,
    /// Something was refused.
    Warning,
}

/// The logging of one conversation.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// From which level on; none while there is no logging.
    level: Option<LoggingLevel>,
    /// When the time began in which messages are counted.
    since: Option<Instant>,
    told: u32,
    left_out: u32,
}

/// What a server that logs declares.
pub(super) fn capability() -> JsonObject {
    JsonObject::new()
}

impl Log {
    /// Begins: the client speaks a revision that has logging.
    pub(super) fn begin(&self) {
        self.state().level.get_or_insert(LEVEL_DEFAULT);
    }

    /// Tells from that level on.
    pub(super) fn set(&self, wanted: LoggingLevel) -> Result<(), ErrorData> {
        match &mut self.state().level {
            Some(level) => *level = wanted,
            None => return Err(ErrorData::method_not_found::<SetLevelRequestMethod>()),
        }
        Ok(())
    }

    /// Tells the client something, if it wants to know.
    pub(super) async fn tell(&self, client: &Peer<RoleServer>, weight: Weight, message: &str) {
        let Some(message) = self.admitted(Instant::now(), weight, message) else { return };
        let param = LoggingMessageNotificationParam::new(weight.level(), Value::from(message));
        if let Err(error) = client.notify_logging_message(param.with_logger(LOGGER)).await {
            tracing::debug!(%error, "the client takes no messages");
        }
    }

    /// The message as it is told now, if it is.
    fn admitted(&self, now: Instant, weight: Weight, message: &str) -> Option<String> {
        let mut state = self.state();
        // Levels are declared in their order.
        if (weight.level() as u8) < state.level? as u8 {
            return None;
        }
        if state.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            (state.since, state.told) = (Some(now), 0);
        }
        if state.told == MESSAGES_MAX {
            state.left_out += 1;
            return None;
        }
        state.told += 1;
        let mut text: String = message.chars().take(MESSAGE_MAX_CHARS).collect();
        let left_out = std::mem::take(&mut state.left_out);
        if left_out > 0 {
            text = format!("({left_out} messages were left out) {text}");
        }
        Some(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Weight {
    const fn level(self) -> LoggingLevel {
        match self {
            Self::Info => LoggingLevel::Info,
            Self::Notice => LoggingLevel::Notice,
            Self::Warning => LoggingLevel::Warning,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_without_logging_and_nothing_below_the_level() {
        let (log, now) = (Log::default(), Instant::now());
        assert!(log.set(LoggingLevel::Debug).is_err());
        assert_eq!(log.admitted(now, Weight::Warning, "x"), None);
        log.begin();
        assert_eq!(log.admitted(now, Weight::Info, "x"), None);
        assert_eq!(log.admitted(now, Weight::Notice, "x"), Some("x".to_owned()));
        log.set(LoggingLevel::Debug).unwrap();
        assert!(log.admitted(now, Weight::Info, "x").is_some());
        log.set(LoggingLevel::Error).unwrap();
        assert_eq!(log.admitted(now, Weight::Warning, "x"), None);
    }

    #[test]
    fn a_flood_is_counted_instead_of_told() {
        let (log, now) = (Log::default(), Instant::now());
        log.begin();
        let told = |at: Duration| log.admitted(now + at, Weight::Warning, &"é".repeat(5_000));
        let first: Vec<_> = (0..50).filter_map(|_| told(Duration::ZERO)).collect();
        assert_eq!(first.len(), MESSAGES_MAX as usize);
        assert!(first.iter().all(|text| text.chars().count() == MESSAGE_MAX_CHARS));
        let next = told(WINDOW).unwrap();
        assert!(next.starts_with("(30 messages were left out) "), "{}", &next[..40]);
        assert!(told(WINDOW).unwrap().starts_with('é'));
    }
}
