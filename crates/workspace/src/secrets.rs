//! Secrets: values that commands are given and nobody else sees.
//!
//! ```text
//! secret set ──▶ sealed in the database ──given──▶ held by the workspace, sealed once more
//!                     │                                  │
//!                secret delete                    hidden in all that the workspace shows,
//!                                                 until it is deleted
//! ```
//!
//! Both are sealed (crate `sealing`) with this user's key, a file of its own in
//! the home that only its owner can read. A stored value is bound to its name, a
//! held one to its workspace as well: rows that are swapped do not open. What a
//! workspace holds only grows: processes in it may still have a value that was
//! replaced or deleted long ago.
//!
//! A value is written down as held before anything in the workspace gets it, so
//! whatever shows something of the workspace can know what to hide.
//!
//! **SIGKILL here.** The key is written aside and renamed: there is the whole key
//! or none, and beside it a file that the next attempt overwrites. Everything
//! else is one transaction each. A value that is held but was never given is
//! hidden for nothing.
//!
//! **A lost key.** Stored values cannot be read: they are set again, with a new
//! key. A workspace that holds values which cannot be read does not start, since
//! nothing could hide them.

mod key;
pub(crate) mod leaving;
pub(crate) mod memory;

use std::fmt;
use std::path::PathBuf;

use operation::{ErrorKind, OpError};
use redaction::NotHideable;
use sealing::{Binding, Key, OpenError, SealError, Zeroizing};
use workspace_api::id::WorkspaceId;
use workspace_api::secret::{SecretName, VALUE_MAX, VALUE_MIN};

use crate::files::FileError;
use crate::home::Home;
use crate::store::{HeldValue, Store, StoreError};

/// How many values one workspace may hold.
pub(crate) const HELD_MAX: usize = 64;

/// A value. Its memory is overwritten when it goes, and nothing shows it.
#[derive(Clone)]
pub(crate) struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// The value that these bytes are.
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, NotAValue> {
        match bytes.len() {
            length @ ..VALUE_MIN => return Err(NotAValue::TooShort(length)),
            length if length > VALUE_MAX => return Err(NotAValue::TooLong),
            _ if bytes.contains(&0) => return Err(NotAValue::NotText),
            _ => {}
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| NotAValue::NotText)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The value itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

/// Bytes that cannot be the value of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAValue {
    #[error("the value has {0} bytes; fewer than {VALUE_MIN} cannot be told from other text")]
    TooShort(usize),
    #[error("the value has more than {VALUE_MAX} bytes")]
    TooLong,
    #[error("the value is not text, or holds a NUL byte: no variable can hold it")]
    NotText,
}

/// A step on secrets that failed. None of these shows a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("there is no secret `{0}`")]
    Unknown(SecretName),
    #[error("the key that secrets are sealed with is gone: {}", .0.display())]
    KeyMissing(PathBuf),
    #[error("{} is no key", path.display())]
    BadKey {
        path: PathBuf,
        #[source]
        source: sealing::NotAKey,
    },
    #[error("no key can be made")]
    NoKey(#[source] sealing::NoRandomness),
    #[error("cannot seal `{name}`")]
    Seal {
        name: SecretName,
        #[source]
        source: SealError,
    },
    #[error("cannot open `{name}`")]
    Open {
        name: SecretName,
        #[source]
        source: OpenError,
    },
    #[error("what is stored as `{name}` is no value")]
    BadValue {
        name: SecretName,
        #[source]
        source: NotAValue,
    },
    #[error("cannot open the sealed memory {}", path.display())]
    Memory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("a workspace holds at most {HELD_MAX} values of secrets")]
    TooMany,
    #[error("these values cannot be hidden")]
    NotHideable(#[from] NotHideable),
}

impl From<SecretError> for OpError {
    fn from(error: SecretError) -> Self {
        const AGAIN: &str = "restore the key from a backup, or set the secret again: \
                             `hotcell secret set NAME`";
        match error {
            SecretError::Store(error) => error.into(),
            SecretError::File(error) => error.into(),
            error @ SecretError::Unknown(_) => Self::new(ErrorKind::NotFound, &error)
                .hinted("`hotcell secret list` shows what exists, `hotcell secret set` keeps one"),
            error @ (SecretError::KeyMissing(_)
            | SecretError::BadKey { .. }
            | SecretError::Open { .. }) => Self::new(ErrorKind::Unavailable, &error).hinted(AGAIN),
            error @ SecretError::Memory { .. } => Self::new(ErrorKind::Unavailable, &error)
                .hinted("restore the key from a backup, or use another snapshot"),
            error @ (SecretError::TooMany | SecretError::NotHideable(_)) => {
                Self::new(ErrorKind::Exhausted, &error).hinted("use a new workspace")
            }
            error => Self::new(ErrorKind::Internal, &error),
        }
    }
}

/// The secrets of this user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vault<'a> {
    pub(crate) home: &'a Home,
    pub(crate) store: &'a Store,
}

impl Vault<'_> {
    /// Stores a value under a name.
    pub(crate) fn set(&self, name: &SecretName, value: &SecretValue) -> Result<(), SecretError> {
        let key = key::obtain(self.home)?;
        let sealed = seal(&key, &stored(name), name, value)?;
        let bytes = value.reveal().len() as u64;
        Ok(self.store.put_secret(name, &sealed, bytes)?)
    }

    /// The present value of a secret.
    pub(crate) fn get(&self, name: &SecretName) -> Result<SecretValue, SecretError> {
        let secret = self.store.secret(name)?.ok_or_else(|| SecretError::Unknown(name.clone()))?;
        open(&key::read(self.home)?, &stored(name), name, &secret.sealed)
    }

    /// Whether a stored secret can be read.
    pub(crate) fn is_readable(&self, name: &SecretName, sealed: &[u8]) -> bool {
        key::read(self.home).is_ok_and(|key| open(&key, &stored(name), name, sealed).is_ok())
    }

    /// Writes down that a workspace is given these values; the names of those
    /// that it did not hold before.
    pub(crate) fn hold(
        &self,
        workspace: WorkspaceId,
        values: &[(SecretName, SecretValue)],
    ) -> Result<Vec<SecretName>, SecretError> {
        let key = key::obtain(self.home)?;
        self.store.hold(workspace, |before| {
            let mut known = Vec::new();
            for held in before {
                let value = open(&key, &held_by(workspace, &held.name), &held.name, &held.sealed)?;
                known.push((held.name.clone(), value));
            }
            let mut added = Vec::new();
            for (name, value) in values {
                let is_known = known.iter().any(|(known_name, known_value)| {
                    known_name == name && known_value.reveal() == value.reveal()
                });
                if !is_known {
                    let sealed = seal(&key, &held_by(workspace, name), name, value)?;
                    added.push(HeldValue { name: name.clone(), sealed });
                    known.push((name.clone(), value.clone()));
                }
            }
            if known.len() > HELD_MAX { Err(SecretError::TooMany) } else { Ok(added) }
        })
    }

    /// What a workspace was given so far.
    pub(crate) fn held(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<(SecretName, SecretValue)>, SecretError> {
        let held = self.store.held(workspace)?;
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let key = key::read(self.home)?;
        let open = |HeldValue { name, sealed }| {
            let value = open(&key, &held_by(workspace, &name), &name, &sealed)?;
            Ok((name, value))
        };
        held.into_iter().map(open).collect()
    }

    /// What is hidden in all that a workspace shows; none if it holds nothing.
    pub(crate) fn hidden(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<redaction::Secrets>, SecretError> {
        let held = self.held(workspace)?;
        if held.is_empty() {
            return Ok(None);
        }
        let values = held.iter().map(|(name, value)| (name.as_str(), value.reveal().as_bytes()));
        Ok(Some(redaction::Secrets::new(values)?))
    }
}

fn stored(name: &SecretName) -> Binding {
    Binding::new(["stored", name.as_str()])
}

fn held_by(workspace: WorkspaceId, name: &SecretName) -> Binding {
    Binding::new(["held", &workspace.to_string(), name.as_str()])
}

fn seal(
    key: &Key,
    binding: &Binding,
    name: &SecretName,
    value: &SecretValue,
) -> Result<Vec<u8>, SecretError> {
    sealing::seal(key, binding, value.reveal().as_bytes())
        .map_err(|source| SecretError::Seal { name: name.clone(), source })
}

fn open(
    key: &Key,
    binding: &Binding,
    name: &SecretName,
    sealed: &[u8],
) -> Result<SecretValue, SecretError> {
    let bytes = sealing::open(key, binding, sealed)
        .map_err(|source| SecretError::Open { name: name.clone(), source })?;
    SecretValue::new(bytes).map_err(|source| SecretError::BadValue { name: name.clone(), source })
}

#[cfg(test)]
mod tests {
    use std::{fs, slice};

    use super::*;
    use crate::store::tests::{record, store};

    fn value(text: &str) -> SecretValue {
        SecretValue::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn a_workspace_holds_every_value_that_it_was_given_until_it_is_gone() {
        let (_directory, home, store) = store();
        let vault = Vault { home: &home, store: &store };
        let (demo, other) = (record(Some("demo")), record(None));
        store.insert(&demo, None).unwrap();
        store.insert(&other, None).unwrap();
        let token: SecretName = "TOKEN".parse().unwrap();
        vault.set(&token, &value("first-value")).unwrap();
        let given = [(token.clone(), vault.get(&token).unwrap())];
        assert_eq!(vault.hold(demo.id, &given).unwrap(), slice::from_ref(&token));
        assert_eq!(vault.hold(demo.id, &given).unwrap(), []);
        vault.set(&token, &value("second-value")).unwrap();
        let given = [(token.clone(), vault.get(&token).unwrap())];
        assert_eq!(vault.hold(demo.id, &given).unwrap(), slice::from_ref(&token));
        assert!(store.delete_secret(&token).unwrap());
        assert!(matches!(vault.get(&token), Err(SecretError::Unknown(_))));
        let held = vault.held(demo.id).unwrap();
        let held: Vec<&str> = held.iter().map(|(_, value)| value.reveal()).collect();
        assert_eq!(held, ["first-value", "second-value"]);
        assert!(vault.hidden(other.id).unwrap().is_none());
        let names = store.find(&"demo".parse().unwrap()).unwrap().details.secrets;
        assert_eq!(Vec::from_iter(names), [token]);
        store.step(demo.id, workspace_api::state::Step::Delete, None).unwrap();
        assert!(store.held(demo.id).unwrap().is_empty());
    }

    #[test]
    fn without_its_key_a_value_is_unreadable_and_can_be_set_again() {
        let (_directory, home, store) = store();
        let vault = Vault { home: &home, store: &store };
        let demo = record(None);
        store.insert(&demo, None).unwrap();
        let token: SecretName = "TOKEN".parse().unwrap();
        vault.set(&token, &value("first-value")).unwrap();
        vault.hold(demo.id, &[(token.clone(), value("first-value"))]).unwrap();
        fs::remove_file(home.secret_key()).unwrap();
        assert!(matches!(vault.get(&token), Err(SecretError::KeyMissing(_))));
        assert!(matches!(vault.hidden(demo.id), Err(SecretError::KeyMissing(_))));
        vault.set(&token, &value("second-value")).unwrap();
        assert_eq!(vault.get(&token).unwrap().reveal(), "second-value");
        // The workspace's own are lost with the old key.
        let lost = vault.hidden(demo.id).unwrap_err();
        assert!(matches!(lost, SecretError::Open { source: OpenError::OtherKey, .. }), "{lost:?}");
        fs::write(home.secret_key(), "no key").unwrap();
        assert!(matches!(vault.get(&token), Err(SecretError::BadKey { .. })));
        let again = vault.set(&token, &value("third-value"));
        assert!(matches!(again, Err(SecretError::BadKey { .. })), "it is not overwritten");
    }

    #[test]
    fn the_value_of_another_name_or_workspace_does_not_open() {
        let (_directory, home, store) = store();
        let vault = Vault { home: &home, store: &store };
        let (one, two): (SecretName, SecretName) = ("ONE".parse().unwrap(), "TWO".parse().unwrap());
        vault.set(&one, &value("first-value")).unwrap();
        let sealed = store.secret(&one).unwrap().unwrap().sealed;
        assert!(vault.is_readable(&one, &sealed));
        store.put_secret(&two, &sealed, 11).unwrap();
        assert!(matches!(vault.get(&two), Err(SecretError::Open { .. })));
        assert!(!fs::read(home.database()).unwrap().windows(11).any(|w| w == b"first-value"));
    }

    #[test]
    fn what_cannot_be_hidden_or_held_by_a_variable_is_no_value() {
        let new = |bytes: &[u8]| SecretValue::new(Zeroizing::new(bytes.to_vec()));
        assert_eq!(new(b"1234567").unwrap_err(), NotAValue::TooShort(7));
        assert_eq!(new(&[b'x'; VALUE_MAX + 1]).unwrap_err(), NotAValue::TooLong);
        assert_eq!(new(b"12345678\0").unwrap_err(), NotAValue::NotText);
        assert_eq!(new(b"12345678\xff").unwrap_err(), NotAValue::NotText);
        let longest = new(&[b'x'; VALUE_MAX]).unwrap();
        assert_eq!(format!("{longest:?}"), "SecretValue(..)");
    }
}
