//! What accompanies a request: events out, bytes in, cancellation.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncRead, empty};
use tokio_util::sync::CancellationToken;

use crate::present::Present;

/// A boxed future that may cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Bytes that a caller passes along, for instance its standard input.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

type Sink<E> = Box<dyn FnMut(E) -> BoxFuture<'static, ()> + Send>;

/// What accompanies one request to a handler.
pub struct Call<E> {
    sink: Sink<E>,
    /// Bytes from the caller; ends at once when there are none.
    pub input: Input,
    /// Cancelled when the caller no longer wants the result. The handler stops
    /// what it started, cleans up, and fails with [`crate::ErrorKind::Cancelled`].
    pub cancel: CancellationToken,
}

impl<E: Send + 'static> Call<E> {
    /// A call that nobody listens to, that has no input and is not cancelled.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(|_| async {})
    }

    /// A call whose events go to `sink`. The handler waits for each, so a slow
    /// listener slows the handler down instead of filling memory.
    pub fn new<F, Fut>(mut sink: F) -> Self
    where
        F: FnMut(E) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self {
            sink: Box::new(move |event| Box::pin(sink(event))),
            input: Box::new(empty()),
            cancel: CancellationToken::new(),
        }
    }

    /// The same call with bytes to read.
    #[must_use]
    pub fn with_input(mut self, input: impl AsyncRead + Send + Unpin + 'static) -> Self {
        self.input = Box::new(input);
        self
    }

    /// The same call, cancelled through `cancel`.
    #[must_use]
    pub fn with_cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Tells the caller something before the end.
    pub async fn emit(&mut self, event: E) {
        (self.sink)(event).await;
    }
}

impl<E> fmt::Debug for Call<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("cancel", &self.cancel.is_cancelled()).finish_non_exhaustive()
    }
}

/// An output or event whose type a face does not know.
pub trait Tell: Present + Send {
    /// Its machine form.
    fn json(&self) -> Value;
}

impl<T: Present + Serialize + Send> Tell for T {
    fn json(&self) -> Value {
        serde_json::to_value(self).expect("outputs and events are plain data")
    }
}

/// A [`Call`] whose event type a face does not know.
pub type RawCall = Call<Box<dyn Tell>>;

impl RawCall {
    /// This call for a handler that knows its event type.
    #[must_use]
    pub fn typed<E: Present + Serialize + Send + 'static>(self) -> Call<E> {
        let mut sink = self.sink;
        Call {
            sink: Box::new(move |event| sink(Box::new(event))),
            input: self.input,
            cancel: self.cancel,
        }
    }
}
