//! What becomes of work: captured, committed, merged, verified, and taken over.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use batch_api::CommitName;
use batch_core::effect::{Effect, Outcome};
use batch_git::{CommitId, GitError, Limits, Merged, Note, Signature};

use super::now;
use super::world::{AboutUnit, Trouble, World};

/// Where the guest puts what is captured: within git's own directory, which nothing
/// captures.
const BUNDLE: &str = "/workspace/.git/capture.bundle";

/// The name of an author who is the engine.
const ENGINE: &str = "Hotcell";

impl World {
    /// Puts all that is in a lane under a reference of ours.
    pub(super) async fn capture(
        &self,
        effect: &Effect,
        unit: &AboutUnit,
    ) -> Result<Outcome, Trouble> {
        let (lane, store) = (self.existing(unit).await?, self.store()?);
        let base = self.base(&lane).await?;
        let script = batch_git::capture::SCRIPT;
        let words = ["sh", "-c", script, "capture", base.as_str(), BUNDLE];
        let done = lane.exec(&words, Vec::new()).await?;
        if done.exit_code != 0 {
            let said = String::from_utf8_lossy(&done.stderr.tail.0).into_owned();
            return Err(format!("the lane cannot be captured: {said}").into());
        }
        let incoming = self.setup.directory.join("incoming");
        fs::create_dir_all(&incoming)?;
        let bundle = incoming.join(format!("{}.bundle", effect.id));
        remove_file(&bundle)?;
        lane.export(BUNDLE, &bundle).await?;
        let received = store.receive(&unit.attempt, &base, &bundle, Limits::default()).await?;
        remove_file(&bundle)?;
        let tree = store.tree(&received.work).await?;
        Ok(Outcome::Captured { commit: received.work.as_str().parse()?, tree: tree.parse()? })
    }

    /// Makes commits of what was captured.
    pub(super) async fn commit(&self, unit: &AboutUnit) -> Result<Outcome, Trouble> {
        let store = self.store()?;
        if let Some(result) = store.result(&unit.attempt).await? {
            return Ok(Outcome::Committed { commit: result.as_str().parse()? });
        }
        let captured = unit.captured.as_ref().ok_or("nothing was captured")?;
        let lane = self.existing(unit).await?;
        let (base, note) = (self.base(&lane).await?, note(self, unit, "Work on"));
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
        unit: &AboutUnit,
        commit: &CommitName,
    ) -> Result<Outcome, Trouble> {
        if self.setup.verify.is_empty() {
            return Ok(Outcome::Green);
        }
        let name = workspace_name(self, &format!("verify-{}", unit.unit.task));
        if let Some(left) = self.named(&name).await? {
            left.delete().await?;
        }
        let workspace = self.make(&name, &id(commit)?, None).await?;
        let mut outcome = Outcome::Green;
        for line in &self.setup.verify {
            if workspace.exec(&["sh", "-c", line], Vec::new()).await?.exit_code != 0 {
                outcome = Outcome::Red;
                break;
            }
        }
        workspace.delete().await?;
        Ok(outcome)
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

/// The name of a workspace of the batch.
pub(super) fn workspace_name(world: &World, what: &str) -> String {
    let batch = world.setup.batch.to_string();
    let end = batch.get(batch.len().saturating_sub(8)..).unwrap_or_default();
    let plain = what.chars().map(|c| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    });
    format!("b{end}-{}", plain.take(50).collect::<String>())
}

/// A file of a packet's home; none if there is none. It may be anybody's, so neither
/// a link nor more than a limit is read.
pub(super) fn read_of_home(home: &Path, file: &str, max: u64) -> Result<Option<Vec<u8>>, Trouble> {
    let path = home.join(file);
    let opened = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(entry) if !entry.is_file() => return Err(format!("{file} is no file").into()),
        Ok(_) => fs::File::open(&path)?,
    };
    let mut content = Vec::new();
    opened.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        return Err(format!("{file} has more than {max} bytes").into());
    }
    Ok(Some(content))
}

fn remove_file(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
