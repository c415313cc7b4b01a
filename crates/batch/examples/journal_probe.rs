//! Stands in for an engine in the tests of the journal.
//!
//! - `append DIRECTORY`: claims the journal, then appends one to five records in
//!   one commit for each line of its input, and says what became of it.
//! - `hold DIRECTORY`: claims the journal, begins to write, and never ends.
//! - `full DIRECTORY`: fills the disk that holds the directory, appends until that
//!   is refused, makes room, and goes on.
//! - `measure DIRECTORY RECORDS`: appends beside plain SQLite, one commit each and
//!   many in one, and says how fast each was; also as lines for programs.
//! - `lengthen DIRECTORY BATCH RECORDS`: adds facts to the journal of a batch that has
//!   units and no engine: what they used, and messages that nobody read in time.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use batch::journal::SqliteJournal;
use batch_api::{Actor, BatchId, Epoch, MessageId, Sequence, UnitId};
use batch_core::drive;
use batch_core::fact::Fact;
use batch_core::journal::{AppendError, Chain, Draft, Journal, Line, Subject};
use batch_core::mail::{MailKind, Message, Receipt, Urgency};
use batch_core::time::Time;
use batch_core::unit::Usage;
use rusqlite::Connection;
use serde::de::IgnoredAny;

/// How many records one commit has at most.
const GROUP_MAX: u64 = 5;

/// How much is written into the filler at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["append", directory] => append(Path::new(directory)),
        ["hold", directory] => hold(Path::new(directory)),
        ["full", directory] => full(Path::new(directory)),
        ["measure", directory, records] => measure(Path::new(directory), records.parse()?),
        ["lengthen", directory, batch, records] => {
            lengthen(Path::new(directory), batch.parse()?, records.parse()?)
        }
        _ => Err("unknown role".into()),
    }
}

fn batch() -> Result<BatchId, Box<dyn Error>> {
    Ok("bat_00000000000000000000000000000001".parse()?)
}

/// The chain up to the journal's end.
fn fold(journal: &mut SqliteJournal) -> Result<Chain, Box<dyn Error>> {
    let mut chain = Chain::of(batch()?);
    loop {
        let lines = journal.read(chain.last(), 1000)?;
        if lines.is_empty() {
            return Ok(chain);
        }
        for line in &lines {
            chain.check::<IgnoredAny>(line)?;
        }
    }
}

fn seal(chain: &mut Chain, epoch: Epoch, count: u64) -> Result<Vec<Line>, Box<dyn Error>> {
    let seal = |_| {
        let fact = format!("{:>160}", chain.last().0 + 1);
        let draft = Draft { actor: Actor::Engine, cause: None, subject: Subject::BATCH, fact };
        Ok(chain.seal(draft, Time(1), epoch)?.1)
    };
    (0..count).map(seal).collect()
}

fn append(directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut journal = SqliteJournal::create(directory, batch()?)?;
    let claim = journal.claim()?;
    let mut chain = fold(&mut journal)?;
    say(&format!("claimed {} after {}", claim.epoch.0, claim.last.0));
    for (line, number) in io::stdin().lock().lines().zip(0..) {
        line?;
        let lines = seal(&mut chain, claim.epoch, 1 + number % GROUP_MAX)?;
        match journal.append(claim.epoch, &lines) {
            Ok(()) => say(&format!("appended {}", chain.last().0)),
            Err(error) => {
                say(&format!("refused: {error}"));
                return Ok(());
            }
        }
    }
    Ok(())
}

fn hold(directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut journal = SqliteJournal::create(directory, batch()?)?;
    let claim = journal.claim()?;
    let writing = Connection::open(directory.join("journal.sqlite"))?;
    writing.execute_batch("BEGIN IMMEDIATE; UPDATE journal SET epoch = 99;")?;
    say(&format!("claimed {} after {}", claim.epoch.0, claim.last.0));
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

fn full(directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut journal = SqliteJournal::create(directory, batch()?)?;
    let epoch = journal.claim()?.epoch;
    let mut chain = Chain::of(batch()?);
    journal.append(epoch, &seal(&mut chain, epoch, 3)?)?;
    let filler = directory.join("filler");
    let mut file = File::create(&filler)?;
    while file.write_all(&[1; CHUNK_BYTES]).is_ok() {}
    // An open file would keep its room after it is removed.
    drop(file);
    let refused = loop {
        let before = chain;
        let lines = seal(&mut chain, epoch, GROUP_MAX)?;
        if let Err(error) = journal.append(epoch, &lines) {
            chain = before;
            break error;
        }
    };
    let kept = fold(&mut journal)?;
    let whole = matches!(refused, AppendError::Refused(_)) && kept == chain;
    say(&format!("full: {refused}, whole: {whole}"));
    fs::remove_file(&filler)?;
    journal.append(epoch, &seal(&mut chain, epoch, GROUP_MAX)?)?;
    drop(journal);
    let mut journal = SqliteJournal::open(directory, batch()?)?;
    let verified = journal.verify()?;
    say(&format!("went on: {}", verified.last == chain.last() && fold(&mut journal)? == chain));
    Ok(())
}

fn measure(directory: &Path, records: u64) -> Result<(), Box<dyn Error>> {
    let mut journal = SqliteJournal::create(&directory.join("journal"), batch()?)?;
    let epoch = journal.claim()?.epoch;
    let mut chain = Chain::of(batch()?);
    let plain = Connection::open(directory.join("plain.sqlite"))?;
    plain.pragma_update(None, "journal_mode", "WAL")?;
    plain.pragma_update(None, "synchronous", "FULL")?;
    plain.execute_batch("CREATE TABLE plain (number INTEGER PRIMARY KEY, text TEXT NOT NULL)")?;
    let text = seal(&mut Chain::of(batch()?), epoch, 1)?.remove(0).text;
    for group in [1, 10, 100] {
        let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
        let mut each = Vec::new();
        // In turns, so that both meet the same machine.
        for _ in 0..records / group {
            let start = Instant::now();
            let lines = seal(&mut chain, epoch, group)?;
            journal.append(epoch, &lines)?;
            each.push(start.elapsed());
            ours += start.elapsed();
            let start = Instant::now();
            plain.execute_batch("BEGIN IMMEDIATE")?;
            for _ in 0..group {
                plain.prepare_cached("INSERT INTO plain (text) VALUES (?1)")?.execute([&text])?;
            }
            plain.execute_batch("COMMIT")?;
            theirs += start.elapsed();
        }
        each.sort();
        let at = |share: usize| each.get(each.len() * share / 100).copied().unwrap_or_default();
        say(&format!(
            "{group} per commit: {:.0} records/s, {:.0} % of plain SQLite; p50 {:?}, p99 {:?}",
            records as f64 / ours.as_secs_f64(),
            100.0 * theirs.as_secs_f64() / ours.as_secs_f64(),
            at(50),
            at(99),
        ));
        let each = |sum: Duration| sum.as_secs_f64() * 1000.0 * group as f64 / records as f64;
        let (records, ours, theirs) = (records_of(group), each(ours), each(theirs));
        say(&format!("journal, {records} per commit\t{ours:.3}\tms\t{theirs:.3}"));
    }
    let start = Instant::now();
    let count = journal.verify()?.last;
    say(&format!("{} records verified in {:?}", count.0, start.elapsed()));
    let start = Instant::now();
    let mut found = Sequence(0);
    while let Some(line) = journal.read(found, 1000)?.pop() {
        found = line.sequence;
    }
    say(&format!("{} records read in {:?}", found.0, start.elapsed()));
    Ok(())
}

fn lengthen(directory: &Path, batch: BatchId, records: u64) -> Result<(), Box<dyn Error>> {
    let mut journal = SqliteJournal::open(directory, batch)?;
    let epoch = journal.claim()?.epoch;
    let (state, mut chain) = drive::fold(&mut journal, batch)?;
    let units: Vec<&UnitId> = state.units.keys().collect();
    let mut lines = Vec::new();
    for number in 0..records {
        let ten = number / 10;
        let unit = *units.get(usize::try_from(ten)? % units.len()).ok_or("there are no units")?;
        let id = MessageId::numbered(1_000_000 + ten);
        let fact = match number % 10 {
            8 => Fact::Mailed {
                message: Message {
                    id,
                    from: "operator:anna".parse()?,
                    kind: MailKind::Info,
                    to: vec![unit.clone()],
                    desk: None,
                    answers: None,
                    expires: Some(state.at),
                    urgent: Urgency::Normal,
                    text: "the tests of the parser are slow today".parse()?,
                },
            },
            9 => Fact::Receipted { message: id, receipt: Receipt::Expired },
            _ => Fact::Used { usage: Usage { tokens: 1, money_micros: 1, calls: 1 } },
        };
        let subject = Subject::unit(unit);
        let draft = Draft { actor: Actor::Engine, cause: None, subject, fact };
        lines.push(chain.seal(draft, state.at, epoch)?.1);
        if lines.len() == 1000 || number + 1 == records {
            journal.append(epoch, &std::mem::take(&mut lines))?;
        }
    }
    Ok(())
}

fn records_of(group: u64) -> String {
    format!("{group} {}", if group == 1 { "record" } else { "records" })
}

fn say(line: &str) {
    let mut output = io::stdout();
    // Nobody may be listening any more.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
