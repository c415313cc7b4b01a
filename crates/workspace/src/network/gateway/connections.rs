//! Decides connections, makes them and has them carried.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use egress::inspect::Inspector;
use egress::names::Meaning;
use guest_protocol::egress::{HostMessage, PIPE, encode};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use workspace_api::network::DomainName;
use workspace_api::network::operations::NetworkVerdict;

use super::lookups::Way;
use super::{Gateway, Open, Refusal, no_longer};
use crate::keeper::client::GuestPipe;
use crate::network::carrier::{Carried, CarryError};
use crate::network::journal::EntryId;
use crate::network::tunnel;

/// How many connections may be open or being made. The rest of the workspace's
/// streams is for its commands.
const CONNECTIONS_MAX: usize = 96;

/// How long connecting to one address may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// A connection that was made.
struct Made {
    name: Option<DomainName>,
    remote: TcpStream,
    /// What was heard of the other end already.
    early: Bytes,
}

impl Gateway {
    /// Decides a connection, and carries it if it is allowed.
    pub(super) fn connecting(
        self: &Rc<Self>,
        id: u32,
        to: SocketAddr,
        sender: mpsc::Sender<Vec<u8>>,
    ) {
        let gateway = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if gateway.connection(id, to).await.is_err() {
                let _ = sender.send(encode(&HostMessage::Refuse { id }, &[])).await;
            }
        });
    }

    /// One connection, from the decision to its end. An error is a connection
    /// that the daemon still has.
    async fn connection(&self, id: u32, to: SocketAddr) -> Result<(), ()> {
        let meaning = self.names.borrow_mut().meaning(to.ip());
        let target = match &meaning {
            Meaning::Name(name) => format!("{name}:{}", to.port()),
            Meaning::Forgotten | Meaning::Literal => to.to_string(),
        };
        if self.open.borrow().len() >= CONNECTIONS_MAX {
            let reason = format!("{CONNECTIONS_MAX} connections are open");
            self.refused(target, &Refusal::Denied { reason, remedy: None });
            return Err(());
        }
        let entry = self.journal.borrow_mut().add(target.clone(), NetworkVerdict::Open);
        let name = if let Meaning::Name(name) = &meaning { Some(name.clone()) } else { None };
        let ended = CancellationToken::new();
        let open = Open { name, to, ended: ended.clone() };
        self.open.borrow_mut().insert(entry, open);
        let made = tokio::select! {
            made = self.make(&meaning, to) => made,
            () = ended.cancelled() => Err(no_longer()),
        };
        let result = match made {
            Ok(made) => match self.start(&[PIPE, &id.to_string()]).await {
                Ok(guest) => {
                    self.carried(entry, &target, made, guest, &ended).await;
                    Ok(())
                }
                Err(error) => {
                    self.journal_refusal(entry, &target, &Refusal::Failed(error.message));
                    Err(())
                }
            },
            Err(refusal) => {
                self.journal_refusal(entry, &target, &refusal);
                Err(())
            }
        };
        self.open.borrow_mut().remove(&entry);
        result
    }

    async fn make(&self, meaning: &Meaning, to: SocketAddr) -> Result<Made, Refusal> {
        let port = to.port();
        let (name, way) = self.judge(meaning, to).await?;
        match (way, &self.operator.proxy) {
            (Way::Proxy, Some(proxy)) => {
                let host =
                    name.as_ref().map_or_else(|| literal(to).to_string(), ToString::to_string);
                match timeout(CONNECT_PATIENCE, tunnel::open(proxy, &host, port)).await {
                    Ok(Ok((remote, early))) => Ok(Made { name, remote, early }),
                    Ok(Err(error)) => Err(Refusal::Failed(error.to_string())),
                    Err(_) => Err(Refusal::Failed("the host's proxy does not answer".to_owned())),
                }
            }
            (Way::Proxy, None) => Err(Refusal::Failed("the host has no proxy".to_owned())),
            (Way::Direct(addresses), _) => {
                let remote = connect(addresses, port).await?;
                Ok(Made { name, remote, early: Bytes::new() })
            }
        }
    }

    async fn judge(
        &self,
        meaning: &Meaning,
        to: SocketAddr,
    ) -> Result<(Option<DomainName>, Way), Refusal> {
        match meaning {
            Meaning::Name(name) => {
                let verdict = self.rules.borrow().judge_name(name, Some(to.port()));
                verdict.map_err(|denial| self.denied(&denial, &format!("{name}:{}", to.port())))?;
                Ok((Some(name.clone()), self.way(name).await?))
            }
            Meaning::Forgotten => Err(Refusal::Denied {
                reason: "no name was looked up for this address".to_owned(),
                remedy: Some("look the name up again".to_owned()),
            }),
            Meaning::Literal => {
                let verdict = self.rules.borrow().judge_address(to);
                verdict.map_err(|denial| self.denied(&denial, &to.to_string()))?;
                let address = literal(to);
                let proxy = self.operator.proxy.as_ref();
                let goes_through = proxy.is_some_and(|p| p.applies_to(&address.to_string()));
                Ok((None, if goes_through { Way::Proxy } else { Way::Direct(vec![address]) }))
            }
        }
    }

    async fn carried(
        &self,
        entry: EntryId,
        target: &str,
        made: Made,
        guest: GuestPipe,
        ended: &CancellationToken,
    ) {
        let Made { name, remote, early } = made;
        let address = remote.peer_addr().map(|address| address.to_string()).ok();
        self.journal.borrow_mut().change(entry, |entry| entry.address = address);
        let carried = Carried::new(name.map(Inspector::new));
        let result = tokio::select! {
            result = carried.carry(remote, early, guest) => result.map_err(|error| match error {
                CarryError::Suspicious(suspicion) => Refusal::Denied {
                    reason: suspicion.to_string(),
                    remedy: Some("connect to the name that is meant".to_owned()),
                },
                error => Refusal::Failed(error.to_string()),
            }),
            () = ended.cancelled() => Err(no_longer()),
        };
        self.journal.borrow_mut().change(entry, |entry| {
            entry.sent_bytes = carried.sent.get();
            entry.received_bytes = carried.received.get();
            entry.verdict = NetworkVerdict::Closed;
        });
        if let Err(refusal) = result {
            self.journal_refusal(entry, target, &refusal);
        }
    }
}

/// Connects to the first of the addresses that answers.
async fn connect(addresses: Vec<IpAddr>, port: u16) -> Result<TcpStream, Refusal> {
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match timeout(CONNECT_PATIENCE, TcpStream::connect((address, port))).await {
            Ok(Ok(remote)) => return Ok(remote),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer"),
        }
    }
    Err(Refusal::Failed(last))
}

/// The address that a connection to a literal address is for.
fn literal(to: SocketAddr) -> IpAddr {
    to.ip().to_canonical()
}
