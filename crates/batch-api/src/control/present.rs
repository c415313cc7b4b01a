//! Batches as text.

use operation::{ErrorKind, Present, Screen};

use super::start::Started;
use super::status::{
    AgentStatus, BatchList, BatchState, BatchStatus, BatchSummary, EngineState, FollowEnd,
    StatusChange, UnitState, UnitStatus, UsageStatus, WaitStatus,
};
use crate::id::WaitId;

impl Present for Started {
    fn present(&self, screen: &mut Screen) {
        for remark in &self.remarks {
            screen.note(format!("note: {}: {}", remark.file, remark.message));
        }
        screen.line(self.id.to_string());
        let tasks =
            if self.tasks == 1 { "1 task".to_owned() } else { format!("{} tasks", self.tasks) };
        screen.note(format!(
            "{tasks}, {} at a time, from the commit {:.12}: what is not committed is in no lane",
            self.lanes,
            self.base.as_str()
        ));
        screen.note(format!("`hotcell batch status {}` shows how far it is", self.id));
    }
}

impl Present for BatchList {
    fn present(&self, screen: &mut Screen) {
        self.batches.iter().for_each(|batch| screen.line(line(batch)));
        if self.batches.is_empty() {
            screen.note("No batches; `hotcell batch start` makes one");
        }
    }
}

fn line(batch: &BatchSummary) -> String {
    let BatchSummary { id, units, done, waits, .. } = batch;
    let state = batch.state.map_or("unreadable", word);
    let engine = match (batch.engine, batch.state) {
        (EngineState::Gone | EngineState::Never, Some(state)) if !state.is_over() => {
            "  no engine: `hotcell batch resume` starts one"
        }
        _ => "",
    };
    let waits = if *waits == 0 { String::new() } else { format!("  waits for {waits}") };
    let trouble = batch.trouble.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
    let repository = batch.repository.as_deref().unwrap_or("-");
    format!("{id}  {state:<9}  {done}/{units}  {repository}{waits}{engine}{trouble}")
}

/// A state as people say it.
const fn word(state: BatchState) -> &'static str {
    match state {
        BatchState::New => "new",
        BatchState::Running => "running",
        BatchState::Paused => "paused",
        BatchState::Ceiling => "ceiling",
        BatchState::Aborting => "aborting",
        BatchState::Completed => "completed",
        BatchState::Partial => "partial",
        BatchState::Failed => "failed",
    }
}

impl Present for StatusChange {
    fn present(&self, screen: &mut Screen) {
        self.news.iter().for_each(|news| screen.line(format!("{}  {news}", self.at)));
    }

    fn is_followed(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<Screen> {
        let mut screen = Screen::default();
        self.status.present(&mut screen);
        Some(screen)
    }
}

impl Present for BatchStatus {
    fn exit_code(&self) -> u8 {
        match (self.followed_until, self.state) {
            (None, _) | (Some(FollowEnd::Over), BatchState::Completed) => 0,
            (Some(FollowEnd::Over), _) => 1,
            (Some(FollowEnd::Waits), _) => ErrorKind::Conflict.exit_code(),
            (Some(FollowEnd::NoEngine), _) => ErrorKind::Unavailable.exit_code(),
            (Some(FollowEnd::Stopped), _) => ErrorKind::Cancelled.exit_code(),
        }
    }

    fn present(&self, screen: &mut Screen) {
        let done = self.units.iter().filter(|unit| unit.state == UnitState::Done).count();
        screen.line(format!("{}  {}", self.id, word(self.state)));
        screen.line(format!("{}, since {}", self.repository, self.created));
        screen.line(format!("{done} of {} done{}", self.units.len(), used(self.usage)));
        let AgentStatus { kind, lane, leaves_open } = &self.agent;
        screen.line(format!("agent {kind}, lanes `{lane}`"));
        if lane == "worktree" {
            screen.note(format!("not kept apart: {leaves_open}"));
        }
        let width = self.units.iter().map(|unit| unit.id.to_string().len()).max();
        for unit in &self.units {
            screen.line(unit_line(unit, width.unwrap_or_default()));
            unit.trouble.iter().for_each(|trouble| screen.line(format!("      {trouble}")));
        }
        self.trouble.iter().for_each(|trouble| screen.line(format!("  {trouble}")));
        for wait in &self.waits {
            screen.line(wait_line(wait));
        }
        self.advice().into_iter().for_each(|advice| screen.note(advice));
        match (self.engine, self.state) {
            (_, state) if state.is_over() => {}
            (EngineState::Alive, BatchState::Paused) => {
                screen.note(format!("`hotcell batch resume {}` lets it go on", self.id));
            }
            (EngineState::Alive, _) => {}
            (EngineState::Never, _) => screen.note(format!(
                "no engine has begun with it; `hotcell batch resume {}` starts one",
                self.id
            )),
            (EngineState::Gone, _) => screen.note(format!(
                "its engine is gone; `hotcell batch resume {}` starts another, which goes on",
                self.id
            )),
        }
    }
}

impl BatchStatus {
    /// What can be done about how it is.
    fn advice(&self) -> Vec<String> {
        let (id, mut advice) = (self.id, Vec::new());
        if !self.waits.is_empty() {
            advice.push(format!("`hotcell batch inbox {id}` shows what is asked"));
        }
        let is = |state: UnitState| move |unit: &&UnitStatus| unit.state == state;
        if let Some(UnitStatus { id: unit, .. }) = self.units.iter().find(is(UnitState::Failed)) {
            advice.push(format!(
                "`hotcell batch traces {id} --unit {unit}` lists what was said and printed, \
                 `hotcell batch retry {unit} {id}` tries it again"
            ));
        }
        if self.state.is_over() && self.units.iter().any(|unit| unit.state == UnitState::Done) {
            advice
                .push(format!("`hotcell batch integrate {id}` brings what is done into a branch"));
        }
        advice
    }

    /// What is new since it was like this, in words.
    #[must_use]
    pub fn news_since(&self, earlier: &Self) -> Vec<String> {
        let mut news = Vec::new();
        for unit in &self.units {
            let before = earlier.units.iter().find(|before| before.id == unit.id);
            let is_same = before.is_some_and(|before| {
                // What is used grows all the time.
                let now = UnitStatus { usage: before.usage, ..unit.clone() };
                now == *before
            });
            if !is_same {
                news.push(unit_line(unit, 0).trim_start().to_owned());
            }
        }
        for wait in self.waits.iter().filter(|wait| !earlier.waits.contains(wait)) {
            news.push(wait_line(wait));
        }
        let answered = |id: &WaitId| !self.waits.iter().any(|wait| wait.id == *id);
        for wait in earlier.waits.iter().filter(|wait| answered(&wait.id)) {
            news.push(format!("{} is answered", wait.id));
        }
        if self.state != earlier.state {
            news.push(format!("the batch is {}", word(self.state)));
        }
        if (self.epoch, self.engine) != (earlier.epoch, earlier.engine) {
            news.push(match self.engine {
                EngineState::Alive => format!("engine {} goes on with it", self.epoch),
                EngineState::Gone => "its engine is gone".to_owned(),
                EngineState::Never => "no engine has begun with it".to_owned(),
            });
        }
        news
    }

    /// It in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let done = self.units.iter().filter(|unit| unit.state == UnitState::Done).count();
        format!("{}  {}, {done} of {} done", self.id, word(self.state), self.units.len())
    }
}

fn wait_line(wait: &WaitStatus) -> String {
    let unit = wait.unit.as_ref().map_or_else(|| "the batch".to_owned(), ToString::to_string);
    format!(
        "{}: {unit} waits for {} to say: {}; by {}, or else: {}",
        wait.id, wait.owner, wait.reason, wait.deadline, wait.default
    )
}

fn unit_line(unit: &UnitStatus, width: usize) -> String {
    let mut parts = vec![unit.about.clone()];
    parts.extend(unit.lane.map(|lane| format!("in lane {lane}")));
    if unit.attempt > 1 {
        parts.push(format!("attempt {}", unit.attempt));
    }
    if unit.steps > 0 {
        parts.push(format!("{} of {} steps", unit.steps_complete, unit.steps));
    }
    let failures = unit.failures.iter();
    parts.extend(failures.map(|failure| format!("{}: {}", failure.times, failure.what)));
    let (id, state) = (unit.id.to_string(), unit.state.as_str());
    format!("  {id:<width$}  {state:<10}  {}", parts.join(", "))
}

fn used(usage: UsageStatus) -> String {
    let UsageStatus { tokens, money_micros, calls, worked_ms } = usage;
    let (dollars, cents) = (money_micros / 1_000_000, money_micros / 10_000 % 100);
    let parts = [
        (tokens, format!(", {tokens} tokens")),
        (money_micros, format!(", {dollars}.{cents:02} dollars")),
        (calls, format!(", {calls} call{}", if calls == 1 { "" } else { "s" })),
        (worked_ms, format!(", {} s of work", worked_ms / 1000)),
    ];
    parts.into_iter().filter(|(amount, _)| *amount > 0).map(|(_, text)| text).collect()
}
