//! Who sends messages to a batch: by the engine's socket, as `batch send` does.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// A message has about so many bytes as a record of the journal.
const RECORD_BYTES: usize = 800;

/// Where messages go: each to another unit, as one unit takes few at a time.
#[derive(Debug)]
pub(super) struct Senders {
    /// The batch's directory, open: an address holds 107 bytes of path only.
    directory: File,
    units: Vec<String>,
    sent: AtomicUsize,
}

impl Senders {
    pub(super) fn of(batch: &Path, units: Vec<String>) -> Result<Self> {
        ensure!(!units.is_empty(), "nobody is there to be sent anything");
        Ok(Self { directory: File::open(batch)?, units, sent: AtomicUsize::new(0) })
    }

    /// Sends one message; how long it took until it was accepted.
    pub(super) fn send(&self) -> Result<Duration> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let unit = &self.units[number % self.units.len()];
        let begun = Instant::now();
        let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        let ask = json!({
            "request": format!("bench-{number}"),
            "command": {"send": {
                "to": {"unit": unit},
                "kind": "info",
                "answers": null,
                "urgent": "normal",
                "lasts_ms": null,
                "text": format!("sent at {}", now.as_nanos()),
            }},
        });
        let directory = self.directory.as_raw_fd();
        let mut stream = UnixStream::connect(format!("/proc/self/fd/{directory}/engine.sock"))?;
        stream.write_all(format!("{ask}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        let took = begun.elapsed();
        let answer: Value = serde_json::from_str(&line)?;
        ensure!(answer.pointer("/replied/reply/mailed").is_some(), "{answer}");
        Ok(took)
    }

    /// Sends as many messages as it is told, one after the other, and commits as much to a
    /// plain database of the same disk after each.
    pub(super) fn beside(
        &self,
        plain: &Connection,
        count: usize,
    ) -> Result<(Vec<Duration>, Vec<Duration>)> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..count {
            ours.push(self.send()?);
            let begun = Instant::now();
            plain.execute("INSERT INTO plain (text) VALUES (?1)", ["x".repeat(RECORD_BYTES)])?;
            theirs.push(begun.elapsed());
        }
        Ok((ours, theirs))
    }

    /// Has so many send at once, each `count` messages; how long each took, and all.
    pub(super) fn together(&self, senders: usize, count: usize) -> Result<(Vec<Duration>, f64)> {
        let begun = Instant::now();
        let took = thread::scope(|scope| -> Result<Vec<Duration>> {
            let work = || (0..count).map(|_| self.send()).collect::<Result<Vec<_>>>();
            let threads: Vec<_> = (0..senders).map(|_| scope.spawn(work)).collect();
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| anyhow!("a sender panicked"))??);
            }
            Ok(all)
        })?;
        Ok((took, begun.elapsed().as_secs_f64()))
    }
}

/// A plain database that syncs each commit.
pub(super) fn plain(path: &Path) -> Result<Connection> {
    let plain = Connection::open(path)?;
    plain.pragma_update(None, "journal_mode", "WAL")?;
    plain.pragma_update(None, "synchronous", "FULL")?;
    plain.execute_batch("CREATE TABLE plain (text TEXT NOT NULL)")?;
    Ok(plain)
}
