//! What comes out.

use std::time::Duration;

use batch_api::mailbox::MessageTold;
use batch_api::mailbox::inbox::{DeskName, Fate, Inbox, InboxContent, InboxWait, Undelivered};
use batch_api::mailbox::replies::{Replies, ReplyList};
use batch_api::{Actor, MessageId};
use batch_core::mail::{Desk, Mail, Receipt};
use batch_core::state::{OpenWait, State};
use batch_core::unit::Reason;
use operation::{Call, Handler, NoEvents, OpError};

use super::telling;
use crate::Batches;
use crate::control::{blocking, choose, moment, requests};

/// How often the journal is looked at for somebody who follows.
const FOLLOW_POLL: Duration = Duration::from_secs(1);

/// How many messages that did not arrive are shown.
const UNDELIVERED_MAX: usize = 100;

impl Handler<Inbox> for Batches {
    async fn handle(&self, inbox: Inbox, _: &mut Call<NoEvents>) -> Result<InboxContent, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let place = choose(&home, &inbox.target)?;
            let (state, _) = place.look()?;
            let desk = match inbox.desk {
                DeskName::Operator => Desk::Operator,
                DeskName::Supervisor => Desk::Supervisor,
            };
            let answered =
                |id: MessageId| state.mail.values().any(|mail| mail.message.answers == Some(id));
            let open = state
                .mail
                .values()
                .filter(|mail| mail.message.desk == Some(desk) && !answered(mail.message.id));
            Ok(InboxContent {
                id: place.batch(),
                waits: state
                    .waits
                    .values()
                    .map(|open| wait(open, &state))
                    .collect::<Result<_, _>>()?,
                messages: open.map(telling::message).collect::<Result<_, _>>()?,
                undelivered: undelivered(&state)?,
            })
        })
        .await
    }
}

fn wait(open: &OpenWait, state: &State) -> Result<InboxWait, OpError> {
    let about = match open.wait.reason {
        Reason::Escalated { message } | Reason::Undelivered { message } => Some(message),
        Reason::Stuck { .. } | Reason::Deadly { .. } | Reason::Ceiling => None,
    };
    let about = about.and_then(|message| state.mail.get(&message));
    Ok(InboxWait {
        id: open.wait.id,
        unit: open.unit.clone(),
        reason: open.wait.reason.to_string(),
        message: about.map(telling::message).transpose()?,
        owner: open.wait.owner.clone(),
        since: moment(open.since)?,
        deadline: moment(open.wait.deadline)?,
        default: open.wait.default.to_string(),
    })
}

/// The last messages that did not arrive. What the engine itself says is left out: it
/// says it again if that is of use.
fn undelivered(state: &State) -> Result<Vec<Undelivered>, OpError> {
    let fate = |receipt: &Receipt| match receipt {
        Receipt::Uncertain { .. } => Some(Fate::Uncertain),
        Receipt::Expired => Some(Fate::Expired),
        Receipt::Dead => Some(Fate::Dead),
        _ => None,
    };
    let sent = state.mail.values().rev().filter(|mail| mail.message.from != Actor::Engine);
    let lost = sent.flat_map(|mail| {
        let of = move |(to, receipt)| Some((mail, to, fate(receipt)?));
        mail.receipts.iter().filter_map(of)
    });
    let told = lost.take(UNDELIVERED_MAX).map(|(mail, to, fate)| {
        Ok(Undelivered { message: telling::message(mail)?, to: Clone::clone(to), fate })
    });
    let mut told = told.collect::<Result<Vec<_>, OpError>>()?;
    told.reverse();
    Ok(told)
}

impl Handler<Replies> for Batches {
    async fn handle(
        &self,
        replies: Replies,
        call: &mut Call<MessageTold>,
    ) -> Result<ReplyList, OpError> {
        let (home, target) = (self.home.clone(), replies.target.clone());
        let place = blocking(move || choose(&home, &target)).await?;
        let mut next_after = replies.after;
        loop {
            let (looked, asked, after) = (place.clone(), replies.clone(), next_after);
            let (found, is_over) = blocking(move || {
                let (state, _) = looked.look()?;
                Ok((answers(&state, &asked, after)?, state.is_over()))
            })
            .await?;
            next_after = found.last().map(|reply| reply.id).or(next_after);
            if !replies.follow {
                return Ok(ReplyList { id: place.batch(), replies: found, next_after });
            }
            let is_last = is_over && found.is_empty();
            for reply in found {
                call.emit(reply).await;
            }
            let is_cancelled = tokio::select! {
                () = call.cancel.cancelled() => true,
                () = tokio::time::sleep(FOLLOW_POLL) => false,
            };
            if is_last || is_cancelled {
                return Ok(ReplyList { id: place.batch(), replies: Vec::new(), next_after });
            }
        }
    }
}

/// The answers after a message, the oldest first.
fn answers(
    state: &State,
    asked: &Replies,
    after: Option<MessageId>,
) -> Result<Vec<MessageTold>, OpError> {
    let me = requests::myself();
    let is_mine = |mail: &&Mail| {
        let answered = mail.message.answers.and_then(|message| state.mail.get(&message));
        answered.is_some_and(|answered| asked.all || answered.message.from == me)
    };
    let new = state.mail.values().filter(|mail| after.is_none_or(|after| mail.message.id > after));
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    new.filter(is_mine).take(limit).map(telling::message).collect()
}
