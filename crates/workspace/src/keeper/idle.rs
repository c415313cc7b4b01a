//! When a workspace that nobody uses is put aside.
//!
//! ```text
//!             time passes        more passes                still nobody
//! in use ──▶ idle ──────▶ warned ──────────▶ guest prepared ──────▶ keeper ends
//!   ▲          │             │                     │
//!   └──────────┴─────────────┴── somebody uses it ─┘
//! ```
//!
//! A guest that is going to be stopped is prepared by writing its disks, one that is
//! going to be hibernated by being saved (`hibernating`). Somebody may also ask for
//! that; then it is due at once.
//!
//! **Who comes meanwhile.** Somebody who uses the workspace before it is put aside stops
//! that, and the guest goes on. Nobody is cut short by it either:
//!
//! | the guest is | nobody used it | somebody asked for it |
//! |---|---|---|
//! | being prepared | whoever comes is let in | whoever comes waits at the door |
//! | prepared | whoever comes waits at the door; whoever is in may leave soon, or it is put off | – |
//! | put aside | who waits is shown out, unheard, and wakes it (`engine/reaching`) | the same |
//!
//! Only an exec or a question that was let in before somebody asked ends with
//! `machine_lost`.
//!
//! [`due`] decides from what is known and what time it is; everything else here
//! collects what is known and does what is due. Time is the host's clock, so that
//! what is told is what will happen. That clock may jump, and a host may sleep
//! through all of it: nothing is put aside that was not warned of for as long as
//! its policy demands.
//!
//! What counts as use: a command or a service that runs, somebody who is attached
//! to a shell, and whatever the ledger calls an activity or
//! [`Ask::is_activity`](super::asking::Ask::is_activity) does. The host's own
//! programs in the guest (files, search, the network) count for nothing by
//! themselves; those of them that change something say so in the ledger.
//!
//! **SIGKILL here.** Nothing of this is on disk but the policy. The next keeper
//! starts to count anew.

use std::time::Duration;

use jiff::Timestamp;
use operation::{ErrorKind, OpError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use workspace_api::idle::{IdleAction, IdleAfter, IdlePolicy};
use workspace_api::ledger::LedgerEvent;

use super::asking::{GuestMeanwhile, Hibernate, SaveMachine, answer};
use super::clients::Admission;
use super::hub::ClientId;
use super::serving::{Ending, Keeper};
use crate::hibernation::Hibernation;
use crate::saved::Durability;
use crate::saved::shelf::Place;

/// A warning comes this long before the end, or a part of the policy's span if
/// that is less.
const WARNING_MAX: Duration = Duration::from_secs(5 * 60);

/// Which part of its span a policy leaves between warning and end.
const WARNING_PART: u32 = 4;

/// How long nobody looks at the clock at most: it may have been set.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// How long nothing is tried again that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(5 * 60);

/// How long nobody is interrupted again who just looked at something.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// How long whoever is in when the guest is prepared may take to leave: little if it
/// stands still, because who needs it cannot.
const LEAVING_MAX: Duration = Duration::from_secs(2);
const LEAVING_HALTED_MAX: Duration = Duration::from_millis(100);

/// Everything that is decided from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    policy: IdlePolicy,
    /// Who asked for it to be put aside now, if anybody did.
    asked: Option<(ClientId, u64)>,
    /// Whether something runs that holds the end off.
    held: bool,
    /// When somebody last used the workspace.
    used_at: Timestamp,
    /// Until when somebody wants it kept ready.
    extended_until: Option<Timestamp>,
    /// When it was warned of the end.
    warned_at: Option<Timestamp>,
    /// When it could not be put aside, and when that is tried again.
    not_before: Option<Timestamp>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing, until something changes.
    Rest,
    /// Nothing before this moment.
    Wait(Timestamp),
    /// To warn of an end at this moment.
    Warn(Timestamp),
    /// To put it aside.
    PutAside,
}

/// What is due at a moment.
fn due(now: Timestamp, facts: &Facts) -> Step {
    if facts.asked.is_some() {
        return Step::PutAside;
    }
    let (Some(end), Some(warning)) = (facts.end(), facts.warning()) else { return Step::Rest };
    match facts.warned_at {
        None if now < end - warning => Step::Wait(end - warning),
        None => Step::Warn(end.max(now + warning)),
        Some(_) if now < end => Step::Wait(end),
        Some(_) => Step::PutAside,
    }
}

impl Facts {
    /// When the workspace is put aside if nothing changes.
    fn end(&self) -> Option<Timestamp> {
        let IdleAfter::Span(span) = self.policy.idle_after else { return None };
        if self.held {
            return None;
        }
        let end = self.used_at + span.duration();
        let extended = self.extended_until.map_or(end, |until| end.max(until));
        let warned = self.warned_at.zip(self.warning()).map(|(at, warning)| at + warning);
        Some([Some(extended), warned, self.not_before].into_iter().flatten().max().unwrap_or(end))
    }

    /// How long before the end it is warned of.
    fn warning(&self) -> Option<Duration> {
        match self.policy.idle_after {
            IdleAfter::Never => None,
            IdleAfter::Span(span) => Some((span.duration() / WARNING_PART).min(WARNING_MAX)),
        }
    }
}

/// How idle a workspace is.
#[derive(Debug)]
pub(super) struct Idleness {
    facts: Facts,
    preparation: Preparation,
}

/// How far the guest is prepared for the end.
#[derive(Debug, Default)]
enum Preparation {
    #[default]
    None,
    UnderWay(JoinHandle<Result<Prepared, OpError>>),
    /// It is, and stays so until then for those who are still here.
    Done(Prepared, Instant),
    Failed(OpError),
}

/// What a guest was prepared by.
#[derive(Debug)]
pub(super) enum Prepared {
    /// Its disks are written.
    Synced,
    /// It was saved here, and stands still since.
    Saved(Place),
}

impl Prepared {
    /// How long others may take to leave.
    const fn leaving_max(&self) -> Duration {
        match self {
            Self::Synced => LEAVING_MAX,
            Self::Saved(_) => LEAVING_HALTED_MAX,
        }
    }
}

impl Idleness {
    /// A workspace that was used just now.
    pub(super) fn new(policy: IdlePolicy) -> Self {
        let facts = Facts {
            policy,
            asked: None,
            held: false,
            used_at: Timestamp::now(),
            extended_until: None,
            warned_at: None,
            not_before: None,
        };
        Self { facts, preparation: Preparation::None }
    }

    /// Somebody uses it.
    pub(super) fn used(&mut self) {
        self.facts.used_at = Timestamp::now();
        self.facts.warned_at = None;
        if self.facts.asked.is_none() {
            self.preparation = Preparation::None;
        }
    }

    /// Somebody wants it hibernated now; the answer is that it is, or why not.
    pub(super) fn ask(&mut self, client: ClientId, id: u64) {
        self.facts.asked = Some((client, id));
        self.preparation = Preparation::None;
    }

    /// Whether the guest is being prepared for the end, or is.
    pub(super) fn is_preparing(&self) -> bool {
        matches!(self.preparation, Preparation::UnderWay(_) | Preparation::Done(..))
    }

    /// Who is let in now.
    pub(super) fn admission(&self) -> Admission {
        if self.facts.asked.is_some() || matches!(self.preparation, Preparation::Done(..)) {
            Admission::Nobody
        } else {
            Admission::Everybody
        }
    }

    fn later(&mut self, pause: Duration) {
        self.facts.asked = None;
        self.facts.not_before = Some(Timestamp::now() + pause);
    }

    /// Puts a policy in force; with an extension it is kept ready for so long at
    /// least. Both are uses of the workspace.
    pub(super) fn set(&mut self, policy: IdlePolicy, extension: Option<Duration>) {
        self.used();
        self.facts.policy = policy;
        if let Some(extension) = extension {
            self.facts.extended_until = Some(self.facts.used_at + extension);
        }
    }

    /// When it is put aside if nothing changes.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.facts.end()
    }

    /// Until when somebody wants it kept ready.
    pub(super) fn extended_until(&self) -> Option<Timestamp> {
        self.facts.extended_until
    }

    fn observe(&mut self, held: bool) {
        // The end of what ran is the last use of it.
        if held || self.facts.held {
            self.used();
        }
        self.facts.held = held;
        // The clock was set back.
        self.facts.used_at = self.facts.used_at.min(Timestamp::now());
    }

    /// Waits until something may be due. Cancel safe.
    pub(super) async fn next(&mut self) {
        if let Preparation::UnderWay(task) = &mut self.preparation {
            self.preparation = match task.await {
                Ok(Ok(prepared)) => {
                    let until = Instant::now() + prepared.leaving_max();
                    Preparation::Done(prepared, until)
                }
                Ok(Err(error)) => Preparation::Failed(error),
                Err(error) => Preparation::Failed(OpError::new(ErrorKind::Internal, &error)),
            };
            return;
        }
        if let Preparation::Done(_, until) = self.preparation {
            return sleep_until(until).await;
        }
        let now = Timestamp::now();
        match due(now, &self.facts) {
            Step::Rest => std::future::pending().await,
            Step::Wait(until) => {
                let left = Duration::try_from(now.duration_until(until)).unwrap_or_default();
                sleep(left.min(LOOK_MAX)).await;
            }
            Step::Warn(_) | Step::PutAside => {}
        }
    }
}

impl Keeper {
    /// Sees whether the workspace is used, and does what is due.
    pub(super) async fn look_for_idleness(&mut self) -> Option<Ending> {
        let held = self.is_held();
        self.idleness.observe(held);
        let ending = match due(Timestamp::now(), &self.idleness.facts) {
            Step::Rest | Step::Wait(_) => {
                self.idleness.preparation = Preparation::None;
                None
            }
            Step::Warn(end) => {
                self.idleness.facts.warned_at = Some(Timestamp::now());
                self.scribe.note(LedgerEvent::IdleWarned {
                    action: self.idleness.facts.policy.idle_then,
                    expires_at: end.to_string(),
                });
                None
            }
            Step::PutAside => self.put_aside().await,
        };
        if ending.is_none() {
            self.go_on_unless_preparing().await;
        }
        ending
    }

    async fn put_aside(&mut self) -> Option<Ending> {
        let Facts { policy, asked, .. } = self.idleness.facts;
        match std::mem::take(&mut self.idleness.preparation) {
            Preparation::None => {
                let wanted = asked.map_or(policy.idle_then, |_| IdleAction::Hibernate);
                self.idleness.preparation = Preparation::UnderWay(self.prepare(wanted));
                None
            }
            under_way @ Preparation::UnderWay(_) => {
                self.idleness.preparation = under_way;
                None
            }
            // They would be cut short, although they do not even use it.
            Preparation::Done(prepared, until) if asked.is_none() && self.clients.is_visited() => {
                if Instant::now() < until {
                    self.idleness.preparation = Preparation::Done(prepared, until);
                } else {
                    self.idleness.later(BUSY_PAUSE);
                }
                None
            }
            Preparation::Done(Prepared::Synced, _) => Some(Ending::Idle(policy)),
            Preparation::Done(Prepared::Saved(place), _) => {
                let reason = match asked {
                    Some(_) => "somebody asked for it".to_owned(),
                    None => format!("nobody used it for {}", policy.idle_after),
                };
                match self.hibernate(place, &reason).await {
                    Ok(()) => Some(Ending::Hibernated),
                    Err(error) => self.not_put_aside(error),
                }
            }
            Preparation::Failed(error) => self.not_put_aside(error),
        }
    }

    /// Tells whoever asked for it; if it was nobody, it is better off as it is.
    fn not_put_aside(&mut self, error: OpError) -> Option<Ending> {
        match self.idleness.facts.asked {
            Some((client, id)) => {
                self.answer(client, id, async { answer::<Hibernate>(Err(error)) });
            }
            None => tracing::warn!(%error, "an idle workspace is not put aside"),
        }
        self.idleness.later(FAILED_PAUSE);
        None
    }

    fn prepare(&self, wanted: IdleAction) -> JoinHandle<Result<Prepared, OpError>> {
        let inside = self.clients.inside().clone();
        let hibernation = Hibernation::of(&self.files);
        let empty_layer = self.request.empty_layer.clone();
        tokio::task::spawn_local(async move {
            let mut connection = inside.connect().await?;
            // Also of a guest that is saved: its disks shall be worth something alone.
            connection.sync().await?;
            match wanted {
                IdleAction::Stop => Ok(Prepared::Synced),
                IdleAction::Hibernate => {
                    let place = hibernation.begin()?;
                    let save = SaveMachine {
                        directory: place.directory().to_owned(),
                        empty_layer,
                        durability: Durability::Synced,
                        guest: GuestMeanwhile::StandsStill,
                    };
                    connection.ask(save).await?;
                    Ok(Prepared::Saved(place))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// A workspace with a policy of 40 minutes that was used at 0.
    fn facts() -> Facts {
        let policy = IdlePolicy { idle_after: "40m".parse().unwrap(), ..IdlePolicy::default() };
        Facts {
            policy,
            asked: None,
            held: false,
            used_at: at(0),
            extended_until: None,
            warned_at: None,
            not_before: None,
        }
    }

    /// Lets time pass, in steps that are as long as is waited for, and warns when
    /// that is due: when it warned, and when the workspace is put aside.
    fn pass(mut facts: Facts, from: i64) -> (Vec<i64>, i64) {
        let (mut now, mut warned) = (at(from), Vec::new());
        for _ in 0..10 {
            match due(now, &facts) {
                Step::Rest => panic!("it rests for ever: {facts:?}"),
                Step::Wait(until) => {
                    assert!(until > now, "no time would pass");
                    now = until;
                }
                Step::Warn(end) => {
                    facts.warned_at = Some(now);
                    assert_eq!(facts.end(), Some(end), "what is told is what will happen");
                    warned.push(now.as_second());
                }
                Step::PutAside => return (warned, now.as_second()),
            }
        }
        panic!("it comes to no end: {facts:?}");
    }

    #[test]
    fn nobody_s_workspace_is_warned_and_put_aside() {
        assert_eq!(pass(facts(), 0), (vec![35 * 60], 40 * 60));
        let mut short = facts();
        short.policy.idle_after = "20s".parse().unwrap();
        assert_eq!(pass(short, 0), (vec![15], 20));
    }

    #[test]
    fn an_extension_moves_warning_and_end_but_never_brings_them_nearer() {
        let extended = Facts { extended_until: Some(at(7200)), ..facts() };
        assert_eq!(pass(extended, 0), (vec![7200 - 300], 7200));
        let shorter = Facts { extended_until: Some(at(60)), ..facts() };
        assert_eq!(pass(shorter, 0), pass(facts(), 0));
        // One that comes after the warning is warned of again, once it is near.
        let used = Facts { used_at: at(2200), extended_until: Some(at(9000)), ..facts() };
        assert_eq!(pass(used, 2200), (vec![9000 - 300], 9000));
    }

    #[test]
    fn a_host_that_slept_through_the_end_warns_first() {
        assert_eq!(pass(facts(), 100_000), (vec![100_000], 100_300));
        let warned = Facts { warned_at: Some(at(35 * 60)), ..facts() };
        assert_eq!(due(at(100_000), &warned), Step::PutAside);
    }

    #[test]
    fn what_is_asked_for_is_due_at_once_and_what_failed_is_not() {
        let asked = Facts { asked: Some((ClientId(1), 1)), held: true, ..facts() };
        assert_eq!(due(at(0), &asked), Step::PutAside);
        let failed = Facts { warned_at: Some(at(0)), not_before: Some(at(5000)), ..facts() };
        assert_eq!(due(at(4999), &failed), Step::Wait(at(5000)));
        assert_eq!(due(at(5000), &failed), Step::PutAside);
    }

    #[test]
    fn what_runs_and_what_never_ends_rest() {
        let held = Facts { held: true, warned_at: Some(at(1)), ..facts() };
        assert_eq!(due(at(100_000), &held), Step::Rest);
        assert_eq!(held.end(), None);
        let mut never = facts();
        never.policy.idle_after = IdleAfter::Never;
        assert_eq!(due(at(100_000), &never), Step::Rest);
    }

    #[test]
    fn whatever_is_known_and_whenever_it_is_time_goes_on_or_something_is_done() {
        for used in [0, 1000] {
            for extended in [None, Some(at(10)), Some(at(5000))] {
                for warned in [None, Some(at(0)), Some(at(2000))] {
                    for now in (0..8000).step_by(100) {
                        let facts = Facts {
                            used_at: at(used),
                            extended_until: extended,
                            warned_at: warned,
                            ..facts()
                        };
                        match due(at(now), &facts) {
                            Step::Wait(until) => assert!(until > at(now)),
                            Step::Warn(end) => assert!(end > at(now) && warned.is_none()),
                            Step::PutAside => {
                                assert!(warned.is_some());
                                assert!(at(now) >= at(used) + Duration::from_secs(40 * 60));
                                assert!(extended.is_none_or(|until| at(now) >= until));
                            }
                            Step::Rest => panic!("{facts:?}"),
                        }
                    }
                }
            }
        }
    }
}
