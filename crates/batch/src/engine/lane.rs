//! Lanes that are machines: a workspace per attempt, made of the tip of the integration
//! branch.
//!
//! A lane is found by its name, which follows from the attempt, so whoever makes one
//! again finds the one that is there. A name is short, so it holds a digest, and a
//! workspace that bears it is only believed to be the lane if its labels say so:
//! nobody else's is ever used or thrown away. It holds a `.git` without remotes or
//! credentials, and its packet in [`PACKET`], apart from the repository.

use std::collections::BTreeMap;

use batch_api::{AttemptId, BatchId, CommitName};
use batch_git::{CommitId, Merged};
use operation::{Call, ErrorKind, Handler as _, OpError};
use sha2::{Digest as _, Sha256};
use workspace_api::label::Label;
use workspace_api::seed::Seed;
use workspace_api::workspace::{Create, List, Workspace};

use super::cell::Cell;
use super::claims;
use super::site::Site;
use super::work;
use super::world::{AboutUnit, Trouble, World};
use crate::configuration::AgentKind;

/// Where the packet lies in the guest.
pub(crate) const PACKET: &str = "/packet";

/// Where the repository lies in the guest.
pub(super) const WORKSPACE: &str = "/workspace";

/// The label that says what a lane began with.
const BASE: &str = "batch/base";

/// The label that says whose a workspace is.
const BATCH: &str = "batch/id";

/// The label that says what a workspace is for.
const PURPOSE: &str = "batch/for";

/// How much of a name is for people.
const READABLE_MAX: usize = 36;

/// Bytes of the digest in a name.
const DIGEST_BYTES: usize = 6;

impl World {
    /// What an attempt begins with: the tip, with earlier work of the unit if that goes
    /// together with it.
    pub(super) async fn beginning(
        &self,
        unit: &AboutUnit,
        tip: &CommitId,
        carry: Option<&CommitName>,
    ) -> Result<CommitId, Trouble> {
        let Some(carry) = carry else { return Ok(tip.clone()) };
        let (carry, note) = (work::id(carry)?, work::note(self, unit, "Go on with"));
        Ok(match self.store()?.merge(tip, &carry, &note, &work::signature()).await? {
            Merged::Commit(both) => both,
            // What does not go together any more is done anew, on the new base;
            // the earlier work stays in the store.
            Merged::Already | Merged::Conflict(_) => tip.clone(),
        })
    }

    /// Makes the machine of an attempt.
    pub(super) async fn make_lane(
        &self,
        attempt: &AttemptId,
        start: &CommitId,
    ) -> Result<Cell, Trouble> {
        // All that the guest has of history is the commit that it starts from, so what
        // is captured there can be told apart from nothing before it.
        let label: Label = format!("{BASE}={start}").parse()?;
        let lane = self.make(&attempt.to_string(), start, Some(label)).await?;
        // Objects reach the disk before what names them: the machine may die at any moment,
        // and a commit whose objects are empty could never be captured.
        let durable = ["git", "-C", WORKSPACE, "config", "core.fsync", "all"];
        if lane.exec(&durable, Vec::new()).await?.exit_code != 0 {
            return Err("the lane's repository cannot be made durable".into());
        }
        Ok(lane)
    }

    /// Puts the packet at the place of an attempt.
    pub(super) async fn furnish(&self, unit: &AboutUnit, site: &Site) -> Result<(), Trouble> {
        let prompt = claims::prompt(&unit.home)?;
        let read = |file| work::read_of_home(&unit.home, file, claims::FILE_BYTES_MAX);
        let status =
            read("STATUS.md")?.unwrap_or_else(|| claims::status_template(&prompt).into_bytes());
        site.write("STATUS.md", status).await?;
        site.write("PROMPT.md", read("PROMPT.md")?.unwrap_or_default()).await?;
        if self.setup.agent.kind == AgentKind::Command {
            // Where its letters go is there before it writes one.
            site.write("outbox/.here", Vec::new()).await?;
        }
        // The tree and the packet may be on two disks: without this a machine that dies early
        // comes back with a repository that is not durable.
        site.sync().await
    }

    /// A workspace for something, that holds a commit of the store.
    pub(super) async fn make(
        &self,
        purpose: &str,
        commit: &CommitId,
        label: Option<Label>,
    ) -> Result<Cell, Trouble> {
        let url = format!("file://{}", self.store()?.path().display());
        let seed = Seed { repo_ref: Some(commit.to_string()), ..Seed::from_repository(url) };
        let mut create = Create::new(self.setup.environment.clone())
            .with_name(workspace_name(self.setup.batch, purpose).parse()?);
        create.seed = seed;
        create.label.extend(label);
        create.label.push(format!("{BATCH}={}", self.setup.batch).parse()?);
        create.label.push(format!("{PURPOSE}={purpose}").parse()?);
        Ok(self.cells.create(create).await?)
    }

    /// The lane of an attempt, if it is there.
    pub(super) async fn lane(&self, attempt: &AttemptId) -> Result<Option<Cell>, Trouble> {
        self.named(&attempt.to_string()).await
    }

    /// The workspace for something, if it is there.
    pub(super) async fn named(&self, purpose: &str) -> Result<Option<Cell>, Trouble> {
        let name = workspace_name(self.setup.batch, purpose);
        let Some(found) = self.cells.find(name.parse()?).await? else { return Ok(None) };
        let batch = self.setup.batch.to_string();
        for (key, value) in [(BATCH, &*batch), (PURPOSE, purpose)] {
            if label(&found, key).await?.as_deref() != Some(value) {
                return Err(format!("the workspace {name} is not for {purpose}").into());
            }
        }
        Ok(Some(found))
    }

    /// Throws a workspace away, as long as this engine owns the batch. One that is stopped
    /// between the question and the deed, and replaced, still harms nothing: it deletes by
    /// the workspace's id, which whatever its successor makes does not have, and what its
    /// successor goes on with is nothing that the journal wants removed.
    pub(super) async fn discard(&self, workspace: Cell) -> Result<(), Trouble> {
        self.store()?.check_owner()?;
        Ok(workspace.delete().await?)
    }

    /// What a lane began with.
    pub(super) async fn base_of_lane(&self, lane: &Cell) -> Result<CommitId, Trouble> {
        let base = label(lane, BASE).await?.ok_or("the lane does not say what it began with")?;
        Ok(base.parse()?)
    }
}

/// The workspaces that bear a batch's label: what each is for, and its name.
pub(crate) async fn workspaces_of(
    cells: workspace::Engine,
    batch: BatchId,
) -> Result<BTreeMap<String, String>, OpError> {
    let mine = format!("{BATCH}={batch}").parse();
    let mine = mine.map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
    let list = List { label: vec![mine], ..List::default() };
    let listed = cells.handle(list, &mut Call::quiet()).await?.workspaces;
    let purpose = |one: &Workspace| {
        let label = one.labels.iter().find(|(key, _)| key.as_str() == PURPOSE)?;
        Some(label.1.clone())
    };
    let named = |one: Workspace| {
        let name = one.name.as_ref().map_or_else(|| one.id.to_string(), ToString::to_string);
        (purpose(&one).unwrap_or_else(|| name.clone()), name)
    };
    Ok(listed.into_iter().map(named).collect())
}

/// What the workspace for something is called: readable, and different for whatever
/// is different.
pub(super) fn workspace_name(batch: BatchId, purpose: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(batch.to_string());
    digest.update([0]);
    digest.update(purpose);
    let digest = digest.finalize();
    let digest: String =
        digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let plain = purpose.chars().map(|c| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    });
    format!("batch-{}-{digest}", plain.take(READABLE_MAX).collect::<String>())
}

/// What a label of a workspace says.
async fn label(workspace: &Cell, wanted: &str) -> Result<Option<String>, Trouble> {
    let labels = workspace.status().await?.labels;
    Ok(labels.into_iter().find(|(key, _)| key.as_str() == wanted).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use workspace_api::id::WorkspaceName;

    use super::*;

    #[test]
    fn no_two_attempts_share_a_lane_however_alike_they_are() {
        let batch: BatchId = "bat_0190a6f2c1b27c3d8e4f5a6b7c8d9e0f".parse().unwrap();
        let other: BatchId = "bat_1190a6f2c1b27c3d8e4f5a6b7c8d9e0f".parse().unwrap();
        let long = format!("T{}", "x".repeat(63));
        let mut names = BTreeSet::new();
        for task in ["TP-1", "TP_1", "tp-1", "TP-11", &long] {
            for end in ["@app/1#1", "@app/1#2", "@app/11#1", "@lib/1#1"] {
                let attempt: AttemptId = format!("{task}{end}").parse().unwrap();
                for batch in [batch, other] {
                    let name = workspace_name(batch, &attempt.to_string());
                    assert!(name.parse::<WorkspaceName>().is_ok(), "{name}");
                    assert!(names.insert(name));
                }
            }
        }
    }
}
