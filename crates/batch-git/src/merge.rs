//! Merging, by git alone and without a checkout: no model and no file of the
//! repository has a say in it. A conflict is an answer, not an accident.

use crate::GitError;
use crate::commit::{Note, Signature};
use crate::names::CommitId;
use crate::store::{Store, contains};

/// Most conflicting paths that are named.
pub const CONFLICTS_MAX: usize = 200;

/// What merging came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// A commit that holds both sides, which nothing refers to yet.
    Commit(CommitId),
    /// There was nothing to merge.
    Already,
    /// Both sides changed these, in ways that do not go together.
    Conflict(Vec<String>),
}

impl Store {
    /// Merges `work` into `onto`, always with a commit of its own, so that the first
    /// parents of an integration branch are its units in their order.
    ///
    /// # Errors
    ///
    /// If git cannot merge at all: histories that have nothing in common, say.
    pub async fn merge(
        &self,
        onto: &CommitId,
        work: &CommitId,
        note: &Note,
        signature: &Signature,
    ) -> Result<Merged, GitError> {
        let step = "merging";
        if contains(&self.git()?, onto, work).await? {
            return Ok(Merged::Already);
        }
        let question = [
            "merge-tree",
            "--write-tree",
            "--name-only",
            "--no-messages",
            "-z",
            onto.as_str(),
            work.as_str(),
        ];
        let answer =
            self.git()?.call(&question, Vec::new()).await.map_err(GitError::during(step))?;
        let mut parts = answer
            .out
            .split(|byte| *byte == 0)
            .map(|part| String::from_utf8_lossy(part).into_owned());
        let tree = parts.next().unwrap_or_default();
        match answer.code {
            Some(0) => self.write(&tree, &[onto, work], note, signature).await.map(Merged::Commit),
            Some(1) => {
                let paths = parts.filter(|path| !path.is_empty()).take(CONFLICTS_MAX).collect();
                Ok(Merged::Conflict(paths))
            }
            _ => Err(GitError::Git { step, source: host_git::Failure::Said(answer.complaint) }),
        }
    }
}
