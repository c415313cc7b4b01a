//! The tests that everything has to pass that engines live among: lanes, git, agents
//! and the clock, the real ones and what stands in for them in the simulation. They
//! panic where a promise is broken.
//!
//! What is promised is what the rules of [effects](mod@crate::effect) rely on: that an
//! effect done twice is done once, what looking it up may say, what a stop leaves,
//! what an engine that was replaced can still do (nothing). A world may promise less
//! than another where a rule allows for it: who looks a capture up may not know, and
//! captures again.

use std::time::Duration;

use batch_api::{AttemptId, CommitName, ConversationId, EffectId, Epoch, Sequence, UnitId};

use super::{Order, Ports};
use crate::apply::Stamp;
use crate::decide::Input;
use crate::effect::{Action, Effect, Found, Outcome};
use crate::fact::Fact;
use crate::integration::{Course, Handover};
use crate::journal::Subject;
use crate::spec::BatchSpec;
use crate::state::State;
use crate::time::Time;

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long nothing may come of what must not happen.
const WATCH: Duration = Duration::from_secs(2);

/// A world under test, without the engine.
pub trait Rig {
    /// How an engine sees it.
    type Ports: Ports;

    /// A batch of two units, of which the second needs the first.
    fn spec(&self) -> BatchSpec;

    /// What an engine of that epoch lives among: the same world for every epoch.
    fn ports(&mut self, epoch: Epoch) -> &mut Self::Ports;

    /// Two pieces of work that verification of the first unit wants to find.
    fn wanted(&self) -> [String; 2];

    /// Somebody in the lane of the attempt does a piece of work.
    fn write(&mut self, attempt: &AttemptId, piece: &str);

    /// Whether there is a lane of the attempt and it holds the piece.
    fn lane_holds(&mut self, attempt: &AttemptId, piece: &str) -> bool;

    /// Whether a commit holds the piece.
    fn commit_holds(&mut self, commit: &CommitName, piece: &str) -> bool;

    /// Whether the operator's branch `main`, or the batch's branch on the remote `origin`,
    /// holds a commit.
    fn operator_holds(&mut self, at: Holder, commit: &CommitName) -> bool;

    /// Somebody commits something else to the operator's branch `main`.
    fn operator_moves_on(&mut self);

    /// Whether anything of the agent is alive.
    fn is_alive(&mut self, conversation: &ConversationId) -> bool;

    /// Lets the machine of a lane die, where lanes have one.
    fn lose_machine(&mut self, _attempt: &AttemptId) {}
}

/// Where work is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The operator's branch `main`.
    Main,
    /// The remote `origin`.
    Origin,
}

/// Checks every clause of the contract, one after the other in one world.
///
/// # Panics
///
/// If a clause is broken.
pub fn check<R: Rig>(rig: R) {
    let mut scene = Scene::of(rig);
    time_goes_forward_and_wakes(&mut scene);
    what_people_read_is_written(&mut scene);
    let (tip, stray) = work_comes_to_the_branch(&mut scene);
    what_is_nowhere_else_is_not_removed(&mut scene, &tip, &stray);
    work_is_brought_where_it_is_wanted(&mut scene, &tip);
    earlier_work_goes_on(&mut scene, &tip);
    agents_are_stopped_for_good(&mut scene);
    let tip = whoever_was_replaced_does_nothing(&mut scene, &tip);
    what_has_moved_on_is_merged_or_left_alone(&mut scene, &tip);
}

/// A world, and what an engine would know of it.
struct Scene<R> {
    rig: R,
    epoch: Epoch,
    state: State,
    units: [UnitId; 2],
}

impl<R: Rig> Scene<R> {
    fn of(rig: R) -> Self {
        let spec = rig.spec();
        let units = [0, 1].map(|at: usize| spec.units[at].unit.clone());
        let mut scene = Self { rig, epoch: Epoch(1), state: State::default(), units };
        scene.apply(&Subject::BATCH, &Fact::Planned { spec: Box::new(spec) });
        let fence = scene.intend(Subject::BATCH, Action::Fence);
        assert_eq!(scene.done(&fence), Outcome::Fenced);
        scene
    }

    fn apply(&mut self, subject: &Subject, fact: &Fact) {
        let sequence = Sequence(self.state.sequence.0 + 1);
        let at = self.rig.ports(self.epoch).now();
        self.state.apply(Stamp { sequence, at, epoch: self.epoch }, subject, fact);
    }

    /// A unit begins its next attempt.
    fn begin(&mut self, unit: usize) -> AttemptId {
        let id = self.units[unit].clone();
        self.apply(&Subject::unit(&id), &Fact::Began { lane: 1 });
        self.state.units[&id].attempt_id()
    }

    fn intend(&mut self, subject: Subject, action: Action) -> Effect {
        let effect = EffectId::numbered(self.state.effects_count + 1);
        self.apply(&subject, &Fact::Intended { effect, action });
        self.state.effects[&effect].clone()
    }

    fn intend_of(&mut self, attempt: &AttemptId, action: Action) -> Effect {
        self.intend(Subject::attempt(attempt), action)
    }

    /// Gives orders, and waits for the last of them.
    fn order(&mut self, epoch: Epoch, orders: Vec<Order>, patience: Duration) -> Option<Input> {
        let wanted = match orders.last() {
            Some(Order::Start(effect) | Order::Find(effect)) => effect.id,
            _ => return None,
        };
        let ports = self.rig.ports(epoch);
        let deadline = ports.now().after(patience);
        assert!(ports.carry_out(epoch, orders, &self.state).is_continue());
        loop {
            let inputs = ports.wait(&self.state, Some(deadline)).expect("the world goes on");
            let is_it = |input: &Input| match input {
                Input::Outcome { effect, .. } | Input::Found { effect, .. } => *effect == wanted,
                _ => false,
            };
            if let Some(input) = inputs.into_iter().find(is_it) {
                return Some(input);
            }
            if ports.now() >= deadline {
                return None;
            }
        }
    }

    fn outcome(&mut self, epoch: Epoch, effect: &Effect, patience: Duration) -> Option<Outcome> {
        match self.order(epoch, vec![Order::Start(effect.clone())], patience)? {
            Input::Outcome { outcome, .. } => Some(outcome),
            other => panic!("started, and answered with {other:?}"),
        }
    }

    /// Has an effect done, which has to be possible.
    fn done(&mut self, effect: &Effect) -> Outcome {
        let outcome = self.outcome(self.epoch, effect, PATIENCE);
        let outcome = outcome.unwrap_or_else(|| panic!("`{}` never ended", effect.action));
        assert!(outcome.fits(effect.action.kind()), "`{}`: {outcome:?}", effect.action);
        if let Outcome::Failed { why } = &outcome {
            panic!("`{}` failed: {why}", effect.action);
        }
        let ended = Fact::Ended { effect: effect.id, outcome: outcome.clone() };
        self.apply(&effect.subject, &ended);
        outcome
    }

    fn does(&mut self, attempt: &AttemptId, action: Action) -> Outcome {
        let effect = self.intend_of(attempt, action);
        self.done(&effect)
    }

    fn found(&mut self, effect: &Effect) -> Found {
        match self.order(self.epoch, vec![Order::Find(effect.clone())], PATIENCE) {
            Some(Input::Found { found, .. }) => found,
            other => panic!("`{}` was looked up: {other:?}", effect.action),
        }
    }

    /// Work that is wanted somewhere.
    fn wanted(&mut self, commit: &CommitName, course: Course) -> Effect {
        let branch = "hotcell/contract".parse().expect("a name");
        let number = self.state.effects_count;
        let request = format!("wanted-{number}").parse().expect("a request's name");
        let (commit, handover) = (commit.clone(), Handover { branch, course });
        self.intend(Subject::BATCH, Action::Integrate { request, commit, handover })
    }

    fn captured(&mut self, attempt: &AttemptId) -> (CommitName, CommitName) {
        match self.does(attempt, Action::Capture) {
            Outcome::Captured { commit, tree } => (commit, tree),
            other => panic!("captured: {other:?}"),
        }
    }

    fn committed(&mut self, attempt: &AttemptId) -> CommitName {
        match self.does(attempt, Action::Commit) {
            Outcome::Committed { commit } => commit,
            other => panic!("committed: {other:?}"),
        }
    }

    fn merged(&mut self, attempt: &AttemptId, commit: CommitName) -> (CommitName, CommitName) {
        match self.does(attempt, Action::Merge { commit }) {
            Outcome::Merged { base, commit } => (base, commit),
            other => panic!("merged: {other:?}"),
        }
    }

    fn prepared(&mut self, attempt: &AttemptId, carry: Option<CommitName>) -> CommitName {
        match self.does(attempt, Action::Prepare { lane: 1, carry }) {
            Outcome::Prepared { base } => base,
            other => panic!("prepared: {other:?}"),
        }
    }

    fn removed(&mut self, attempt: &AttemptId, proof: &CommitName) -> Outcome {
        self.does(attempt, Action::Remove { lane: 1, proof: Some(proof.clone()) })
    }
}

fn time_goes_forward_and_wakes<R: Rig>(scene: &mut Scene<R>) {
    let (state, ports) = (&scene.state, scene.rig.ports(scene.epoch));
    let mut last = Time::default();
    for _ in 0..1_000 {
        let now = ports.now();
        assert!(now >= last, "time went back from {last:?} to {now:?}");
        last = now;
    }
    let wake = last.after(Duration::from_millis(50));
    while ports.now() < wake {
        ports.wait(state, Some(wake)).expect("an engine that is needed goes on");
    }
}

fn what_people_read_is_written<R: Rig>(scene: &mut Scene<R>) {
    for view in [1, 1, 2] {
        let effect = scene.intend(Subject::BATCH, Action::Publish { view });
        assert_eq!(scene.done(&effect), Outcome::Published);
    }
}

/// The way of a unit, every step of it twice, to the branch. Returns its tip, and a
/// merge that came to nothing.
fn work_comes_to_the_branch<R: Rig>(scene: &mut Scene<R>) -> (CommitName, CommitName) {
    let [one, two] = scene.rig.wanted();
    let attempt = scene.begin(0);
    let base = scene.prepared(&attempt, None);
    assert_eq!(scene.prepared(&attempt, None), base, "twice is once");
    let again = scene.intend_of(&attempt, Action::Prepare { lane: 1, carry: None });
    match scene.found(&again) {
        Found::Done(Outcome::Prepared { base: found }) => assert_eq!(found, base),
        Found::NotDone => assert_eq!(scene.done(&again), Outcome::Prepared { base: base.clone() }),
        other => panic!("a lane that nobody was in was looked up: {other:?}"),
    }

    scene.rig.write(&attempt, &one);
    let (commit, tree) = scene.captured(&attempt);
    assert!(scene.rig.commit_holds(&commit, &one), "a capture has what was in the lane");
    assert_eq!(scene.captured(&attempt).1, tree, "nothing has changed");
    let third = scene.intend_of(&attempt, Action::Capture);
    assert!(matches!(scene.done(&third), Outcome::Captured { tree: third, .. } if third == tree));
    match scene.found(&third) {
        Found::Done(Outcome::Captured { tree: found, .. }) => assert_eq!(found, tree),
        Found::NotDone => {}
        other => panic!("a capture was looked up: {other:?}"),
    }

    let commit = scene.intend_of(&attempt, Action::Commit);
    let Outcome::Committed { commit: first } = scene.done(&commit) else { panic!("committed") };
    assert!(scene.rig.commit_holds(&first, &one), "a commit has what was captured");
    let known = Outcome::Committed { commit: first.clone() };
    assert_eq!(scene.found(&commit), Found::Done(known.clone()), "a commit is found again");
    let (merged_with, early) = scene.merged(&attempt, first.clone());
    assert_eq!(merged_with, base);
    assert_eq!(scene.does(&attempt, Action::Verify { commit: early.clone() }), Outcome::Red);

    // The unit goes on in the same lane: a message came while it was being merged.
    scene.rig.write(&attempt, &two);
    let (_, later) = scene.captured(&attempt);
    assert_ne!(later, tree, "more was done");
    let commit = scene.intend_of(&attempt, Action::Commit);
    assert_ne!(scene.found(&commit), Found::Done(known), "an earlier commit is not this one");
    let Outcome::Committed { commit: second } = scene.done(&commit) else { panic!("committed") };
    for piece in [&one, &two] {
        assert!(scene.rig.commit_holds(&second, piece), "{piece} was captured before the commit");
    }
    let (merged_with, whole) = scene.merged(&attempt, second);
    assert_eq!(merged_with, base, "a merge is made aside");
    assert_eq!(scene.does(&attempt, Action::Verify { commit: whole.clone() }), Outcome::Green);

    let advance = Action::Advance { from: base.clone(), to: whole.clone() };
    let advance = scene.intend_of(&attempt, advance);
    assert_eq!(scene.found(&advance), Found::NotDone, "the branch is where it was");
    assert_eq!(scene.done(&advance), Outcome::Advanced);
    assert_eq!(scene.found(&advance), Found::Done(Outcome::Advanced));
    let again = Action::Advance { from: base.clone(), to: whole.clone() };
    assert_eq!(scene.does(&attempt, again), Outcome::Advanced, "twice is once");
    let late = scene.intend_of(&attempt, Action::Advance { from: base, to: early.clone() });
    assert!(matches!(scene.found(&late), Found::NotDone | Found::Done(Outcome::Behind)));
    assert_eq!(scene.done(&late), Outcome::Behind, "the branch is elsewhere by now");

    let finish = scene.intend_of(&attempt, Action::Finish);
    assert_eq!(scene.found(&finish), Found::NotDone);
    assert_eq!(scene.done(&finish), Outcome::Finished);
    assert_eq!(scene.found(&finish), Found::Done(Outcome::Finished));
    assert_eq!(scene.does(&attempt, Action::Finish), Outcome::Finished, "twice is once");
    (whole, early)
}

fn forward() -> Course {
    Course::Forward { into: "main".parse().expect("a name") }
}

/// What was merged comes to the operator's branch and to a remote, each twice.
fn work_is_brought_where_it_is_wanted<R: Rig>(scene: &mut Scene<R>, tip: &CommitName) {
    let push = Course::Push { remote: "origin".parse().expect("a name") };
    for (course, holder) in [(push, Holder::Origin), (forward(), Holder::Main)] {
        let wanted = scene.wanted(tip, course.clone());
        assert_eq!(scene.found(&wanted), Found::NotDone, "nobody has brought it");
        assert!(!scene.rig.operator_holds(holder, tip));
        let there = Outcome::Integrated { commit: tip.clone() };
        assert_eq!(scene.done(&wanted), there);
        assert!(scene.rig.operator_holds(holder, tip), "it is where it is wanted");
        assert_eq!(scene.found(&wanted), Found::Done(there.clone()));
        let again = scene.wanted(tip, course);
        let again = scene.done(&again);
        assert!(again == there || again == Outcome::Contained, "twice is once: {again:?}");
    }
}

/// The operator's branch has moved on when more comes.
fn what_has_moved_on_is_merged_or_left_alone<R: Rig>(scene: &mut Scene<R>, tip: &CommitName) {
    scene.rig.operator_moves_on();
    let wanted = scene.wanted(tip, forward());
    assert_eq!(scene.found(&wanted), Found::NotDone);
    let left = scene.done(&wanted);
    assert!(matches!(left, Outcome::InTheWay { .. }), "{left:?}");
    assert!(!scene.rig.operator_holds(Holder::Main, tip), "it is left as it was");
    let merge = Course::Merge { into: "main".parse().expect("a name") };
    let wanted = scene.wanted(tip, merge.clone());
    let merged = scene.done(&wanted);
    assert!(matches!(merged, Outcome::Integrated { .. }), "{merged:?}");
    assert!(scene.rig.operator_holds(Holder::Main, tip));
    assert_eq!(scene.found(&wanted), Found::Done(merged), "it is found again");
    let again = scene.wanted(tip, merge);
    assert_eq!(scene.done(&again), Outcome::Contained, "twice is once");
}

/// The lane of the first unit goes, once its content is kept.
fn what_is_nowhere_else_is_not_removed<R: Rig>(
    scene: &mut Scene<R>,
    tip: &CommitName,
    stray: &CommitName,
) {
    let [one, two] = scene.rig.wanted();
    let attempt = scene.state.units[&scene.units[0]].attempt_id();
    let made_up: CommitName = "1".repeat(40).parse().expect("a name");
    assert_eq!(scene.removed(&attempt, &made_up), Outcome::Unproved, "there is no such commit");
    assert_eq!(scene.removed(&attempt, stray), Outcome::Unproved, "nothing keeps that commit");
    for piece in [&one, &two] {
        assert!(scene.rig.lane_holds(&attempt, piece), "the lane is as it was");
    }
    let remove = Action::Remove { lane: 1, proof: Some(tip.clone()) };
    let remove = scene.intend_of(&attempt, remove);
    assert_eq!(scene.found(&remove), Found::NotDone, "the lane is there");
    assert_eq!(scene.done(&remove), Outcome::Removed);
    assert!(!scene.rig.lane_holds(&attempt, &one));
    assert_eq!(scene.found(&remove), Found::Done(Outcome::Removed));
    assert_eq!(scene.removed(&attempt, tip), Outcome::Removed, "twice is once");
}

/// The second unit is given back, and what was captured goes on in its next attempt.
fn earlier_work_goes_on<R: Rig>(scene: &mut Scene<R>, tip: &CommitName) {
    let attempt = scene.begin(1);
    assert_eq!(scene.prepared(&attempt, None), *tip, "a lane begins with what was merged");
    let [one, _] = scene.rig.wanted();
    assert!(scene.rig.lane_holds(&attempt, &one));
    scene.rig.write(&attempt, "more");
    let (capture, _) = scene.captured(&attempt);
    assert_eq!(scene.removed(&attempt, &capture), Outcome::Removed);
    let next = scene.begin(1);
    assert_eq!(scene.prepared(&next, Some(capture)), *tip);
    assert!(scene.rig.lane_holds(&next, "more"), "what was captured goes on");
    assert!(scene.rig.lane_holds(&next, &one), "on what was merged");
}

/// In the lane of the second unit.
fn agents_are_stopped_for_good<R: Rig>(scene: &mut Scene<R>) {
    let attempt = scene.state.units[&scene.units[1]].attempt_id();
    let conversation = |number: u32| -> ConversationId {
        format!("{attempt}:worker~{number}").parse().expect("an id")
    };
    let start = |conversation: ConversationId| Action::Start { conversation, opening: Vec::new() };
    let stop = |conversation: ConversationId| Action::Stop { conversation };
    let fence = Action::Fence;

    let first = conversation(1);
    assert_eq!(scene.does(&attempt, stop(first.clone())), Outcome::Stopped, "nothing is left");
    assert_eq!(scene.does(&attempt, start(first.clone())), Outcome::Started);
    assert!(scene.rig.is_alive(&first), "an agent that was started lives");
    let interrupt = Action::Interrupt { conversation: first.clone() };
    assert_eq!(scene.does(&attempt, interrupt.clone()), Outcome::Interrupted);
    assert_eq!(scene.does(&attempt, fence.clone()), Outcome::Fenced);
    assert_eq!(scene.does(&attempt, fence), Outcome::Fenced, "a fence only rises");
    for _ in 0..2 {
        assert_eq!(scene.does(&attempt, stop(first.clone())), Outcome::Stopped);
        assert!(!scene.rig.is_alive(&first), "nothing of it is left");
    }
    assert_eq!(scene.does(&attempt, interrupt), Outcome::Interrupted, "it is not there");

    // One whose machine died with it.
    let lost = conversation(2);
    assert_eq!(scene.does(&attempt, start(lost.clone())), Outcome::Started);
    scene.rig.lose_machine(&attempt);
    assert_eq!(scene.does(&attempt, stop(lost.clone())), Outcome::Stopped);
    assert!(!scene.rig.is_alive(&lost), "nothing of it comes back");

    // A start that is given up, and so slow that the stop comes meanwhile.
    let second = conversation(3);
    let orders = [start(second.clone()), stop(second.clone())];
    let orders: Vec<Effect> =
        orders.into_iter().map(|action| scene.intend_of(&attempt, action)).collect();
    let orders = orders.into_iter().map(Order::Start).collect();
    let stopped = scene.order(scene.epoch, orders, PATIENCE);
    assert!(
        matches!(stopped, Some(Input::Outcome { outcome: Outcome::Stopped, .. })),
        "{stopped:?}",
    );
    pass(scene);
    assert!(!scene.rig.is_alive(&second), "a stop ends the start that is under way");
}

/// The next engine raises its fence; the one before it is still there. Returns the tip
/// that the next one makes.
fn whoever_was_replaced_does_nothing<R: Rig>(scene: &mut Scene<R>, tip: &CommitName) -> CommitName {
    let attempt = scene.state.units[&scene.units[1]].attempt_id();
    let (capture, _) = scene.captured(&attempt);
    let commit = scene.committed(&attempt);
    let (_, merge) = scene.merged(&attempt, commit);
    let old = scene.epoch;
    scene.epoch = old.next();
    let fence = scene.intend(Subject::BATCH, Action::Fence);
    assert_eq!(scene.done(&fence), Outcome::Fenced);

    let conversation: ConversationId = format!("{attempt}:worker~3").parse().expect("an id");
    let start = Action::Start { conversation: conversation.clone(), opening: Vec::new() };
    let advance = Action::Advance { from: tip.clone(), to: merge.clone() };
    let remove = Action::Remove { lane: 1, proof: Some(capture) };
    for action in [start, Action::Capture, advance.clone(), Action::Finish, remove] {
        let effect = scene.intend_of(&attempt, action);
        let outcome = scene.outcome(old, &effect, WATCH);
        assert!(matches!(outcome, None | Some(Outcome::Failed { .. })), "{outcome:?}");
        let found = scene.order(old, vec![Order::Find(effect)], WATCH);
        assert!(matches!(found, None | Some(Input::Found { found: Found::Unknown, .. })));
    }
    let wanted = scene.wanted(&merge, forward());
    let outcome = scene.outcome(old, &wanted, WATCH);
    assert!(matches!(outcome, None | Some(Outcome::Failed { .. })), "{outcome:?}");
    assert!(!scene.rig.operator_holds(Holder::Main, &merge), "it brings nothing anywhere");
    assert!(!scene.rig.is_alive(&conversation), "it starts nobody");
    assert!(scene.rig.lane_holds(&attempt, "more"), "it removes nothing");
    let finish = scene.intend_of(&attempt, Action::Finish);
    assert_eq!(scene.found(&finish), Found::NotDone, "it finishes nothing");
    let advance = scene.intend_of(&attempt, advance);
    assert_eq!(scene.found(&advance), Found::NotDone, "it moves nothing");
    assert_eq!(scene.done(&advance), Outcome::Advanced, "its successor does");
    merge
}

/// Lets some time pass.
fn pass<R: Rig>(scene: &mut Scene<R>) {
    let (state, ports) = (&scene.state, scene.rig.ports(scene.epoch));
    let end = ports.now().after(WATCH);
    while ports.now() < end {
        ports.wait(state, Some(end)).expect("the world goes on");
    }
}
