//! Children of running workspaces.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::*;

fn fork(workspace: &TestWorkspace, arguments: &[&str]) -> Output {
    let mut hotcell = hotcell();
    hotcell.args(["--json", "workspace", "fork", &workspace.id]).args(arguments).output().unwrap()
}

/// The children, which go when the test ends.
fn children(workspace: &TestWorkspace, arguments: &[&str]) -> Vec<TestWorkspace> {
    let output = fork(workspace, arguments);
    assert_code(&output, 0);
    let forked = json(&output);
    assert_eq!(forked["parent"], workspace.id.as_str());
    let ids = forked["children"].as_array().unwrap().iter();
    ids.map(|child| TestWorkspace { id: child["id"].as_str().unwrap().to_owned() }).collect()
}

fn done(workspace: &TestWorkspace, words: &[&str], arguments: &[&str]) -> Value {
    let mut hotcell = hotcell();
    let output = hotcell
        .args(["--yes", "--json"])
        .args(words)
        .arg(&workspace.id)
        .args(arguments)
        .output()
        .unwrap();
    assert_code(&output, 0);
    json(&output)
}

/// What makes a machine another one than any other: each line differs.
const IDENTITY: &str = "cat /etc/machine-id; hostname; cat /proc/sys/kernel/random/uuid; \
                        od -An -tx1 -N32 /dev/urandom | tr -d ' \\n'; echo";

fn heard(workspace: &TestWorkspace, command: &str) -> (String, u64) {
    let told = done(workspace, &["command", "status"], &[command]);
    let status = &told["status"];
    (status["state"].as_str().unwrap().to_owned(), status["stdout_bytes"].as_u64().unwrap())
}

fn ticks(workspace: &TestWorkspace, command: &str) {
    let (state, before) = heard(workspace, command);
    assert_eq!(state, "running");
    eventually("it ticks", || heard(workspace, command).1 > before + 10);
}

#[test]
fn children_go_on_where_their_parent_is_and_share_nothing_with_it() {
    let seed = tempfile::tempdir().unwrap();
    fs::write(seed.path().join("seeded"), "from the host\n").unwrap();
    let seed = seed.path().to_string_lossy();
    let parent = TestWorkspace::small_with(&["--seed-path", &seed, "--label", "team=core"]);
    parent.script("echo work > /workspace/work; echo memory > /dev/shm/memory");
    let ticking = "n=0; while :; do echo tick $n; n=$((n+1)); sleep 0.2; done";
    let command = done(&parent, &["command", "start"], &["--", "sh", "-c", ticking]);
    let command = command["id"].as_str().unwrap();

    let name = format!("kid-{}", std::process::id());
    let forked = children(&parent, &["--count", "2", "--name", &name]);
    let [one, two] = forked.as_slice() else { panic!("{}", forked.len()) };
    let mut seen = Vec::new();
    for (number, machine) in [one, two, &parent].into_iter().enumerate() {
        let work = machine.script("cat /workspace/work /workspace/seeded /dev/shm/memory");
        assert_eq!(work, "work\nfrom the host\nmemory\n");
        ticks(machine, command);
        let who: Vec<String> = machine.script(IDENTITY).lines().map(str::to_owned).collect();
        assert_eq!(who.len(), 4, "{who:?}");
        assert!(who.iter().all(|line| !seen.contains(line)), "{who:?} was seen: {seen:?}");
        seen.extend(who);
        let status = machine.status();
        assert_eq!(status["labels"]["team"], "core");
        if number < 2 {
            assert_eq!(status["name"], format!("{name}-{}", number + 1));
            assert_eq!(machine.script("hostname").trim(), format!("{name}-{}", number + 1));
            let logged = done(machine, &["workspace", "logs"], &["--kind", "forked_from"]);
            assert_eq!(logged["events"][0]["event"]["parent"], parent.id.as_str(), "{logged}");
        }
        let now: u64 = machine.script("date +%s").trim().parse().unwrap();
        let host = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(host.as_secs().abs_diff(now) <= 10, "guest {now}, host {host:?}");
    }
    // A name that is taken leaves neither of two further children.
    let taken = done(two, &["workspace", "update"], &["--name", &format!("{name}-late-2")]);
    assert_eq!(taken["name"], format!("{name}-late-2"));
    let refused = fork(&parent, &["--count", "2", "--name", &format!("{name}-late")]);
    assert_code(&refused, 114);
    let like = format!("{name}*");
    let listed = hotcell().args(["--json", "workspace", "list", "--name", &like]).output().unwrap();
    let listed = json(&listed);
    assert_eq!(listed["workspaces"].as_array().unwrap().len(), 2, "{listed}");
    assert_code(&fork(&parent, &["--from", "none"]), 113);

    // What one does is its own.
    one.script("echo mine > /workspace/work; echo mine > /dev/shm/memory; sync");
    for other in [two, &parent] {
        assert_eq!(other.script("cat /workspace/work /dev/shm/memory"), "work\nmemory\n");
    }
    let snapshots = parent.directory().join("snapshots");
    assert_eq!(fs::read_dir(snapshots).unwrap().count(), 0, "what was saved for them is left");

    // Nobody needs the parent any more.
    let directory = parent.directory();
    drop(parent);
    assert_gone(&directory);
    assert_eq!(one.script("cat /workspace/work /workspace/seeded"), "mine\nfrom the host\n");
    ticks(one, command);
    done(one, &["workspace", "stop"], &[]);
    done(one, &["workspace", "start"], &[]);
    assert_eq!(one.script("cat /workspace/work"), "mine\n");

    // A child is a workspace like any other: it is snapshotted, forked, reset.
    done(two, &["snapshot", "create"], &["here"]);
    two.script("rm /workspace/work");
    let grandchildren = children(two, &["--from", "here"]);
    let [grandchild] = grandchildren.as_slice() else { panic!("{}", grandchildren.len()) };
    done(two, &["snapshot", "delete"], &["here"]);
    assert_eq!(grandchild.script("cat /workspace/work /dev/shm/memory"), "work\nmemory\n");
    ticks(grandchild, command);
    done(grandchild, &["workspace", "reset"], &[]);
    assert_eq!(grandchild.script("ls /workspace"), "seeded\n");
}

#[test]
fn a_secret_of_the_parent_is_hidden_in_its_children() {
    let value = "a-value-that-is-nowhere-else";
    let mut set = hotcell();
    set.args(["secret", "set", "FORKED"]);
    assert_code(&with_input(set, value.as_bytes().to_vec()), 0);
    let parent = TestWorkspace::small();
    let given = parent.exec(
        &["--secret", "FORKED"],
        &["sh", "-c", "printf %s \"$FORKED\" > /dev/shm/kept; wc -c < /dev/shm/kept"],
    );
    assert_code(&given, 0);
    assert_eq!(text(&given.stdout).trim(), value.len().to_string());
    let forked = children(&parent, &[]);
    assert_code(&hotcell().args(["--yes", "secret", "delete", "FORKED"]).output().unwrap(), 0);
    drop(parent);
    assert_eq!(forked[0].script("wc -c < /dev/shm/kept").trim(), value.len().to_string());
    let shown = forked[0].script("cat /dev/shm/kept");
    assert!(!shown.contains(value), "{shown}");
}
