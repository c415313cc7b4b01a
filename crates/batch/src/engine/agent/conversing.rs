//! A conversation with a process: lines to and fro, and what they mean to the engine.
//!
//! | the agent | the engine is told |
//! |---|---|
//! | took a message | saw it |
//! | spent tokens or money | used as much more |
//! | filled its context so far | context, in percent |
//! | ended its turn | status of the packet, then that the turn is over |
//! | was refused by its provider | limited, until when |
//! | could not go on, or ended | gone |
//!
//! Calls of tools are told by the gateway, which carries them out, or by the agent, if
//! its hands are its own.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use agents::{Dialogue, End, Event, Failure, Key, Said, Usage as Spent};
use batch_api::{ConversationId, MessageId};
use batch_core::decide::Observation;
use batch_core::time::Time;
use batch_core::unit::{Status, Usage};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::super::now;
use super::super::site::Site;
use super::super::world::{Trouble, World};
use super::place::{Place, Transcript};
use super::{Packet, packet_status};
use crate::custody::{Held, Line, Lines};
use crate::gateway::Lane;

/// Most lines to an agent that it has not read.
const UNREAD_MAX: usize = 256;

/// How long an agent that has closed its output may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a provider is left alone that does not say for how long.
const LIMIT_DEFAULT: Duration = Duration::from_secs(300);

/// Something that an agent is to be told, or to suffer.
#[derive(Debug)]
pub(super) enum Order {
    /// Tell it something.
    Say {
        /// What.
        said: Said,
        /// Which message that is.
        message: MessageId,
        /// Whether it was told.
        answer: oneshot::Sender<Result<(), Trouble>>,
    },
    /// Have its turn end.
    Interrupt,
    /// End it.
    Stop(oneshot::Sender<Result<(), Trouble>>),
}

/// A conversation under way.
#[derive(Debug)]
pub(super) struct Conversing {
    world: World,
    site: Site,
    hands: Arc<Lane>,
    conversation: ConversationId,
    packet: Packet,
    window: u64,
    held: Held,
    dialogue: Box<dyn Dialogue>,
    place: Place,
    transcript: Transcript,
    said: Lines<pipe::Receiver>,
    tell: mpsc::Sender<String>,
    orders: mpsc::Receiver<Order>,
    /// Told when the opening was taken; dropped if it never is.
    opened: Option<oneshot::Sender<()>>,
    /// What it was told and has not taken yet.
    untaken: BTreeSet<(Key, MessageId)>,
    spent: Spent,
}

impl Conversing {
    pub(super) fn new(
        world: World,
        (site, hands): (Site, Arc<Lane>),
        (conversation, packet, window): (ConversationId, Packet, u64),
        (mut held, dialogue, place): (Held, Box<dyn Dialogue>, Place),
        (orders, opened): (mpsc::Receiver<Order>, oneshot::Sender<()>),
    ) -> Result<Self, Trouble> {
        let said = held.take_stdout().ok_or("the agent's output is read elsewhere")?;
        let stdin = held.take_stdin().ok_or("the agent's input is written elsewhere")?;
        let (tell, told) = mpsc::channel(UNREAD_MAX);
        tokio::spawn(write(stdin, told));
        let transcript = place.transcript(world.secrets())?;
        let (opened, untaken, spent) = (Some(opened), BTreeSet::new(), Spent::default());
        Ok(Self {
            world,
            site,
            hands,
            conversation,
            packet,
            window,
            held,
            dialogue,
            place,
            transcript,
            said,
            tell,
            orders,
            opened,
            untaken,
            spent,
        })
    }

    /// Converses until the process is gone, whoever ended it.
    pub(super) async fn run(mut self, first: Said) {
        let opening = self.dialogue.open(&first);
        let mut is_well = self.tell(opening).is_ok();
        loop {
            tokio::select! {
                order = self.orders.recv() => {
                    // Without anybody who gives orders the engine is over.
                    let Some(order) = order else { return };
                    if self.obey(order).await.is_break() {
                        return;
                    }
                }
                line = self.said.next(), if is_well => {
                    is_well = match line {
                        Ok(Some(Line::Whole(line))) => self.hear(&line, first.key).await.is_ok(),
                        Ok(Some(Line::Cut { bytes, .. })) => {
                            tracing::warn!(conversation = %self.conversation, bytes, "a line too long");
                            true
                        }
                        Ok(None) | Err(_) => false,
                    };
                    if !is_well && self.ended().await {
                        return;
                    }
                }
            }
        }
    }

    /// Writes lines to it, if it reads.
    fn tell(&mut self, lines: Vec<String>) -> Result<(), Trouble> {
        for line in lines {
            self.transcript.told(line.as_bytes());
            self.tell.try_send(line).map_err(|_| "the agent does not read what it is told")?;
        }
        Ok(())
    }

    async fn obey(&mut self, order: Order) -> ControlFlow<()> {
        match order {
            Order::Say { said, message, answer } => {
                let told = match self.dialogue.say(&said) {
                    Ok(lines) => self.tell(lines),
                    Err(not_now) => Err(not_now.into()),
                };
                if told.is_ok() {
                    self.untaken.insert((said.key, message));
                    self.hands.set_message_waits(true);
                }
                let _ = answer.send(told);
            }
            Order::Interrupt => {
                if let Ok(lines) = self.dialogue.interrupt() {
                    let _ = self.tell(lines);
                }
            }
            Order::Stop(answer) => {
                let killed = self.held.kill().await;
                let is_over = killed.is_ok();
                if is_over {
                    self.tidy();
                }
                let _ = answer.send(killed.map(drop).map_err(Into::into));
                if is_over {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Its output is at its end: whether nothing is left of it.
    async fn ended(&mut self) -> bool {
        let ended = match timeout(END_TIMEOUT, self.held.wait()).await {
            Ok(ended) => ended,
            Err(_) => self.held.kill().await,
        };
        self.opened = None;
        self.observe(Observation::Exited);
        match ended {
            Ok(outcome) => {
                tracing::info!(conversation = %self.conversation, ?outcome, "an agent ended");
                self.tidy();
                true
            }
            // The stop that follows tries again.
            Err(error) => {
                tracing::warn!(conversation = %self.conversation, %error, "an agent does not end");
                false
            }
        }
    }

    fn tidy(&self) {
        if let Err(error) = self.place.tidy() {
            tracing::warn!(conversation = %self.conversation, %error, "its files stay");
        }
    }

    async fn hear(&mut self, line: &[u8], opening: Key) -> Result<(), Trouble> {
        self.transcript.said(line);
        let heard = self.dialogue.hear(line);
        self.tell(heard.reply)?;
        for event in heard.events {
            self.follow(event, opening).await;
        }
        Ok(())
    }

    async fn follow(&mut self, event: Event, opening: Key) {
        match event {
            Event::Taken { key } if key == opening => {
                if let Some(opened) = self.opened.take() {
                    let _ = opened.send(());
                }
            }
            Event::Taken { key } => {
                if let Some(message) = self.taken(key) {
                    self.observe(Observation::Saw { message });
                }
            }
            Event::Dropped { key } => drop(self.taken(key)),
            Event::Spent(spent) => self.used(spent),
            Event::Context { used, window } => {
                let window = window.unwrap_or(self.window).max(1);
                let percent = used.saturating_mul(100) / window;
                let percent = u8::try_from(percent.min(100)).unwrap_or(100);
                self.observe(Observation::Context { percent });
            }
            Event::Limited { until, .. } => self.limited(until),
            Event::Ended(end) => self.turn_ended(end).await,
            // Those of the gateway are told by it.
            Event::Called { .. } if self.hands.has_own_hands() => {
                let usage = Usage { calls: 1, ..Usage::default() };
                self.observe(Observation::Used { usage });
            }
            Event::Opened { .. }
            | Event::Said { .. }
            | Event::Called { .. }
            | Event::Answered { .. }
            | Event::Compacted
            | Event::Retrying { .. }
            | Event::Denied { .. }
            | Event::Odd { .. } => {}
        }
    }

    /// A message is not on its way any more; which that was.
    fn taken(&mut self, key: Key) -> Option<MessageId> {
        let found = self.untaken.iter().find(|(untaken, _)| *untaken == key).copied()?;
        self.untaken.remove(&found);
        self.hands.set_message_waits(!self.untaken.is_empty());
        Some(found.1)
    }

    /// What was spent is told as a whole, and used as what is more than before.
    fn used(&mut self, spent: Spent) {
        let sum = |of: Spent| of.input.saturating_add(of.cached).saturating_add(of.output);
        let money = |of: Spent| of.micro_dollars.unwrap_or_default();
        let usage = Usage {
            tokens: sum(spent).saturating_sub(sum(self.spent)),
            money_micros: money(spent).saturating_sub(money(self.spent)),
            calls: 0,
        };
        self.spent = spent;
        if usage != Usage::default() {
            self.observe(Observation::Used { usage });
        }
    }

    fn limited(&self, until: Option<u64>) {
        let until = match until {
            Some(seconds) => Time(seconds.saturating_mul(1000)),
            None => now().after(LIMIT_DEFAULT),
        };
        self.observe(Observation::Limited { until });
    }

    async fn turn_ended(&mut self, end: End) {
        match claimed(&self.world, &self.site, &self.packet).await {
            Ok(Some(status)) => self.observe(Observation::Status { status }),
            Ok(None) => {}
            Err(error) => tracing::warn!(conversation = %self.conversation, %error, "no status"),
        }
        match end {
            End::Completed { .. } | End::Interrupted => self.observe(Observation::TurnEnded),
            End::Failed { failure: Failure::Limit, .. } => self.limited(None),
            End::Failed { failure: Failure::Overflow, .. } => {
                self.observe(Observation::Context { percent: 100 });
            }
            End::Failed { failure, text } => {
                tracing::warn!(conversation = %self.conversation, ?failure, text, "a turn failed");
                self.observe(Observation::Exited);
            }
        }
    }

    fn observe(&self, observation: Observation) {
        self.world.observe(&self.conversation, observation);
    }
}

/// Writes lines until there are no more, or the process reads no more.
async fn write(mut stdin: pipe::Sender, mut lines: mpsc::Receiver<String>) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What the packet of an attempt claims, and what reviews say against it.
async fn claimed(world: &World, site: &Site, packet: &Packet) -> Result<Option<Status>, Trouble> {
    let Some(claimed) = packet_status(site, &packet.prompt).await? else { return Ok(None) };
    let revise = world.revise(site, &packet.home).await?;
    Ok(Some(Status { revise, ..claimed }))
}
