//! Agents that speak the Agent Client Protocol, version 1, on standard input and
//! output: JSON-RPC in lines.
//!
//! ```text
//! new ─open─▶ Greeting ─▶ Starting (session) ─▶ Choosing (model) ─▶ Working
//!                                                                 │    ▲ say
//!                       all prompts are answered ─▶ Idle ◀────────┘    │
//!                                                     └────────────────┘
//! ```
//!
//! The protocol has no keys and no receipts. A message bears its key in its text; it is
//! taken when it comes back as the user's, when its prompt is answered, or when the
//! agent works and nothing else was asked of it. A conversation that is over is
//! searched by loading it in another process ([`Replay`]); what is not found there was
//! not taken only if the agent is known to have all on record at once, and to tell it
//! before it says that it is loaded. OpenCode is; Gemini's command line told nothing of
//! two turns that were over when it was killed.
//!
//! What becomes of a prompt during another differs: it is folded in, it waits, or the
//! other one is cancelled. So an agent is told something at work only if its own
//! adapter says how ([`Told`]). A turn is over when every prompt is answered.
//!
//! The gateway is the one server of tools in a session. The agent is offered neither
//! files nor terminals, and no permission but to call the gateway's tools, unless its
//! hands are its own.

mod opening;
mod permission;
mod replay;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::capability::{
    Capabilities, Habits, Isolation, Receipts, Resuming, Spending, Steering, Surviving, Waiting,
};
use crate::dialogue::{Dialogue, Heard, Key, NotNow, Said};
use crate::event::{End, Event, Failure, Usage};
use crate::json::{beginning, beginning_of, micro_dollars, number, object, text};
use crate::launch::Task;
use crate::mark::{key_of, marked};
use opening::{Opening, Request};

pub use replay::Replay;

/// What any agent can do that speaks the protocol.
pub const CAPABILITIES: Capabilities = Capabilities {
    steering: Steering::Waits,
    receipts: Receipts::Unprovable,
    interrupted: Surviving::GoesOn,
    waiting: Waiting::Never,
    resuming: Resuming::Asks,
    spending: Spending::Untold,
    isolation: Isolation::Own,
    habits: Habits::Plain,
};

/// Most requests without an answer, and most calls that are not told yet.
const PENDING_MAX: usize = 256;

/// How an agent is told what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Its instructions are part of how it was launched, and a prompt during another is
    /// folded in.
    Folding,
    /// Its instructions come before the first message, and nothing is said to it at work.
    Waiting,
}

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Opening,
    Working,
    Interrupting,
    Idle,
}

/// A conversation with an agent that speaks the protocol.
#[derive(Debug)]
pub struct Acp {
    state: State,
    told: Told,
    opening: Opening,
    first: Option<Said>,
    /// What comes before the first message, until that is sent.
    instructions: String,
    asked: u64,
    /// Requests of ours without an answer.
    pending: BTreeMap<u64, Purpose>,
    /// Calls that are not over.
    calls: BTreeMap<String, Call>,
    /// What the model says, as far as it has come.
    speaking: String,
    /// What it said last.
    spoken: String,
    spent: Usage,
}

/// A call of a tool: agents announce it before they know its arguments, or when they
/// ask whether they may.
#[derive(Debug)]
struct Call {
    tool: String,
    is_told: bool,
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Opening(Request),
    Prompt { key: Key, is_taken: bool },
}

impl Acp {
    /// One that is not open yet, for what was launched with the same task.
    #[must_use]
    pub fn new(task: &Task<'_>, told: Told) -> Self {
        Self {
            state: State::New,
            told,
            opening: Opening::new(task),
            first: None,
            instructions: match told {
                Told::Folding => String::new(),
                Told::Waiting => task.instructions.to_owned(),
            },
            asked: 0,
            pending: BTreeMap::new(),
            calls: BTreeMap::new(),
            speaking: String::new(),
            spoken: String::new(),
            spent: Usage::default(),
        }
    }

    fn ask(&mut self, purpose: Purpose, method: &str, parameters: &Value) -> String {
        self.asked += 1;
        while self.pending.len() >= PENDING_MAX {
            self.pending.pop_first();
        }
        self.pending.insert(self.asked, purpose);
        json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": parameters})
            .to_string()
    }

    fn open_by(&mut self, request: Request) -> String {
        let (method, parameters) = self.opening.request(request);
        self.ask(Purpose::Opening(request), method, &parameters)
    }

    fn prompt(&mut self, message: &Said) -> String {
        self.state = State::Working;
        let text = match std::mem::take(&mut self.instructions) {
            instructions if instructions.is_empty() => marked(message),
            instructions => {
                let text = format!("{instructions}\n\n---\n\n{}", message.text);
                marked(&Said { key: message.key, text })
            }
        };
        let prompt = json!([{"type": "text", "text": text}]);
        let parameters = json!({"sessionId": self.opening.session(), "prompt": prompt});
        let purpose = Purpose::Prompt { key: message.key, is_taken: false };
        self.ask(purpose, "session/prompt", &parameters)
    }

    /// An answer to one of our requests.
    fn answered(&mut self, said: &Value) -> Heard {
        let purpose = number(said, "/id").and_then(|id| self.pending.remove(&id));
        match purpose {
            Some(Purpose::Opening(request)) => self.opened(request, said),
            Some(Purpose::Prompt { key, is_taken }) => {
                Heard { events: self.prompted(key, is_taken, said), reply: Vec::new() }
            }
            None => Heard::default(),
        }
    }

    /// One step of opening the session is done.
    fn opened(&mut self, request: Request, said: &Value) -> Heard {
        let was_open = !self.opening.session().is_empty();
        let next = match self.opening.answered(request, said) {
            Ok(next) => next,
            Err(end) => {
                self.state = State::Idle;
                return Heard::event(Event::Ended(end));
            }
        };
        let mut heard = Heard::default();
        if !was_open && !self.opening.session().is_empty() {
            let session = self.opening.session().to_owned();
            heard.events.push(Event::Opened { session, tools: None });
        }
        match (next, self.first.take()) {
            (Some(next), first) => {
                self.first = first;
                heard.reply.push(self.open_by(next));
            }
            (None, Some(first)) => heard.reply.push(self.prompt(&first)),
            (None, None) => {}
        }
        heard
    }

    /// A prompt is answered: the turn is over if it was the last one.
    fn prompted(&mut self, key: Key, is_taken: bool, said: &Value) -> Vec<Event> {
        let mut events = self.flush();
        let is_last = !self.pending.values().any(|left| matches!(left, Purpose::Prompt { .. }));
        let reason = text(said, "/result/stopReason");
        let refused = (-32602..=-32600).contains(&code(said));
        match reason {
            // What was sent is not what it answers, and nothing of it was used.
            "" if refused && !is_taken => events.push(Event::Dropped { key }),
            // Whether it was taken is not known then.
            "" | "cancelled" => {}
            _ if is_taken => {}
            _ => events.push(Event::Taken { key }),
        }
        let tokens =
            |name: &str| number(said, &format!("/result/usage/{name}")).unwrap_or_default();
        let spent = &mut self.spent;
        spent.input = spent.input.saturating_add(tokens("inputTokens"));
        spent.input = spent.input.saturating_add(tokens("cachedWriteTokens"));
        spent.cached = spent.cached.saturating_add(tokens("cachedReadTokens"));
        spent.output = spent.output.saturating_add(tokens("outputTokens"));
        if said.pointer("/result/usage").is_some() {
            events.push(Event::Spent(*spent));
        }
        if is_last {
            events.push(Event::Ended(self.ended(reason, said)));
        }
        events
    }

    fn ended(&mut self, reason: &str, said: &Value) -> End {
        let was = std::mem::replace(&mut self.state, State::Idle);
        self.calls.clear();
        let spoken = std::mem::take(&mut self.spoken);
        match reason {
            "end_turn" => End::Completed { text: spoken },
            "cancelled" => End::Interrupted,
            _ if was == State::Interrupting => End::Interrupted,
            "max_tokens" | "max_turn_requests" => {
                End::Failed { failure: Failure::Ceiling, text: beginning(reason) }
            }
            "" => End::Failed {
                failure: failure(said),
                text: beginning(text(said, "/error/message")),
            },
            reason => End::Failed { failure: Failure::Unknown, text: beginning(reason) },
        }
    }

    /// What the model has said until now, if that was not told yet.
    fn flush(&mut self) -> Vec<Event> {
        if self.speaking.is_empty() {
            return Vec::new();
        }
        self.spoken = beginning(&std::mem::take(&mut self.speaking));
        vec![Event::Said { text: self.spoken.clone() }]
    }

    /// The one prompt that there is was taken: the agent works.
    fn works(&mut self) -> Option<Event> {
        // Some tell what was before only when they have said that all is loaded.
        if self.opening.is_resumed() {
            return None;
        }
        let mut prompts = self.pending.values_mut().filter_map(|purpose| match purpose {
            Purpose::Prompt { key, is_taken } => Some((*key, is_taken)),
            Purpose::Opening(_) => None,
        });
        match (prompts.next(), prompts.next()) {
            (Some((key, is_taken)), None) if !*is_taken => {
                *is_taken = true;
                Some(Event::Taken { key })
            }
            _ => None,
        }
    }

    /// Something that the agent tells unasked.
    fn unasked(&mut self, said: &Value) -> Vec<Event> {
        if text(said, "/method") != "session/update"
            || text(said, "/params/sessionId") != self.opening.session()
            || self.state == State::Opening
        {
            return Vec::new();
        }
        let Some(update) = said.pointer("/params/update") else { return Vec::new() };
        match text(update, "/sessionUpdate") {
            "agent_message_chunk" => {
                let taken = self.works();
                let left = crate::TEXT_CHARACTERS_MAX.saturating_sub(self.speaking.chars().count());
                self.speaking.extend(text(update, "/content/text").chars().take(left));
                taken.into_iter().collect()
            }
            "agent_thought_chunk" => self.works().into_iter().collect(),
            "tool_call" | "tool_call_update" => {
                let mut events: Vec<Event> = self.works().into_iter().collect();
                events.extend(self.flush());
                events.extend(self.called(update));
                events
            }
            "user_message_chunk" => self.echoed(update).into_iter().collect(),
            "usage_update" => self.used(update),
            _ => Vec::new(),
        }
    }

    /// A message of ours comes back from the conversation.
    fn echoed(&mut self, update: &Value) -> Option<Event> {
        let echoed = key_of(text(update, "/content/text"))?;
        self.pending.values_mut().find_map(|purpose| match purpose {
            Purpose::Prompt { key, is_taken } if *key == echoed && !*is_taken => {
                *is_taken = true;
                Some(Event::Taken { key: echoed })
            }
            _ => None,
        })
    }

    /// A call is told when its arguments are known, at the latest when it is over.
    fn called(&mut self, update: &Value) -> Vec<Event> {
        let call = beginning(text(update, "/toolCallId"));
        let status = text(update, "/status");
        let is_over = matches!(status, "completed" | "failed");
        let arguments = update.get("rawInput").filter(|input| {
            !input.is_null() && input.as_object().is_none_or(|input| !input.is_empty())
        });
        let mut events = Vec::new();
        if text(update, "/sessionUpdate") == "tool_call" {
            self.announced(&call, text(update, "/title"));
        }
        if arguments.is_some() || is_over || status == "in_progress" {
            events.extend(self.tell(&call, arguments));
        }
        if is_over {
            self.calls.remove(&call);
            events.push(Event::Answered { call, failed: status == "failed" });
        }
        events
    }

    fn announced(&mut self, call: &str, title: &str) {
        if self.calls.len() < PENDING_MAX {
            let tool = beginning(title);
            self.calls.entry(call.to_owned()).or_insert(Call { tool, is_told: false });
        }
    }

    /// A call, if it was not told yet.
    fn tell(&mut self, name: &str, arguments: Option<&Value>) -> Option<Event> {
        let call = self.calls.get_mut(name).filter(|call| !call.is_told)?;
        call.is_told = true;
        let (call, tool) = (name.to_owned(), call.tool.clone());
        Some(Event::Called { call, tool, arguments: beginning_of(arguments) })
    }

    /// Something that the agent asks.
    fn asked(&mut self, said: &Value) -> Heard {
        let answer = permission::answer(said, self.opening.permitted());
        let mut events: Vec<Event> = self.works().into_iter().collect();
        events.extend(self.flush());
        if let Some(call) = said.pointer("/params/toolCall").filter(|_| answer.is_permitted) {
            let name = beginning(text(call, "/toolCallId"));
            self.announced(&name, text(call, "/title"));
            events.extend(self.tell(&name, call.get("rawInput")));
        } else {
            events.push(Event::Denied { what: beginning(&answer.asked) });
        }
        Heard { events, reply: vec![answer.reply] }
    }

    fn used(&mut self, update: &Value) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(used) = number(update, "/used") {
            events.push(Event::Context { used, window: number(update, "/size") });
        }
        if text(update, "/cost/currency") == "USD" {
            self.spent.micro_dollars = micro_dollars(update.pointer("/cost/amount"));
            events.push(Event::Spent(self.spent));
        }
        events
    }
}

/// The code of an error, nought if there is none.
fn code(said: &Value) -> i64 {
    said.pointer("/error/code").and_then(Value::as_i64).unwrap_or_default()
}

/// What kind of failure an error is.
fn failure(said: &Value) -> Failure {
    // The protocol's own for what has to be logged in to.
    if code(said) == -32000 {
        return Failure::Access;
    }
    match text(said, "/error/data/errorKind") {
        "rate_limit" => Failure::Limit,
        "authentication" | "billing" => Failure::Access,
        "overloaded" => Failure::Provider,
        _ => Failure::Unknown,
    }
}

impl Dialogue for Acp {
    fn open(&mut self, first: &Said) -> Vec<String> {
        self.state = State::Opening;
        self.first = Some(first.clone());
        vec![self.open_by(Request::Initialize)]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        let Some(said) = object(line) else { return Heard::odd(line) };
        match (said.get("method").is_some(), said.get("id").is_some()) {
            (true, true) => self.asked(&said),
            (true, false) => Heard { events: self.unasked(&said), reply: Vec::new() },
            (false, _) => self.answered(&said),
        }
    }

    fn say(&mut self, message: &Said) -> Result<Vec<String>, NotNow> {
        match self.state {
            State::New | State::Opening => Err(NotNow::Opening),
            State::Working if self.told == Told::Folding => Ok(vec![self.prompt(message)]),
            State::Idle if !self.opening.session().is_empty() => Ok(vec![self.prompt(message)]),
            State::Idle => Err(NotNow::Opening),
            State::Working | State::Interrupting => Err(NotNow::Working),
        }
    }

    fn interrupt(&mut self) -> Result<Vec<String>, NotNow> {
        match self.state {
            State::New | State::Opening => Err(NotNow::Opening),
            State::Idle => Err(NotNow::Idle),
            State::Working | State::Interrupting => {
                self.state = State::Interrupting;
                let parameters = json!({"sessionId": self.opening.session()});
                let cancel =
                    json!({"jsonrpc": "2.0", "method": "session/cancel", "params": parameters});
                Ok(vec![cancel.to_string()])
            }
        }
    }
}

#[cfg(test)]
mod tests;
