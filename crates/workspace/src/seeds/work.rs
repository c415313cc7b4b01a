//! Work on a seed, as those see it who wait for it.

use std::fmt;

use environment::Cancel;
use tokio::sync::watch;

/// Whether work on a seed shall go on, and what is being done.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Ends it.
    pub(crate) cancel: Cancel,
    doing: watch::Sender<String>,
}

impl Work {
    /// Work that has not begun.
    pub(crate) fn new(cancel: &Cancel) -> Self {
        Self { cancel: cancel.clone(), doing: watch::Sender::default() }
    }

    /// What is being done right now, in a few words.
    pub(crate) fn doing(&self) -> String {
        self.doing.borrow().clone()
    }

    /// Says what is being done from now on.
    pub(super) fn begins(&self, what: impl fmt::Display) {
        self.doing.send_replace(what.to_string());
    }
}
