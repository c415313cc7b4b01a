//! Mail as text. What agents say is foreign: no control character of it is shown.

use operation::{Present, Screen};

use super::inbox::{Fate, InboxContent, InboxWait, Undelivered};
use super::replies::ReplyList;
use super::send::{Answered, Sent, WaitAnswer};
use super::{MessageKind, MessageTold};

impl Present for Sent {
    fn present(&self, screen: &mut Screen) {
        let (message, kind, batch) = (self.message, self.kind, self.id);
        let units: Vec<String> = self.units.iter().map(ToString::to_string).collect();
        screen.line(match (kind, &units[..]) {
            (MessageKind::Abort, _) => format!("{message}: {} is stopped", units.join(", ")),
            (_, []) => format!("{message}: {kind}, accepted by {batch}"),
            _ => format!("{message}: {kind} to {}, accepted by {batch}", units.join(", ")),
        });
        if matches!(kind, MessageKind::Steer | MessageKind::Query) && !units.is_empty() {
            screen.note(format!("`hotcell batch replies {batch}` shows what is answered"));
        }
    }
}

impl Present for Answered {
    fn present(&self, screen: &mut Screen) {
        let what = match self.answer {
            WaitAnswer::Go => "goes on",
            WaitAnswer::GiveUp => "is given up",
        };
        screen.line(format!("{}: {what}, by {}", self.wait, self.message));
    }
}

impl Present for MessageTold {
    fn present(&self, screen: &mut Screen) {
        let about = self.unit.as_ref().map(|unit| format!(" about {unit}")).unwrap_or_default();
        let answers = self.answers.map(|message| format!(", to {message}")).unwrap_or_default();
        screen.line(format!(
            "{}  {}  {} from {}{about}{answers}",
            self.id, self.at, self.kind, self.from
        ));
        quote(self, screen);
    }
}

fn quote(message: &MessageTold, screen: &mut Screen) {
    for line in message.text.lines() {
        let shown: String = line.chars().filter(|c| !c.is_control()).collect();
        screen.line(format!("    {shown}"));
    }
}

impl Present for ReplyList {
    fn present(&self, screen: &mut Screen) {
        self.replies.iter().for_each(|reply| reply.present(screen));
        if self.replies.is_empty() {
            screen.note("Nothing was answered, or nothing more");
        }
    }
}

impl Present for InboxContent {
    fn present(&self, screen: &mut Screen) {
        self.waits.iter().for_each(|wait| present_wait(wait, screen));
        self.messages.iter().for_each(|message| message.present(screen));
        self.undelivered.iter().for_each(|one| present_undelivered(one, screen));
        if self.waits.is_empty() && self.messages.is_empty() && self.undelivered.is_empty() {
            screen.note("Nothing waits for anybody");
        }
        if let Some(wait) = self.waits.first() {
            screen
                .note(format!("`hotcell batch answer {} go TEXT` answers; or `give-up`", wait.id));
        }
    }
}

fn present_wait(wait: &InboxWait, screen: &mut Screen) {
    let unit = wait.unit.as_ref().map_or_else(|| "the batch".to_owned(), ToString::to_string);
    let InboxWait { id, reason, owner, deadline, default, .. } = wait;
    screen.line(format!(
        "{id}  {unit} waits for {owner} to say: {reason}; by {deadline}, or else: {default}"
    ));
    if let Some(message) = &wait.message {
        quote(message, screen);
    }
}

fn present_undelivered(one: &Undelivered, screen: &mut Screen) {
    let fate = match one.fate {
        Fate::Uncertain => "may have arrived, and is not sent again",
        Fate::Expired => "came too late",
        Fate::Dead => "is dead: nobody is left to read or answer it",
    };
    let message = &one.message;
    screen.line(format!("{}  the {} to {} {fate}", message.id, message.kind, one.to));
    quote(message, screen);
}
