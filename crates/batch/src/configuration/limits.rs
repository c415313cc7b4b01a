//! When a batch gives up, and on what.
//!
//! Names are Taskplane's where it has the same thing: `stall_timeout`, `hold_timeout`,
//! `max_worker_iterations`, `on_task_failure`.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use batch_api::limits::{BatchLimits, CeilingLimits};
use batch_core::spec::{Ceiling, FailurePolicy, Limits};
use jiff::{SignedDuration, Span, SpanRelativeTo};

/// The longest span: more than a year.
pub(super) const TIME_MAX: Duration = Duration::from_secs(10_000 * 3600);

/// The shortest.
const TIME_MIN: Duration = Duration::from_secs(1);

/// Most tokens that a ceiling can be.
pub(super) const TOKENS_MAX: u64 = 1_000_000_000_000;

/// Most contexts of an attempt.
pub(super) const COUNT_MAX: u32 = 1000;

/// Most tries again after failures of the same kind: what kinds have at most.
pub(super) const RETRIES_MAX: u32 = Limits::RETRIES_MAX;

const HOUR_MS: u64 = 3_600_000;

/// What holds unless the configuration says otherwise.
pub(super) const DEFAULTS: Limits = Limits {
    unit: Ceiling { time_ms: 12 * HOUR_MS, tokens: 100_000_000, money_micros: 100_000_000 },
    batch: Ceiling { time_ms: 2000 * HOUR_MS, tokens: 10_000_000_000, money_micros: 5_000_000_000 },
    stall_ms: HOUR_MS / 2,
    contexts: 16,
    wait_ms: 24 * HOUR_MS,
    retries: RETRIES_MAX,
};

/// What happens to the others unless the configuration says otherwise.
pub(super) const POLICY: FailurePolicy = FailurePolicy::SkipDependents;

/// The policies, by their names.
const POLICIES: [(&str, FailurePolicy); 3] = [
    ("skip-dependents", FailurePolicy::SkipDependents),
    ("stop-new", FailurePolicy::StopNew),
    ("stop-all", FailurePolicy::StopAll),
];

/// An amount of money: `100 USD`, `2.50 USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Money {
    micros: u64,
}

impl Money {
    /// The most that a ceiling can be, in millionths of a dollar.
    const MICROS_MAX: u64 = 1_000_000_000_000;

    pub(super) const fn micros(self) -> u64 {
        self.micros
    }
}

/// A text that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount of 0.01 to 1000000 dollars: \"100 USD\", \"2.50 USD\"")]
pub(super) struct NotMoney;

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let number = text.strip_suffix("USD").ok_or(NotMoney)?.trim_end();
        let (dollars, cents) = number.split_once('.').unwrap_or((number, "00"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(dollars) || !is_number(cents) || cents.len() != 2 {
            return Err(NotMoney);
        }
        let [dollars, cents] =
            [dollars, cents].map(|text| text.parse::<u64>().map_err(|_| NotMoney));
        let micros =
            dollars?.checked_mul(1_000_000).ok_or(NotMoney)?.saturating_add(cents? * 10_000);
        let fits = (1..=Self::MICROS_MAX).contains(&micros);
        if fits { Ok(Self { micros }) } else { Err(NotMoney) }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, cents) = (self.micros / 1_000_000, self.micros / 10_000 % 100);
        match cents {
            0 => write!(f, "{dollars} USD"),
            _ => write!(f, "{dollars}.{cents:02} USD"),
        }
    }
}

/// A span in milliseconds.
pub(super) fn span(text: &str) -> Option<u64> {
    let span: Span = text.parse().ok()?;
    // A day without a date has 24 hours.
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let span = Duration::try_from(signed).ok()?;
    let fits = (TIME_MIN..=TIME_MAX).contains(&span);
    fits.then(|| u64::try_from(span.as_millis()).ok()).flatten()
}

fn told(milliseconds: u64) -> String {
    let span = SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX));
    format!("{span:#}")
}

/// A policy by its name.
pub(super) fn policy(name: &str) -> Option<FailurePolicy> {
    POLICIES.iter().find(|(known, _)| *known == name).map(|(_, policy)| *policy)
}

/// The names of all policies, for an error.
pub(super) fn policies() -> String {
    POLICIES.map(|(name, _)| format!("`{name}`")).join(", ")
}

fn name(policy: FailurePolicy) -> &'static str {
    POLICIES.iter().find(|(_, known)| *known == policy).map_or("", |(name, _)| name)
}

/// Limits as the contract tells them.
pub(crate) fn contract(limits: &Limits, policy: FailurePolicy) -> BatchLimits {
    let ceiling = |of: Ceiling| CeilingLimits {
        time_ms: of.time_ms,
        tokens: of.tokens,
        money_micros: of.money_micros,
    };
    BatchLimits {
        task: ceiling(limits.unit),
        batch: ceiling(limits.batch),
        stall_timeout_ms: limits.stall_ms,
        hold_timeout_ms: limits.wait_ms,
        max_worker_iterations: limits.contexts,
        max_retries: limits.retries,
        on_task_failure: name(policy).to_owned(),
    }
}

/// The table as it is written: what is as it would be anyway is a comment.
pub(super) fn written(limits: &Limits, policy: FailurePolicy) -> String {
    let rows = |limits: &Limits, policy| {
        let money = |micros| format!("\"{}\"", Money { micros });
        let span = |milliseconds| format!("\"{}\"", told(milliseconds));
        [
            ("task_time", span(limits.unit.time_ms)),
            ("task_tokens", limits.unit.tokens.to_string()),
            ("task_money", money(limits.unit.money_micros)),
            ("batch_time", span(limits.batch.time_ms)),
            ("batch_tokens", limits.batch.tokens.to_string()),
            ("batch_money", money(limits.batch.money_micros)),
            ("stall_timeout", span(limits.stall_ms)),
            ("hold_timeout", span(limits.wait_ms)),
            ("max_worker_iterations", limits.contexts.to_string()),
            ("max_retries", limits.retries.to_string()),
            ("on_task_failure", format!("\"{}\"", name(policy))),
        ]
    };
    let mut text = "[limits]\n".to_owned();
    for ((key, value), (_, usual)) in rows(limits, policy).into_iter().zip(rows(&DEFAULTS, POLICY))
    {
        let mark = if value == usual { "# " } else { "" };
        let _ = writeln!(text, "{mark}{key} = {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_time_are_read_as_they_are_written_and_bounded() {
        for text in ["100 USD", "2.50 USD", "0.01 USD", "1000000 USD"] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), text);
        }
        for wrong in
            ["100", "0 USD", "-1 USD", "1.5 USD", "1.505 USD", "1 EUR", "1000001 USD", "USD"]
        {
            assert_eq!(wrong.parse::<Money>(), Err(NotMoney), "{wrong}");
        }
        for (text, milliseconds) in
            [("90s", 90_000), ("1h 30m", 5_400_000), ("2000h", 2000 * HOUR_MS)]
        {
            assert_eq!(span(text), Some(milliseconds));
            assert_eq!(span(&told(milliseconds)), Some(milliseconds));
        }
        for wrong in ["0s", "-1h", "10001h", "30", "soon", ""] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
