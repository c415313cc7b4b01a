//! Copies of one machine are different machines.

mod aged;

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::support::*;
use aged::{Aged, begin};

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

/// The kernel's words when it finds another generation id than before.
const FORK_NOTICED: &str = "crng reseeded due to virtual machine fork";

/// Children of a template begin with the very same random generator. In the
/// first seconds of a guest its kernel renews the generator so often that nobody
/// would notice; so this machine lives longer before it is saved.
#[test]
fn two_children_of_an_aged_machine_share_no_identity() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let aged = Aged::make().await;
        a_child_that_is_told_nothing_is_the_same_machine(&aged).await;

        let mut seen = Vec::new();
        // The second one is told another time, which therefore is not just what
        // was left in the machine.
        for (name, ahead_s) in [("one", 0), ("two", 86_400)] {
            let mut child = aged.child(name, Uuid::new_v4()).await;
            let mut told = begin(name);
            told.unix_time_ns += ahead_s * 1_000_000_000;
            let told_s = told.unix_time_ns / 1_000_000_000;
            let machine_id = told.machine_id.clone();
            let mut guest = child.begin(told).await;

            let random = guest.run(&["od", "-An", "-tx1", "-N32", "/dev/urandom"]).await;
            let now_s: u64 = guest.run(&["date", "+%s"]).await.trim().parse().unwrap();
            assert!(
                (told_s..told_s + PATIENCE.as_secs()).contains(&now_s),
                "{now_s}, not {told_s}"
            );
            assert_eq!(guest.run(&["cat", "/etc/machine-id"]).await.trim(), machine_id);
            assert_eq!(guest.run(&["hostname"]).await.trim(), name);
            assert_eq!(guest.run(&["cat", "/etc/hostname"]).await.trim(), name);
            let uuid = guest.run(&["cat", "/proc/sys/kernel/random/uuid"]).await;
            let notices = guest.run(&["dmesg"]).await.matches(FORK_NOTICED).count();
            assert_eq!(notices, 1, "the kernel has not seen the new generation id");
            seen.push((random, uuid));
        }
        assert_eq!(seen[0].0.split_whitespace().count(), 32, "{}", seen[0].0);
        assert_ne!(seen[0].0, seen[1].0);
        assert_ne!(seen[0].1, seen[1].1);
    });
}

/// The other tests would be worth nothing if copies differed anyhow. They do
/// not: without a new generation id and without `Begin` two children go on with
/// the same random bytes.
///
/// The children must not be told anything, not even the same: `Begin` makes the
/// kernel renew its generator, which takes in the processor's cycle counter and
/// random instruction, and so they would differ even with the same entropy. It
/// is a process of the saved machine that reads, because a command needs `Begin`.
async fn a_child_that_is_told_nothing_is_the_same_machine(aged: &Aged) {
    let one = aged.child("same-one", aged.generation_id).await;
    let one = one.first_witnessed().await;
    let two = aged.child("same-two", aged.generation_id).await;
    let two = two.first_witnessed().await;
    assert_eq!(one.len(), 64, "{one}");
    assert_eq!(one, two);
}
