//! Ports of a workspace that can be reached from this host.

use operation::Call;
use workspace_api::port::{List, PortMapping, Publish, PublishedPort, Unpublish};

use crate::{Error, Workspace};

impl Workspace {
    /// Makes a port reachable from this host, at its loopback; see
    /// [`PublishedPort::address`].
    ///
    /// # Errors
    ///
    /// If the machine is gone or the host's port is taken.
    pub async fn publish(&self, port: PortMapping) -> Result<PublishedPort, Error> {
        self.client.call(Publish { workspace: self.id.into(), port }, &mut Call::quiet()).await
    }

    /// The ports that can be reached from this host.
    ///
    /// # Errors
    ///
    /// If the workspace no longer exists.
    pub async fn ports(&self) -> Result<Vec<PublishedPort>, Error> {
        let list = List { workspace: self.id.into() };
        Ok(self.client.call(list, &mut Call::quiet()).await?.ports)
    }

    /// Makes a port unreachable again, and resets its connections.
    ///
    /// # Errors
    ///
    /// If it is not published.
    pub async fn unpublish(&self, guest_port: u16) -> Result<(), Error> {
        let unpublish = Unpublish { workspace: self.id.into(), guest_port };
        self.client.call(unpublish, &mut Call::quiet()).await.map(drop)
    }
}
