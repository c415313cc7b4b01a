//! What an agent that is a command says: letters in its packet's outbox.
//!
//! ```text
//!  agent: writes outbox/NAME ─▶ engine: reads ─▶ asks ─▶ durable ─▶ answers/NAME, no outbox/NAME
//! ```
//!
//! The engine stamps whose a letter is; the agent only names it, and the name makes it
//! one request of its conversation. So a letter that is read again, because whoever read
//! it was killed before it was gone, gets its first answer and does nothing twice. What
//! is left at the end of a conversation is read when its agent is stopped.
//!
//! A letter is written under a name that begins with a dot, or outside, and moved: what
//! has a name of its own is whole. An empty one is not there yet.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use batch_api::{Actor, ConversationId, RequestId};
use batch_core::decide::Command;
use batch_core::fact::Reply;
use packet::letter::{Letter, LetterKind};
use sha2::{Digest as _, Sha256};

use super::Request;
use super::site::Site;
use super::world::{Trouble, World};

/// Most letters that are read at once; the others are read the next time.
const LETTERS_MAX: usize = 16;

/// Most characters of a letter's name.
const NAME_MAX: usize = 64;

/// How long the engine may take to decide on a letter.
const DECISION_TIMEOUT: Duration = Duration::from_secs(30);

impl World {
    /// Reads an agent's letters, and answers each.
    pub(super) async fn take_letters(
        &self,
        site: &Site,
        conversation: &ConversationId,
    ) -> Result<(), Trouble> {
        let names = site.names("outbox").await?;
        for name in names.iter().filter(|name| is_name(name)).take(LETTERS_MAX) {
            let read = site.read(&format!("outbox/{name}")).await?;
            if read.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let answer = match read.as_deref().map(Letter::parse) {
                None => "refused, it is no file, or too large".to_owned(),
                Some(Err(error)) => format!("refused, {error}"),
                Some(Ok(letter)) => self.say(conversation, name, &letter).await?,
            };
            // In this order, so that a letter without an answer is read again.
            site.write(&format!("answers/{name}"), (answer + "\n").into()).await?;
            site.remove(&format!("outbox/{name}")).await?;
        }
        Ok(())
    }

    /// Brings a letter before the engine, and what that says to it.
    async fn say(
        &self,
        conversation: &ConversationId,
        name: &str,
        letter: &Letter,
    ) -> Result<String, Trouble> {
        let text = match letter.text.parse() {
            Ok(text) => text,
            Err(error) => return Ok(format!("refused, {error}")),
        };
        let command = match letter.kind {
            LetterKind::Reply(to) => Command::Reply { to, text },
            LetterKind::Escalate => Command::Escalate { text },
        };
        let (answer, answered) = sync_channel(1);
        let actor = Actor::Agent(conversation.agent.clone());
        let request = Request { request: request(conversation, name)?, actor, command, answer };
        let door = self.door.clone();
        let asked = tokio::task::spawn_blocking(move || {
            door.ask(request).then(|| answered.recv_timeout(DECISION_TIMEOUT).ok()).flatten()
        });
        let reply: Option<Reply> = asked.await?;
        Ok(reply.ok_or("the engine has not decided on a letter")?.to_string())
    }
}

/// The name of the request that a letter is.
fn request(conversation: &ConversationId, name: &str) -> Result<RequestId, Trouble> {
    let digest = Sha256::digest(format!("letter {conversation} {name}"));
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().parse()?)
}

fn is_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !name.starts_with(['.', '-']) && name.len() <= NAME_MAX && name.bytes().all(is_plain)
}
