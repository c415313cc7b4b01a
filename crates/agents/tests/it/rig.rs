//! An agent's process, its tools, and a model that follows a script.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent_lab::model::{Script, ScriptedModel};
use agents::{Adapter, Dialogue, Event, Gateway, Key, Provider, Said, Task};
use tempfile::TempDir;
use uuid::Uuid;

/// How long a whole conversation may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Rig {
    pub(crate) model: ScriptedModel,
    pub(crate) dialogue: Box<dyn Dialogue>,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    scratch: TempDir,
}

pub(crate) fn said(number: u128, text: &str) -> Said {
    Said { key: Key(Uuid::from_u128(0x4000_8000_0000_0000_0000 | number)), text: text.to_owned() }
}

/// The server of tools, which is built beside the tests.
fn tools() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().unwrap().parent().unwrap().join("examples/slow_tools");
    assert!(built.exists(), "{} is built with the tests", built.display());
    built
}

/// The program of an agent, at the version that is tried.
pub(crate) fn program(adapter: Adapter) -> PathBuf {
    match adapter {
        Adapter::Pi => agent_lab::pi(),
        other => agent_lab::programs().join(other.program().unwrap()),
    }
}

/// What the scripted model is called, if it has no name of a real one.
const fn model_of(adapter: Adapter) -> &'static str {
    match adapter {
        Adapter::ClaudeCode => "claude-sonnet-4-5",
        Adapter::Codex => "scripted",
        _ => "scripted/scripted",
    }
}

/// What is started, and below which directory.
pub(crate) struct Start<'a> {
    pub(crate) adapter: Adapter,
    pub(crate) model: &'a str,
    pub(crate) resume: Option<&'a str>,
    pub(crate) scratch: TempDir,
}

impl Start<'_> {
    /// The same as for all tests, with nothing around it.
    pub(crate) fn of(adapter: Adapter) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Self { adapter, model: model_of(adapter), resume: None, scratch }
    }
}

impl Rig {
    /// Starts an agent whose model follows a script.
    pub(crate) fn start(adapter: Adapter, script: impl Script) -> Self {
        Self::start_as(Start::of(adapter), ScriptedModel::start(script))
    }

    /// Starts an agent with this model.
    pub(crate) fn start_as(start: Start<'_>, model: ScriptedModel) -> Self {
        let Start { adapter, scratch, .. } = start;
        let (directory, home) = (scratch.path().join("empty"), scratch.path().join("home"));
        fs::create_dir_all(&directory).unwrap();
        fs::create_dir_all(&home).unwrap();
        let gateway = Gateway {
            name: "cell".into(),
            program: tools(),
            arguments: vec![scratch.path().join("calls").to_string_lossy().into_owned()],
            variables: Vec::new(),
        };
        let program = program(adapter);
        let task = Task {
            program: &program,
            directory: &directory,
            home: &home,
            model: Some(start.model),
            instructions: "You work.",
            gateway: &gateway,
            resume: start.resume,
        };
        let provider =
            Provider { url: format!("{}/v1", model.url()), key_variable: "SCRIPTED_KEY".into() };
        let (launch, dialogue) = (adapter.launch(&task, Some(&provider)), adapter.dialogue(&task));
        for file in &launch.files {
            fs::create_dir_all(file.path.parent().unwrap()).unwrap();
            fs::write(&file.path, &file.content).unwrap();
        }
        let mut child = Command::new(&program)
            .args(&launch.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", scratch.path().join("person"))
            .envs(launch.variables)
            .env("ANTHROPIC_API_KEY", "scripted")
            .env("SCRIPTED_KEY", "scripted")
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(scratch.path().join("complaints")).unwrap())
            .spawn()
            .unwrap();
        let (told, lines) = channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { model, dialogue, child, stdin, lines, scratch }
    }

    pub(crate) fn write(&mut self, lines: Vec<String>) {
        let stdin = self.stdin.as_mut().unwrap();
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
        }
        stdin.flush().unwrap();
    }

    /// Listens until something is said; returns all that was said until then.
    #[track_caller]
    pub(crate) fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> Vec<Event> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while !all.iter().any(&is_it) {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| {
                let complaints = fs::read_to_string(self.scratch.path().join("complaints"));
                panic!("{error}: {all:#?}\n{}", complaints.unwrap())
            });
            let heard = self.dialogue.hear(&line);
            self.write(heard.reply);
            all.extend(heard.events);
        }
        all
    }

    /// Where all of it lies.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Calls of tools that arrived.
    pub(crate) fn calls(&self) -> usize {
        let calls = fs::read_to_string(self.scratch.path().join("calls")).unwrap_or_default();
        calls.lines().count()
    }

    /// Closes its input and waits for its end.
    pub(crate) fn end(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
