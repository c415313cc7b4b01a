//! What is checked inside the outer machine: a table of scripts, each with a
//! judge of what it printed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::busy;
use super::materials::INNER_ENVIRONMENT;
use crate::guest::{Finished, Guest};

/// How long one check may take. The slowest, a cold boot, takes seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long it may take longer for each copy of a busy machine.
const COPY_DEADLINE: Duration = Duration::from_secs(30);

/// What every script begins with: the program under test and its home lie on
/// the second drive. The smallest shape makes the lab quick.
const PREAMBLE: &str = "
    export HOTCELL_HOME=/workspace/home HOTCELL_ACCELERATOR=kvm HOME=/root
    export PATH=/workspace:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    shape='--cpus 1 --memory-mib 256'
    environment=";

/// The root of the outer machine is no exception: its monitors run as users
/// without a name, which reach the device through its group as on any Debian.
const DEVICE: &str = "
    test -c /dev/kvm
    getent group kvm > /dev/null || groupadd --system kvm
    chown root:kvm /dev/kvm && chmod 0660 /dev/kvm
    stat --format '%U:%G %a' /dev/kvm";

const DOCTOR: &str = "hotcell --json doctor --environment $environment $shape";

const PREPARE: &str = "hotcell --json prepare $environment $shape";

const RUN: &str = "hotcell run $environment $shape -- sh -c 'echo out; echo err >&2; exit 7'";

const RUN_TYPED: &str = "hotcell --json run $environment $shape -- true";

/// Two machines of one template say who they are, a word per line.
const IDENTITY: &str = "
    for name in one two; do
        hotcell workspace create $environment $shape --name $name > /dev/null
    done
    for name in one two; do
        hotcell workspace exec $name -- sh -ec '
            cat /etc/machine-id
            hostname
            cat /proc/sys/kernel/random/uuid
            od -A n -t x1 -N 32 /dev/urandom | tr -d \" \\n\"; echo'
    done";

/// What the machines of the check before are executed with, and as whom.
const MONITORS: &str = "
    for comm in $(grep -ls ^qemu-system /proc/[0-9]*/comm); do
        tr '\\0' ' ' < ${comm%comm}cmdline | grep --only-matching -e '-accel [^ ]*'
        grep ^Uid: ${comm%comm}status
    done";

const DELETE: &str = "
    for name in one two; do hotcell workspace delete $name > /dev/null; done
    ls -A $HOTCELL_HOME/workspaces
    grep -ls ^qemu-system /proc/[0-9]*/comm || true";

/// What `doctor` exits with before anything is prepared.
const NOT_PREPARED: i32 = 116;

/// The first user id of monitors that root starts.
const FIRST_MONITOR_UID: u64 = 1_879_048_192;

struct Check {
    name: &'static str,
    script: &'static str,
    code: i32,
    judge: fn(&Finished) -> Result<String>,
}

const CHECKS: &[Check] = &[
    Check { name: "the outer machine has a device", script: DEVICE, code: 0, judge: first_line },
    Check {
        name: "doctor ran guest code on it",
        script: DOCTOR,
        code: NOT_PREPARED,
        judge: kvm_is_usable,
    },
    Check { name: "prepare boots and saves", script: PREPARE, code: 0, judge: prepared },
    Check { name: "doctor says ready", script: DOCTOR, code: 0, judge: ready },
    Check { name: "run passes output and code on", script: RUN, code: 7, judge: output },
    Check { name: "the result names KVM", script: RUN_TYPED, code: 0, judge: ran_on_kvm },
    Check { name: "two of one template differ", script: IDENTITY, code: 0, judge: differ },
    Check { name: "monitors: KVM, and not as root", script: MONITORS, code: 0, judge: confined },
    Check {
        name: "a busy one's copies are whole",
        script: busy::SCRIPT,
        code: 0,
        judge: busy::judge,
    },
    Check { name: "delete leaves nothing", script: DELETE, code: 0, judge: nothing_left },
];

/// Runs all checks and prints each with its time; whether all passed. So many
/// copies of a busy machine are made.
pub(super) async fn run(guest: &mut Guest, copies: u32) -> Result<bool> {
    guest.mount_workspace().await?;
    let mut all_passed = true;
    for check in CHECKS {
        let script =
            format!("set -e{PREAMBLE}{INNER_ENVIRONMENT} copies={copies}\n{}", check.script);
        let begun = Instant::now();
        let finished = guest.script(&script, DEADLINE + COPY_DEADLINE * copies).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let judged = if finished.code == check.code {
            (check.judge)(&finished)
        } else {
            Err(anyhow::anyhow!("exit code {} instead of {}", finished.code, check.code))
        };
        match judged {
            Ok(note) => println!("ok    {:<31} {seconds:>6.1} s  {note}", check.name),
            Err(error) => {
                all_passed = false;
                println!("FAIL  {:<31} {seconds:>6.1} s  {error:#}", check.name);
                println!("{}{}", finished.stdout, finished.stderr);
            }
        }
    }
    Ok(all_passed)
}

fn first_line(finished: &Finished) -> Result<String> {
    Ok(finished.stdout.lines().next().unwrap_or_default().to_owned())
}

fn json(finished: &Finished) -> Result<Value> {
    serde_json::from_str(&finished.stdout).context("this is no JSON")
}

fn kvm_is_usable(finished: &Finished) -> Result<String> {
    let diagnosis = json(finished)?;
    let findings = diagnosis["findings"].as_array().context("no findings")?;
    let kvm = findings.iter().find(|finding| finding["subject"] == "kvm");
    let kvm = kvm.context("no finding on KVM")?;
    ensure!(kvm["status"] == "good", "{kvm}");
    let seen = kvm["seen"].as_str().unwrap_or_default();
    ensure!(seen.starts_with("usable"), "{seen}");
    ensure!(diagnosis["accelerator"] == "kvm", "{}", diagnosis["accelerator"]);
    Ok(seen.to_owned())
}

fn prepared(finished: &Finished) -> Result<String> {
    let prepared = json(finished)?;
    ensure!(prepared["warmth"] == "warm", "{}", prepared["warmth"]);
    ensure!(prepared["accelerator"] == "kvm", "{}", prepared["accelerator"]);
    let steps = prepared["steps"].as_array().context("no steps")?;
    let template = steps.iter().find(|step| step["task"] == "template").context("no template")?;
    ensure!(template["outcome"] == "done", "{template}");
    Ok(format!("template made in {} ms", template["duration_ms"]))
}

fn ready(finished: &Finished) -> Result<String> {
    let verdict = json(finished)?["verdict"].clone();
    ensure!(verdict == "ready", "{verdict}");
    Ok(String::new())
}

fn output(finished: &Finished) -> Result<String> {
    ensure!(finished.stdout == "out\n", "standard output was {:?}", finished.stdout);
    ensure!(finished.stderr == "err\n", "standard error was {:?}", finished.stderr);
    Ok("exit code 7".to_owned())
}

fn ran_on_kvm(finished: &Finished) -> Result<String> {
    let result = json(finished)?;
    ensure!(result["accelerator"] == "kvm", "{}", result["accelerator"]);
    Ok(format!("created in {} ms", result["create_ms"]))
}

/// Both machines print the same number of words, none of which is the same.
fn differ(finished: &Finished) -> Result<String> {
    const WORDS: usize = 4;
    let words: Vec<&str> = finished.stdout.lines().collect();
    ensure!(words.len() == 2 * WORDS, "{} words instead of {}", words.len(), 2 * WORDS);
    ensure!(words.iter().all(|word| !word.is_empty()), "a word is empty");
    let distinct: BTreeSet<&str> = words.iter().copied().collect();
    ensure!(distinct.len() == words.len(), "they share a word");
    ensure!(words[3].len() == 64 && words[7].len() == 64, "not 32 random bytes each");
    Ok("machine id, host name, UUID, 32 random bytes".to_owned())
}

fn confined(finished: &Finished) -> Result<String> {
    let (users, accelerators): (Vec<&str>, Vec<&str>) =
        finished.stdout.lines().partition(|line| line.starts_with("Uid:"));
    ensure!(accelerators == ["-accel kvm"; 2], "{accelerators:?}");
    ensure!(users.len() == 2, "{users:?}");
    for line in users {
        let mut ids = line.split_whitespace().skip(1);
        ensure!(ids.all(|id| id.parse().is_ok_and(|id: u64| id >= FIRST_MONITOR_UID)), "{line}");
    }
    Ok(String::new())
}

fn nothing_left(finished: &Finished) -> Result<String> {
    ensure!(finished.stdout.is_empty(), "left over: {}", finished.stdout);
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(stdout: &str) -> Finished {
        Finished { code: 0, stdout: stdout.to_owned(), stderr: String::new() }
    }

    #[test]
    fn twins_are_found_out() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert!(differ(&printed(&format!("1\none\nu\n{a}\n2\ntwo\nv\n{b}\n"))).is_ok());
        assert!(differ(&printed(&format!("1\none\nu\n{a}\n2\ntwo\nv\n{a}\n"))).is_err());
        assert!(differ(&printed(&format!("1\none\nu\n{a}\n1\ntwo\nv\n{b}\n"))).is_err());
        assert!(differ(&printed("")).is_err());
    }

    #[test]
    fn a_monitor_as_root_or_without_kvm_is_found_out() {
        let ours = "-accel kvm\nUid:\t1879048193\t1879048193\t1879048193\t1879048193\n";
        let roots = "-accel kvm\nUid:\t0\t0\t0\t0\n";
        let emulated = ours.replace("kvm", "tcg");
        assert!(confined(&printed(&[ours, ours].concat())).is_ok());
        assert!(confined(&printed(&[ours, roots].concat())).is_err());
        assert!(confined(&printed(&[ours, &emulated].concat())).is_err());
        assert!(confined(&printed(ours)).is_err());
    }

    #[test]
    fn a_device_that_only_exists_is_not_usable() {
        let finding = |seen: &str, status: &str| {
            let finding = serde_json::json!({ "subject": "kvm", "status": status, "seen": seen });
            let diagnosis = serde_json::json!({ "accelerator": "kvm", "findings": [finding] });
            printed(&diagnosis.to_string())
        };
        assert!(kvm_is_usable(&finding("usable (3 µs)", "good")).is_ok());
        assert!(kvm_is_usable(&finding("too slow", "warning")).is_err());
    }
}
