//! Time as it is given to the engine, which never reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the beginning of 1970, UTC.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// The moment `span` later; the last one that can be told if there is none.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(span_ms))
    }

    /// How much time passed since an earlier moment; none if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
