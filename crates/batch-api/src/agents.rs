//! The agents that can do the work of a batch, and what is proved of them.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// List the kinds of agents, what is proved of each, and which of them are here
///
/// In a `cell`, an agent runs on this host and its hands are in the task's machine. That
/// is proved for versions with models, by trying: its surroundings are poisoned and its
/// model calls every tool that it was ever known to have. What was not tried is refused
/// a cell. Programs that are found in PATH are asked for their versions, each in an
/// empty home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Agents {}

impl Operation for Agents {
    type Output = AgentList;
    type Event = NoEvents;
    const NAME: &'static str = "batch.agents";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example { argv: "", json: "{}" }];
}

/// The kinds of agents, and where they can work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentList {
    /// The kinds of agents.
    pub agents: Vec<ListedAgent>,
    /// Where agents run and where their hands are.
    pub lanes: Vec<ListedLane>,
}

/// A kind of agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedAgent {
    /// Its name.
    pub kind: String,
    /// What it can be given: `cell` only for what is proved.
    pub lanes: Vec<String>,
    /// What is proved to keep its hands in a cell.
    pub proved: Vec<ProvedAgent>,
    /// What it is like.
    pub traits: Vec<AgentTrait>,
    /// Programs of this kind that are here.
    pub found: Vec<FoundAgent>,
}

/// A version of an agent that is proved to keep its hands in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProvedAgent {
    /// The version, as the program tells it.
    pub version: String,
    /// With these models, as the agent calls them.
    pub models: Vec<String>,
}

/// One thing that agents differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentTrait {
    /// Which.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// How this agent is in it, in a word.
    pub value: String,
    /// The same, as a sentence.
    pub meaning: String,
}

/// A program of an agent on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundAgent {
    /// Where.
    pub program: String,
    /// Its version, if it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether that version is proved, with some models.
    pub is_proved: bool,
}

/// Where an agent runs, and where its hands are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedLane {
    /// Its name.
    pub lane: String,
    /// What runs where.
    pub about: String,
    /// What is not kept apart.
    pub leaves_open: String,
}

impl Present for AgentList {
    fn present(&self, screen: &mut Screen) {
        for agent in &self.agents {
            screen.line(format!("{}: {}", agent.kind, agent.lanes.join(", ")));
            for one in &agent.proved {
                let models = one.models.join(", ");
                screen.line(format!("  proved in a cell: {} with {models}", one.version));
            }
            for one in &agent.traits {
                screen.line(format!("  {}: {}", one.about, one.meaning));
            }
            for one in &agent.found {
                let version = one.version.as_deref().unwrap_or("tells no version");
                let proved = if one.is_proved { "proved" } else { "not proved" };
                screen.line(format!("  here: {} {version}, {proved}", one.program));
            }
        }
        for one in &self.lanes {
            screen.line(format!("{}: {}", one.lane, one.about));
            screen.line(format!("  not kept apart: {}", one.leaves_open));
        }
        if self.agents.iter().all(|agent| agent.found.is_empty()) {
            screen.note("note: no agent with a program of its own is found in PATH");
        }
    }
}
