//! What a workspace may reach.

use operation::Call;
use workspace_api::network::NetworkOptions;
use workspace_api::network::operations::{Log, NetworkLog, NetworkState, Set, Show};

use crate::{Error, Workspace};

impl Workspace {
    /// What it may reach, and how much of that it does.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn network(&self) -> Result<NetworkState, Error> {
        let show = Show { workspace: self.id.into() };
        self.client.call(show, &mut Call::quiet()).await
    }

    /// Changes what it may reach. That holds once this returns: connections that
    /// are no longer allowed are reset by then.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, or the machine does not run. What is
    /// no longer allowed is refused even then.
    pub async fn set_network(&self, network_policy: NetworkOptions) -> Result<NetworkState, Error> {
        let set = Set { workspace: self.id.into(), network_policy };
        self.client.call(set, &mut Call::quiet()).await
    }

    /// What it reached and what it was refused, the oldest first.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn network_log(&self) -> Result<NetworkLog, Error> {
        let log = Log { workspace: self.id.into() };
        self.client.call(log, &mut Call::quiet()).await
    }
}
