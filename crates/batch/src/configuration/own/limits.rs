//! The table of limits.

use toml_edit::Item;

use super::super::limits::{
    COUNT_MAX, Money, RETRIES_MAX, TIME_MAX, TOKENS_MAX, policies, policy, span,
};
use super::File;

/// Every key of the table.
pub(super) const KEYS: &[&str] = &[
    "task_time",
    "task_tokens",
    "task_money",
    "batch_time",
    "batch_tokens",
    "batch_money",
    "stall_timeout",
    "hold_timeout",
    "max_worker_iterations",
    "max_retries",
    "on_task_failure",
];

impl File<'_, '_> {
    /// One limit.
    pub(super) fn limit(&mut self, name: &str, item: &Item, line: u32) {
        let read = match name {
            "task_time" => self.span(name, item, line).map(|ms| self.limits().unit.time_ms = ms),
            "batch_time" => self.span(name, item, line).map(|ms| self.limits().batch.time_ms = ms),
            "stall_timeout" => self.span(name, item, line).map(|ms| self.limits().stall_ms = ms),
            "hold_timeout" => self.span(name, item, line).map(|ms| self.limits().wait_ms = ms),
            "task_tokens" => self.tokens(name, item, line).map(|it| self.limits().unit.tokens = it),
            "batch_tokens" => {
                self.tokens(name, item, line).map(|it| self.limits().batch.tokens = it)
            }
            "task_money" => {
                self.money(name, item, line).map(|it| self.limits().unit.money_micros = it)
            }
            "batch_money" => {
                self.money(name, item, line).map(|it| self.limits().batch.money_micros = it)
            }
            "max_worker_iterations" => {
                self.number(name, item, line, COUNT_MAX).map(|it| self.limits().contexts = it)
            }
            "max_retries" => self.retries(name, item, line),
            _ => self.failure_policy(name, item, line),
        };
        // What could not be read was told.
        read.unwrap_or_default();
    }

    fn limits(&mut self) -> &mut batch_core::spec::Limits {
        &mut self.read.configuration.limits
    }

    fn span(&mut self, name: &str, item: &Item, line: u32) -> Option<u64> {
        let read = item.as_str().and_then(span);
        if read.is_none() {
            let hours = TIME_MAX.as_secs() / 3600;
            let message = format!(
                "found another value for `{name}`; expected a span of 1s to {hours}h: \"90s\", \"30m\", \"1h 30m\""
            );
            self.problem(line, message);
        }
        read
    }

    fn tokens(&mut self, name: &str, item: &Item, line: u32) -> Option<u64> {
        let read = item.as_integer().and_then(|number| u64::try_from(number).ok());
        let read = read.filter(|number| (1..=TOKENS_MAX).contains(number));
        if read.is_none() {
            let message = format!("found another value for `{name}`; expected 1 to {TOKENS_MAX}");
            self.problem(line, message);
        }
        read
    }

    fn money(&mut self, name: &str, item: &Item, line: u32) -> Option<u64> {
        let read = item.as_str().map(str::parse::<Money>);
        match read {
            Some(Ok(money)) => Some(money.micros()),
            _ => {
                let message = format!(
                    "found another value for `{name}`; expected {}",
                    super::super::limits::NotMoney
                );
                self.problem(line, message);
                None
            }
        }
    }

    fn retries(&mut self, name: &str, item: &Item, line: u32) -> Option<()> {
        let read = item.as_integer().and_then(|number| u32::try_from(number).ok());
        match read.filter(|number| *number <= RETRIES_MAX) {
            Some(number) => self.limits().retries = number,
            None => {
                self.problem(
                    line,
                    format!("found another value for `{name}`; expected 0 to {RETRIES_MAX}"),
                );
            }
        }
        Some(())
    }

    fn failure_policy(&mut self, name: &str, item: &Item, line: u32) -> Option<()> {
        match item.as_str().and_then(policy) {
            Some(policy) => self.read.configuration.on_task_failure = policy,
            None => {
                let message =
                    format!("found another value for `{name}`; expected one of {}", policies());
                self.problem(line, message);
            }
        }
        Some(())
    }
}
