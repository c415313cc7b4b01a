//! Copies of one machine are different machines.

use std::collections::BTreeSet;

use crate::support::*;

#[test]
fn two_machines_of_one_template_share_no_identity() {
    let script = "cat /etc/machine-id; hostname; cat /etc/hostname; \
                  cat /proc/sys/kernel/random/uuid; od -An -tx1 -N32 /dev/urandom | tr -d ' \\n'";
    let (one, two) = (TestWorkspace::create(&[]), TestWorkspace::create(&[]));
    let (one, two) = (one.script(script), two.script(script));
    for (a, b) in one.lines().zip(two.lines()) {
        assert_ne!(a, b);
    }
    let distinct: BTreeSet<&str> = one.lines().collect();
    assert_eq!(distinct.len(), 4, "host name and its file agree, all else differs: {one}");
}

#[test]
fn the_clock_is_right() {
    let workspace = TestWorkspace::create(&[]);
    let guest: u64 = workspace.script("date +%s").trim().parse().unwrap();
    let host =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(host.abs_diff(guest) <= 10, "guest {guest}, host {host}");
}
