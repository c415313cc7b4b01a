//! Codex, by its `app-server` on standard input and output: JSON-RPC in lines,
//! without the member `jsonrpc`.
//!
//! ```text
//! new ─open─▶ Greeting ─answered─▶ Starting (thread) ─answered─▶ Waiting (turn asked for)
//!                                                                   │ turn/started
//!               Idle ◀──────────── turn/completed ──────────── Working(turn)
//!                └───────────────────── say ─────────────────────▶ Waiting
//! ```
//!
//! Every message bears its key as `clientUserMessageId`, which comes back with the
//! item when the message enters the context. An answer to `turn/steer` only says that
//! it was accepted: that is no receipt, and one that is accepted when the turn is
//! just over is not taken. A steer that is refused because the turn is over is asked
//! for again as a turn of its own. Nothing is taken once by its key alone.
//!
//! For a cell it runs with its shell and its plug-ins switched off, in a read-only
//! sandbox, asks nobody, and fails to start without the gateway. Measured with
//! version 0.169.0.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::capability::{
    Capabilities, Habits, Isolation, Receipts, Resuming, Spending, Steering, Surviving, Waiting,
};
use crate::dialogue::{Dialogue, Heard, Key, NotNow, Said};
use crate::event::{End, Event, Failure, Usage};
use crate::json::{beginning, beginning_of, number, object, text};
use crate::launch::{File, Hands, Launch, Task};

pub use crate::launch::Provider;

/// What Codex can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    steering: Steering::Folds,
    receipts: Receipts::Searchable,
    interrupted: Surviving::GoesOn,
    waiting: Waiting::Lost,
    resuming: Resuming::Continues,
    spending: Spending::Tokens,
    isolation: Isolation::Gateway,
    habits: Habits::Codex,
};

/// Most requests that may be without an answer.
const PENDING_MAX: usize = 256;

/// What another provider of models is called in its settings.
const PROVIDER: &str = "other";

/// What it can do besides calling the gateway, and must not: act where it runs, read
/// files there (`view_image`), run programs of the user's, or work behind our back.
///
/// What is left to it is harmless: `request_user_input`, which is declined, and three
/// tools that read resources of the gateway.
const OFF: &[&str] = &[
    "apps",
    "browser_use",
    "computer_use",
    "goals",
    "hooks",
    "image_generation",
    "multi_agent",
    "plugins",
    "remote_plugin",
    "shell_snapshot",
    "shell_tool",
    "skill_search",
    "tool_suggest",
    "unified_exec",
    "view_image",
    "workspace_dependencies",
];

/// Those of them that are its own hands.
const OWN: &[&str] = &["shell_tool", "unified_exec", "view_image"];

/// What it is told about its sandbox.
const fn sandbox(hands: Hands<'_>) -> &'static str {
    match hands {
        Hands::Gateway => "read-only",
        // Its own would keep it from committing what it did.
        Hands::Own { .. } => "danger-full-access",
    }
}

/// How it is started: with its hands in the gateway alone, or with its own; and with its
/// own provider of models if there is no other, which has to speak OpenAI's Responses.
#[must_use]
pub fn launch(task: &Task<'_>, provider: Option<&Provider>) -> Launch {
    let mut settings = toml_edit::DocumentMut::new();
    for (key, value) in [
        ("approval_policy", "never"),
        ("sandbox_mode", sandbox(task.hands)),
        ("web_search", "disabled"),
    ] {
        settings[key] = toml_edit::value(value);
    }
    settings["check_for_update_on_startup"] = toml_edit::value(false);
    // No instructions but ours: neither a project's nor a skill's.
    settings["project_doc_max_bytes"] = toml_edit::value(0);
    settings["skills"]["include_instructions"] = toml_edit::value(false);
    settings["skills"]["bundled"]["enabled"] = toml_edit::value(false);
    settings["analytics"]["enabled"] = toml_edit::value(false);
    let is_off = |feature: &&&str| task.hands == Hands::Gateway || !OWN.contains(*feature);
    for feature in OFF.iter().filter(is_off) {
        settings["features"][feature] = toml_edit::value(false);
    }
    if let Some(Provider { url, key_variable }) = provider {
        settings["model_provider"] = toml_edit::value(PROVIDER);
        let provider = &mut settings["model_providers"][PROVIDER];
        for (key, value) in [
            ("name", PROVIDER),
            ("base_url", url),
            ("env_key", key_variable),
            ("wire_api", "responses"),
        ] {
            provider[key] = toml_edit::value(value);
        }
        provider["supports_websockets"] = toml_edit::value(false);
    }
    let server = &mut settings["mcp_servers"][&task.gateway.name];
    server["command"] = toml_edit::value(task.gateway.program.to_string_lossy().as_ref());
    server["args"] = toml_edit::value(task.gateway.arguments.iter().collect::<toml_edit::Array>());
    server["required"] = toml_edit::value(true);
    for (name, value) in &task.gateway.variables {
        server["env"][name] = toml_edit::value(value);
    }
    let mut launch = Launch {
        arguments: vec!["app-server".to_owned()],
        files: vec![File { path: task.home.join("config.toml"), content: settings.to_string() }],
        ..Launch::default()
    };
    launch.variable("HOME", task.home.to_string_lossy());
    launch.variable("CODEX_HOME", task.home.to_string_lossy());
    launch
}

/// The keys of the messages that a file of a conversation says were taken.
#[must_use]
pub fn taken(transcript: &str) -> Vec<Key> {
    let entries = transcript.lines().filter_map(|line| object(line.as_bytes()));
    let keys = entries.filter_map(|entry| Key::parse(text(&entry, "/payload/item/client_id")));
    keys.collect()
}

/// What the agent is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    New,
    /// It was greeted.
    Greeting(Said),
    /// A conversation was asked for.
    Starting(Said),
    /// A turn was asked for.
    Waiting,
    Working(String),
    /// The turn was asked to end.
    Interrupting(String),
    Idle,
}

/// What a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Initialize,
    Thread,
    Turn,
    Steer(Said),
    Interrupt,
}

/// A conversation with Codex.
#[derive(Debug)]
pub struct Codex {
    state: State,
    thread: String,
    directory: String,
    model: Option<String>,
    instructions: String,
    /// Where the instructions are told: in place of its own, or after them.
    told_as: &'static str,
    sandbox: &'static str,
    resume: Option<String>,
    asked: u64,
    pending: BTreeMap<u64, Purpose>,
    spoken: String,
}

impl Codex {
    /// One that is not open yet, for what was launched with the same task.
    #[must_use]
    pub fn new(task: &Task<'_>) -> Self {
        Self {
            state: State::New,
            thread: String::new(),
            directory: task.directory.to_string_lossy().into_owned(),
            model: task.model.map(str::to_owned),
            instructions: task.instructions.to_owned(),
            told_as: match task.hands {
                Hands::Gateway => "baseInstructions",
                Hands::Own { .. } => "developerInstructions",
            },
            sandbox: sandbox(task.hands),
            resume: task.resume.map(str::to_owned),
            asked: 0,
            pending: BTreeMap::new(),
            spoken: String::new(),
        }
    }

    fn ask(&mut self, purpose: Purpose, method: &str, parameters: &Value) -> String {
        self.asked += 1;
        while self.pending.len() >= PENDING_MAX {
            self.pending.pop_first();
        }
        self.pending.insert(self.asked, purpose);
        json!({"id": self.asked, "method": method, "params": parameters}).to_string()
    }

    fn turn(&mut self, message: &Said) -> String {
        self.state = State::Waiting;
        let parameters = json!({
            "threadId": self.thread,
            "input": [{"type": "text", "text": message.text}],
            "clientUserMessageId": message.key,
        });
        self.ask(Purpose::Turn, "turn/start", &parameters)
    }

    /// An answer to one of our requests.
    fn answered(&mut self, said: &Value) -> Heard {
        let purpose = number(said, "/id").and_then(|id| self.pending.remove(&id));
        let Some(purpose) = purpose else { return Heard::default() };
        let error = said.get("error");
        match (purpose, std::mem::replace(&mut self.state, State::Idle)) {
            (Purpose::Initialize, State::Greeting(first)) if error.is_none() => {
                self.state = State::Starting(first);
                let mut start = json!({
                    "cwd": self.directory,
                    "approvalPolicy": "never",
                    "sandbox": self.sandbox,
                    "model": self.model,
                });
                start[self.told_as] = json!(self.instructions);
                let method = match &self.resume {
                    Some(thread) => {
                        start["threadId"] = json!(thread);
                        start["excludeTurns"] = json!(true);
                        "thread/resume"
                    }
                    None => "thread/start",
                };
                let greeted = json!({"method": "initialized"}).to_string();
                let start = self.ask(Purpose::Thread, method, &start);
                Heard { events: Vec::new(), reply: vec![greeted, start] }
            }
            (Purpose::Thread, State::Starting(first)) if error.is_none() => {
                self.thread = beginning(text(said, "/result/thread/id"));
                let session = self.thread.clone();
                let turn = self.turn(&first);
                Heard { events: vec![Event::Opened { session, tools: None }], reply: vec![turn] }
            }
            // The turn was over when it arrived.
            (Purpose::Steer(message), state) if error.is_some() => match state {
                State::Idle => Heard::reply(self.turn(&message)),
                state => {
                    self.state = state;
                    Heard::event(Event::Dropped { key: message.key })
                }
            },
            (Purpose::Initialize | Purpose::Thread | Purpose::Turn, _) if error.is_some() => {
                Heard::event(Event::Ended(End::Failed {
                    failure: Failure::Unknown,
                    text: beginning(text(said, "/error/message")),
                }))
            }
            (_, state) => {
                self.state = state;
                Heard::default()
            }
        }
    }

    /// What it tells unasked.
    fn told(&mut self, said: &Value) -> Vec<Event> {
        // Sub-agents have threads of their own.
        let thread = text(said, "/params/threadId");
        if !thread.is_empty() && thread != self.thread {
            return Vec::new();
        }
        match text(said, "/method") {
            "turn/started" => {
                let turn = beginning(text(said, "/params/turn/id"));
                if !matches!(self.state, State::Interrupting(_)) {
                    self.state = State::Working(turn);
                }
                Vec::new()
            }
            "turn/completed" => vec![self.ended(said)],
            "item/started" => started(said.pointer("/params/item").unwrap_or(&Value::Null)),
            "item/completed" => {
                self.completed(said.pointer("/params/item").unwrap_or(&Value::Null))
            }
            "thread/tokenUsage/updated" => used(said),
            "thread/compacted" => vec![Event::Compacted],
            "account/rateLimits/updated" => limited(said),
            "error" if said.pointer("/params/willRetry").and_then(Value::as_bool) == Some(true) => {
                vec![Event::Retrying {
                    attempt: 0,
                    reason: beginning(text(said, "/params/error/message")),
                }]
            }
            _ => Vec::new(),
        }
    }

    fn completed(&mut self, item: &Value) -> Vec<Event> {
        match text(item, "/type") {
            "agentMessage" => {
                self.spoken = beginning(text(item, "/text"));
                vec![Event::Said { text: self.spoken.clone() }]
            }
            kind if is_tool(kind) => vec![Event::Answered {
                call: beginning(text(item, "/id")),
                failed: text(item, "/status") == "failed",
            }],
            _ => Vec::new(),
        }
    }

    fn ended(&mut self, said: &Value) -> Event {
        self.state = State::Idle;
        let spoken = std::mem::take(&mut self.spoken);
        Event::Ended(match text(said, "/params/turn/status") {
            "completed" => End::Completed { text: spoken },
            "interrupted" => End::Interrupted,
            _ => End::Failed {
                failure: failure(said.pointer("/params/turn/error").unwrap_or(&Value::Null)),
                text: beginning(text(said, "/params/turn/error/message")),
            },
        })
    }
}

/// What kind of failure an error of a turn is.
fn failure(error: &Value) -> Failure {
    let info = error.get("codexErrorInfo").unwrap_or(&Value::Null);
    let name = info.as_str().or_else(|| info.as_object()?.keys().next().map(String::as_str));
    let status = info.as_object().and_then(|info| info.values().next());
    match (name, status.and_then(|details| number(details, "/httpStatusCode"))) {
        (Some("contextWindowExceeded"), _) => Failure::Overflow,
        (Some("usageLimitExceeded" | "sessionBudgetExceeded"), _) => Failure::Limit,
        (Some("unauthorized"), _) => Failure::Access,
        (Some("serverOverloaded" | "internalServerError"), _) => Failure::Provider,
        (_, Some(status)) => Failure::of_status(status),
        (
            Some(
                "httpConnectionFailed"
                | "responseStreamConnectionFailed"
                | "responseStreamDisconnected",
            ),
            None,
        ) => Failure::Provider,
        _ => Failure::Unknown,
    }
}

fn is_tool(kind: &str) -> bool {
    matches!(
        kind,
        "mcpToolCall" | "commandExecution" | "fileChange" | "dynamicToolCall" | "webSearch"
    )
}

fn started(item: &Value) -> Vec<Event> {
    match text(item, "/type") {
        "userMessage" => {
            let key = Key::parse(text(item, "/clientId"));
            key.map(|key| Event::Taken { key }).into_iter().collect()
        }
        kind if is_tool(kind) => {
            let tool = match text(item, "/tool") {
                "" => kind,
                tool => tool,
            };
            let arguments = item.get("arguments").or_else(|| item.get("command"));
            vec![Event::Called {
                call: beginning(text(item, "/id")),
                tool: beginning(tool),
                arguments: beginning_of(arguments),
            }]
        }
        _ => Vec::new(),
    }
}

fn used(said: &Value) -> Vec<Event> {
    let of = |name: &str| number(said, &format!("/params/tokenUsage/{name}")).unwrap_or_default();
    let cached = of("total/cachedInputTokens");
    let spent = Usage {
        input: of("total/inputTokens").saturating_sub(cached),
        cached,
        output: of("total/outputTokens"),
        micro_dollars: None,
    };
    let context = Event::Context {
        used: of("last/totalTokens"),
        window: number(said, "/params/tokenUsage/modelContextWindow"),
    };
    vec![Event::Spent(spent), context]
}

fn limited(said: &Value) -> Vec<Event> {
    let limits = said.pointer("/params/rateLimits").unwrap_or(&Value::Null);
    let reached = text(limits, "/rateLimitReachedType");
    if reached.is_empty() {
        return Vec::new();
    }
    let resets = ["/primary/resetsAt", "/secondary/resetsAt"];
    let until = resets.iter().filter_map(|at| number(limits, at)).max();
    vec![Event::Limited { until, limit: beginning(reached) }]
}

impl Dialogue for Codex {
    fn open(&mut self, first: &Said) -> Vec<String> {
        self.state = State::Greeting(first.clone());
        let client = json!({
            "clientInfo": {"name": "hotcell", "title": "Hotcell", "version": env!("CARGO_PKG_VERSION")},
            "capabilities": {"experimentalApi": true},
        });
        vec![self.ask(Purpose::Initialize, "initialize", &client)]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        let Some(said) = object(line) else { return Heard::odd(line) };
        match (said.get("method").is_some(), said.get("id").is_some()) {
            (true, true) => refuse(&said),
            (false, true) => self.answered(&said),
            (true, false) => Heard { events: self.told(&said), reply: Vec::new() },
            (false, false) => Heard::odd(line),
        }
    }

    fn say(&mut self, message: &Said) -> Result<Vec<String>, NotNow> {
        match &self.state {
            State::New | State::Greeting(_) | State::Starting(_) | State::Waiting => {
                Err(NotNow::Opening)
            }
            State::Idle => Ok(vec![self.turn(message)]),
            State::Working(turn) | State::Interrupting(turn) => {
                let parameters = json!({
                    "threadId": self.thread,
                    "expectedTurnId": turn,
                    "input": [{"type": "text", "text": message.text}],
                    "clientUserMessageId": message.key,
                });
                let purpose = Purpose::Steer(message.clone());
                Ok(vec![self.ask(purpose, "turn/steer", &parameters)])
            }
        }
    }

    fn interrupt(&mut self) -> Result<Vec<String>, NotNow> {
        match &self.state {
            State::New | State::Greeting(_) | State::Starting(_) | State::Waiting => {
                Err(NotNow::Opening)
            }
            State::Idle => Err(NotNow::Idle),
            State::Working(turn) | State::Interrupting(turn) => {
                let turn = turn.clone();
                let parameters = json!({"threadId": self.thread, "turnId": turn});
                self.state = State::Interrupting(turn);
                Ok(vec![self.ask(Purpose::Interrupt, "turn/interrupt", &parameters)])
            }
        }
    }
}

/// Answers a question of the agent's: nobody is there to say yes. Left without an
/// answer, its turn would stand still.
fn refuse(said: &Value) -> Heard {
    let method = text(said, "/method");
    let id = said.get("id");
    let reply = if method.ends_with("requestApproval") {
        json!({"id": id, "result": {"decision": "decline"}})
    } else if method == "mcpServer/elicitation/request" {
        json!({"id": id, "result": {"action": "decline"}})
    } else {
        json!({"id": id, "error": {"code": -32601, "message": "nobody answers such requests here"}})
    };
    Heard {
        events: vec![Event::Denied { what: beginning(method) }],
        reply: vec![reply.to_string()],
    }
}

#[cfg(test)]
mod tests;
