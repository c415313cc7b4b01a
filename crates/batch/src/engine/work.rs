//! What becomes of work: captured, committed, merged, verified, and taken over.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use batch_api::CommitName;
use batch_core::effect::{Effect, Outcome};
use batch_git::{CommitId, GitError, Limits, Merged, Note, Signature};
use file_tree::{Root, TreePath};

use super::cell::Cell;
use super::now;
use super::world::{AboutUnit, Trouble, World};
use crate::discovery;

/// The name of an author who is the engine.
const ENGINE: &str = "Hotcell";

impl World {
    /// Puts all that is in a lane under a reference of ours.
    pub(super) async fn capture(
        &self,
        effect: &Effect,
        unit: &AboutUnit,
    ) -> Result<Outcome, Trouble> {
        let (site, store) = (self.existing(unit).await?, self.store()?);
        self.forget_said(&unit.attempt)?;
        let base = self.base(&site).await?;
        let incoming = self.setup.directory.join("incoming");
        fs::create_dir_all(&incoming)?;
        let bundle = incoming.join(format!("{}.bundle", effect.id));
        remove_file(&bundle)?;
        let limits = Limits::default();
        self.bundle(effect, &site, &base, &bundle, limits).await?;
        let received = store.receive(&unit.attempt, &base, &bundle, limits).await?;
        remove_file(&bundle)?;
        let tree = store.tree(&received.work).await?;
        Ok(Outcome::Captured { commit: received.work.as_str().parse()?, tree: tree.parse()? })
    }

    /// Makes commits of what was captured.
    pub(super) async fn commit(&self, unit: &AboutUnit) -> Result<Outcome, Trouble> {
        let store = self.store()?;
        let captured = unit.captured.as_ref().ok_or("nothing was captured")?;
        if let Some(result) = store.result_of(&unit.attempt, &id(captured)?).await? {
            return Ok(Outcome::Committed { commit: result.as_str().parse()? });
        }
        let site = self.existing(unit).await?;
        let (base, note) = (self.base(&site).await?, note(self, unit, "Work on"));
        let result =
            store.commit(&unit.attempt, &base, &id(captured)?, &note, &signature()).await?;
        Ok(Outcome::Committed { commit: result.as_str().parse()? })
    }

    /// Merges a commit with the tip of the integration branch, aside.
    pub(super) async fn merge(
        &self,
        unit: &AboutUnit,
        commit: &CommitName,
    ) -> Result<Outcome, Trouble> {
        let store = self.store()?;
        let tip = store.integration().await?;
        let note = note(self, unit, "Merge");
        let merged = match store.merge(&tip, &id(commit)?, &note, &signature()).await? {
            Merged::Commit(merged) => merged,
            Merged::Already => tip.clone(),
            Merged::Conflict(_) => return Ok(Outcome::Conflict),
        };
        let (base, commit) = (tip.as_str().parse()?, merged.as_str().parse()?);
        Ok(Outcome::Merged { base, commit })
    }

    /// Runs the verification commands on a merge, in a workspace of its own.
    pub(super) async fn verify(
        &self,
        effect: &Effect,
        unit: &AboutUnit,
        commit: &CommitName,
    ) -> Result<Outcome, Trouble> {
        if self.setup.verify.is_empty() {
            return Ok(Outcome::Green);
        }
        let what = verification(unit);
        if let Some(left) = self.named(&what).await? {
            self.discard(left).await?;
        }
        let workspace = self.make(&what, &id(commit)?, None).await?;
        let outcome = self.verify_in(effect, unit, &workspace).await;
        self.discard(workspace).await?;
        outcome
    }

    async fn verify_in(
        &self,
        effect: &Effect,
        unit: &AboutUnit,
        workspace: &Cell,
    ) -> Result<Outcome, Trouble> {
        for line in &self.setup.verify {
            let done = workspace.exec(&["sh", "-c", line], Vec::new()).await?;
            self.keep_verification(&unit.attempt, effect.id, line, &done);
            if done.exit_code != 0 {
                return Ok(Outcome::Red);
            }
        }
        Ok(Outcome::Green)
    }

    /// Moves the integration branch.
    pub(super) async fn advance(
        &self,
        from: &CommitName,
        to: &CommitName,
    ) -> Result<Outcome, Trouble> {
        let store = self.store()?;
        let (from, to) = (id(from)?, id(to)?);
        match store.advance(&from, &to).await {
            Ok(()) => Ok(Outcome::Advanced),
            Err(error @ GitError::NotOwned { .. }) => Err(error.into()),
            Err(error) => match store.integration().await? {
                tip if tip != from => Ok(Outcome::Behind),
                _ => Err(error.into()),
            },
        }
    }
}

/// What the workspace is for in which a unit's merge is verified.
pub(super) fn verification(unit: &AboutUnit) -> String {
    format!("verify {}", unit.unit)
}

/// A commit as git's side of the engine has it.
pub(super) fn id(name: &CommitName) -> Result<CommitId, Trouble> {
    Ok(name.as_str().parse()?)
}

pub(super) fn signature() -> Signature {
    let seconds = u32::try_from(now().0 / 1000).unwrap_or(u32::MAX);
    Signature { name: ENGINE.to_owned(), email: "hotcell@localhost".to_owned(), seconds }
}

/// What a commit of the engine's says.
pub(super) fn note(world: &World, unit: &AboutUnit, what: &str) -> Note {
    Note {
        subject: format!("{what} {}", unit.unit.task),
        trailers: vec![
            ("Hotcell-Batch", world.setup.batch.to_string()),
            ("Hotcell-Unit", unit.unit.to_string()),
            ("Hotcell-Attempt", unit.attempt.to_string()),
        ],
    }
}

/// A file of a packet's home; none if there is none. It may be anybody's, so neither
/// a link nor more than a limit is read.
pub(super) fn read_of_home(
    home: &Path,
    file: &str,
    max: usize,
) -> Result<Option<Vec<u8>>, Trouble> {
    let root = Root::open(home)?;
    let path = TreePath::parse(file.as_bytes())?;
    match discovery::bytes(&root, &path, max).map_err(|why| format!("{file} {why}"))? {
        Some(content) if content.len() > max => {
            Err(format!("{file} has more than {max} bytes").into())
        }
        read => Ok(read),
    }
}

fn remove_file(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
