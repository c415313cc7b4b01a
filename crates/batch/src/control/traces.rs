//! `batch.traces`, `batch.trace`, `batch.prune`, `batch.redact`: what was said and printed.
//!
//! The journal says which traces there are, files hold them. Neither pruning nor redacting
//! touches a record, so neither asks an engine, and both may be done while one is at work.

use std::collections::BTreeMap;
use std::time::SystemTime;

use batch_api::Sequence;
use batch_api::trace::{
    Prune, Redact, Trace, TraceContent, TraceEntry, TraceKind, TraceList, TraceRef, TraceState,
    Traces, TracesPruned, TracesRedacted,
};
use batch_core::fact::Fact;
use batch_core::journal::{Digest, Record};
use batch_core::trace::{Source, Trace as Kept};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use redaction::Secrets;
use workspace::settings::variable;

use super::place::Place;
use super::{blocking, changes, choosing, events, following};
use crate::Batches;
use crate::engine::hide;
use crate::journal::{Kept as Content, SqliteJournal, TraceStore};

impl Handler<Traces> for Batches {
    async fn handle(&self, request: Traces, _: &mut Call<NoEvents>) -> Result<TraceList, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let place = choosing::choose(&home, &request.target)?;
            request.unit.iter().try_for_each(|unit| changes::meant(&place, unit).map(drop))?;
            let store = store(&place);
            let mut traces = named(&place)?;
            traces.retain(|(record, _)| events::is_about(record, request.unit.as_ref()));
            let traces = traces.iter().filter_map(|(record, trace)| {
                let attempt = record.subject.attempt.clone()?;
                Some(entry(record.sequence, attempt, trace, &store))
            });
            Ok(TraceList { id: place.batch, traces: traces.collect() })
        })
        .await
    }
}

impl Handler<Trace> for Batches {
    async fn handle(
        &self,
        request: Trace,
        _: &mut Call<NoEvents>,
    ) -> Result<TraceContent, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let place = choosing::choose(&home, &request.target)?;
            let digest = meant(&place, &digests(&place)?, &request.trace)?;
            let (state, content) = match store(&place).look(digest)? {
                Content::Whole(content) => (TraceState::Kept, content),
                Content::Redacted(content) => (TraceState::Redacted, content),
                Content::Nothing => (TraceState::Pruned, Vec::new()),
            };
            let most = usize::try_from(request.max_bytes).unwrap_or(usize::MAX);
            let omitted = content.len().saturating_sub(most);
            let text = String::from_utf8_lossy(&content[omitted..]).into_owned();
            let (id, trace) = (place.batch, digest.to_string());
            Ok(TraceContent { id, trace, state, omitted_bytes: omitted as u64, text })
        })
        .await
    }
}

impl Handler<Prune> for Batches {
    async fn handle(
        &self,
        request: Prune,
        _: &mut Call<NoEvents>,
    ) -> Result<TracesPruned, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let place = choosing::choose(&home, &request.target)?;
            if request.traces.is_empty() && request.older_than.is_none() {
                let message = "it is not said which traces are to be removed";
                return Err(OpError::plain(ErrorKind::InvalidRequest, message)
                    .hinted("name some with --trace, or say --older-than"));
            }
            let (store, known) = (store(&place), digests(&place)?);
            let named = request.traces.iter().map(|trace| meant(&place, &known, trace));
            let named: Vec<Digest> = named.collect::<Result<_, _>>()?;
            let now = SystemTime::now();
            let is_old = |kept: SystemTime| {
                let age = now.duration_since(kept).unwrap_or_default();
                request.older_than.is_some_and(|span| age > span.duration())
            };
            let mut pruned = TracesPruned { id: place.batch, traces: 0, bytes: 0 };
            for digest in known.into_values() {
                let Some((kept, bytes, _)) = store.about(digest) else { continue };
                if named.contains(&digest) || is_old(kept) {
                    store.prune(digest)?;
                    pruned.traces += 1;
                    pruned.bytes += bytes;
                }
            }
            Ok(pruned)
        })
        .await
    }
}

impl Handler<Redact> for Batches {
    async fn handle(
        &self,
        request: Redact,
        _: &mut Call<NoEvents>,
    ) -> Result<TracesRedacted, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let place = choosing::choose(&home, &request.target)?;
            let name = request.variable.as_str();
            let value = variable(name).and_then(|value| value.into_string().ok());
            let value = value.ok_or_else(|| {
                let message = format!("the variable `{name}` is not set here, or is no text");
                OpError::plain(ErrorKind::InvalidRequest, message)
            })?;
            let secrets = Secrets::new([(name, value.as_bytes())])
                .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
            let store = store(&place);
            let mut done = TracesRedacted { id: place.batch, traces: 0, looked_through: 0 };
            for digest in digests(&place)?.into_values() {
                let (Content::Whole(content) | Content::Redacted(content)) = store.look(digest)?
                else {
                    continue;
                };
                done.looked_through += 1;
                let hidden = hide(secrets.clone(), &content);
                if hidden != content {
                    store.redact(digest, &hidden)?;
                    done.traces += 1;
                }
            }
            Ok(done)
        })
        .await
    }
}

fn store(place: &Place) -> TraceStore {
    SqliteJournal::traces_in(place.directory())
}

/// The traces that the journal names, each with its record.
fn named(place: &Place) -> Result<Vec<(Record<Fact>, Kept)>, OpError> {
    let (mut at, mut found) = (Sequence(0), Vec::new());
    loop {
        let records = following::read(place, at)?;
        let Some(last) = records.last() else { return Ok(found) };
        at = last.sequence;
        found.extend(records.into_iter().filter_map(|record| match &record.fact {
            Fact::Traced { trace } => {
                let trace = trace.clone();
                Some((record, trace))
            }
            _ => None,
        }));
    }
}

/// Their digests, by name. What was done again may have kept the same again.
fn digests(place: &Place) -> Result<BTreeMap<String, Digest>, OpError> {
    let all = named(place)?.into_iter().map(|(_, trace)| trace.digest);
    Ok(all.map(|digest| (digest.to_string(), digest)).collect())
}

/// Reads all traces; how many are there, and how many are not any more.
pub(super) fn checked(place: &Place) -> Result<(usize, usize), OpError> {
    let (store, known) = (store(place), digests(place)?);
    let (mut found, mut gone) = (0, 0);
    for digest in known.into_values() {
        match store.look(digest)? {
            Content::Whole(_) | Content::Redacted(_) => found += 1,
            Content::Nothing => gone += 1,
        }
    }
    Ok((found, gone))
}

fn meant(
    place: &Place,
    known: &BTreeMap<String, Digest>,
    trace: &TraceRef,
) -> Result<Digest, OpError> {
    let found: Vec<&Digest> =
        known.iter().filter(|(name, _)| trace.means(name)).map(|(_, digest)| digest).collect();
    match *found {
        [one] => Ok(*one),
        [] => Err(OpError::plain(
            ErrorKind::NotFound,
            format!("the journal of {} names no trace `{trace}`", place.batch),
        )
        .hinted(format!("`hotcell batch traces {}` lists them", place.batch))),
        _ => Err(OpError::plain(
            ErrorKind::InvalidRequest,
            format!("`{trace}` may be any of {} traces", found.len()),
        )
        .hinted("give more of its digits")),
    }
}

fn entry(
    sequence: Sequence,
    attempt: batch_api::AttemptId,
    trace: &Kept,
    store: &TraceStore,
) -> TraceEntry {
    let (kind, conversation, effect) = match &trace.of {
        Source::Transcript { conversation } => {
            (TraceKind::Transcript, Some(conversation.clone()), None)
        }
        Source::Verification { effect } => (TraceKind::Verification, None, Some(*effect)),
    };
    let state = match store.about(trace.digest) {
        None => TraceState::Pruned,
        Some((_, _, true)) => TraceState::Redacted,
        Some((_, _, false)) => TraceState::Kept,
    };
    TraceEntry {
        trace: trace.digest.to_string(),
        kind,
        attempt,
        conversation,
        effect,
        bytes: trace.bytes,
        cut_bytes: trace.cut_bytes,
        state,
        sequence: sequence.0,
    }
}
