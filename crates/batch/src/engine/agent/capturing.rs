//! How all that lies at the place of an attempt becomes a bundle on this host.
//!
//! git runs where an agent wrote, so what the agent put there may run with it: hooks,
//! filters, a file monitor. In a machine that harms nobody. In a checkout it runs in the
//! same custody as the agent did, with none of its credentials, and is ended when it is
//! done or its time is up: it can do nothing that the agent could not. git is told where
//! to stop looking for a repository, so of an agent that removed its own nobody else's is
//! captured; where a link or a file stands in its place, nothing is. What comes of it is
//! believed no more than anything else of an agent's.

use std::ffi::OsStr;
use std::path::Path;

use batch_core::effect::Effect;
use batch_git::{CommitId, Limits, capture};

use super::super::site::Site;
use super::super::worktree::Worktree;
use super::super::world::{Trouble, World};
use super::process_key;
use crate::custody::{self, Environment, Order, Status};
use crate::roster;

/// Where a guest puts what is captured: within git's own directory, which nothing
/// captures.
const BUNDLE: &str = "/workspace/.git/capture.bundle";

/// Variables for a git that nobody's settings count for but the repository's.
const OF_GIT: [(&str, &str); 4] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("LC_ALL", "C.UTF-8"),
];

impl World {
    /// Packs all that is at a place into a file, where nothing is.
    pub(in crate::engine) async fn bundle(
        &self,
        effect: &Effect,
        site: &Site,
        base: &CommitId,
        to: &Path,
        limits: Limits,
    ) -> Result<(), Trouble> {
        let words = ["-c", capture::SCRIPT, "capture", base.as_str()];
        match site {
            Site::Cell(cell) => {
                let words = [&["sh"][..], &words, &[BUNDLE]].concat();
                let done = cell.exec(&words, Vec::new()).await?;
                if done.exit_code != 0 {
                    return Err(refused(&done.stderr.tail.0));
                }
                cell.export(BUNDLE, to, limits.bundle_bytes).await
            }
            Site::Worktree(tree) => {
                let ended = self.run_capture(effect, tree, &words, limits).await?;
                if ended.status != Some(Status::Exited(0)) {
                    return Err(refused(&tree.complaint().await?));
                }
                tree.take_bundle(to.to_owned(), limits.bundle_bytes).await
            }
        }
    }

    /// Runs the script of capturing in a checkout, to its end.
    async fn run_capture(
        &self,
        effect: &Effect,
        tree: &Worktree,
        words: &[&str],
        limits: Limits,
    ) -> Result<custody::Outcome, Trouble> {
        let agent = self.agent.host().ok_or("nothing runs on the host")?;
        tree.check_repository()?;
        let shell = roster::programs("sh", OsStr::new(&agent.search_path));
        let program = shell.into_iter().next().ok_or("found no program `sh` in PATH")?;
        let scratch = tree.scratch().to_string_lossy().into_owned();
        let lane = tree.path().to_string_lossy().into_owned();
        let mut environment = Environment::empty();
        for (name, value) in [
            ("PATH", &agent.search_path),
            ("HOME", &scratch),
            ("TMPDIR", &scratch),
            ("GIT_CEILING_DIRECTORIES", &lane),
        ] {
            environment.set(name, value)?;
        }
        for (name, value) in OF_GIT {
            environment.set(name, value)?;
        }
        let bundle = tree.bundle().to_string_lossy().into_owned();
        let mut arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        arguments.push(bundle);
        let order = Order {
            key: process_key(effect)?,
            label: "capture of a checkout".parse()?,
            program,
            arguments,
            environment,
            directory: tree.workspace(),
            limits: custody::Limits::default(),
            stderr: tree.complaints(),
        };
        self.hosted()?.run(order, limits.patience).await
    }
}

fn refused(said: &[u8]) -> Trouble {
    format!("the lane cannot be captured: {}", String::from_utf8_lossy(said)).into()
}
