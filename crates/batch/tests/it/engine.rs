//! Custody of processes while engines are killed and stopped.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use batch::custody::{SettledEnd, end_orphans, list};
use rustix::process::{Pid, Signal, kill_process};

use crate::host::{Means, Place, eventually, program};

/// Each that the custodian tells, in order.
const STEPS: [&str; 6] =
    ["reserved", "group-made", "warden-ready", "registered", "told", "running"];

/// Two naps in different sessions.
fn script(place: &Place) -> String {
    format!("setsid sleep {0} & sleep {0}", place.nap)
}

/// An engine in a process of its own.
struct Engine {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Engine {
    fn start(place: &Place, signal: &str, step: &str, count: u32) -> Self {
        Self::of(&mut Command::new(program()), place, signal, step, count)
    }

    fn of(command: &mut Command, place: &Place, signal: &str, step: &str, count: u32) -> Self {
        let mut child = command
            .arg("engine")
            .arg(place.root())
            .args(["1", place.means.word(), signal, step, &script(place), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { stdin: child.stdin.take(), child, lines }
    }

    fn say_until(&mut self, last: &str) -> Vec<String> {
        let mut said = Vec::new();
        for line in self.lines.by_ref().map_while(Result::ok) {
            said.push(line);
            if said.last().is_some_and(|line| line.starts_with(last)) {
                break;
            }
        }
        said
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait_until_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        eventually("the engine stops", || {
            let text = std::fs::read_to_string(&stat).unwrap();
            text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        });
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_engine_killed_at_any_step_leaves_nothing_that_the_next_does_not_end() {
    for means in Means::available() {
        for step in STEPS {
            let place = Place::new(means);
            let mut engine = Engine::start(&place, "kill", step, 1);
            engine.child.wait().unwrap();
            let (_, settled) = place.begin(2).await;
            assert_eq!(place.napping(), 0, "{means:?} {step}");
            assert_eq!(settled.len(), 1, "{means:?} {step}: {settled:?}");
            if ["reserved", "group-made", "warden-ready"].contains(&step) {
                assert_eq!(settled[0].end, SettledEnd::NeverRan, "{means:?} {step}");
            }
            assert_eq!(list(&place.root()).unwrap(), [], "{means:?} {step}");
        }
    }
}

#[tokio::test]
async fn a_dead_engine_takes_its_processes_along_without_a_next_one() {
    for means in Means::available() {
        let place = Place::new(means);
        let mut engine = Engine::start(&place, "kill", "never", 3);
        engine.say_until("ready");
        place.wait_until_napping(6);
        engine.send(Signal::KILL);
        engine.child.wait().unwrap();
        place.wait_until_napping(0);
        let ended = end_orphans(&place.root()).unwrap();
        assert_eq!(ended.len(), 3, "{means:?}: {ended:?}");
        assert_eq!(list(&place.root()).unwrap(), []);
        assert!(!place.has_group(), "{means:?}: what held them is gone, too");
    }
}

/// An engine that dies before it has started anything leaves a group without a process,
/// which no later one needs to come for, even if the registry is lost as well.
#[test]
fn groups_that_hold_nothing_and_have_no_owner_are_removed() {
    if !Means::available().contains(&Means::Cgroup) {
        return;
    }
    for (step, count) in [("never", 0), ("reserved", 1), ("group-made", 1)] {
        for is_lost in [false, true] {
            let place = Place::new(Means::Cgroup);
            let mut engine = Engine::start(&place, "kill", step, count);
            if count == 0 {
                engine.say_until("ready");
                assert_eq!(end_orphans(&place.root()).unwrap(), []);
                assert!(place.has_group(), "its engine lives");
                engine.send(Signal::KILL);
            }
            engine.child.wait().unwrap();
            assert!(place.has_group(), "{step}");
            if is_lost {
                std::fs::remove_dir_all(place.root()).unwrap();
            }
            end_orphans(&place.root()).unwrap();
            assert!(!place.has_group(), "{step}, lost: {is_lost}");
        }
    }
}

#[tokio::test]
async fn an_engine_stopped_at_any_step_is_replaced_and_then_refused() {
    for means in Means::available() {
        for step in STEPS {
            let place = Place::new(means);
            let mut engine = Engine::start(&place, "stop", step, 2);
            engine.wait_until_stopped();
            assert_eq!(end_orphans(&place.root()).unwrap(), [], "{means:?} {step}: it lives");
            let (next, settled) = place.begin(2).await;
            assert_eq!(place.napping(), 0, "{means:?} {step}");
            assert_eq!(settled.len(), 1, "{means:?} {step}: {settled:?}");

            engine.send(Signal::CONT);
            let said = engine.say_until("ready");
            let refused = said.iter().filter(|line| line.starts_with("refused")).count();
            // From the step on at which the first may have run, only the second is.
            let expected = if ["told", "running"].contains(&step) { 1 } else { 2 };
            assert!(refused >= expected, "{means:?} {step}: {said:?}");
            assert!(said.iter().any(|line| line.contains("replaced")), "{means:?} {step}");
            assert_eq!(place.napping(), 0, "{means:?} {step}: it started something");
            engine.stdin.take().unwrap().write_all(b"\n").unwrap();
            let said = engine.say_until("never");
            assert!(!said.iter().any(|line| line.contains("Exited")), "{means:?} {step}: {said:?}");

            let mut held = next.start(place.order("after", "exit 0")).await.unwrap();
            held.wait().await.unwrap();
            assert_eq!(list(&place.root()).unwrap(), [], "{means:?} {step}");
            assert!(!place.has_group(), "{means:?} {step}: one that began again left nothing");
        }
    }
}

#[tokio::test]
async fn nothing_survives_if_the_wardens_die_with_their_engine() {
    for means in Means::available() {
        let place = Place::new(means);
        let mut engine = Engine::start(&place, "kill", "never", 2);
        engine.say_until("ready");
        place.wait_until_napping(4);
        // All at once, as far as anybody can: nobody reacts while stopped.
        let listed = list(&place.root()).unwrap();
        engine.send(Signal::STOP);
        let wardens: Vec<Pid> = wardens(&place);
        assert_eq!(wardens.len(), 2, "{means:?}: {listed:?}");
        for warden in &wardens {
            kill_process(*warden, Signal::STOP).unwrap();
        }
        engine.send(Signal::KILL);
        engine.child.wait().unwrap();
        for warden in &wardens {
            kill_process(*warden, Signal::KILL).unwrap();
        }
        let ended = end_orphans(&place.root()).unwrap();
        assert_eq!(ended.len(), 2, "{means:?}: {ended:?}");
        assert_eq!(place.napping(), 0, "{means:?}");
    }
}

/// The first process of each entry, as the registry's files name it.
fn wardens(place: &Place) -> Vec<Pid> {
    let epoch = std::fs::read_dir(place.root()).unwrap().flatten().next().unwrap().path();
    let files = std::fs::read_dir(epoch).unwrap().flatten().map(|entry| entry.path());
    let entries = files.filter_map(|path| {
        let text = std::fs::read(path).ok()?;
        let entry: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let pid = entry["warden"]["pid"].as_i64()?;
        Pid::from_raw(i32::try_from(pid).ok()?)
    });
    entries.collect()
}

/// A user that exists nowhere.
const OTHER_UID: u32 = 61_234;

#[test]
fn an_ordinary_user_holds_processes_by_a_user_namespace() {
    let place = Place::new(Means::Namespace);
    let mut command = if rustix::process::geteuid().is_root() {
        // A copy that another user can reach.
        let copy = place.directory().join("custody_probe");
        std::fs::copy(program(), &copy).unwrap();
        std::os::unix::fs::chown(place.directory(), Some(OTHER_UID), Some(OTHER_UID)).unwrap();
        let mut command = Command::new(copy);
        command.uid(OTHER_UID).gid(OTHER_UID);
        command
    } else {
        Command::new(program())
    };
    command.current_dir("/");
    let mut engine = Engine::of(&mut command, &place, "kill", "never", 1);
    let said = engine.say_until("ready");
    assert!(said.contains(&"started 0".to_owned()), "{said:?}");
    place.wait_until_napping(2);
    engine.send(Signal::KILL);
    engine.child.wait().unwrap();
    place.wait_until_napping(0);
    assert_eq!(end_orphans(&place.root()).unwrap().len(), 1);
}
