//! Copies of a machine that never rests: whether any of its writes is lost.
//!
//! In the guest, a writer goes through its pages round after round. Each page
//! holds the number of its round twice, and is checked before it gets the next; so
//! a page from another moment than the rest of the machine is found out, at the
//! latest one round after the copy was made. After every round the number goes to
//! a file on the disk, synced, and only then to one in memory: a copy's disk is
//! never behind its memory. Beside it, processes come and go, which keeps the
//! kernel's own pages changing.

use anyhow::{Result, ensure};
use serde_json::{Deserializer, Value};

use crate::guest::Finished;

/// How long the brief lets a machine stand still for a copy, in milliseconds.
const PAUSE_TARGET_MS: f64 = 15.0;

/// Copies `busy` as often as `copies` says. Prints what each snapshot was told to
/// have cost; fails if a copy is broken.
pub(super) const SCRIPT: &str = r#"
    hotcell workspace create $environment $shape --name busy > /dev/null
    hotcell command start busy -- perl -e '
        use strict; use Fcntl; use IO::Handle;
        my ($pages, $size) = (128, 4096);
        my $memory = "\0" x ($pages * $size);
        sub opened { sysopen(my $file, $_[0], O_RDWR | O_CREAT) or die $_[0]; $file }
        sub put { sysseek($_[0], 0, 0); syswrite($_[0], sprintf("%012d\n", $_[1])) }
        my ($disk, $synced, $round) =
            map { opened($_) } "/workspace/round", "/dev/shm/synced", "/dev/shm/round";
        put($synced, 0);
        put(opened("/dev/shm/writer"), $$);
        for (my $number = 0; ; $number++) {
            for (my $at = 0; $at < $pages * $size; $at += $size) {
                my $head = unpack("Q", substr($memory, $at, 8));
                my $tail = unpack("Q", substr($memory, $at + $size - 8, 8));
                if ($head != $number || $tail != $number) {
                    put(opened("/dev/shm/broken"), $number);
                    exit 1;
                }
                substr($memory, $at, 8) = pack("Q", $number + 1);
                substr($memory, $at + $size - 8, 8) = pack("Q", $number + 1);
            }
            put($disk, $number);
            $disk->sync;
            put($synced, $number);
            put($round, $number);
        }' > /dev/null
    hotcell command start busy -- sh -c 'while :; do /bin/true; sleep 0.02; done' > /dev/null
    hotcell workspace exec busy -- sh -c 'until [ -s /dev/shm/round ]; do sleep 0.05; done'
    number=0
    while [ $number -lt $copies ]; do
        number=$((number + 1))
        echo "copy $number, $(cut -d . -f 1 /proc/uptime) s after the boot" >&2
        hotcell --json snapshot create busy moment
        hotcell workspace fork busy --from moment --name copy > /dev/null
        hotcell workspace exec copy -- sh -c '
            # Without a process: each takes its time in a machine that never rests.
            whole() { read -r number < $1; number=$((1$number - 1000000000000)); }
            whole /dev/shm/round
            end=$((number + 2)) tries=0
            until whole /dev/shm/round; [ $number -gt $end ]; do
                tries=$((tries + 1))
                if [ -e /dev/shm/broken ] || [ $tries -gt 300 ]; then
                    echo "a page is of another moment" >&2; exit 90
                fi
                sleep 0.2
            done
            whole /dev/shm/writer
            kill -STOP $number
            echo 3 > /proc/sys/vm/drop_caches
            whole /workspace/round
            disk=$number
            whole /dev/shm/synced
            synced=$number
            if [ $disk -lt $synced ] || [ $disk -gt $((synced + 1)) ]; then
                echo "round $disk on the disk, $synced in memory" >&2; exit 91
            fi
            if dmesg | grep -E "BUG:|Oops|Kernel panic|protection fault|segfault|Bad page" >&2; then
                exit 92
            fi'
        hotcell workspace delete copy > /dev/null
        hotcell snapshot delete busy moment > /dev/null
    done
    hotcell workspace delete busy > /dev/null"#;

/// All copies were whole; how long the machine stood still for them.
pub(super) fn judge(finished: &Finished) -> Result<String> {
    let told: Vec<Value> =
        Deserializer::from_str(&finished.stdout).into_iter().collect::<Result<_, _>>()?;
    ensure!(!told.is_empty(), "there was no copy");
    let mut pauses: Vec<f64> = Vec::new();
    let mut halted = 0;
    for taken in &told {
        let pause_us = taken["snapshot"]["pause_us"].as_f64();
        pauses.push(pause_us.ok_or_else(|| anyhow::anyhow!("no pause in {taken}"))? / 1000.0);
        halted += usize::from(taken["snapshot"]["halted"] == true);
    }
    pauses.sort_by(f64::total_cmp);
    let within = pauses.iter().filter(|pause| **pause <= PAUSE_TARGET_MS).count();
    let (median, worst) = (pauses[pauses.len() / 2], pauses[pauses.len() - 1]);
    Ok(format!(
        "{} copies whole; pause {median:.1} ms, at most {worst:.1}; {within} within \
         {PAUSE_TARGET_MS} ms; {halted} halted before",
        pauses.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_counted_as_they_are_told() {
        let taken = |pause_us: u32, halted: bool| serde_json::json!({ "snapshot": { "pause_us": pause_us, "halted": halted } });
        let stdout =
            format!("{}\n{}\n{}\n", taken(7_000, false), taken(90_000, true), taken(9_500, false));
        let told = judge(&Finished { code: 0, stdout, stderr: String::new() }).unwrap();
        assert_eq!(
            told,
            "3 copies whole; pause 9.5 ms, at most 90.0; 2 within 15 ms; 1 halted before"
        );
        let silent = Finished { code: 0, stdout: String::new(), stderr: String::new() };
        assert!(judge(&silent).is_err());
    }
}
