//! Batches: many agents on a graph of tasks.

use std::path::Path;

use batch_api::agents::{AgentList, Agents};
use batch_api::control::change::{Abort, Changed, Pause, Resume, Resumed, Retry, Skip};
use batch_api::control::doctor::{BatchDiagnosis, Doctor};
use batch_api::control::events::{BatchEvents, Events};
use batch_api::control::integrate::{Integrate, Integrated};
use batch_api::control::start::Start;
use batch_api::control::status::{BatchStatus, BatchSummary, List, Status};
use batch_api::control::{Target, UnitRef};
use batch_api::export::{Export, Exported};
use batch_api::init::{Init, Initialised};
use batch_api::mailbox::inbox::{Inbox, InboxContent};
use batch_api::mailbox::replies::{Replies, ReplyList};
use batch_api::mailbox::send::{Answer, Answered, Send, Sent, SentKind, WaitAnswer};
use batch_api::mailbox::{MessageText, Recipient};
use batch_api::plan::{Plan, Planned};
use batch_api::processes::{ProcessList, Processes};
use batch_api::trace::{Trace, TraceContent, TraceList, TraceRef, Traces};
use batch_api::{BatchId, MessageId, WaitId};
use operation::{Call, Handler, Operation};

use crate::{Client, Error};

/// Carries operations on batches out. It needs no machine.
#[derive(Debug, Clone)]
pub struct Batches {
    handler: ::batch::Batches,
}

impl Client {
    /// What can be done with batches.
    #[must_use]
    pub fn batches(&self) -> Batches {
        Batches { handler: self.batches.clone() }
    }
}

impl Batches {
    /// Carries any operation on batches out, with its events, input and cancellation.
    ///
    /// # Errors
    ///
    /// Whatever the operation fails with.
    pub async fn call<O>(&self, operation: O, call: &mut Call<O::Event>) -> Result<O::Output, Error>
    where
        O: Operation,
        ::batch::Batches: Handler<O>,
    {
        self.handler.handle(operation, call).await
    }

    /// Plans tasks. What is wrong with their packets is part of the answer:
    /// [`Planned::problems`].
    ///
    /// # Errors
    ///
    /// If there is no such repository, area or packet.
    pub async fn plan(&self, plan: Plan) -> Result<Planned, Error> {
        self.call(plan, &mut Call::quiet()).await
    }

    /// Writes a configuration and an example into the repository around a directory.
    ///
    /// # Errors
    ///
    /// If a file cannot be written, or the configuration that is there makes no sense.
    pub async fn init(&self, directory: impl AsRef<Path>) -> Result<Initialised, Error> {
        let directory = directory.as_ref().to_string_lossy().into_owned();
        self.call(Init { directory, dry_run: false }, &mut Call::quiet()).await
    }

    /// Lists the kinds of agents, what is proved of each, and which are on this host.
    ///
    /// # Errors
    ///
    /// Never for now.
    pub async fn agents(&self) -> Result<AgentList, Error> {
        self.call(Agents {}, &mut Call::quiet()).await
    }

    /// Lists the processes of agents and tools, and ends those that nobody owns if
    /// that is asked for ([`Processes::orphans`]).
    ///
    /// # Errors
    ///
    /// If there is no such batch.
    pub async fn processes(&self, processes: Processes) -> Result<ProcessList, Error> {
        self.call(processes, &mut Call::quiet()).await
    }

    /// Starts a batch, whose engine goes on when this program has ended.
    ///
    /// # Errors
    ///
    /// Everything that stands against it, at once.
    pub async fn start(&self, start: Start) -> Result<Batch, Error> {
        let started = self.call(start, &mut Call::quiet()).await?;
        Ok(Batch { batches: self.clone(), id: started.id })
    }

    /// The batch that is meant: the named one, or that of a repository.
    ///
    /// # Errors
    ///
    /// If none is meant, or several are.
    pub async fn find(&self, target: Target) -> Result<Batch, Error> {
        let found = self.call(Status::of(target), &mut Call::quiet()).await?;
        Ok(Batch { batches: self.clone(), id: found.id })
    }

    /// All batches, the newest first.
    ///
    /// # Errors
    ///
    /// If they cannot be listed.
    pub async fn list(&self) -> Result<Vec<BatchSummary>, Error> {
        Ok(self.call(List::default(), &mut Call::quiet()).await?.batches)
    }
}

/// A batch. Dropping this does nothing to it.
#[derive(Debug, Clone)]
pub struct Batch {
    batches: Batches,
    id: BatchId,
}

impl Batch {
    /// Identifies it for ever.
    #[must_use]
    pub const fn id(&self) -> BatchId {
        self.id
    }

    /// How far it is. It needs no engine for that.
    ///
    /// # Errors
    ///
    /// If its journal cannot be read.
    pub async fn status(&self) -> Result<BatchStatus, Error> {
        self.batches.call(Status::of(self.id.into()), &mut Call::quiet()).await
    }

    /// How far it is once there is nothing more to wait for: it is over, waits for
    /// somebody, or has no engine ([`BatchStatus::followed_until`] says which of them). It
    /// looks once a second at most.
    ///
    /// # Errors
    ///
    /// If its journal cannot be read.
    pub async fn wait(&self) -> Result<BatchStatus, Error> {
        let follow = Status { follow: true, ..Status::of(self.id.into()) };
        self.batches.call(follow, &mut Call::quiet()).await
    }

    /// Opens no more lanes and contexts; agents at work go on.
    ///
    /// # Errors
    ///
    /// If it stands still for another reason, or no engine answers.
    pub async fn pause(&self) -> Result<Changed, Error> {
        let pause = Pause { target: self.id.into(), request_id: None };
        self.batches.call(pause, &mut Call::quiet()).await
    }

    /// Lets it go on: after a pause, or after its engine or the host died.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if it is over.
    pub async fn resume(&self) -> Result<Resumed, Error> {
        let resume = Resume { take_over: false, target: self.id.into(), request_id: None };
        self.batches.call(resume, &mut Call::quiet()).await
    }

    /// Stops everything that it does, for good, after it was captured.
    ///
    /// # Errors
    ///
    /// If no engine answers.
    pub async fn abort(&self) -> Result<Changed, Error> {
        let abort = Abort { target: self.id.into(), request_id: None };
        self.batches.call(abort, &mut Call::quiet()).await
    }

    /// Tries a task again that has failed or was skipped.
    ///
    /// # Errors
    ///
    /// If there is no such task, or it is elsewhere.
    pub async fn retry(&self, unit: UnitRef) -> Result<Changed, Error> {
        let retry = Retry { unit, target: self.id.into(), request_id: None };
        self.batches.call(retry, &mut Call::quiet()).await
    }

    /// The last events of it; [`Events`] has more to choose from.
    ///
    /// # Errors
    ///
    /// If its journal cannot be read.
    pub async fn events(&self) -> Result<BatchEvents, Error> {
        self.batches.call(Events::of(self.id.into()), &mut Call::quiet()).await
    }

    /// What was said and printed in it: transcripts, and the output of verification.
    ///
    /// # Errors
    ///
    /// If its journal cannot be read.
    pub async fn traces(&self) -> Result<TraceList, Error> {
        let traces = Traces { target: self.id.into(), unit: None };
        self.batches.call(traces, &mut Call::quiet()).await
    }

    /// The end of one of them, as far as it is there.
    ///
    /// # Errors
    ///
    /// If the journal names no such trace, or it is no longer what was kept.
    pub async fn trace(&self, trace: TraceRef) -> Result<TraceContent, Error> {
        let trace = Trace { trace, target: self.id.into(), max_bytes: Trace::BYTES };
        self.batches.call(trace, &mut Call::quiet()).await
    }

    /// Brings what it has merged into the branch that is checked out; [`Integrate`] has
    /// more to choose from.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if that branch has moved on, or
    /// something that is not committed is in the way; nothing is changed then.
    pub async fn integrate(&self) -> Result<Integrated, Error> {
        self.batches.call(Integrate::of(self.id.into()), &mut Call::quiet()).await
    }

    /// Says what is wrong with it, and what to do about it.
    ///
    /// # Errors
    ///
    /// If it cannot be looked at.
    pub async fn doctor(&self) -> Result<BatchDiagnosis, Error> {
        self.batches.call(Doctor { target: self.id.into() }, &mut Call::quiet()).await
    }

    /// Leaves a task out, and what depends on it.
    ///
    /// # Errors
    ///
    /// If there is no such task, or it is merged already.
    pub async fn skip(&self, unit: UnitRef) -> Result<Changed, Error> {
        let skip = Skip { unit, target: self.id.into(), request_id: None };
        self.batches.call(skip, &mut Call::quiet()).await
    }

    /// Sends a message to a unit, to all of them, or to people.
    ///
    /// # Errors
    ///
    /// If nobody there receives it, or too much is under way to them.
    pub async fn send(
        &self,
        to: Recipient,
        kind: SentKind,
        text: MessageText,
    ) -> Result<Sent, Error> {
        let send = Send { kind, target: self.id.into(), ..Send::new(to, text) };
        self.batches.call(send, &mut Call::quiet()).await
    }

    /// Answers what it waits for, as [`Batch::inbox`] shows it.
    ///
    /// # Errors
    ///
    /// If that does not wait any more.
    pub async fn answer(
        &self,
        wait: WaitId,
        answer: WaitAnswer,
        text: MessageText,
    ) -> Result<Answered, Error> {
        let answer = Answer { wait, answer, text, target: self.id.into(), request_id: None };
        self.batches.call(answer, &mut Call::quiet()).await
    }

    /// Writes it as Taskplane's files into a directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if files of another batch are
    /// there.
    pub async fn export(&self, out: impl AsRef<Path>) -> Result<Exported, Error> {
        let out = out.as_ref().to_string_lossy().into_owned();
        self.batches.call(Export { out, target: self.id.into() }, &mut Call::quiet()).await
    }

    /// What waits for somebody, and what could not be delivered.
    ///
    /// # Errors
    ///
    /// If its journal cannot be read.
    pub async fn inbox(&self) -> Result<InboxContent, Error> {
        let inbox = Inbox { target: self.id.into(), ..Inbox::default() };
        self.batches.call(inbox, &mut Call::quiet()).await
    }

    /// The answers to messages of whoever runs this program, after one of them.
    ///
    /// # Errors
    ///
    /// If its journal cannot be read.
    pub async fn replies(&self, after: Option<MessageId>) -> Result<ReplyList, Error> {
        let replies = Replies { after, target: self.id.into(), ..Replies::default() };
        self.batches.call(replies, &mut Call::quiet()).await
    }
}
