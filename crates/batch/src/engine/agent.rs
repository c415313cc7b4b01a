//! Agents at work: started, spoken to, stopped.
//!
//! There are three kinds. One is a command in the lane's machine (`guest`), another a
//! command of the host, in its checkout (`turns`). The third is a program of the host for
//! each conversation (`process`), whose hands are the lane's gateway, or its own in its
//! checkout; it is launched and understood by an adapter of [`agents`], and told what it
//! is for by `opening`. Whatever runs on the host is held by custody (`hosted`).

mod adapter;
mod capturing;
mod conversing;
mod guest;
mod hosted;
mod opening;
mod place;
mod process;
mod turns;

use std::path::PathBuf;

use batch_api::{AttemptId, ConversationId, MessageId};
use batch_core::decide::{Input, Observation};
use batch_core::effect::{Effect, Outcome};
use batch_core::unit::Status;
use packet::Prompt;
use place::Place;

use super::cell::Cell;
use super::claims;
use super::site::Site;
use super::world::{AboutUnit, Trouble, World};
use crate::custody::{Key as ProcessKey, Label as ProcessLabel};

pub use adapter::HostAgent;
pub(super) use hosted::Hosted;

/// How long one question about a command waits for its end.
const SPELL: &str = "5s";

/// How often a command is killed before somebody has to look.
const KILLS_MAX: usize = 5;

/// Who does the work of a batch.
#[derive(Debug, Clone)]
pub(super) enum Agent {
    /// A program in the guest, with its arguments.
    Guest(Vec<String>),
    /// A program of the host for each turn, in a checkout.
    Turns(HostAgent),
    /// A program of the host for each conversation.
    Host(HostAgent),
}

impl Agent {
    /// The program, if it is one of the host.
    pub(super) const fn host(&self) -> Option<&HostAgent> {
        match self {
            Self::Guest(_) => None,
            Self::Turns(agent) | Self::Host(agent) => Some(agent),
        }
    }

    /// Whether it says something by letters in its packet.
    const fn writes_letters(&self) -> bool {
        matches!(self, Self::Guest(_) | Self::Turns(_))
    }
}

impl World {
    /// Starts the agent in a fresh context, with what it is told.
    pub(super) async fn open(
        &self,
        effect: &Effect,
        unit: &AboutUnit,
        conversation: &ConversationId,
        opening: &[MessageId],
    ) -> Result<Outcome, Trouble> {
        match &*self.agent {
            Agent::Guest(command) => self.open_in_guest(command, unit, conversation, opening).await,
            Agent::Turns(agent) => {
                self.open_in_turns(agent, effect, unit, conversation, opening).await
            }
            Agent::Host(agent) => self.open_on_host(agent, effect, unit, conversation).await,
        }
    }

    /// Tells an agent something: one whose turn is over takes another.
    pub(super) async fn inject(
        &self,
        effect: &Effect,
        unit: &AboutUnit,
        conversation: &ConversationId,
        message: MessageId,
    ) -> Result<Outcome, Trouble> {
        match &*self.agent {
            Agent::Guest(command) => {
                self.inject_in_guest(command, unit, conversation, message).await
            }
            Agent::Turns(agent) => {
                self.inject_in_turns(agent, effect, unit, conversation, message).await
            }
            Agent::Host(_) => self.inject_on_host(unit, conversation, message).await,
        }
    }

    /// Asks an agent to end its turn.
    pub(super) async fn interrupt(
        &self,
        unit: &AboutUnit,
        conversation: &ConversationId,
    ) -> Result<Outcome, Trouble> {
        match &*self.agent {
            Agent::Guest(_) => self.interrupt_in_guest(unit).await,
            Agent::Turns(_) | Agent::Host(_) => self.interrupt_on_host(conversation).await,
        }
    }

    /// Lets the calls of an attempt's agent no longer through. An agent that works where
    /// it runs calls nobody: stopping it, which comes next, is its fence.
    pub(super) async fn fence(&self, unit: &AboutUnit) -> Result<Outcome, Trouble> {
        if self.agent.host().is_some() {
            self.hosted()?.fence(&unit.attempt).await;
        }
        Ok(Outcome::Fenced)
    }

    /// Ends an agent and all that it started, and sees that nothing is left. What it has
    /// said by then is heard.
    pub(super) async fn stop(
        &self,
        unit: &AboutUnit,
        conversation: &ConversationId,
    ) -> Result<Outcome, Trouble> {
        if self.agent.host().is_some() {
            self.hosted()?.stop(conversation).await?;
            self.keep_said(conversation);
        }
        if let Some(site) = self.site(&unit.attempt).await? {
            self.clear(&site).await?;
            if self.agent.writes_letters() {
                self.take_letters(&site, conversation).await?;
            }
        }
        Ok(Outcome::Stopped)
    }

    /// Keeps what was said in a conversation on the host that is over.
    fn keep_said(&self, conversation: &ConversationId) {
        match Place::of(&self.setup.directory, conversation).said() {
            Ok(said) => self.keep_transcript(conversation, said),
            Err(error) => tracing::warn!(%conversation, %error, "what was said cannot be read"),
        }
    }

    /// Removes what was said in the conversations of an attempt: it is kept by now, and
    /// told.
    pub(super) fn forget_said(&self, attempt: &AttemptId) -> Result<(), Trouble> {
        Ok(Place::forget(&self.setup.directory, attempt)?)
    }

    /// Ends what runs in a machine. One that died has taken all of it along, and is started
    /// for what comes next.
    pub(super) async fn kill_all(&self, lane: &Cell) -> Result<(), Trouble> {
        lane.revive().await?;
        lane.stop_services().await?;
        for _ in 0..KILLS_MAX {
            let running = lane.running().await?;
            if running.is_empty() {
                return lane.clear().await;
            }
            for command in running {
                let _ = command.signal("KILL".parse()?).await;
                command.wait(SPELL).await?;
            }
        }
        Err("what the agent runs does not end".into())
    }

    fn observe(&self, conversation: &ConversationId, observation: Observation) {
        let conversation = conversation.clone();
        self.door.tell(Input::Observed { conversation, observation });
    }
}

/// What an agent's claims are measured by.
#[derive(Debug)]
struct Packet {
    prompt: Prompt,
    home: PathBuf,
}

/// What custody calls the process of an effect: another try is another process.
fn process_key(effect: &Effect) -> Result<ProcessKey, Trouble> {
    Ok(format!("{}-{}", effect.id, effect.tries).parse()?)
}

/// What people are told that the process of a unit's agent is for.
fn process_label(unit: &AboutUnit) -> Result<ProcessLabel, Trouble> {
    Ok(format!("worker of {}", unit.unit).parse()?)
}

/// What the packet of an attempt claims; none if it cannot be read as one.
async fn packet_status(site: &Site, prompt: &Prompt) -> Result<Option<Status>, Trouble> {
    let read = site.read("STATUS.md").await?;
    Ok(read.and_then(|status| claims::claimed(prompt, &status)))
}
