//! Where the work of an attempt lies: in a machine, or in a checkout on this host.
//!
//! | | machine ([`Cell`]) | checkout ([`Worktree`]) |
//! |---|---|---|
//! | found by | the workspace's name and labels | the directory's name |
//! | repository | `/workspace` | `workspace/`, a repository of its own |
//! | packet | `/packet` | `packet/` |
//! | what runs there | commands of the guest | processes in custody |
//! | captured by | a command of the guest | a process in custody |
//!
//! What the engine does with the files of an attempt goes through here. Besides this file
//! and the two kinds themselves, only what starts processes knows that there are two: of
//! agents (`agent/process`, `agent/opening`) and of capturing (`agent/capturing`).

use batch_api::{AttemptId, CommitName, ConversationId};
use batch_core::effect::Outcome;
use batch_git::CommitId;

use super::cell::Cell;
use super::lane::{PACKET, WORKSPACE};
use super::worktree::Worktree;
use super::world::{AboutUnit, Trouble, World};
use super::{LaneMode, work};
use crate::gateway::AUTHOR;

/// Where the work of an attempt lies.
#[derive(Debug, Clone)]
pub(crate) enum Site {
    /// In a machine of its own.
    Cell(Cell),
    /// In a checkout on this host.
    Worktree(Worktree),
}

impl Site {
    /// Where the repository is, as the agent reaches it.
    pub(super) fn workspace(&self) -> String {
        match self {
            Self::Cell(_) => WORKSPACE.to_owned(),
            Self::Worktree(tree) => tree.workspace().to_string_lossy().into_owned(),
        }
    }

    /// Where the packet is, as the agent reaches it.
    pub(super) fn packet(&self) -> String {
        match self {
            Self::Cell(_) => PACKET.to_owned(),
            Self::Worktree(tree) => tree.packet().to_string_lossy().into_owned(),
        }
    }

    /// Reads a file of the packet; none if there is none, or if it is no plain file, or
    /// larger than is read.
    pub(super) async fn read(&self, file: &str) -> Result<Option<Vec<u8>>, Trouble> {
        match self {
            Self::Cell(cell) => Ok(cell.read(&format!("{PACKET}/{file}")).await?),
            Self::Worktree(tree) => tree.read_packet(file).await,
        }
    }

    /// Reads a file of the repository, as [`Self::read`] does.
    pub(super) async fn of_project(&self, file: &str) -> Result<Option<Vec<u8>>, Trouble> {
        match self {
            Self::Cell(cell) => Ok(cell.read(&format!("{WORKSPACE}/{file}")).await?),
            Self::Worktree(tree) => tree.read_project(file).await,
        }
    }

    /// Writes a file of the packet.
    pub(super) async fn write(&self, file: &str, content: Vec<u8>) -> Result<(), Trouble> {
        match self {
            Self::Cell(cell) => cell.write(&format!("{PACKET}/{file}"), content).await,
            Self::Worktree(tree) => tree.write_packet(file, content).await,
        }
    }

    /// Removes a file of the packet, if it is there.
    pub(super) async fn remove(&self, file: &str) -> Result<(), Trouble> {
        match self {
            Self::Cell(cell) => {
                let words = ["rm", "-f", "--", &format!("{PACKET}/{file}")];
                match cell.exec(&words, Vec::new()).await?.exit_code {
                    0 => Ok(()),
                    _ => Err(format!("{file} cannot be removed in the guest").into()),
                }
            }
            Self::Worktree(tree) => tree.remove_packet(file).await,
        }
    }

    /// Returns once all that was written there is on its disk.
    pub(super) async fn sync(&self) -> Result<(), Trouble> {
        match self {
            Self::Cell(cell) => cell.sync().await,
            Self::Worktree(tree) => tree.sync().await,
        }
    }

    /// The names in a directory of the packet that do not begin with a dot; none if there
    /// is no such directory.
    pub(super) async fn names(&self, directory: &str) -> Result<Vec<String>, Trouble> {
        match self {
            Self::Cell(cell) => Ok(cell.names(&format!("{PACKET}/{directory}")).await?),
            Self::Worktree(tree) => tree.names(directory).await,
        }
    }
}

impl Site {
    /// Variables for what an agent runs there, if it is on the host.
    pub(super) fn variables(&self, conversation: &ConversationId) -> Vec<(&'static str, String)> {
        let Self::Worktree(tree) = self else { return Vec::new() };
        let mut variables = vec![
            ("BATCH_PACKET", self.packet()),
            ("BATCH_TASK", conversation.agent.attempt.unit.task.to_string()),
            ("BATCH_CONVERSATION", conversation.to_string()),
            // Without its own repository there is none, rather than one around.
            ("GIT_CEILING_DIRECTORIES", tree.path().to_string_lossy().into_owned()),
        ];
        variables.extend(AUTHOR.map(|(name, value)| (name, value.to_owned())));
        variables
    }
}

impl World {
    /// Makes the place of an attempt, with earlier work of the unit if that goes together
    /// with what was merged meanwhile.
    pub(super) async fn prepare(
        &self,
        unit: &AboutUnit,
        carry: Option<&CommitName>,
    ) -> Result<Outcome, Trouble> {
        let tip = self.store()?.integration().await?;
        let start = self.beginning(unit, &tip, carry).await?;
        if let Some(found) = self.site(&unit.attempt).await? {
            // Half-furnished ones are thrown away: no agent was in it yet.
            self.discard_site(found).await?;
        }
        let site = match self.setup.agent.lane {
            LaneMode::Guest | LaneMode::Cell => {
                Site::Cell(self.make_lane(&unit.attempt, &start).await?)
            }
            LaneMode::Worktree => Site::Worktree(self.make_worktree(&unit.attempt, &start).await?),
        };
        self.furnish(unit, &site).await?;
        Ok(Outcome::Prepared { base: tip.as_str().parse()? })
    }

    /// The place of an attempt, if it is there.
    pub(super) async fn site(&self, attempt: &AttemptId) -> Result<Option<Site>, Trouble> {
        Ok(match self.setup.agent.lane {
            LaneMode::Guest | LaneMode::Cell => self.lane(attempt).await?.map(Site::Cell),
            LaneMode::Worktree => self.worktree(attempt)?.map(Site::Worktree),
        })
    }

    /// The place of an attempt, which has to be there; a machine of it runs.
    pub(super) async fn existing(&self, unit: &AboutUnit) -> Result<Site, Trouble> {
        let site = self.site(&unit.attempt).await?;
        let site = site.ok_or_else(|| format!("the lane of {} is gone", unit.attempt))?;
        if let Site::Cell(cell) = &site {
            // A keeper or a machine may have died, whose disks are whole.
            cell.revive().await?;
        }
        Ok(site)
    }

    /// What an attempt began with.
    pub(super) async fn base(&self, site: &Site) -> Result<CommitId, Trouble> {
        match site {
            Site::Cell(cell) => self.base_of_lane(cell).await,
            Site::Worktree(tree) => tree.base(),
        }
    }

    /// Ends what runs at a place, besides what the engine's own agents are.
    pub(super) async fn clear(&self, site: &Site) -> Result<(), Trouble> {
        match site {
            Site::Cell(cell) => self.kill_all(cell).await,
            // All that ever runs there belongs to an agent in custody.
            Site::Worktree(_) => Ok(()),
        }
    }

    /// Throws a place away, as long as this engine owns the batch.
    pub(super) async fn discard_site(&self, site: Site) -> Result<(), Trouble> {
        match site {
            Site::Cell(cell) => self.discard(cell).await,
            Site::Worktree(tree) => {
                self.store()?.check_owner()?;
                tree.discard().await
            }
        }
    }

    /// Removes the place of an attempt, if all of it is in the store.
    pub(super) async fn remove(
        &self,
        unit: &AboutUnit,
        proof: Option<&CommitName>,
    ) -> Result<Outcome, Trouble> {
        if let Some(proof) = proof
            && !self.store()?.keeps(&work::id(proof)?).await?
        {
            return Ok(Outcome::Unproved);
        }
        // What a verification that was given up has left goes first: once the lane is gone,
        // nobody looks for it any more.
        if let Some(left) = self.named(&work::verification(unit)).await? {
            self.discard(left).await?;
        }
        if let Some(site) = self.site(&unit.attempt).await? {
            self.discard_site(site).await?;
        }
        self.clear_places(unit)?;
        Ok(Outcome::Removed)
    }
}
