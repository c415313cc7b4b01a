//! Custody of processes, seen by the engine that has them.

use std::fs;

use batch::custody::{
    Abandonment, EndError, Holding, Limit, Limits, Line, RegistryError, SettledEnd, StartError,
    Status, end_orphans, list,
};
use tokio::io::AsyncWriteExt;

use crate::host::{Means, Place, eventually};

/// What escapes a kill of the process, of its group or of its session: seven naps.
const ESCAPES: &str = "
    trap '' TERM
    sleep $NAP &
    setsid sleep $NAP &
    (setsid sh -c 'sleep $NAP & sleep $NAP & wait' &) &
    ( (trap '' TERM; exec setsid sh -c 'exec sleep $NAP') & ) &
    (sleep $NAP & exec sleep $NAP) &
    echo up
    while :; do sleep 1; done";

/// Starts processes as fast as it can: two hundred naps, each of another parent.
const STORM: &str = "
    echo up
    i=0; while [ $i -lt 200 ]; do (setsid sleep $NAP &) ; i=$((i+1)); done
    sleep $NAP";

#[tokio::test]
async fn a_kill_leaves_nothing_whatever_was_started() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, settled) = place.begin(1).await;
        assert_eq!(settled, []);
        let mut held = custodian.start(place.order("escapes", ESCAPES)).await.unwrap();
        place.wait_until_napping(7);
        held.terminate().await.unwrap();
        let outcome = held.kill().await.unwrap();
        assert_eq!(place.napping(), 0, "{means:?}");
        assert!(outcome.killed.len() >= 8, "{means:?}: {outcome:?}");
        assert_eq!(outcome.status, None, "it ignored the request to end");

        let mut storm = custodian.start(place.order("storm", STORM)).await.unwrap();
        // In the middle of it, wherever that is.
        eventually("the storm has begun", || place.napping() > 20);
        storm.kill().await.unwrap();
        assert_eq!(place.napping(), 0, "{means:?}");
        assert_eq!(list(&place.root()).unwrap(), [], "{means:?}: nothing is on record");
    }
}

#[tokio::test]
async fn what_outlives_the_program_is_killed_and_its_pipe_ends() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let script = "setsid sleep $NAP & cat; echo last >&2; exit 3";
        let mut held = custodian.start(place.order("leader", script)).await.unwrap();
        let listed = list(&place.root()).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].label.as_ref().unwrap().to_string(), "leader of a test");
        assert_eq!(listed[0].abandonment, None);
        place.wait_until_napping(1);

        let mut stdin = held.take_stdin().unwrap();
        stdin.write_all(b"one\ntwo\n").await.unwrap();
        drop(stdin);
        let outcome = held.wait().await.unwrap();
        assert_eq!(outcome.status, Some(Status::Exited(3)));
        assert_eq!(place.napping(), 0, "{means:?}");
        let mut lines = held.take_stdout().unwrap();
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        let expected = ["one", "two"].map(|line| Line::Whole(line.as_bytes().to_vec()));
        assert_eq!(found, expected, "{means:?}");
        let stderr = fs::read_to_string(place.directory().join("leader.stderr")).unwrap();
        assert_eq!(stderr, "last\n", "{means:?}");
    }
}

#[tokio::test]
async fn a_process_has_only_the_environment_that_it_was_given() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let mut order = place.order("env", "");
        order.program = "/usr/bin/env".into();
        order.arguments.clear();
        order.directory = place.directory().to_owned();
        let mut held = custodian.start(order).await.unwrap();
        let mut lines = held.take_stdout().unwrap();
        let mut found = Vec::new();
        while let Some(Line::Whole(line)) = lines.next().await.unwrap() {
            found.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(held.wait().await.unwrap().status, Some(Status::Exited(0)));
        found.sort();
        let expected = [format!("NAP={}", place.nap), format!("PATH={}", crate::host::SEARCH_PATH)];
        assert_eq!(found, expected, "{means:?}");
    }
}

#[tokio::test]
async fn a_request_to_end_reaches_the_program_and_its_answer_is_told() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done";
        let mut held = custodian.start(place.order("polite", script)).await.unwrap();
        let mut lines = held.take_stdout().unwrap();
        lines.next().await.unwrap().unwrap();
        held.terminate().await.unwrap();
        assert_eq!(held.wait().await.unwrap().status, Some(Status::Exited(7)), "{means:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_leaves_nothing() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let mut missing = place.order("missing", "");
        missing.program = "/no/such/program".into();
        let error = custodian.start(missing).await.unwrap_err();
        assert!(
            matches!(&error, StartError::Refused { explanation, .. }
            if explanation.contains("/no/such/program")),
            "{error:?}"
        );
        let mut nowhere = place.order("nowhere", "");
        nowhere.directory = "/no/such/directory".into();
        let error = custodian.start(nowhere).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/directory"), "{error}");
        let again = custodian.start(place.order("missing", "")).await;
        assert!(matches!(again, Err(StartError::Used(_))), "{again:?}");
        assert_eq!(list(&place.root()).unwrap(), []);
    }
}

#[tokio::test]
async fn who_was_replaced_starts_nothing_and_has_nothing_left() {
    for means in Means::available() {
        let place = Place::new(means);
        let (first, _) = place.begin(1).await;
        let mut held = first.start(place.order("early", "sleep $NAP & wait")).await.unwrap();
        place.wait_until_napping(1);

        let (second, settled) = place.begin(2).await;
        assert_eq!(place.napping(), 0, "{means:?}");
        assert_eq!(settled.len(), 1);
        assert!(matches!(&settled[0].end, SettledEnd::Killed(killed) if killed.len() >= 3));
        let refused = first.start(place.order("late", "sleep $NAP")).await;
        let stale = matches!(refused, Err(StartError::Registry(RegistryError::Stale { .. })));
        assert!(stale, "{means:?}: {refused:?}");
        let outcome = held.wait().await.unwrap();
        assert_eq!(outcome.status, None, "its end was not its own");

        let mut held = second.start(place.order("early", "exit 0")).await.unwrap();
        assert_eq!(held.wait().await.unwrap().status, Some(Status::Exited(0)));
        assert_eq!(place.napping(), 0);
    }
}

#[tokio::test]
async fn a_number_that_passed_to_somebody_else_is_left_alone() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let mut held = custodian.start(place.order("gone", "sleep $NAP")).await.unwrap();
        place.wait_until_napping(1);
        // The entry as it would be if its process were long gone and its number
        // were somebody else's by now.
        let mut innocent = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let entry = entry_file(&place, "gone");
        let mut text: serde_json::Value =
            serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
        text["warden"]["pid"] = innocent.id().into();
        held.kill().await.unwrap();
        fs::write(&entry, text.to_string()).unwrap();

        let (_, settled) = place.begin(2).await;
        assert_eq!(settled.len(), 1, "{means:?}");
        assert_eq!(settled[0].end, SettledEnd::WasGone, "{means:?}");
        assert_eq!(innocent.try_wait().unwrap(), None, "{means:?}: it was killed");
        innocent.kill().unwrap();
        innocent.wait().unwrap();
    }
}

#[tokio::test]
async fn what_the_registry_lost_is_found_and_only_that_is_ended() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let mut lost = custodian.start(place.order("lost", "sleep $NAP & wait")).await.unwrap();
        let mut kept = custodian.start(place.order("kept", "sleep $NAP & wait")).await.unwrap();
        place.wait_until_napping(2);
        assert_eq!(end_orphans(&place.root()).unwrap(), [], "both have an engine");
        fs::remove_file(entry_file(&place, "lost")).unwrap();

        let ended = end_orphans(&place.root()).unwrap();
        assert_eq!(ended.len(), 1, "{means:?}");
        assert_eq!(ended[0].key.as_str(), "lost");
        assert_eq!(place.napping(), 1, "{means:?}");
        assert_eq!(lost.wait().await.unwrap().status, None);
        assert!(matches!(kept.kill().await, Ok(_) | Err(EndError::Registry(_))));
        assert_eq!(place.napping(), 0);
    }
}

#[tokio::test]
async fn what_a_lost_registry_had_is_found_by_its_wardens() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let mut held =
            custodian.start(place.order("lost", "setsid sleep $NAP & wait")).await.unwrap();
        place.wait_until_napping(1);
        fs::remove_dir_all(place.root()).unwrap();
        let ended = end_orphans(&place.root()).unwrap();
        assert_eq!(ended.len(), 1, "{means:?}");
        assert_eq!(ended[0].abandonment, Abandonment::Unknown, "{means:?}");
        assert_eq!(place.napping(), 0, "{means:?}");
        assert_eq!(held.wait().await.unwrap().status, None);
    }
}

#[tokio::test]
async fn limits_are_in_force_where_they_are_said_to_be() {
    for means in Means::available() {
        let place = Place::new(means);
        let (custodian, _) = place.begin(1).await;
        let mut order = place.order("limited", "cat /proc/self/cgroup; cat");
        order.limits =
            Limits { memory_bytes: Some(64 << 20), processes: Some(32), cpu_weight: Some(50) };
        let mut held = custodian.start(order).await.unwrap();
        let mut lines = held.take_stdout().unwrap();
        let mut group = String::new();
        while !group.starts_with("0::") {
            let Some(Line::Whole(line)) = lines.next().await.unwrap() else { panic!("{group}") };
            group = String::from_utf8(line).unwrap();
        }
        let in_force = held.limits_in_force().to_vec();
        match place.means.holding(&place.root()) {
            Holding::Cgroup { parent } => {
                assert!(group.ends_with("/1.limited"), "{group}");
                let read = |file: &str| fs::read_to_string(parent.join("1.limited").join(file));
                let files = [
                    (Limit::Memory, "memory.max", "67108864\n"),
                    (Limit::Processes, "pids.max", "32\n"),
                    (Limit::CpuWeight, "cpu.weight", "50\n"),
                ];
                for (limit, file, value) in files {
                    // Which controllers there are is the host's decision.
                    let held = read(file).ok();
                    let expected = in_force.contains(&limit).then(|| value.to_owned());
                    assert_eq!(held, expected, "{limit:?}");
                }
            }
            Holding::Namespace { .. } => assert_eq!(in_force, [], "nothing could hold them"),
        }
        held.kill().await.unwrap();
    }
}

fn entry_file(place: &Place, key: &str) -> std::path::PathBuf {
    let epoch = fs::read_dir(place.root()).unwrap().flatten().next().unwrap();
    epoch.path().join(format!("{key}.json"))
}
