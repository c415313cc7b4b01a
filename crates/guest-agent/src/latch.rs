//! A value that is set once and waited for by one task of the same thread.

use std::cell::Cell;

use tokio::sync::Notify;

/// Starts empty; the first value that is set stays.
#[derive(Debug, Default)]
pub(crate) struct Latch<T: Copy> {
    value: Cell<Option<T>>,
    filled: Notify,
}

impl<T: Copy> Latch<T> {
    pub(crate) fn new() -> Self {
        Self { value: Cell::new(None), filled: Notify::new() }
    }

    pub(crate) fn set(&self, value: T) {
        if self.value.get().is_none() {
            self.value.set(Some(value));
            self.filled.notify_one();
        }
    }

    pub(crate) fn get(&self) -> Option<T> {
        self.value.get()
    }

    pub(crate) async fn wait(&self) -> T {
        loop {
            if let Some(value) = self.value.get() {
                return value;
            }
            self.filled.notified().await;
        }
    }
}
