//! What is decided where inputs cross each other.

use batch_api::{BatchId, EffectId, Epoch, Sequence, UnitId};
use uuid::Uuid;

use super::{Address, Command, Input, Observation, decide};
use crate::apply::Stamp;
use crate::effect::{Action, Outcome};
use crate::fact::Fact;
use crate::journal::Subject;
use crate::mail::{MailKind, Urgency};
use crate::spec::{BatchSpec, Ceiling, FailurePolicy, Limits, Receipts, UnitSpec};
use crate::state::State;
use crate::time::Time;
use crate::unit::Phase;

/// A batch of one unit, whose agent is at work.
fn at_work() -> (State, UnitId) {
    let unit: UnitId = "TP-1@app/1".parse().expect("an id");
    let ceiling = Ceiling { time_ms: 3_600_000, tokens: 1_000_000, money_micros: 1_000_000 };
    let spec = BatchSpec {
        batch: BatchId::from_uuid(Uuid::nil()),
        owner: "operator:anna".parse().expect("an actor"),
        lanes: 1,
        memory_mib: None,
        policy: FailurePolicy::SkipDependents,
        receipts: Receipts::Unprovable,
        limits: Limits {
            unit: ceiling,
            batch: ceiling,
            stall_ms: 600_000,
            contexts: 9,
            wait_ms: 600_000,
            retries: 1,
        },
        units: vec![UnitSpec {
            unit: unit.clone(),
            home: "/tasks/TP-1".into(),
            after: Vec::new(),
            apart: Vec::new(),
            memory_mib: 0,
        }],
    };
    let (batch, ours) = (Subject::BATCH, Subject::unit(&unit));
    let fence = EffectId::numbered(1);
    let facts = [
        (&batch, Fact::EngineStarted),
        (&batch, Fact::Planned { spec: Box::new(spec) }),
        (&batch, Fact::Intended { effect: fence, action: Action::Fence }),
        (&batch, Fact::Ended { effect: fence, outcome: Outcome::Fenced }),
        (&ours, Fact::Began { lane: 1 }),
        (&ours, Fact::Moved { to: Phase::Opening }),
        (&ours, Fact::Moved { to: Phase::Working }),
    ];
    let mut state = State::default();
    for (at, (subject, fact)) in (1..).zip(&facts) {
        state.apply(Stamp { sequence: Sequence(at), at: Time(at), epoch: Epoch(1) }, subject, fact);
    }
    (state, unit)
}

/// The delivery that is under way.
fn delivery(state: &State) -> Option<EffectId> {
    let is_it = |action: &Action| matches!(action, Action::Inject { .. });
    state.effects.values().find(|effect| is_it(&effect.action)).map(|effect| effect.id)
}

/// An agent was found at work, and its turn ended before that was known: nothing else
/// would end it, so the message is brought to it now and not after a while.
#[test]
fn a_turn_that_ends_while_a_message_is_put_off_takes_it_at_once() {
    let (state, unit) = at_work();
    let send = Command::Send {
        to: Address::Unit(unit.clone()),
        kind: MailKind::Steer,
        answers: None,
        urgent: Urgency::Normal,
        lasts_ms: None,
        text: "Turn left.".parse().expect("a text"),
    };
    let actor = "operator:anna".parse().expect("an actor");
    let send = Input::Command { request: "r1".parse().expect("an id"), actor, command: send };
    let (state, _) = decide(state, Time(10_000), send);
    let first = delivery(&state).expect("it is delivered");
    let put_off = || Input::Outcome { effect: first, outcome: Outcome::Deferred };

    // If its turn goes on, it is left alone.
    let (alone, _) = decide(state.clone(), Time(12_000), put_off());
    assert_eq!(delivery(&alone), None);

    let conversation = state.units[&unit].conversation();
    let ended = Input::Observed { conversation, observation: Observation::TurnEnded };
    let (state, _) = decide(state, Time(11_000), ended);
    let (state, _) = decide(state, Time(12_000), put_off());
    let second = delivery(&state).expect("it is delivered again");
    assert_ne!(first, second);
}
