//! `network`: what a workspace may reach.

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::network::operations::{Log, NetworkLog, NetworkState, Set, Show};
use workspace_api::network::{NetworkOptions, NetworkPolicy};

use super::Engine;
use crate::keeper::asking::{ReadNetworkLog, SetNetwork, ShowNetwork};
use crate::network::gateway::GatewayState;
use crate::store::Record;

/// How many entries are told at most: twice what a keeper remembers.
const TOLD_MAX: usize = 2_000;

impl Handler<Show> for Engine {
    async fn handle(&self, show: Show, _: &mut Call<NoEvents>) -> Result<NetworkState, OpError> {
        let record = self.store.find(&show.workspace)?;
        let state = self.connect(&record).await?.ask(ShowNetwork {}).await?;
        Ok(told(&record, state))
    }
}

impl Handler<Set> for Engine {
    async fn handle(&self, set: Set, _: &mut Call<NoEvents>) -> Result<NetworkState, OpError> {
        let policy = policy(&set.network_policy)?;
        let record = self.store.find(&set.workspace)?;
        let mut connection = self.connect(&record).await?;
        // On record first: whatever happens then, the machine never starts again
        // with more than was last asked for.
        self.store.update_details(record.id, |details| details.network = policy.clone())?;
        let state = connection.ask(SetNetwork { policy }).await?;
        Ok(told(&record, state))
    }
}

impl Handler<Log> for Engine {
    async fn handle(&self, log: Log, _: &mut Call<NoEvents>) -> Result<NetworkLog, OpError> {
        let record = self.store.find(&log.workspace)?;
        let mut connection = self.connect(&record).await?;
        let mut log = NetworkLog::default();
        let mut next = Some(0);
        while let Some(after) = next {
            let page = connection.ask(ReadNetworkLog { after }).await?;
            log.entries.extend(page.entries);
            // A workspace that is busy could go on for ever.
            next = page.next.filter(|_| log.entries.len() < TOLD_MAX);
        }
        Ok(log)
    }
}

fn told(record: &Record, state: GatewayState) -> NetworkState {
    NetworkState {
        workspace: record.id,
        policy: state.policy,
        counted_as_public: state.counted_as_public,
        open_connections: state.open_connections,
    }
}

/// The policy that is asked for.
pub(super) fn policy(options: &NetworkOptions) -> Result<NetworkPolicy, OpError> {
    options.policy().map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))
}
