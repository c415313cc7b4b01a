//! Claude Code, by its `stream-json` on standard input and output.
//!
//! ```text
//! new ──open──▶ Working ──result──▶ Idle ──say──▶ Working
//!                  │ interrupt: a control request, then a result
//! ```
//!
//! Every message bears its key as `uuid`. The agent tells by `command_lifecycle`
//! when it has queued, taken and finished it, and takes a key once, in another
//! process too: one that it had before is finished without being taken, and opens no
//! turn. Costs are told with each result, for the session as a whole.
//!
//! For a cell it runs with no tools of its own, no settings, hooks or memory of the
//! user's, and asks nobody for permission. Measured with version 2.1.328.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::capability::{
    Capabilities, Habits, Isolation, Receipts, Resuming, Spending, Steering, Surviving, Waiting,
};
use crate::dialogue::{Dialogue, Heard, Key, NotNow, Said};
use crate::event::{End, Event, Failure, Usage};
use crate::json::{beginning, beginning_of, list, micro_dollars, number, object, text};
use crate::launch::{File, Hands, Launch, Task};

/// What Claude Code can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    steering: Steering::Folds,
    receipts: Receipts::Dedupes,
    interrupted: Surviving::GoesOn,
    waiting: Waiting::Lost,
    resuming: Resuming::Continues,
    spending: Spending::Money,
    isolation: Isolation::Gateway,
    habits: Habits::Claude,
};

/// Its own tools that it may use without asking, where its hands are its own.
const OWN: &str = "Bash,BashOutput,Edit,Glob,Grep,KillShell,NotebookEdit,Read,TaskOutput,TaskStop,TodoWrite,Write";

/// How it is started: with its hands in the gateway alone, or with its own, but never
/// with settings, hooks or memories of anybody's. What may be secret or long is in files:
/// arguments can be read by everybody on the host.
#[must_use]
pub fn launch(task: &Task<'_>) -> Launch {
    let gateway = task.gateway;
    let servers = json!({"mcpServers": {&*gateway.name: {
        "type": "stdio",
        "command": gateway.program,
        "args": gateway.arguments,
        "env": gateway.variables_as_json(),
        "alwaysLoad": true,
    }}});
    let home = |file: &str| task.home.join(file);
    let (settings, instructions) = (home("gateway.json"), home("instructions.md"));
    let mut launch = Launch {
        files: vec![
            File { path: settings.clone(), content: servers.to_string() },
            File { path: instructions.clone(), content: task.instructions.to_owned() },
        ],
        ..Launch::default()
    };
    let (settings, instructions) = (settings.to_string_lossy(), instructions.to_string_lossy());
    let mut words = vec![
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--replay-user-messages",
        "--setting-sources",
        "",
        "--strict-mcp-config",
        "--permission-prompts",
        "none",
        "--mcp-config",
        &*settings,
    ];
    let (mut allowed, beside) = (format!("mcp__{}", gateway.name), own_directory(task.hands));
    match &beside {
        None => words.extend(["--tools", "", "--system-prompt-file", &*instructions]),
        Some(beside) => {
            allowed = format!("{allowed},{OWN}");
            words.extend(["--append-system-prompt-file", &*instructions, "--add-dir", &**beside]);
        }
    }
    words.extend(["--allowedTools", &*allowed]);
    words.extend(task.model.iter().flat_map(|model| ["--model", model]));
    words.extend(task.resume.iter().flat_map(|session| ["--resume", session]));
    launch.arguments = words.into_iter().map(str::to_owned).collect();
    launch.variable("HOME", task.home.to_string_lossy());
    launch.variable("CLAUDE_CONFIG_DIR", task.home.join("claude").to_string_lossy());
    for (name, value) in [
        ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        // Whoever runs it has budgets of retries, and knows of limits that others met.
        ("CLAUDE_CODE_MAX_RETRIES", "2"),
        // Tools that are found by searching are tools that are not used.
        ("ENABLE_TOOL_SEARCH", "false"),
    ] {
        launch.variable(name, value);
    }
    launch
}

/// The directory in which it works besides the one it runs in, if its hands are its own.
fn own_directory(hands: Hands<'_>) -> Option<String> {
    match hands {
        Hands::Gateway => None,
        Hands::Own { packet } => Some(packet.to_string_lossy().into_owned()),
    }
}

/// The keys of the messages that a file of a session says were taken: by themselves, or
/// folded into a turn. Those that were queued only are told otherwise.
#[must_use]
pub fn taken(transcript: &str) -> Vec<Key> {
    let entries = transcript.lines().filter_map(|line| object(line.as_bytes()));
    let keys = entries.filter_map(|entry| {
        Key::parse(match (text(&entry, "/type"), text(&entry, "/attachment/type")) {
            ("user", _) => text(&entry, "/uuid"),
            ("attachment", "queued_command") => text(&entry, "/attachment/source_uuid"),
            _ => "",
        })
    });
    keys.collect()
}

/// Most messages that may wait to be taken.
const WAITING_MAX: usize = 256;

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Working,
    Interrupting,
    Idle,
}

/// A conversation with Claude Code.
#[derive(Debug)]
pub struct Claude {
    state: State,
    requests: u64,
    /// What was said and not taken yet.
    waiting: BTreeSet<Key>,
    /// Whether something was taken since the last result.
    runs: bool,
}

impl Default for Claude {
    fn default() -> Self {
        Self { state: State::New, requests: 0, waiting: BTreeSet::new(), runs: false }
    }
}

impl Claude {
    fn user(&mut self, message: &Said) -> String {
        while self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_first();
        }
        self.waiting.insert(message.key);
        json!({
            "type": "user",
            "message": {"role": "user", "content": message.text},
            "parent_tool_use_id": null,
            "uuid": message.key,
            "priority": "next",
        })
        .to_string()
    }

    fn control(&mut self, request: &Value) -> String {
        self.requests += 1;
        let id = format!("request-{}", self.requests);
        json!({"type": "control_request", "request_id": id, "request": request}).to_string()
    }

    /// What becomes of a message.
    fn lifecycle(&mut self, said: &Value) -> Vec<Event> {
        let Some(key) = Key::parse(text(said, "/command_uuid")) else { return Vec::new() };
        match text(said, "/state") {
            "started" => {
                self.waiting.remove(&key);
                self.runs = true;
                if self.state == State::Idle {
                    self.state = State::Working;
                }
                vec![Event::Taken { key }]
            }
            "cancelled" => {
                self.waiting.remove(&key);
                vec![Event::Dropped { key }]
            }
            // It had it before.
            "completed" if self.waiting.remove(&key) => {
                let mut events = vec![Event::Taken { key }];
                if !self.runs && self.waiting.is_empty() && self.state != State::Idle {
                    self.state = State::Idle;
                    events.push(Event::Ended(End::Completed { text: String::new() }));
                }
                events
            }
            _ => Vec::new(),
        }
    }

    /// What the result of a turn says.
    fn ended(&mut self, said: &Value) -> Vec<Event> {
        let was = std::mem::replace(&mut self.state, State::Idle);
        self.runs = false;
        let micro_dollars = micro_dollars(said.get("total_cost_usd"));
        let of_models: Vec<&Value> = said
            .get("modelUsage")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.values())
            .collect();
        let sum = |name: &str| of_models.iter().filter_map(|model| number(model, name)).sum();
        let spent = Usage {
            input: sum("/inputTokens") + sum("/cacheCreationInputTokens"),
            cached: sum("/cacheReadInputTokens"),
            output: sum("/outputTokens"),
            micro_dollars,
        };
        let failed = said.get("is_error").and_then(Value::as_bool).unwrap_or(true);
        let end = match text(said, "/subtype") {
            _ if was == State::Interrupting => End::Interrupted,
            "success" if !failed => End::Completed { text: beginning(text(said, "/result")) },
            subtype => End::Failed {
                failure: failure(subtype, said),
                text: beginning(&failure_text(subtype, said)),
            },
        };
        vec![Event::Spent(spent), Event::Ended(end)]
    }
}

/// What kind of failure a result tells.
fn failure(subtype: &str, said: &Value) -> Failure {
    match subtype {
        "error_max_turns" | "error_max_budget_usd" => Failure::Ceiling,
        _ => match number(said, "/api_error_status") {
            Some(status) => Failure::of_status(status),
            None if text(said, "/terminal_reason") == "prompt_too_long" => Failure::Overflow,
            None => Failure::Unknown,
        },
    }
}

fn failure_text(subtype: &str, said: &Value) -> String {
    let errors: Vec<&str> = list(said, "/errors").iter().filter_map(Value::as_str).collect();
    match (text(said, "/result"), &*errors) {
        ("", []) => subtype.to_owned(),
        ("", errors) => errors.join("; "),
        (result, _) => result.to_owned(),
    }
}

impl Dialogue for Claude {
    fn open(&mut self, first: &Said) -> Vec<String> {
        self.state = State::Working;
        let initialize = self.control(&json!({"subtype": "initialize"}));
        vec![initialize, self.user(first)]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        let Some(said) = object(line) else { return Heard::odd(line) };
        let events = match (text(&said, "/type"), text(&said, "/subtype")) {
            ("system", "init") => {
                let tools = list(&said, "/tools").iter().filter_map(Value::as_str);
                vec![Event::Opened {
                    session: beginning(text(&said, "/session_id")),
                    tools: Some(tools.map(beginning).collect()),
                }]
            }
            ("system", "compact_boundary") => vec![Event::Compacted],
            ("system", "api_retry") => vec![Event::Retrying {
                attempt: number(&said, "/attempt").unwrap_or_default(),
                reason: beginning(text(&said, "/error")),
            }],
            ("system", "permission_denied") => {
                vec![Event::Denied { what: beginning(text(&said, "/tool_name")) }]
            }
            ("command_lifecycle", _) => self.lifecycle(&said),
            ("assistant", _) => spoken(&said),
            ("user", _) => list(&said, "/message/content")
                .iter()
                .filter(|part| text(part, "/type") == "tool_result")
                .map(|part| Event::Answered {
                    call: beginning(text(part, "/tool_use_id")),
                    failed: part.get("is_error").and_then(Value::as_bool).unwrap_or_default(),
                })
                .collect(),
            ("rate_limit_event", _) => limited(&said),
            ("result", _) => self.ended(&said),
            ("control_request", _) => return self.refuse(&said),
            _ => Vec::new(),
        };
        Heard { events, reply: Vec::new() }
    }

    fn say(&mut self, message: &Said) -> Result<Vec<String>, NotNow> {
        match self.state {
            State::New => Err(NotNow::Opening),
            State::Interrupting => Ok(vec![self.user(message)]),
            State::Working | State::Idle => {
                self.state = State::Working;
                Ok(vec![self.user(message)])
            }
        }
    }

    fn interrupt(&mut self) -> Result<Vec<String>, NotNow> {
        match self.state {
            State::New => Err(NotNow::Opening),
            State::Idle => Err(NotNow::Idle),
            State::Working | State::Interrupting => {
                self.state = State::Interrupting;
                Ok(vec![self.control(&json!({"subtype": "interrupt", "cancel_queued": true}))])
            }
        }
    }
}

impl Claude {
    /// Answers a question of the agent's: nobody is there to say yes.
    fn refuse(&mut self, said: &Value) -> Heard {
        let response = match text(said, "/request/subtype") {
            "can_use_tool" => json!({
                "subtype": "success",
                "request_id": text(said, "/request_id"),
                "response": {"behavior": "deny", "message": "This is not available here."},
            }),
            _ => json!({
                "subtype": "error",
                "request_id": text(said, "/request_id"),
                "error": "nobody answers such requests here",
            }),
        };
        let reply = json!({"type": "control_response", "response": response}).to_string();
        let what = match text(said, "/request/tool_name") {
            "" => text(said, "/request/subtype"),
            tool => tool,
        };
        Heard { events: vec![Event::Denied { what: beginning(what) }], reply: vec![reply] }
    }
}

/// What the model said and called, and how full its context is then.
fn spoken(said: &Value) -> Vec<Event> {
    let mut events: Vec<Event> = list(said, "/message/content")
        .iter()
        .filter_map(|part| match text(part, "/type") {
            "text" => Some(Event::Said { text: beginning(text(part, "/text")) }),
            "tool_use" => Some(Event::Called {
                call: beginning(text(part, "/id")),
                tool: beginning(text(part, "/name")),
                arguments: beginning_of(part.get("input")),
            }),
            _ => None,
        })
        .collect();
    let parts = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    let used = parts
        .iter()
        .filter_map(|part| number(said, &format!("/message/usage/{part}")))
        .fold(0_u64, u64::saturating_add);
    // What a sub-agent has in its context is not in this one.
    if used > 0 && said.get("parent_tool_use_id").is_none_or(Value::is_null) {
        events.push(Event::Context { used, window: None });
    }
    events
}

fn limited(said: &Value) -> Vec<Event> {
    let info = said.get("rate_limit_info").unwrap_or(said);
    if text(info, "/status") != "rejected" {
        return Vec::new();
    }
    vec![Event::Limited {
        until: number(info, "/resetsAt"),
        limit: beginning(text(info, "/rateLimitType")),
    }]
}

#[cfg(test)]
mod tests;
