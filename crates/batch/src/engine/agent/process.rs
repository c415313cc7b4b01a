//! Agents that are programs of the host, one for each conversation: with their hands in
//! their lane's machine, or with their own in its checkout.
//!
//! Of a message that was on its way when an engine died it is looked up in the agent's own
//! records whether it arrived.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agents::{Gateway as Server, Hands, Said, Task};
use batch_api::{ConversationId, MessageId};
use batch_core::effect::{Effect, Found, Outcome};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::LaneMode;
use super::super::claims;
use super::super::site::Site;
use super::super::world::{AboutUnit, Trouble, World};
use super::adapter::HostAgent;
use super::conversing::{Conversing, Order};
use super::opening;
use super::place::{Place, key};
use super::{Packet, process_key, process_label};
use crate::custody::{Limits, Order as ProcessOrder};
use crate::gateway::{BRIDGE_SUBCOMMAND, Lane};

/// What agents call their server of tools.
const SERVER: &str = "hotcell";

/// How long an agent may take to read its opening.
const OPENING_TIMEOUT: Duration = Duration::from_secs(120);

impl World {
    pub(super) async fn open_on_host(
        &self,
        agent: &HostAgent,
        effect: &Effect,
        unit: &AboutUnit,
        conversation: &ConversationId,
    ) -> Result<Outcome, Trouble> {
        let (site, hosted) = (self.existing(unit).await?, self.hosted()?);
        if self.setup.agent.lane == LaneMode::Cell {
            hosted.proved.get_or_try_init(|| agent.prove()).await?;
        }
        // What an earlier start or context left running would work beside ours.
        hosted.stop(conversation).await?;
        self.clear(&site).await?;
        self.give_reviews(&site, &unit.home).await?;
        let packet = Packet { prompt: claims::prompt(&unit.home)?, home: unit.home.clone() };
        let place = Place::of(&self.setup.directory, conversation);
        place.make(conversation)?;
        let (store, door) = (self.store()?, self.door.clone());
        let habits = agent.adapter.capabilities().habits;
        let hands = match &site {
            Site::Cell(cell) => Some((cell.clone(), habits)),
            Site::Worktree(_) => None,
        };
        let hands = Arc::new(Lane::new(conversation.clone(), hosted.epoch, hands, store, door));
        hosted.gateway.admit(Arc::clone(&hands), &place.pass())?;
        let instructions = opening::instructions(&site, habits).await?;
        let (directory, beside) = match &site {
            Site::Cell(_) => (place.directory(), None),
            Site::Worktree(tree) => (tree.workspace(), Some(tree.packet())),
        };
        let task = Task {
            program: &agent.program,
            directory: &directory,
            home: &place.home(),
            model: agent.model.as_deref(),
            instructions: &instructions,
            gateway: &server(&agent.hotcell, &place),
            hands: match &beside {
                None => Hands::Gateway,
                Some(beside) => Hands::Own { packet: beside },
            },
            resume: None,
        };
        let (launch, dialogue) = agent.adapted(&task);
        for file in &launch.files {
            Place::write(&file.path, &file.content)?;
        }
        let order = ProcessOrder {
            key: process_key(effect)?,
            label: process_label(unit)?,
            program: agent.program.clone(),
            environment: agent.environment(&place.home(), &site, conversation, &launch)?,
            arguments: [agent.arguments.clone(), launch.arguments].concat(),
            directory,
            limits: Limits::default(),
            stderr: place.stderr(),
        };
        let (held, inbox) = hosted.start(conversation, order).await?;
        let first = Said { key: key(conversation, None), text: opening::first(unit, &site) };
        let (opened, is_open) = oneshot::channel();
        let conversing = Conversing::new(
            self.clone(),
            (site, hands),
            (conversation.clone(), packet, agent.window()),
            (held, dialogue, place),
            (inbox, opened),
        )?;
        tokio::spawn(conversing.run(first));
        started(is_open).await
    }

    pub(super) async fn inject_on_host(
        &self,
        unit: &AboutUnit,
        conversation: &ConversationId,
        message: MessageId,
    ) -> Result<Outcome, Trouble> {
        let text = unit.messages.first().ok_or("the message is gone")?.clone();
        let said = Said { key: key(conversation, Some(message)), text };
        let orders = self.hosted()?.orders(conversation).ok_or("the agent is gone")?;
        let (answer, answered) = oneshot::channel();
        orders.send(Order::Say { said, message, answer }).await?;
        answered.await??;
        Ok(Outcome::Injected)
    }

    pub(super) async fn interrupt_on_host(
        &self,
        conversation: &ConversationId,
    ) -> Result<Outcome, Trouble> {
        // The stop that follows does not ask.
        if let Some(orders) = self.hosted()?.orders(conversation) {
            let _ = orders.send(Order::Interrupt).await;
        }
        Ok(Outcome::Interrupted)
    }

    /// Removes what agents of an attempt have left on the host, once its lane is gone.
    pub(in crate::engine) fn clear_places(&self, unit: &AboutUnit) -> Result<(), Trouble> {
        Ok(Place::clear(&self.setup.directory, &unit.attempt)?)
    }

    /// Whether a message of an engine that died reached its agent, by what the agent
    /// wrote down itself. Agents die with their engine, so nothing is added any more.
    pub(in crate::engine) async fn find_injected(
        &self,
        agent: &HostAgent,
        conversation: &ConversationId,
        message: MessageId,
    ) -> Result<Found, Trouble> {
        let place = Place::of(&self.setup.directory, conversation);
        let (adapter, key) = (agent.adapter, key(conversation, Some(message)));
        let look = move || place.has_taken(adapter, key);
        Ok(match tokio::task::spawn_blocking(look).await?? {
            Some(true) => Found::Done(Outcome::Injected),
            Some(false) => Found::NotDone,
            None => Found::Unknown,
        })
    }
}

/// The server of tools, as an agent starts its end of it.
fn server(hotcell: &Path, place: &Place) -> Server {
    let pass = place.pass().to_string_lossy().into_owned();
    Server {
        name: SERVER.to_owned(),
        program: hotcell.to_owned(),
        arguments: vec![BRIDGE_SUBCOMMAND.to_owned(), pass],
        variables: Vec::new(),
    }
}

/// Waits until an agent has read its opening.
async fn started(is_open: oneshot::Receiver<()>) -> Result<Outcome, Trouble> {
    match timeout(OPENING_TIMEOUT, is_open).await {
        Ok(Ok(())) => Ok(Outcome::Started),
        Ok(Err(_)) => Err("the agent ended before it had read anything".into()),
        Err(_) => Err("the agent did not read what it was told".into()),
    }
}
