//! On which stream, if on any, the host hears a command.
//!
//! ```text
//!            a new epoch, if it is kept
//! Heard on ───────────────────────────▶ Unheard
//!    ▲                                     │
//!    └────────────── Attach ───────────────┘
//! ```
//!
//! Stream numbers begin anew in each epoch, so whoever sends asks here at the
//! moment of sending and never remembers a number.

use std::cell::Cell;

use guest_protocol::frame::StreamId;
use tokio::sync::Notify;

/// Shared by the parts of one command.
#[derive(Debug)]
pub(crate) struct Hearing {
    stream: Cell<Option<StreamId>>,
    attached: Notify,
}

impl Hearing {
    pub(crate) fn on(stream: StreamId) -> Self {
        Self { stream: Cell::new(Some(stream)), attached: Notify::new() }
    }

    /// The stream, unless nobody listens.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        self.stream.get()
    }

    pub(crate) fn end(&self) {
        self.stream.set(None);
    }

    pub(crate) fn begin(&self, stream: StreamId) {
        self.stream.set(Some(stream));
        self.attached.notify_one();
    }

    /// Waits until somebody listens. For one waiter at a time.
    pub(crate) async fn some(&self) -> StreamId {
        loop {
            if let Some(stream) = self.stream.get() {
                return stream;
            }
            self.attached.notified().await;
        }
    }
}
