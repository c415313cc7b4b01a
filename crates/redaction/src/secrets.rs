//! The values that are looked for.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, StartKind};

use crate::forms::forms;

/// Names and values that are looked for. Cheap to clone.
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    automaton: AhoCorasick,
    /// For each form the index of its name.
    owners: Vec<usize>,
    names: Vec<String>,
    /// All forms, sorted.
    sorted: Vec<Vec<u8>>,
    longest: usize,
}

/// A value that cannot be looked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHideable {
    /// It would be found by accident all over the place.
    #[error(
        "the value of `{name}` has {length} bytes; at least {} can be told from other text",
        Secrets::VALUE_MIN
    )]
    TooShort {
        /// Whose value.
        name: String,
        /// How long it is.
        length: usize,
    },
    /// It is too long.
    #[error("the value of `{name}` has {length} bytes; at most {} are allowed", Secrets::VALUE_MAX)]
    TooLong {
        /// Whose value.
        name: String,
        /// How long it is.
        length: usize,
    },
    /// All values together are too long.
    #[error("these are too many secrets for one workspace")]
    TooMany,
}

impl Secrets {
    /// Shortest value, in bytes.
    pub const VALUE_MIN: usize = 8;
    /// Longest value, in bytes.
    pub const VALUE_MAX: usize = 64 * 1024;

    /// Secrets by name and value.
    ///
    /// # Errors
    ///
    /// If a value is too short or too long, or all of them are too many.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, NotHideable> {
        let (mut patterns, mut owners, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in secrets {
            let (name, length) = (name.to_owned(), value.len());
            if length < Self::VALUE_MIN {
                return Err(NotHideable::TooShort { name, length });
            }
            if length > Self::VALUE_MAX {
                return Err(NotHideable::TooLong { name, length });
            }
            for form in forms(value) {
                patterns.push(form);
                owners.push(names.len());
            }
            names.push(name);
        }
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        // The compact kind of automaton: a value of 64 KiB has a dozen forms.
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(StartKind::Unanchored)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns)
            .map_err(|_| NotHideable::TooMany)?;
        patterns.sort();
        Ok(Self(Arc::new(Inner { automaton, owners, names, sorted: patterns, longest })))
    }

    /// Where in `bytes` something begins that may become a form, or a longer
    /// one, when more bytes follow; their length if nothing does.
    pub(crate) fn undecided(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.0.longest.saturating_sub(1));
        let begins_a_form = |from: &usize| {
            let rest = &bytes[*from..];
            let next = self.0.sorted.partition_point(|form| form.as_slice() <= rest);
            self.0.sorted.get(next).is_some_and(|form| form.starts_with(rest))
        };
        (first..bytes.len()).find(begins_a_form).unwrap_or(bytes.len())
    }

    /// The first form in `bytes`: where it begins and ends, and whose it is. Of
    /// those that begin at the same place the longest.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<(usize, usize, &str)> {
        let found = self.0.automaton.find(bytes)?;
        let owner = self.0.owners[found.pattern().as_usize()];
        Some((found.start(), found.end(), &self.0.names[owner]))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("names", &self.0.names).finish_non_exhaustive()
    }
}
