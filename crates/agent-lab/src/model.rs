//! A model that follows a script, at a port of the loopback.
//!
//! It speaks Anthropic's Messages, OpenAI's Responses and Chat Completions, and
//! Google's Gemini. Tools that a
//! host keeps to itself it searches for, or calls from a script, as the host wants it of
//! the model whose name it bears. It keeps no state: a host sends the whole conversation with every request, and what comes
//! next follows from the results of tools in it. A request that offers no tools, for a
//! title say, is answered with a word.

mod anthropic;
mod completions;
mod gemini;
mod responses;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// How long a host may be silent in the middle of a request.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What a model does, step by step.
pub trait Script: Send + Sync + 'static {
    /// The step that a conversation has come to in which tools have answered this.
    fn step(&self, results: &[String]) -> Step;
}

/// What the model does next.
#[derive(Debug)]
pub enum Step {
    /// It calls a tool; hosts put the name of the server before that of the tool.
    Call(String, Value),
    /// It calls the first of these tools that it is offered: what the same is called
    /// differs between the hands that agents are given.
    CallEither(Vec<(String, Value)>),
    /// It calls a tool by this very name, whether it is offered or not.
    Insist(String, Value),
    /// It says something, which ends its turn.
    Say(String),
    /// It cannot be asked: a status of HTTP, and what kind of error that is.
    Fail(u16, &'static str),
}

impl<F: Fn(&[String]) -> Step + Send + Sync + 'static> Script for F {
    fn step(&self, results: &[String]) -> Step {
        self(results)
    }
}

/// A tool that a host offers.
#[derive(Debug, Clone)]
struct Offered {
    name: String,
    namespace: Option<String>,
    way: Way,
}

/// How a tool that a host offers is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is called.
    Direct,
    /// It searches for tools that can be called from then on.
    Search,
    /// It runs a script, which calls tools.
    Script,
}

/// What a host asked.
struct Turn {
    step: Step,
    tools: Vec<Offered>,
    /// Whether it has just looked for tools.
    has_searched: bool,
    /// Names the reply and what is in it.
    id: String,
    model: Value,
}

/// What the model answers.
enum Answer {
    Call(Offered, Value),
    /// It searches for a tool with these words.
    Search(String),
    /// It calls a tool from a script.
    Script(String),
    Text(String),
    Failure(u16, &'static str),
}

impl Turn {
    fn answer(&self) -> Answer {
        match &self.step {
            Step::Fail(status, kind) => Answer::Failure(*status, kind),
            _ if self.tools.is_empty() => Answer::Text("A title".to_owned()),
            Step::Say(text) => Answer::Text(text.clone()),
            Step::Insist(name, arguments) => {
                let offered = Offered { name: name.clone(), namespace: None, way: Way::Direct };
                Answer::Call(offered, arguments.clone())
            }
            Step::Call(tool, arguments) => self.call(&[(tool.clone(), arguments.clone())]),
            Step::CallEither(calls) => self.call(calls),
        }
    }

    /// A call of the first of these tools that is offered, by whatever way.
    fn call(&self, calls: &[(String, Value)]) -> Answer {
        let offered = calls.iter().find_map(|(tool, arguments)| {
            let found = self.tools.iter().find(|offered| offered.name.ends_with(&**tool))?;
            Some(Answer::Call(found.clone(), arguments.clone()))
        });
        let is_way = |way| self.tools.iter().any(|offered| offered.way == way);
        let names = || calls.iter().map(|(tool, _)| &**tool).collect::<Vec<&str>>();
        match offered {
            Some(call) => call,
            None if is_way(Way::Search) && !self.has_searched => {
                Answer::Search(names().join(" ").replace('_', " "))
            }
            None if is_way(Way::Script) => Answer::Script(format!(
                "// @exec: {{\"yield_time_ms\": 120000}}\n\
                 const [tool, given] = {}.find(([tool]) => tools[`mcp__hotcell__${{tool}}`]);\n\
                 text(await tools[`mcp__hotcell__${{tool}}`](given))",
                json!(calls)
            )),
            None => Answer::Text(format!("the host offers no `{}`", names().join("`, `"))),
        }
    }
}

/// A model at work.
#[derive(Debug)]
pub struct ScriptedModel {
    port: u16,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl ScriptedModel {
    /// Starts one that follows this script with everybody who asks.
    ///
    /// # Panics
    ///
    /// If there is no port for it.
    #[must_use]
    pub fn start(script: impl Script) -> Self {
        Self::start_at(0, script)
    }

    /// Starts one at a port, where another one may have been that was killed.
    ///
    /// # Panics
    ///
    /// If somebody is there.
    #[must_use]
    pub fn start_at(port: u16, script: impl Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let script = Arc::new(script);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, &*script, &kept));
            }
        });
        Self { port, requests }
    }

    /// Where it can be reached.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that it was asked so far.
    ///
    /// # Panics
    ///
    /// If answering one of them did.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

struct Request {
    method: String,
    path: String,
    body: Value,
}

/// What is sent back.
enum Response {
    Json(Value),
    /// A refusal.
    Failure(u16, Value),
    /// Events, each with its name if it has one.
    Events(Vec<(String, String)>),
}

impl Response {
    /// An error as all three interfaces tell it.
    fn failure(status: u16, kind: &str) -> Self {
        let error = json!({ "type": kind, "code": kind, "message": format!("scripted {kind}") });
        Self::Failure(status, json!({ "type": "error", "error": error }))
    }

    /// Events whose name is the `type` that they carry.
    fn typed(events: Vec<Value>) -> Self {
        let named = events.into_iter();
        Self::Events(
            named
                .map(|event| (event["type"].as_str().unwrap().to_owned(), event.to_string()))
                .collect(),
        )
    }
}

fn serve(stream: TcpStream, script: &dyn Script, kept: &Mutex<Vec<Value>>) {
    stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let path = request.path.split('?').next().unwrap().to_owned();
        let response = match (request.method.as_str(), path.as_str()) {
            ("POST", path) if path.ends_with("/count_tokens") => {
                Response::Json(json!({ "input_tokens": 1000 }))
            }
            ("POST", path) => {
                let number = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(request.body.clone());
                    kept.len()
                };
                let speak = match path {
                    path if path.ends_with("/messages") => anthropic::answer,
                    path if path.ends_with("/responses") => responses::answer,
                    path if path.ends_with(gemini::STREAM) => gemini::stream,
                    path if path.ends_with(gemini::WHOLE) => gemini::whole,
                    _ => completions::answer,
                };
                speak(&request.body, script, number)
            }
            _ => Response::Json(
                json!({ "object": "list", "data": [], "models": [], "has_more": false }),
            ),
        };
        if write(&mut writer, &request.method, response).is_none() {
            return;
        }
    }
}

/// The text of a tool's result, which is a text or a list of blocks.
fn result_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let line = read_line(reader)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "transfer-encoding" => chunked = value.contains("chunked"),
            "content-encoding" => panic!("a host compresses what it asks: {value}"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = usize::from_str_radix(read_line(reader)?.trim(), 16).ok()?;
            let mut chunk = vec![0; size];
            reader.read_exact(&mut chunk).ok()?;
            read_line(reader)?;
            if size == 0 {
                break;
            }
            body.append(&mut chunk);
        }
    } else {
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
    }
    Some(Request { method, path, body: serde_json::from_slice(&body).unwrap_or_default() })
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

fn write(writer: &mut impl Write, method: &str, response: Response) -> Option<()> {
    let (status, kind, body) = match response {
        Response::Json(value) => (200, "application/json", value.to_string()),
        Response::Failure(status, value) => (status, "application/json", value.to_string()),
        Response::Events(events) => {
            let written = events.into_iter().map(|(name, data)| match name.as_str() {
                "" => format!("data: {data}\n\n"),
                name => format!("event: {name}\ndata: {data}\n\n"),
            });
            (200, "text/event-stream", written.collect())
        }
    };
    let length = body.len();
    let body = if method == "HEAD" { "" } else { &body };
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body.as_bytes())).ok()
}
