//! Spans of time as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Serialize};

use operation::text_value;

/// A span of time: `30s`, `5m`, `1h 30m`; a plain number means seconds.
///
/// At least one millisecond, at most 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeSpan(Duration);

impl TimeSpan {
    /// The longest span.
    pub const MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// The span as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The span in whole milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).expect("at most 30 days")
    }
}

impl TryFrom<Duration> for TimeSpan {
    type Error = NotASpan;

    fn try_from(duration: Duration) -> Result<Self, NotASpan> {
        if (Duration::from_millis(1)..=Self::MAX).contains(&duration) {
            Ok(Self(duration))
        } else {
            Err(NotASpan(format!("{duration:?}")))
        }
    }
}

impl FromStr for TimeSpan {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let refused = || NotASpan(text.to_owned());
        let duration = match text.parse::<u32>() {
            Ok(seconds) => Duration::from_secs(seconds.into()),
            Err(_) => {
                let span: Span = text.parse().map_err(|_| refused())?;
                // A day without a date has 24 hours.
                let days = SpanRelativeTo::days_are_24_hours();
                let signed = span.to_duration(days).map_err(|_| refused())?;
                Duration::try_from(signed).map_err(|_| refused())?
            }
        };
        Self::try_from(duration).map_err(|_| refused())
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = SignedDuration::try_from(self.0).expect("at most 30 days");
        write!(f, "{signed:#}")
    }
}

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span of time between 1ms and 30d: write `30s`, `5m` or `1h 30m`")]
pub struct NotASpan(String);

text_value!(TimeSpan, "^[0-9].*$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("30", 30_000),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h 30m", 5_400_000),
            ("250ms", 250),
            ("30d", 2_592_000_000),
            ("1d 12h", 129_600_000),
        ] {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!(span.as_millis(), milliseconds, "{text}");
            assert_eq!(span.to_string().parse::<TimeSpan>().unwrap(), span);
        }
        for bad in ["", "0", "-5s", "soon", "31d", "99999h", "1 month"] {
            assert!(bad.parse::<TimeSpan>().is_err(), "{bad}");
        }
    }
}
