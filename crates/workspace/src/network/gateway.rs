//! Hears the guest's daemon and decides.
//!
//! * `side` keeps the guest's daemon running while something is allowed.
//! * `lookups` answers its questions for names.
//! * `connections` decides, makes and ends connections.
//!
//! One task per daemon; one per question and per connection, all of them
//! bounded. A change of policy holds for the next decision, and ends the
//! connections that the new policy does not allow before it is answered.

mod connections;
mod lookups;
mod side;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use egress::names::Names;
use egress::rules::{Denial, Rules};
use operation::OpError;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workspace_api::ledger::LedgerEvent;
use workspace_api::network::operations::NetworkVerdict;
use workspace_api::network::{DomainName, NetworkPolicy};

use self::side::{DaemonTask, Side};
use super::Operator;
use super::journal::{EntryId, Journal, JournalPage};
use super::resolver::Resolver;
use crate::keeper::inside::Inside;
use crate::keeper::scribe::Scribe;

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
    daemon: RefCell<Option<DaemonTask>>,
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
            daemon: RefCell::default(),
        })
    }

    pub(crate) fn state(&self) -> GatewayState {
        GatewayState {
            policy: self.rules.borrow().policy().clone(),
            counted_as_public: self.operator.public.iter().map(ToString::to_string).collect(),
            open_connections: u32::try_from(self.open.borrow().len()).unwrap_or(u32::MAX),
        }
    }

    /// What the addresses stand for that the guest has been given.
    pub(crate) fn names(&self) -> Names {
        self.names.borrow().clone()
    }

    /// The guest is one that was given these.
    pub(crate) fn set_names(&self, names: Names) {
        self.names.replace(names);
    }

    pub(crate) fn log(&self, after: u64) -> JournalPage {
        self.journal.borrow().page(after)
    }

    /// Where programs of the guest find the authorities that they trust, if there
    /// are some of the operator's among them.
    pub(crate) fn bundle(&self) -> Option<String> {
        match &*self.side.borrow() {
            Side::Up { bundle } => bundle.clone(),
            Side::Down | Side::Rising | Side::Falling | Side::Broken(_) => None,
        }
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
