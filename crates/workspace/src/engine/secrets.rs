//! Operations on secrets, and giving them to commands.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;

use guest_protocol::message::Exec;
use operation::{Call, ErrorKind, Handler, Input, NoEvents, OpError};
use sealing::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use workspace_api::id::WorkspaceId;
use workspace_api::ledger::LedgerEvent;
use workspace_api::secret::{
    Delete, Deleted, List, Secret, SecretName, SecretUse, Secrets, Set, VALUE_MAX,
};

use super::Engine;
use super::terms::shown;
use crate::files::FileError;
use crate::keeper::asking::HideSecrets;
use crate::keeper::client::KeeperConnection;
use crate::secrets::leaving::Gate;
use crate::secrets::{NotAValue, SecretError, SecretValue, Vault};
use crate::settings;
use crate::store::{Record, StoredSecret};

impl Handler<Set> for Engine {
    async fn handle(&self, set: Set, call: &mut Call<NoEvents>) -> Result<Secret, OpError> {
        let value = value(&set, &mut call.input).await?;
        self.vault().set(&set.name, &value)?;
        let stored = self.store.secret(&set.name)?.ok_or(SecretError::Unknown(set.name))?;
        Ok(self.told(stored, &self.holders()?))
    }
}

impl Handler<List> for Engine {
    async fn handle(&self, _: List, _: &mut Call<NoEvents>) -> Result<Secrets, OpError> {
        let holders = self.holders()?;
        let secrets = self.store.secrets()?;
        Ok(Secrets {
            secrets: secrets.into_iter().map(|secret| self.told(secret, &holders)).collect(),
        })
    }
}

impl Handler<Delete> for Engine {
    async fn handle(&self, delete: Delete, _: &mut Call<NoEvents>) -> Result<Deleted, OpError> {
        if !self.store.delete_secret(&delete.name)? {
            return Err(SecretError::Unknown(delete.name).into());
        }
        Ok(Deleted { name: delete.name })
    }
}

/// Whether content that holds the value of a secret may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretsLeave {
    /// Somebody allowed it.
    Allowed,
    Refused,
}

impl SecretsLeave {
    /// As a request says.
    pub(super) const fn allowed(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

type Holders = BTreeMap<SecretName, Vec<WorkspaceId>>;

impl Engine {
    pub(super) fn vault(&self) -> Vault<'_> {
        Vault { home: &self.home, store: &self.store }
    }

    /// Puts the present values of secrets among the variables of a command that is
    /// about to start; the names of those secrets. Before that the values are
    /// written down as held by the workspace, and its keeper hides them.
    pub(super) async fn give(
        &self,
        record: &Record,
        connection: &mut KeeperConnection,
        uses: &[SecretUse],
        exec: &mut Exec,
    ) -> Result<Vec<String>, OpError> {
        if uses.is_empty() {
            return Ok(Vec::new());
        }
        let mut values = Vec::new();
        for SecretUse { secret, variable } in uses {
            if exec.env.contains_key(variable.as_str()) {
                let message = format!("the variable `{variable}` is set twice");
                return Err(OpError::plain(ErrorKind::InvalidRequest, message)
                    .hinted("name another variable: `--secret NAME=VARIABLE`"));
            }
            let value = self.vault().get(secret)?;
            exec.env.insert(variable.to_string(), value.reveal().to_owned());
            values.push((secret.clone(), value));
        }
        let added = self.vault().hold(record.id, &values)?;
        connection.ask(HideSecrets {}).await?;
        for secret in added {
            connection.note(LedgerEvent::SecretSet { secret: secret.to_string() });
        }
        Ok(uses.iter().map(|given| given.secret.to_string()).collect())
    }

    /// Judges what leaves a workspace byte by byte.
    pub(super) fn gate(&self, record: &Record, leaving: SecretsLeave) -> Result<Gate, OpError> {
        match leaving {
            SecretsLeave::Allowed => Ok(Gate::default()),
            SecretsLeave::Refused => Ok(Gate::new(self.vault().hidden(record.id)?)),
        }
    }

    /// The workspaces that were given each secret.
    fn holders(&self) -> Result<Holders, OpError> {
        let mut holders = Holders::new();
        for record in self.store.list()? {
            for secret in record.details.secrets {
                holders.entry(secret).or_default().push(record.id);
            }
        }
        Ok(holders)
    }

    fn told(&self, stored: StoredSecret, holders: &Holders) -> Secret {
        Secret {
            bytes: stored.bytes,
            created_at: shown(stored.created_at),
            changed_at: shown(stored.changed_at),
            readable: self.vault().is_readable(&stored.name, &stored.sealed),
            workspaces: holders.get(&stored.name).cloned().unwrap_or_default(),
            name: stored.name,
        }
    }
}

/// The value that a request means, from wherever it says.
async fn value(set: &Set, input: &mut Input) -> Result<SecretValue, OpError> {
    let mut bytes = match (&set.from_file, &set.from_env) {
        (Some(_), Some(_)) => {
            let message = "a value comes from a file or from a variable, not from both";
            return Err(OpError::plain(ErrorKind::InvalidRequest, message));
        }
        (Some(path), None) => {
            let path = path.as_ref();
            let file = File::open(path).map_err(FileError::at("open", path))?;
            read(tokio::fs::File::from_std(file)).await?
        }
        (None, Some(name)) => {
            let value = settings::variable(name).ok_or_else(|| {
                let message = format!("there is no variable `{name}`");
                OpError::plain(ErrorKind::NotFound, message)
            })?;
            Zeroizing::new(value.into_vec())
        }
        (None, None) => read(input).await?,
    };
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    SecretValue::new(bytes).map_err(refused)
}

async fn read(from: impl AsyncRead + Unpin) -> Result<Zeroizing<Vec<u8>>, OpError> {
    // One line end is no part of the value, and one byte more shows that it is too
    // long. Room for all of it at once, so that no copy is left behind.
    const MOST: usize = VALUE_MAX + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MOST));
    from.take(MOST as u64).read_to_end(&mut bytes).await.map_err(|error| {
        OpError::new(ErrorKind::InvalidRequest, &error).during("cannot read the value")
    })?;
    Ok(bytes)
}

fn refused(error: NotAValue) -> OpError {
    let refused = OpError::new(ErrorKind::InvalidRequest, &error);
    match error {
        NotAValue::TooShort(0) => {
            refused.hinted("pass it on standard input: `hotcell secret set NAME < FILE`")
        }
        NotAValue::TooShort(_) => {
            refused.hinted("what is shorter needs no hiding, or a longer value in its place")
        }
        NotAValue::TooLong => refused.hinted("give larger things to the workspace as files"),
        NotAValue::NotText => refused.hinted("encode it, in base64 say"),
    }
}
