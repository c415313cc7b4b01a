//! Where engines died: for each kind of effect, at each point of its life.

use std::collections::BTreeMap;

use crate::effect::Kind;

/// Where an effect was when its engine died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Position {
    /// Intended, not started.
    Intended,
    /// Started, and it died with the engine.
    Started,
    /// Done, and nobody heard of it.
    Unheard,
    /// Started, and done after the engine was dead.
    Late,
}

impl Position {
    pub(super) const ALL: [Self; 4] = [Self::Intended, Self::Started, Self::Unheard, Self::Late];
}

#[derive(Debug, Clone, Default)]
pub(super) struct Coverage {
    pub(super) hits: BTreeMap<(Kind, Position), u64>,
    /// What stale engines tried, and was refused.
    pub(super) refused: u64,
    pub(super) crashes: u64,
}

impl Coverage {
    pub(super) fn hit(&mut self, kind: Kind, position: Position) {
        *self.hits.entry((kind, position)).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (at, count) in &other.hits {
            *self.hits.entry(*at).or_default() += count;
        }
        self.refused += other.refused;
        self.crashes += other.crashes;
    }

    /// What was never hit.
    pub(super) fn missing(&self) -> Vec<(Kind, Position)> {
        let all = Kind::ALL.into_iter().flat_map(|kind| Position::ALL.map(|at| (kind, at)));
        all.filter(|at| !self.hits.contains_key(at)).collect()
    }
}
