//! The journal in SQLite under faults: killed and stopped writers, torn and lost
//! writes, a full disk.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use batch::journal::{ClaimError, JournalError, SqliteJournal};
use batch_api::{Epoch, Sequence};
use batch_core::journal::{AppendError, Chain, Journal, Line};
use rustix::process::{Pid, Signal, kill_process};

use crate::host::Means;
use crate::journal::{batch, lines};

/// A writer in a process of its own.
struct Writer {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

fn probe() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    target.join("examples/journal_probe")
}

impl Writer {
    fn start(directory: &Path) -> Self {
        Self::start_as("append", directory)
    }

    fn start_as(role: &str, directory: &Path) -> Self {
        let mut child = Command::new(probe())
            .arg(role)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { stdin: child.stdin.take().unwrap(), child, lines }
    }

    fn hear(&mut self) -> Option<String> {
        self.lines.next().and_then(Result::ok)
    }

    /// The last record that the writer said is there.
    fn hear_until_the_end(&mut self, so_far: u64) -> u64 {
        let mut last = so_far;
        while let Some(line) = self.hear() {
            last = appended(&line).unwrap_or(last);
        }
        last
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn appended(line: &str) -> Option<u64> {
    line.strip_prefix("appended ").and_then(|number| number.parse().ok())
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12_u32 {
        let mut writer = Writer::start(directory.path());
        let claimed = writer.hear().unwrap();
        assert!(claimed.starts_with(&format!("claimed {} ", round + 1)), "{claimed}");
        writer.stdin.write_all(&[b'\n'; 400]).unwrap();
        // At another moment in each round, and mostly in the middle of a commit.
        for _ in 0..round * 3 % 17 {
            acknowledged = appended(&writer.hear().unwrap()).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_micros(u64::from(round) * 173));
        writer.child.kill().unwrap();
        acknowledged = writer.hear_until_the_end(acknowledged);
        writer.child.wait().unwrap();

        let mut journal = SqliteJournal::open(directory.path(), batch()).unwrap();
        let last = journal.verify().unwrap().last.0;
        assert!(last >= acknowledged, "{acknowledged} was acknowledged, {last} is the last");
        assert!(last <= acknowledged + 5, "more than one commit was on its way");
        acknowledged = last;
    }
}

#[test]
fn a_stopped_writer_that_was_replaced_appends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::start(directory.path());
    writer.hear().unwrap();
    writer.stdin.write_all(b"\n").unwrap();
    assert_eq!(writer.hear().unwrap(), "appended 1");
    let pid = Pid::from_child(&writer.child);
    kill_process(pid, Signal::STOP).unwrap();

    let mut journal = SqliteJournal::open(directory.path(), batch()).unwrap();
    assert!(journal.claim_unowned().is_err(), "it is stopped, not dead");
    let claim = journal.claim().unwrap();
    assert_eq!(claim.last, Sequence(1));
    kill_process(pid, Signal::CONT).unwrap();
    writer.stdin.write_all(b"\n").unwrap();
    let refused = writer.hear().unwrap();
    assert_eq!(refused, "refused: the batch is owned by engine 2, engine 1 was refused");
    assert_eq!(journal.verify().unwrap().last, Sequence(1));
}

/// Refusing it something would take the lock that it holds, so it is ended.
#[test]
fn an_engine_that_was_stopped_in_the_middle_of_a_commit_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let mut holder = Writer::start_as("hold", directory.path());
    assert_eq!(holder.hear().unwrap(), "claimed 1 after 0");
    kill_process(Pid::from_child(&holder.child), Signal::STOP).unwrap();

    let mut journal = SqliteJournal::open(directory.path(), batch()).unwrap();
    let refused = journal.claim_unowned();
    assert!(matches!(refused, Err(ClaimError::Owned(Epoch(1)))), "{refused:?}");
    assert_eq!(holder.child.try_wait().unwrap(), None, "nobody has ended it");

    let claim = journal.claim().unwrap();
    assert_eq!((claim.epoch, claim.last), (Epoch(2), Sequence(0)));
    assert_eq!(holder.child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
    journal.append(claim.epoch, &lines(&mut Chain::of(batch()), 2)).unwrap();
    assert_eq!(journal.verify().unwrap().last, Sequence(2));
}

/// A process that is stopped in the middle of a commit holds SQLite's lock.
#[test]
fn who_finds_the_database_busy_for_too_long_has_written_nothing_and_may_try_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = SqliteJournal::create(directory.path(), batch()).unwrap();
    let epoch = owner.claim().unwrap().epoch;
    let mut next = SqliteJournal::open(directory.path(), batch()).unwrap();
    let mut reader = SqliteJournal::open(directory.path(), batch()).unwrap();
    let lines = lines(&mut Chain::of(batch()), 2);
    let holder = rusqlite::Connection::open(directory.path().join("journal.sqlite")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE; UPDATE journal SET epoch = 99;").unwrap();
    std::thread::scope(|scope| {
        let append = scope.spawn(|| owner.append(epoch, &lines));
        let claim = scope.spawn(|| next.claim());
        assert_eq!(reader.read(Sequence(0), 9).unwrap(), [], "readers wait for nobody");
        let refused = append.join().unwrap();
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
        assert!(claim.join().unwrap().is_err());
    });
    // It is killed, and what it had half written never counts.
    drop(holder);
    owner.append(epoch, &lines).unwrap();
    assert_eq!(next.claim().unwrap().epoch, epoch.next(), "nobody has claimed meanwhile");
    assert_eq!(reader.read(Sequence(0), 9).unwrap(), lines);
}

/// A journal, and its files at a moment when the log holds all of it.
fn at_some_moment() -> (Vec<Line>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::create(&directory.path().join("live"), batch()).unwrap();
    let epoch = journal.claim().unwrap().epoch;
    let lines = lines(&mut Chain::of(batch()), 60);
    for group in lines.chunks(4) {
        journal.append(epoch, group).unwrap();
    }
    // By another process: closing a file of a database frees its locks.
    let status = Command::new("cp")
        .arg("-r")
        .args([directory.path().join("live"), directory.path().join("copy")])
        .status()
        .unwrap();
    assert!(status.success());
    (lines, directory)
}

fn read(directory: &Path) -> Result<Vec<Line>, JournalError> {
    let mut journal = SqliteJournal::open(directory, batch())?;
    journal.verify()?;
    Ok(journal.read(Sequence(0), 1000).unwrap())
}

#[test]
fn a_log_that_lost_its_end_or_was_torn_gives_whole_commits_or_is_refused() {
    let (lines, directory) = at_some_moment();
    let copy = directory.path().join("copy");
    let log = fs::read(copy.join("journal.sqlite-wal")).unwrap();
    let database = fs::read(copy.join("journal.sqlite")).unwrap();
    assert_eq!(read(&copy).unwrap(), lines, "nothing is missing in a copy");
    let mut lengths = Vec::new();
    for step in 0..60 {
        let cut = log.len() * step / 60;
        let lost = &log[..cut];
        // Another part of the disk was written before, or only half of a sector.
        let mut torn = log.clone();
        let end = log.len().min(cut + 700);
        torn[cut..end].fill(0xa5);
        for damaged in [lost, &torn[..]] {
            let trial = directory.path().join("trial");
            let _ = fs::remove_dir_all(&trial);
            fs::create_dir(&trial).unwrap();
            fs::write(trial.join("journal.sqlite"), &database).unwrap();
            fs::write(trial.join("journal.sqlite-wal"), damaged).unwrap();
            match read(&trial) {
                Ok(found) => {
                    assert!(lines.starts_with(&found), "not what was written, at {cut}");
                    assert_eq!(found.len() % 4, 0, "half of a commit, at {cut}");
                    lengths.push(found.len());
                }
                // Before its first commit there was no table.
                Err(error) => panic!("at {cut}: {error}"),
            }
        }
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert!(lengths.len() > 5, "the cuts hit different commits: {lengths:?}");
}

#[test]
fn a_damaged_database_is_told_and_never_read_as_something_else() {
    let (lines, directory) = at_some_moment();
    let copy = directory.path().join("copy");
    // Opened and closed once, it is one file.
    assert_eq!(read(&copy).unwrap(), lines);
    let whole = fs::read(copy.join("journal.sqlite")).unwrap();
    let (mut told, mut harmless) = (0, 0);
    for step in 0..150 {
        let at = whole.len() * step / 150 + step % 90;
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let trial = directory.path().join("trial");
        let _ = fs::remove_dir_all(&trial);
        fs::create_dir(&trial).unwrap();
        fs::write(trial.join("journal.sqlite"), &damaged).unwrap();
        match read(&trial) {
            Ok(found) => {
                assert_eq!(found, lines, "byte {at}");
                harmless += 1;
            }
            Err(error) => {
                let damage = matches!(
                    error,
                    JournalError::Damaged { .. }
                        | JournalError::Broken { .. }
                        | JournalError::OtherBatch { .. }
                        | JournalError::Newer { .. }
                        | JournalError::Database { .. }
                );
                assert!(damage, "byte {at}: {error}");
                told += 1;
            }
        }
    }
    assert!(told > harmless, "{told} were told, {harmless} were harmless");
}

#[test]
fn a_full_disk_refuses_and_keeps_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Means::available().contains(&Means::Namespace), "a small disk needs a mount");
    let user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let script = "mount -t tmpfs -o size=1m none \"$1\" && exec \"$2\" full \"$1\"";
    let output = Command::new("unshare")
        .args(user)
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(directory.path())
        .arg(probe())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("could not take more records, whole: true"), "{said} {complaint}");
    assert!(said.contains("went on: true"), "{said} {complaint}");
}
