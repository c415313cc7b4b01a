//! The real world of an engine, held to the contract that the simulated one passes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use batch::custody::Environment;
use batch::engine::{AgentKind, AgentSetup, Door, HostAgent, LaneMode, Place, Setup, World, door};
use batch::journal::SqliteJournal;
use batch_api::{AttemptId, BatchId, CommitName, ConversationId, Epoch};
use batch_core::drive::contract::{Holder, Rig, check};
use batch_core::spec::BatchSpec;
use uuid::Uuid;
use workspace::{Engine, Settings};

use super::parts::{packet, spec, unit};
use crate::support::*;

/// An agent, and something that it leaves in a session of its own.
const AGENT: &str = "setsid sleep 1234 & sleep 1234";

/// How many of them nap in the guest.
const NAPPING: &str = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 123[4]' | wc -l";

/// A batch whose engines are this process.
struct Real {
    scratch: tempfile::TempDir,
    batch: BatchId,
    cells: Arc<Engine>,
    engines: BTreeMap<Epoch, (Door, Place)>,
    /// Where its agents work: in machines, or in checkouts on this host.
    lane: LaneMode,
    /// Whether a service has been started in a lane.
    has_service: bool,
}

impl Real {
    fn new(lane: LaneMode) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let operator = scratch.path().join("app");
        fs::create_dir(&operator).unwrap();
        git(&operator, &["init", "--quiet", "--initial-branch=main"]);
        fs::write(operator.join("base"), "base\n").unwrap();
        git(&operator, &["add", "--all"]);
        git(&operator, &["commit", "--quiet", "--message=base"]);
        git(scratch.path(), &["init", "--quiet", "--bare", "origin.git"]);
        let origin = scratch.path().join("origin.git");
        git(&operator, &["remote", "add", "origin", &origin.to_string_lossy()]);
        for task in ["TP-1", "TP-2"] {
            packet(&scratch.path().join("packets"), task, "anything");
        }
        let mut settings = Settings::from_environment(Some(program().to_owned())).unwrap();
        settings.home = home().to_owned();
        let cells = Arc::new(Engine::open(settings).unwrap());
        let batch = BatchId::from_uuid(Uuid::now_v7());
        // What people read is folded from it.
        SqliteJournal::create(&scratch.path().join("batch"), batch).unwrap();
        Self { scratch, batch, cells, engines: BTreeMap::new(), lane, has_service: false }
    }

    fn setup(&self) -> Setup {
        Setup {
            batch: self.batch,
            directory: self.scratch.path().join("batch"),
            operator: self.scratch.path().join("app"),
            base: "main".into(),
            environment: ENVIRONMENT.parse().unwrap(),
            agent: AgentSetup {
                lane: self.lane,
                ..AgentSetup::guest(["sh", "-c", AGENT].map(str::to_owned).to_vec())
            },
            verify: vec!["test -f one && test -f two".to_owned()],
        }
    }

    fn host() -> HostAgent {
        HostAgent {
            adapter: AgentKind::Command.adapter(),
            program: "/bin/sh".into(),
            arguments: ["-c", AGENT].map(str::to_owned).to_vec(),
            model: None,
            endpoint: None,
            credentials: Environment::empty(),
            search_path: std::env::var("PATH").unwrap(),
            hotcell: program().to_owned(),
        }
    }

    /// The newest checkout of an attempt, if there is one.
    fn checkout(&self, attempt: &AttemptId) -> Option<PathBuf> {
        let lanes = fs::read_dir(self.setup().directory.join("lanes")).ok()?.flatten();
        let is_its = |lane: &PathBuf| {
            let is_whole = !lane.file_name().unwrap().to_string_lossy().starts_with('.');
            let whose = fs::read_to_string(lane.join("attempt")).unwrap_or_default();
            is_whole && whose == attempt.to_string()
        };
        let epoch = |lane: &PathBuf| lane.extension()?.to_str()?.parse::<u64>().ok();
        lanes.map(|lane| lane.path()).filter(is_its).max_by_key(epoch)
    }

    /// Whether anything runs in a checkout of the batch, whatever it is about to become.
    fn runs_here(&self) -> bool {
        let lanes = self.setup().directory.join("lanes");
        let place = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).ok();
        let all = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.any(|pid| place(pid).is_some_and(|place| place.starts_with(&lanes)))
    }

    /// What the operator's commands call a lane, if there is one.
    fn lane(&self, attempt: &AttemptId) -> Option<String> {
        let listed = hotcell().args(["--json", "workspace", "list"]).output().unwrap();
        let listed = json(&listed);
        let is_it = |labels: &serde_json::Value| {
            labels["batch/for"] == attempt.to_string()
                && labels["batch/id"] == self.batch.to_string()
        };
        let workspaces = listed["workspaces"].as_array().unwrap();
        let lane = workspaces.iter().find(|workspace| is_it(&workspace["labels"]))?;
        Some(lane["id"].as_str().unwrap().to_owned())
    }

    fn in_lane(&self, attempt: &AttemptId, script: &str) -> Option<String> {
        let output = if self.lane == LaneMode::Worktree {
            let workspace = self.checkout(attempt)?.join("workspace");
            Command::new("sh").args(["-c", script]).current_dir(workspace).output().unwrap()
        } else {
            let lane = self.lane(attempt)?;
            let mut exec = hotcell();
            exec.args(["workspace", "exec", &lane, "--", "sh", "-c", script]).output().unwrap()
        };
        output.status.success().then(|| text(&output.stdout))
    }

    fn store(&self) -> PathBuf {
        let stores = fs::read_dir(self.setup().directory.join("repository")).unwrap();
        stores.map(|entry| entry.unwrap().path()).next().unwrap()
    }
}

impl Rig for Real {
    type Ports = Place;

    fn spec(&self) -> BatchSpec {
        let home = |task: &str| self.scratch.path().join("packets").join(format!("{task}-write"));
        let units = vec![unit("TP-1", &home("TP-1"), &[]), unit("TP-2", &home("TP-2"), &["TP-1"])];
        spec(self.batch, units)
    }

    fn ports(&mut self, epoch: Epoch) -> &mut Place {
        let (setup, cells) = (self.setup(), self.cells.clone());
        let host = (self.lane == LaneMode::Worktree).then(Self::host);
        let engine = self.engines.entry(epoch).or_insert_with(|| {
            let (door, visitors) = door();
            let mut world = World::new(setup, cells, door.clone()).unwrap();
            if let Some(host) = host {
                world = world.with_host(host);
            }
            (door, Place::new(world, visitors))
        });
        &mut engine.1
    }

    fn wanted(&self) -> [String; 2] {
        ["one".to_owned(), "two".to_owned()]
    }

    fn write(&mut self, attempt: &AttemptId, piece: &str) {
        self.in_lane(attempt, &format!("echo {piece} > {piece}")).unwrap();
    }

    fn lane_holds(&mut self, attempt: &AttemptId, piece: &str) -> bool {
        self.in_lane(attempt, &format!("test -f {piece}")).is_some()
    }

    fn commit_holds(&mut self, commit: &CommitName, piece: &str) -> bool {
        let file = format!("{commit}:{piece}");
        let store = self.store();
        let mut git = Command::new("git");
        git.args(["cat-file", "-e", &file]).current_dir(store).status().unwrap().success()
    }

    fn operator_holds(&mut self, at: Holder, commit: &CommitName) -> bool {
        let (place, branch) = match at {
            Holder::Main => ("app", "main"),
            Holder::Origin => ("origin.git", "hotcell/contract"),
        };
        let mut git = Command::new("git");
        git.args(["merge-base", "--is-ancestor", commit.as_str(), branch]);
        git.current_dir(self.scratch.path().join(place)).output().unwrap().status.success()
    }

    fn operator_moves_on(&mut self) {
        let operator = self.scratch.path().join("app");
        git(&operator, &["commit", "--quiet", "--allow-empty", "--message=meanwhile"]);
    }

    fn is_alive(&mut self, conversation: &ConversationId) -> bool {
        if self.lane == LaneMode::Worktree {
            return self.runs_here();
        }
        let attempt = &conversation.agent.attempt;
        let napping = self.in_lane(attempt, NAPPING).unwrap();
        let is_alive = napping.trim() != "0";
        // What a keeper starts again is to be ended with it.
        if is_alive && !std::mem::replace(&mut self.has_service, true) {
            let service = ["service", "start", &self.lane(attempt).unwrap(), "nap"];
            let again = ["--restart", "always", "--restart-limit", "1000", "--backoff", "10ms"];
            let nap = ["--", "sleep", "1234"];
            let started = hotcell().args([&service[..], &again, &nap].concat()).output().unwrap();
            assert_code(&started, 0);
        }
        is_alive
    }

    fn lose_machine(&mut self, attempt: &AttemptId) {
        if self.lane == LaneMode::Worktree {
            return;
        }
        let directory = home().join("workspaces").join(self.lane(attempt).unwrap());
        kill(keeper_of(&directory));
        eventually("its machine is gone", || processes_of(&directory).is_empty());
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let attempts = ["TP-1@app/1#1", "TP-2@app/1#1", "TP-2@app/1#2"];
        for lane in attempts.iter().filter_map(|attempt| self.lane(&attempt.parse().unwrap())) {
            let _ = hotcell().args(["--yes", "workspace", "delete", &lane]).output();
        }
    }
}

#[test]
fn the_real_world_keeps_the_contract() {
    check(Real::new(LaneMode::Guest));
}

/// Agents on this host are held by custody, and their stale engines by the names of stores,
/// registries and checkouts.
#[test]
fn the_real_world_keeps_the_contract_with_agents_in_checkouts() {
    check(Real::new(LaneMode::Worktree));
}
