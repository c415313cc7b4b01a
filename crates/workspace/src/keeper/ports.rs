//! Published ports: from the host's loopback to the guest's.
//!
//! ```text
//! client ─▶ 127.0.0.1:HOST_PORT ─▶ keeper ─▶ [TOOLS_PATH, "connect", PORT] ─▶ 127.0.0.1:PORT
//! ```
//!
//! One task per port listens; one per connection carries it, as the network
//! carries connections out, by a process of its own in the guest. Each direction
//! ends by itself, and whatever else ends a connection resets it on both sides.
//!
//! **Failure paths.** A port that nothing listens at in the guest, too many
//! connections, a machine that is reset: the connection is reset, the port stays.
//! Listeners end with the keeper; which ports there are is on record
//! (`store/details`), and the next keeper opens them again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use guest_protocol::TOOLS_PATH;
use guest_protocol::egress::CONNECT;
use guest_protocol::message::{Exec, Stdin};
use operation::{ErrorKind, OpError};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use workspace_api::ledger::LedgerEvent;
use workspace_api::port::{PortMapping, PublishedPort};
use workspace_api::service::ServiceName;

use super::inside::Inside;
use super::scribe::Scribe;
use crate::network::carrier::Carried;

/// How many ports of a workspace may be published.
const PORTS_MAX: usize = 64;

/// How many connections to a workspace's ports may be open at once. The rest of
/// its streams is for its commands.
const CONNECTIONS_MAX: usize = 64;

/// How long nobody is accepted after that failed, for want of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where ports are published: nobody but this host reaches them.
const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A port to publish, or one that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// The port in the guest.
    pub(crate) guest: NonZeroU16,
    /// The port on the host; none means any free one.
    pub(crate) host: Option<NonZeroU16>,
    /// The service that it belongs to.
    pub(crate) service: Option<String>,
}

/// All published ports of a keeper.
#[derive(Debug)]
pub(crate) struct PortTable {
    inside: Inside,
    scribe: Scribe,
    published: RefCell<BTreeMap<NonZeroU16, Published>>,
    open: Cell<usize>,
}

#[derive(Debug)]
struct Published {
    port: Port,
    counts: Rc<Counts>,
    /// Why nobody listens.
    closed: Option<String>,
    /// Ends the listener and its connections.
    ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Counts {
    open: Cell<u32>,
    accepted: Cell<u64>,
}

impl PortTable {
    pub(crate) fn new(inside: Inside, scribe: Scribe) -> Rc<Self> {
        Rc::new(Self { inside, scribe, published: RefCell::default(), open: Cell::new(0) })
    }

    /// Publishes what was published when the machine last ran. A port of the
    /// host that somebody has taken since stays closed, and says so.
    pub(crate) fn restore(self: &Rc<Self>, ports: &[PortMapping]) {
        for PortMapping { guest, host } in ports.iter().copied() {
            let port = Port { guest, host, service: None };
            if let Err(error) = self.open(port.clone()) {
                tracing::warn!(%error, %guest, "a port is not published again");
                let mut published = Published::of(port);
                published.closed = Some(error.message);
                self.published.borrow_mut().insert(guest, published);
            }
        }
    }

    /// Publishes a port. One that is published already stays as it is.
    pub(crate) fn publish(self: &Rc<Self>, port: Port) -> Result<PublishedPort, OpError> {
        let guest = port.guest;
        let known = self.published.borrow().get(&guest).map(|known| known.port.clone());
        let closed =
            self.published.borrow().get(&guest).is_some_and(|known| known.closed.is_some());
        match known {
            Some(known) if port.host.is_some_and(|host| Some(host) != known.host) && !closed => {
                let host = known.host.map_or(0, NonZeroU16::get);
                let message = format!("port {guest} is published as {HOST}:{host} already");
                return Err(
                    OpError::plain(ErrorKind::Conflict, message).hinted("unpublish it first")
                );
            }
            Some(known) if known.service != port.service => {
                let owner = known.service.map_or_else(
                    || "the workspace".to_owned(),
                    |service| format!("the service `{service}`"),
                );
                let message = format!("port {guest} is published by {owner} already");
                return Err(OpError::plain(ErrorKind::Conflict, message));
            }
            Some(known) if closed => self.open(Port { host: port.host.or(known.host), ..known })?,
            Some(_) => {}
            None => self.open(port)?,
        }
        Ok(self.published.borrow()[&guest].told())
    }

    /// Listens for a port.
    fn open(self: &Rc<Self>, port: Port) -> Result<(), OpError> {
        if self.published.borrow().len() >= PORTS_MAX {
            let message = format!("{PORTS_MAX} ports are published already");
            return Err(OpError::plain(ErrorKind::Exhausted, message)
                .hinted("unpublish some of them first"));
        }
        let (listener, host) = listen(port.host)?;
        let port = Port { host: Some(host), ..port };
        let guest = port.guest;
        let published = Published::of(port);
        let (counts, ended) = (Rc::clone(&published.counts), published.ended.clone());
        self.published.borrow_mut().insert(guest, published);
        let event = LedgerEvent::PortPublished { guest_port: guest.get(), host_port: host.get() };
        self.scribe.note(event);
        let table = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::select! {
                never = table.accept(&listener, guest, &counts, &ended) => match never {},
                () = ended.cancelled() => {}
            }
        });
        Ok(())
    }

    /// Closes a port and resets its connections.
    pub(crate) fn unpublish(&self, guest: NonZeroU16) -> Result<PublishedPort, OpError> {
        let unknown = || {
            OpError::plain(ErrorKind::NotFound, format!("port {guest} is not published"))
                .hinted("`hotcell port list` shows what is")
        };
        let mut published = self.published.borrow_mut();
        let known = published.get(&guest).ok_or_else(unknown)?;
        if let Some(service) = &known.port.service {
            let message = format!("port {guest} belongs to the service `{service}`");
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted("it ends when the service is stopped"));
        }
        let told = known.told();
        published.remove(&guest);
        self.scribe.note(LedgerEvent::PortUnpublished { guest_port: guest.get() });
        Ok(told)
    }

    /// Closes the ports of a service.
    pub(crate) fn release(&self, service: &ServiceName) {
        self.published.borrow_mut().retain(|guest, published| {
            let is_its = published.port.service.as_deref() == Some(service.as_str());
            if is_its {
                self.scribe.note(LedgerEvent::PortUnpublished { guest_port: guest.get() });
            }
            !is_its
        });
    }

    /// All that are published.
    pub(crate) fn list(&self) -> Vec<PublishedPort> {
        self.published.borrow().values().map(Published::told).collect()
    }

    /// Closes all of them; they stay on record.
    pub(crate) fn close(&self) {
        self.published.borrow_mut().clear();
    }

    async fn accept(
        self: &Rc<Self>,
        listener: &TcpListener,
        guest: NonZeroU16,
        counts: &Rc<Counts>,
        ended: &CancellationToken,
    ) -> std::convert::Infallible {
        loop {
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    tracing::warn!(%error, port = guest.get(), "no connection is accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            counts.accepted.set(counts.accepted.get() + 1);
            // Until it is carried, its end is a reset: nobody takes nothing for
            // an answer.
            let _ = client.set_zero_linger();
            if self.open.get() >= CONNECTIONS_MAX {
                tracing::warn!(port = guest.get(), "a connection too many is reset");
                continue;
            }
            let (table, counts, ended) = (Rc::clone(self), Rc::clone(counts), ended.clone());
            tokio::task::spawn_local(async move {
                table.open.set(table.open.get() + 1);
                counts.open.set(counts.open.get() + 1);
                tokio::select! {
                    () = table.carry(client, guest) => {}
                    () = ended.cancelled() => {}
                }
                counts.open.set(counts.open.get() - 1);
                table.open.set(table.open.get() - 1);
            });
        }
    }

    async fn carry(&self, client: TcpStream, guest: NonZeroU16) {
        let exec = Exec {
            argv: vec![TOOLS_PATH.to_owned(), CONNECT.to_owned(), guest.to_string()],
            cwd: "/".to_owned(),
            stdin: Stdin::Stream,
            ..Exec::default()
        };
        let pipe = match self.inside.connect().await {
            Ok(connection) => connection.pipe(exec),
            Err(error) => Err(error),
        };
        match pipe {
            Ok(pipe) => {
                if let Err(error) = Carried::new(None).carry(client, Bytes::new(), pipe).await {
                    tracing::info!(%error, port = guest.get(), "a connection broke");
                }
            }
            Err(error) => tracing::info!(%error, port = guest.get(), "a connection is not carried"),
        }
    }
}

impl Published {
    fn of(port: Port) -> Self {
        let (counts, ended) = (Rc::default(), CancellationToken::new());
        Self { port, counts, closed: None, ended }
    }

    fn told(&self) -> PublishedPort {
        PublishedPort {
            guest_port: self.port.guest.get(),
            host: HOST.to_string(),
            host_port: self.port.host.map_or(0, NonZeroU16::get),
            service: self.port.service.clone(),
            closed: self.closed.clone(),
            open_connections: self.counts.open.get(),
            connections: self.counts.accepted.get(),
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// A listener on the host, at the wanted port or any.
fn listen(wanted: Option<NonZeroU16>) -> Result<(TcpListener, NonZeroU16), OpError> {
    let bound = std::net::TcpListener::bind((HOST, wanted.map_or(0, NonZeroU16::get)))
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .and_then(|listener| {
            let port = NonZeroU16::new(listener.local_addr()?.port());
            Ok((listener, port.ok_or(io::ErrorKind::AddrNotAvailable)?))
        });
    bound.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::AddrInUse => ErrorKind::Conflict,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Unavailable,
        };
        let wanted = wanted.map_or_else(|| "any port".to_owned(), |port| format!("port {port}"));
        OpError::new(kind, &error)
            .during(format!("cannot listen at {wanted} of {HOST}"))
            .hinted("leave the host's port out to have any free one")
    })
}
