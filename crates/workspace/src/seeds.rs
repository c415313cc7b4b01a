//! Trees of the host that workspaces start with.
//!
//! ```text
//! request ─▶ source ─▶ listing ─▶ key ─▶ found ─────────────────────────▶ image
//!            (git)     (stat)       │                                        ▲
//!                                   └─▶ locked ─▶ staged ─▶ checked ─▶ made ─┘
//! ```
//!
//! **One image per tree.** An image is named by what identifies its content, and
//! every workspace of that tree is a layer over it. For files of the host that
//! is what `stat` says of each (inode, size, times of modification and of
//! change), as it is for git's own index: nothing is read when the image is
//! there. After copying, every file is looked at again; if one is not what was
//! listed, all begins anew, so an image never mixes two states of a tree. Times
//! of directories do not count, as builds change them all the time.
//!
//! **The host's tree is only read.** git runs without the repository's hooks
//! and monitors and takes no locks. Every file is opened beneath the tree's root
//! and never through a symbolic link.
//!
//! **Who uses an image** holds a hard link to it in a directory of its own
//! ([`hold`]), so the file system counts users, and a user that is removed
//! by whatever means is one no more. [`prune`] removes images that have only
//! their own name left.
//!
//! **SIGKILL here.** An image and its report get their names by renaming when
//! they are whole and synced. Half-made ones lie in `<key>.making`, whose lock is
//! free then: the next maker of that key begins anew, and `env prune` sweeps.

mod archive;
mod cache;
mod checkout;
mod git;
mod listing;
mod making;
mod report;
mod repository;
mod selection;
mod work;

use std::path::{Path, PathBuf};

use environment::{Cancel, IMAGE_VIRTUAL_BYTES, tree};
use operation::{ErrorKind, OpError};
use uuid::Uuid;
use workspace_api::seed::{Seed, SeedReport};

use crate::files::FileError;
use crate::home::Home;
use crate::trouble::environment_error;
use git::Checkout;

pub(crate) use cache::{hold, prune};
pub(crate) use git::merge_texts;
pub(crate) use selection::{Selection, is_git_own};
pub(crate) use work::Work;

/// A tree that is ready to be mounted.
#[derive(Debug, Clone)]
pub(crate) struct Seeded {
    /// Its image, which never changes.
    pub(crate) image: PathBuf,
    /// What is in it.
    pub(crate) report: SeedReport,
}

/// The image of an empty `/workspace`, made once.
pub(crate) fn empty(home: &Home) -> Result<PathBuf, OpError> {
    let path = home.seeds().join("empty.ext4");
    if path.exists() {
        return Ok(path);
    }
    let temporary = home.seeds().join(format!("empty.ext4.tmp-{}", Uuid::new_v4()));
    let made = tree::empty(&temporary, IMAGE_VIRTUAL_BYTES, &Cancel::new())
        .map_err(environment_error)
        .and_then(|()| {
            // An image that a power loss has emptied must not bear the name.
            std::fs::File::open(&temporary)
                .and_then(|file| file.sync_all())
                .map_err(FileError::at("sync", &temporary))?;
            std::fs::rename(&temporary, &path).map_err(FileError::at("finish", &path))?;
            Ok(())
        });
    if made.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    made.map(|()| path)
}

/// What fails if a tree cannot be provided.
const STEP: &str = "cannot provide the tree that the workspace starts from";

/// Whether a workspace could not be made because of the tree that it starts from.
pub(crate) fn is_to_blame(error: &OpError) -> bool {
    error.message == STEP
}

/// The image of the tree that `seed` asks for, if it asks for one.
pub(crate) async fn provide(
    home: &Home,
    seed: Seed,
    work: &Work,
) -> Result<Option<Seeded>, OpError> {
    provided(home, seed, work).await.map_err(|error| error.during(STEP))
}

async fn provided(home: &Home, seed: Seed, work: &Work) -> Result<Option<Seeded>, OpError> {
    let Seed { path, files, repo_url, repo_ref } = seed;
    match (path, repo_url) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(OpError::plain(
            ErrorKind::InvalidRequest,
            "a workspace starts with a path or with a repository, not with both",
        )),
        (None, Some(url)) => {
            repository::provide(home, &url, repo_ref.as_deref(), work).await.map(Some)
        }
        (Some(path), None) => from_path(home, Path::new(&path), files, work).await.map(Some),
    }
}

/// What a workspace would start from, in a few words, or why it could not. Nothing is
/// taken.
pub(crate) async fn look(home: &Home, seed: Seed) -> Result<String, OpError> {
    let Seed { path, files, repo_url, repo_ref } = seed;
    if let Some(url) = repo_url {
        let commit = repository::resolve(home, &url, repo_ref.as_deref()).await?;
        return Ok(format!("commit {}", commit.get(..12).unwrap_or(&commit)));
    }
    let Some(path) = path else { return Ok("nothing".to_owned()) };
    let path = resolved(Path::new(&path))?;
    if path.is_file() {
        return Ok("an archive".to_owned());
    }
    std::fs::read_dir(&path).map_err(FileError::at("read", &path))?;
    Ok(match Checkout::find(&path, files).await? {
        Some(_) => "a git checkout".to_owned(),
        None => "a directory".to_owned(),
    })
}

async fn from_path(
    home: &Home,
    path: &Path,
    files: workspace_api::seed::SeedFiles,
    work: &Work,
) -> Result<Seeded, OpError> {
    let path = resolved(path)?;
    let metadata = std::fs::metadata(&path).map_err(FileError::at("look at", &path))?;
    if metadata.is_file() {
        return archive::provide(home, path, work).await;
    }
    work.begins(format_args!("listing {}", path.display()));
    let checkout = Checkout::find(&path, files).await?;
    let (home, work) = (home.clone(), work.clone());
    blocking(move || making::from_directory(&home, &path, files, checkout, &work)).await
}

/// The path of a tree without links, which names it even if the caller named a link.
fn resolved(path: &Path) -> Result<PathBuf, OpError> {
    let failed = |source| FileError { action: "find", path: path.to_owned(), source };
    std::fs::canonicalize(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => OpError::new(ErrorKind::NotFound, &failed(source)),
        _ => failed(source).into(),
    })
}

/// Runs work that blocks away from the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpError> + Send + 'static,
) -> Result<T, OpError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))?
}
