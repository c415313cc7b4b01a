//! `batch.integrate`: the work of a batch, brought into a branch of the operator's.
//!
//! ```text
//! what is meant ──▶ asked of the engine ──▶ in the journal ──▶ an effect ──▶ what it came to
//!                     ▲                           │ its engine died
//!                     └──────── asked again ◀─────┘
//! ```
//!
//! The engine does it ([`batch_core::integration`]), in the name of whoever asked and with
//! what git needs of his environment. Here, what is left open is settled (the branch that
//! is checked out, the name of the batch's own), and whoever asked waits for the outcome,
//! which is in the journal. While he waits he sees to it that there is an engine; if he
//! goes away, the next engine brings it to its end all the same.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use batch_api::RequestId;
use batch_api::control::integrate::{BranchName, Integrate, Integrated, IntegrationWay};
use batch_core::decide::Command;
use batch_core::effect::Outcome;
use batch_core::integration::{Course, Handover, Integration, Stage};
use batch_git::current_branch;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};

use super::place::Place;
use super::process::Starter;
use super::{blocking, choosing, following, requests};
use crate::Batches;
use crate::engine::Surroundings;
use crate::journal::Owner;

/// How much of a batch's id its branch is called after, in characters.
const NAMED_BY: usize = 16;

/// How long whoever asked waits for the outcome: a push may take long.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// How often he looks, at first and later.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl Handler<Integrate> for Batches {
    async fn handle(
        &self,
        request: Integrate,
        _: &mut Call<NoEvents>,
    ) -> Result<Integrated, OpError> {
        let (home, target) = (self.home.clone(), request.target.clone());
        let request_id = requests::name(request.request_id.clone());
        let name = request_id.clone();
        let (place, file, known) = blocking(move || {
            let place = choosing::choose(&home, &target)?;
            let (mut state, _) = place.look()?;
            Ok((place.clone(), place.setup()?, state.integrations.remove(&name)))
        })
        .await?;
        let known = known.map(|integration| integration.handover);
        let handover = meant(&request, known, &place, &file.setup.operator).await?;
        let (starter, name, to, of) =
            (self.starter.clone(), request_id.clone(), handover.clone(), place.clone());
        let done = blocking(move || brought(&of, &starter, &name, &to)).await?;
        let commit = match done.stage {
            Stage::Over(outcome) => told(&place, outcome)?,
            Stage::Asked | Stage::UnderWay => None,
        };
        let (into, remote) = match handover.course {
            Course::Forward { into } | Course::Merge { into } => (Some(into), None),
            Course::Push { remote } => (None, Some(remote)),
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Integrated {
            id: place.batch,
            way: request.way,
            branch: handover.branch,
            into,
            remote,
            commit,
            units: number(file.spec.units.len()),
            done: number(done.merged),
            request_id,
        })
    }
}

/// Where to. What the request leaves open is what it was the first time, so that a request
/// that is repeated is the same, or what it is by now.
async fn meant(
    request: &Integrate,
    known: Option<Handover>,
    place: &Place,
    operator: &Path,
) -> Result<Handover, OpError> {
    let (known_branch, known_course) = match known {
        Some(Handover { branch, course }) => (Some(branch), Some(course)),
        None => (None, None),
    };
    let branch = match request.branch.clone().or(known_branch) {
        Some(branch) => branch,
        None => name_of(place)?,
    };
    if request.way == IntegrationWay::Push {
        return Ok(Handover { branch, course: Course::Push { remote: request.remote.clone() } });
    }
    let known_into = known_course.and_then(|course| match course {
        Course::Forward { into } | Course::Merge { into } => Some(into),
        Course::Push { .. } => None,
    });
    let into = match request.into.clone().or(known_into) {
        Some(into) => into,
        None => checked_out(operator).await?,
    };
    let course = match request.way {
        IntegrationWay::Merge => Course::Merge { into },
        IntegrationWay::FastForward | IntegrationWay::Push => Course::Forward { into },
    };
    Ok(Handover { branch, course })
}

/// Asks for it, and waits until it came to something.
fn brought(
    place: &Place,
    starter: &Starter,
    request: &RequestId,
    handover: &Handover,
) -> Result<Integration, OpError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let command = Command::Integrate { handover: handover.clone() };
        requests::ask_lending(place, starter, request, command, Surroundings::here())?;
        let (mut state, _) = place.look()?;
        let (mut pause, longest) = LOOKS;
        loop {
            // The owner first: one that has ended by then has written everything.
            let owner = place.owner()?;
            for record in following::read(place, state.sequence)? {
                state.fold(&record);
            }
            match state.integrations.get(request) {
                Some(integration) if matches!(integration.stage, Stage::Over(_)) => {
                    return Ok(integration.clone());
                }
                Some(_) => {}
                None => return Err(forgotten(place)),
            }
            if Instant::now() >= deadline {
                return Err(requests::stuck(place, owner));
            }
            if !matches!(owner, Owner::Alive(_)) {
                break;
            }
            thread::sleep(pause);
            pause = pause.saturating_mul(2).min(longest);
        }
    }
}

/// What of a request is told that was carried out so long ago that nobody remembers it.
fn forgotten(place: &Place) -> OpError {
    let message = "the request was carried out long ago, and what it came to is forgotten";
    OpError::plain(ErrorKind::NotFound, message)
        .hinted(format!("`hotcell batch events {}` still has it", place.batch))
}

/// The commit that is there now, if something was brought.
fn told(place: &Place, outcome: Outcome) -> Result<Option<batch_api::CommitName>, OpError> {
    match outcome {
        Outcome::Integrated { commit } => Ok(Some(commit)),
        Outcome::InTheWay { why } => Err(OpError::plain(ErrorKind::Conflict, why)
            .hinted("nothing was changed but the batch's own branch; do it again once that is out of the way")
            .hinted("`--way merge` merges, `--way push` leaves your branches as they are")),
        Outcome::Nowhere { what } => Err(OpError::plain(ErrorKind::NotFound, what)
            .hinted("name a branch with --into, or a remote with --remote")),
        Outcome::Failed { why } => Err(OpError::plain(ErrorKind::Internal, why)
            .during("the work could not be brought there")
            .hinted("nothing was changed but the batch's own branch: do it again")),
        Outcome::GivenUp => Err(OpError::plain(
            ErrorKind::Unavailable,
            "nobody knows whether the work was brought there",
        )
        .hinted("look at the branch, or do it again: what is there already stays as it is")
        .hinted(format!("`hotcell batch events {}` shows what has happened", place.batch))),
        _ => Ok(None),
    }
}

/// What the batch's branch is called in the operator's repository.
fn name_of(place: &Place) -> Result<BranchName, OpError> {
    let id: String = place.batch.to_string().chars().take(NAMED_BY).collect();
    format!("hotcell/{id}").parse().map_err(|error| OpError::new(ErrorKind::Internal, &error))
}

/// The branch that is checked out.
async fn checked_out(operator: &Path) -> Result<BranchName, OpError> {
    let current = current_branch(operator).await;
    let current = current.map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
    let named = current.and_then(|branch| branch.parse().ok());
    named.ok_or_else(|| {
        let message = format!("no branch is checked out in {}", operator.display());
        OpError::plain(ErrorKind::InvalidRequest, message).hinted("name one with --into")
    })
}
