//! Messages to agents at work, and what agents say: with real workspaces, and agents that
//! are commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use batch::engine::{AgentSetup, Door, Request, Setup, World, door, run};
use batch::journal::SqliteJournal;
use batch_api::{BatchId, MessageId, WaitId};
use batch_core::decide::{Address, Command};
use batch_core::drive::fold;
use batch_core::fact::Reply;
use batch_core::mail::{MailKind, Receipt, Urgency};
use batch_core::state::{Ending, State};
use batch_core::unit::{Answer, Class, Phase, Reason};
use uuid::Uuid;
use workspace::{Engine, Settings};

use super::parts::{packet, spec, told, unit};
use crate::support::*;

/// What the agents do, by their task. Whoever says something waits until it is heard.
const AGENT: &str = r#"
set -eu
cd /packet
mkdir -p outbox
id() { sed -n "s/^\[\(msg_[0-9]*\)\] This $1 .*/\1/p" MESSAGES.md | head -n 1; }
say() { printf '%s\n\n%s\n' "$2" "$3" > outbox/.new; mv outbox/.new "outbox/$1"; }
heard() { while ! [ -e "answers/$1" ]; do sleep 0.2; done; }
check() { sed -i 's/\[ \]/[x]/' STATUS.md; }
file=$(sed -n 's/^Write: //p' PROMPT.md)
case $BATCH_TASK in
TP-1)
    if [ -n "$(id ruling)" ]; then
        grep -q '^> Red or blue?' MESSAGES.md
        tail -n 1 MESSAGES.md > "/workspace/$file"
        check
        say done "reply $(id ruling)" "It is so."
    elif grep -q 'ask about the colour' MESSAGES.md; then
        say asked "reply $(id steer)" "I ask."
        say asking escalate "Red or blue?"
        heard asking
        sleep 600
    elif [ -n "$(id steer)" ]; then
        say begun "reply $(id steer)" "I begin."
        heard begun
        sleep 4
    else
        sleep 1
    fi
    ;;
TP-2)
    echo two > "/workspace/$file"
    check
    mkdir -p .reviews
    case $(ls .reviews) in
    "") echo 'Verdict: REVISE' > .reviews/R001-code-step1.md ;;
    *) echo 'Verdict: APPROVE' > .reviews/R002-code-step1.md ;;
    esac
    ;;
TP-3)
    say cheeky "reply msg_99" "I answer what nobody asked."
    heard cheeky
    grep -q 'refused, there is no such message' answers/cheeky
    sleep 600
    ;;
TP-4)
    grep -q 'This info from operator:anna.*' MESSAGES.md && grep -q 'everybody knows' MESSAGES.md
    echo four > "/workspace/$file"
    check
    ;;
esac
"#;

/// A batch with its engine on a thread.
struct Scene {
    scratch: PathBuf,
    batch: BatchId,
    door: Door,
    asked: std::cell::Cell<u32>,
}

impl Scene {
    fn directory(&self) -> PathBuf {
        self.scratch.join("batch")
    }

    /// What the journal amounts to.
    fn state(&self) -> State {
        let mut journal = SqliteJournal::open(&self.directory(), self.batch).unwrap();
        fold(&mut journal, self.batch).unwrap().0
    }

    /// Waits until the journal amounts to something.
    fn until<T>(&self, what: &str, found: impl Fn(&State) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found(&self.state()) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "not {what}:\n{}", told(&self.directory()));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn ask(&self, actor: &str, command: Command) -> Reply {
        self.asked.set(self.asked.get() + 1);
        let request = format!("test-{}", self.asked.get()).parse().unwrap();
        let (answer, answered) = sync_channel(1);
        assert!(self.door.ask(Request { request, actor: actor.parse().unwrap(), command, answer }));
        answered.recv_timeout(PATIENCE).unwrap()
    }

    fn send(&self, to: Address, kind: MailKind, text: &str) -> MessageId {
        let (answers, urgent, expires) = (None, Urgency::Normal, None);
        let text = text.parse().unwrap();
        let command = Command::Send { to, kind, answers, urgent, expires, text };
        match self.ask("operator:anna", command) {
            Reply::Mailed { message } => message,
            other => panic!("{other:?}"),
        }
    }
}

fn to(task: &str) -> Address {
    Address::Unit(format!("{task}@app/1").parse().unwrap())
}

fn receipt(state: &State, message: MessageId, task: &str) -> Receipt {
    state.mail[&message].receipts[&format!("{task}@app/1").parse().unwrap()].clone()
}

fn phase(state: &State, task: &str) -> Option<Phase> {
    state.units.get(&format!("{task}@app/1").parse().unwrap()).map(|unit| unit.phase)
}

fn repository(scratch: &Path) -> PathBuf {
    let operator = scratch.join("app");
    fs::create_dir(&operator).unwrap();
    git(&operator, &["init", "--quiet", "--initial-branch=main"]);
    git(&operator, &["commit", "--quiet", "--allow-empty", "--message=base"]);
    operator
}

#[test]
fn messages_reach_agents_and_agents_are_answered_by_rulings() {
    let scratch = tempfile::tempdir().unwrap();
    let batch = BatchId::from_uuid(Uuid::now_v7());
    let setup = Setup {
        batch,
        directory: scratch.path().join("batch"),
        operator: repository(scratch.path()),
        base: "main".into(),
        environment: ENVIRONMENT.parse().unwrap(),
        agent: AgentSetup::guest(["sh", "-c", AGENT].map(str::to_owned).to_vec()),
        verify: Vec::new(),
    };
    let mut settings = Settings::from_environment(Some(program().to_owned())).unwrap();
    settings.home = home().to_owned();
    let cells = Arc::new(Engine::open(settings).unwrap());
    let (door, visitors) = door();
    let journal = SqliteJournal::create(&setup.directory, batch).unwrap();
    let world = World::new(setup, cells, door.clone()).unwrap();
    let engine = std::thread::spawn(move || run(world, journal, visitors));
    let scene = Scene { scratch: scratch.path().to_owned(), batch, door, asked: 0.into() };

    let packets = scratch.path().join("packets");
    let home = |task: &str, file: &str| packet(&packets, task, file);
    let mut spec = spec(
        batch,
        vec![
            unit("TP-1", &home("TP-1", "one.txt"), &[]),
            unit("TP-2", &home("TP-2", "two.txt"), &[]),
            unit("TP-3", &home("TP-3", "three.txt"), &[]),
            unit("TP-4", &home("TP-4", "four.txt"), &["TP-2"]),
        ],
    );
    spec.lanes = 3;
    let start = Command::Start { spec: Box::new(spec) };
    assert_eq!(scene.ask("operator:anna", start), Reply::Accepted);
    let begin = scene.send(to("TP-1"), MailKind::Steer, "begin");
    let all = scene.send(Address::Everyone, MailKind::Info, "everybody knows");
    assert_eq!(scene.state().mail[&all].receipts.len(), 4, "one that starts later is among them");

    // The first is answered in the middle of a turn, and the second comes after it.
    scene.until("answered", |state| {
        (receipt(state, begin, "TP-1") == Receipt::Answered).then_some(())
    });
    let colour = scene.send(to("TP-1"), MailKind::Steer, "ask about the colour");
    let (wait, question) = scene.until("asked", |state| {
        state.waits.values().find_map(|open| match open.wait.reason {
            Reason::Escalated { message } => Some((open.wait.id, message)),
            _ => None,
        })
    });
    let state = scene.until("stopped, and heard", |state| {
        let is_at_rest = phase(state, "TP-1") == Some(Phase::Resting);
        (is_at_rest && receipt(state, colour, "TP-1") == Receipt::Answered).then(|| state.clone())
    });
    assert_eq!(state.mail[&question].message.text.as_str(), "Red or blue?");
    assert_eq!(state.mail[&question].message.from.to_string(), "agent:TP-1@app/1#1:worker");
    let rule = |wait: WaitId, actor: &str| {
        let (unit, answer) = (Some("TP-1@app/1".parse().unwrap()), Answer::Go);
        scene.ask(actor, Command::Rule { wait, unit, answer, text: "blue".parse().unwrap() })
    };
    assert!(matches!(rule(WaitId::numbered(99), "operator:anna"), Reply::Refused { .. }));
    assert!(matches!(rule(wait, "agent:TP-1@app/1#1:worker"), Reply::Refused { .. }));
    assert!(matches!(rule(wait, "supervisor:night"), Reply::Mailed { .. }));

    // One that does nothing more is stopped by a message.
    scene.until("at work", |state| (phase(state, "TP-3") == Some(Phase::Working)).then_some(()));
    let abort = scene.send(to("TP-3"), MailKind::Abort, "not needed");
    assert_eq!(receipt(&scene.state(), abort, "TP-3"), Receipt::Answered);

    assert_eq!(
        engine.join().unwrap().unwrap(),
        Some(Ending::Partial),
        "{}",
        told(&scene.directory())
    );
    let state = scene.state();
    for task in ["TP-1", "TP-2", "TP-4"] {
        assert_eq!(phase(&state, task), Some(Phase::Done), "{}", told(&scene.directory()));
        assert!(matches!(receipt(&state, all, task), Receipt::Seen { .. }), "{task}");
    }
    assert_eq!(phase(&state, "TP-3"), Some(Phase::Failed { class: Class::Aborted }));
    let stores = fs::read_dir(scene.directory().join("repository")).unwrap();
    let store = stores.flatten().next().unwrap().path();
    assert_eq!(git(&store, &["show", "integration:one.txt"]).trim(), "blue");
    // What reads Taskplane's files is told the same.
    let taskplane = scene.directory().join("taskplane");
    let told_state = fs::read(taskplane.join("batch-state.json")).unwrap();
    let told_state: serde_json::Value = serde_json::from_slice(&told_state).unwrap();
    assert_eq!((&told_state["succeededTasks"], &told_state["failedTasks"]), (&3.into(), &1.into()));
    let events = fs::read_to_string(taskplane.join("events.jsonl")).unwrap();
    assert!(events.lines().last().unwrap().contains(r#""type":"batch_complete""#), "{events}");
    // It was complete but for its reviews, and was kept from ending.
    let journal = told(&scene.directory());
    assert!(journal.contains(r#"{"steps":2,"checked":2,"revise":1}"#), "{journal}");
}
