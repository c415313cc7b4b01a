//! Agents that are commands in their lane: brain and hands are in the guest.
//!
//! ```text
//!  open ──▶ command ──ends with 0──▶ turn over ──inject──▶ command again
//!              │  └──ends otherwise─▶ gone
//!              └──stop──▶ killed, and seen to be
//! ```
//!
//! It finds its packet and what it is told in files, and says something by
//! letters (`outbox`). It is told by nobody while it works: a message to one at
//! work is deferred until its turn is over.

use batch_api::{ConversationId, MessageId};
use batch_core::decide::Observation;
use batch_core::effect::Outcome;
use batch_core::unit::{Status, Usage};
use workspace_api::job::{JobState, Signal};
use workspace_api::run::CommandOptions;

use super::super::cell::{Cell, Job};
use super::super::claims;
use super::super::lane::PACKET;
use super::super::site::Site;
use super::super::world::{AboutUnit, Trouble, World};
use super::{Packet, SPELL, packet_status};

impl World {
    /// Starts the agent in a fresh context, with what it is told.
    pub(super) async fn open_in_guest(
        &self,
        command: &[String],
        unit: &AboutUnit,
        conversation: &ConversationId,
        opening: &[MessageId],
    ) -> Result<Outcome, Trouble> {
        let lane = self.machine(unit).await?;
        // One that a start before this one began would work beside ours.
        self.kill_all(&lane).await?;
        self.turn(command, unit, &lane, conversation).await?;
        for message in opening {
            self.seen(conversation, *message);
        }
        Ok(Outcome::Started)
    }

    /// Tells an agent something: one whose turn is over takes another.
    pub(super) async fn inject_in_guest(
        &self,
        command: &[String],
        unit: &AboutUnit,
        conversation: &ConversationId,
        message: MessageId,
    ) -> Result<Outcome, Trouble> {
        let lane = self.machine(unit).await?;
        if !lane.running().await?.is_empty() {
            return Ok(Outcome::Deferred);
        }
        self.turn(command, unit, &lane, conversation).await?;
        self.seen(conversation, message);
        Ok(Outcome::Injected)
    }

    /// Asks an agent to end its turn.
    pub(super) async fn interrupt_in_guest(&self, unit: &AboutUnit) -> Result<Outcome, Trouble> {
        if let Some(Site::Cell(lane)) = self.site(&unit.attempt).await? {
            for command in lane.running().await? {
                // One that has just ended needs no asking.
                let _ = command.signal(Signal::INTERRUPT).await;
            }
        }
        Ok(Outcome::Interrupted)
    }

    /// The machine of an attempt, which has to be there and runs.
    async fn machine(&self, unit: &AboutUnit) -> Result<Cell, Trouble> {
        match self.existing(unit).await? {
            Site::Cell(lane) => Ok(lane),
            Site::Worktree(_) => Err("an agent of guests has no checkout".into()),
        }
    }

    pub(super) fn seen(&self, conversation: &ConversationId, message: MessageId) {
        self.observe(conversation, Observation::Saw { message });
    }

    /// Begins a turn, and watches it to its end.
    async fn turn(
        &self,
        command: &[String],
        unit: &AboutUnit,
        lane: &Cell,
        conversation: &ConversationId,
    ) -> Result<(), Trouble> {
        let prompt = claims::prompt(&unit.home)?;
        // Each turn is a program of its own, which knows nothing of the one before it.
        let (told, site) = (unit.told(), Site::Cell(lane.clone()));
        site.write("MESSAGES.md", told.into_bytes()).await?;
        self.give_reviews(&site, &unit.home).await?;
        let task = &conversation.agent.attempt.unit.task;
        let variables = [
            format!("BATCH_PACKET={PACKET}"),
            format!("BATCH_TASK={task}"),
            format!("BATCH_CONVERSATION={conversation}"),
        ];
        let env = variables.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let options = CommandOptions { env, ..CommandOptions::default() };
        let command = lane.start(command.to_vec(), options).await?;
        let packet = Packet { prompt, home: unit.home.clone() };
        let (world, conversation) = (self.clone(), conversation.clone());
        tokio::spawn(async move {
            let end = world.watch(&site, &command, &conversation, &packet).await;
            // What cannot be watched any more is as good as gone.
            world.observe(&conversation, end.unwrap_or(Observation::Exited));
        });
        Ok(())
    }

    /// Tells what an agent does, until its turn is over.
    async fn watch(
        &self,
        site: &Site,
        command: &Job,
        conversation: &ConversationId,
        packet: &Packet,
    ) -> Result<Observation, Trouble> {
        let mut written = 0;
        let mut revise = self.revise(site, &packet.home).await?;
        loop {
            let status = command.wait(SPELL).await?;
            let output = status.stdout_bytes + status.stderr_bytes;
            if output > written {
                written = output;
                let usage = Usage { calls: 1, ..Usage::default() };
                self.observe(conversation, Observation::Used { usage });
            }
            if status.state != JobState::Running {
                revise = self.revise(site, &packet.home).await?;
            }
            if let Some(claimed) = packet_status(site, &packet.prompt).await? {
                let status = Status { revise, ..claimed };
                self.observe(conversation, Observation::Status { status });
            }
            self.take_letters(site, conversation).await?;
            if status.state != JobState::Running {
                // What it has printed is for people, and stops no work.
                let said = command.output(&status).await.unwrap_or_default();
                self.keep_transcript(conversation, said);
            }
            match (status.state, status.exit_code) {
                (JobState::Running, _) => {}
                (JobState::Ended, Some(0)) => return Ok(Observation::TurnEnded),
                (JobState::Ended | JobState::Lost, _) => return Ok(Observation::Exited),
            }
        }
    }
}
