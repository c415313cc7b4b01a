//! Batches whose agents work on this host, in checkouts, run by the program.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agent_lab::model::{ScriptedModel, Step};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::engine::Scene;
use crate::support::*;

/// Tells that it runs, and with which variables: for an agent, or for whoever else.
const SPY: &str = "#!/bin/sh\n{ echo RUNS; env; } >> $(dirname $0)/${BATCH_TASK:-nobody}\n";

/// What an agent was given, and prints.
const KEY: &str = "hidden-4711-6e1d";

/// What the agents do: they leave processes behind, and settings of git that run programs,
/// and do one step in a turn. Whoever finds nothing waits until he may go on.
const AGENT: &str = r#"
set -eu
test "$(git rev-parse --show-toplevel)" = "$PWD"
test -z "$(git remote)"
test -n "$AGENTS_SECRET"
echo "the key is $AGENTS_SECRET"
file=$(sed -n 's/^Write: //p' $BATCH_PACKET/PROMPT.md)
marks=$(sed -n 's/^Marks: //p' $BATCH_PACKET/PROMPT.md)
setsid sleep 86399 > /dev/null 2>&1 &
git config filter.spy.clean "$marks/spy; cat"
git config core.fsmonitor $marks/spy
mkdir -p .git/hooks .git/info
cp $marks/spy .git/hooks/reference-transaction
sed -i "s,\$(dirname \$0),$marks," .git/hooks/reference-transaction
echo '* filter=spy' > .git/info/attributes
if ! grep -qs first $file; then
    echo "first of $BATCH_TASK" > $file
    if ! test -e $marks/go; then sleep 86398; fi
    git add --all; git commit --quiet --message "$BATCH_TASK: first"
    sed -i '0,/\[ \]/s//[x]/' $BATCH_PACKET/STATUS.md
else
    grep -q second $file || echo "second of $BATCH_TASK" >> $file
    sed -i 's/\[ \]/[x]/' $BATCH_PACKET/STATUS.md
fi
echo done
"#;

/// The processes that the agents leave behind.
fn left() -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_left = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(b"sleep\x0086399\0") || words.starts_with(b"sleep\x0086398\0")
    };
    pids.filter(is_left).collect()
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, |entries| entries.count())
}

#[test]
fn agents_in_checkouts_are_killed_with_their_engines_and_nothing_of_theirs_is_lost() {
    let mut scene = Scene::with(AGENT, "grep -q second *.txt");
    scene.variables.push(("AGENTS_SECRET", KEY.to_owned()));
    let configuration = scene.app().join(".hotcell/batch.toml");
    let said = fs::read_to_string(&configuration).unwrap();
    let table = "[agent]\nlane = \"worktree\"\ncredentials = [\"AGENTS_SECRET\"]\n";
    fs::write(&configuration, said.replace("[agent]\n", table)).unwrap();
    let marks = scene.app().with_file_name("marks");
    fs::create_dir(&marks).unwrap();
    fs::write(marks.join("spy"), SPY).unwrap();
    fs::set_permissions(marks.join("spy"), Permissions::from_mode(0o755)).unwrap();
    let line = format!("Marks: {}", marks.display());
    scene.packet("TP-1", "one.txt", "None", &line);
    scene.packet("TP-2", "two.txt", "TP-1", &line);
    let checkout = git(&scene.app(), &["status", "--porcelain", "--branch"]);

    // A repository does not decide that its programs run here.
    let refused = scene.batch(&["start"]);
    assert_code(&refused, 2);
    let why = text(&refused.stderr);
    assert!(why.contains("--on-host") && why.contains("Not kept apart: everything"), "{why}");
    let planned = scene.batch(&["plan"]);
    let told = [text(&planned.stdout), text(&planned.stderr)].concat();
    assert!(told.contains("agents work on this host"), "{told}");
    assert_eq!(count(&marks), 1, "nothing has run");

    let batch = scene.start(&["--on-host"]);
    let lanes = scene.directory(&batch).join("lanes");
    for _ in 0..2 {
        scene.until(&batch, "an agent is at work", || left().len() > 1);
        let said = scene.directory(&batch).join("agents");
        scene.until(&batch, "it is heard", || holds(&said, "the key is "));
        assert!(!holds(&scene.directory(&batch), KEY), "the key is in a file");
        kill_process(
            Pid::from_raw(scene.engine(&batch).unwrap().cast_signed()).unwrap(),
            Signal::KILL,
        )
        .unwrap();
        scene.until(&batch, "all ended with the engine", || {
            scene.engine(&batch).is_none() && left().is_empty()
        });
        // Work of an agent that was killed is captured by the next engine.
        assert!(count(&lanes) > 0);
        assert_code(&scene.batch(&["resume", &batch]), 0);
    }
    fs::write(marks.join("go"), "").unwrap();
    scene.until(&batch, "it is over", || scene.told(&["status", &batch])["state"] != "running");
    let status = scene.told(&["status", &batch]);
    assert_eq!(status["state"], "completed", "{}", scene.explain(&batch));
    assert_eq!(status["agent"]["lane"], "worktree");
    let store = scene.store(&batch);
    for (task, file) in [("TP-1", "one.txt"), ("TP-2", "two.txt")] {
        let content = git(&store, &["show", &format!("integration:{file}")]);
        assert_eq!(content.trim(), format!("first of {task}\nsecond of {task}"));
    }
    assert_eq!(git(&scene.app(), &["status", "--porcelain", "--branch"]), checkout);
    scene.until(&batch, "nothing is left", || {
        scene.engine(&batch).is_none() && left().is_empty() && count(&lanes) == 0
    });

    // git ran what the agents had put there, for themselves and for what captures, which has
    // none of their credentials; and never for anybody else.
    let ran = fs::read_to_string(marks.join("nobody")).unwrap();
    let with = |start: &str| ran.lines().filter(|line| line.starts_with(start)).count();
    assert!(with("RUNS") > 0, "the capture was tried");
    assert_eq!(with("RUNS"), with("GIT_CEILING_DIRECTORIES="), "{ran}");
    assert_eq!(with("AGENTS_SECRET"), 0, "{ran}");

    assert!(holds(&scene.directory(&batch).join("traces"), "[REDACTED:AGENTS_SECRET]"));
    assert!(!holds(&scene.directory(&batch), KEY), "the key is in a file");

    let diagnosis = scene.told(&["doctor", &batch]);
    let findings = diagnosis["findings"].as_array().unwrap();
    let is_warned = |one: &Value| one["subject"] == "isolation" && one["status"] == "warning";
    assert!(findings.iter().any(is_warned), "{diagnosis}");
}

/// Settings of Gemini's command line, which stands for all agents that speak the protocol.
const GEMINI: &str = r#"{"security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"disableAutoUpdate": true}, "privacy": {"usageStatisticsEnabled": false}}"#;

#[test]
fn any_agent_of_the_protocol_is_refused_a_cell_and_does_a_task_in_a_checkout() {
    let model = ScriptedModel::start(|results: &[String]| match results {
        [] => {
            let work = "echo second > one.txt && sed -i 's/\\[ \\]/[x]/' ../packet/STATUS.md";
            let call = json!({"command": work, "description": "Do all of it"});
            Step::Call("run_shell_command".into(), call)
        }
        [_] => Step::Call("reply".into(), json!({"to": "msg_1", "text": "It is left."})),
        _ => Step::Say("All is done.".into()),
    });
    let mut scene = Scene::with("", "grep -q second one.txt");
    let person = scene.app().with_file_name("person");
    fs::create_dir_all(person.join(".gemini")).unwrap();
    fs::write(person.join(".gemini/settings.json"), GEMINI).unwrap();
    scene.variables.extend([
        ("HOME", person.to_string_lossy().into_owned()),
        ("GEMINI_API_KEY", "scripted".to_owned()),
        ("GOOGLE_GEMINI_BASE_URL", model.url()),
        // Else it starts itself anew.
        ("GEMINI_CLI_NO_RELAUNCH", "true".to_owned()),
    ]);
    let names: Vec<&str> = scene.variables.iter().map(|(name, _)| *name).collect();
    let program = agent_lab::gemini();
    let command =
        [&*program.to_string_lossy(), "--acp", "--model", "gemini-2.5-pro", "--skip-trust"];
    let configuration = scene.app().join(".hotcell/batch.toml");
    let said = fs::read_to_string(&configuration).unwrap();
    let (before, after) = said.split_once("[agent]").unwrap();
    let (_, after) = after.split_once("[areas]").unwrap();
    let written = |lane: &str| {
        let agent = format!(
            "[agent]\nkind = \"acp\"\ncommand = {}\ncredentials = {}\n{lane}",
            json!(command),
            json!(names)
        );
        fs::write(&configuration, format!("{before}{agent}[areas]{after}")).unwrap();
    };
    scene.packet("TP-1", "one.txt", "None", "");
    written("");
    let refused = scene.batch(&["start"]);
    assert_code(&refused, 2);
    let why = text(&refused.stderr);
    assert!(why.contains("lane = \"worktree\"") && why.contains("nothing is known"), "{why}");

    written("lane = \"worktree\"\n");
    let batch = scene.start(&["--on-host"]);
    scene.until(&batch, "it is over", || scene.told(&["status", &batch])["state"] != "running");
    let status = scene.told(&["status", &batch]);
    assert_eq!(status["state"], "completed", "{}", scene.explain(&batch));
    let written = git(&scene.store(&batch), &["show", "integration:one.txt"]);
    assert_eq!(written.trim(), "second");
    let asked: String = model.requests().iter().map(Value::to_string).collect();
    assert!(asked.contains("You work on somebody's computer"), "the instructions arrive");
    assert!(asked.contains("no such message to answer"), "the engine heard it");
}

/// Nothing of this batch runs in a machine, and there is none.
#[test]
fn limits_of_the_configuration_are_told_and_hold() {
    let scene = Scene::with("echo at work; exit 3", "true");
    fs::remove_file(scene.home().join("environments")).unwrap();
    let configuration = scene.app().join(".hotcell/batch.toml");
    let said = fs::read_to_string(&configuration).unwrap();
    let said = said.replace("verify = [\"true\"]", "verify = []");
    let said = said.replace("[agent]\n", "[agent]\nlane = \"worktree\"\n");
    let limits = "[limits]\ntask_money = \"2.50 USD\"\nstall_timeout = \"1h 30m\"\nmax_retries = 0\n\
                  on_task_failure = \"stop-new\"\n";
    fs::write(&configuration, format!("{said}\n{limits}")).unwrap();
    scene.packet("TP-1", "one.txt", "None", "");
    scene.packet("TP-2", "two.txt", "None", "");
    let planned = scene.told(&["plan"]);
    assert_eq!(planned["limits"]["task"]["money_micros"], 2_500_000);
    let batch = scene.start(&["--on-host", "--lanes", "1"]);
    scene.until(&batch, "it is over", || scene.told(&["status", &batch])["state"] != "running");
    let status = scene.told(&["status", &batch]);
    assert_eq!(status["state"], "failed", "{status}");
    assert_eq!(status["limits"]["stall_timeout_ms"], 5_400_000);
    let mut states: Vec<&str> = status["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| unit["state"].as_str().unwrap())
        .collect();
    states.sort_unstable();
    assert_eq!(states, ["failed", "skipped"], "{status}");
    let times = |unit: &Value| unit["failures"][0]["times"].as_u64();
    let failed: Vec<u64> = status["units"].as_array().unwrap().iter().filter_map(times).collect();
    assert_eq!(failed, [1], "nothing was tried again");
    let hinted = text(&scene.batch(&["status", &batch]).stderr);
    for hint in [format!("batch traces {batch} --unit TP-1@app/1`"), format!("TP-1@app/1 {batch}`")]
    {
        assert!(hinted.contains(&hint), "{hinted}");
    }
    assert!(!hinted.contains("batch integrate"), "nothing is done: {hinted}");
    for reading in ["events", "traces"] {
        assert_code(&scene.batch(&[reading, &batch, "--unit", "TP-9"]), 113);
    }
}
