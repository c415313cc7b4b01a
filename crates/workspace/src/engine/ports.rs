//! `port`: what can be reached from the host.

use std::num::NonZeroU16;

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::port::{
    List, PortMapping, Publish, PublishedPort, PublishedPorts, Unpublish, Unpublished,
};
use workspace_api::state::WorkspaceState;

use super::Engine;
use crate::keeper::asking::{ListPorts, PublishPort, UnpublishPort};

impl Handler<Publish> for Engine {
    async fn handle(
        &self,
        publish: Publish,
        _: &mut Call<NoEvents>,
    ) -> Result<PublishedPort, OpError> {
        let record = self.store.find(&publish.workspace)?;
        let mut connection = self.connect(&record).await?;
        let published = connection.ask(PublishPort { port: publish.port }).await?;
        // Whoever is killed before this has published it for as long as the
        // machine runs.
        let guest = publish.port.guest;
        let port = PortMapping { guest, host: NonZeroU16::new(published.host_port) };
        self.store.update_details(record.id, |details| {
            details.ports.retain(|port| port.guest != guest);
            details.ports.push(port);
        })?;
        Ok(published)
    }
}

impl Handler<List> for Engine {
    async fn handle(&self, list: List, _: &mut Call<NoEvents>) -> Result<PublishedPorts, OpError> {
        let record = self.store.find(&list.workspace)?;
        if record.state == WorkspaceState::Running {
            let ports = self.connect_if_running(&record).await?.ask(ListPorts {}).await?;
            return Ok(PublishedPorts { ports });
        }
        let mut ports = record.details.ports.clone();
        ports.sort_by_key(|port| port.guest);
        let closed = format!("the workspace is {}", record.state);
        let ports = ports.into_iter().map(|port| PublishedPort {
            guest_port: port.guest.get(),
            host: "127.0.0.1".to_owned(),
            host_port: port.host.map_or(0, NonZeroU16::get),
            service: None,
            closed: Some(closed.clone()),
            open_connections: 0,
            connections: 0,
        });
        Ok(PublishedPorts { ports: ports.collect() })
    }
}

impl Handler<Unpublish> for Engine {
    async fn handle(
        &self,
        unpublish: Unpublish,
        _: &mut Call<NoEvents>,
    ) -> Result<Unpublished, OpError> {
        let guest = NonZeroU16::new(unpublish.guest_port)
            .ok_or_else(|| OpError::plain(ErrorKind::InvalidRequest, "there is no port 0"))?;
        let record = self.store.find(&unpublish.workspace)?;
        let known = record.details.ports.iter().find(|port| port.guest == guest);
        let host_port = known.and_then(|port| port.host).map_or(0, NonZeroU16::get);
        let ended = if record.state == WorkspaceState::Running {
            self.connect(&record).await?.ask(UnpublishPort { guest }).await?.host_port
        } else if known.is_some() {
            host_port
        } else {
            let message = format!("port {guest} is not published");
            return Err(OpError::plain(ErrorKind::NotFound, message)
                .hinted("`hotcell port list` shows what is"));
        };
        // Whoever is killed before this finds it published again after the next
        // start, and unpublishes it again.
        self.store.update_details(record.id, |details| {
            details.ports.retain(|port| port.guest != guest);
        })?;
        Ok(Unpublished { guest_port: guest.get(), host_port: ended })
    }
}
