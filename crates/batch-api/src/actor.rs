//! Who speaks: stamped by the transport that a request came in by, never
//! claimed by its sender.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, NotAnId};
use operation::text_value;

use crate::text::word;

word! {
    /// What a person or a supervising program is called: 1 to 64 letters, digits
    /// and `.`, `_`, `-`.
    Name, 64, "^[A-Za-z0-9._-]{1,64}$",
    |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Who caused a fact: `engine`, `operator:anna`, `supervisor:night`,
/// `agent:TP-1@app/1#1:worker`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// The engine itself, by its rules.
    Engine,
    /// A person with the right to everything.
    Operator(Name),
    /// A program that watches over the batch on somebody's behalf.
    Supervisor(Name),
    /// An agent of the batch.
    Agent(AgentId),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("engine"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Supervisor(name) => write!(f, "supervisor:{name}"),
            Self::Agent(agent) => write!(f, "agent:{agent}"),
        }
    }
}

impl FromStr for Actor {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match text.split_once(':') {
            None if text == "engine" => Ok(Self::Engine),
            Some(("operator", name)) => name.parse().map(Self::Operator),
            Some(("supervisor", name)) => name.parse().map(Self::Supervisor),
            Some(("agent", agent)) => agent.parse().map(Self::Agent),
            _ => Err(NotAnId::of("Actor", text, "engine|operator:…|supervisor:…|agent:…")),
        }
    }
}

text_value!(Actor, "^(engine|(operator|supervisor):[A-Za-z0-9._-]{1,64}|agent:.+)$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_prints_what_it_parses() {
        for text in ["engine", "operator:anna", "supervisor:night.1", "agent:TP-1@app/1#2:worker"] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        for bad in ["", "Engine", "operator:", "operator:a b", "agent:x", "root:x", "engine:"] {
            assert!(bad.parse::<Actor>().is_err(), "{bad}");
        }
    }
}
