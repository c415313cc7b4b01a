//! Batches, with real workspaces, a real repository, and agents that are commands.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use batch::engine::{Request, Setup, World, door, run};
use batch::journal::SqliteJournal;
use batch_api::{Actor, BatchId, TaskId, UnitId};
use batch_core::decide::Command;
use batch_core::fact::Reply;
use batch_core::spec::{BatchSpec, Ceiling, FailurePolicy, Limits, Receipts, UnitSpec};
use batch_core::state::Ending;
use uuid::Uuid;
use workspace::{Engine, Settings};

use crate::support::*;

/// What the agents do: read the packet, look how far it is, do one step, commit the
/// first and leave the second, and check the boxes of what is there. Contexts may end
/// anywhere, so none of them trusts that an earlier one did what it began.
const AGENT: &str = r#"
set -eu
file=$(sed -n 's/^Write: //p' $BATCH_PACKET/PROMPT.md)
git config user.name Agent; git config user.email agent@example.org
if ! grep -qs first $file; then
    echo "first of $BATCH_TASK" > $file
    git add --all; git commit --quiet --message "$BATCH_TASK: first"
    sed -i '0,/\[ \]/s//[x]/' $BATCH_PACKET/STATUS.md
else
    grep -q second $file || echo "second of $BATCH_TASK" >> $file
    sed -i 's/\[ \]/[x]/' $BATCH_PACKET/STATUS.md
fi
echo done
"#;

/// What has to hold of whatever is merged: nothing that was merged before is gone.
const VERIFY: &str = "test -f base && for file in *.txt; do grep -q second $file; done";

pub(super) fn packet(packets: &Path, task: &str, file: &str) -> PathBuf {
    let home = packets.join(format!("{task}-write"));
    fs::create_dir_all(&home).unwrap();
    let prompt = format!(
        "# Task: {task} - Write a file\n\n**Size:** S\n\n## Mission\n\nWrite: {file}\n\n\
         ## Steps\n\n### Step 1: Begin\n\n- [ ] It is there\n\n### Step 2: Go on\n\n- [ ] It is whole\n"
    );
    fs::write(home.join("PROMPT.md"), prompt).unwrap();
    home
}

pub(super) fn unit(task: &str, home: &Path, after: &[&str]) -> UnitSpec {
    let task: TaskId = task.parse().unwrap();
    UnitSpec {
        unit: UnitId { task, repository: "app".parse().unwrap(), visit: 1 },
        home: home.to_string_lossy().into_owned(),
        after: after.iter().map(|task| task.parse().unwrap()).collect(),
        apart: Vec::new(),
        memory_mib: 0,
    }
}

pub(super) fn spec(batch: BatchId, units: Vec<UnitSpec>) -> BatchSpec {
    let ceiling = Ceiling { time_ms: 3_600_000, tokens: 1_000_000, money_micros: 1_000_000 };
    BatchSpec {
        batch,
        owner: "operator:anna".parse().unwrap(),
        lanes: 2,
        memory_mib: None,
        policy: FailurePolicy::SkipDependents,
        receipts: Receipts::Unprovable,
        limits: Limits {
            unit: ceiling,
            batch: ceiling,
            stall_ms: 600_000,
            contexts: 4,
            wait_ms: 600_000,
        },
        units,
    }
}

/// What the journal says, for somebody who has to understand why.
pub(super) fn told(directory: &Path) -> String {
    let journal = rusqlite::Connection::open(directory.join("journal.sqlite")).unwrap();
    let mut lines = journal.prepare("SELECT text FROM lines ORDER BY sequence").unwrap();
    let lines = lines.query_map([], |row| row.get::<_, String>(0)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

/// A repository, packets of three tasks, and a place for the batch.
struct Scene {
    scratch: PathBuf,
    batch: BatchId,
}

/// Names the scene for a process of the test's own, which is an engine.
const SCENE: &str = "BATCH_TEST_SCENE";

impl Scene {
    fn new(scratch: &Path) -> Self {
        fs::write(scratch.join("id"), BatchId::from_uuid(Uuid::now_v7()).to_string()).unwrap();
        let scene = Self::at(scratch);
        let operator = scene.operator();
        fs::create_dir(&operator).unwrap();
        git(&operator, &["init", "--quiet", "--initial-branch=main"]);
        fs::write(operator.join("base"), "base\n").unwrap();
        git(&operator, &["add", "--all"]);
        git(&operator, &["commit", "--quiet", "--message=base"]);
        for (task, file) in TASKS {
            packet(&scratch.join("packets"), task, file);
        }
        scene
    }

    fn at(scratch: &Path) -> Self {
        let batch = fs::read_to_string(scratch.join("id")).unwrap().parse().unwrap();
        Self { scratch: scratch.to_owned(), batch }
    }

    fn operator(&self) -> PathBuf {
        self.scratch.join("app")
    }

    fn directory(&self) -> PathBuf {
        self.scratch.join("batch")
    }

    fn home_of(&self, task: &str) -> PathBuf {
        self.scratch.join("packets").join(format!("{task}-write"))
    }

    /// Runs an engine until the batch is over.
    fn run(&self) -> Option<Ending> {
        let setup = Setup {
            batch: self.batch,
            directory: self.directory(),
            operator: self.operator(),
            base: "main".into(),
            environment: ENVIRONMENT.parse().unwrap(),
            agent: ["sh", "-c", AGENT].map(str::to_owned).to_vec(),
            verify: vec![VERIFY.to_owned()],
        };
        let mut settings = Settings::from_environment(Some(program().to_owned())).unwrap();
        settings.home = home().to_owned();
        let cells = Arc::new(Engine::open(settings).unwrap());
        let (door, visitors) = door();
        let world = World::new(setup, cells, door.clone()).unwrap();
        let journal = SqliteJournal::create(&self.directory(), self.batch).unwrap();
        let engine = std::thread::spawn(move || run(world, journal, visitors));
        let (answer, answered) = sync_channel(1);
        let units = vec![
            unit("TP-1", &self.home_of("TP-1"), &[]),
            unit("TP-2", &self.home_of("TP-2"), &["TP-1"]),
            unit("TP-3", &self.home_of("TP-3"), &[]),
        ];
        // Whoever repeats it gets the first answer, from any engine.
        let start = Request {
            request: "start-1".parse().unwrap(),
            actor: Actor::Operator("anna".parse().unwrap()),
            command: Command::Start { spec: Box::new(spec(self.batch, units)) },
            answer,
        };
        assert!(door.ask(start));
        assert_eq!(answered.recv_timeout(PATIENCE).unwrap(), Reply::Accepted);
        engine.join().unwrap().unwrap()
    }

    /// That the work of all is in one branch, each once, and nothing else is left.
    fn assert_done(&self, before: &str) {
        let stores = fs::read_dir(self.directory().join("repository")).unwrap();
        let stores: Vec<PathBuf> = stores.map(|entry| entry.unwrap().path()).collect();
        let [store] = &*stores else { panic!("{stores:?}") };
        for (task, file) in TASKS {
            let content = git(store, &["show", &format!("integration:{file}")]);
            assert_eq!(content.trim(), format!("first of {task}\nsecond of {task}"));
            let mark = fs::read_to_string(self.home_of(task).join(".DONE")).unwrap();
            assert!(mark.contains(&self.batch.to_string()), "{mark}");
            assert!(mark.starts_with("Completed: 20"), "{mark}");
        }
        let merges = git(store, &["log", "--first-parent", "--format=%s", "integration"]);
        let mut merges: Vec<&str> = merges.trim().lines().collect();
        assert_eq!(merges.pop(), Some("base"));
        assert_eq!(merges.len(), TASKS.len(), "{merges:?}");
        let position = |task: &str| merges.iter().position(|merge| merge.ends_with(task)).unwrap();
        assert!(position("TP-2") < position("TP-1"), "what it needs was merged before: {merges:?}");
        let authors = git(store, &["log", "--format=%an", "integration"]);
        assert!(authors.contains("Agent") && authors.contains("Hotcell"), "{authors}");
        git(store, &["fsck", "--strict"]);
        assert_eq!(self.checkout(), before);
        let listed = hotcell().args(["--json", "workspace", "list"]).output().unwrap();
        let listed = text(&listed.stdout);
        assert!(!listed.contains(&self.batch.to_string()), "{listed}");
    }

    /// What the operator sees.
    fn checkout(&self) -> String {
        git(&self.operator(), &["status", "--porcelain=v2", "--branch"])
    }
}

/// The tasks, and the files that they write.
const TASKS: [(&str, &str); 3] = [("TP-1", "one.txt"), ("TP-2", "two.txt"), ("TP-3", "three.txt")];

#[test]
fn three_tasks_become_one_branch() {
    let scratch = tempfile::tempdir().unwrap();
    let scene = Scene::new(scratch.path());
    let before = scene.checkout();
    let ending = scene.run();
    assert_eq!(ending, Some(Ending::Completed), "{}", told(&scene.directory()));
    scene.assert_done(&before);
}

/// How often the engine is killed.
const KILLS: u32 = 6;

#[test]
fn engines_that_are_killed_come_to_the_same_branch() {
    if let Some(scratch) = std::env::var_os(SCENE) {
        // This process is an engine.
        let ending = Scene::at(Path::new(&scratch)).run();
        assert_eq!(ending, Some(Ending::Completed));
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let scene = Scene::new(scratch.path());
    let before = scene.checkout();
    let name = "batches::engine::engines_that_are_killed_come_to_the_same_branch";
    let mut killed = 0;
    for life in 0..=KILLS {
        let mut engine = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(SCENE, scratch.path())
            .spawn()
            .unwrap();
        if life == KILLS {
            let status = engine.wait().unwrap();
            assert!(status.success(), "{status}\n{}", told(&scene.directory()));
        } else {
            // Each of them comes further than the one before it.
            std::thread::sleep(Duration::from_millis(1500 + 900 * u64::from(life)));
            engine.kill().unwrap();
            killed += u32::from(engine.wait().unwrap().signal().is_some());
        }
    }
    // A fast machine may be done before the last of them.
    assert!(killed > 0);
    scene.assert_done(&before);
}
