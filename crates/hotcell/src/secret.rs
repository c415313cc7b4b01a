//! Secrets that commands are given.

use operation::Call;
use workspace_api::secret::{Delete, List, Secret, SecretName, Set};

use crate::{Client, Error};

impl Client {
    /// Keeps a value for commands, sealed; see [`CommandOptions::secret`].
    ///
    /// [`CommandOptions::secret`]: crate::CommandOptions::secret
    ///
    /// # Errors
    ///
    /// If it is shorter than 8 bytes, so that it could not be hidden, or is nothing
    /// that a variable can hold.
    pub async fn set_secret(
        &self,
        name: SecretName,
        value: impl Into<Vec<u8>>,
    ) -> Result<Secret, Error> {
        let value = std::io::Cursor::new(value.into());
        self.call(Set::new(name), &mut Call::quiet().with_input(value)).await
    }

    /// The secrets of this user, without their values.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub async fn secrets(&self) -> Result<Vec<Secret>, Error> {
        Ok(self.call(List {}, &mut Call::quiet()).await?.secrets)
    }

    /// Forgets a secret. Workspaces that were given it go on hiding its value.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn delete_secret(&self, name: SecretName) -> Result<(), Error> {
        self.call(Delete { name }, &mut Call::quiet()).await.map(drop)
    }
}
