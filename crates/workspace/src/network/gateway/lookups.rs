//! Answers the guest's questions for names.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use egress::dns::{self, Answer, Kind};
use guest_protocol::egress::{HostMessage, encode};
use tokio::sync::mpsc;
use tokio::time::Instant;
use workspace_api::network::DomainName;

use super::{Gateway, Refusal};
use crate::network::resolver::ResolveError;

/// How many questions may be under way.
const QUESTIONS_MAX: usize = 64;

/// How many names may be looked up for the first time within [`NAMES_WINDOW`]:
/// a guest can tell somebody something by the names that it asks for.
const NAMES_MAX: u32 = 300;
const NAMES_WINDOW: Duration = Duration::from_secs(60);

/// How long an address of ours holds in the guest, in seconds.
const TTL_S: u32 = 60;

/// How a host is reached.
pub(super) enum Way {
    /// At one of these addresses.
    Direct(Vec<IpAddr>),
    /// Through the host's proxy.
    Proxy,
}

impl Gateway {
    /// Answers a question of the guest.
    pub(super) fn asked(self: &Rc<Self>, id: u32, message: Bytes, sender: mpsc::Sender<Vec<u8>>) {
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
        match self.way(&name).await {
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

    /// How a name that is allowed is reached.
    pub(super) async fn way(&self, name: &DomainName) -> Result<Way, Refusal> {
        let proxy = self.operator.proxy.as_ref().filter(|proxy| proxy.applies_to(name.as_str()));
        let found = self.resolver.addresses(name).await;
        let rules = self.rules.borrow();
        let found = match found {
            Ok(found) => found,
            // Only the proxy knows where it leads, and whoever listed it trusts it.
            Err(_) if proxy.is_some() && !rules.policy().allow.is_empty() => return Ok(Way::Proxy),
            Err(error) => return Err(Refusal::Failed(error.to_string())),
        };
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
            _ if proxy.is_some() => Ok(Way::Proxy),
            _ => Ok(Way::Direct(allowed)),
        }
    }
}
