//! What becomes of files by a patch.

use std::collections::BTreeMap;

use super::fitting::{Misfit, fitted};
use super::{Change, Patch};

/// What becomes of a file. One of `before` and `after` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where it is, or was.
    pub path: String,
    /// The file whose content it takes over, which is gone then.
    pub from: Option<String>,
    /// What it, or the file that it takes over, holds before; none if there is none.
    pub before: Option<String>,
    /// What it holds afterwards; none if it is gone.
    pub after: Option<String>,
}

/// A file on the way.
#[derive(Default)]
struct File<'a> {
    before: Option<&'a str>,
    now: Option<String>,
    from: Option<&'a str>,
}

impl Patch {
    /// What becomes of the files that differ afterwards, given what they hold (none: a
    /// file is not there). Several changes of a file follow each other.
    ///
    /// # Errors
    ///
    /// If the patch does not fit them, as a whole.
    pub fn outcomes(
        &self,
        before: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Outcome>, Misfit> {
        let mut files: BTreeMap<&str, File<'_>> = BTreeMap::new();
        for path in self.paths() {
            let before = before.get(path).and_then(Option::as_deref);
            let now = before.map(str::to_owned);
            files.insert(path, File { before, now, from: None });
        }
        let missing = |path: &str| Misfit::Missing(path.to_owned());
        for change in &self.changes {
            match change {
                Change::Add { path, content } => {
                    files.entry(path).or_default().now = Some(content.clone());
                }
                Change::Delete { path } => {
                    files.entry(path).or_default().now.take().ok_or_else(|| missing(path))?;
                }
                Change::Update { path, to, chunks } => {
                    let file = files.entry(path).or_default();
                    let now = file.now.take().ok_or_else(|| missing(path))?;
                    let now = fitted(path, &now, chunks)?;
                    let to = to.as_ref().unwrap_or(path);
                    let file = files.entry(to).or_default();
                    if file.now.is_some() {
                        return Err(Misfit::Exists(to.clone()));
                    }
                    file.now = Some(now);
                    file.from = (to != path).then_some(&**path);
                }
            }
        }
        Ok(told(&files))
    }
}

fn told(files: &BTreeMap<&str, File<'_>>) -> Vec<Outcome> {
    // A file is taken over by one other at most, and only if both are what they were told.
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, file) in files {
        if let (None, Some(_), Some(from)) = (file.before, &file.now, file.from)
            && files.get(from).is_some_and(|from| from.before.is_some() && from.now.is_none())
        {
            taken.entry(from).or_insert(path);
        }
    }
    let mut outcomes = Vec::new();
    for (path, file) in files {
        let from = file.from.filter(|from| taken.get(from) == Some(path));
        let before = from.map_or(file.before, |from| files.get(from).and_then(|from| from.before));
        let is_changed = before != file.now.as_deref() || from.is_some();
        if taken.contains_key(path) || !is_changed {
            continue;
        }
        outcomes.push(Outcome {
            path: (*path).to_owned(),
            from: from.map(str::to_owned),
            before: before.map(str::to_owned),
            after: file.now.clone(),
        });
    }
    outcomes
}
