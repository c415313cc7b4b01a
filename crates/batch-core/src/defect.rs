//! Planted defects: mistakes that an engine like this one could contain, built
//! into the tests and into nothing else. Each can be switched on for a thread,
//! and the simulation has to find it. What the simulation cannot find, it does
//! not protect from.

/// Whether a planted defect is switched on: never, outside of tests.
#[cfg(not(test))]
macro_rules! planted {
    ($defect:ident) => {
        false
    };
}

/// Whether a planted defect is switched on.
#[cfg(test)]
macro_rules! planted {
    ($defect:ident) => {
        crate::defect::is_on(crate::defect::Defect::$defect)
    };
}

pub(crate) use planted;

#[cfg(test)]
pub(crate) use switch::{Defect, is_on, with};

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    macro_rules! defects {
        ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
            /// A planted defect.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub(crate) enum Defect {
                $($(#[doc = $doc])+ $name,)+
            }

            impl Defect {
                /// All of them.
                pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)+];
            }
        };
    }

    defects! {
        /// A command is answered before its facts are in the journal.
        AnsweredBeforeCommit,
        /// An effect is started before its intent is in the journal.
        StartedBeforeCommit,
        /// Storage takes records under any epoch.
        NoEpochCheck,
        /// An engine that takes over does not shut the earlier one out.
        NoFence,
        /// An agent whose start is unknown is started again.
        StartedTwice,
        /// A message whose delivery is unknown is sent again.
        BlindResend,
        /// A lane is removed without its last capture.
        RemovedBeforeCapture,
        /// An agent is captured while it may still write.
        CapturedBeforeStop,
        /// A merge is taken without being verified.
        NotVerified,
        /// A packet without a step is complete.
        NoStepIsComplete,
        /// A unit is complete although it waits for an answer.
        WaitIgnored,
        /// A unit is complete although it has not fulfilled a directive.
        DirectiveIgnored,
        /// A context opens without the directives in force.
        DirectivesForgotten,
        /// Two units get the same lane.
        LaneTwice,
        /// Units that touch the same files are in lanes together.
        ConflictsTogether,
        /// A unit starts before what it needs is merged.
        DependenciesIgnored,
        /// `.DONE` is written before the branch has the work.
        DoneBeforeMerge,
        /// A repeated request is carried out again.
        RequestCarriedOutAgain,
        /// A deadline passes, and nobody wakes up.
        DeadlineForgotten,
        /// The state is changed by something that is no fact.
        UnrecordedChange,
        /// What may be used is used up, and nothing stops.
        CeilingIgnored,
        /// A context opens although the provider takes nothing yet.
        LimitForgotten,
        /// An agent that shows no progress is waited for.
        StallForgotten,
        /// Whoever asks may rule.
        AnybodyRules,
        /// An abort is a message like others, and stops nobody.
        AbortIsOnlyMail,
        /// A packet is complete although its latest review wants changes.
        ReviewIgnored,
        /// What has expired is sent.
        ExpiryIgnored,
        /// What nobody is left to read waits for ever.
        DeadLettersForgotten,
        /// Who has been ready longest comes last.
        Overtaken,
        /// Lanes take more memory than there is.
        MemoryIgnored,
        /// However often something fails, there is another try.
        BudgetIgnored,
        /// A failed unit is tried again at once.
        RestIgnored,
        /// A unit has failed, and new ones start although nothing should.
        StopNewIgnored,
        /// A unit has failed, and the others go on although nothing should.
        StopAllIgnored,
        /// Nothing should start while the batch is paused, and does.
        PauseIgnored,
        /// What the batch may use is used up, and nothing stops.
        BatchCeilingIgnored,
        /// The time that a unit may take has passed, and another context opens.
        TimeIgnored,
        /// The provider takes something again, and nobody wakes up.
        LimitNotWoken,
        /// The clock is set back, and the engine believes it.
        ClockBelieved,
        /// An engine has died at an effect, and that is a try of it.
        DeathsCount,
        /// However many engines die at an effect, it is done again.
        DeathsUnbounded,
        /// A context that ended with its engine is one of those that an attempt may have.
        OrphansCount,
        /// Whether work was brought where it is wanted is believed, and not looked up.
        IntegrationBelieved,
        /// A batch has ended, and what it was asked to bring somewhere is forgotten.
        IntegrationForgotten,
    }

    thread_local! {
        static ON: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Whether the defect is switched on in this thread.
    pub(crate) fn is_on(defect: Defect) -> bool {
        ON.with(|on| on.get() == Some(defect))
    }

    /// Runs something with a defect switched on, or none.
    pub(crate) fn with<T>(defect: Option<Defect>, run: impl FnOnce() -> T) -> T {
        ON.with(|on| on.set(defect));
        let result = run();
        ON.with(|on| on.set(None));
        result
    }
}
