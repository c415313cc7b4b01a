//! The loop around the core, for production and for the simulation alike.
//!
//! ```text
//!   wait for inputs or the clock ──▶ turn: decide each, append all in one commit
//!            ▲                                     │
//!            └──────────── carry orders out ◀──────┘ only now
//! ```
//!
//! An [`Engine`] does no waiting and starts nothing; [`live`] is the loop around
//! it, over [`Ports`] that do. An error of a turn ends the engine: it has no state
//! any more that anybody may act on. Its successor folds the journal.
//!
//! A clock may be set back; the time of a batch stands still then. What agents use,
//! which they tell many times in a second, is gathered before it becomes a fact
//! (`gathering`).
//!
//! What carries orders out passes the engine's epoch on with each: gateways,
//! registries and references refuse a lower one than they were fenced with.

use std::ops::ControlFlow;

use batch_api::{BatchId, Epoch, RequestId};

use crate::decide::{Input, decide};
use crate::defect::planted;
use crate::due::due;
use crate::effect::{Effect, EffectState};
use crate::fact::{Fact, Reply};
use crate::journal::{
    AppendError, Chain, ChainError, Claim, Draft, Journal, LINES_MAX, Line, StorageError,
};
use crate::state::State;
use crate::time::Time;

pub mod contract;
mod gathering;

use gathering::Gathering;

/// What the world is to do. What it concerns is in the journal by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Start an effect; its outcome comes back as an input. If it was started
    /// before, what is still at it is ended first.
    Start(Effect),
    /// Look an effect up, after making sure that nothing is still at it.
    Find(Effect),
    /// Give an answer to whoever asked.
    Answer {
        /// His name for the request.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
}

/// What an engine lives among.
pub trait Ports {
    /// The time.
    fn now(&self) -> Time;

    /// Has orders carried out, without waiting for their outcomes: those come back
    /// as inputs. Breaks if the engine has to end.
    fn carry_out(&mut self, epoch: Epoch, orders: Vec<Order>, state: &State) -> ControlFlow<()>;

    /// Waits for inputs, at the latest until `wake`; it may be back earlier, with
    /// nothing. `None` if the engine is to end: nobody needs it any more, or somebody
    /// said so.
    fn wait(&mut self, state: &State, wake: Option<Time>) -> Option<Vec<Input>>;
}

/// Lives until its ports let it end.
///
/// # Errors
///
/// If something cannot be committed: somebody else owns the batch, or storage
/// failed. What was not committed was not carried out.
pub fn live<J: Journal>(engine: &mut Engine<J>, ports: &mut impl Ports) -> Result<(), Failure> {
    let mut inputs = vec![Input::Started { epoch: engine.epoch }];
    let mut gathering = Gathering::default();
    loop {
        let orders = engine.turn(ports.now(), &mut inputs)?;
        let nothing = State::default();
        let state = engine.state().unwrap_or(&nothing);
        if ports.carry_out(engine.epoch, orders, state).is_break() {
            return Ok(());
        }
        if engine.state.is_none() {
            return Ok(());
        }
        let due = engine.wake(ports.now());
        loop {
            let wake = due.into_iter().chain(gathering.due()).min();
            let Some(next) = ports.wait(state, wake) else { return Ok(()) };
            let now = ports.now();
            inputs = gathering.pass(now, next);
            // Nothing is decided because an agent has told what can wait.
            if !inputs.is_empty() || due.is_some_and(|due| due <= now) {
                break;
            }
        }
    }
}

/// Why an engine cannot begin, or has to end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The journal could not be claimed or read.
    #[error("cannot take over the journal of the batch")]
    Storage(#[from] StorageError),
    /// The journal is not whole, or not for this engine.
    #[error("cannot go on from the journal of the batch")]
    Chain(#[from] ChainError),
    /// What was decided could not be committed.
    #[error("cannot commit what was decided")]
    Append(#[from] AppendError),
    /// What was decided does not fit into the journal.
    #[error("a decision is larger than the journal takes")]
    TooLarge,
}

/// An engine that owns a batch.
#[derive(Debug)]
pub struct Engine<J> {
    journal: J,
    chain: Chain,
    epoch: Epoch,
    state: Option<State>,
}

/// How many records are read at once.
const PAGE: usize = 1024;

/// Folds a whole journal, checking it.
///
/// # Errors
///
/// If it cannot be read, or is not whole.
pub fn fold(journal: &mut impl Journal, batch: BatchId) -> Result<(State, Chain), Failure> {
    fold_on(journal, State::default(), Chain::of(batch))
}

/// Folds what a journal has after what was folded before, checking it.
///
/// # Errors
///
/// If it cannot be read, or does not continue what was folded.
pub fn fold_on(
    journal: &mut impl Journal,
    mut state: State,
    mut chain: Chain,
) -> Result<(State, Chain), Failure> {
    loop {
        let page = journal.read(chain.last(), PAGE)?;
        for line in &page {
            state.fold(&chain.check::<Fact>(line)?);
        }
        if page.len() < PAGE {
            return Ok((state, chain));
        }
    }
}

impl<J: Journal> Engine<J> {
    /// Takes a batch over: claims its journal, and folds it.
    ///
    /// # Errors
    ///
    /// If the journal cannot be claimed or read, or is not whole.
    pub fn take_over(mut journal: J, batch: BatchId) -> Result<Self, Failure> {
        let claim = journal.claim()?;
        Self::owning(journal, claim, batch)
    }

    /// Goes on with a batch whose journal was claimed: folds it.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read, or is not whole.
    pub fn owning(mut journal: J, claim: Claim, batch: BatchId) -> Result<Self, Failure> {
        let (state, chain) = fold(&mut journal, batch)?;
        Ok(Self { journal, chain, epoch: claim.epoch, state: Some(state) })
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The state of the batch; `None` once a turn has failed.
    #[must_use]
    pub const fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// When it has to be woken, if nothing comes in before.
    #[must_use]
    pub fn wake(&self, now: Time) -> Option<Time> {
        let state = self.state.as_ref()?;
        due(state, now.max(state.at))
    }

    /// Decides on inputs, at least on the passing of time, and commits what was
    /// decided. What is returned may be carried out, and nothing else.
    ///
    /// # Errors
    ///
    /// If it cannot be committed. The engine is over then.
    pub fn turn(&mut self, now: Time, inputs: &mut Vec<Input>) -> Result<Vec<Order>, Failure> {
        if inputs.is_empty() {
            inputs.push(Input::Tick);
        }
        let mut turn = Turn::default();
        let Some(mut state) = self.state.take() else { return Ok(Vec::new()) };
        // A clock that was set back is not believed.
        let now = if planted!(ClockBelieved) { now } else { now.max(state.at) };
        let mut orders = Vec::new();
        for input in inputs.drain(..) {
            let (next, decision) = decide(state, now, input);
            state = next;
            if decision.facts.len() > LINES_MAX {
                return Err(Failure::TooLarge);
            }
            if turn.lines.len() + decision.facts.len() > LINES_MAX {
                self.commit(&mut turn)?;
            }
            for draft in decision.facts {
                turn.mention(&draft);
                let sealed = self.chain.seal(draft, now, self.epoch);
                turn.lines.push(sealed.map_err(|_| Failure::TooLarge)?.1);
            }
            let answers = decision.answers.into_iter();
            orders.extend(answers.map(|(request, reply)| Order::Answer { request, reply }));
        }
        match self.commit(&mut turn) {
            Ok(()) => {}
            Err(_) if planted!(AnsweredBeforeCommit) => return Ok(orders),
            Err(_) if planted!(StartedBeforeCommit) => return Ok(turn.orders(&state)),
            Err(error) => return Err(error.into()),
        }
        orders.extend(turn.orders(&state));
        self.state = Some(state);
        Ok(orders)
    }

    fn commit(&mut self, turn: &mut Turn) -> Result<(), AppendError> {
        self.journal.append(self.epoch, &turn.lines)?;
        turn.lines.clear();
        Ok(())
    }
}

/// What a turn has decided so far.
#[derive(Default)]
struct Turn {
    lines: Vec<Line>,
    effects: Vec<batch_api::EffectId>,
}

impl Turn {
    /// Notes the effects that have to be started or looked up.
    fn mention(&mut self, draft: &Draft<Fact>) {
        match &draft.fact {
            Fact::Intended { effect, .. }
            | Fact::Restarted { effect, .. }
            | Fact::Sought { effect, .. }
                if !self.effects.contains(effect) =>
            {
                self.effects.push(*effect);
            }
            _ => {}
        }
    }

    /// Orders for what is still to be done at the end of the turn.
    fn orders(&self, state: &State) -> Vec<Order> {
        let of = |id| {
            let effect = state.effects.get(id)?;
            match effect.state {
                EffectState::Running { .. } => Some(Order::Start(effect.clone())),
                EffectState::Seeking { .. } => Some(Order::Find(effect.clone())),
                EffectState::Resting { .. } | EffectState::Waiting { .. } => None,
            }
        };
        self.effects.iter().filter_map(of).collect()
    }
}
