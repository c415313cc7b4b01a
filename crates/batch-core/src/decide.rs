//! Decisions: what follows from what is known and what just came in.
//!
//! [`decide`] takes the state and gives it back with the facts that were decided
//! applied. Who cannot commit the facts has no state left that they are missing
//! from: he throws it away and folds the journal anew. It is total: no input is
//! an error, a command that cannot be is answered with a refusal, and what comes
//! too late changes nothing.
//!
//! One decision is three steps:
//!
//! 1. what came in is answered: `command`, `outcome`, `observe`, `takeover`;
//! 2. what is due by now happens: `timers`;
//! 3. whatever can go on goes on, until nothing does: `advance`.

mod advance;
mod command;
mod lanes;
mod mailing;
mod observe;
mod outcome;
mod takeover;
#[cfg(test)]
mod tests;
mod timers;
mod waits;

use std::time::Duration;

use batch_api::{
    Actor, AttemptId, ConversationId, EffectId, Epoch, MessageId, RequestId, Sequence, UnitId,
    WaitId,
};

pub use command::{Address, Command};
pub use observe::Observation;

use crate::apply::Stamp;
use crate::defect::planted;
use crate::effect::{Action, Found, Outcome};
use crate::fact::{Fact, Reply};
use crate::journal::{Draft, Subject};
use crate::mail::{Message, Receipt};
use crate::spec::FailurePolicy;
use crate::state::State;
use crate::time::Time;
use crate::trace::Trace;
use crate::unit::{Answer, Class, Goal, Phase, Reason, Skip, Unit, Wait};

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An engine has claimed the journal and folded it.
    Started {
        /// Its epoch.
        epoch: Epoch,
    },
    /// Somebody asks for something.
    Command {
        /// His name for the request.
        request: RequestId,
        /// Who, as the transport stamped it.
        actor: Actor,
        /// What.
        command: Command,
    },
    /// An effect ended.
    Outcome {
        /// Which.
        effect: EffectId,
        /// How.
        outcome: Outcome,
    },
    /// An effect was looked up.
    Found {
        /// Which.
        effect: EffectId,
        /// What was found.
        found: Found,
    },
    /// An agent did something.
    Observed {
        /// In which conversation.
        conversation: ConversationId,
        /// What.
        observation: Observation,
    },
    /// Something was kept as a trace.
    Traced {
        /// Whose.
        attempt: AttemptId,
        /// What, and where it is found.
        trace: Trace,
    },
    /// Time passed.
    Tick,
}

/// What was decided.
#[derive(Debug, Default)]
pub struct Decision {
    /// The facts, to be committed together.
    pub facts: Vec<Draft<Fact>>,
    /// Answers to requests, to be given once the facts are committed.
    pub answers: Vec<(RequestId, Reply)>,
}

/// Decides what follows from an input, at a time.
#[must_use]
pub fn decide(state: State, now: Time, input: Input) -> (State, Decision) {
    let epoch = match input {
        Input::Started { epoch } => epoch,
        _ => state.epoch,
    };
    let mut decider = Decider {
        state,
        now,
        epoch,
        actor: Actor::Engine,
        cause: None,
        decision: Decision::default(),
    };
    match input {
        Input::Started { .. } => decider.take_over(),
        Input::Command { request, actor, command } => decider.command(&request, actor, &command),
        Input::Outcome { effect, outcome } => decider.outcome(effect, outcome),
        Input::Found { effect, found } => decider.found(effect, found),
        Input::Observed { conversation, observation } => {
            decider.observe(&conversation, observation)
        }
        Input::Traced { attempt, trace } => {
            decider.note(Subject::attempt(&attempt), Fact::Traced { trace });
        }
        Input::Tick => {}
    }
    decider.actor = Actor::Engine;
    decider.fire_timers();
    decider.advance();
    (decider.state, decider.decision)
}

/// How long a unit rests after its nth failure of a class.
fn pause_after(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(300);
    FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST)
}

/// A decision in the making. Every change of the state goes through a fact.
struct Decider {
    state: State,
    now: Time,
    epoch: Epoch,
    actor: Actor,
    cause: Option<Sequence>,
    decision: Decision,
}

impl Decider {
    /// Decides a fact: the state knows it from here on.
    fn note(&mut self, subject: Subject, fact: Fact) {
        let sequence = self.state.sequence.next();
        let stamp = Stamp { sequence, at: self.now, epoch: self.epoch };
        self.state.apply(stamp, &subject, &fact);
        let (actor, cause) = (self.actor.clone(), self.cause);
        // The first fact of a decision is the cause of all that follow.
        if self.decision.facts.is_empty() {
            self.cause = Some(sequence);
        }
        self.decision.facts.push(Draft { actor, cause, subject, fact });
    }

    fn note_of(&mut self, unit: &UnitId, fact: Fact) {
        let subject = match self.state.units.get(unit) {
            Some(known) if known.attempt > 0 => Subject::attempt(&known.attempt_id()),
            _ => Subject::unit(unit),
        };
        self.note(subject, fact);
    }

    fn unit(&self, id: &UnitId) -> Option<&Unit> {
        self.state.units.get(id)
    }

    /// Intends an effect.
    fn intend(&mut self, subject: Subject, action: Action) {
        let effect = EffectId::numbered(self.state.effects_count + 1);
        self.note(subject, Fact::Intended { effect, action });
    }

    fn intend_of(&mut self, unit: &UnitId, action: Action) {
        let Some(known) = self.unit(unit) else { return };
        let subject = Subject::attempt(&known.attempt_id());
        self.intend(subject, action);
    }

    /// A unit enters a phase, if it may; where the phase is an effect, it is
    /// intended with it.
    fn enter(&mut self, id: &UnitId, phase: Phase) {
        let Some(unit) = self.unit(id) else { return };
        if !unit.phase.may_become(phase) {
            return;
        }
        self.note_of(id, Fact::Moved { to: phase });
        let Some(unit) = self.unit(id) else { return };
        let conversation = unit.conversation();
        let action = match phase {
            Phase::Preparing => Action::Prepare { lane: unit.lane, carry: unit.carry.clone() },
            Phase::Opening => return self.open_context(id),
            Phase::Interrupting { .. } => Action::Interrupt { conversation },
            Phase::Fencing { .. } => Action::Fence,
            Phase::Stopping { .. } => Action::Stop { conversation },
            Phase::Capturing { .. } => Action::Capture,
            Phase::Committing => Action::Commit,
            Phase::Merging => match unit.commit.clone() {
                Some(commit) => Action::Merge { commit },
                None => return,
            },
            Phase::Verifying => match unit.merge.clone() {
                Some((_, commit)) => Action::Verify { commit },
                None => return,
            },
            Phase::Advancing => match unit.merge.clone() {
                Some((from, to)) => Action::Advance { from, to },
                None => return,
            },
            Phase::Finishing => Action::Finish,
            Phase::Clearing { goal } => {
                let merged = unit.verified.clone().filter(|_| goal == Goal::Done);
                let captured = unit.captured.as_ref().map(|capture| capture.commit.clone());
                Action::Remove { lane: unit.lane, proof: merged.or(captured) }
            }
            Phase::Done | Phase::Failed { .. } | Phase::Skipped { .. } => {
                return self.over(id, phase);
            }
            Phase::Blocked
            | Phase::Ready { .. }
            | Phase::Resting
            | Phase::Working
            | Phase::Queued { .. } => return,
        };
        self.intend_of(id, action);
    }

    /// A unit's life is over: its mail is dead, and the policy may end others.
    fn over(&mut self, id: &UnitId, phase: Phase) {
        self.bury_mail(id);
        let open: Vec<WaitId> = self.waits_of(id);
        for wait in open {
            self.note_of(id, Fact::WaitClosed { wait, answer: Answer::GiveUp });
        }
        let Some(spec) = &self.state.spec else { return };
        let policy = spec.policy;
        if !matches!(phase, Phase::Failed { .. })
            || policy == FailurePolicy::SkipDependents
            || policy == FailurePolicy::StopNew && planted!(StopNewIgnored)
        {
            return;
        }
        let stops_all = policy == FailurePolicy::StopAll && !planted!(StopAllIgnored);
        self.doom_all(Goal::Skip { why: Skip::Stopped }, |phase| stops_all || !phase.has_lane());
    }

    /// Gives up every unit that is neither over nor merged, where `which` agrees.
    fn doom_all(&mut self, goal: Goal, which: impl Fn(Phase) -> bool) {
        let doomed: Vec<UnitId> = self
            .state
            .units
            .values()
            .filter(|unit| !unit.phase.is_over() && !unit.phase.is_merged())
            .filter(|unit| unit.doom.is_none() && which(unit.phase))
            .map(|unit| unit.id().clone())
            .collect();
        for id in &doomed {
            self.note_of(id, Fact::Doomed { goal });
        }
    }

    /// Counts a failure; within its budget the unit rests, and `otherwise` it is
    /// given up.
    fn count_failure(&mut self, id: &UnitId, class: Class) -> Verdict {
        let failures = self.unit(id).map_or(0, |unit| unit.failures(class));
        let rest_until = match class {
            // The fault is none of its own.
            Class::Orphaned => self.now,
            _ => self.now.after(pause_after(failures)),
        };
        self.note_of(id, Fact::Failure { class, rest_until });
        let most = self.state.spec.as_ref().map_or(0, |spec| spec.limits.budget(class));
        let has_more = failures < most || planted!(BudgetIgnored);
        if has_more { Verdict::Again } else { Verdict::Enough }
    }

    /// Opens a wait, and says which.
    fn ask(&mut self, subject: Subject, reason: Reason, default: Answer) -> Option<WaitId> {
        let spec = self.state.spec.as_ref()?;
        let id = WaitId::numbered(self.state.waits_count + 1);
        let deadline = self.now.after(Duration::from_millis(spec.limits.wait_ms));
        let wait = Wait { id, reason, owner: spec.owner.clone(), deadline, default };
        self.note(subject, Fact::WaitOpened { wait });
        Some(id)
    }

    fn waits_of(&self, unit: &UnitId) -> Vec<WaitId> {
        let of = self.state.waits.values().filter(|open| open.unit.as_ref() == Some(unit));
        of.map(|open| open.wait.id).collect()
    }

    /// A message comes further, if it may.
    fn receipt(&mut self, message: MessageId, unit: &UnitId, receipt: Receipt) {
        let known = self.state.mail.get(&message).and_then(|mail| mail.receipts.get(unit));
        if known.is_some_and(|known| known.may_become(&receipt)) {
            self.note_of(unit, Fact::Receipted { message, receipt });
        }
    }

    fn mail(&mut self, subject: Subject, message: Message) {
        self.note(subject, Fact::Mailed { message });
    }

    fn next_message(&self) -> MessageId {
        let last = u64::try_from(self.state.mail.len()).unwrap_or(u64::MAX);
        MessageId::numbered(last.saturating_add(1))
    }
}

/// Whether there is another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Again,
    Enough,
}
