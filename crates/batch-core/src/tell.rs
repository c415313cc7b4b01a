//! Facts in plain words: what people read when they ask what has happened.

use std::fmt;

use crate::effect::{Action, Outcome};
use crate::fact::{Fact, Nudge, Reply};
use crate::integration::{Course, Handover};
use crate::mail::{MailKind, Receipt};
use crate::state::{Ending, Halt};
use crate::trace::{Source, Trace};
use crate::unit::{Answer, Class, End, Goal, Phase, Reason, Skip};

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EngineStarted => f.write_str("an engine took over"),
            Self::Planned { spec } => {
                write!(f, "planned: {} units, {} lanes", spec.units.len(), spec.lanes)
            }
            Self::Answered { request, reply, .. } => write!(f, "request {request}: {reply}"),
            Self::Halted { halt: Some(halt) } => write!(f, "the batch stands still: {halt}"),
            Self::Halted { halt: None } => f.write_str("the batch goes on"),
            Self::Limited { until } => write!(f, "the provider takes nothing until {}", until.0),
            Self::BatchEnded { ending } => write!(f, "the batch is over: {ending}"),
            Self::Moved { to } => to.fmt(f),
            Self::Began { lane } => write!(f, "begins an attempt in lane {lane}"),
            Self::Failure { class, .. } => write!(f, "counted: {class}"),
            Self::Doomed { goal } => write!(f, "is given up: {goal}"),
            Self::Granted => f.write_str("may use as much again"),
            Self::Revived => f.write_str("is tried again"),
            Self::Requested { request, commit, handover } => {
                write!(f, "request {request}: {:.12} is to be brought {handover}", commit.as_str())
            }
            Self::Intended { effect, action } => write!(f, "{effect}: {action}"),
            Self::Sought { effect, .. } => write!(f, "{effect}: nobody knows; looked up"),
            Self::Postponed { effect, until, why } => {
                write!(f, "{effect}: failed, again at {}: {why}", until.0)
            }
            Self::Blocked { effect, wait } => write!(f, "{effect}: waits, see {wait}"),
            Self::Restarted { effect, tries, deaths: 0 } => {
                write!(f, "{effect}: again, try {tries}")
            }
            Self::Restarted { effect, tries, deaths } => {
                write!(f, "{effect}: again, try {tries}, after the death of {deaths} at it")
            }
            Self::Ended { effect, outcome } => write!(f, "{effect}: {outcome}"),
            Self::StatusRead { status } => {
                write!(f, "claims {} of {} steps", status.checked, status.steps)?;
                if status.revise > 0 {
                    write!(f, ", {} reviews want changes", status.revise)?;
                }
                Ok(())
            }
            Self::Used { usage } => {
                write!(f, "used {} tokens in {} calls", usage.tokens, usage.calls)
            }
            Self::Deaf { until } => write!(f, "hears nothing while it works, until {}", until.0),
            Self::Nudged { nudge: Nudge::Continue } => f.write_str("is kept from ending early"),
            Self::Nudged { nudge: Nudge::WrapUp } => f.write_str("is told to wrap up"),
            Self::Mailed { message } => {
                write!(f, "{}: {} from {}", message.id, message.kind, message.from)
            }
            Self::Receipted { message, receipt } => write!(f, "{message}: {receipt}"),
            Self::WaitOpened { wait } => {
                write!(f, "{}: {} has to say: {}", wait.id, wait.owner, wait.reason)
            }
            Self::WaitClosed { wait, answer } => write!(f, "{wait}: {answer}"),
            Self::Traced { trace } => trace.fmt(f),
        }
    }
}

impl fmt::Display for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = &self.branch;
        match &self.course {
            Course::Forward { into } => write!(f, "to {into}, and to {branch}"),
            Course::Merge { into } => write!(f, "to {into} by a merge, and to {branch}"),
            Course::Push { remote } => write!(f, "to {branch} of {remote}"),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, bytes, of, .. } = self;
        match of {
            Source::Transcript { conversation } => {
                write!(f, "kept what was said in {conversation}")?;
            }
            Source::Verification { effect } => {
                write!(f, "{effect}: kept what verification has printed")?;
            }
        }
        write!(f, ", {bytes} bytes: {digest}")
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Mailed { message } => write!(f, "accepted as {message}"),
            Self::Refused { refusal } => write!(f, "refused, {refusal}"),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("waits for others"),
            Self::Ready { .. } => f.write_str("is ready"),
            Self::Preparing => f.write_str("gets its lane"),
            Self::Resting => f.write_str("rests in its lane"),
            Self::Opening => f.write_str("opens a context"),
            Self::Working => f.write_str("is at work"),
            Self::Interrupting { end } => write!(f, "is asked to end: {end}"),
            Self::Fencing { end } => write!(f, "is fenced: {end}"),
            Self::Stopping { end } => write!(f, "is stopped: {end}"),
            Self::Capturing { end } => write!(f, "is captured: {end}"),
            Self::Committing => f.write_str("says that it is done, and is committed"),
            Self::Queued { .. } => f.write_str("waits to be merged"),
            Self::Merging => f.write_str("is merged aside"),
            Self::Verifying => f.write_str("is verified"),
            Self::Advancing => f.write_str("comes to the branch"),
            Self::Finishing => f.write_str("is on the branch"),
            Self::Clearing { goal } => write!(f, "gives its lane back: {goal}"),
            Self::Done => f.write_str("is done"),
            Self::Failed { class } => write!(f, "has failed: {class}"),
            Self::Skipped { why } => write!(f, "is skipped: {why}"),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Again => f.write_str("to be tried again"),
            Self::Fail { class } => class.fmt(f),
            Self::Skip { why } => why.fmt(f),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Prepare { lane, carry: Some(_) } => {
                write!(f, "{kind} lane {lane}, with earlier work")
            }
            Self::Prepare { lane, carry: None } | Self::Remove { lane, .. } => {
                write!(f, "{kind} lane {lane}")
            }
            Self::Start { conversation, opening } if opening.is_empty() => {
                write!(f, "{kind} {conversation}")
            }
            Self::Start { conversation, opening } => {
                write!(f, "{kind} {conversation} with {} messages", opening.len())
            }
            Self::Inject { conversation, message } => {
                write!(f, "{kind} {message} into {conversation}")
            }
            Self::Interrupt { conversation } | Self::Stop { conversation } => {
                write!(f, "{kind} {conversation}")
            }
            Self::Publish { view } => write!(f, "{kind} change {view}"),
            Self::Integrate { commit, handover, .. } => {
                write!(f, "{kind} {:.12} {handover}", commit.as_str())
            }
            Self::Fence
            | Self::Capture
            | Self::Commit
            | Self::Merge { .. }
            | Self::Verify { .. }
            | Self::Advance { .. }
            | Self::Finish => kind.fmt(f),
        }
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued => f.write_str("queued"),
            Self::Injecting { conversation } => write!(f, "on its way into {conversation}"),
            Self::Injected { conversation } => write!(f, "injected into {conversation}"),
            Self::Seen { conversation } => write!(f, "seen in {conversation}"),
            Self::Answered => f.write_str("answered"),
            Self::Uncertain { conversation } => {
                write!(f, "uncertain whether it came into {conversation}")
            }
            Self::Expired => f.write_str("expired"),
            Self::Dead => f.write_str("dead: nobody will read it"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Escalated { message } => write!(f, "what {message} asks"),
            Self::Undelivered { message } => write!(f, "whether {message} is sent again"),
            Self::Stuck { effect } => write!(f, "what becomes of {effect}"),
            Self::Deadly { effect } => {
                write!(f, "what becomes of {effect}, at which engine after engine has died")
            }
            Self::Ceiling => f.write_str("whether more may be used"),
        }
    }
}

/// Gives an enum without fields its words.
macro_rules! words {
    ($name:ident { $($variant:pat => $word:literal,)+ }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($variant => $word,)+
                })
            }
        }
    };
}

words! { Outcome {
    Self::Fenced => "fenced",
    Self::Prepared { .. } => "the lane is there",
    Self::Started => "started",
    Self::Injected => "injected",
    Self::Deferred => "not before its turn is over",
    Self::Interrupted => "asked",
    Self::Stopped => "nothing of it is left",
    Self::Captured { .. } => "captured",
    Self::Committed { .. } => "committed",
    Self::Merged { .. } => "merged",
    Self::Conflict => "conflict",
    Self::Green => "green",
    Self::Red => "red",
    Self::Advanced => "the branch has it",
    Self::Behind => "the branch is elsewhere",
    Self::Finished => "written",
    Self::Published => "published",
    Self::Removed => "the lane is gone",
    Self::Unproved => "it holds what is nowhere else",
    Self::Integrated { .. } => "the work is there",
    Self::Contained => "the work was there already",
    Self::InTheWay { .. } => "something is in the way",
    Self::Nowhere { .. } => "there is no such place",
    Self::Failed { .. } => "failed",
    Self::GivenUp => "given up",
} }
words! { End {
    Self::Turn => "its turn is over",
    Self::Full => "its context is full",
    Self::Crashed => "it died",
    Self::Stalled => "no progress",
    Self::Orphaned => "its engine is gone",
    Self::NotStarted => "it could not be started",
    Self::Limited => "the provider takes no more",
    Self::Escalated => "it asked somebody",
    Self::Ceiling => "it has used up what it may",
    Self::Doomed => "it is given up",
} }
words! { Class {
    Self::Lane => "no lane could be made",
    Self::Start => "no agent could be started",
    Self::Crashed => "its agent died",
    Self::Stalled => "no progress",
    Self::Idle => "nothing changed",
    Self::Contexts => "too many contexts",
    Self::Orphaned => "its engine died, again and again",
    Self::Conflict => "conflict",
    Self::Red => "verification failed",
    Self::Trouble => "something of ours does not work",
    Self::Unanswered => "no answer, or to give up",
    Self::Aborted => "aborted",
} }
words! { Skip {
    Self::Told => "somebody said so",
    Self::Dependency => "what it needs is missing",
    Self::Stopped => "the batch was stopped",
} }
words! { Halt {
    Self::Paused => "paused",
    Self::Ceiling => "it has used up what it may",
    Self::Aborted => "aborted",
} }
words! { Ending {
    Self::Completed => "all is done",
    Self::Partial => "some is done",
    Self::Failed => "nothing is done",
} }
words! { Answer {
    Self::Go => "go on",
    Self::GiveUp => "give up",
} }
words! { MailKind {
    Self::Steer => "steer",
    Self::Query => "query",
    Self::Info => "info",
    Self::Abort => "abort",
    Self::Ruling => "ruling",
    Self::Reply => "reply",
    Self::Escalate => "escalation",
} }
