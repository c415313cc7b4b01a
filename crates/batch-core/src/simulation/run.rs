//! One run: engines that live and die over a world, until the batch is over.

use std::fmt::Write as _;

use batch_api::{Actor, Epoch, Sequence};

use super::client::{Client, Request};
use super::coverage::{Coverage, Position};
use super::plan::{Owner, Scenario};
use super::random::Random;
use super::storage::{Fault, Storage};
use super::world::{Event, World};
use crate::decide::{Command, Input};
use crate::drive::{Engine, Order, fold};
use crate::effect::Action;
use crate::journal::{Digest, Journal};
use crate::mail::{MailKind, Receipt};
use crate::time::Time;
use crate::unit::Phase;

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
    /// The end of the journal, for people.
    pub(super) tail: String,
    /// How the units ended.
    pub(super) endings: Vec<Phase>,
}

struct Live {
    engine: Engine<Storage>,
    inbox: Vec<Input>,
    /// Whether it has begun.
    has_begun: bool,
}

struct Stopped {
    engine: Engine<Storage>,
    orders: Vec<Order>,
}

struct Run {
    world: World,
    client: Client,
    storage: Storage,
    live: Option<Live>,
    stopped: Vec<Stopped>,
    crashes: Crashes,
    chances: u64,
    turns: u64,
}

/// Runs a seed to its end.
pub(super) fn run(scenario: Scenario, random: Random, crashes: Crashes) -> Report {
    let mut run = Run {
        world: World::new(scenario, random),
        client: Client::default(),
        storage: Storage::default(),
        live: None,
        stopped: Vec::new(),
        crashes,
        chances: 0,
        turns: 0,
    };
    run.live_on();
    run.check_end();
    run.report()
}

impl Run {
    fn live_on(&mut self) {
        let spec = Box::new(self.world.scenario.spec.clone());
        let owner = spec.owner.clone();
        let start = self.client.ask(owner, Command::Start { spec });
        self.world.after(100, Event::Ask(start));
        self.world.after(10, Event::Restart);
        self.world.after(5_000, Event::Client);
        while self.turns < TURNS_MAX && self.is_sound() && !self.is_over() {
            self.step();
        }
        if self.turns >= TURNS_MAX {
            self.world.broken(format!("after {TURNS_MAX} turns the batch has not ended"));
        }
    }

    const fn is_sound(&self) -> bool {
        self.world.broken.is_empty() && self.client.broken.is_empty()
    }

    fn is_over(&self) -> bool {
        let state = self.live.as_ref().and_then(|live| live.engine.state());
        state.is_some_and(crate::state::State::is_over)
            && self.client.open.is_empty()
            && self.stopped.is_empty()
    }

    /// The next thing happens, in the world or by the engine's clock.
    fn step(&mut self) {
        self.turns += 1;
        let now = Time(self.world.now);
        let wake = self.live.as_ref().and_then(|live| live.engine.wake(now));
        match (self.world.next_at(), wake) {
            (next, Some(wake)) if next.is_none_or(|next| wake.0 < next) => {
                self.world.now = wake.0;
                self.turn();
            }
            (Some(_), _) => {
                if let Some(event) = self.world.pop() {
                    self.happens(event);
                }
                let has_input = self.live.as_ref().is_some_and(|live| !live.inbox.is_empty());
                // Inputs that come close together are decided together.
                if has_input && (self.world.random.chance(800) || self.world.next_at().is_none()) {
                    self.turn();
                }
            }
            (None, None) => {
                self.world.broken("nothing will ever happen any more".to_owned());
            }
            (None, Some(_)) => {}
        }
    }

    fn is_live(&self, epoch: Epoch) -> bool {
        self.live.as_ref().is_some_and(|live| live.engine.epoch() == epoch)
    }

    fn hear(&mut self, epoch: Epoch, input: Input) {
        if let Some(live) = self.live.as_mut().filter(|live| live.engine.epoch() == epoch) {
            live.inbox.push(input);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Do { epoch, effect } => {
                if !self.is_live(epoch) && epoch >= self.world.fence {
                    self.world.coverage.hit(effect.action.kind(), Position::Late);
                }
                self.world.do_effect(epoch, effect);
                self.may_crash(&[]);
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
            Event::Client => self.client_acts(),
            Event::Restart => self.restart(),
            Event::Wake => self.wake_stopped(),
        }
    }

    fn asked(&mut self, asked: Request) {
        let Request { request, actor, command, epoch } = asked.clone();
        let Some(live) = &mut self.live else { return };
        if !live.has_begun || epoch.is_some_and(|epoch| epoch != live.engine.epoch()) {
            return;
        }
        self.client.note(&asked);
        live.inbox.push(Input::Command { request, actor, command });
    }

    fn client_acts(&mut self) {
        let open: Vec<Request> = self.client.open.values().cloned().collect();
        for request in open {
            self.world.after(20, Event::Ask(request));
        }
        let state = self.live.as_ref().and_then(|live| live.engine.state());
        if let Some(state) = state.filter(|state| state.spec.is_some()) {
            let world = &mut self.world;
            if world.scenario.owner == Owner::Answers
                && world.random.chance(150)
                && let Some(request) = self.client.rule(&mut world.random, state)
            {
                world.after(20, Event::Ask(request));
            }
            if world.scenario.commands > 0 && world.random.chance(300) {
                world.scenario.commands -= 1;
                let (now, whims) = (world.now, world.scenario.whims.clone());
                let whim = self.client.whim(&mut world.random, state, now, whims);
                // Sometimes the same is asked again although it was answered.
                if let Some(request) = whim {
                    if world.random.chance(300) {
                        world.after(15_000, Event::Ask(request.clone()));
                    }
                    world.after(20, Event::Ask(request));
                }
            }
            // Nobody stays away for ever: what was paused is resumed.
            if !world.is_troubled() && state.halt == Some(crate::state::Halt::Paused) {
                let operator = Actor::Operator("anna".parse().expect("a name"));
                let resume = self.client.ask(operator, Command::Resume);
                world.after(20, Event::Ask(resume));
            }
        }
        let delay = self.world.random.between(5_000, 30_000);
        self.world.after(delay, Event::Client);
    }

    fn restart(&mut self) {
        if self.live.is_some() {
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
                let inbox = vec![engine.started()];
                self.live = Some(Live { engine, inbox, has_begun: false });
            }
            Err(failure) => self.world.broken(format!("no engine can take over: {failure:?}")),
        }
    }

    /// Engines that were stopped, and believe that they own the batch, go on.
    fn wake_stopped(&mut self) {
        if self.live.is_none() {
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
            match engine.turn(Time(self.world.now), &mut inputs) {
                Err(_) => self.world.coverage.refused += 1,
                Ok(_) => self.world.broken("an engine that was taken over goes on".to_owned()),
            }
        }
    }

    /// One turn of the engine: the loop of production, with chances to die.
    fn turn(&mut self) {
        let Some(live) = &mut self.live else { return };
        if self.world.trouble(4) {
            let faults = [Fault::Lost, Fault::Unheard, Fault::Full];
            let fault = faults[usize::try_from(self.world.random.below(3)).expect("small")];
            self.storage.next.replace(Some(fault));
        }
        live.has_begun = true;
        let mut inputs = std::mem::take(&mut live.inbox);
        let orders = live.engine.turn(Time(self.world.now), &mut inputs);
        let has_failed = live.engine.state().is_none();
        self.storage.next.replace(None);
        let orders = orders.unwrap_or_default();
        let mut rest = orders.as_slice();
        while let Some((order, after)) = rest.split_first() {
            if self.may_crash(rest) {
                return;
            }
            self.carry_out(order.clone());
            rest = after;
        }
        if has_failed {
            return self.crash(&[]);
        }
        self.may_crash(&[]);
        if self.turns.is_multiple_of(64) {
            self.check_fold();
        }
    }

    fn carry_out(&mut self, order: Order) {
        let Some(live) = &self.live else { return };
        let epoch = live.engine.epoch();
        match order {
            Order::Start(effect) => {
                if let (Some(unit), Some(state)) = (&effect.subject.unit, live.engine.state()) {
                    match effect.action {
                        Action::Start { .. } => {
                            self.client.check_start(unit, self.world.now, state);
                        }
                        Action::Advance { .. } => self.client.check_merge(unit, state),
                        _ => {}
                    }
                }
                self.world.start(epoch, effect);
            }
            Order::Find(effect) => self.world.find(epoch, effect),
            Order::Answer { request, reply } => {
                let nothing = crate::state::State::default();
                let state = live.engine.state().unwrap_or(&nothing);
                self.client.answered(&request, &reply, self.world.now, state);
            }
        }
    }

    /// A chance to die; true if it was taken. `rest` was to be carried out.
    fn may_crash(&mut self, rest: &[Order]) -> bool {
        if self.live.is_none() {
            return false;
        }
        self.chances += 1;
        let dies = match self.crashes {
            Crashes::Often(per_mille) => self.world.trouble(per_mille),
            Crashes::At(chance) => self.chances == chance,
        };
        if dies {
            self.crash(rest);
        }
        dies
    }

    /// The engine dies, or is stopped so long that another one takes over.
    fn crash(&mut self, rest: &[Order]) {
        let Some(Live { engine, .. }) = self.live.take() else { return };
        let world = &mut self.world;
        world.coverage.crashes += 1;
        let epoch = engine.epoch();
        for order in rest {
            if let Order::Start(effect) = order {
                world.coverage.hit(effect.action.kind(), Position::Intended);
            }
        }
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
        if world.random.chance(300) && engine.state().is_some() {
            self.stopped.push(Stopped { engine, orders: rest.to_vec() });
            let delay = self.world.random.between(500, 60_000);
            self.world.after(delay, Event::Wake);
        }
        let delay = self.world.random.between(500, 40_000);
        self.world.after(delay, Event::Restart);
    }

    /// The journal, folded, is the state.
    fn check_fold(&mut self) {
        let Some(state) = self.live.as_ref().and_then(|live| live.engine.state()) else { return };
        match fold(&mut self.storage.journal.clone(), self.world.scenario.spec.batch) {
            Ok((folded, _)) if folded == *state => {}
            Ok(_) => self.world.broken("the journal folds to another state".to_owned()),
            Err(failure) => self.world.broken(format!("the journal cannot be folded: {failure:?}")),
        }
    }

    fn check_end(&mut self) {
        if !self.is_sound() {
            return;
        }
        self.check_fold();
        let Some(state) = self.live.as_ref().and_then(|live| live.engine.state()) else { return };
        let mut broken = Vec::new();
        for unit in state.units.values() {
            let (id, is_done) = (unit.id(), unit.phase == Phase::Done);
            let merged = self.world.git.merged.get(id).copied().unwrap_or(0);
            let done = self.world.git.done.contains_key(id);
            if (merged == 1, done) != (is_done, is_done) {
                broken
                    .push(format!("{id} is {:?}, merged {merged} times, done: {done}", unit.phase));
            }
        }
        for mail in state.mail.values() {
            for (unit, receipt) in &mail.receipts {
                let id = mail.message.id;
                let of = |conversation: &batch_api::ConversationId| {
                    conversation.agent.attempt.unit == *unit
                };
                let times: u32 = self
                    .world
                    .seen
                    .iter()
                    .filter(|((message, conversation), _)| *message == id && of(conversation))
                    .map(|(_, times)| *times)
                    .sum();
                let is_told = match receipt {
                    Receipt::Seen { .. } | Receipt::Answered => times > 0,
                    Receipt::Uncertain { .. } | Receipt::Expired | Receipt::Dead => true,
                    Receipt::Queued | Receipt::Injecting { .. } | Receipt::Injected { .. } => false,
                };
                if !is_told {
                    broken.push(format!("{id} to {unit} is {receipt:?}, and came {times} times"));
                }
                if mail.message.kind == MailKind::Info && times > 1 {
                    broken.push(format!("{id} came to {unit} {times} times"));
                }
            }
        }
        let alive = self.world.agents.values().find(|agent| agent.is_alive || agent.lingers);
        if let Some(agent) = alive {
            broken.push(format!("{} is alive at the end", agent.conversation));
        }
        if let Some((lane, _)) = self.world.git.lanes.iter().next() {
            broken.push(format!("lane {lane} is left over"));
        }
        let everything = self.world.git.everything();
        if let Some(lost) = self.world.written.iter().find(|piece| !everything.contains(piece)) {
            broken.push(format!("`{lost}` is lost"));
        }
        for what in broken {
            self.world.broken(what);
        }
    }

    fn report(mut self) -> Report {
        let lines = self.storage.journal.read(Sequence(0), usize::MAX).unwrap_or_default();
        let mut tail = String::new();
        for line in lines.iter().rev().take(60).rev() {
            let text = &line.text;
            let skipped = text.find("\"at\"").map_or(text.as_str(), |at| &text[at..]);
            let _ = writeln!(tail, "{} {skipped}", line.sequence.0);
        }
        let end = lines.last().map(|line| line.digest.to_string()).unwrap_or_default();
        let seen =
            format!("{end} {} {:?} {:?}", self.world.now, self.world.seen, self.world.written);
        let state = self.live.as_ref().and_then(|live| live.engine.state());
        let endings = state.into_iter().flat_map(|state| state.units.values());
        let endings = endings.map(|unit| unit.phase).collect();
        self.world.broken.append(&mut self.client.broken);
        Report {
            broken: self.world.broken,
            coverage: self.world.coverage,
            chances: self.chances,
            records: u64::try_from(lines.len()).expect("a count"),
            digest: Digest::of(seen.as_bytes()),
            tail,
            endings,
        }
    }
}
