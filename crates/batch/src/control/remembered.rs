//! What a journal amounts to, remembered between readings.
//!
//! ```text
//! remembered up to record N ──▶ the records after N ──▶ state
//!            ▲                             │ if they were many
//!            └──────── written anew ◀──────┘
//! ```
//!
//! A journal grows for days, and nobody who asks for a status waits until all of it is
//! folded. This is for readers only: an engine folds the whole journal, and checks every
//! record of it, before it acts on any.
//!
//! What is remembered is believed only if this very program wrote it, since another one
//! may know another state, and if the journal's record N still has the digest that it had.
//! Whatever else is wrong with it: the journal is folded from its beginning.
//!
//! **SIGKILL** leaves the former file or the next, whole, and perhaps one in the making
//! that the next writer replaces. Of two who write at once one may put the other's
//! unfinished file in place: what cannot be read is not believed, and written anew.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use batch_api::{BatchId, Sequence};
use batch_core::drive::{self, Failure};
use batch_core::journal::{Chain, Journal as _};
use batch_core::state::State;
use serde::{Deserialize, Serialize};

use super::files;
use crate::journal::SqliteJournal;

/// The file's name within a batch's directory.
const FILE: &str = "remembered.json";

/// What it is called while it is written.
const MAKING: &str = "remembered.making";

/// Most bytes of it: a state that is larger is not remembered.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How many records have to be new until it is written anew: they take milliseconds.
const RECORDS_WORTH: u64 = 2_000;

/// What is remembered; `S` is a state or a reference to one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered<S> {
    /// Which program it was.
    program: String,
    batch: BatchId,
    /// How far in the journal it was.
    chain: Chain,
    state: S,
}

/// Folds a journal, beginning with what is remembered of it.
pub(super) fn fold(
    directory: &Path,
    journal: &mut SqliteJournal,
    batch: BatchId,
) -> Result<State, Failure> {
    let program = program().ok();
    let known = program.as_ref().and_then(|program| known(directory, journal, batch, program));
    let (state, chain) = known.unwrap_or_else(|| (State::default(), Chain::of(batch)));
    let before = chain.last();
    let (state, chain) = drive::fold_on(journal, state, chain)?;
    if let Some(program) = program
        && chain.last().0 - before.0 > RECORDS_WORTH
        && let Err(error) = write(directory, &Remembered { program, batch, chain, state: &state })
    {
        // It only takes longer the next time.
        tracing::debug!(%error, "what the journal amounts to is not remembered");
    }
    Ok(state)
}

/// What is remembered of a journal, if it can be believed.
fn known(
    directory: &Path,
    journal: &mut SqliteJournal,
    batch: BatchId,
    program: &str,
) -> Option<(State, Chain)> {
    let text = files::read(&directory.join(FILE), BYTES_MAX).ok()??;
    let known: Remembered<State> = serde_json::from_slice(&text).ok()?;
    let before = Sequence(known.chain.last().0.checked_sub(1)?);
    let line = journal.read(before, 1).ok()?.pop()?;
    let is_true = known.program == program && known.batch == batch && known.chain.ends_with(&line);
    is_true.then_some((known.state, known.chain))
}

fn write(directory: &Path, what: &Remembered<&State>) -> io::Result<()> {
    let text = serde_json::to_vec(what)?;
    if text.len() as u64 > BYTES_MAX {
        return Ok(());
    }
    let making = directory.join(MAKING);
    fs::write(&making, text)?;
    fs::rename(making, directory.join(FILE))
}

/// Names the program that this process runs, beyond doubt on this host.
fn program() -> io::Result<String> {
    let program = fs::metadata("/proc/self/exe")?;
    let (device, number, length) = (program.dev(), program.ino(), program.size());
    Ok(format!("{device}.{number}.{length}.{}.{}", program.mtime(), program.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use batch_api::{Actor, Epoch};
    use batch_core::fact::Fact;
    use batch_core::journal::{Draft, Subject};
    use batch_core::state::Halt;
    use batch_core::time::Time;

    use super::*;

    /// Appends many records to a journal, and a last one.
    fn journal(directory: &Path, batch: BatchId, last: Fact) -> SqliteJournal {
        let mut journal = SqliteJournal::create(directory, batch).unwrap();
        let claim = journal.claim().unwrap();
        let (mut state, mut chain) = (State::default(), Chain::of(batch));
        (state, chain) = drive::fold_on(&mut journal, state, chain).unwrap();
        let facts = std::iter::repeat_n(Fact::EngineStarted, 2 * 1024).chain([last]);
        let mut seal = |fact| {
            let subject = Subject::BATCH;
            let draft = Draft { actor: Actor::Engine, cause: None, subject, fact };
            chain.seal(draft, Time(state.at.0 + 1), claim.epoch).unwrap().1
        };
        let lines: Vec<_> = facts.map(&mut seal).collect();
        journal.append(claim.epoch, &lines).unwrap();
        journal
    }

    fn remembered(directory: &Path) -> Option<Remembered<State>> {
        serde_json::from_slice(&fs::read(directory.join(FILE)).ok()?).ok()
    }

    #[test]
    fn what_is_remembered_is_what_is_folded_and_believed_of_this_journal_only() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let batch: BatchId = "bat_00000000000000000000000000000001".parse().unwrap();
        let paused = Fact::Halted { halt: Some(Halt::Paused) };
        let mut first = journal(one.path(), batch, paused.clone());
        let whole = drive::fold(&mut first, batch).unwrap().0;
        assert_eq!(fold(one.path(), &mut first, batch).unwrap(), whole);
        let known = remembered(one.path()).unwrap();
        assert_eq!((known.state, known.chain.last()), (whole.clone(), whole.sequence));
        drop(first);

        // More comes, and is folded on.
        let mut first = journal(one.path(), batch, Fact::Halted { halt: None });
        let whole = drive::fold(&mut first, batch).unwrap().0;
        assert_eq!(whole.halt, None);
        assert_eq!(fold(one.path(), &mut first, batch).unwrap(), whole);

        // Beside another journal, by another program, or torn it says nothing.
        let mut second = journal(two.path(), batch, Fact::Halted { halt: Some(Halt::Ceiling) });
        let of_second = drive::fold(&mut second, batch).unwrap().0;
        let mut lie = remembered(one.path()).unwrap();
        let written = |what: &Remembered<State>| serde_json::to_vec(what).unwrap();
        fs::write(two.path().join(FILE), written(&lie)).unwrap();
        assert_eq!(fold(two.path(), &mut second, batch).unwrap(), of_second);
        lie.program = "another".to_owned();
        lie.state = State { epoch: Epoch(77), ..State::default() };
        fs::write(one.path().join(FILE), written(&lie)).unwrap();
        assert_eq!(fold(one.path(), &mut first, batch).unwrap(), whole);
        fs::write(one.path().join(FILE), &written(&lie)[..500]).unwrap();
        assert_eq!(fold(one.path(), &mut first, batch).unwrap(), whole);
        assert_eq!(remembered(one.path()).unwrap().state, whole, "it is written anew");
    }
}
