//! Asking the engine of a batch, whichever it is.
//!
//! ```text
//! lives ──▶ its door ──answered──▶ done
//!             │ ended, busy: again, under the same name
//! none ───▶ start one with the request in its hands ──answered──▶ done
//! ```
//!
//! A request keeps its name through all of this, and an engine answers a name once: so
//! asking again is safe whatever became of the first time.

use std::thread;
use std::time::{Duration, Instant};

use batch_api::{Actor, Epoch, RequestId};
use batch_core::decide::Command;
use batch_core::fact::{Refusal, Reply};
use operation::{ErrorKind, OpError};
use rustix::process::{Uid, getuid};
use uuid::Uuid;

use super::place::Place;
use super::process::{Begun, Orders, Replacing, Starter};
use super::socket::{self, Answer, Ask};
use crate::engine::Surroundings;
use crate::journal::Owner;

/// How long an engine that lives is asked again before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an engine that lives is greeted again before it counts as stuck.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before asking again.
const NAP: Duration = Duration::from_millis(200);

/// Asks a batch's engine, starting one if there is none, and waits until the answer is
/// in the journal.
pub(crate) fn ask(
    place: &Place,
    starter: &Starter,
    request: &RequestId,
    command: Command,
) -> Result<Reply, OpError> {
    ask_lending(place, starter, request, command, Surroundings::default())
}

/// The same, lending the engine something of this process's environment.
pub(super) fn ask_lending(
    place: &Place,
    starter: &Starter,
    request: &RequestId,
    command: Command,
    surroundings: Surroundings,
) -> Result<Reply, OpError> {
    let ask = Ask { request: request.clone(), command, surroundings };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let owner = place.owner()?;
        let answer = match owner {
            Owner::Alive(_) => socket::ask(place.directory(), &ask).ok(),
            Owner::Nobody | Owner::Dead(_) => {
                let orders = Orders { replacing: Replacing::OnlyTheDead, ask: Some(ask.clone()) };
                match starter.start(place, &orders)? {
                    Begun::Began { answer, .. } => answer,
                    Begun::Owned { .. } => None,
                    Begun::Failed { error } => return Err(error),
                }
            }
        };
        match answer {
            Some(Answer::Replied { reply: Reply::Refused { refusal } }) => {
                return Err(refused(&refusal));
            }
            Some(Answer::Replied { reply }) => return Ok(reply),
            Some(Answer::Malformed { why }) => {
                let message = format!("the engine does not understand the request: {why}");
                return Err(OpError::plain(ErrorKind::Internal, message)
                    .hinted("an engine of another version may be at work; end it and resume"));
            }
            // It is beginning, ending, or busy.
            Some(Answer::Busy | Answer::Ended) | None => {}
        }
        if Instant::now() >= deadline {
            return Err(stuck(place, owner));
        }
        thread::sleep(NAP);
    }
}

/// The engine of a batch that answers; `None` if none lives. One that lives and does not
/// answer is about to begin or to end, so it is asked for a while.
///
/// # Errors
///
/// If it lives and never answers: then it was stopped, or is stuck.
pub(super) fn at_work(place: &Place) -> Result<Option<Epoch>, OpError> {
    let deadline = Instant::now() + GREETING_PATIENCE;
    loop {
        let owner = place.owner()?;
        let Owner::Alive(epoch) = owner else { return Ok(None) };
        if socket::is_attended(place.directory()) {
            return Ok(Some(epoch));
        }
        if Instant::now() >= deadline {
            return Err(stuck(place, owner));
        }
        thread::sleep(NAP);
    }
}

/// What is said of an engine that does not answer.
pub(super) fn stuck(place: &Place, owner: Owner) -> OpError {
    let engine = match owner {
        Owner::Alive(epoch) => format!("engine {} of {} lives", epoch.0, place.batch),
        Owner::Nobody | Owner::Dead(_) => format!("no engine of {} stays", place.batch),
    };
    OpError::plain(ErrorKind::Unavailable, format!("{engine}, and nobody answers"))
        .hinted("do it again under the same --request-id: it is carried out once")
        .hinted(format!("`hotcell batch resume --take-over {}` replaces the engine", place.batch))
}

/// The name of a request that was given none.
pub(crate) fn name(given: Option<RequestId>) -> RequestId {
    given.unwrap_or_else(|| {
        Uuid::now_v7().simple().to_string().parse().expect("digits are a request's name")
    })
}

/// Whoever runs this process.
pub(crate) fn myself() -> Actor {
    operator(getuid())
}

/// The operator that a user is, by name if that can be one.
pub(super) fn operator(uid: Uid) -> Actor {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid.as_raw()));
    let named = user.ok().flatten().and_then(|user| user.name.parse().ok());
    let numbered = || format!("uid-{}", uid.as_raw()).parse().expect("it is a name");
    Actor::Operator(named.unwrap_or_else(numbered))
}

/// A refusal of the core's, as people are told.
pub(super) fn refused(refusal: &Refusal) -> OpError {
    let kind = match refusal {
        Refusal::NotAllowed => ErrorKind::Denied,
        Refusal::Spec { .. } => ErrorKind::InvalidRequest,
        Refusal::NoUnit | Refusal::NoAgent | Refusal::NoWait | Refusal::NoMessage => {
            ErrorKind::NotFound
        }
        Refusal::TooMany => ErrorKind::Unavailable,
        Refusal::RequestReused
        | Refusal::Started
        | Refusal::NotStarted
        | Refusal::WrongKind
        | Refusal::WrongPhase
        | Refusal::NothingMerged => ErrorKind::Conflict,
    };
    let error = OpError::new(kind, refusal);
    match refusal {
        Refusal::RequestReused => error.hinted("use another --request-id"),
        Refusal::NoUnit | Refusal::NoAgent | Refusal::NothingMerged => {
            error.hinted("`hotcell batch status` shows where each unit is")
        }
        Refusal::WrongPhase => error
            .hinted("`hotcell batch status` shows where each unit is")
            .hinted("what was aborted does not go on; `hotcell batch start` begins anew"),
        Refusal::NoWait => error.hinted("`hotcell batch inbox` shows what waits"),
        Refusal::TooMany => error.hinted("wait until some of them were read"),
        _ => error,
    }
}
