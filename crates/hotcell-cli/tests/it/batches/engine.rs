//! Batches, run by the program: with real workspaces, a real repository, and agents that
//! are commands. Nothing here knows an engine but by what the program says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::support::*;

/// What the agents do: read the packet, look how far it is, do one step, commit the
/// first and leave the second, and check the boxes of what is there. Contexts may end
/// anywhere, so none of them trusts that an earlier one did what it began. A packet may
/// tell them to wait.
const AGENT: &str = r#"
set -eu
file=$(sed -n 's/^Write: //p' $BATCH_PACKET/PROMPT.md)
git config user.name Agent; git config user.email agent@example.org
if ! grep -qs first $file; then
    echo "first of $BATCH_TASK" > $file
    if grep -q '^Wait' $BATCH_PACKET/PROMPT.md; then sleep 10000; fi
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

/// A repository with packets, and a home that shares what was prepared.
pub(super) struct Scene {
    scratch: tempfile::TempDir,
    /// What whoever uses the program has in the environment besides.
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Scene {
    /// A repository that can start batches, in which nothing is to be done yet.
    fn new() -> Self {
        Self::with(AGENT, VERIFY)
    }

    /// One with other agents, and other things that have to hold.
    pub(super) fn with(agent: &str, verify: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        sharing_home(scratch.path(), &["environments", "kernels", "initrds", "templates"]);
        let scene = Self { scratch, variables: Vec::new() };
        fs::create_dir_all(scene.app().join(".hotcell")).unwrap();
        fs::create_dir_all(scene.app().join("tasks")).unwrap();
        git(&scene.app(), &["init", "--quiet", "--initial-branch=main"]);
        let text = |text: &str| serde_json::to_string(text).unwrap();
        let configuration = format!(
            "version = 1\nlanes = 2\nenvironment = \"{ENVIRONMENT}\"\nbase = \"main\"\n\
             verify = [{}]\n[agent]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", {}]\n\
             [areas]\ntasks = \"tasks\"\n",
            text(verify),
            text(agent)
        );
        fs::write(scene.app().join(".hotcell/batch.toml"), configuration).unwrap();
        fs::write(scene.app().join(".gitignore"), "/tasks\n/.hotcell\n").unwrap();
        fs::write(scene.app().join("base"), "base\n").unwrap();
        git(&scene.app(), &["add", "--all"]);
        git(&scene.app(), &["commit", "--quiet", "--message=base"]);
        scene
    }

    pub(super) fn app(&self) -> PathBuf {
        self.scratch.path().join("app")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    pub(super) fn directory(&self, batch: &str) -> PathBuf {
        self.home().join("batches").join(batch)
    }

    fn home_of(&self, task: &str) -> PathBuf {
        self.app().join("tasks").join(format!("{task}-write"))
    }

    /// A packet that wants a file written, with a line for its agent.
    pub(super) fn packet(&self, task: &str, file: &str, after: &str, line: &str) {
        let home = self.home_of(task);
        fs::create_dir_all(&home).unwrap();
        let prompt = format!(
            "# Task: {task} - Write a file\n\n**Size:** S\n\n## Dependencies\n\n- {after}\n\n\
             ## File Scope\n\n- `{file}`\n\n## Mission\n\nWrite: {file}\n{line}\n\n\
             ## Steps\n\n### Step 1: Begin\n\n- [ ] It is there\n\n\
             ### Step 2: Go on\n\n- [ ] It is whole\n"
        );
        fs::write(home.join("PROMPT.md"), prompt).unwrap();
    }

    /// Three tasks, of which the second waits for the first.
    fn three(&self) {
        for (task, file, after) in TASKS {
            self.packet(task, file, after, "");
        }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = hotcell_in(&self.home());
        command.arg("batch").args(arguments).current_dir(self.app());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(super) fn batch(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    pub(super) fn told(&self, arguments: &[&str]) -> Value {
        let output = self.batch(&[arguments, &["--json"]].concat());
        assert_code(&output, 0);
        json(&output)
    }

    /// Starts a batch from a terminal that is then closed, with all that runs in it.
    pub(super) fn start(&self, arguments: &[&str]) -> String {
        let mut command = self.command(&[&["start", "--id-only"], arguments].concat());
        let terminal = command.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let group = Pid::from_child(&terminal);
        let output = terminal.wait_with_output().unwrap();
        assert_code(&output, 0);
        // Whatever stayed in its group would die here.
        let _ = kill_process_group(group, Signal::KILL);
        text(&output.stdout).trim().to_owned()
    }

    pub(super) fn status(&self) -> Value {
        self.told(&["status"])
    }

    /// What a unit does, in the words of the status.
    pub(super) fn state_of(&self, task: &str) -> String {
        let status = self.status();
        let units = status["units"].as_array().unwrap();
        let is_it = |unit: &&Value| unit["id"].as_str().unwrap().starts_with(&format!("{task}@"));
        units.iter().find(is_it).unwrap()["state"].as_str().unwrap().to_owned()
    }

    /// Waits until a batch is somewhere, and says why it is not if it never is.
    #[track_caller]
    pub(super) fn until(&self, batch: &str, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !is_so() {
            assert!(std::time::Instant::now() < deadline, "{what}: {}", self.explain(batch));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What journal and log say, for somebody who has to understand why.
    pub(super) fn explain(&self, batch: &str) -> String {
        let directory = self.directory(batch);
        let journal = rusqlite::Connection::open(directory.join("journal.sqlite")).unwrap();
        let mut lines = journal.prepare("SELECT text FROM lines ORDER BY sequence").unwrap();
        let lines = lines.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let log = fs::read_to_string(directory.join("engine.log")).unwrap_or_default();
        format!("{}\n{log}", lines.map(Result::unwrap).collect::<Vec<_>>().join("\n"))
    }

    /// The engine's process.
    pub(super) fn engine(&self, batch: &str) -> Option<u32> {
        processes_of(&self.directory(batch)).into_iter().find(|pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            text(&words).contains(&format!("batch-engine\0{batch}"))
        })
    }

    /// Waits until there is a file in some lane.
    #[track_caller]
    fn until_written(&self, batch: &str, file: &str) {
        let in_home = |arguments: &[&str]| {
            hotcell_in(&self.home()).arg("workspace").args(arguments).output().unwrap()
        };
        self.until(batch, file, || {
            text(&in_home(&["list", "--id-only"]).stdout)
                .lines()
                .any(|lane| in_home(&["exec", lane, "--", "test", "-s", file]).status.success())
        });
    }

    pub(super) fn store(&self, batch: &str) -> PathBuf {
        let stores = fs::read_dir(self.directory(batch).join("repository")).unwrap();
        let stores: Vec<PathBuf> = stores.map(|entry| entry.unwrap().path()).collect();
        let [store] = &*stores else { panic!("{stores:?}") };
        store.clone()
    }

    /// That the work of all is in one branch, each once, and nothing else is left.
    fn assert_done(&self, batch: &str, before: &str) {
        let store = self.store(batch);
        for (task, file, _) in TASKS {
            let content = git(&store, &["show", &format!("integration:{file}")]);
            assert_eq!(content.trim(), format!("first of {task}\nsecond of {task}"));
            let mark = fs::read_to_string(self.home_of(task).join(".DONE")).unwrap();
            assert!(mark.contains(batch) && mark.starts_with("Completed: 20"), "{mark}");
        }
        let merges = git(&store, &["log", "--first-parent", "--format=%s", "integration"]);
        let mut merges: Vec<&str> = merges.trim().lines().collect();
        assert_eq!(merges.pop(), Some("base"));
        assert_eq!(merges.len(), TASKS.len(), "{merges:?}");
        let position = |task: &str| merges.iter().position(|merge| merge.ends_with(task)).unwrap();
        assert!(position("TP-2") < position("TP-1"), "what it needs was merged before: {merges:?}");
        let authors = git(&store, &["log", "--format=%an", "integration"]);
        assert!(authors.contains("Agent") && authors.contains("Hotcell"), "{authors}");
        git(&store, &["fsck", "--strict"]);
        assert_eq!(self.checkout(), before);
        let listed = hotcell_in(&self.home()).args(["--json", "workspace", "list"]).output();
        assert_eq!(json(&listed.unwrap())["workspaces"], Value::Array(vec![]));
    }

    /// That what has happened can be read in pages, and that nothing is wrong.
    fn assert_told(&self) {
        let events = |arguments: &[&str]| self.told(&[&["events"], arguments].concat());
        let first = events(&["--after", "0", "--limit", "3"]);
        let sequences = |events: &Value| -> Vec<u64> {
            let events = events["events"].as_array().unwrap();
            events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
        };
        assert_eq!(sequences(&first), [1, 2, 3]);
        let next = events(&["--after", &first["next_after"].to_string(), "--limit", "2"]);
        assert_eq!(sequences(&next), [4, 5]);
        let of_one = events(&["--unit", "TP-2", "--limit", "1000"]);
        let of_one = of_one["events"].as_array().unwrap();
        assert!(of_one.iter().all(|event| event["unit"] == "TP-2@app/1"));
        assert_eq!(of_one.last().unwrap()["text"], "is done");
        let diagnosis = self.told(&["doctor"]);
        let findings = diagnosis["findings"].as_array().unwrap();
        assert!(findings.iter().all(|finding| finding["status"] == "good"), "{diagnosis}");
    }

    /// That what was printed is kept apart from the journal, and may be hidden and removed.
    fn assert_traced(&self, batch: &str) {
        let listed = || self.told(&["traces", batch])["traces"].as_array().unwrap().clone();
        let of_verification = |trace: &&Value| trace["kind"] == "verification";
        let all = listed();
        let found: Vec<&Value> = all.iter().filter(of_verification).collect();
        assert!(found.len() >= TASKS.len(), "{all:?}");
        let name = found[0]["trace"].as_str().unwrap();
        let shown = |name: &str| self.told(&["trace", name, batch]);
        let text = |shown: &Value| shown["text"].as_str().unwrap().to_owned();
        assert!(text(&shown(&name[..20])).ends_with("exit code 0\n"), "{}", shown(name));
        assert_eq!(shown(name)["state"], "kept");

        let mut redact = self.command(&["redact", "HIDDEN", "--yes", "--json"]);
        let redacted = redact.env("HIDDEN", "exit code 0").output().unwrap();
        assert_code(&redacted, 0);
        assert!(json(&redacted)["traces"].as_u64().unwrap() >= 1);
        assert_eq!(shown(name)["state"], "redacted");
        assert!(text(&shown(name)).ends_with("[REDACTED:HIDDEN]\n"), "{}", shown(name));

        assert_code(&self.batch(&["prune", "--yes"]), 2);
        let pruned = self.told(&["prune", "--trace", name, "--yes"]);
        assert_eq!(pruned["traces"], 1);
        assert_eq!((&shown(name)["state"], &*text(&shown(name))), (&"pruned".into(), ""));
        self.told(&["prune", "--older-than", "1ms", "--yes"]);
        assert!(listed().iter().all(|trace| trace["state"] == "pruned"), "{:?}", listed());
        let unknown = self.batch(&["trace", "sha256:0000000000000000", batch]);
        assert_code(&unknown, 113);
        // The chain is whole without them.
        let diagnosis = self.told(&["doctor"]);
        let findings = diagnosis["findings"].as_array().unwrap();
        assert!(findings.iter().all(|finding| finding["status"] == "good"), "{diagnosis}");
        assert!(findings.iter().any(|finding| finding["subject"] == "traces"), "{diagnosis}");
    }

    /// That the work can be brought where it is wanted, in each way, and nothing else
    /// is touched.
    fn assert_integrated(&self, batch: &str) {
        let (app, tip) = (self.app(), git(&self.store(batch), &["rev-parse", "integration"]));
        let at = |directory: &Path, name: &str| git(directory, &["rev-parse", name]);
        git(&app, &["branch", "release"]);
        fs::write(app.join("one.txt"), "somebody's own\n").unwrap();
        assert_code(&self.batch(&["integrate"]), 114);
        assert_eq!(fs::read_to_string(app.join("one.txt")).unwrap(), "somebody's own\n");
        fs::remove_file(app.join("one.txt")).unwrap();
        let forward = self.told(&["integrate", "--request-id", "home"]);
        assert_eq!((forward["into"].as_str(), forward["done"].as_u64()), (Some("main"), Some(3)));
        assert_eq!(at(&app, "main"), tip);
        assert!(app.join("one.txt").exists(), "the checkout is brought along");
        assert_eq!(self.told(&["integrate"])["commit"], Value::Null, "it is there already");
        let again = self.told(&["integrate", "--request-id", "home"]);
        assert_eq!(again, forward, "a repeated request gets the first answer");
        let other = self.batch(&["integrate", "--request-id", "home", "--into", "release"]);
        assert_code(&other, 114);
        let events = self.batch(&["events", "--limit", "1000"]);
        let events = text(&events.stdout);
        let asked = format!("request home: {:.12} is to be brought to main", tip.trim());
        assert!(events.contains(&asked) && events.contains("the work is there"), "{events}");

        // A branch that has moved on is merged into, without being checked out.
        let base = git(&app, &["rev-parse", "release^{tree}"]);
        let extra = git(&app, &["commit-tree", base.trim(), "-p", "release", "-m", "meanwhile"]);
        git(&app, &["update-ref", "refs/heads/release", extra.trim()]);
        assert_code(&self.batch(&["integrate", "--into", "release"]), 114);
        self.told(&["integrate", "--way", "merge", "--into", "release"]);
        let log = git(&app, &["log", "--format=%s", "release"]);
        assert!(log.contains("meanwhile") && log.contains("TP-2"), "{log}");
        assert_eq!(git(&app, &["symbolic-ref", "--short", "HEAD"]), "main\n");

        let remote = self.scratch.path().join("remote.git");
        git(self.scratch.path(), &["init", "--quiet", "--bare", "remote.git"]);
        assert_code(&self.batch(&["integrate", "--way", "push"]), 113);
        git(&app, &["remote", "add", "origin", &remote.to_string_lossy()]);
        self.told(&["integrate", "--way", "push", "--branch", "agents/night"]);
        assert_eq!(at(&remote, "agents/night"), tip);
        assert_eq!(git(&remote, &["branch", "--format=%(refname:short)"]), "agents/night\n");
        self.assert_integrated_after_a_death(batch, &remote);
        assert_eq!(at(&remote, "agents/late"), tip);
    }

    /// That an engine may die while it pushes: whoever waits has another one find out.
    fn assert_integrated_after_a_death(&self, batch: &str, remote: &Path) {
        let (hook, go) = (remote.join("hooks/pre-receive"), remote.join("go"));
        let slow = format!("#!/bin/sh\nuntil test -e {}; do sleep 0.1; done\n", go.display());
        fs::write(&hook, slow).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let late = ["integrate", "--way", "push", "--branch", "agents/late", "--json"];
        let pushing = self.command(&late).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let events = || text(&self.batch(&["events", "--limit", "1000"]).stdout);
        let mut engine = None;
        self.until(batch, "an engine pushes", || {
            engine = self.engine(batch);
            let is_begun = events().lines().any(|line| {
                line.contains(": integrate ") && line.ends_with("to agents/late of origin")
            });
            is_begun && engine.is_some()
        });
        kill(engine.unwrap());
        fs::write(go, "").unwrap();
        let pushed = pushing.unwrap().wait_with_output().unwrap();
        assert_code(&pushed, 0);
        assert_eq!(json(&pushed)["remote"], "origin");
        let events = events();
        assert!(events.contains("nobody knows; looked up"), "{events}");
    }

    /// What the operator sees.
    fn checkout(&self) -> String {
        git(&self.app(), &["status", "--porcelain=v2", "--branch"])
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.home().join("batches")).into_iter().flatten().flatten() {
            let batch = entry.file_name().into_string().unwrap();
            self.engine(&batch).into_iter().for_each(kill);
        }
        let listed = hotcell_in(&self.home()).args(["workspace", "list", "--id-only"]).output();
        for id in text(&listed.unwrap().stdout).lines() {
            let _ = hotcell_in(&self.home()).args(["--yes", "workspace", "delete", id]).output();
        }
    }
}

/// The tasks, the files that they write, and what has to be merged before.
const TASKS: [(&str, &str, &str); 3] =
    [("TP-1", "one.txt", "None"), ("TP-2", "two.txt", "TP-1"), ("TP-3", "three.txt", "None")];

#[test]
fn three_tasks_become_one_branch_after_the_terminal_was_closed() {
    let scene = Scene::new();
    scene.three();
    let before = scene.checkout();
    let batch = scene.start(&["--request-id", "night"]);
    assert_eq!(scene.start(&["--request-id", "night"]), batch, "repeated, it is the same batch");
    let other = scene.batch(&["start", "tasks/TP-1-write", "--request-id", "night"]);
    assert_code(&other, 114);
    assert_eq!(scene.status()["engine"], "alive");
    let followed = scene.batch(&["status", "--follow", "--json"]);
    assert_code(&followed, 0);
    let lines: Vec<Value> =
        text(&followed.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (result, changes) = lines.split_last().unwrap();
    assert_eq!(
        (&result["state"], &result["followed_until"]),
        (&"completed".into(), &"over".into())
    );
    let news: String = changes.iter().map(|change| change["news"].to_string()).collect();
    assert!(news.contains("TP-3@app/1") && news.contains("the batch is completed"), "{news}");
    let followed = scene.batch(&["events", "--follow"]);
    assert_code(&followed, 0);
    assert!(text(&followed.stdout).contains("the batch is over: all is done"));
    assert_eq!(scene.status()["state"], "completed", "{}", scene.explain(&batch));
    scene.assert_done(&batch, &before);
    scene.until(&batch, "its engine ends", || scene.engine(&batch).is_none());
    scene.assert_told();
    scene.assert_traced(&batch);
    scene.assert_integrated(&batch);
    assert_eq!(scene.start(&["--request-id", "night"]), batch, "whatever became of it");
    let listed = scene.told(&["list"]);
    assert_eq!(listed["batches"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["batches"][0]["done"], 3);
    assert_eq!(scene.told(&["list", "--open"])["batches"], Value::Array(vec![]));
    let again = scene.batch(&["start"]);
    assert_code(&again, 114);
    assert!(text(&again.stderr).contains("3 tasks are done"), "{}", text(&again.stderr));
}

/// How often the engine is killed.
const KILLS: u32 = 5;

/// How far each engine comes before that, in records of the journal: further than taking
/// over, however slow the machine is.
const RECORDS: u64 = 20;

#[test]
fn engines_that_are_killed_come_to_the_same_branch() {
    let scene = Scene::new();
    scene.three();
    let before = scene.checkout();
    let batch = scene.start(&[]);
    let mut killed = 0;
    while killed < KILLS {
        let begun = scene.status()["sequence"].as_u64().unwrap();
        let mut status = scene.status();
        scene.until(&batch, "it comes further", || {
            status = scene.status();
            let is_further = status["sequence"].as_u64().unwrap() >= begun + RECORDS;
            is_further || status["state"] == "completed"
        });
        let Some(engine) = scene.engine(&batch) else { break };
        kill(engine);
        scene.until(&batch, "it dies", || scene.engine(&batch) != Some(engine));
        if scene.status()["state"] == "completed" {
            break;
        }
        killed += 1;
        assert_eq!(scene.status()["engine"], "gone");
        let resumed = scene.told(&["resume"]);
        assert_eq!(resumed["outcome"], "started", "{resumed}");
        assert_eq!(scene.told(&["resume"])["outcome"], "alive", "there is one engine");
    }
    assert!(killed > 0);
    scene.until(&batch, "it ends", || scene.status()["state"] == "completed");
    scene.assert_done(&batch, &before);
}

#[test]
fn a_batch_is_paused_resumed_and_aborted_and_its_units_are_skipped_and_tried_again() {
    let scene = Scene::new();
    scene.packet("TP-1", "one.txt", "None", "");
    scene.packet("TP-2", "two.txt", "TP-1", "Wait");
    scene.packet("TP-3", "three.txt", "TP-2", "");
    let before = scene.checkout();
    let batch = scene.start(&[]);

    let pause = ["pause", "--request-id", "p-1"];
    let paused = scene.told(&pause);
    assert_eq!(scene.status()["state"], "paused");
    assert_eq!(scene.told(&["resume"])["outcome"], "alive");
    assert_eq!(scene.status()["state"], "running");
    assert_eq!(scene.told(&pause), paused, "repeated, it gets the first answer");
    assert_eq!(scene.status()["state"], "running", "and does nothing");
    let reused = scene.batch(&["abort", "--request-id", "p-1"]);
    assert_code(&reused, 114);
    let mut unknown = scene.batch(&["skip", "TP-9"]);
    assert_code(&unknown, 113);
    unknown = scene.batch(&["retry", "TP-3"]);
    assert_code(&unknown, 114);

    scene.until_written(&batch, "two.txt");
    assert_eq!(scene.state_of("TP-2"), "working");
    scene.told(&["skip", "TP-2", &batch]);
    scene.until(&batch, "it ends", || scene.status()["state"] == "partial");
    assert_eq!(scene.state_of("TP-3"), "skipped", "what it needs is missing");
    let captures = git(&scene.store(&batch), &["for-each-ref", "--format=%(refname)"]);
    assert!(captures.contains("/TP-2/"), "what it had done is captured: {captures}");
    scene.until(&batch, "its engine ends", || scene.engine(&batch).is_none());
    let over = scene.batch(&["resume"]);
    assert_code(&over, 114);

    // An engine is started for it, which finds everything over but this.
    scene.packet("TP-2", "two.txt", "TP-1", "");
    scene.told(&["retry", "TP-2"]);
    scene.until(&batch, "all is done", || scene.status()["state"] == "completed");
    let hinted = text(&scene.batch(&["status"]).stderr);
    assert!(hinted.contains(&format!("`hotcell batch integrate {batch}`")), "{hinted}");
    assert_eq!(scene.checkout(), before);
    let integrated = git(&scene.store(&batch), &["ls-tree", "--name-only", "integration"]);
    assert!(integrated.contains("two.txt") && integrated.contains("three.txt"), "{integrated}");

    // One task is started as a hundred are.
    scene.packet("TP-4", "four.txt", "None", "Wait");
    let second = scene.start(&["tasks/TP-4-write/PROMPT.md"]);
    scene.until_written(&second, "four.txt");
    let third = scene.told(&["start", "tasks/TP-4-write"]);
    let remark = &third["remarks"][0];
    assert_eq!(remark["file"], "tasks/TP-4-write");
    assert!(remark["message"].as_str().unwrap().contains(&second), "{third}");
    for batch in [third["id"].as_str().unwrap(), &second] {
        scene.told(&["abort", batch]);
        let state = || scene.told(&["status", batch])["state"].clone();
        scene.until(batch, "it ends", || state() == "failed");
    }
    let captures = git(&scene.store(&second), &["for-each-ref", "--format=%(refname)"]);
    let captured = captures.lines().find(|name| name.ends_with("/hotcell/work")).unwrap();
    let content = git(&scene.store(&second), &["show", &format!("{captured}:four.txt")]);
    assert_eq!(content, "first of TP-4\n");
    assert_code(&scene.batch(&["status", "bat_"]), 2);
    assert_code(&scene.batch(&["status", &batch[..24]]), 0);
}

#[test]
fn a_start_that_was_killed_leaves_a_batch_that_can_be_resumed() {
    let scene = Scene::new();
    scene.packet("TP-1", "one.txt", "None", "Wait");
    let batch = scene.start(&["--request-id", "night"]);
    let engine = scene.engine(&batch).unwrap();
    kill(engine);
    scene.until(&batch, "it dies", || scene.engine(&batch).is_none());
    // As a start leaves it that was killed before it had started the engine.
    for entry in fs::read_dir(scene.directory(&batch)).unwrap() {
        let entry = entry.unwrap();
        match entry.file_name().to_str().unwrap() {
            "setup.json" => {}
            // A git that the engine had started may still write to it.
            "repository" => scene
                .until(&batch, "the store is removed", || fs::remove_dir_all(entry.path()).is_ok()),
            _ => fs::remove_file(entry.path()).unwrap(),
        }
    }
    let status = scene.status();
    assert_eq!((&status["state"], &status["engine"]), (&"new".into(), &"never".into()));
    assert_eq!(status["units"].as_array().unwrap().len(), 1);
    assert!(text(&scene.batch(&["status"]).stderr).contains("batch resume"));
    assert_eq!(scene.told(&["resume"])["outcome"], "started");
    assert_eq!(scene.status()["state"], "running");

    // One that was stopped lives, and nothing goes on. One that dies is not gone at once.
    scene.until_written(&batch, "one.txt");
    let signal = |engine: u32, signal| {
        kill_process(Pid::from_raw(engine.cast_signed()).unwrap(), signal).unwrap();
    };
    let dying = scene.engine(&batch).unwrap();
    signal(dying, Signal::STOP);
    let stuck = scene.batch(&["resume"]);
    assert_code(&stuck, 116);
    assert!(text(&stuck.stderr).contains("--take-over"), "{}", text(&stuck.stderr));
    let mut resume = scene.command(&["resume", "--json"]);
    let resuming = resume.stdout(Stdio::piped()).spawn().unwrap();
    // Whether it has looked at it by then or not, a new engine is what it tells of.
    thread::sleep(Duration::from_millis(500));
    signal(dying, Signal::KILL);
    let resumed = json(&resuming.wait_with_output().unwrap());
    assert_eq!(resumed["outcome"], "started");

    // It is replaced if somebody says so, and refused then.
    let stopped = scene.engine(&batch).unwrap();
    assert_ne!(stopped, dying);
    signal(stopped, Signal::STOP);
    let before = resumed["engine"].as_u64().unwrap();
    let taken = scene.told(&["resume", "--take-over"]);
    assert_eq!(taken["outcome"], "started");
    assert_eq!(taken["engine"].as_u64().unwrap(), before + 1);
    signal(stopped, Signal::CONT);
    let gone = || !processes_of(&scene.directory(&batch)).contains(&stopped);
    scene.until(&batch, "the other one is refused, and ends", gone);
    assert_eq!(scene.status()["engine"], "alive");

    // A record that somebody has changed is found.
    kill(scene.engine(&batch).unwrap());
    scene.until(&batch, "it dies", || scene.engine(&batch).is_none());
    let journal = scene.directory(&batch).join("journal.sqlite");
    let journal = rusqlite::Connection::open(journal).unwrap();
    journal.execute("UPDATE lines SET text = replace(text, 'TP-1', 'TP-2')", []).unwrap();
    let diagnosis = scene.batch(&["doctor", &batch, "--json"]);
    assert_code(&diagnosis, 116);
    let findings = json(&diagnosis)["findings"].as_array().unwrap().clone();
    let failed: Vec<&Value> = findings.iter().filter(|it| it["status"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{findings:?}");
    assert_eq!(failed[0]["subject"], "journal");
    assert!(failed[0]["remedy"].is_string());
}
