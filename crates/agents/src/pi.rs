//! pi, by its mode `rpc` on standard input and output.
//!
//! ```text
//! new ──open──▶ Working ──agent_settled──▶ Idle ──say──▶ Working
//!                  │ interrupt: clear_queue, abort, then agent_settled
//! ```
//!
//! It knows no keys, so a message bears its own in its text, and is taken when it comes
//! back as the user's. What waits for the tool that runs is in memory only: it is lost
//! with the process, and what was taken is in the session's file ([`taken`]). A turn
//! is over with `agent_settled`; after `agent_end` it may go on. Whether it is at work
//! is its own to know: each message is a `prompt` that would steer.
//!
//! It speaks no Model Context Protocol. A small extension of ours, which is loaded by
//! its path, starts the gateway and registers its tools; without the gateway, pi does
//! not start, and it does not outlive it. For a cell it has no tool of its own, looks
//! for no extension, skill, template or instructions, and trusts no project. Measured
//! with version 0.87.1.

use serde_json::{Value, json};

use crate::capability::{
    Capabilities, Habits, Isolation, Receipts, Resuming, Spending, Steering, Surviving, Waiting,
};
use crate::dialogue::{Dialogue, Heard, Key, NotNow, Said};
use crate::event::{End, Event, Failure, Usage};
use crate::json::{beginning, beginning_of, list, micro_dollars, number, object, text};
use crate::launch::{Hands, Launch, Provider, Task, provider_and_model};
use crate::mark::{key_of, marked};

/// What pi can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    steering: Steering::Folds,
    receipts: Receipts::Searchable,
    interrupted: Surviving::GoesOn,
    waiting: Waiting::Lost,
    resuming: Resuming::Continues,
    spending: Spending::Money,
    isolation: Isolation::Gateway,
    habits: Habits::Plain,
};

/// Where its conversations are, in its home.
pub const SESSIONS: &str = "sessions";

/// The tools of a gateway, as an extension.
const EXTENSION: &str = include_str!("pi/gateway.js");

/// How it is started: with its hands in the gateway alone, or with its own. Its model is
/// called `provider/model`; another provider than pi's own has to speak OpenAI's Chat
/// Completions.
#[must_use]
pub fn launch(task: &Task<'_>, provider: Option<&Provider>) -> Launch {
    let gateway = task.gateway;
    let server = json!({
        "name": gateway.name,
        "program": gateway.program,
        "arguments": gateway.arguments,
        "variables": gateway.variables_as_json(),
    });
    let settings = json!({
        "steeringMode": "all",
        "defaultProjectTrust": "never",
        "enableInstallTelemetry": false,
        // Whoever runs it has budgets of retries, and knows of limits that others met.
        "retry": {"maxRetries": 2},
    });
    let (agent, extension) = (task.home.join("pi"), task.home.join("gateway.js"));
    let mut launch = Launch::default();
    launch.file(extension.clone(), format!("const gateway = {server};\n{EXTENSION}"));
    launch.file(agent.join("settings.json"), settings.to_string());
    let (tools, told) = match task.hands {
        Hands::Gateway => (Some("--no-builtin-tools"), "SYSTEM.md"),
        Hands::Own { .. } => (None, "APPEND_SYSTEM.md"),
    };
    launch.file(agent.join(told), task.instructions);
    if let (Some(Provider { url, key_variable }), Some(model)) = (provider, task.model) {
        let (name, model) = provider_and_model(model);
        let models = json!({"providers": {name: {
            "baseUrl": url,
            "api": "openai-completions",
            "apiKey": format!("${key_variable}"),
            // Without it pi keeps images back.
            "models": [{"id": model, "input": ["text", "image"]}],
        }}});
        launch.file(agent.join("models.json"), models.to_string());
    }
    launch.words(&["--mode", "rpc", "--offline", "--no-extensions"]);
    launch.words(tools.as_slice());
    launch.words(&["--no-skills", "--no-prompt-templates", "--no-themes", "--no-context-files"]);
    launch.words(&["--no-approve", "--extension", &extension.to_string_lossy()]);
    // A project's settings say where sessions are before it is asked whether it is trusted.
    launch.words(&["--session-dir", &task.home.join(SESSIONS).to_string_lossy()]);
    if let Some(model) = task.model {
        launch.words(&["--model", model]);
    }
    if let Some(session) = task.resume {
        launch.words(&["--session", session]);
    }
    launch.variable("HOME", task.home.to_string_lossy());
    launch.variable("PI_CODING_AGENT_DIR", agent.to_string_lossy());
    launch.variable("PI_TELEMETRY", "0");
    launch
}

/// The keys of the messages that a file of a session says were taken.
#[must_use]
pub fn taken(transcript: &str) -> Vec<Key> {
    let entries = transcript.lines().filter_map(|line| object(line.as_bytes()));
    entries.filter_map(|entry| key_of_user(entry.get("message")?)).collect()
}

/// The key of a message, if it is one of the user's.
fn key_of_user(message: &Value) -> Option<Key> {
    if text(message, "/role") != "user" {
        return None;
    }
    match message.get("content")? {
        Value::String(said) => key_of(said),
        Value::Array(blocks) => key_of(text(blocks.first()?, "/text")),
        _ => None,
    }
}

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Working,
    Interrupting,
    Idle,
}

/// A conversation with pi.
#[derive(Debug)]
pub struct Pi {
    state: State,
    /// Whether pi says that it is at work.
    runs: bool,
    asked: u64,
    /// What the model said last, and how that ended.
    last: Value,
    /// How the turn ended whose costs were asked for.
    ending: Option<End>,
}

impl Default for Pi {
    fn default() -> Self {
        Self { state: State::New, runs: false, asked: 0, last: Value::Null, ending: None }
    }
}

impl Pi {
    fn command(&mut self, kind: &str) -> String {
        self.asked += 1;
        json!({"id": self.asked.to_string(), "type": kind}).to_string()
    }

    /// A message opens a turn, or waits for the tool that runs.
    fn prompt(&mut self, message: &Said) -> String {
        self.state = State::Working;
        // Its answer tells whose it is.
        let id = message.key.to_string();
        let message = marked(message);
        json!({"id": id, "type": "prompt", "message": message, "streamingBehavior": "steer"})
            .to_string()
    }

    /// An answer to a command of ours.
    fn answered(&mut self, said: &Value) -> Vec<Event> {
        let succeeded = said.get("success").and_then(Value::as_bool).unwrap_or_default();
        let data = said.get("data").unwrap_or(&Value::Null);
        match (text(said, "/command"), succeeded) {
            ("get_state", true) => {
                let session = beginning(text(data, "/sessionId"));
                vec![Event::Opened { session, tools: None }]
            }
            ("clear_queue", true) => {
                let queued = ["/steering", "/followUp"].into_iter().flat_map(|at| list(data, at));
                let keys = queued.filter_map(|message| key_of(message.as_str()?));
                keys.map(|key| Event::Dropped { key }).collect()
            }
            ("get_session_stats", succeeded) => {
                let mut events = if succeeded { spent(data) } else { Vec::new() };
                events.extend(self.ending.take().map(Event::Ended));
                events
            }
            ("prompt", false) => self.refused(said),
            _ => Vec::new(),
        }
    }

    /// A message that is not taken. If it was to open a turn, there is none.
    fn refused(&mut self, said: &Value) -> Vec<Event> {
        let dropped = Key::parse(text(said, "/id")).map(|key| Event::Dropped { key });
        let failed = Event::Ended(End::Failed {
            failure: failure(text(said, "/error")),
            text: beginning(text(said, "/error")),
        });
        let ended = (!self.runs).then_some(failed);
        if ended.is_some() {
            self.state = State::Idle;
        }
        dropped.into_iter().chain(ended).collect()
    }

    /// A turn is over: it is told when its costs are known.
    fn settled(&mut self) -> Heard {
        self.runs = false;
        let last = std::mem::take(&mut self.last);
        let end =
            match (std::mem::replace(&mut self.state, State::Idle), text(&last, "/stopReason")) {
                (State::Interrupting, _) | (_, "aborted") => End::Interrupted,
                (_, "stop") => End::Completed { text: beginning(&spoken(&last)) },
                (_, "length") => {
                    End::Failed { failure: Failure::Ceiling, text: beginning(&spoken(&last)) }
                }
                (_, reason) => {
                    let message = match text(&last, "/errorMessage") {
                        "" => reason,
                        message => message,
                    };
                    End::Failed { failure: failure(message), text: beginning(message) }
                }
            };
        self.ending = Some(end);
        Heard::reply(self.command("get_session_stats"))
    }

    /// The model has said something, or somebody said it to the model.
    fn message(&mut self, said: &Value) -> Vec<Event> {
        let message = said.get("message").unwrap_or(&Value::Null);
        if text(message, "/role") != "assistant" {
            return Vec::new();
        }
        self.last = json!({
            "stopReason": beginning(text(message, "/stopReason")),
            "errorMessage": beginning(text(message, "/errorMessage")),
            "content": [{"type": "text", "text": beginning(&spoken(message))}],
        });
        match spoken(message) {
            said if said.is_empty() => Vec::new(),
            said => vec![Event::Said { text: beginning(&said) }],
        }
    }
}

/// The text of a message.
fn spoken(message: &Value) -> String {
    let blocks = list(message, "/content").iter();
    let texts = blocks.filter(|block| text(block, "/type") == "text");
    texts.map(|block| text(block, "/text")).collect()
}

/// What a session has cost, and how full its context is.
fn spent(stats: &Value) -> Vec<Event> {
    let tokens = |name: &str| number(stats, &format!("/tokens/{name}")).unwrap_or_default();
    let usage = Usage {
        input: tokens("input").saturating_add(tokens("cacheWrite")),
        cached: tokens("cacheRead"),
        output: tokens("output"),
        micro_dollars: micro_dollars(stats.get("cost")),
    };
    let context = number(stats, "/contextUsage/tokens")
        .map(|used| Event::Context { used, window: number(stats, "/contextUsage/contextWindow") });
    [Event::Spent(usage)].into_iter().chain(context).collect()
}

/// What kind of failure this is that a provider told: its status comes first.
fn failure(message: &str) -> Failure {
    let status =
        message.split(|letter: char| !letter.is_ascii_digit()).find(|word| word.len() == 3);
    let lower = message.to_lowercase();
    match status.and_then(|status| status.parse().ok()).map(Failure::of_status) {
        _ if lower.contains("context length") || lower.contains("prompt is too long") => {
            Failure::Overflow
        }
        _ if lower.contains("no api key") => Failure::Access,
        Some(failure) => failure,
        None => Failure::Unknown,
    }
}

impl Dialogue for Pi {
    fn open(&mut self, first: &Said) -> Vec<String> {
        vec![self.command("get_state"), self.prompt(first)]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        let Some(said) = object(line) else { return Heard::odd(line) };
        let events = match text(&said, "/type") {
            "response" => self.answered(&said),
            "agent_start" => {
                self.runs = true;
                if self.state == State::Idle {
                    self.state = State::Working;
                }
                Vec::new()
            }
            "agent_settled" => return self.settled(),
            // So ceilings hold in the middle of a turn.
            "turn_end" => return Heard::reply(self.command("get_session_stats")),
            "message_start" => {
                let key = said.get("message").and_then(key_of_user);
                key.map(|key| Event::Taken { key }).into_iter().collect()
            }
            "message_end" => self.message(&said),
            "tool_execution_start" => vec![Event::Called {
                call: beginning(text(&said, "/toolCallId")),
                tool: beginning(text(&said, "/toolName")),
                arguments: beginning_of(said.get("args")),
            }],
            "tool_execution_end" => vec![Event::Answered {
                call: beginning(text(&said, "/toolCallId")),
                failed: said.get("isError").and_then(Value::as_bool).unwrap_or_default(),
            }],
            "auto_retry_start" => vec![Event::Retrying {
                attempt: number(&said, "/attempt").unwrap_or_default(),
                reason: beginning(text(&said, "/errorMessage")),
            }],
            "compaction_end" if said.get("result").is_some() => vec![Event::Compacted],
            "extension_ui_request" => return refuse(&said),
            _ => Vec::new(),
        };
        Heard { events, reply: Vec::new() }
    }

    fn say(&mut self, message: &Said) -> Result<Vec<String>, NotNow> {
        match self.state {
            State::New => Err(NotNow::Opening),
            // It would be dropped with what waits.
            State::Interrupting => Err(NotNow::Working),
            State::Working | State::Idle => Ok(vec![self.prompt(message)]),
        }
    }

    fn interrupt(&mut self) -> Result<Vec<String>, NotNow> {
        match self.state {
            State::New => Err(NotNow::Opening),
            State::Idle => Err(NotNow::Idle),
            State::Working | State::Interrupting => {
                self.state = State::Interrupting;
                // What waits would open a turn after the one that is ended.
                Ok(vec![self.command("clear_queue"), self.command("abort")])
            }
        }
    }
}

/// Answers a question of an extension's: nobody is there to say yes.
fn refuse(said: &Value) -> Heard {
    let method = text(said, "/method");
    if !matches!(method, "select" | "confirm" | "input" | "editor") {
        return Heard::default();
    }
    let reply = json!({"type": "extension_ui_response", "id": said.get("id"), "cancelled": true});
    Heard {
        events: vec![Event::Denied { what: beginning(method) }],
        reply: vec![reply.to_string()],
    }
}

#[cfg(test)]
mod tests;
