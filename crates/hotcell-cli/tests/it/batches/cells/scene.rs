//! A project, packets of six tasks, and an engine for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use batch::custody::Environment;
use batch::engine::{
    AgentKind, AgentSetup, Door, HostAgent, HostedSetup, LaneMode, Request, Setup, World, door, run,
};
use batch::journal::SqliteJournal;
use batch_api::{Actor, BatchId, TaskId, UnitId};
use batch_core::decide::{Address, Command};
use batch_core::drive::Failure;
use batch_core::fact::Reply;
use batch_core::mail::{MailKind, Urgency};
use batch_core::spec::{BatchSpec, Ceiling, FailurePolicy, Limits, Receipts, UnitSpec};
use batch_core::state::Ending;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use uuid::Uuid;
use workspace::{Engine, Settings};

use super::script::{END, FILE};
use crate::conformance::projects::python_checkout;
use crate::support::*;

/// A task: what it is called, what it needs, a module that it writes, and a test of it.
#[derive(Debug)]
struct Task {
    id: &'static str,
    after: &'static [&'static str],
    module: &'static str,
    code: &'static str,
    test: &'static str,
}

/// The tasks, which hang together as their modules import each other.
const TASKS: &[Task] = &[
    Task {
        id: "TP-1",
        after: &[],
        module: "lines",
        code: "def split(text):\n    return [line for line in text.splitlines() if line.strip()]\n",
        test: "self.assertEqual(lines.split('1\\n\\n2\\n'), ['1', '2'])",
    },
    Task {
        id: "TP-2",
        after: &["TP-1"],
        module: "reading",
        code: "from . import loads\nfrom .lines import split\n\n\n\
               def read(text):\n    return [loads(line) for line in split(text)]\n",
        test: "self.assertEqual(reading.read('[1]\\n\\n{}'), [[1], {}])",
    },
    Task {
        id: "TP-3",
        after: &["TP-1"],
        module: "writing",
        code: "from . import dumps\n\n\n\
               def write(values):\n    return ''.join(dumps(value) + '\\n' for value in values)\n",
        test: "self.assertEqual(writing.write([1, {}]), '1\\n{}\\n')",
    },
    Task {
        id: "TP-4",
        after: &["TP-2", "TP-3"],
        module: "copying",
        code: "from .reading import read\nfrom .writing import write\n\n\n\
               def copy(values):\n    return read(write(values))\n",
        test: "self.assertEqual(copying.copy([1, {'a': [2]}]), [1, {'a': [2]}])",
    },
    Task {
        id: "TP-5",
        after: &[],
        module: "counting",
        code: "def count(values):\n    return sum(1 for _ in values)\n",
        test: "self.assertEqual(counting.count([1, 2]), 2)",
    },
    Task {
        id: "TP-6",
        after: &["TP-4", "TP-5"],
        module: "checking",
        code: "from .copying import copy\nfrom .counting import count\n\n\n\
               def check(values):\n    return count(copy(values)) == count(values)\n",
        test: "self.assertTrue(checking.check([1, 2, 3]))",
    },
];

/// What has to hold of whatever is merged: tests of the project, and all new ones.
const VERIFY: &str = "python3 -m unittest -q simplejson.tests.test_pass1 && \
                      python3 -m unittest discover -q -t . -s simplejson/tests -p 'test_x_*.py'";

/// What the project says to whoever works in it.
const AGENTS: &str = "Keep to PEP 8.\n";

/// Tasks of a project, and where their batch lies. Others that are given the same
/// directory have the same scene.
#[derive(Debug)]
pub(super) struct Scene {
    scratch: PathBuf,
    batch: BatchId,
    kind: AgentKind,
    lane: LaneMode,
    model: String,
    tasks: &'static [Task],
    receipts: Option<Receipts>,
    wait_ms: u64,
}

impl Task {
    fn home(&self, scratch: &Path) -> PathBuf {
        scratch.join("packets").join(format!("{}-{}", self.id, self.module))
    }

    /// The files that it comes to.
    fn files(&self) -> [(String, String); 2] {
        let module = self.module;
        let test = format!(
            "import unittest\n\nfrom simplejson import {module}\n\n\nclass TestIt(unittest.TestCase):\n    \
             def test_it(self):\n        {}\n",
            self.test
        );
        [
            (format!("simplejson/{module}.py"), self.code.to_owned()),
            (format!("simplejson/tests/test_x_{module}.py"), test),
        ]
    }

    fn prompt(&self) -> String {
        let files = self.files();
        let files = files.iter().map(|(name, text)| format!("{FILE}{name}\n{text}{END}\n"));
        format!(
            "# Task: {} - The module {}\n\n**Size:** S\n\n## Mission\n\n~~~\n{}~~~\n\n## Steps\n\n\
             ### Step 1: Write it\n\n- [ ] It is there\n\n### Step 2: Test it\n\n- [ ] Its test passes\n",
            self.id,
            self.module,
            files.collect::<String>(),
        )
    }

    fn unit(&self, scratch: &Path) -> UnitSpec {
        let task: TaskId = self.id.parse().unwrap();
        UnitSpec {
            unit: UnitId { task, repository: "simplejson".parse().unwrap(), visit: 1 },
            home: self.home(scratch).to_string_lossy().into_owned(),
            after: self.after.iter().map(|task| task.parse().unwrap()).collect(),
            apart: Vec::new(),
            memory_mib: 0,
        }
    }
}

impl Scene {
    /// All tasks.
    pub(super) fn new(scratch: &Path, kind: AgentKind, model: &str) -> Self {
        let checkout = python_checkout(scratch);
        fs::write(checkout.join("AGENTS.md"), AGENTS).unwrap();
        git(&checkout, &["add", "--all"]);
        git(&checkout, &["commit", "--quiet", "--message=Say how to work here"]);
        for task in TASKS {
            let home = task.home(scratch);
            fs::create_dir_all(&home).unwrap();
            fs::write(home.join("PROMPT.md"), task.prompt()).unwrap();
        }
        fs::write(scratch.join("id"), BatchId::from_uuid(Uuid::now_v7()).to_string()).unwrap();
        Self::at(scratch, kind, model)
    }

    /// The scene that is there.
    pub(super) fn at(scratch: &Path, kind: AgentKind, model: &str) -> Self {
        let batch = fs::read_to_string(scratch.join("id")).unwrap().parse().unwrap();
        Self {
            scratch: scratch.to_owned(),
            batch,
            kind,
            lane: LaneMode::Cell,
            model: model.to_owned(),
            tasks: TASKS,
            receipts: None,
            wait_ms: 600_000,
        }
    }

    /// Whose engines have not all the same kind of agent, so that nothing can be relied
    /// on that one of them proves.
    pub(super) fn of_any_agent(self) -> Self {
        Self { receipts: Some(Receipts::Unprovable), ..self }
    }

    /// Whose operator answers nothing, so that soon enough the default is taken.
    pub(super) fn unattended(self) -> Self {
        Self { wait_ms: 15_000, ..self }
    }

    /// With agents that work on this host.
    pub(super) fn in_worktrees(self) -> Self {
        Self { lane: LaneMode::Worktree, ..self }
    }

    /// Only the first task.
    pub(super) fn of_one_task(self) -> Self {
        Self { tasks: &TASKS[..1], ..self }
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.scratch.join("batch")
    }

    fn agent(&self) -> AgentSetup {
        let model = match self.kind {
            AgentKind::ClaudeCode => "claude-sonnet-4-5",
            AgentKind::Codex => "gpt-5.5",
            _ => "openai/gpt-6.1-sol",
        };
        let adapter = self.kind.adapter();
        let program = match self.kind {
            AgentKind::Pi => agent_lab::pi(),
            _ => agent_lab::programs().join(adapter.program().unwrap()),
        };
        let hosted = HostedSetup {
            program: Some(program),
            model: Some(model.to_owned()),
            credentials: vec![self.kind.credentials()[0].to_owned()],
        };
        AgentSetup { kind: self.kind, command: Vec::new(), lane: self.lane, hosted: Some(hosted) }
    }

    fn host(&self) -> HostAgent {
        let hosted = self.agent().hosted.unwrap();
        let mut credentials = Environment::empty();
        credentials.set(&hosted.credentials[0], "scripted").unwrap();
        HostAgent {
            adapter: self.kind.adapter(),
            program: hosted.program.unwrap(),
            arguments: Vec::new(),
            model: hosted.model,
            endpoint: Some(format!("{}/v1", self.model)),
            credentials,
            search_path: std::env::var("PATH").unwrap(),
            hotcell: program().to_owned(),
        }
    }

    fn spec(&self) -> BatchSpec {
        let ceiling = Ceiling { time_ms: 3_600_000, tokens: 1_000_000, money_micros: 100_000_000 };
        BatchSpec {
            batch: self.batch,
            owner: "operator:anna".parse().unwrap(),
            lanes: 2,
            memory_mib: None,
            policy: FailurePolicy::SkipDependents,
            receipts: self.receipts.unwrap_or_else(|| self.agent().receipts()),
            limits: Limits {
                unit: ceiling,
                batch: ceiling,
                stall_ms: 600_000,
                retries: Limits::RETRIES_MAX,
                contexts: 30,
                wait_ms: self.wait_ms,
            },
            units: self.tasks.iter().map(|task| task.unit(&self.scratch)).collect(),
        }
    }

    /// Begins an engine, which takes over whatever there is.
    pub(super) fn begin(&self) -> (Door, JoinHandle<Result<Option<Ending>, Failure>>) {
        let setup = Setup {
            batch: self.batch,
            directory: self.directory(),
            operator: self.scratch.join("checkout"),
            base: "main".into(),
            environment: prepared(BUILD_ENVIRONMENT).parse().unwrap(),
            agent: self.agent(),
            verify: vec![VERIFY.to_owned()],
        };
        let mut settings = Settings::from_environment(Some(program().to_owned())).unwrap();
        settings.home = home().to_owned();
        let cells = Arc::new(Engine::open(settings).unwrap());
        let (door, visitors) = door();
        let world = World::new(setup, cells, door.clone()).unwrap().with_host(self.host());
        let journal = SqliteJournal::create(&self.directory(), self.batch).unwrap();
        let engine = std::thread::spawn(move || run(world, journal, visitors));
        // Whoever repeats it gets the first answer, from any engine.
        let start = Command::Start { spec: Box::new(self.spec()) };
        assert_eq!(ask(&door, "start-1", start), Reply::Accepted);
        (door, engine)
    }

    /// Runs an engine until the batch is over.
    pub(super) fn run(&self) -> Option<Ending> {
        let (_door, engine) = self.begin();
        engine.join().unwrap().unwrap()
    }

    /// Sends its first unit a message.
    pub(super) fn steer(&self, door: &Door, text: &str) {
        let reply = self.tried_steering(door, text).map(|answered| answered.recv_timeout(PATIENCE));
        assert!(matches!(reply, Some(Ok(Reply::Mailed { .. }))), "{reply:?}");
    }

    /// Brings a message for its first unit to an engine: where the answer comes, if the
    /// engine is there.
    pub(super) fn tried_steering(&self, door: &Door, text: &str) -> Option<Receiver<Reply>> {
        let send = Command::Send {
            to: Address::Unit(self.tasks[0].unit(&self.scratch).unit),
            kind: MailKind::Steer,
            answers: None,
            urgent: Urgency::Normal,
            lasts_ms: None,
            text: text.parse().unwrap(),
        };
        asked(door, "steer-1", send)
    }

    /// The store, which has one name at a time.
    fn store(&self) -> PathBuf {
        let stores = fs::read_dir(self.directory().join("repository")).unwrap();
        let stores: Vec<PathBuf> = stores.map(|entry| entry.unwrap().path()).collect();
        let [store] = &*stores else { panic!("{stores:?}") };
        store.clone()
    }

    /// The tree that all came to.
    pub(super) fn tree(&self) -> String {
        git(&self.store(), &["rev-parse", "integration^{tree}"])
    }

    /// The tree that it has to be: the project's, and the files of all tasks.
    pub(super) fn expected_tree(&self) -> String {
        let expected = self.scratch.join("expected");
        let (from, to) = (self.scratch.join("checkout"), expected.to_string_lossy().into_owned());
        git(&from, &["clone", "--quiet", ".", &to]);
        for (name, content) in self.tasks.iter().flat_map(Task::files) {
            fs::write(expected.join(name), content).unwrap();
        }
        git(&expected, &["add", "--all"]);
        git(&expected, &["write-tree"])
    }

    /// The epochs of all records, in their order.
    pub(super) fn epochs(&self) -> Vec<u64> {
        let lines = self.records().into_iter();
        lines.map(|line| line["epoch"].as_u64().unwrap()).collect()
    }

    /// How often agents of one unit have failed in one way at most.
    pub(super) fn failures_max(&self) -> usize {
        let mut failures: BTreeMap<String, usize> = BTreeMap::new();
        for record in self.records() {
            let class = &record["fact"]["failure"]["class"];
            if class.is_string() {
                *failures.entry(format!("{} {class}", record["subject"]["unit"])).or_default() += 1;
            }
        }
        failures.into_values().max().unwrap_or_default()
    }

    /// How often its operator was asked something.
    pub(super) fn asked(&self) -> usize {
        let opened = |record: &Value| record["fact"]["wait_opened"].is_object();
        self.records().iter().filter(|record| opened(record)).count()
    }

    /// How many records its journal has; none before its first engine has begun.
    pub(super) fn records_count(&self) -> u64 {
        let count = self.journal().and_then(|journal| {
            journal.query_row("SELECT count(*) FROM lines", [], |row| row.get(0))
        });
        count.unwrap_or_default()
    }

    /// Its journal, which is not made by asking for it.
    fn journal(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        Connection::open_with_flags(self.directory().join("journal.sqlite"), flags)
    }

    /// All of its records; none before its first engine has begun.
    fn records(&self) -> Vec<Value> {
        let Ok(journal) = self.journal() else { return Vec::new() };
        let lines = journal.prepare("SELECT text FROM lines ORDER BY sequence");
        let Ok(mut lines) = lines else { return Vec::new() };
        let lines = lines.query_map([], |row| row.get::<_, String>(0)).unwrap();
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }

    /// The processes of its agents, with all that hold them.
    pub(super) fn agents(&self) -> Vec<u32> {
        let listed = batch::custody::list(&self.directory().join("custody"));
        let pids = listed.into_iter().flatten().flat_map(|one| one.processes);
        pids.map(|pid| pid.cast_unsigned()).collect()
    }

    /// The directories of its workspaces.
    pub(super) fn workspaces(&self) -> Vec<PathBuf> {
        let listed = hotcell().args(["--json", "workspace", "list"]).output().unwrap();
        let listed = json(&listed);
        let all = listed["workspaces"].as_array().unwrap().iter();
        let ours = all.filter(|one| one["labels"]["batch/id"] == self.batch.to_string());
        ours.map(|one| home().join("workspaces").join(one["id"].as_str().unwrap())).collect()
    }

    /// What the journal and the agents say, for somebody who has to understand why.
    pub(super) fn told(&self) -> String {
        let mut told: Vec<String> = self.records().iter().map(Value::to_string).collect();
        for place in fs::read_dir(self.directory().join("agents")).into_iter().flatten() {
            let transcript = place.unwrap().path().join("transcript");
            told.push(format!("{}:", transcript.display()));
            told.push(fs::read_to_string(transcript).unwrap_or_default());
        }
        told.join("\n")
    }

    /// That the work of all is in one branch, and nothing else is left.
    pub(super) fn assert_done(&self) {
        let store = self.store();
        for task in self.tasks {
            for (name, content) in task.files() {
                assert_eq!(git(&store, &["show", &format!("integration:{name}")]), content);
            }
            assert!(task.home(&self.scratch).join(".DONE").exists(), "{}", task.id);
        }
        let authors = git(&store, &["log", "--format=%an", "integration"]);
        assert!(authors.contains("Agent") && authors.contains("Hotcell"), "{authors}");
        // Nobody holds a process or a workspace of the batch any more.
        let listed = batch::custody::list(&self.directory().join("custody")).unwrap();
        assert!(listed.is_empty(), "{listed:?}");
        let listed = hotcell().args(["--json", "workspace", "list"]).output().unwrap();
        let listed = text(&listed.stdout);
        assert!(!listed.contains(&self.batch.to_string()), "{listed}");
    }
}

/// Asks an engine for something, in the operator's name.
fn ask(door: &Door, name: &str, command: Command) -> Reply {
    asked(door, name, command).unwrap().recv_timeout(PATIENCE).unwrap()
}

/// Brings a request to an engine: where the answer comes, if the engine is there.
fn asked(door: &Door, name: &str, command: Command) -> Option<Receiver<Reply>> {
    let (answer, answered) = sync_channel(1);
    let actor = Actor::Operator("anna".parse().unwrap());
    let request = Request { request: name.parse().unwrap(), actor, command, answer };
    door.ask(request).then_some(answered)
}
