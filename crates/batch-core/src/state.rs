//! The state of a batch: what its facts amount to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use batch_api::{
    CommitName, EffectId, Epoch, MessageId, RequestId, Sequence, TaskId, UnitId, WaitId,
};
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::fact::Reply;
use crate::integration::Integration;
use crate::journal::Digest;
use crate::mail::{Mail, Urgency};
use crate::spec::BatchSpec;
use crate::time::Time;
use crate::unit::{Unit, Usage, Wait};

/// Why a batch stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// Somebody paused it.
    Paused,
    /// It reached its ceiling.
    Ceiling,
    /// Somebody aborted it.
    Aborted,
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All units are done.
    Completed,
    /// Some are.
    Partial,
    /// None is.
    Failed,
}

/// An open wait, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenWait {
    /// The question.
    pub wait: Wait,
    /// The unit that waits; the whole batch if there is none.
    pub unit: Option<UnitId>,
    /// Since when.
    pub since: Time,
}

/// The state of a batch. Equal journals give equal states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last record that was folded.
    pub sequence: Sequence,
    /// When that was decided. Time does not go back behind it.
    pub at: Time,
    /// The engine of now.
    pub epoch: Epoch,
    /// What was asked; `None` before the start.
    pub spec: Option<BatchSpec>,
    /// The units.
    pub units: BTreeMap<UnitId, Unit>,
    /// Which unit a task is.
    pub tasks: BTreeMap<TaskId, UnitId>,
    /// The effects that have not ended.
    pub effects: BTreeMap<EffectId, Effect>,
    /// How many effects there were.
    pub effects_count: u64,
    /// The messages.
    pub mail: BTreeMap<MessageId, Mail>,
    /// Those that wait for each unit, in the order of delivery. The journal of
    /// days has many messages, and only these are looked at all the time.
    pub queued: BTreeMap<UnitId, BTreeSet<(Urgency, MessageId)>>,
    /// The open waits.
    pub waits: BTreeMap<WaitId, OpenWait>,
    /// How many waits there were.
    pub waits_count: u64,
    /// Why the batch stands still.
    pub halt: Option<Halt>,
    /// How the batch ended.
    pub ending: Option<Ending>,
    /// The provider takes nothing before then.
    pub limited_until: Time,
    /// Whether earlier engines are shut out; nothing else is done before.
    pub fenced: bool,
    /// The tip of the integration branch, as far as it is known.
    pub tip: Option<CommitName>,
    /// What was used.
    pub usage: Usage,
    /// How long agents were at work, without those of now.
    pub worked_ms: u64,
    /// How often the batch's ceiling was granted anew.
    pub grants: u64,
    /// Counts changes that people would see.
    pub view: u64,
    /// What of them was published.
    pub published: u64,
    /// When that was.
    pub published_at: Time,
    /// The answers to the last requests.
    pub answers: BTreeMap<RequestId, (Digest, Reply)>,
    /// In which order they were given.
    pub answers_order: VecDeque<RequestId>,
    /// What the operator wants brought somewhere, as long as its request is remembered.
    pub integrations: BTreeMap<RequestId, Integration>,
    /// Times of the last messages, by recipient, for the rate.
    pub mailed_at: BTreeMap<UnitId, VecDeque<Time>>,
    /// Times of the last messages to desks.
    pub desks_mailed_at: VecDeque<Time>,
}

impl State {
    /// How many answers are remembered; a request repeated after so many others
    /// is a new one.
    pub const ANSWERS_MAX: usize = 10_000;

    /// How many messages a unit, or all desks together, may be sent within [`Self::RATE_SPAN`].
    pub const RATE_MAX: usize = 8;
    /// Over which time the rate of messages is taken.
    pub const RATE_SPAN: Duration = Duration::from_secs(30);

    /// The units that have a lane.
    pub fn in_lanes(&self) -> impl Iterator<Item = &Unit> {
        self.units.values().filter(|unit| unit.phase.has_lane())
    }

    /// The open effects of a unit.
    pub fn effects_of<'a>(&'a self, unit: &'a UnitId) -> impl Iterator<Item = &'a Effect> {
        self.effects.values().filter(move |effect| effect.subject.unit.as_ref() == Some(unit))
    }

    /// Whether somebody has to answer something before the unit goes on.
    #[must_use]
    pub fn is_waiting(&self, unit: &UnitId) -> bool {
        self.waits.values().any(|open| open.unit.as_ref() == Some(unit))
    }

    /// Whether the batch is over, and everybody can know.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ending.is_some() && self.effects.is_empty() && self.published == self.view
    }
}
