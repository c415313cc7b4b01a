//! What goes in.

use batch_api::control::Target;
use batch_api::mailbox::send::{
    Answer, Answered, Broadcast, Priority, Send, Sent, SentKind, WaitAnswer,
};
use batch_api::mailbox::{Recipient, ReplyTo};
use batch_api::{MessageId, RequestId, UnitId, WaitId};
use batch_core::decide::{Address, Command};
use batch_core::fact::Reply;
use batch_core::mail::{MailKind, Urgency};
use batch_core::unit::Answer as Verdict;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::time::TimeSpan;

use super::telling;
use crate::Batches;
use crate::control::{Place, blocking, choose, meant, requests};

impl Handler<Send> for Batches {
    async fn handle(&self, send: Send, _: &mut Call<NoEvents>) -> Result<Sent, OpError> {
        self.send(send).await
    }
}

impl Handler<Broadcast> for Batches {
    async fn handle(&self, broadcast: Broadcast, _: &mut Call<NoEvents>) -> Result<Sent, OpError> {
        let Broadcast { text, kind, priority, expires, target, request_id } = broadcast;
        let (to, reply_to) = (Recipient::Everyone, None);
        self.send(Send { to, text, kind, priority, expires, reply_to, target, request_id }).await
    }
}

impl Handler<Answer> for Batches {
    async fn handle(&self, answer: Answer, _: &mut Call<NoEvents>) -> Result<Answered, OpError> {
        let Answer { wait, answer, text, target, request_id } = answer;
        let verdict = match answer {
            WaitAnswer::Go => Verdict::Go,
            WaitAnswer::GiveUp => Verdict::GiveUp,
        };
        let command = Command::Rule { wait, unit: None, answer: verdict, text };
        let (place, message, request_id) =
            self.post(target, request_id, move |_| Ok(command)).await?;
        Ok(Answered { id: place.batch(), wait, answer, message, request_id })
    }
}

impl Batches {
    async fn send(&self, send: Send) -> Result<Sent, OpError> {
        let Send { to, text, kind, priority, expires, reply_to, target, request_id } = send;
        let command = move |place: &Place| {
            let to = address(place, &to)?;
            if kind == SentKind::Ruling {
                let (wait, unit) = (ruled(reply_to)?, of_one(to)?);
                return Ok(Command::Rule { wait, unit: Some(unit), answer: Verdict::Go, text });
            }
            let urgent = match priority {
                Priority::Normal => Urgency::Normal,
                Priority::Urgent => Urgency::Urgent,
            };
            let (kind, answers) = (sent(kind), answered(reply_to)?);
            let lasts_ms = expires.map(TimeSpan::as_millis);
            Ok(Command::Send { to, kind, answers, urgent, lasts_ms, text })
        };
        let (place, message, request_id) = self.post(target, request_id, command).await?;
        blocking(move || {
            let (state, _) = place.look()?;
            let mail = state.mail.get(&message).map(|mail| &mail.message);
            let units = mail.map(|message| message.to.clone()).unwrap_or_default();
            let kind = mail.map_or_else(|| sent(kind), |message| message.kind);
            Ok(Sent { id: place.batch(), message, kind: telling::kind(kind), units, request_id })
        })
        .await
    }

    /// Has the engine of a batch accept a message.
    async fn post(
        &self,
        target: Target,
        request_id: Option<RequestId>,
        command: impl FnOnce(&Place) -> Result<Command, OpError> + std::marker::Send + 'static,
    ) -> Result<(Place, MessageId, RequestId), OpError> {
        let (home, starter) = (self.home.clone(), self.starter.clone());
        blocking(move || {
            let place = choose(&home, &target)?;
            let command = command(&place)?;
            let request_id = requests::name(request_id);
            match requests::ask(&place, &starter, &request_id, command)? {
                Reply::Mailed { message } => Ok((place, message, request_id)),
                other => {
                    let message = format!("the engine has answered something else: {other}");
                    Err(OpError::plain(ErrorKind::Internal, message))
                }
            }
        })
        .await
    }
}

fn address(place: &Place, to: &Recipient) -> Result<Address, OpError> {
    Ok(match to {
        Recipient::Unit(unit) => Address::Unit(meant(place, unit)?),
        Recipient::Everyone => Address::Everyone,
        Recipient::Operator => Address::Operator,
        Recipient::Role { role, unit } => {
            let unit = unit.as_ref().map(|unit| meant(place, unit)).transpose()?;
            Address::Role { role: *role, unit }
        }
    })
}

const fn sent(kind: SentKind) -> MailKind {
    match kind {
        SentKind::Steer => MailKind::Steer,
        SentKind::Query => MailKind::Query,
        SentKind::Info => MailKind::Info,
        SentKind::Abort => MailKind::Abort,
        SentKind::Ruling => MailKind::Ruling,
    }
}

/// The wait that a ruling is about.
fn ruled(reply_to: Option<ReplyTo>) -> Result<WaitId, OpError> {
    match reply_to {
        Some(ReplyTo::Wait(wait)) => Ok(wait),
        _ => Err(OpError::plain(ErrorKind::InvalidRequest, "a ruling says what it decides")
            .hinted("pass the wait as --reply-to; `hotcell batch inbox` shows what waits")),
    }
}

/// The unit that a ruling is for.
fn of_one(to: Address) -> Result<UnitId, OpError> {
    match to {
        Address::Unit(unit) | Address::Role { unit: Some(unit), .. } => Ok(unit),
        _ => Err(OpError::plain(ErrorKind::InvalidRequest, "a ruling is for one unit")
            .hinted("`hotcell batch answer WAIT go` answers whatever waits")),
    }
}

/// The message that another one answers.
fn answered(reply_to: Option<ReplyTo>) -> Result<Option<MessageId>, OpError> {
    match reply_to {
        None => Ok(None),
        Some(ReplyTo::Message(message)) => Ok(Some(message)),
        Some(ReplyTo::Wait(_)) => {
            Err(OpError::plain(ErrorKind::InvalidRequest, "only a ruling answers a wait")
                .hinted("add `--kind ruling`, or use `hotcell batch answer`"))
        }
    }
}
