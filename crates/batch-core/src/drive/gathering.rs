//! What agents use, gathered over seconds. They tell it with every piece of output,
//! ten times in a second; the journal has a fact of it once per [`PAUSE`] and agent,
//! and those of all agents in one commit.
//!
//! ```text
//!   used ──▶ held ──▶ one input, when the last one was PAUSE ago
//!              ├────▶ or when that of another agent passes
//!              └────▶ or before what ends the context
//! ```
//!
//! The first after a while passes at once: somebody looks whether there is progress.
//! What is held when an engine dies is lost, as what it has not heard yet.

use std::collections::BTreeMap;
use std::time::Duration;

use batch_api::ConversationId;

use crate::decide::{Input, Observation};
use crate::time::Time;
use crate::unit::Usage;

/// How long usage is gathered.
const PAUSE: Duration = Duration::from_secs(5);

/// What is held, by conversation.
#[derive(Debug, Default)]
pub(super) struct Gathering(BTreeMap<ConversationId, Held>);

#[derive(Debug)]
struct Held {
    usage: Usage,
    /// When the next may pass.
    next: Time,
}

impl Held {
    fn take(&mut self, conversation: &ConversationId) -> Option<Input> {
        let usage = std::mem::take(&mut self.usage);
        let observation = Observation::Used { usage };
        let conversation = conversation.clone();
        (usage != Usage::default()).then_some(Input::Observed { conversation, observation })
    }
}

impl Gathering {
    /// When something that is held has to pass.
    pub(super) fn due(&self) -> Option<Time> {
        let held = self.0.values().filter(|held| held.usage != Usage::default());
        held.map(|held| held.next).min()
    }

    /// The inputs that pass now, in their order.
    pub(super) fn pass(&mut self, now: Time, inputs: Vec<Input>) -> Vec<Input> {
        let mut passed = Vec::with_capacity(inputs.len());
        for input in inputs {
            let Input::Observed { conversation, observation } = &input else {
                passed.push(input);
                continue;
            };
            if let Observation::Used { usage } = observation {
                let fresh = Held { usage: Usage::default(), next: now };
                self.0.entry(conversation.clone()).or_insert(fresh).usage.add(*usage);
                continue;
            }
            if observation.ends_context()
                && let Some(mut held) = self.0.remove(conversation)
            {
                passed.extend(held.take(conversation));
            }
            passed.push(input);
        }
        let is_due = self.due().is_some_and(|due| due <= now);
        for (conversation, held) in &mut self.0 {
            if is_due && let Some(input) = held.take(conversation) {
                held.next = now.after(PAUSE);
                passed.push(input);
            }
        }
        // One that has told nothing for so long is as one that never did.
        self.0.retain(|_, held| held.next > now);
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(observation: Observation) -> Input {
        let conversation = "T-1@app/1#1:worker~1".parse().unwrap();
        Input::Observed { conversation, observation }
    }

    fn used(tokens: u64) -> Input {
        observed(Observation::Used { usage: Usage { tokens, ..Usage::default() } })
    }

    #[test]
    fn usage_is_one_input_per_pause_and_none_is_lost() {
        let mut gathering = Gathering::default();
        assert_eq!(gathering.pass(Time(0), vec![used(1)]), [used(1)], "the first passes at once");
        for tenth in 1..50 {
            assert_eq!(gathering.pass(Time(tenth * 100), vec![used(2)]), []);
        }
        assert_eq!(gathering.due(), Some(Time(5_000)));
        assert_eq!(gathering.pass(Time(5_000), Vec::new()), [used(98)]);
        assert_eq!(gathering.due(), None);

        let end = observed(Observation::TurnEnded);
        let others = vec![used(3), Input::Tick, end.clone(), used(4)];
        let passed = gathering.pass(Time(6_000), others);
        assert_eq!(passed, [Input::Tick, used(3), end, used(4)], "before what ends the context");

        let again = gathering.pass(Time(6_001), vec![used(5)]);
        assert_eq!(again, [], "what came after the end is gathered anew");
        assert_eq!(gathering.pass(Time(60_000), Vec::new()), [used(5)]);
        assert_eq!(gathering.pass(Time(70_000), Vec::new()), []);
        assert!(gathering.0.is_empty(), "nothing is kept of one that is silent");
    }
}
