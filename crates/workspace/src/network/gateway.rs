//! Hears the guest's daemon and decides.
//!
//! ```text
//!         policy allows something          Ready
//! down ──────────────────────────▶ rising ───────▶ up ──┐ ended by itself
//!   ▲                                 ▲                 │ (a few times)
//!   └── policy is off: Stop ──────────┴─────────────────┘
//! ```
//!
//! One task per daemon; one per question and per connection, all of them
//! bounded. A change of policy holds for the next decision, and ends the
//! connections that the new policy does not allow before it is answered.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use egress::dns::{self, Answer, Kind};
use egress::inspect::Inspector;
use egress::names::{Meaning, Names};
use egress::rules::{Denial, Rules};
use guest_protocol::TOOLS_PATH;
use guest_protocol::egress::{
    AUTHORITIES_MAX, DAEMON, GuestMessage, HostMessage, PIPE, decode, encode,
};
use guest_protocol::message::{Exec, Stdin};
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use workspace_api::ledger::LedgerEvent;
use workspace_api::network::operations::{NetworkLog, NetworkVerdict};
use workspace_api::network::{DomainName, NetworkPolicy};

use super::Operator;
use super::carrier::{Carried, CarryError};
use super::journal::{EntryId, Journal};
use super::resolver::{ResolveError, Resolver};
use crate::keeper::client::GuestPipe;
use crate::keeper::inside::Inside;
use crate::keeper::scribe::Scribe;

/// How many connections may be open or being made. The rest of the workspace's
/// streams is for its commands.
const CONNECTIONS_MAX: usize = 96;

/// How many questions may be under way.
const QUESTIONS_MAX: usize = 64;

/// How many names may be looked up for the first time within [`NAMES_WINDOW`]:
/// a guest can tell somebody something by the names that it asks for.
const NAMES_MAX: u32 = 300;
const NAMES_WINDOW: Duration = Duration::from_secs(60);

/// How long an address of ours holds in the guest, in seconds.
const TTL_S: u32 = 60;

/// How long connecting to one address may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// How long a guest may take to set its side up.
const RISE_PATIENCE: Duration = Duration::from_secs(30);

/// How often in a row a daemon that ended by itself is started again.
const RESTARTS_MAX: u32 = 5;
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A daemon that lived this long starts the count of restarts anew.
const STEADY: Duration = Duration::from_secs(10);

/// How many messages to the daemon may wait.
const MESSAGES_MAX: usize = 256;

/// The guest's side of the network, as far as the keeper knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Side {
    Down,
    Rising,
    Up,
    Broken(String),
}

/// The network of one workspace.
pub(crate) struct Gateway {
    inside: Inside,
    scribe: Scribe,
    operator: Operator,
    rules: RefCell<Rules>,
    names: RefCell<Names>,
    resolver: Resolver,
    journal: RefCell<Journal>,
    open: RefCell<HashMap<EntryId, Open>>,
    questions: Cell<usize>,
    fresh_names: Cell<(Instant, u32)>,
    side: watch::Sender<Side>,
    /// Ends the daemon that runs.
    daemon: RefCell<CancellationToken>,
}

/// A connection that is open or being made.
struct Open {
    name: Option<DomainName>,
    to: SocketAddr,
    ended: CancellationToken,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Where a connection goes, once it is allowed.
struct Allowed {
    name: Option<DomainName>,
    addresses: Vec<IpAddr>,
}

/// Why a connection is not made.
enum Refusal {
    Denied { reason: String, remedy: Option<String> },
    Failed(String),
}

/// What is going on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GatewayState {
    pub(crate) policy: NetworkPolicy,
    pub(crate) counted_as_public: Vec<String>,
    pub(crate) open_connections: u32,
}

impl Gateway {
    pub(crate) fn new(
        inside: Inside,
        scribe: Scribe,
        policy: NetworkPolicy,
        operator: Operator,
    ) -> Rc<Self> {
        Rc::new(Self {
            inside,
            scribe,
            rules: RefCell::new(Rules::new(policy, operator.public.clone())),
            names: RefCell::default(),
            resolver: Resolver::new(operator.hosts.clone()),
            operator,
            journal: RefCell::default(),
            open: RefCell::default(),
            questions: Cell::new(0),
            fresh_names: Cell::new((Instant::now(), 0)),
            side: watch::Sender::new(Side::Down),
            daemon: RefCell::new(CancellationToken::new()),
        })
    }

    pub(crate) fn state(&self) -> GatewayState {
        GatewayState {
            policy: self.rules.borrow().policy().clone(),
            counted_as_public: self.operator.public.iter().map(ToString::to_string).collect(),
            open_connections: u32::try_from(self.open.borrow().len()).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn log(&self) -> NetworkLog {
        self.journal.borrow().tell()
    }

    /// Puts a policy in force and waits until the guest's side agrees with it.
    pub(crate) async fn set_policy(
        self: &Rc<Self>,
        policy: NetworkPolicy,
    ) -> Result<GatewayState, OpError> {
        if *self.rules.borrow().policy() != policy {
            self.scribe.note(LedgerEvent::NetworkChanged { policy: policy.to_string() });
        }
        self.rules.borrow_mut().set_policy(policy);
        self.end_what_is_not_allowed();
        self.settle().await?;
        Ok(self.state())
    }

    fn end_what_is_not_allowed(&self) {
        let rules = self.rules.borrow();
        for open in self.open.borrow().values() {
            let verdict = match &open.name {
                Some(name) => rules.judge_name(name, Some(open.to.port())),
                None => rules.judge_address(open.to),
            };
            if verdict.is_err() {
                open.ended.cancel();
            }
        }
    }

    /// Has the guest's side run exactly if something is allowed.
    pub(crate) async fn settle(self: &Rc<Self>) -> Result<(), OpError> {
        let is_off = self.rules.borrow().policy().is_off();
        let is_down = !matches!(*self.side.borrow(), Side::Rising | Side::Up);
        match (is_off, is_down) {
            (true, true) => return Ok(()),
            (true, false) => self.daemon.borrow().cancel(),
            (false, true) => self.rise(),
            (false, false) => {}
        }
        let mut side = self.side.subscribe();
        let settled = side.wait_for(|side| match side {
            Side::Down => is_off,
            Side::Rising => false,
            Side::Up => !is_off,
            Side::Broken(_) => true,
        });
        let failed = |reason: String| {
            OpError::plain(ErrorKind::Unavailable, reason)
                .during("the guest's side of the network could not be changed")
        };
        match timeout(RISE_PATIENCE, settled).await {
            Ok(Ok(side)) => match &*side {
                Side::Broken(reason) => Err(failed(reason.clone())),
                _ => Ok(()),
            },
            _ => Err(failed("the guest did not answer in time".to_owned())),
        }
    }

    fn rise(self: &Rc<Self>) {
        self.side.send_replace(Side::Rising);
        let stopped = CancellationToken::new();
        *self.daemon.borrow_mut() = stopped.clone();
        let gateway = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let mut restarts = 0;
            while restarts <= RESTARTS_MAX {
                let begun = Instant::now();
                let result = gateway.serve(&stopped).await;
                if stopped.is_cancelled() {
                    gateway.side.send_replace(Side::Down);
                    return;
                }
                let reason = match result {
                    Ok(()) => "its process in the guest ended".to_owned(),
                    Err(error) => error.message,
                };
                tracing::warn!(reason, "the guest's side of the network is gone");
                let was_up = *gateway.side.borrow() == Side::Up;
                if !was_up {
                    gateway.side.send_replace(Side::Broken(reason));
                    return;
                }
                // One that served for a while ended with its machine, or was killed.
                restarts = if begun.elapsed() > STEADY { 0 } else { restarts + 1 };
                sleep(RESTART_PAUSE).await;
            }
            let reason = "its process in the guest ends again and again".to_owned();
            gateway.side.send_replace(Side::Broken(reason));
        });
    }

    /// One daemon, from its start to its end.
    async fn serve(self: &Rc<Self>, stopped: &CancellationToken) -> Result<(), OpError> {
        let authorities = self.authorities().await?;
        let (mut input, mut output, mut ending) = self.start(&[DAEMON]).await?.into_parts();
        let (sender, mut messages) = mpsc::channel::<Vec<u8>>(MESSAGES_MAX);
        let configure = HostMessage::Configure { authorities: authorities.len() };
        let configure = encode(&configure, &authorities);
        let mut writer = tokio::task::spawn_local(async move {
            let mut next = Some(configure);
            while let Some(bytes) = next {
                if input.write_all(&bytes).await.is_err() {
                    return;
                }
                next = messages.recv().await;
            }
        });
        let mut buffer = BytesMut::new();
        loop {
            while let Some((message, body)) = decode::<GuestMessage>(&mut buffer)
                .map_err(|error| OpError::new(ErrorKind::MachineLost, &error))?
            {
                match message {
                    GuestMessage::Ready => drop(self.side.send_replace(Side::Up)),
                    GuestMessage::Failed { message } => {
                        return Err(OpError::plain(ErrorKind::Unavailable, message));
                    }
                    GuestMessage::Question { id, .. } => self.asked(id, body, sender.clone()),
                    GuestMessage::Connection { id, to } => self.connecting(id, to, sender.clone()),
                }
            }
            buffer.reserve(4096);
            tokio::select! {
                read = output.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => {
                        let end = ending.wait().await?;
                        tracing::debug!(stderr = end.stderr, end = ?end.end, "the daemon ended");
                        break;
                    }
                    Ok(_) => {}
                },
                () = stopped.cancelled() => {
                    let _ = sender.send(encode(&HostMessage::Stop, &[])).await;
                    drop(sender);
                    // Dropping the ending kills whatever does not stop.
                    let _ = timeout(RISE_PATIENCE, ending.wait()).await;
                    break;
                }
            }
        }
        writer.abort();
        let _ = (&mut writer).await;
        Ok(())
    }

    async fn authorities(&self) -> Result<Vec<u8>, OpError> {
        let Some(path) = &self.operator.authorities else { return Ok(Vec::new()) };
        let bytes = tokio::fs::read(path).await.map_err(|error| {
            OpError::new(ErrorKind::Unavailable, &error)
                .during(format!("cannot read the certificates {}", path.display()))
        })?;
        if bytes.len() > AUTHORITIES_MAX {
            let reason = format!("{} has more than {AUTHORITIES_MAX} bytes", path.display());
            return Err(OpError::plain(ErrorKind::InvalidRequest, reason));
        }
        Ok(bytes)
    }

    async fn start(&self, tool: &[&str]) -> Result<GuestPipe, OpError> {
        let argv = std::iter::once(TOOLS_PATH).chain(tool.iter().copied()).map(str::to_owned);
        let exec = Exec {
            argv: argv.collect(),
            cwd: "/".to_owned(),
            stdin: Stdin::Stream,
            ..Exec::default()
        };
        self.inside.connect().await?.pipe(exec)
    }

    fn asked(self: &Rc<Self>, id: u32, message: bytes::Bytes, sender: mpsc::Sender<Vec<u8>>) {
        // Whoever gets no answer asks again.
        let Ok(question) = dns::parse(&message) else { return };
        if self.questions.get() >= QUESTIONS_MAX {
            return;
        }
        self.questions.set(self.questions.get() + 1);
        let gateway = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let answer = gateway.look_up(&question).await;
            gateway.questions.set(gateway.questions.get() - 1);
            let answer = dns::write(&question, answer, TTL_S);
            let message = HostMessage::Answer { id, length: answer.len() };
            let _ = sender.send(encode(&message, &answer)).await;
        });
    }

    async fn look_up(&self, question: &dns::Question) -> Answer {
        let (Some(asked), false) = (&question.name, question.kind == Kind::Pointer) else {
            return Answer::NoSuchName;
        };
        let Some(name) = asked.host() else { return Answer::NoSuchName };
        let verdict = self.rules.borrow().judge_name(&name, None);
        if let Err(denial) = verdict {
            self.refused(name.to_string(), &self.denied(&denial, name.as_str()));
            return Answer::Refused;
        }
        if name != *asked || question.kind == Kind::Other {
            return Answer::Nothing;
        }
        if !self.may_look_up(&name) {
            let reason = format!("more than {NAMES_MAX} names in a minute");
            self.refused(name.to_string(), &Refusal::Denied { reason, remedy: None });
            return Answer::Refused;
        }
        match self.places(&name).await {
            Ok(_) => {
                let (v4, v6) = self.names.borrow_mut().addresses(&name);
                let is_v6 = question.kind == Kind::Aaaa;
                Answer::Address(if is_v6 { v6.into() } else { v4.into() })
            }
            Err(Refusal::Denied { reason, remedy }) => {
                self.refused(name.to_string(), &Refusal::Denied { reason, remedy });
                Answer::Refused
            }
            Err(Refusal::Failed(reason)) => {
                let unknown = reason == ResolveError::Unknown.to_string();
                if unknown { Answer::NoSuchName } else { Answer::Failed }
            }
        }
    }

    /// Counts names that are new.
    fn may_look_up(&self, name: &DomainName) -> bool {
        if self.names.borrow().knows(name) {
            return true;
        }
        let (begun, count) = self.fresh_names.get();
        let (begun, count) =
            if begun.elapsed() > NAMES_WINDOW { (Instant::now(), 0) } else { (begun, count) };
        self.fresh_names.set((begun, count.saturating_add(1)));
        count < NAMES_MAX
    }

    /// The addresses of a name that may be connected to.
    async fn places(&self, name: &DomainName) -> Result<Vec<IpAddr>, Refusal> {
        let found = self.resolver.addresses(name).await;
        let found = found.map_err(|error| Refusal::Failed(error.to_string()))?;
        let rules = self.rules.borrow();
        let mut first = None;
        let mut allowed = Vec::new();
        for address in found {
            match rules.judge_place(address) {
                Ok(()) => allowed.push(address),
                Err(denial) => first = first.or(Some(denial)),
            }
        }
        match first {
            Some(denial) if allowed.is_empty() => Err(self.denied(&denial, name.as_str())),
            _ => Ok(allowed),
        }
    }

    fn connecting(self: &Rc<Self>, id: u32, to: SocketAddr, sender: mpsc::Sender<Vec<u8>>) {
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
            Ok((name, remote)) => match self.start(&[PIPE, &id.to_string()]).await {
                Ok(guest) => {
                    self.carried(entry, &target, name, remote, guest, &ended).await;
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

    async fn make(
        &self,
        meaning: &Meaning,
        to: SocketAddr,
    ) -> Result<(Option<DomainName>, TcpStream), Refusal> {
        let Allowed { name, addresses } = self.judge(meaning, to).await?;
        let mut last = "the name has no address".to_owned();
        for address in addresses {
            match timeout(CONNECT_PATIENCE, TcpStream::connect((address, to.port()))).await {
                Ok(Ok(remote)) => return Ok((name, remote)),
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address}: no answer"),
            }
        }
        Err(Refusal::Failed(last))
    }

    async fn judge(&self, meaning: &Meaning, to: SocketAddr) -> Result<Allowed, Refusal> {
        match meaning {
            Meaning::Name(name) => {
                let verdict = self.rules.borrow().judge_name(name, Some(to.port()));
                verdict.map_err(|denial| self.denied(&denial, &format!("{name}:{}", to.port())))?;
                Ok(Allowed { name: Some(name.clone()), addresses: self.places(name).await? })
            }
            Meaning::Forgotten => Err(Refusal::Denied {
                reason: "no name was looked up for this address".to_owned(),
                remedy: Some("look the name up again".to_owned()),
            }),
            Meaning::Literal => {
                let verdict = self.rules.borrow().judge_address(to);
                verdict.map_err(|denial| self.denied(&denial, &to.to_string()))?;
                Ok(Allowed { name: None, addresses: vec![to.ip().to_canonical()] })
            }
        }
    }

    async fn carried(
        &self,
        entry: EntryId,
        target: &str,
        name: Option<DomainName>,
        remote: TcpStream,
        guest: GuestPipe,
        ended: &CancellationToken,
    ) {
        let address = remote.peer_addr().map(|address| address.to_string()).ok();
        self.journal.borrow_mut().change(entry, |entry| entry.address = address);
        let carried = Carried::new(name.map(Inspector::new));
        let result = tokio::select! {
            result = carried.carry(remote, guest) => result.map_err(|error| match error {
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

    /// What is told of a rule that refuses.
    fn denied(&self, denial: &Denial, target: &str) -> Refusal {
        let remedy = match denial {
            Denial::Off => Some("allow it with `hotcell network set`".to_owned()),
            Denial::NotAllowed(_) | Denial::OtherPort { .. } => {
                Some(format!("allow it with `hotcell network set … --allow {target}`"))
            }
            Denial::NotPublic { .. } => {
                Some("only the host's operator can count it as public".to_owned())
            }
        };
        Refusal::Denied { reason: denial.to_string(), remedy }
    }

    fn refused(&self, target: String, refusal: &Refusal) {
        let entry = self.journal.borrow_mut().add(target.clone(), NetworkVerdict::Denied);
        self.journal_refusal(entry, &target, refusal);
    }

    fn journal_refusal(&self, entry: EntryId, target: &str, refusal: &Refusal) {
        self.journal.borrow_mut().change(entry, |entry| match refusal {
            Refusal::Denied { reason, remedy } => {
                entry.verdict = NetworkVerdict::Denied;
                entry.reason = Some(reason.clone());
                entry.remedy.clone_from(remedy);
            }
            Refusal::Failed(reason) => {
                entry.verdict = NetworkVerdict::Failed;
                entry.reason = Some(reason.clone());
            }
        });
        if let Refusal::Denied { reason, .. } = refusal {
            self.scribe.note(LedgerEvent::ConnectionDenied {
                target: target.to_owned(),
                rule: reason.clone(),
            });
        }
    }
}

fn no_longer() -> Refusal {
    Refusal::Denied { reason: "the policy no longer allows it".to_owned(), remedy: None }
}
