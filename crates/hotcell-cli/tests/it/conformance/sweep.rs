//! SIGKILL of each process that takes part, all along each operation.
//!
//! Each operation is first measured; then it is started again and again, and
//! killed after one more part of that time. Whatever it was doing, each workspace
//! is whole or gone afterwards, and nothing that nobody owns is left.

use std::process::{Child, Stdio};
use std::thread;
use std::time::Instant;

use super::*;

/// In how many parts the time of an operation is cut.
const PARTS: u32 = 4;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Client,
    Keeper,
    Monitor,
}

/// What is swept.
struct Swept {
    /// What is run in the workspace before.
    before: &'static [&'static [&'static str]],
    /// What is run in a workspace of [`FILES`] files; `WS` is its id, `TREE` a
    /// directory of the host.
    arguments: &'static [&'static str],
    input: String,
    /// Whether the workspace is as it may be, from what lies in its files.
    is_whole: fn(&[String]) -> bool,
}

const FILES: usize = 20;

/// What the files say of a workspace of which nothing happened.
fn untouched(files: &[String]) -> bool {
    files.len() == FILES && files.iter().all(|line| line.starts_with("old "))
}

/// What they say once all of them were changed.
fn renewed(files: &[String]) -> bool {
    files.len() == FILES && files.iter().all(|line| line.starts_with("new "))
}

fn sweep(swept: &Swept) {
    let home = OwnHome::new();
    let tree_directory = tempfile::tempdir().unwrap();
    tree(tree_directory.path(), FILES);
    let id = ready(&home, swept);
    let begun = Instant::now();
    let output = start(&home, swept, &id, tree_directory.path()).wait_with_output().unwrap();
    assert_code(&output, 0);
    let took = begun.elapsed();
    for (id, _) in home.workspaces() {
        home.delete(&id);
    }
    // What may be kept of it, such as the image of a seed, is there by now.
    let before = home.at_rest();
    for victim in [Victim::Client, Victim::Keeper, Victim::Monitor] {
        for part in 0..PARTS {
            let id = ready(&home, swept);
            let mut client = start(&home, swept, &id, tree_directory.path());
            thread::sleep(took * part / PARTS);
            kill_one(&home, victim, &mut client);
            let _ = client.wait_with_output().unwrap();
            let boots = part == PARTS - 1;
            assert_settled(&home, swept, boots);
            home.assert_back_to(&before);
        }
    }
}

/// A workspace for the operation, unless it makes one.
fn ready(home: &OwnHome, swept: &Swept) -> String {
    if !swept.arguments.contains(&"WS") {
        return String::new();
    }
    let id = home.created(&[]);
    home.script(
        &id,
        &format!("for n in $(seq 0 {}); do echo old $n > file-$n; done; sync", FILES - 1),
    );
    for words in swept.before {
        let words: Vec<&str> =
            words.iter().map(|word| if *word == "WS" { &*id } else { word }).collect();
        home.done(&words);
    }
    id
}

fn start(home: &OwnHome, swept: &Swept, id: &str, tree: &Path) -> Child {
    let tree = tree.to_string_lossy();
    let arguments: Vec<&str> = swept
        .arguments
        .iter()
        .map(|word| match *word {
            "WS" => id,
            "TREE" => &*tree,
            word => word,
        })
        .collect();
    let mut command = home.command(&arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that was killed reads nothing.
    let input = swept.input.clone();
    thread::spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()));
    child
}

fn kill_one(home: &OwnHome, victim: Victim, client: &mut Child) {
    if victim == Victim::Client {
        return client.kill().unwrap();
    }
    let names = match victim {
        Victim::Monitor => "qemu",
        _ => "hotcell",
    };
    // Of several, as a fork has them, the youngest.
    let found = home.inventory().processes.into_iter().filter_map(|process| {
        let (pid, name) = process.split_once(' ')?;
        let pid = pid.parse::<u32>().ok()?;
        (name.starts_with(names) && pid != client.id()).then_some(pid)
    });
    if let Some(pid) = found.max() {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Each workspace is at rest, and those that run or are started hold what they may.
fn assert_settled(home: &OwnHome, swept: &Swept, boots: bool) {
    let mut found = Vec::new();
    eventually_or(
        "each workspace is whole or gone",
        || {
            found = home.workspaces();
            // One whose machine died a moment ago may not be known as stopped yet.
            found.iter().all(|(id, state)| {
                state == "stopped"
                    || state == "running" && home.call(&["file", "list", id]).status.success()
            })
        },
        || format!("{:?}", home.workspaces()),
    );
    for (id, state) in &found {
        if state == "stopped" {
            let left = home.inventory();
            assert!(!left.sockets.iter().any(|path| path.contains(id)), "{left:#?}");
            if !boots {
                continue;
            }
            home.done(&["workspace", "start", id]);
            // Whoever opens the tree finishes what was under way in it.
            home.done(&["file", "list", id]);
        }
        let mut states = vec![lines_of(home, id)];
        // Whatever can be gone back to is whole as well.
        let snapshots = home.done(&["snapshot", "list", id]);
        for snapshot in snapshots["snapshots"].as_array().unwrap() {
            let name = snapshot["name"].as_str().unwrap();
            home.done(&["workspace", "reset", id, "--to", name]);
            states.push(lines_of(home, id));
        }
        for lines in states {
            assert!((swept.is_whole)(&lines), "{id} is {state}: {lines:?}");
        }
    }
    for file in home.inventory().files {
        let name = file.to_string_lossy().into_owned();
        if let Some(rest) = name.strip_prefix("workspaces/") {
            let owner = rest.split('/').next().unwrap();
            assert!(found.iter().any(|(id, _)| id == owner), "{name} is nobody's");
        }
    }
}

/// The lines of the workspace's files.
fn lines_of(home: &OwnHome, id: &str) -> Vec<String> {
    let read = home.script(id, "cd /workspace; cat file-* 2> /dev/null; true");
    read.lines().map(str::to_owned).collect()
}

/// Turns each `old` into `new`.
fn patch() -> String {
    (0..FILES)
        .map(|n| format!("--- a/file-{n}\n+++ b/file-{n}\n@@ -1 +1 @@\n-old {n}\n+new {n}\n"))
        .collect()
}

#[test]
fn creating_is_done_or_not() {
    sweep(&Swept {
        before: &[],
        arguments: &["workspace", "create", ENVIRONMENT, "--seed-path", "TREE"],
        input: String::new(),
        is_whole: untouched,
    });
}

#[test]
fn resetting_is_done_or_not() {
    sweep(&Swept {
        before: &[],
        arguments: &["workspace", "reset", "WS"],
        input: String::new(),
        is_whole: |files| files.is_empty() || untouched(files),
    });
}

#[test]
fn a_patch_is_applied_whole_or_not_at_all() {
    sweep(&Swept {
        before: &[],
        arguments: &["patch", "apply", "WS"],
        input: patch(),
        is_whole: |files| untouched(files) || renewed(files),
    });
}

/// Whether each file is as the host has it, or as it was in the workspace.
fn each_is_one_or_the_other(files: &[String]) -> bool {
    let is_whole =
        |(n, line): (usize, &String)| *line == format!("old {n}") || *line == format!("new {n}");
    let mut files = files.to_vec();
    files.sort_by_key(|line| line.rsplit(' ').next().and_then(|n| n.parse::<usize>().ok()));
    files.len() == FILES && files.iter().enumerate().all(is_whole)
}

#[test]
fn changes_of_the_host_come_in_file_by_file_and_each_is_whole() {
    sweep(&Swept {
        before: &[&[
            "workspace",
            "exec",
            "WS",
            "--",
            "sh",
            "-c",
            "sed -i s/old/new/ file-*; echo x > gone; sync",
        ]],
        arguments: &["sync", "push", "WS", "TREE", "--delete"],
        input: String::new(),
        is_whole: each_is_one_or_the_other,
    });
}

#[test]
fn deleting_is_done_or_not() {
    sweep(&Swept {
        before: &[],
        arguments: &["workspace", "delete", "WS"],
        input: String::new(),
        is_whole: untouched,
    });
}

#[test]
fn a_snapshot_is_taken_or_not() {
    sweep(&Swept {
        before: &[],
        arguments: &["snapshot", "create", "WS", "point"],
        input: String::new(),
        is_whole: untouched,
    });
}

#[test]
fn a_workspace_goes_back_to_a_snapshot_or_stays_as_it_is() {
    sweep(&Swept {
        before: &[
            &["snapshot", "create", "WS", "point"],
            &["workspace", "exec", "WS", "--", "sh", "-c", "sed -i s/old/new/ file-*; sync"],
        ],
        arguments: &["workspace", "reset", "WS", "--to", "point"],
        input: String::new(),
        is_whole: |files| untouched(files) || renewed(files),
    });
}

#[test]
fn children_are_made_or_not_and_the_parent_is_as_before() {
    sweep(&Swept {
        before: &[],
        arguments: &["workspace", "fork", "WS", "--count", "2"],
        input: String::new(),
        is_whole: untouched,
    });
}
