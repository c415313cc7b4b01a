//! What an agent is told of a message. It is the same for every agent: its id, which is
//! also what a conversation is searched for, whose it is, what it asks for, and what it
//! answers; a fresh context knows nothing of any of these.

use std::fmt::Write as _;

use batch_api::UnitId;
use batch_core::effect::Action;
use batch_core::mail::{Mail, MailKind, Receipt};
use batch_core::state::State;

/// A message, as an agent of the unit reads it.
pub(super) fn told(mail: &Mail, unit: &UnitId, state: &State) -> String {
    let message = &mail.message;
    let (id, from, kind) = (message.id, &message.from, message.kind);
    let what = match kind {
        MailKind::Steer => "changes what you do",
        MailKind::Query => "asks you something",
        MailKind::Ruling => "decides what you asked",
        MailKind::Info => "is for you to know",
        MailKind::Abort => "ends your work",
        MailKind::Reply => "answers you",
        MailKind::Escalate => "asks for a decision",
    };
    let mut text = format!("[{id}] This {kind} from {from} {what}.");
    if kind.is_directive() {
        let _ = write!(text, " It is in force until you reply to {id}.");
    }
    if mail.is_repeated(unit) {
        text.push_str(
            " An earlier context of yours may have read it already, and has not answered it.",
        );
    }
    if let Some(answered) = message.answers.and_then(|answered| state.mail.get(&answered)) {
        let said = answered.message.text.as_str().replace('\n', "\n> ");
        let (id, from) = (answered.message.id, &answered.message.from);
        let _ = write!(text, "\n\nIn {id}, {from} said:\n\n> {said}");
    }
    text.push_str("\n\n");
    text.push_str(message.text.as_str());
    text
}

/// The directives that a conversation was given before a message, and that are in force:
/// for an agent that remembers nothing from one turn to the next.
pub(super) fn in_force(action: &Action, unit: &UnitId, state: &State) -> Vec<String> {
    let Action::Inject { conversation, message } = action else { return Vec::new() };
    let is_given = |mail: &&Mail| {
        let receipt = mail.receipts.get(unit).and_then(Receipt::conversation);
        mail.message.id != *message && mail.is_in_force(unit) && receipt == Some(conversation)
    };
    state.mail.values().filter(is_given).map(|mail| told(mail, unit, state)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use batch_api::{ConversationId, MessageId};
    use batch_core::mail::{Message, Urgency};
    use batch_core::time::Time;

    use super::*;

    fn message(number: u64, from: &str, kind: MailKind, text: &str) -> Message {
        Message {
            id: MessageId::numbered(number),
            from: from.parse().unwrap(),
            kind,
            to: Vec::new(),
            desk: None,
            answers: None,
            expires: None,
            urgent: Urgency::Normal,
            text: text.parse().unwrap(),
        }
    }

    #[test]
    fn a_ruling_comes_with_the_question_and_says_that_it_may_have_been_read() {
        let unit: UnitId = "TP-1@app/1".parse().unwrap();
        let worker = "agent:TP-1@app/1#1:worker";
        let asked = message(1, worker, MailKind::Escalate, "Which?\nA or B?");
        let mut ruling = message(2, "operator:anna", MailKind::Ruling, "B");
        (ruling.to, ruling.answers) = (vec![unit.clone()], Some(asked.id));
        let mut state = State::default();
        state.mail.insert(asked.id, Mail::new(asked, Time(1)));
        let mut mail = Mail::new(ruling, Time(2));
        mail.receipts = BTreeMap::from([(unit.clone(), Receipt::Queued)]);
        insta::assert_snapshot!(told(&mail, &unit, &state), @"
        [msg_2] This ruling from operator:anna decides what you asked. It is in force until you reply to msg_2.

        In msg_1, agent:TP-1@app/1#1:worker said:

        > Which?
        > A or B?

        B
        ");
        mail.sent.insert(unit.clone(), 2);
        assert!(told(&mail, &unit, &state).contains("may have read it already"));

        // It is in force in its conversation, and nothing that is not there yet is told.
        let conversation: ConversationId = "TP-1@app/1#1:worker~2".parse().unwrap();
        let next =
            Action::Inject { conversation: conversation.clone(), message: MessageId::numbered(3) };
        state.mail.insert(mail.message.id, mail.clone());
        assert!(in_force(&next, &unit, &state).is_empty());
        let mut stands = |receipt: Receipt| {
            mail.receipts.insert(unit.clone(), receipt);
            state.mail.insert(mail.message.id, mail.clone());
            in_force(&next, &unit, &state).len()
        };
        assert_eq!(stands(Receipt::Seen { conversation }), 1);
        assert_eq!(stands(Receipt::Answered), 0);
    }
}
