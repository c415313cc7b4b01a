//! `batch.doctor`: everything of a batch that can be wrong, looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use batch_api::Epoch;
use batch_api::control::doctor::{BatchDiagnosis, BatchFinding, BatchFindingStatus, Doctor};
use batch_core::state::State;
use batch_core::unit::Phase;
use batch_git::Store;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};

use super::place::Place;
use super::{blocking, choosing, socket, telling};
use crate::Batches;
use crate::custody;
use crate::engine::{LaneMode, worktrees_of};
use crate::journal::Owner;

/// With less room than this on the disk of a batch, in MiB, it should not go on.
const ROOM_MIN_MIB: u64 = 1024;

/// How many things a finding names.
const NAMED_MAX: usize = 8;

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<BatchFinding>);

impl Findings {
    fn good(&mut self, subject: &str, seen: impl Into<String>) {
        self.add(subject, BatchFindingStatus::Good, seen, None);
    }

    fn warning(&mut self, subject: &str, seen: impl Into<String>, remedy: impl Into<String>) {
        self.add(subject, BatchFindingStatus::Warning, seen, Some(remedy.into()));
    }

    fn failed(&mut self, subject: &str, seen: impl Into<String>, remedy: impl Into<String>) {
        self.add(subject, BatchFindingStatus::Failed, seen, Some(remedy.into()));
    }

    fn add(
        &mut self,
        subject: &str,
        status: BatchFindingStatus,
        seen: impl Into<String>,
        remedy: Option<String>,
    ) {
        let (subject, seen) = (subject.to_owned(), seen.into());
        self.0.push(BatchFinding { subject, status, seen, remedy });
    }
}

impl Handler<Doctor> for Batches {
    async fn handle(
        &self,
        request: Doctor,
        _: &mut Call<NoEvents>,
    ) -> Result<BatchDiagnosis, OpError> {
        let (home, starter) = (self.home.clone(), self.starter.clone());
        let (place, mut findings, known) = blocking(move || {
            let place = choosing::choose(&home, &request.target)?;
            let mut findings = Findings::default();
            let known = journal(&place, &mut findings);
            if let Some((state, owner)) = &known {
                engine(&place, state, *owner, &mut findings);
                waits(&place, state, &mut findings);
                troubles(&place, state, &mut findings);
                processes(&home.custody(place.batch), &mut findings);
                let setup = place.setup().ok();
                if let Some(file) = &setup {
                    isolation(file.setup.agent.lane, &mut findings);
                }
                if !telling::state(state).is_over()
                    && let Some(file) = setup.filter(|file| file.setup.needs_machines())
                    && let Err(error) = starter.check_prepared(&file.setup.environment)
                {
                    let remedy = error.hints.join("; ");
                    findings.failed("environment", error.message, remedy);
                }
                traces(&place, &mut findings);
            }
            room(place.directory(), &mut findings);
            Ok((place, findings, known))
        })
        .await?;
        if let Some((state, owner)) = known {
            store(&place, &state, &mut findings).await;
            let lanes = self.starter.lanes_of(place.batch).await;
            let lanes = lanes.and_then(|mut found| {
                found.extend(worktrees_of(place.directory()).map_err(unreadable)?);
                Ok(found)
            });
            match lanes {
                Ok(found) => lanes_found(&state, owner, &found, &mut findings),
                Err(error) => findings.failed("lanes", error.message, "`hotcell doctor`"),
            }
        }
        Ok(BatchDiagnosis { id: place.batch, findings: findings.0 })
    }
}

/// Verifies the setup and every record; what they amount to, if they are whole.
fn journal(place: &Place, findings: &mut Findings) -> Option<(State, Owner)> {
    const ASIDE: &str = "put a copy of the whole directory aside";
    match place.setup() {
        Ok(_) => findings.good("setup", format!("{}", place.directory().display())),
        Err(error) => findings.failed("setup", error.message, ASIDE),
    }
    let verified = place.journal().and_then(|journal| match journal {
        Some(mut journal) => Ok(Some(journal.verify()?)),
        None => Ok(None),
    });
    match verified {
        Ok(None) => findings.good("journal", "there is none yet"),
        Ok(Some(verified)) => {
            let (last, kib) = (verified.last.0, verified.bytes / 1024);
            findings.good("journal", format!("{last} records, {kib} KiB, each verified"));
        }
        Err(error) => {
            let seen = [vec![error.message], error.causes].concat().join(": ");
            findings.failed("journal", seen, error.hints.first().map_or(ASIDE, String::as_str));
            return None;
        }
    }
    match place.look() {
        Ok(known) => Some(known),
        Err(error) => {
            findings.failed("journal", error.message, ASIDE);
            None
        }
    }
}

fn engine(place: &Place, state: &State, owner: Owner, findings: &mut Findings) {
    let is_over = telling::state(state).is_over();
    let resume = format!("`hotcell batch resume {}`", place.batch);
    match owner {
        Owner::Alive(epoch) => match socket::is_attended(place.directory()) {
            true => findings.good("engine", format!("engine {} lives, and answers", epoch.0)),
            false => findings.warning(
                "engine",
                format!("engine {} lives, and does not answer", epoch.0),
                format!("it may be beginning; if it stays so, {resume} --take-over"),
            ),
        },
        Owner::Dead(_) if is_over => findings.good("engine", "none is needed: the batch is over"),
        Owner::Nobody => findings.warning("engine", "none has begun with the batch", resume),
        Owner::Dead(epoch) => {
            findings.warning("engine", format!("engine {} is gone", epoch.0), resume);
        }
    }
}

fn unreadable(error: std::io::Error) -> OpError {
    OpError::new(ErrorKind::Internal, &error).during("cannot read the batch's checkouts")
}

/// What is not kept apart.
fn isolation(lane: LaneMode, findings: &mut Findings) {
    let (name, open) = (lane.as_str(), lane.lane().leaves_open());
    match lane {
        LaneMode::Guest | LaneMode::Cell => {
            findings.good("isolation", format!("lanes are `{name}`"))
        }
        LaneMode::Worktree => findings.warning(
            "isolation",
            format!("lanes are `{name}`: {open}"),
            "`hotcell batch agents` shows what is proved in a `cell`",
        ),
    }
}

fn waits(place: &Place, state: &State, findings: &mut Findings) {
    if state.waits.is_empty() {
        return;
    }
    let owners: BTreeSet<String> =
        state.waits.values().map(|open| open.wait.owner.to_string()).collect();
    let owners: Vec<String> = owners.into_iter().collect();
    findings.warning(
        "waits",
        format!("{} open, for {} to answer", state.waits.len(), owners.join(", ")),
        format!(
            "`hotcell batch status {}` shows what, until when, and what happens then; \
             `hotcell batch answer` answers",
            place.batch
        ),
    );
}

/// Whether what was said and printed is what was kept. The journal says what should be.
fn traces(place: &Place, findings: &mut Findings) {
    match super::traces::checked(place) {
        Ok((found, gone)) => {
            let seen = format!("{found} verified, {gone} pruned; the journal needs none of them");
            findings.good("traces", seen);
        }
        Err(error) => {
            let seen = [vec![error.message], error.causes].concat().join(": ");
            findings.failed("traces", seen, "remove it with `hotcell batch prune --trace`");
        }
    }
}

/// What the engine tries again.
fn troubles(place: &Place, state: &State, findings: &mut Findings) {
    let troubled =
        state.effects.values().filter_map(|effect| Some((effect, effect.trouble.as_ref()?)));
    for (effect, trouble) in troubled.take(NAMED_MAX) {
        let of = effect.subject.unit.as_ref().map(|unit| format!(" of {unit}")).unwrap_or_default();
        findings.warning(
            "trouble",
            format!("{}{of} fails, try {}: {trouble}", effect.action.kind(), effect.tries),
            format!(
                "it is tried again, and then asked about: `hotcell batch status {}`",
                place.batch
            ),
        );
    }
}

fn processes(registry: &Path, findings: &mut Findings) {
    if !registry.exists() {
        return findings.good("processes", "none was started on this host");
    }
    match custody::list(registry) {
        Ok(listed) => {
            let lost = listed.iter().filter(|one| one.abandonment.is_some()).count();
            match lost {
                0 => findings.good("processes", format!("{} alive, all owned", listed.len())),
                _ => findings.warning(
                    "processes",
                    format!("{lost} of {} have no owner", listed.len()),
                    "`hotcell batch processes --orphans` ends them",
                ),
            }
        }
        Err(error) => findings.failed("processes", error.to_string(), "mend the registry's files"),
    }
}

fn room(directory: &Path, findings: &mut Findings) {
    let Ok(found) = rustix::fs::statvfs(directory) else { return };
    let free_mib = found.f_bavail.saturating_mul(found.f_frsize) / (1024 * 1024);
    let seen = format!("{free_mib} MiB free for {}", directory.display());
    if free_mib < ROOM_MIN_MIB {
        findings.warning("disk", seen, "free some space: what does not fit is tried again");
    } else {
        findings.good("disk", seen);
    }
}

async fn store(place: &Place, state: &State, findings: &mut Findings) {
    match Store::find_in(&place.path("repository")) {
        Ok(None) => findings.good("repository", "there is none yet"),
        Ok(Some((epoch, store))) => match store.check().await {
            Ok(()) if epoch == state.epoch || epoch == Epoch(0) => {
                findings.good("repository", format!("whole, and engine {}'s", epoch.0));
            }
            Ok(()) => findings.warning(
                "repository",
                format!("whole, and still engine {}'s", epoch.0),
                "the next engine takes it over",
            ),
            Err(error) => findings.failed(
                "repository",
                error.to_string(),
                "put a copy of the whole directory aside",
            ),
        },
        Err(error) => findings.failed("repository", error.to_string(), "mend its directory"),
    }
}

/// Compares the machines that bear the batch's label with those that it should have.
fn lanes_found(
    state: &State,
    owner: Owner,
    found: &BTreeMap<String, String>,
    findings: &mut Findings,
) {
    let in_lanes = state.in_lanes().collect::<Vec<_>>();
    let settled = |phase: Phase| !matches!(phase, Phase::Preparing | Phase::Clearing { .. });
    let missing: Vec<String> = in_lanes
        .iter()
        .filter(|unit| settled(unit.phase))
        .map(|unit| unit.attempt_id().to_string())
        .filter(|attempt| !found.contains_key(attempt))
        .collect();
    let wanted: BTreeSet<String> =
        in_lanes.iter().map(|unit| unit.attempt_id().to_string()).collect();
    let spare: Vec<&str> = found
        .iter()
        .filter(|(purpose, _)| !wanted.contains(*purpose))
        .map(|(_, name)| name.as_str())
        .take(NAMED_MAX)
        .collect();
    if !missing.is_empty() {
        findings.warning(
            "lanes",
            format!("gone: {}", missing.join(", ")),
            "the engine finds out, and the attempt fails; what was captured is kept",
        );
    }
    // One that lives verifies, or is about to clear up.
    if !spare.is_empty() && !matches!(owner, Owner::Alive(_)) {
        findings.warning(
            "lanes",
            format!("of no use any more: {}", spare.join(", ")),
            "once nothing in them is wanted: `hotcell workspace delete NAME` for a machine, and the \
             directory of a checkout can go",
        );
    } else if missing.is_empty() {
        findings.good("lanes", format!("{} in use", in_lanes.len()));
    }
}
