//! What a keeper hides in everything that leaves it.
//!
//! ```text
//! engine: value written down as held ─▶ keeper asked to hide it ─▶ command started with it
//! ```
//!
//! The keeper reads what its workspace holds from the sealed store, when it
//! starts and when it is asked to. From then on the value is hidden in the output
//! of all commands (`hub`), in what is written down of them (`jobs`, `scribe`) and
//! in the words that clients are told. Streams that are not for people, those of
//! tools and of the network, pass unaltered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use guest_protocol::message::Exec;
use operation::OpError;
use redaction::Veil;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use workspace_api::id::WorkspaceId;
use workspace_api::secret::SecretUse;

use super::protocol::FromKeeper;
use crate::home::Home;
use crate::secrets::Vault;
use crate::store::Store;

/// Knows what to hide. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Concealment {
    veil: Veil,
    home: Home,
    workspace: WorkspaceId,
    /// Whether something is about to get a secret.
    expected: Arc<AtomicBool>,
    /// Opened when there is something to hide.
    store: Arc<Mutex<Option<Store>>>,
}

impl Concealment {
    /// Hides nothing yet.
    pub(crate) fn new(home: &Home, workspace: WorkspaceId) -> Self {
        Self {
            veil: Veil::default(),
            home: home.clone(),
            workspace,
            expected: Arc::default(),
            store: Arc::default(),
        }
    }

    /// Puts the present values of secrets among the variables of a command, as
    /// somebody wanted before its machine was put back; the names of those secrets.
    pub(crate) fn give(&self, uses: &[SecretUse], exec: &mut Exec) -> Result<Vec<String>, OpError> {
        if uses.is_empty() {
            return Ok(Vec::new());
        }
        let store = Store::open(&self.home)?;
        let vault = Vault { home: &self.home, store: &store };
        let mut values = Vec::new();
        for SecretUse { secret, variable } in uses {
            let value = vault.get(secret)?;
            exec.env.insert(variable.to_string(), value.reveal().to_owned());
            values.push((secret.clone(), value));
        }
        vault.hold(self.workspace, &values)?;
        self.refresh()?;
        Ok(uses.iter().map(|given| given.secret.to_string()).collect())
    }

    /// Hides what the workspace holds by now.
    pub(crate) fn refresh(&self) -> Result<(), OpError> {
        // A panic while it was held cannot have left half a store.
        let mut kept = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match kept.take() {
            Some(store) => store,
            None => Store::open(&self.home)?,
        };
        let store = &*kept.insert(store);
        let vault = Vault { home: &self.home, store };
        if let Some(secrets) = vault.hidden(self.workspace).map_err(OpError::from)? {
            self.veil.hide(secrets);
        }
        Ok(())
    }

    /// Whether there is anything to hide.
    pub(crate) fn hides_something(&self) -> bool {
        self.veil.secrets().is_some()
    }

    /// Something is about to get a secret: [`Concealment::refresh`] comes next.
    pub(crate) fn expect(&self) {
        self.expected.store(true, Ordering::Relaxed);
    }

    /// Whether the machine's memory may hold a secret, now or in a moment.
    pub(crate) fn guards_memory(&self) -> bool {
        self.expected.load(Ordering::Relaxed) || self.hides_something()
    }

    /// For streams.
    pub(crate) fn veil(&self) -> Veil {
        self.veil.clone()
    }

    /// A text without the values in it.
    pub(crate) fn text(&self, text: String) -> String {
        self.veil.text(text)
    }

    /// An error without the values in its words.
    pub(crate) fn error(&self, error: OpError) -> OpError {
        let OpError { kind, message, causes, hints } = error;
        let texts = |texts: Vec<String>| texts.into_iter().map(|text| self.text(text)).collect();
        OpError { kind, message: self.text(message), causes: texts(causes), hints: texts(hints) }
    }

    /// Plain data without the values in its texts.
    pub(crate) fn data<T: Serialize + DeserializeOwned>(&self, data: T) -> T {
        if !self.hides_something() {
            return data;
        }
        let mut value = serde_json::to_value(&data).expect("records are plain data");
        self.conceal(&mut value);
        // A value that is also a word of the format stays: there is nothing to hide in it.
        serde_json::from_value(value).unwrap_or(data)
    }

    /// What a client is told, without the values in it.
    pub(crate) fn message(&self, message: FromKeeper) -> FromKeeper {
        match message {
            FromKeeper::Failed { error } => FromKeeper::Failed { error: self.error(error) },
            FromKeeper::Lost { error } => FromKeeper::Lost { error: self.error(error) },
            FromKeeper::Declined { id, error } => {
                FromKeeper::Declined { id, error: self.error(error) }
            }
            FromKeeper::Answer { id, mut answer } => {
                if self.hides_something() {
                    self.conceal(&mut answer);
                }
                FromKeeper::Answer { id, answer }
            }
            plain @ (FromKeeper::Ready
            | FromKeeper::Welcome
            | FromKeeper::Kept
            | FromKeeper::Deleted
            | FromKeeper::Stopped
            | FromKeeper::Hibernated) => plain,
        }
    }

    fn conceal(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(std::mem::take(text)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.conceal(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.conceal(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
