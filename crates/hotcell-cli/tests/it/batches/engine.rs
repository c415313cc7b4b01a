//! Batches, with real workspaces, a real repository, and agents that are commands.

use std::fs;
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

/// What the agents do: read the packet, change what it asks for, commit one half,
/// leave the other, and check the boxes. The first context of a task does one step.
const AGENT: &str = r#"
set -eu
file=$(sed -n 's/^Write: //p' $BATCH_PACKET/PROMPT.md)
git config user.name Agent; git config user.email agent@example.org
case $BATCH_CONVERSATION in
*~1) echo "first of $BATCH_TASK" > $file
     git add --all; git commit --quiet --message "$BATCH_TASK: first"
     sed -i '0,/\[ \]/s//[x]/' $BATCH_PACKET/STATUS.md ;;
*)   echo "second of $BATCH_TASK" >> $file
     sed -i 's/\[ \]/[x]/' $BATCH_PACKET/STATUS.md ;;
esac
echo done
"#;

/// What has to hold of whatever is merged: nothing that was merged before is gone.
const VERIFY: &str = "test -f base && for file in *.txt; do grep -q second $file; done";

fn packet(packets: &Path, task: &str, file: &str) -> PathBuf {
    let home = packets.join(format!("{task}-write"));
    fs::create_dir_all(&home).unwrap();
    let prompt = format!(
        "# Task: {task} - Write a file\n\n**Size:** S\n\n## Mission\n\nWrite: {file}\n\n\
         ## Steps\n\n### Step 1: Begin\n\n- [ ] It is there\n\n### Step 2: Go on\n\n- [ ] It is whole\n"
    );
    fs::write(home.join("PROMPT.md"), prompt).unwrap();
    home
}

fn unit(task: &str, home: &Path, after: &[&str]) -> UnitSpec {
    let task: TaskId = task.parse().unwrap();
    UnitSpec {
        unit: UnitId { task, repository: "app".parse().unwrap(), visit: 1 },
        home: home.to_string_lossy().into_owned(),
        after: after.iter().map(|task| task.parse().unwrap()).collect(),
        apart: Vec::new(),
    }
}

fn spec(batch: BatchId, units: Vec<UnitSpec>) -> BatchSpec {
    let ceiling = Ceiling { time_ms: 3_600_000, tokens: 1_000_000, money_micros: 1_000_000 };
    BatchSpec {
        batch,
        owner: "operator:anna".parse().unwrap(),
        lanes: 2,
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
fn told(directory: &Path) -> String {
    let journal = rusqlite::Connection::open(directory.join("journal.sqlite")).unwrap();
    let mut lines = journal.prepare("SELECT text FROM lines ORDER BY sequence").unwrap();
    let lines = lines.query_map([], |row| row.get::<_, String>(0)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn three_tasks_become_one_branch() {
    let scratch = tempfile::tempdir().unwrap();
    let (operator, packets) = (scratch.path().join("app"), scratch.path().join("packets"));
    fs::create_dir(&operator).unwrap();
    git(&operator, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(operator.join("base"), "base\n").unwrap();
    git(&operator, &["add", "--all"]);
    git(&operator, &["commit", "--quiet", "--message=base"]);
    let before = git(&operator, &["status", "--porcelain=v2", "--branch"]);

    let one = packet(&packets, "TP-1", "one.txt");
    let two = packet(&packets, "TP-2", "two.txt");
    let three = packet(&packets, "TP-3", "three.txt");
    let units =
        vec![unit("TP-1", &one, &[]), unit("TP-2", &two, &["TP-1"]), unit("TP-3", &three, &[])];
    let batch = BatchId::from_uuid(Uuid::from_u128(0x1234_5678_9abc));
    let directory = scratch.path().join("batch");
    let setup = Setup {
        batch,
        directory: directory.clone(),
        operator: operator.clone(),
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
    let journal = SqliteJournal::create(&directory, batch).unwrap();
    let engine = std::thread::spawn(move || run(world, journal, visitors));

    let (answer, answered) = sync_channel(1);
    let start = Request {
        request: "start-1".parse().unwrap(),
        actor: Actor::Operator("anna".parse().unwrap()),
        command: Command::Start { spec: Box::new(spec(batch, units)) },
        answer,
    };
    assert!(door.ask(start));
    assert_eq!(answered.recv_timeout(Duration::from_secs(60)).unwrap(), Reply::Accepted);
    let ending = engine.join().unwrap().unwrap();
    assert_eq!(ending, Some(Ending::Completed), "{}", told(&directory));

    // The work of all, in one branch; nobody's checkout was touched.
    let store = fs::read_dir(directory.join("repository")).unwrap().next().unwrap().unwrap().path();
    for (file, task) in [("one.txt", "TP-1"), ("two.txt", "TP-2"), ("three.txt", "TP-3")] {
        let content = git(&store, &["show", &format!("integration:{file}")]);
        assert_eq!(content.trim(), format!("first of {task}\nsecond of {task}"));
    }
    let merges = git(&store, &["log", "--first-parent", "--format=%s", "integration"]);
    let mut merges: Vec<&str> = merges.trim().lines().collect();
    assert_eq!(merges.pop(), Some("base"));
    let position = |task: &str| merges.iter().position(|merge| merge.ends_with(task)).unwrap();
    assert!(position("TP-2") < position("TP-1"), "what it needs was merged before: {merges:?}");
    let authors = git(&store, &["log", "--format=%an", "integration"]);
    assert!(authors.contains("Agent") && authors.contains("Hotcell"), "{authors}");
    assert_eq!(git(&operator, &["status", "--porcelain=v2", "--branch"]), before);
    for home in [one, two, three] {
        let mark = fs::read_to_string(home.join(".DONE")).unwrap();
        assert!(mark.contains(&batch.to_string()), "{mark}");
    }
    // No lane is left.
    let listed = hotcell().args(["--json", "workspace", "list"]).output().unwrap();
    assert!(!text(&listed.stdout).contains(&batch.to_string()), "{}", text(&listed.stdout));
}
