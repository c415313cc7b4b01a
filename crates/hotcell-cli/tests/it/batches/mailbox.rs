//! Messages to agents at work, and what agents say: by the program alone, with real
//! workspaces, and agents that are commands.

use std::fs;

use serde_json::Value;

use super::engine::Scene;
use crate::support::*;

/// What the agents do, by their task. Whoever says something waits until it is heard.
const AGENT: &str = r#"
set -eu
cd /packet
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
    elif [ -n "$(id steer)" ] && ! [ -e late ]; then
        # It answers in a later turn, which is told again.
        touch late
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

impl Scene {
    fn send(&self, arguments: &[&str]) -> String {
        let sent = self.told(&[&["send"], arguments].concat());
        sent["message"].as_str().unwrap().to_owned()
    }

    /// What was said to messages of ours.
    fn replies(&self) -> Vec<Value> {
        self.told(&["replies"])["replies"].as_array().unwrap().clone()
    }

    fn inbox(&self, part: &str) -> Vec<Value> {
        self.told(&["inbox"])[part].as_array().unwrap().clone()
    }
}

#[test]
fn messages_reach_agents_and_agents_are_answered_by_rulings() {
    let scene = Scene::with(AGENT, "true");
    for (task, file, after) in [
        ("TP-1", "one.txt", "None"),
        ("TP-2", "two.txt", "None"),
        ("TP-3", "three.txt", "None"),
        ("TP-4", "four.txt", "TP-2"),
    ] {
        scene.packet(task, file, after, "");
    }
    let batch = scene.start(&[]);
    let begin = scene.send(&["TP-1", "begin", "--request-id", "m-1"]);
    let again = scene.send(&["TP-1", "begin", "--request-id", "m-1"]);
    assert_eq!(begin, again, "repeated, it is the same message");
    let all = scene.told(&["broadcast", "everybody knows"]);
    let to = |unit: &str| all["units"].as_array().unwrap().contains(&unit.into());
    assert!(to("TP-1@app/1") && to("TP-4@app/1"), "one that starts later is among them: {all}");
    let late = scene.send(&["TP-4", "too late", "--kind", "info", "--expires", "1ms"]);
    scene.send(&["supervisor", "look here", "--kind", "query"]);

    // The first is answered in the middle of a turn, and the second comes after it.
    scene.until(&batch, "it replies", || {
        scene.replies().iter().any(|reply| reply["answers"] == *begin)
    });
    let status = scene.status();
    let units = status["units"].as_array().unwrap();
    let asked = units.iter().find(|unit| unit["id"] == "TP-1@app/1").unwrap();
    assert_eq!(asked["contexts"], 1, "what is in force is told with every turn: {asked}");
    let colour = scene.send(&["TP-1:worker", "ask about the colour"]);
    scene.until(&batch, "it asks", || !scene.inbox("waits").is_empty());
    // Whoever follows it is told that somebody has to answer.
    let followed = scene.batch(&["status", "--follow"]);
    assert_code(&followed, 114);
    let told = text(&followed.stdout);
    assert!(told.contains("wait_1: TP-1@app/1 waits for "), "{told}");
    let wait = &scene.inbox("waits")[0];
    assert_eq!(wait["message"]["text"], "Red or blue?");
    assert_eq!(wait["message"]["from"], "agent:TP-1@app/1#1:worker");
    assert_eq!((&wait["unit"], &wait["default"]), (&"TP-1@app/1".into(), &"give up".into()));
    scene.until(&batch, "what it said last is heard", || {
        scene.replies().iter().any(|reply| reply["answers"] == *colour)
    });
    assert_code(&scene.batch(&["answer", "wait_99", "go", "x"]), 113);
    assert_code(&scene.batch(&["send", "TP-1", "x", "--kind", "ruling"]), 2);
    assert_code(&scene.batch(&["send", "TP-1:reviewer", "x"]), 113);
    let wait = wait["id"].as_str().unwrap();
    let answer = ["answer", wait, "go", "blue", "--request-id", "r-1"];
    let answered = scene.told(&answer);
    assert_eq!(scene.told(&answer), answered, "repeated, it gets the first answer");

    // One that does nothing more is stopped by a message, and what it was asked is dead.
    scene.until(&batch, "it works", || scene.state_of("TP-3") == "working");
    let query = scene.send(&["TP-3", "how far are you?", "--kind", "query"]);
    let abort = scene.batch(&["send", "TP-3", "not needed", "--kind", "abort"]);
    assert!(text(&abort.stdout).contains("TP-3@app/1 is stopped"), "{}", text(&abort.stdout));
    scene.until(&batch, "it ends", || scene.status()["state"] == "partial");

    for task in ["TP-1", "TP-2", "TP-4"] {
        assert_eq!(scene.state_of(task), "done", "{}", scene.explain(&batch));
    }
    let store = scene.store(&batch);
    assert_eq!(git(&store, &["show", "integration:one.txt"]).trim(), "blue");
    let lost = scene.inbox("undelivered");
    let fate = |message: &str| {
        let one = lost.iter().find(|one| one["message"]["id"] == *message);
        one.map(|one| one["fate"].as_str().unwrap())
    };
    assert_eq!((fate(&late), fate(&query)), (Some("expired"), Some("dead")), "{lost:?}");
    let desk = scene.told(&["inbox", "--desk", "supervisor"]);
    assert_eq!(desk["messages"][0]["text"], "look here");
    // Whoever follows a batch that is over is told everything once.
    let followed = scene.batch(&["replies", "--follow", &batch]);
    assert_code(&followed, 0);
    let followed = text(&followed.stdout);
    assert_eq!(followed.matches("reply from agent:").count(), 3, "{followed}");
    let mine = scene.replies();
    let after = mine[0]["id"].as_str().unwrap();
    let later = scene.told(&["replies", "--after", after]);
    assert_eq!(later["replies"], Value::Array(mine[1..].to_vec()));

    // It was complete but for its reviews, and was kept from ending.
    let journal = scene.explain(&batch);
    assert!(journal.contains(r#"{"steps":2,"checked":2,"revise":1}"#), "{journal}");
    // What reads Taskplane's files is told the same, wherever they are wanted.
    let taskplane = scene.directory(&batch).join("taskplane");
    let state = fs::read(taskplane.join("batch-state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    assert_eq!((&state["succeededTasks"], &state["failedTasks"]), (&3.into(), &1.into()));
    let events = fs::read_to_string(taskplane.join("events.jsonl")).unwrap();
    assert!(events.lines().last().unwrap().contains(r#""type":"batch_complete""#), "{events}");
    scene.told(&["export", ".pi"]);
    let exported = |name: &str| fs::read(scene.app().join(".pi").join(name)).unwrap();
    assert_eq!(exported("events.jsonl"), events.into_bytes());
    assert_eq!(exported("batch-state.json"), fs::read(taskplane.join("batch-state.json")).unwrap());
    fs::write(scene.app().join(".pi/batch-state.json"), r#"{"batchId": "20260101T000000"}"#)
        .unwrap();
    assert_code(&scene.batch(&["export", ".pi"]), 114);
}
