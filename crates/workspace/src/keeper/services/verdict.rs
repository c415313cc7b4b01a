//! What follows when a service's process has ended. No clock, no I/O.

use std::time::Duration;

use workspace_api::service::{Ending, RestartPolicy};
use workspace_api::time::TimeSpan;

/// How many restarts in a row are enough unless somebody says.
const LIMIT_DEFAULT: u32 = 5;

/// The pause before the first restart unless somebody says.
const BACKOFF_DEFAULT: Duration = Duration::from_millis(500);

/// The longest pause that doubling leads to.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it should.
    Success,
    /// It failed, and another one may fare better.
    Failure,
    /// It cannot be started at all.
    Hopeless,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another process is started after a pause.
    Retry(Duration),
    /// The service has done its work.
    Finish,
    /// It failed, and nobody wants another process.
    GiveUp,
    /// It failed, after as many restarts in a row as are allowed.
    Exhausted(u32),
}

/// What follows when a process has ended after so many restarts in a row.
pub(super) fn verdict(ending: &Ending, end: End, in_a_row: u32) -> Verdict {
    let limit = ending.restart_limit.unwrap_or(LIMIT_DEFAULT);
    match (end, ending.restart) {
        (End::Success, RestartPolicy::Never | RestartPolicy::OnFailure) => Verdict::Finish,
        (End::Hopeless, _) | (End::Failure, RestartPolicy::Never) => Verdict::GiveUp,
        (End::Success, RestartPolicy::Always)
        | (End::Failure, RestartPolicy::OnFailure | RestartPolicy::Always) => {
            if in_a_row >= limit {
                return Verdict::Exhausted(limit);
            }
            let first = ending.backoff.map_or(BACKOFF_DEFAULT, TimeSpan::duration);
            let doubled = first.saturating_mul(2_u32.saturating_pow(in_a_row));
            Verdict::Retry(doubled.min(BACKOFF_MAX.max(first)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_which_ends_are_followed_by_another_process() {
        let judge = |restart, end| verdict(&Ending { restart, ..Ending::default() }, end, 0);
        use RestartPolicy::{Always, Never, OnFailure};
        let retry = Verdict::Retry(BACKOFF_DEFAULT);
        assert_eq!(judge(Never, End::Success), Verdict::Finish);
        assert_eq!(judge(Never, End::Failure), Verdict::GiveUp);
        assert_eq!(judge(OnFailure, End::Success), Verdict::Finish);
        assert_eq!(judge(OnFailure, End::Failure), retry);
        assert_eq!(judge(Always, End::Success), retry);
        assert_eq!(judge(Always, End::Failure), retry);
        for policy in [Never, OnFailure, Always] {
            assert_eq!(judge(policy, End::Hopeless), Verdict::GiveUp);
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_so_do_restarts() {
        let ending = Ending {
            restart: RestartPolicy::Always,
            restart_limit: Some(100),
            backoff: Some("1s".parse().unwrap()),
            ..Ending::default()
        };
        let pause = |in_a_row| verdict(&ending, End::Failure, in_a_row);
        assert_eq!(pause(0), Verdict::Retry(Duration::from_secs(1)));
        assert_eq!(pause(3), Verdict::Retry(Duration::from_secs(8)));
        assert_eq!(pause(99), Verdict::Retry(Duration::from_secs(30)));
        assert_eq!(pause(100), Verdict::Exhausted(100));
    }
}
