//! What agents do.

use batch_api::{ConversationId, MessageId, UnitId};

use super::Decider;
use crate::complete::Stage;
use crate::defect::planted;
use crate::fact::{Fact, Nudge};
use crate::journal::Subject;
use crate::mail::Receipt;
use crate::time::Time;
use crate::unit::{End, Phase, Status, Usage};

/// Something that was seen of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// It used something: it goes forward.
    Used {
        /// How much more than was told before.
        usage: Usage,
    },
    /// Its packet was read.
    Status {
        /// What it claims.
        status: Status,
    },
    /// A message is in its context.
    Saw {
        /// Which.
        message: MessageId,
    },
    /// How full its context is.
    Context {
        /// In percent.
        percent: u8,
    },
    /// The provider takes no more.
    Limited {
        /// Before then.
        until: Time,
    },
    /// It ended its turn, and waits.
    TurnEnded,
    /// It is gone.
    Exited,
}

impl Observation {
    /// Whether its context may be over with it.
    pub(crate) const fn ends_context(&self) -> bool {
        match self {
            Self::TurnEnded | Self::Exited | Self::Limited { .. } => true,
            Self::Context { percent } => *percent >= Decider::FULL_PERCENT,
            Self::Used { .. } | Self::Status { .. } | Self::Saw { .. } => false,
        }
    }
}

impl Decider {
    /// How often an agent is kept from ending its turn early, per context.
    const INTERCEPTS_MAX: u32 = 2;
    /// From here on it is told to wrap up, in percent of its context.
    const WRAP_UP_PERCENT: u8 = 85;
    /// From here on its context is ended.
    const FULL_PERCENT: u8 = 95;

    pub(super) fn observe(&mut self, conversation: &ConversationId, observation: Observation) {
        let id = &conversation.agent.attempt.unit;
        if let Observation::Saw { message } = observation {
            let known = self.state.mail.get(&message).and_then(|mail| mail.receipts.get(id));
            if known.and_then(Receipt::conversation) == Some(conversation) {
                self.receipt(message, id, Receipt::Seen { conversation: conversation.clone() });
            }
            return;
        }
        let Some(unit) = self.unit(id) else { return };
        if let Observation::Used { usage } = observation {
            // What it used while it was being ended has to be paid for as well.
            if unit.conversation() == *conversation && unit.phase.has_agent() {
                self.note_of(id, Fact::Used { usage });
            }
            return;
        }
        // Of an agent that is being ended nothing else is believed any more.
        if unit.phase != Phase::Working || unit.conversation() != *conversation {
            return;
        }
        match observation {
            Observation::Status { status } if status != unit.status => {
                self.note_of(id, Fact::StatusRead { status });
            }
            Observation::Status { .. } | Observation::Saw { .. } | Observation::Used { .. } => {}
            Observation::Context { percent } if percent >= Self::FULL_PERCENT => {
                self.enter(id, Phase::Fencing { end: End::Full });
            }
            Observation::Context { percent } => {
                if percent >= Self::WRAP_UP_PERCENT && !unit.wrapping_up {
                    self.note_of(id, Fact::Nudged { nudge: Nudge::WrapUp });
                    self.nudge(id, Nudge::WrapUp);
                }
            }
            Observation::Limited { until } => {
                let until = until.min(self.now.after(crate::spec::BatchSpec::LIMIT_MAX));
                self.note(Subject::BATCH, Fact::Limited { until });
                self.enter(id, Phase::Fencing { end: End::Limited });
            }
            Observation::TurnEnded if planted!(UnrecordedChange) => {
                self.state.view += 1;
                self.turn_ended(&id.clone());
            }
            Observation::TurnEnded => self.turn_ended(&id.clone()),
            Observation::Exited => self.enter(id, Phase::Fencing { end: End::Crashed }),
        }
    }

    /// An agent ended its turn. If there is more to do it is told so, a few times; what
    /// waits for it begins another turn.
    fn turn_ended(&mut self, id: &UnitId) {
        // A message that is on its way may have found it at work: that it is no more is
        // written down, for when the message comes back.
        let is_told = self.is_injecting(id);
        if is_told || self.unit(id).is_some_and(|unit| unit.deaf_until > self.now) {
            self.note_of(id, Fact::Deaf { until: self.now });
        }
        let Some(unit) = self.unit(id) else { return };
        let takes_more = !unit.wrapping_up && unit.doom.is_none() && !self.state.is_waiting(id);
        if takes_more && self.has_queued(id) {
            return;
        }
        let is_free = unit.intercepts >= Self::INTERCEPTS_MAX
            || unit.wrapping_up
            || unit.doom.is_some()
            || self.state.is_waiting(id)
            || self.state.blockers(unit, Stage::Working).is_empty();
        if is_free {
            return self.enter(id, Phase::Fencing { end: End::Turn });
        }
        self.note_of(id, Fact::Nudged { nudge: Nudge::Continue });
        self.nudge(id, Nudge::Continue);
    }
}
