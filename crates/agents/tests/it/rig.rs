//! An agent's process, its tools, and a model that follows a script.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent_lab::model::{Script, ScriptedModel, Step};
use agents::{
    Adapter, Dialogue, Event, File, Gateway, Hands, Key, Launch, Provider, Record, Said, Task,
};
use tempfile::TempDir;
use uuid::Uuid;

/// How long a whole conversation may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A process of an agent.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    scratch: Rc<TempDir>,
}

/// An agent that is spoken to, and its model.
pub(crate) struct Rig {
    pub(crate) model: ScriptedModel,
    pub(crate) dialogue: Box<dyn Dialogue>,
    process: Process,
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
        Adapter::Acp => agent_lab::gemini(),
        other => agent_lab::programs().join(other.program().unwrap()),
    }
}

/// A model's name without which it asks another one which model to ask.
const GEMINI: &str = "gemini-2.5-pro";

/// How the agent is started that stands for all that speak the Agent Client Protocol.
fn gemini(home: &Path, model: &ScriptedModel) -> Launch {
    let settings = r#"{"security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"disableAutoUpdate": true}, "privacy": {"usageStatisticsEnabled": false}}"#;
    let words = ["--acp", "--model", GEMINI, "--skip-trust"];
    let variables = [
        ("HOME", home.to_string_lossy().into_owned()),
        ("GEMINI_API_KEY", "scripted".to_owned()),
        ("GOOGLE_GEMINI_BASE_URL", model.url()),
        // Else it starts itself anew, as a child that outlives it.
        ("GEMINI_CLI_NO_RELAUNCH", "true".to_owned()),
    ];
    Launch {
        arguments: words.map(str::to_owned).into(),
        variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
        files: vec![File { path: home.join(".gemini/settings.json"), content: settings.into() }],
    }
}

/// What the scripted model is called, if it has no name of a real one.
const fn model_of(adapter: Adapter) -> &'static str {
    match adapter {
        Adapter::ClaudeCode => "claude-sonnet-4-5",
        Adapter::Codex => "scripted",
        Adapter::Acp => GEMINI,
        _ => "scripted/scripted",
    }
}

/// What is started, and below which directory.
#[derive(Clone)]
pub(crate) struct Start<'a> {
    pub(crate) adapter: Adapter,
    pub(crate) model: &'a str,
    pub(crate) resume: Option<&'a str>,
    /// Whether it works where it runs, and in `packet`.
    pub(crate) has_own_hands: bool,
    pub(crate) scratch: Rc<TempDir>,
}

impl Start<'_> {
    /// The same as for all tests, with nothing around it.
    pub(crate) fn of(adapter: Adapter) -> Self {
        let scratch = Rc::new(tempfile::tempdir().unwrap());
        let model = model_of(adapter);
        Self { adapter, model, resume: None, has_own_hands: false, scratch }
    }

    /// The home of what is started.
    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    /// Starts a process of the agent, and makes what is to speak to it.
    fn start<T>(
        &self,
        model: &ScriptedModel,
        speaker: impl FnOnce(Adapter, &Task<'_>) -> T,
    ) -> (Process, T) {
        let at = self.scratch.path();
        let (directory, home, packet) = (at.join("empty"), self.home(), at.join("packet"));
        fs::create_dir_all(&packet).unwrap();
        fs::create_dir_all(&directory).unwrap();
        fs::create_dir_all(&home).unwrap();
        let gateway = Gateway {
            name: "cell".into(),
            program: tools(),
            arguments: vec![at.join("calls").to_string_lossy().into_owned()],
            variables: Vec::new(),
        };
        let program = program(self.adapter);
        let task = Task {
            program: &program,
            directory: &directory,
            home: &home,
            model: Some(self.model),
            instructions: "You work.",
            gateway: &gateway,
            hands: match self.has_own_hands {
                true => Hands::Own { packet: &packet },
                false => Hands::Gateway,
            },
            resume: self.resume,
        };
        let provider =
            Provider { url: format!("{}/v1", model.url()), key_variable: "SCRIPTED_KEY".into() };
        let launch = match self.adapter {
            Adapter::Acp => gemini(&home, model),
            adapter => adapter.launch(&task, Some(&provider)),
        };
        for file in &launch.files {
            fs::create_dir_all(file.path.parent().unwrap()).unwrap();
            fs::write(&file.path, &file.content).unwrap();
        }
        let mut child = Command::new(&program)
            .args(&launch.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", at.join("person"))
            .envs(launch.variables)
            .env("ANTHROPIC_API_KEY", "scripted")
            .env("OPENAI_API_KEY", "scripted")
            .env("SCRIPTED_KEY", "scripted")
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(at.join("complaints")).unwrap())
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
        let (stdin, scratch) = (child.stdin.take(), Rc::clone(&self.scratch));
        (Process { child, stdin, lines, scratch }, speaker(self.adapter, &task))
    }

    /// The keys of the messages that are in the conversation that is gone on with, by
    /// the agent's records.
    pub(crate) fn taken(&self) -> Vec<Key> {
        match self.adapter.record() {
            Record::Files { directory, ending } => {
                let mut files = Vec::new();
                files_below(&self.home().join(directory), ending, &mut files);
                let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
                texts.flat_map(|text| self.adapter.taken(&text)).collect()
            }
            Record::Replay => {
                let nothing = ScriptedModel::start(|_: &[String]| Step::Say("Nothing.".into()));
                let (mut process, mut replay) =
                    self.start(&nothing, |adapter, task| adapter.replay(task).unwrap());
                let opening = replay.open();
                process.write(opening);
                while replay.finished().is_none() {
                    let reply = replay.hear(&process.line(Instant::now() + PATIENCE));
                    process.write(reply);
                }
                replay.finished().unwrap().unwrap().to_vec()
            }
            Record::Nowhere => panic!("it has no records"),
        }
    }
}

fn files_below(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

impl Process {
    fn write(&mut self, lines: Vec<String>) {
        let stdin = self.stdin.as_mut().unwrap();
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
        }
        stdin.flush().unwrap();
    }

    #[track_caller]
    fn line(&self, deadline: Instant) -> Vec<u8> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).unwrap_or_else(|error| {
            let complaints = fs::read_to_string(self.scratch.path().join("complaints"));
            panic!("{error}: {}", complaints.unwrap())
        })
    }
}

impl Rig {
    /// Starts an agent whose model follows a script.
    pub(crate) fn start(adapter: Adapter, script: impl Script) -> Self {
        Self::start_as(&Start::of(adapter), script)
    }

    /// Starts an agent as it is told.
    pub(crate) fn start_as(start: &Start<'_>, script: impl Script) -> Self {
        let model = ScriptedModel::start(script);
        let (process, dialogue) = start.start(&model, Adapter::dialogue);
        Self { model, dialogue, process }
    }

    pub(crate) fn write(&mut self, lines: Vec<String>) {
        self.process.write(lines);
    }

    /// Listens until something is said; returns all that was said until then.
    #[track_caller]
    pub(crate) fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> Vec<Event> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while !all.iter().any(&is_it) {
            let line = self.process.line(deadline);
            let heard = self.dialogue.hear(&line);
            self.process.write(heard.reply);
            all.extend(heard.events);
        }
        all
    }

    /// Where all of it lies.
    pub(crate) fn path(&self) -> &Path {
        self.process.scratch.path()
    }

    /// Calls of tools that arrived.
    pub(crate) fn calls(&self) -> usize {
        let calls = fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        calls.lines().count()
    }

    /// Closes its input and waits for its end.
    pub(crate) fn end(mut self) {
        drop(self.process.stdin.take());
        let status = self.process.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Kills it, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
