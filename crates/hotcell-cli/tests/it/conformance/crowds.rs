//! Many at once.

use std::thread;

use super::*;

#[test]
fn two_clients_change_one_workspace_and_neither_loses_anything() {
    let home = OwnHome::new();
    let before = home.at_rest();
    let id = home.created(&[]);
    thread::scope(|scope| {
        for client in ["one", "two"] {
            let (home, id) = (&home, &id);
            scope.spawn(move || {
                for number in 0..12 {
                    let line = format!("{client} {number}");
                    home.script(id, &format!("echo {line} >> /workspace/lines"));
                    let path = format!("{client}-{number}");
                    home.done(&["file", "write", id, &path, "--text", &line]);
                    let text = format!("{client} again");
                    home.done(&["file", "edit", id, &path, "--old", client, "--new", &text]);
                }
            });
        }
    });
    assert_eq!(home.script(&id, "sort -u lines | wc -l; ls | wc -l"), "24\n25\n");
    assert_eq!(home.script(&id, "cat one-11 two-0"), "one again 11two again 0");
    home.assert_back_to(&before);
}

#[test]
fn eight_workspaces_at_once_are_eight() {
    let home = OwnHome::new();
    let before = home.at_rest();
    let seen: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|number| {
                let home = &home;
                scope.spawn(move || {
                    let id = home.created(&["--name", &format!("crowd-{number}")]);
                    home.script(&id, &format!("echo {number} > /workspace/number; sync"));
                    home.done(&["workspace", "reset", &id]);
                    assert_eq!(home.script(&id, "ls /workspace"), "");
                    home.script(&id, &format!("echo {number} > /workspace/number"));
                    let read = home.script(&id, "cat /workspace/number; cat /etc/machine-id");
                    assert!(read.starts_with(&format!("{number}\n")), "{read}");
                    read
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let machines: std::collections::BTreeSet<_> =
        seen.iter().map(|read| read.lines().last()).collect();
    assert_eq!(machines.len(), 8);
    assert_eq!(home.workspaces().len(), 8);
    home.assert_back_to(&before);
}
