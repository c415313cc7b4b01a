//! What an agent says to the engine and to people.

use batch_core::decide::Command;
use batch_core::fact::Reply as Decision;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Tool};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Reply {
    /// The directive's id, such as msg_3.
    to: String,
    /// The answer: what you did, or what you know.
    text: String,
}

impl Tool for Reply {
    const NAME: &'static str = "reply";
    const ABOUT: &'static str = "Answers a directive that you were sent. A directive is in force until it is \
                                 answered: do what it says, then reply.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let command = Command::Reply { to: self.to.parse()?, text: self.text.parse()? };
        Ok(told(lane.say(command).await?, "Answered."))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Escalate {
    /// The question, with all that somebody needs to decide it.
    text: String,
}

impl Tool for Escalate {
    const NAME: &'static str = "escalate";
    const ABOUT: &'static str = "Asks whoever owns the batch for a decision that is not yours. You are stopped, \
                                 and begin anew with the answer; your work is kept.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let command = Command::Escalate { text: self.text.parse()? };
        Ok(told(lane.say(command).await?, "Asked. End your turn now."))
    }
}

fn told(decision: Decision, done: &str) -> Answer {
    match decision {
        Decision::Refused { refusal } => Answer::Failed(refusal.to_string()),
        _ => Answer::text(done),
    }
}
