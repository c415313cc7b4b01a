//! .reviews: what reviewers said, one file each, named `R003-code-step2.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::document::{Kind, lines};
use crate::field::{label, unmarked};
use crate::limits::NOTE_MAX_BYTES;
use crate::problem::{Fault, Problem, Problems, Quote};
use crate::prompt::bounded;

/// What is reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// How a step will be done.
    Plan,
    /// What was done in it.
    Code,
    /// Its tests.
    Test,
}

impl Gate {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Plan, "plan"), (Self::Code, "code"), (Self::Test, "test")];
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(gate, _)| gate == self).map(|(_, word)| *word);
        f.write_str(word.unwrap_or_default())
    }
}

/// The name of a review's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReviewName {
    /// Counted over the whole task.
    pub number: u32,
    /// What was reviewed.
    pub gate: Gate,
    /// Of which step.
    pub step: u32,
}

impl FromStr for ReviewName {
    type Err = NotAReview;

    fn from_str(text: &str) -> Result<Self, NotAReview> {
        let parsed = || {
            let (number, rest) = text.strip_prefix('R')?.strip_suffix(".md")?.split_once('-')?;
            let (gate, step) = rest.split_once("-step")?;
            let (gate, _) = Gate::ALL.into_iter().find(|(_, word)| *word == gate)?;
            Some(Self { number: digits(number)?, gate, step: digits(step)? })
        };
        parsed().ok_or(NotAReview)
    }
}

impl fmt::Display for ReviewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{:03}-{}-step{}.md", self.number, self.gate, self.step)
    }
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A name that no review has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a review is named like `R003-code-step2.md`")]
pub struct NotAReview;

/// The latest review of each gate of each step: it is the one that counts.
#[must_use]
pub fn latest(names: impl IntoIterator<Item = ReviewName>) -> Vec<ReviewName> {
    let mut latest: BTreeMap<(u32, Gate), ReviewName> = BTreeMap::new();
    for name in names {
        let known = latest.entry((name.step, name.gate)).or_insert(name);
        *known = name.max(*known);
    }
    latest.into_values().collect()
}

/// What a reviewer decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is good.
    Approve,
    /// It has to be mended.
    Revise,
    /// It has to be done another way.
    Rethink,
}

/// What was decided in a review. Only a line that says `Verdict:` counts, and all
/// such lines have to say the same: what is unclear approves nothing.
///
/// # Errors
///
/// If there is no such line, its word is unknown, or two of them differ.
pub fn verdict(bytes: &[u8]) -> Result<Verdict, Problem> {
    let text = bounded(bytes, NOTE_MAX_BYTES).map_err(|fault| Problem { line: 0, fault })?;
    let mut problems = Problems::default();
    let mut found: Option<(Verdict, Quote, u32)> = None;
    for line in lines(text, &mut problems) {
        if !matches!(line.kind, Kind::Heading(_) | Kind::Prose | Kind::Item) {
            continue;
        }
        let Some((name, word)) = label(&line.text) else { continue };
        if !name.eq_ignore_ascii_case("verdict") {
            continue;
        }
        let word = unmarked(word);
        let first = word.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        let verdict = match first.to_ascii_uppercase().as_str() {
            "APPROVE" | "APPROVED" => Verdict::Approve,
            "REVISE" => Verdict::Revise,
            "RETHINK" => Verdict::Rethink,
            _ => {
                return Err(Problem { line: line.number, fault: Fault::Verdict(Quote::new(word)) });
            }
        };
        let quote = Quote::new(first);
        match &found {
            Some((other, told, other_line)) if *other != verdict => {
                let (what, other) = ("the verdict", told.clone());
                let fault = Fault::Differs { what, found: quote, other, other_line: *other_line };
                return Err(Problem { line: line.number, fault });
            }
            _ => found = Some((verdict, quote, line.number)),
        }
    }
    found.map(|(verdict, ..)| verdict).ok_or(Problem { line: 0, fault: Fault::NoVerdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_explicit_verdict_counts() {
        for (text, expected) in [
            ("### Verdict: APPROVE\n", Some(Verdict::Approve)),
            ("**Verdict:** REVISE (see below)\n", Some(Verdict::Revise)),
            ("- Verdict: RETHINK\n", Some(Verdict::Rethink)),
            ("I would APPROVE this\n", None),
            ("```\nVerdict: APPROVE\n```\n", None),
            ("Verdict: APPROVE\n\nVerdict: REVISE\n", None),
            ("Verdict: maybe\n", None),
        ] {
            assert_eq!(verdict(text.as_bytes()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_latest_review_of_each_gate_counts() {
        let names = ["R001-plan-step1.md", "R010-code-step1.md", "R009-code-step1.md"];
        let latest = latest(names.map(|name| name.parse().unwrap()));
        let latest: Vec<String> = latest.iter().map(ToString::to_string).collect();
        assert_eq!(latest, ["R001-plan-step1.md", "R010-code-step1.md"]);
    }

    #[test]
    fn names_print_what_they_parse() {
        let name: ReviewName = "R003-code-step2.md".parse().unwrap();
        assert_eq!((name.number, name.gate, name.step), (3, Gate::Code, 2));
        assert_eq!(name.to_string(), "R003-code-step2.md");
        for bad in [
            "R-code-step2.md",
            "R1-x-step2.md",
            "R1-code-step.md",
            "R1-code-step2",
            "R+1-code-step1.md",
        ] {
            assert!(bad.parse::<ReviewName>().is_err(), "{bad}");
        }
    }
}
