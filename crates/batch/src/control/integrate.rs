//! `batch.integrate`: the work of a batch, brought into a branch of the operator's.
//!
//! It is the caller's process that does it, with the caller's rights: an engine has no
//! credentials to push with. Nothing of it has to be remembered, because what was brought
//! is seen in the repository: repeated, it finds everything there. An engine that is at
//! work meanwhile goes on; one that takes over in the middle is told apart by the store's
//! name, and then it has to be done again.

use std::path::Path;

use batch_api::control::integrate::{BranchName, Integrate, Integrated, IntegrationWay};
use batch_core::unit::Phase;
use batch_git::{GitError, Note, Signature, Store, Way, current_branch};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};

use super::place::Place;
use super::{blocking, choosing};
use crate::Batches;
use crate::engine::now;

/// How much of a batch's id its branch is called after, in characters.
const NAMED_BY: usize = 16;

impl Handler<Integrate> for Batches {
    async fn handle(
        &self,
        request: Integrate,
        _: &mut Call<NoEvents>,
    ) -> Result<Integrated, OpError> {
        let (home, target) = (self.home.clone(), request.target.clone());
        let (place, file, state) = blocking(move || {
            let place = choosing::choose(&home, &target)?;
            let (state, _) = place.look()?;
            Ok((place.clone(), place.setup()?, state))
        })
        .await?;
        let operator = file.setup.operator;
        let found = Store::find_in(&place.path("repository")).map_err(told)?;
        let Some((_, store)) = found else {
            let message = format!("{} has no integration branch yet", place.batch);
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted(format!("`hotcell batch status {}` shows how far it is", place.batch)));
        };
        let branch = match request.branch {
            Some(branch) => branch,
            None => name_of(&place)?,
        };
        let (way, into, remote) = match request.way {
            IntegrationWay::Push => {
                let remote = request.remote;
                (Way::Push { remote: remote.to_string() }, None, Some(remote))
            }
            way => {
                let into = match request.into {
                    Some(into) => into,
                    None => checked_out(&operator).await?,
                };
                let way = match way {
                    IntegrationWay::Merge => Way::Merge,
                    IntegrationWay::FastForward | IntegrationWay::Push => Way::FastForward,
                };
                (way, Some(into), None)
            }
        };
        let seconds = u32::try_from(now().0 / 1000).unwrap_or(u32::MAX);
        let signature = Signature {
            name: "Hotcell".to_owned(),
            email: "hotcell@localhost".to_owned(),
            seconds,
        };
        let note = Note {
            subject: format!("Merge {branch}"),
            trailers: vec![("Hotcell-Batch", place.batch.to_string())],
        };
        let target = into.as_ref().unwrap_or(&branch).as_str();
        let integrated =
            store.integrate(&operator, branch.as_str(), target, &way, &note, &signature).await;
        let commit = match integrated.map_err(told)? {
            batch_git::Integrated::At(commit) | batch_git::Integrated::Pushed(commit) => {
                let name = commit.as_str().parse();
                Some(name.map_err(|error| OpError::new(ErrorKind::Internal, &error))?)
            }
            batch_git::Integrated::Already => None,
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let done = state.units.values().filter(|unit| unit.phase == Phase::Done).count();
        Ok(Integrated {
            id: place.batch,
            way: request.way,
            branch,
            into,
            remote,
            commit,
            units: number(file.spec.units.len()),
            done: number(done),
        })
    }
}

/// What the batch's branch is called in the operator's repository.
fn name_of(place: &Place) -> Result<BranchName, OpError> {
    let id: String = place.batch.to_string().chars().take(NAMED_BY).collect();
    format!("hotcell/{id}").parse().map_err(|error| OpError::new(ErrorKind::Internal, &error))
}

/// The branch that is checked out.
async fn checked_out(operator: &Path) -> Result<BranchName, OpError> {
    let current = current_branch(operator).await.map_err(told)?;
    let named = current.and_then(|branch| branch.parse().ok());
    named.ok_or_else(|| {
        let message = format!("no branch is checked out in {}", operator.display());
        OpError::plain(ErrorKind::InvalidRequest, message).hinted("name one with --into")
    })
}

/// What git says, as people are told.
fn told(error: GitError) -> OpError {
    match error {
        GitError::InTheWay(_) => OpError::new(ErrorKind::Conflict, &error)
            .hinted("nothing was changed but the batch's own branch; do it again once that is out of the way")
            .hinted("`--way merge` merges, `--way push` leaves your branches as they are"),
        GitError::Missing { .. } => OpError::new(ErrorKind::NotFound, &error)
            .hinted("name a branch with --into, or a remote with --remote"),
        GitError::NotOwned { .. } => OpError::new(ErrorKind::Unavailable, &error)
            .hinted("another engine has just taken over: do it again"),
        _ => OpError::new(ErrorKind::Internal, &error),
    }
}
