//! From two trees to the list of what changed.

use std::collections::HashSet;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::tree::TreeEntry;

use crate::Tree;
use crate::change::{Change, Content, Origin, Side};
use crate::moves::{self, Moves};
use crate::pair::{Knowledge, Pair, pairs};

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Each change, in the order of [`WorkspacePath`].
    pub changes: Vec<Change>,
    /// Whether all was looked at that may have been moved and changed. If not,
    /// some of it is told as gone and new.
    pub all_moves_sought: bool,
}

/// Compares two trees.
///
/// # Errors
///
/// If one of them cannot be read.
pub fn compare<E>(
    before: &mut dyn Tree<Error = E>,
    after: &mut dyn Tree<Error = E>,
) -> Result<Comparison, E> {
    let (old, new) = (before.entries()?, after.entries()?);
    let mut pairs = pairs(&old, &new);
    settle(&mut pairs, before, after)?;
    let gone = pairs.iter().filter(|pair| pair.after.is_none()).filter_map(|pair| pair.before);
    let came = pairs.iter().filter(|pair| pair.before.is_none()).filter_map(|pair| pair.after);
    let moves = moves::find(&gone.collect::<Vec<_>>(), &came.collect::<Vec<_>>(), before, after)?;
    Ok(Comparison { changes: changes(&pairs, &moves), all_moves_sought: moves.all_sought })
}

/// Looks at contents of which only that can tell whether they differ.
fn settle<E>(
    pairs: &mut Vec<Pair<'_>>,
    before: &mut dyn Tree<Error = E>,
    after: &mut dyn Tree<Error = E>,
) -> Result<(), E> {
    let paths: Vec<WorkspacePath> = pairs
        .iter()
        .filter(|pair| pair.content == Knowledge::Unknown)
        .filter_map(|pair| pair.before)
        .map(|entry| entry.path.clone())
        .collect();
    if paths.is_empty() {
        return Ok(());
    }
    let mut ids = before.ids(&paths)?.into_iter().zip(after.ids(&paths)?);
    pairs.retain_mut(|pair| {
        if pair.content != Knowledge::Unknown {
            return true;
        }
        let is_same = ids.next().is_some_and(|(one, other)| one == other);
        pair.content = if is_same { Knowledge::Same } else { Knowledge::Differ };
        let mode = |entry: Option<&TreeEntry>| entry.map(|entry| entry.mode);
        !is_same || mode(pair.before) != mode(pair.after)
    });
    Ok(())
}

fn changes(pairs: &[Pair<'_>], moves: &Moves<'_>) -> Vec<Change> {
    let origins: HashSet<&WorkspacePath> =
        moves.origins.values().map(|moved| &moved.origin.path).collect();
    let mut changes = Vec::new();
    for pair in pairs {
        let Some(entry) = pair.after.or(pair.before) else { continue };
        if pair.after.is_none() && origins.contains(&entry.path) {
            continue;
        }
        let moved = moves.origins.get(&entry.path).filter(|_| pair.before.is_none());
        let is_same = match moved {
            Some(moved) => moved.similarity == 100 && moved.is_exact,
            None => pair.content == Knowledge::Same,
        };
        changes.push(Change {
            path: entry.path.clone(),
            before: moved.map(|moved| moved.origin).or(pair.before).map(Side::of),
            after: pair.after.map(Side::of),
            from: moved.map(|moved| Origin {
                path: moved.origin.path.clone(),
                similarity: moved.similarity,
            }),
            content: if is_same { Content::Same } else { Content::Differs },
        });
    }
    changes
}
