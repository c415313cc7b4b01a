//! An engine at work: the loop around the core, and the world that carries its
//! orders out.
//!
//! ```text
//!            ┌───────────────── inputs ◀──────────────┐
//!            ▼                                        │ outcomes, observations
//!       live() ── committed ──▶ orders ──▶ World ── tasks ──▶ lanes (workspaces, checkouts)
//!            │                                  │               store (git)
//!            └── wakes by itself when due       └──────────────▶ packets' homes
//! ```
//!
//! The loop has a thread of its own: it commits to a disk and decides, and waits
//! for nothing else. Everything that takes time is a task, whose end comes back
//! as an input. A task that dies with its engine is looked up by the next one.
//!
//! Agents are commands in the lane's own workspace, or programs of the host whose
//! hands are there, or in a checkout of the lane's (`agent`, `site`). Either way what they
//! wrote survives any engine, and ends with the lane.

mod agent;
pub(crate) mod cell;
mod claims;
mod handover;
mod lane;
mod lookup;
mod outbox;
mod projection;
mod removal;
mod reviews;
mod site;
mod told;
mod traces;
mod work;
mod worktree;
mod world;

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use batch_api::{Actor, Epoch, RequestId};
use batch_core::decide::{Command, Input};
use batch_core::drive::{Engine, Failure, Order, Ports, live};
use batch_core::fact::Reply;
use batch_core::state::{Ending, State};
use batch_core::time::Time;
use rustix::time::{ClockId, clock_gettime};

use crate::journal::SqliteJournal;

pub use crate::configuration::{AgentKind, AgentSetup, HostedSetup, LaneMode};
pub use agent::HostAgent;
pub(crate) use handover::Surroundings;
pub(crate) use lane::PACKET;
pub(crate) use lane::workspaces_of;
pub(crate) use projection::replace;
pub(crate) use traces::hide;
pub(crate) use worktree::worktrees_of;
pub use world::{Setup, World};
pub(crate) use world::{Trouble, told as explained};

/// Most inputs that wait for a turn. Whoever brings more of them waits.
const INPUTS_MAX: usize = 1024;

/// The longest that the loop sleeps without looking at the clock.
const NAP: Duration = Duration::from_secs(60);

/// A request to an engine, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// The client's name for it.
    pub request: RequestId,
    /// Who asks, as the transport knows.
    pub actor: Actor,
    /// What is asked.
    pub command: Command,
    /// Where the answer goes, once it is in the journal.
    pub answer: SyncSender<Reply>,
}

/// What comes to an engine.
#[derive(Debug)]
pub(crate) enum Event {
    Input(Input),
    Request(Request),
    /// What the request of that name may use of its client's environment.
    Lent(RequestId, Surroundings),
}

/// Where requests and what happened are brought.
#[derive(Debug, Clone)]
pub struct Door {
    events: SyncSender<Event>,
    admits: Admits,
}

/// What an engine may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admits {
    Everything,
    /// To bring what is merged somewhere: it has no credentials for anything else.
    Integrations,
}

impl Door {
    /// Brings a request. `false` if the engine has ended, or is none for it: whoever asks
    /// its successor is answered.
    #[must_use]
    pub fn ask(&self, request: Request) -> bool {
        let is_integration = matches!(request.command, Command::Integrate { .. });
        let admits = self.admits == Admits::Everything || is_integration;
        admits && self.events.send(Event::Request(request)).is_ok()
    }

    /// The same door, for requests to bring what is merged somewhere and no others.
    pub(crate) fn for_integrations(self) -> Self {
        Self { admits: Admits::Integrations, ..self }
    }

    /// Brings what a request that follows may use of its client's environment.
    pub(crate) fn lend(&self, request: RequestId, surroundings: Surroundings) {
        // An engine that has ended needs nothing.
        let _ = self.events.send(Event::Lent(request, surroundings));
    }

    /// Brings what happened. An engine that has ended does not hear it: its
    /// successor looks it up.
    pub(crate) fn tell(&self, input: Input) {
        let _ = self.events.send(Event::Input(input));
    }
}

/// The two ends of an engine's door.
#[must_use]
pub fn door() -> (Door, Visitors) {
    let (events, receiver) = sync_channel(INPUTS_MAX);
    (Door { events, admits: Admits::Everything }, Visitors(receiver))
}

/// What comes through a [`Door`].
#[derive(Debug)]
pub struct Visitors(Receiver<Event>);

/// Now, as the core is told it.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::default().after(since)
}

/// Takes a batch over and runs it until it is over; how it ended, if it did. It blocks:
/// it belongs on a thread of its own.
///
/// # Errors
///
/// If the journal cannot be taken over or written. The batch is whole then, and another
/// engine goes on with it.
pub fn run(
    world: World,
    journal: SqliteJournal,
    visitors: Visitors,
) -> Result<Option<Ending>, Failure> {
    let engine = Engine::take_over(journal, world.batch())?;
    go_on(world, engine, visitors)
}

/// Runs the engine of a batch until the batch is over, or until nobody needs it any
/// more; how it ended, if it did. It blocks: it belongs on a thread of its own.
///
/// # Errors
///
/// If the journal cannot be written. The batch is whole then, and another engine goes
/// on with it.
pub(crate) fn go_on(
    world: World,
    mut engine: Engine<SqliteJournal>,
    visitors: Visitors,
) -> Result<Option<Ending>, Failure> {
    live(&mut engine, &mut Place::new(world, visitors))?;
    Ok(engine.state().and_then(|state| state.ending))
}

/// What an engine lives among: the world, and whoever comes through the door.
#[derive(Debug)]
pub struct Place {
    world: World,
    visitors: Visitors,
    clock: Clock,
    /// Whoever waits for an answer.
    waiting: Vec<(RequestId, SyncSender<Reply>)>,
}

impl Place {
    /// A world, and what comes through its door.
    #[must_use]
    pub fn new(world: World, visitors: Visitors) -> Self {
        Self { world, visitors, clock: Clock::start(), waiting: Vec::new() }
    }
}

/// The time of day when an engine begins, and from then on the time that passes, also
/// while the machine sleeps. So nobody who sets the clock sets timers off, or holds
/// them up, before the next engine begins.
#[derive(Debug)]
struct Clock {
    start: Time,
    started: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { start: now(), started: since_boot() }
    }

    fn now(&self) -> Time {
        self.start.after(since_boot().saturating_sub(self.started))
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // The time since boot is never negative.
    Duration::try_from(time).unwrap_or_default()
}

impl Ports for Place {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn carry_out(&mut self, epoch: Epoch, orders: Vec<Order>, state: &State) -> ControlFlow<()> {
        for order in orders {
            match order {
                Order::Start(effect) => self.world.start(epoch, effect, state),
                Order::Find(effect) => self.world.find(epoch, effect, state),
                Order::Answer { request, reply } => {
                    if let Some(at) = self.waiting.iter().position(|(name, _)| *name == request) {
                        // Whoever asked may be gone; the answer is in the journal.
                        let _ = self.waiting.swap_remove(at).1.send(reply);
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn wait(&mut self, state: &State, wake: Option<Time>) -> Option<Vec<Input>> {
        if state.is_over() {
            return None;
        }
        let patience = wake.map_or(NAP, |wake| wake.since(self.now()).min(NAP));
        let first = match self.visitors.0.recv_timeout(patience) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let events = first.into_iter().chain(self.visitors.0.try_iter()).take(INPUTS_MAX);
        let input = |event| match event {
            Event::Input(input) => Some(input),
            Event::Request(Request { request, actor, command, answer }) => {
                self.waiting.push((request.clone(), answer));
                Some(Input::Command { request, actor, command })
            }
            Event::Lent(request, surroundings) => {
                self.world.lend(request, surroundings);
                None
            }
        };
        Some(events.filter_map(input).collect())
    }
}
