//! Reviews, as far as they stand against a packet's completion.
//!
//! They come from two places, and each is judged alone: from the packet's home, where no
//! agent reaches them, and from the lane, where an agent may have had its work reviewed.
//! So a review of the agent's own can keep a packet from being done, but never outweighs
//! one that lies at home. Agents are given those of home with every turn.

use std::collections::BTreeMap;
use std::path::Path;

use file_tree::{Root, TreePath, walk};
use packet::limits::{NOTE_MAX_BYTES, REVIEWS_MAX};
use packet::review::{ReviewName, Verdict, latest, verdict};

use super::site::Site;
use super::work;
use super::world::{Trouble, World};

const REVIEWS: &str = ".reviews";

/// What the latest review of a gate says; nothing if it cannot be read.
type Said = (String, Option<Vec<u8>>);

impl World {
    /// Gives an agent the reviews of its packet's home.
    pub(super) async fn give_reviews(&self, site: &Site, home: &Path) -> Result<(), Trouble> {
        for (file, said) in of_home(home)? {
            if let Some(said) = said {
                site.write(&format!("{REVIEWS}/{file}"), said).await?;
            }
        }
        Ok(())
    }

    /// How many gates have a latest review that approves nothing.
    pub(super) async fn revise(&self, site: &Site, home: &Path) -> Result<u32, Trouble> {
        let names = site.names(REVIEWS).await?;
        let mut in_lane = Vec::new();
        for file in latest_of(names) {
            let read = site.read(&format!("{REVIEWS}/{file}")).await?;
            in_lane.push((file, read));
        }
        Ok(unapproved(&of_home(home)?).max(unapproved(&in_lane)))
    }
}

/// The latest review of each gate in a packet's home.
fn of_home(home: &Path) -> Result<Vec<Said>, Trouble> {
    let root = Root::open(home)?;
    let reviews = match root.directory(&TreePath::parse(REVIEWS.as_bytes())?) {
        Ok(reviews) => reviews,
        Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
        Err(errno) => return Err(format!("{REVIEWS} cannot be read: {errno}").into()),
    };
    let found = walk(&reviews, REVIEWS_MAX, &mut |entry| entry.path.names().count() <= 1)?;
    let names = found.entries.iter().map(|entry| entry.path.to_string());
    let read = |file: String| {
        let said = work::read_of_home(home, &format!("{REVIEWS}/{file}"), NOTE_MAX_BYTES);
        // What is no plain file, or too large, approves nothing.
        (file, said.ok().flatten())
    };
    Ok(latest_of(names).into_iter().map(read).collect())
}

/// The files of the latest reviews among files.
fn latest_of(files: impl IntoIterator<Item = String>) -> Vec<String> {
    let named = files.into_iter().filter_map(|file| Some((file.parse().ok()?, file)));
    let mut files: BTreeMap<ReviewName, String> = named.take(REVIEWS_MAX).collect();
    let names: Vec<ReviewName> = files.keys().copied().collect();
    latest(names).iter().filter_map(|name| files.remove(name)).collect()
}

/// How many of these approve nothing: what is unclear does not.
fn unapproved(reviews: &[Said]) -> u32 {
    let approves = |said: &Option<Vec<u8>>| {
        said.as_deref().is_some_and(|said| verdict(said) == Ok(Verdict::Approve))
    };
    let against = reviews.iter().filter(|(_, said)| !approves(said)).count();
    u32::try_from(against).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_an_approval_that_is_the_latest_of_its_gate_approves() {
        let home = tempfile::tempdir().unwrap();
        let against = || unapproved(&of_home(home.path()).unwrap());
        assert_eq!(against(), 0);
        let reviews = home.path().join(REVIEWS);
        fs::create_dir(&reviews).unwrap();
        let review = |name: &str, text: &str| fs::write(reviews.join(name), text).unwrap();
        review("R001-plan-step1.md", "Verdict: APPROVE\n");
        review("R002-code-step1.md", "Verdict: REVISE\n");
        review("notes.md", "Verdict: REVISE\n");
        assert_eq!(against(), 1);
        review("R3-code-step1.md", "Verdict: APPROVE\n");
        assert_eq!(against(), 0);
        review("R004-code-step1.md", "It looks good to me.\n");
        review("R005-code-step2.md", "Verdict: RETHINK\n");
        assert_eq!(against(), 2);
        // A link is no review, and leads nowhere.
        std::os::unix::fs::symlink("R001-plan-step1.md", reviews.join("R006-code-step1.md"))
            .unwrap();
        assert_eq!(against(), 2);
    }
}
