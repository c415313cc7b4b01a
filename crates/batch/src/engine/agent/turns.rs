//! Agents that are a program of the host for each turn, in a checkout.
//!
//! ```text
//!  open ──▶ process in custody ──ends with 0──▶ turn over ──inject──▶ process again
//!              │  └──ends otherwise─▶ gone
//!              └──stop──▶ killed, and seen to be
//! ```
//!
//! It finds its packet and what it is told in files, and says something by letters
//! (`outbox`), as one in a guest does. It is told by nobody while it works.

use std::path::PathBuf;
use std::time::Duration;

use agents::Launch;
use batch_api::{ConversationId, MessageId};
use batch_core::decide::Observation;
use batch_core::effect::{Effect, Outcome};
use batch_core::unit::{Status, Usage};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::super::claims;
use super::super::site::Site;
use super::super::world::{AboutUnit, Trouble, World};
use super::adapter::HostAgent;
use super::conversing::Order;
use super::place::{Place, Transcript};
use super::{Packet, packet_status, process_key, process_label};
use crate::custody::{EndError, Held, Limits, Line, Order as ProcessOrder, Status as Exit};

/// How often it is looked how far an agent is.
const SPELL: Duration = Duration::from_secs(5);

impl World {
    /// Starts the agent in a fresh context, with what it is told.
    pub(super) async fn open_in_turns(
        &self,
        agent: &HostAgent,
        effect: &Effect,
        unit: &AboutUnit,
        conversation: &ConversationId,
        opening: &[MessageId],
    ) -> Result<Outcome, Trouble> {
        // One that a start before this one began would work beside ours.
        self.hosted()?.stop(conversation).await?;
        Place::of(&self.setup.directory, conversation).make(conversation)?;
        self.turn_on_host(agent, effect, unit, conversation).await?;
        for message in opening {
            self.seen(conversation, *message);
        }
        Ok(Outcome::Started)
    }

    /// Tells an agent something: one whose turn is over takes another.
    pub(super) async fn inject_in_turns(
        &self,
        agent: &HostAgent,
        effect: &Effect,
        unit: &AboutUnit,
        conversation: &ConversationId,
        message: MessageId,
    ) -> Result<Outcome, Trouble> {
        if self.hosted()?.orders(conversation).is_some() {
            return Ok(Outcome::Deferred);
        }
        self.turn_on_host(agent, effect, unit, conversation).await?;
        self.seen(conversation, message);
        Ok(Outcome::Injected)
    }

    /// Begins a turn, and watches it to its end.
    async fn turn_on_host(
        &self,
        agent: &HostAgent,
        effect: &Effect,
        unit: &AboutUnit,
        conversation: &ConversationId,
    ) -> Result<(), Trouble> {
        let Site::Worktree(tree) = self.existing(unit).await? else {
            return Err("an agent in turns works in a checkout".into());
        };
        let (directory, site) = (tree.workspace(), Site::Worktree(tree));
        let packet = Packet { prompt: claims::prompt(&unit.home)?, home: unit.home.clone() };
        site.write("MESSAGES.md", unit.told().into_bytes()).await?;
        self.give_reviews(&site, &unit.home).await?;
        let place = Place::of(&self.setup.directory, conversation);
        let environment =
            agent.environment(&place.home(), &site, conversation, &Launch::default())?;
        let order = ProcessOrder {
            key: process_key(effect)?,
            label: process_label(unit)?,
            program: agent.program.clone(),
            arguments: agent.arguments.clone(),
            environment,
            directory,
            limits: Limits::default(),
            stderr: place.stderr(),
        };
        let (transcript, complaints) = (place.transcript(self.secrets())?, place.stderr());
        let revise = self.revise(&site, &unit.home).await?;
        let (held, orders) = self.hosted()?.start(conversation, order).await?;
        let turn = Turn {
            world: self.clone(),
            site,
            conversation: conversation.clone(),
            packet,
            held,
            transcript,
            complaints,
            complained: 0,
            has_said: false,
            revise,
        };
        tokio::spawn(turn.run(orders));
        Ok(())
    }
}

/// A turn under way.
#[derive(Debug)]
struct Turn {
    world: World,
    site: Site,
    conversation: ConversationId,
    packet: Packet,
    held: Held,
    transcript: Transcript,
    /// The file of its complaints, and how long that was.
    complaints: PathBuf,
    complained: u64,
    /// Whether it has said something since it was looked at.
    has_said: bool,
    /// What stands against its completion.
    revise: u32,
}

/// What happens to a turn.
enum News {
    Ordered(Option<Order>),
    Said(Option<Vec<u8>>),
    Ended(Result<crate::custody::Outcome, EndError>),
    Time,
}

impl Turn {
    /// Tells what the agent does, until its turn is over or somebody stops it.
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        // Nothing is said to it: it finds all in files.
        drop(self.held.take_stdin());
        let mut said = self.held.take_stdout();
        let mut spells = interval(SPELL);
        spells.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let line = async {
                match &mut said {
                    Some(lines) => lines.next().await.ok().flatten(),
                    None => std::future::pending().await,
                }
            };
            let news = tokio::select! {
                order = orders.recv() => News::Ordered(order),
                line = line => News::Said(line.map(|line| match line {
                    Line::Whole(text) => text,
                    Line::Cut { .. } => b"(a line too long)".to_vec(),
                })),
                ended = self.held.wait() => News::Ended(ended),
                _ = spells.tick() => News::Time,
            };
            match news {
                // Without anybody who gives orders the engine is over.
                News::Ordered(None) => return,
                News::Ordered(Some(Order::Interrupt)) => drop(self.held.terminate().await),
                News::Ordered(Some(Order::Say { answer, .. })) => {
                    let _ = answer.send(Err("an agent in turns hears nothing".into()));
                }
                News::Ordered(Some(Order::Stop(answer))) => {
                    if self.stop(answer).await {
                        return;
                    }
                }
                News::Said(None) => said = None,
                News::Said(Some(line)) => {
                    self.transcript.said(&line);
                    self.has_said = true;
                }
                News::Time => self.look().await,
                News::Ended(Ok(outcome)) => {
                    // Whoever hears that the turn is over may begin the next one.
                    drop(orders);
                    self.end(outcome.status).await;
                    return;
                }
                News::Ended(Err(error)) => {
                    tracing::warn!(conversation = %self.conversation, %error, "an agent does not end");
                    self.observe(Observation::Exited);
                    // The stop that follows tries again.
                    while let Some(order) = orders.recv().await {
                        let Order::Stop(answer) = order else { continue };
                        self.stop(answer).await;
                    }
                    return;
                }
            }
        }
    }

    /// Kills the agent, for whoever waits for it, and tells whether it is gone.
    async fn stop(&mut self, answer: oneshot::Sender<Result<(), Trouble>>) -> bool {
        let killed = self.held.kill().await;
        let is_gone = killed.is_ok();
        // Nobody may wait any more.
        let _ = answer.send(killed.map(drop).map_err(Into::into));
        is_gone
    }

    async fn end(&mut self, exit: Option<Exit>) {
        tracing::info!(conversation = %self.conversation, ?exit, "a turn is over");
        // What cannot be looked at approves nothing.
        let revise = self.world.revise(&self.site, &self.packet.home).await;
        self.revise = revise.unwrap_or(u32::MAX);
        self.look().await;
        self.observe(match exit {
            Some(Exit::Exited(0)) => Observation::TurnEnded,
            _ => Observation::Exited,
        });
    }

    /// Tells how far it is, and hears its letters.
    async fn look(&mut self) {
        let complained = self.complaints.metadata().map_or(0, |found| found.len());
        if std::mem::take(&mut self.has_said) || complained != self.complained {
            self.complained = complained;
            let usage = Usage { calls: 1, ..Usage::default() };
            self.observe(Observation::Used { usage });
        }
        match packet_status(&self.site, &self.packet.prompt).await {
            Ok(Some(claimed)) => {
                self.observe(Observation::Status {
                    status: Status { revise: self.revise, ..claimed },
                });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(conversation = %self.conversation, %error, "no status");
            }
        }
        if let Err(error) = self.world.take_letters(&self.site, &self.conversation).await {
            tracing::warn!(conversation = %self.conversation, %error, "letters are not read");
        }
    }

    fn observe(&self, observation: Observation) {
        self.world.observe(&self.conversation, observation);
    }
}
