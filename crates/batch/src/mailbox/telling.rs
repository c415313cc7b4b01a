//! Mail in the words of the contract.

use batch_api::Actor;
use batch_api::mailbox::{MessageKind, MessageTold};
use batch_core::mail::{Mail, MailKind};
use operation::OpError;

use crate::control::moment;

pub(super) const fn kind(kind: MailKind) -> MessageKind {
    match kind {
        MailKind::Steer => MessageKind::Steer,
        MailKind::Query => MessageKind::Query,
        MailKind::Info => MessageKind::Info,
        MailKind::Abort => MessageKind::Abort,
        MailKind::Ruling => MessageKind::Ruling,
        MailKind::Reply => MessageKind::Reply,
        MailKind::Escalate => MessageKind::Escalate,
    }
}

/// A message; the unit is its sender's or, where there is one only, its recipient.
pub(super) fn message(mail: &Mail) -> Result<MessageTold, OpError> {
    let message = &mail.message;
    let unit = match (&message.from, &message.to[..]) {
        (Actor::Agent(agent), _) => Some(agent.attempt.unit.clone()),
        (_, [one]) => Some(one.clone()),
        _ => None,
    };
    Ok(MessageTold {
        id: message.id,
        at: moment(mail.at)?,
        from: message.from.clone(),
        unit,
        kind: kind(message.kind),
        answers: message.answers,
        text: message.text.to_string(),
    })
}
