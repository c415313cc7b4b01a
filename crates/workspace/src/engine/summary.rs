//! Reading ledgers: history and summary.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use workspace_api::diff::Difference;
use workspace_api::id::WorkspaceRef;
use workspace_api::ledger::LedgerEvent;
use workspace_api::logs::{Log, LoggedEvent, Logs};
use workspace_api::state::WorkspaceState;
use workspace_api::summary::{LedgerCheck, Noteworthy, Summarize, SummarizedCommand, Summary};

use super::Engine;
use super::terms::shown;
use crate::hex::hex;
use crate::keeper::asking::WriteLedger;
use crate::store::{Entry, Known};

/// How long a keeper may take to write down what it has noted; after that the
/// ledger is read as it is.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// How often somebody who follows looks for new events.
const FOLLOW_POLL: Duration = Duration::from_millis(250);

/// How long comparing a workspace with what it was may take; after that it is told
/// without.
const CHANGES_DEADLINE: Duration = Duration::from_secs(30);

/// How many commands, changed files, and events of each other kind, a summary shows.
const SHOWN_MAX: usize = 20;

/// Longest command line that a summary shows, in characters.
const LINE_MAX: usize = 200;

/// How many events are read at once.
const PAGE: u32 = 1000;

impl Handler<Logs> for Engine {
    async fn handle(&self, logs: Logs, call: &mut Call<LoggedEvent>) -> Result<Log, OpError> {
        let known = self.with_written_ledger(&logs.workspace).await?;
        if logs.follow {
            return self.follow_ledger(known, &logs, call).await;
        }
        let limit = logs.limit.clamp(1, Logs::LIMIT_MAX);
        let kinds: Vec<&str> = logs.kind.iter().map(|kind| kind.as_str()).collect();
        let entries = match logs.after {
            Some(after) => self.store.events(known.id, after, limit, &kinds)?,
            None => self.store.last_events(known.id, limit, &kinds)?,
        };
        let next_after =
            entries.last().map_or_else(|| logs.after.unwrap_or(0), |last| last.sequence);
        let events = entries.into_iter().map(logged).collect();
        Ok(Log { workspace: known.id, events, next_after })
    }
}

fn logged(Entry { sequence, at, event }: Entry) -> LoggedEvent {
    LoggedEvent { sequence, at: shown(at), event }
}

impl Handler<Summarize> for Engine {
    async fn handle(
        &self,
        summarize: Summarize,
        call: &mut Call<NoEvents>,
    ) -> Result<Summary, OpError> {
        let known = self.with_written_ledger(&summarize.workspace).await?;
        let begin = self.store.last_events(known.id, 1, &["reset"])?;
        let mut after = begin.first().map_or(0, |reset| reset.sequence - 1);
        let mut digest = Digest::default();
        loop {
            let page = self.store.events(known.id, after, PAGE, &[])?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            page.into_iter().for_each(|entry| digest.take(entry));
        }
        let changes = self.changed(&known, &call.cancel).await;
        let checked = self.store.verify(known.id)?;
        let (since_sequence, since) = digest.since.clone().unwrap_or_default();
        Ok(Summary {
            workspace: known.id,
            name: known.name,
            state: known.state,
            since_sequence,
            since,
            outcome: digest.outcome(),
            commands_total: digest.total,
            commands_failed: digest.failed,
            commands: digest.commands,
            events: digest.events,
            changes,
            secrets: digest.secrets.into_iter().collect(),
            ledger: LedgerCheck {
                events: checked.events,
                head: checked.head.map(|head| hex(&head)),
                broken_at: checked.broken_at,
            },
            format: summarize.format,
        })
    }
}

impl Engine {
    /// What a workspace has changed, if that can be said now.
    async fn changed(&self, known: &Known, cancel: &CancellationToken) -> Option<Difference> {
        let is_there = matches!(known.state, WorkspaceState::Running | WorkspaceState::Stopped);
        let record = is_there.then(|| self.store.find(&known.id.into()).ok())??;
        let shown = u32::try_from(SHOWN_MAX).unwrap_or(u32::MAX);
        match timeout(CHANGES_DEADLINE, self.changes(&record, shown, cancel)).await {
            Ok(Ok(changes)) => Some(changes),
            Ok(Err(error)) => {
                tracing::info!(%error, "the summary is told without what changed");
                None
            }
            Err(_) => None,
        }
    }

    /// The workspace that is meant, deleted or not, with everything that has
    /// happened in it so far in its ledger.
    pub(crate) async fn with_written_ledger(
        &self,
        reference: &WorkspaceRef,
    ) -> Result<Known, OpError> {
        let known = self.store.find_known(reference)?;
        if known.state != WorkspaceState::Running {
            return Ok(known);
        }
        let record = self.store.find(&known.id.into())?;
        // A keeper that is gone has nothing left to write.
        if let Ok(mut connection) = self.connect_if_running(&record).await {
            let _ = timeout(WRITE_DEADLINE, connection.ask(WriteLedger {})).await;
        }
        self.store.find_known(&known.id.into()).map_err(OpError::from)
    }
}

impl Engine {
    /// Tells events as they come, until the workspace is deleted.
    async fn follow_ledger(
        &self,
        known: Known,
        logs: &Logs,
        call: &mut Call<LoggedEvent>,
    ) -> Result<Log, OpError> {
        let kinds: Vec<&str> = logs.kind.iter().map(|kind| kind.as_str()).collect();
        let limit = logs.limit.clamp(1, Logs::LIMIT_MAX);
        let mut next_after = logs.after;
        loop {
            // Asked first: what is written after that is seen in the next turn.
            let is_over =
                self.with_written_ledger(&known.id.into()).await?.state == WorkspaceState::Deleted;
            let entries = match next_after {
                Some(after) => self.store.events(known.id, after, limit, &kinds)?,
                None => self.store.last_events(known.id, limit, &kinds)?,
            };
            let is_full = u32::try_from(entries.len()) == Ok(limit);
            next_after = entries.last().map(|last| last.sequence).or(next_after).or(Some(0));
            for entry in entries {
                call.emit(logged(entry)).await;
            }
            if is_full {
                continue;
            }
            if is_over {
                let next_after = next_after.unwrap_or(0);
                return Ok(Log { workspace: known.id, events: Vec::new(), next_after });
            }
            tokio::select! {
                () = tokio::time::sleep(FOLLOW_POLL) => {}
                () = call.cancel.cancelled() => {
                    return Err(OpError::plain(ErrorKind::Cancelled, "following was cancelled"));
                }
            }
        }
    }
}

/// A summary while events go into it.
#[derive(Default)]
struct Digest {
    since: Option<(u64, String)>,
    total: u64,
    failed: u64,
    commands: Vec<SummarizedCommand>,
    events: BTreeMap<String, Noteworthy>,
    secrets: BTreeSet<String>,
}

impl Digest {
    fn take(&mut self, entry: Entry) {
        self.since.get_or_insert_with(|| (entry.sequence, shown(entry.at)));
        match entry.event {
            LedgerEvent::CommandStarted { command, argv, secrets, .. } => {
                self.total += 1;
                self.secrets.extend(secrets);
                if self.commands.len() == SHOWN_MAX {
                    self.commands.remove(0);
                }
                self.commands.push(SummarizedCommand {
                    command,
                    line: line(&argv),
                    exit_code: None,
                    error: None,
                    duration_ms: None,
                    output_end: None,
                });
            }
            LedgerEvent::CommandEnded {
                command,
                exit_code,
                error,
                duration_ms,
                output_end,
                ..
            } => {
                if exit_code != Some(0) {
                    self.failed += 1;
                }
                let begun = self.commands.iter_mut().find(|begun| begun.command == command);
                if let Some(begun) = begun {
                    begun.exit_code = exit_code;
                    begun.error = error;
                    begun.duration_ms = Some(duration_ms);
                    begun.output_end = output_end;
                }
            }
            event => self.note(&event),
        }
    }

    fn note(&mut self, event: &LedgerEvent) {
        if let LedgerEvent::ServiceStarted { secrets, .. }
        | LedgerEvent::ShellOpened { secrets, .. } = event
        {
            self.secrets.extend(secrets.iter().cloned());
        }
        let mut fields = serde_json::to_value(event).expect("events are plain data");
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("kind");
        }
        let events = self.events.entry(event.kind()).or_default();
        events.count += 1;
        if events.last.len() == SHOWN_MAX {
            events.last.remove(0);
        }
        events.last.push(shortened(&fields.to_string()));
    }

    fn outcome(&self) -> String {
        match self.commands.last() {
            None => "no command ran".to_owned(),
            Some(last) => match (last.exit_code, &last.error) {
                (Some(0), _) => "the last command succeeded".to_owned(),
                (Some(code), _) => format!("the last command failed with exit code {code}"),
                (None, Some(error)) => format!("the last command did not run to its end: {error}"),
                (None, None) => "the last command has not ended".to_owned(),
            },
        }
    }
}

/// A command as a shell would read it.
fn line(argv: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%^".contains(c);
    let words = argv.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    shortened(&words.collect::<Vec<_>>().join(" "))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
