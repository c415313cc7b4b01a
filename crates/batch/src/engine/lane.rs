//! Lanes: a workspace per attempt, made of the tip of the integration branch.
//!
//! A lane is found by its name, which follows from the attempt, so whoever makes one
//! again finds the one that is there. It holds a `.git` without remotes or
//! credentials, and its packet in [`PACKET`], apart from the repository.

use batch_api::{AttemptId, CommitName};
use batch_core::effect::Outcome;
use batch_git::{CommitId, Merged};
use workspace_api::label::Label;
use workspace_api::seed::Seed;
use workspace_api::workspace::Create;

use super::cell::Cell;
use super::claims;
use super::work;
use super::world::{AboutUnit, Trouble, World};

/// Where the packet lies in the guest.
pub(super) const PACKET: &str = "/packet";

/// The label that says what a lane began with.
const BASE: &str = "batch/base";

impl World {
    /// Makes the lane of an attempt, with earlier work of the unit if that goes
    /// together with what was merged meanwhile.
    pub(super) async fn prepare(
        &self,
        unit: &AboutUnit,
        carry: Option<&CommitName>,
    ) -> Result<Outcome, Trouble> {
        let store = self.store()?;
        let tip = store.integration().await?;
        let start = match carry {
            None => tip.clone(),
            Some(carry) => {
                let (carry, note) = (work::id(carry)?, work::note(self, unit, "Go on with"));
                match store.merge(&tip, &carry, &note, &work::signature()).await? {
                    Merged::Commit(both) => both,
                    // What does not go together any more is done anew, on the new base;
                    // the earlier work stays in the store.
                    Merged::Already | Merged::Conflict(_) => tip.clone(),
                }
            }
        };
        if let Some(found) = self.lane(&unit.attempt).await? {
            // Half-furnished ones are thrown away: no agent was in it yet.
            found.delete().await?;
        }
        let label: Label = format!("{BASE}={tip}").parse()?;
        let lane = self.make(&lane_name(self, &unit.attempt), &start, Some(label)).await?;
        let prompt = claims::prompt(&unit.home)?;
        let read = |file| work::read_of_home(&unit.home, file, claims::FILE_BYTES_MAX);
        let status =
            read("STATUS.md")?.unwrap_or_else(|| claims::status_template(&prompt).into_bytes());
        lane.write(&packet_path("STATUS.md"), status).await?;
        lane.write(&packet_path("PROMPT.md"), read("PROMPT.md")?.unwrap_or_default()).await?;
        Ok(Outcome::Prepared { base: tip.as_str().parse()? })
    }

    /// A workspace that holds a commit of the store.
    pub(super) async fn make(
        &self,
        name: &str,
        commit: &CommitId,
        label: Option<Label>,
    ) -> Result<Cell, Trouble> {
        let url = format!("file://{}", self.store()?.path().display());
        let seed = Seed { repo_ref: Some(commit.to_string()), ..Seed::from_repository(url) };
        let mut create = Create::new(self.setup.environment.clone()).with_name(name.parse()?);
        create.seed = seed;
        create.label.extend(label);
        create.label.push(format!("batch/id={}", self.setup.batch).parse()?);
        Ok(self.cells.create(create).await?)
    }

    /// The lane of an attempt, if it is there.
    pub(super) async fn lane(&self, attempt: &AttemptId) -> Result<Option<Cell>, Trouble> {
        self.named(&lane_name(self, attempt)).await
    }

    /// A workspace by its name, if it is there.
    pub(super) async fn named(&self, name: &str) -> Result<Option<Cell>, Trouble> {
        Ok(self.cells.find(name.parse()?).await?)
    }

    /// The lane of an attempt, which has to be there.
    pub(super) async fn existing(&self, unit: &AboutUnit) -> Result<Cell, Trouble> {
        let lane = self.lane(&unit.attempt).await?;
        lane.ok_or_else(|| format!("the lane of {} is gone", unit.attempt).into())
    }

    /// What a lane began with.
    pub(super) async fn base(&self, lane: &Cell) -> Result<CommitId, Trouble> {
        let status = lane.status().await?;
        let base = status.labels.iter().find(|(key, _)| key.as_str() == BASE);
        let (_, base) = base.ok_or("the lane does not say what it began with")?;
        Ok(base.parse()?)
    }

    /// Removes the lane of an attempt, if all of it is in the store.
    pub(super) async fn remove(
        &self,
        unit: &AboutUnit,
        proof: Option<&CommitName>,
    ) -> Result<Outcome, Trouble> {
        if let Some(proof) = proof
            && !self.store()?.holds(&work::id(proof)?).await?
        {
            return Ok(Outcome::Unproved);
        }
        if let Some(lane) = self.lane(&unit.attempt).await? {
            lane.delete().await?;
        }
        Ok(Outcome::Removed)
    }
}

/// What the workspace of an attempt is called. The beginning of a batch's id is a
/// time; its end tells batches apart.
fn lane_name(world: &World, attempt: &AttemptId) -> String {
    let unit = &attempt.unit;
    let text = format!("{}-{}-{}", unit.task, unit.visit, attempt.number);
    work::workspace_name(world, &text)
}

/// A file of the packet in the guest.
pub(super) fn packet_path(file: &str) -> String {
    format!("{PACKET}/{file}")
}
