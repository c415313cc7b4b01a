//! One run: engines that live and die over a world, until the batch is over.

mod judge;
mod rig;

use std::ops::ControlFlow;

use batch_api::{Actor, Epoch};

use super::client::{Client, Request};
use super::coverage::{Coverage, Position};
use super::plan::{Owner, Scenario};
use super::random::Random;
use super::storage::{Fault, Storage};
use super::world::{Event, World};
use crate::decide::{Command, Input};
use crate::drive::{self, Engine, Order, Ports};
use crate::effect::{Action, Effect};
use crate::journal::{Digest, Traces as _};
use crate::state::{Halt, State};
use crate::time::Time;
use crate::trace::{Source, Trace};
use crate::unit::{Phase, Reason};

/// Most turns of one run; a batch that needs more never ends.
const TURNS_MAX: u64 = 20_000;

/// When engines die.
#[derive(Debug, Clone, Copy)]
pub(super) enum Crashes {
    /// So many times in a thousand chances, while things go wrong.
    Often(u64),
    /// At this chance, and no other.
    At(u64),
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Report {
    /// What was promised and not kept.
    pub(super) broken: Vec<String>,
    pub(super) coverage: Coverage,
    /// How many chances to die there were.
    pub(super) chances: u64,
    pub(super) records: u64,
    /// The digest of the journal's end and of all that was seen.
    pub(super) digest: Digest,
    /// The journal, in plain words.
    pub(super) story: String,
    /// How the units ended.
    pub(super) endings: Vec<Phase>,
}

/// An engine that has claimed the journal and not yet begun.
type Fresh = Engine<Storage>;

struct Stopped {
    engine: Engine<Storage>,
    orders: Vec<Order>,
}

/// What the engine of now has not yet decided on.
struct Live {
    epoch: Epoch,
    inbox: Vec<Input>,
}

struct Run {
    world: World,
    client: Client,
    storage: Storage,
    fresh: Option<Fresh>,
    live: Option<Live>,
    /// Orders that an engine could not carry out any more.
    rest: Vec<Order>,
    stopped: Vec<Stopped>,
    crashes: Crashes,
    chances: u64,
    turns: u64,
    is_over: bool,
    /// How far the engine's clock is ahead of the world's time.
    clock_ms: u64,
}

/// Runs a seed to its end.
pub(super) fn run(scenario: Scenario, random: Random, crashes: Crashes) -> Report {
    let mut run = Run::new(scenario, random, crashes);
    run.live_on();
    run.check_end();
    run.report()
}

impl Run {
    fn new(scenario: Scenario, random: Random, crashes: Crashes) -> Self {
        Self {
            clock_ms: scenario.clock_ms,
            world: World::new(scenario, random),
            client: Client::default(),
            storage: Storage::default(),
            fresh: None,
            live: None,
            rest: Vec::new(),
            stopped: Vec::new(),
            crashes,
            chances: 0,
            turns: 0,
            is_over: false,
        }
    }

    fn live_on(&mut self) {
        let spec = Box::new(self.world.scenario.spec.clone());
        let owner = spec.owner.clone();
        let start = self.client.ask(owner, Command::Start { spec });
        self.world.after(100, Event::Ask(start));
        self.world.after(10, Event::Restart);
        self.world.after(5_000, Event::Client);
        while self.may_go_on() && !self.is_over {
            match self.world.pop() {
                Some(Event::Begin) => self.engine_lives(),
                Some(event) => self.happens(event, None),
                None => self.world.broken("nothing will ever happen any more".to_owned()),
            }
        }
        if self.turns >= TURNS_MAX {
            self.world.broken(format!("after {TURNS_MAX} turns the batch has not ended"));
        }
    }

    const fn is_sound(&self) -> bool {
        self.world.broken.is_empty() && self.client.broken.is_empty()
    }

    const fn may_go_on(&self) -> bool {
        self.turns < TURNS_MAX && self.is_sound()
    }

    /// The loop of production, until its engine dies.
    fn engine_lives(&mut self) {
        let Some(mut engine) = self.fresh.take() else { return };
        self.live = Some(Live { epoch: engine.epoch(), inbox: Vec::new() });
        let ended = drive::live(&mut engine, self);
        self.storage.next.replace(None);
        if ended.is_err() || self.live.is_some() && !self.is_over {
            self.crash(Vec::new());
        }
        self.live = None;
        let rest = std::mem::take(&mut self.rest);
        if !self.is_over && self.world.random.chance(300) && engine.state().is_some() {
            self.stopped.push(Stopped { engine, orders: rest });
            let delay = self.world.random.between(500, 60_000);
            self.world.after(delay, Event::Wake);
        }
    }

    fn is_live(&self, epoch: Epoch) -> bool {
        self.live.as_ref().is_some_and(|live| live.epoch == epoch)
    }

    fn hear(&mut self, epoch: Epoch, input: Input) {
        if let Some(live) = self.live.as_mut().filter(|live| live.epoch == epoch) {
            live.inbox.push(input);
        }
    }

    /// Something happens, while an engine is there with its state, or none is.
    fn happens(&mut self, event: Event, state: Option<&State>) {
        match event {
            Event::Do { epoch, effect } => {
                if !self.is_live(epoch) && epoch >= self.world.fence {
                    self.world.coverage.hit(effect.action.kind(), Position::Late);
                }
                self.keep_trace(epoch, &effect);
                self.world.do_effect(epoch, effect);
                self.may_crash(Vec::new);
            }
            Event::Hear { epoch, effect, outcome } => {
                self.hear(epoch, Input::Outcome { effect: effect.id, outcome });
            }
            Event::LookUp { epoch, effect } => self.world.look_up(epoch, effect),
            Event::HearFound { epoch, effect, found } => {
                self.hear(epoch, Input::Found { effect: effect.id, found });
            }
            Event::Act(conversation) => {
                for observation in self.world.act(&conversation) {
                    let observed =
                        Input::Observed { conversation: conversation.clone(), observation };
                    if let Some(live) = &mut self.live {
                        live.inbox.push(observed);
                    }
                }
            }
            Event::Linger(conversation) => self.world.linger(&conversation),
            Event::Ask(request) => self.asked(request),
            Event::Client => self.client_acts(state),
            Event::Restart => self.take_over(),
            // Another engine is there already.
            Event::Begin => {}
            Event::Wake => self.wake_stopped(),
        }
    }

    /// What an agent has said is kept when it is stopped, and told before that.
    fn keep_trace(&mut self, epoch: Epoch, effect: &Effect) {
        let (Action::Stop { conversation }, Some(attempt)) =
            (&effect.action, effect.subject.attempt.clone())
        else {
            return;
        };
        if epoch < self.world.fence {
            return;
        }
        let said = format!("said in {conversation}");
        let digest = self.storage.keep(said.as_bytes()).expect("it does not fail");
        let of = Source::Transcript { conversation: conversation.clone() };
        let bytes = u64::try_from(said.len()).expect("a few");
        let trace = Trace { digest, bytes, of, cut_bytes: 0 };
        self.hear(epoch, Input::Traced { attempt, trace });
    }

    fn asked(&mut self, asked: Request) {
        let Request { request, actor, command, epoch } = asked.clone();
        let Some(live) = &mut self.live else { return };
        if epoch.is_some_and(|epoch| epoch != live.epoch) {
            return;
        }
        self.client.note(&asked);
        live.inbox.push(Input::Command { request, actor, command });
    }

    fn client_acts(&mut self, state: Option<&State>) {
        self.world.check_hung();
        if self.world.trouble(30) {
            self.clock_ms = self.world.random.between(0, Scenario::CLOCK_MS_MAX);
        }
        let open: Vec<Request> = self.client.open.values().cloned().collect();
        for request in open {
            self.world.after(20, Event::Ask(request));
        }
        if let Some(state) = state.filter(|state| state.spec.is_some()) {
            let world = &mut self.world;
            if world.scenario.owner == Owner::Answers
                && world.random.chance(150)
                && let Some((request, reason)) = self.client.rule(&mut world.random, state)
            {
                if let Reason::Undelivered { message } = reason {
                    world.again.insert(message);
                }
                world.after(20, Event::Ask(request));
            }
            if world.scenario.commands > 0 && world.random.chance(300) {
                world.scenario.commands -= 1;
                let whims = world.scenario.whims.clone();
                let whim = self.client.whim(&mut world.random, state, whims);
                if let Some(request) = whim {
                    // Sometimes the same is asked again although it was answered.
                    if world.random.chance(300) {
                        world.after(15_000, Event::Ask(request.clone()));
                    }
                    world.after(20, Event::Ask(request));
                }
            }
            if world.scenario.integrations > 0 && world.scenario.aside.chance(200) {
                world.scenario.integrations -= 1;
                if world.scenario.aside.chance(300) {
                    world.git.operator.has_moved_on = true;
                }
                let wish = self.client.want_integration(&mut world.scenario.aside);
                world.after(20, Event::Ask(wish));
            }
            // Nobody stays away for ever: what was paused is resumed.
            if !world.is_troubled() && state.halt == Some(Halt::Paused) {
                let operator = Actor::Operator("anna".parse().expect("a name"));
                let resume = self.client.ask(operator, Command::Resume);
                world.after(20, Event::Ask(resume));
            }
        }
        let delay = self.world.random.between(5_000, 30_000);
        self.world.after(delay, Event::Client);
    }

    /// An engine takes over, and begins a little later.
    fn take_over(&mut self) {
        if self.live.is_some() || self.fresh.is_some() {
            return;
        }
        let batch = self.world.scenario.spec.batch;
        match Engine::take_over(self.storage.clone(), batch) {
            Ok(engine) => {
                let known = engine.state().map(|state| state.answers.clone()).unwrap_or_default();
                let lost = self.client.answers.iter().find(|(request, reply)| {
                    known.get(*request).map(|(_, known)| known) != Some(*reply)
                });
                if let Some((request, reply)) = lost {
                    let lost = format!("{request} was answered {reply:?}, which is nowhere");
                    self.world.broken(lost);
                }
                self.fresh = Some(engine);
            }
            Err(failure) => self.world.broken(format!("no engine can take over: {failure:?}")),
        }
        let delay = self.world.random.between(0, 2_000);
        self.world.after(delay, Event::Begin);
    }

    /// Engines that were stopped, and believe that they own the batch, go on.
    fn wake_stopped(&mut self) {
        if self.live.is_none() && self.fresh.is_none() {
            return self.world.after(1_000, Event::Wake);
        }
        for Stopped { mut engine, orders } in std::mem::take(&mut self.stopped) {
            let epoch = engine.epoch();
            for order in orders {
                match order {
                    Order::Start(effect) => self.world.start(epoch, effect),
                    Order::Find(effect) => self.world.find(epoch, effect),
                    Order::Answer { .. } => {}
                }
            }
            let request = format!("stale{}", epoch.0).parse().expect("an id");
            let actor = Actor::Operator("anna".parse().expect("a name"));
            let mut inputs = vec![Input::Command { request, actor, command: Command::Pause }];
            match engine.turn(self.now(), &mut inputs) {
                Err(_) => self.world.coverage.refused += 1,
                Ok(_) => self.world.broken("an engine that was taken over goes on".to_owned()),
            }
        }
    }

    /// A chance to die; true if it was taken. `rest` was to be carried out.
    fn may_crash(&mut self, rest: impl FnOnce() -> Vec<Order>) -> bool {
        if self.live.is_none() {
            return false;
        }
        self.chances += 1;
        let dies = match self.crashes {
            Crashes::Often(per_mille) => self.world.trouble(per_mille),
            Crashes::At(chance) => self.chances == chance,
        };
        if dies {
            self.crash(rest());
        }
        dies
    }

    /// The engine dies, or is stopped so long that another one takes over.
    fn crash(&mut self, rest: Vec<Order>) {
        let Some(Live { epoch, .. }) = self.live.take() else { return };
        let world = &mut self.world;
        world.coverage.crashes += 1;
        for order in &rest {
            if let Order::Start(effect) = order {
                world.coverage.hit(effect.action.kind(), Position::Intended);
            }
        }
        self.rest = rest;
        let coming: Vec<Event> = world.coming().cloned().collect();
        let mut dead = Vec::new();
        for event in &coming {
            match event {
                // Half of what it has begun dies with it.
                Event::Do { epoch: of, effect } if *of == epoch && world.random.chance(500) => {
                    dead.push(effect.id);
                    world.coverage.hit(effect.action.kind(), Position::Started);
                }
                Event::Hear { epoch: of, effect, .. } if *of == epoch => {
                    world.coverage.hit(effect.action.kind(), Position::Unheard);
                }
                _ => {}
            }
        }
        world.withdraw(|event| match event {
            Event::Do { epoch: of, effect } => *of == epoch && dead.contains(&effect.id),
            Event::Hear { epoch: of, .. }
            | Event::LookUp { epoch: of, .. }
            | Event::HearFound { epoch: of, .. } => *of == epoch,
            _ => false,
        });
        // Agents die with their engine; some only when they are stopped.
        let mut random = world.random.clone();
        for agent in world.agents.values_mut().filter(|agent| agent.is_alive) {
            agent.is_alive = random.chance(300);
        }
        world.random = random;
        let delay = world.random.between(500, 40_000);
        world.after(delay, Event::Restart);
    }
}

impl Ports for Run {
    fn now(&self) -> Time {
        Time(self.world.now + self.clock_ms)
    }

    fn carry_out(&mut self, epoch: Epoch, orders: Vec<Order>, state: &State) -> ControlFlow<()> {
        self.turns += 1;
        self.storage.next.replace(None);
        let mut rest = orders.as_slice();
        while let Some((order, after)) = rest.split_first() {
            if self.may_crash(|| rest.to_vec()) {
                return ControlFlow::Break(());
            }
            let is_deadly = self.is_deadly(order);
            self.carry_out_one(epoch, order.clone(), state);
            rest = after;
            if is_deadly {
                self.crash(rest.to_vec());
                return ControlFlow::Break(());
            }
        }
        self.client.limited_until = state.limited_until.0;
        if self.may_crash(Vec::new) {
            return ControlFlow::Break(());
        }
        if self.turns.is_multiple_of(64) {
            self.check_fold(state);
        }
        ControlFlow::Continue(())
    }

    fn wait(&mut self, state: &State, wake: Option<Time>) -> Option<Vec<Input>> {
        while self.live.is_some() && self.may_go_on() {
            if state.is_over() && self.client.open.is_empty() && self.stopped.is_empty() {
                self.check_fold(state);
                if std::mem::take(&mut self.world.scenario.last_wish) {
                    // Nobody needs this engine any more; another is started for the wish.
                    let wish = self.client.want_integration(&mut self.world.scenario.aside);
                    self.world.after(3_000, Event::Ask(wish));
                    self.world.after(10, Event::Restart);
                    self.live = None;
                    return None;
                }
                self.is_over = true;
                return None;
            }
            self.turns += 1;
            let wakes_at = wake.map(|wake| wake.0.saturating_sub(self.clock_ms));
            let is_woken = match (self.world.next_at(), wakes_at) {
                (next, Some(wake)) if next.is_none_or(|next| wake < next) => {
                    self.world.now = self.world.now.max(wake);
                    true
                }
                (None, _) => {
                    self.world.broken("nothing will ever happen any more".to_owned());
                    false
                }
                (Some(_), _) => {
                    if let Some(event) = self.world.pop() {
                        self.happens(event, Some(state));
                    }
                    // Inputs that come close together are decided together.
                    self.world.random.chance(800)
                }
            };
            let Some(live) = &mut self.live else { return None };
            let is_due = wakes_at.is_some_and(|at| at <= self.world.now);
            let has_input = !live.inbox.is_empty() || is_due;
            if is_woken && has_input {
                let inputs = std::mem::take(&mut live.inbox);
                self.may_fail_to_append();
                return Some(inputs);
            }
        }
        None
    }
}

impl Run {
    /// Whether an order kills the engine that carries it out.
    fn is_deadly(&mut self, order: &Order) -> bool {
        let Some(deadly) = &mut self.world.scenario.deadly else { return false };
        let (effect, is_look_up) = match order {
            Order::Start(effect) => (effect, false),
            Order::Find(effect) => (effect, true),
            Order::Answer { .. } => return false,
        };
        let is_batch_fence = effect.action == Action::Fence && effect.subject.attempt.is_none();
        let is_it = effect.action.kind() == deadly.kind
            && !is_batch_fence
            && (!is_look_up || deadly.in_look_ups)
            && deadly.times > 0;
        if is_it {
            deadly.times -= 1;
        }
        is_it
    }

    fn may_fail_to_append(&mut self) {
        let fault = match self.crashes {
            Crashes::Often(_) if self.world.trouble(4) => {
                let faults = [Fault::Lost, Fault::Unheard, Fault::Full];
                Some(faults[usize::try_from(self.world.random.below(3)).expect("small")])
            }
            Crashes::Often(_) => None,
            // An engine may also die while it appends: the one or the other.
            Crashes::At(chance) => {
                self.chances += 2;
                match self.chances.checked_sub(chance) {
                    Some(0) => Some(Fault::Lost),
                    Some(1) => Some(Fault::Unheard),
                    _ => None,
                }
            }
        };
        self.storage.next.replace(fault);
    }

    fn carry_out_one(&mut self, epoch: Epoch, order: Order, state: &State) {
        let now = self.now().max(state.at).0;
        match order {
            Order::Start(effect) => {
                if let Some(unit) = &effect.subject.unit {
                    match &effect.action {
                        Action::Start { opening, .. } => {
                            self.client.check_start(unit, now, state);
                            for message in opening {
                                self.client.check_sent(*message, now, state);
                            }
                        }
                        Action::Inject { message, .. } if effect.is_first() => {
                            self.client.check_sent(*message, now, state);
                        }
                        Action::Advance { .. } => self.client.check_merge(unit, state),
                        _ => {}
                    }
                }
                self.world.start(epoch, effect);
            }
            Order::Find(effect) => self.world.find(epoch, effect),
            Order::Answer { request, reply } => {
                self.client.answered(&request, &reply, now, state);
            }
        }
    }
}
