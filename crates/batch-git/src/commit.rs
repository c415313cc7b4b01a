//! Commits of the engine's own. Who, when and why are given, so that the same step
//! makes the same commit, however often it is repeated.

use batch_api::AttemptId;

use crate::GitError;
use crate::names::{CommitId, of_attempt};
use crate::store::{Change, From, Store, commit_in, contains};

/// Most characters of a subject.
const SUBJECT_CHARACTERS_MAX: usize = 120;

/// Whose commit it is, and when it was made.
#[derive(Debug, Clone)]
pub struct Signature {
    /// A name.
    pub name: String,
    /// An address.
    pub email: String,
    /// Seconds since the beginning of 1970.
    pub seconds: u32,
}

/// What a commit says.
#[derive(Debug, Clone)]
pub struct Note {
    /// One line. What it is made of may come from a packet.
    pub subject: String,
    /// Lines for programs, `Key: value`.
    pub trailers: Vec<(&'static str, String)>,
}

impl Note {
    /// The message as git keeps it.
    fn text(&self) -> String {
        let subject: String =
            one_line(&self.subject).chars().take(SUBJECT_CHARACTERS_MAX).collect();
        let mut text = if subject.is_empty() { "work".to_owned() } else { subject };
        text.push_str("\n\n");
        for (key, value) in &self.trailers {
            text.extend([key, ": ", &*one_line(value), "\n"]);
        }
        text
    }
}

/// A text in one line, without anything that terminals obey.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Store {
    /// Makes of a capture what can be merged: the agent's commits, and one of the
    /// engine's over what the agent did not commit. It is called the attempt's result
    /// from then on, until a later capture is committed. What was made of that capture
    /// before is found again.
    ///
    /// # Errors
    ///
    /// [`GitError::Refused`] if the agent's history does not contain the commit that
    /// it began with.
    pub async fn commit(
        &self,
        attempt: &AttemptId,
        base: &CommitId,
        work: &CommitId,
        note: &Note,
        signature: &Signature,
    ) -> Result<CommitId, GitError> {
        let head = self.find(&format!("{work}^1")).await?.ok_or_else(|| GitError::Missing {
            what: format!("commit {work}"),
            path: self.path().to_owned(),
        })?;
        if !contains(&self.git()?, &head, base).await? {
            let why = format!("its history does not contain {base}, with which it began");
            return Err(GitError::Refused(why));
        }
        if let Some(found) = self.result_of(attempt, work).await? {
            return Ok(found);
        }
        let tree = self.tree(work).await?;
        let result = if tree == self.tree(&head).await? {
            head
        } else {
            self.write(&tree, &[&head], note, signature).await?
        };
        let name = format!("{}/result", of_attempt(attempt));
        let from = match self.result(attempt).await? {
            Some(earlier) => From::At(earlier),
            None => From::Nowhere,
        };
        self.update(&[Change { name, to: result.clone(), from }]).await?;
        Ok(result)
    }

    /// What a capture of an attempt came to, if that was committed. The result of an
    /// earlier capture is not it.
    ///
    /// # Errors
    ///
    /// If git cannot be asked, or the store is not this engine's any more.
    pub async fn result_of(
        &self,
        attempt: &AttemptId,
        work: &CommitId,
    ) -> Result<Option<CommitId>, GitError> {
        let Some(found) = self.result(attempt).await? else { return Ok(None) };
        let Some(head) = self.find(&format!("{work}^1")).await? else { return Ok(None) };
        let is_same = self.tree(&found).await? == self.tree(work).await?;
        Ok((is_same && contains(&self.git()?, &found, &head).await?).then_some(found))
    }

    /// The name of a commit's tree.
    ///
    /// # Errors
    ///
    /// If there is no such commit.
    pub async fn tree(&self, commit: &CommitId) -> Result<String, GitError> {
        let step = "reading a tree";
        let question = ["rev-parse", "--verify", "--end-of-options", &format!("{commit}^{{tree}}")];
        let line = self.git()?.line(&question).await.map_err(GitError::during(step))?;
        line.ok_or_else(|| GitError::Missing {
            what: format!("tree of {commit}"),
            path: self.path().to_owned(),
        })
    }

    /// Writes a commit, which nothing refers to yet.
    pub(crate) async fn write(
        &self,
        tree: &str,
        parents: &[&CommitId],
        note: &Note,
        signature: &Signature,
    ) -> Result<CommitId, GitError> {
        let step = "writing a commit";
        let mut question = vec!["commit-tree", tree, "-F", "-"];
        for parent in parents {
            question.extend(["-p", parent.as_str()]);
        }
        let (name, email) = (one_line(&signature.name), one_line(&signature.email));
        let date = format!("@{} +0000", signature.seconds);
        let git = self
            .git()?
            .with("GIT_AUTHOR_NAME", &name)
            .with("GIT_AUTHOR_EMAIL", &email)
            .with("GIT_AUTHOR_DATE", &date)
            .with("GIT_COMMITTER_NAME", &name)
            .with("GIT_COMMITTER_EMAIL", &email)
            .with("GIT_COMMITTER_DATE", &date);
        let written = git.ask(&question, note.text().into_bytes()).await;
        commit_in(step, &String::from_utf8_lossy(&written.map_err(GitError::during(step))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_line_and_trailers() {
        let note = Note {
            subject: "Fix it\nHotcell-Unit: forged\u{1b}[31m".into(),
            trailers: vec![("Hotcell-Unit", "A-1@app/1\nMore: 1".into())],
        };
        assert_eq!(
            note.text(),
            "Fix it Hotcell-Unit: forged [31m\n\nHotcell-Unit: A-1@app/1 More: 1\n"
        );
        let empty = Note { subject: "\n".into(), trailers: Vec::new() };
        assert_eq!(empty.text(), "work\n\n");
    }
}
