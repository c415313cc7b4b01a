//! What a run has to amount to.

use std::fmt::Write as _;

use batch_api::{AttemptId, Sequence};

use super::super::audit::Audit;
use super::{Report, Run};
use crate::drive::fold;
use crate::effect::Outcome;
use crate::fact::Fact;
use crate::integration::Stage;
use crate::journal::{Chain, Digest, Journal, Record, Traces as _};
use crate::mail::{MailKind, Receipt};
use crate::state::State;
use crate::unit::Phase;

impl Run {
    /// The journal, folded, is the state.
    pub(super) fn check_fold(&mut self, state: &State) {
        match fold(&mut self.storage.journal.clone(), self.world.scenario.spec.batch) {
            Ok((folded, _)) if folded == *state => self.check_remembered(state),
            Ok(_) => self.world.broken("the journal folds to another state".to_owned()),
            Err(failure) => self.world.broken(format!("the journal cannot be folded: {failure:?}")),
        }
    }

    /// A state is the same after it was written down.
    fn check_remembered(&mut self, state: &State) {
        let written = serde_json::to_string(state);
        let read = written.and_then(|text| serde_json::from_str::<State>(&text));
        if !read.as_ref().is_ok_and(|read| read == state) {
            self.world.broken(format!("the state cannot be written down: {:?}", read.err()));
        }
    }

    pub(super) fn check_end(&mut self) {
        if !self.is_sound() {
            return;
        }
        let batch = self.world.scenario.spec.batch;
        let mut broken = self.audit();
        let Ok((state, _)) = fold(&mut self.storage.journal.clone(), batch) else {
            return self.world.broken("the journal cannot be folded".to_owned());
        };
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
                    // It is carried out, and nobody is told.
                    _ if mail.message.kind == MailKind::Abort => times == 0,
                    Receipt::Seen { .. } | Receipt::Answered => times > 0,
                    Receipt::Uncertain { .. } | Receipt::Expired | Receipt::Dead => true,
                    Receipt::Queued | Receipt::Injecting { .. } | Receipt::Injected { .. } => false,
                };
                if !is_told {
                    broken.push(format!("{id} to {unit} is {receipt:?}, and came {times} times"));
                }
                if mail.message.kind == MailKind::Info
                    && times > 1
                    && !self.world.again.contains(&id)
                {
                    broken.push(format!("{id} came to {unit} {times} times"));
                }
            }
        }
        for (request, integration) in &state.integrations {
            let course = &integration.handover.course;
            match &integration.stage {
                Stage::Over(Outcome::Integrated { .. } | Outcome::Contained)
                    if !self.world.git.has_arrived(&integration.commit, course) =>
                {
                    broken.push(format!("{request} is told as done, and is not"));
                }
                Stage::Over(_) => {}
                Stage::Asked | Stage::UnderWay => {
                    broken.push(format!("{request} came to nothing"));
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

    /// What the journal says, and must not.
    fn audit(&mut self) -> Vec<String> {
        let mut chain = Chain::of(self.world.scenario.spec.batch);
        let lines = self.storage.journal.read(Sequence(0), usize::MAX).unwrap_or_default();
        let mut audit = Audit::default();
        for record in lines.iter().filter_map(|line| chain.check::<Fact>(line).ok()) {
            audit.next(&record);
        }
        // Traces are there, and nothing needs them.
        for digest in &audit.traces {
            if self.storage.trace(*digest).expect("it does not fail").is_none() {
                audit.broken.push(format!("{digest} was told before it was kept"));
            }
        }
        for digest in &audit.traces {
            self.storage.prune(*digest).expect("it does not fail");
        }
        audit.broken
    }

    pub(super) fn report(mut self) -> Report {
        let lines = self.storage.journal.read(Sequence(0), usize::MAX).unwrap_or_default();
        let mut story = String::new();
        let mut chain = Chain::of(self.world.scenario.spec.batch);
        for line in &lines {
            let Ok(Record { at, epoch, subject, fact, .. }) = chain.check::<Fact>(line) else {
                break;
            };
            let of = |attempt: &AttemptId| attempt.to_string();
            let unit = subject.unit.as_ref().map(ToString::to_string);
            let of = subject.attempt.as_ref().map(of).or(unit).unwrap_or_default();
            let (sequence, seconds, ms) = (line.sequence.0, at.0 / 1000, at.0 % 1000);
            let _ =
                writeln!(story, "{sequence:4} {seconds:4}.{ms:03} [{}] {of:<12} {fact}", epoch.0);
        }
        let end = lines.last().map(|line| line.digest.to_string()).unwrap_or_default();
        let seen =
            format!("{end} {} {:?} {:?}", self.world.now, self.world.seen, self.world.written);
        let batch = self.world.scenario.spec.batch;
        let state = fold(&mut self.storage.journal, batch).map(|(state, _)| state);
        let endings = state.unwrap_or_default().units.values().map(|unit| unit.phase).collect();
        self.world.broken.append(&mut self.client.broken);
        Report {
            broken: self.world.broken,
            coverage: self.world.coverage,
            chances: self.chances,
            records: u64::try_from(lines.len()).expect("a count"),
            digest: Digest::of(seen.as_bytes()),
            story,
            endings,
        }
    }
}
