//! Seeds from repositories that are cloned for it, on the host.
//!
//! What the reference means is asked first, so a commit that was cloned before
//! costs one question. The clone holds that one commit; hooks, submodules and the
//! content of Git LFS stay away. The user's own settings for git count, as they
//! hold the credentials and the proxies; none of them enters the guest.

use std::path::Path;

use environment::{IMAGE_VIRTUAL_BYTES, tree};
use file_tree::{Root, walk};
use operation::{ErrorKind, OpError};
use sha2::{Digest, Sha256};
use workspace_api::seed::{SeedFiles, SeedReport, SeedSource, Submodule, SubmoduleContent};

use super::cache::{self, IMAGE, PACKING, TREE};
use super::checkout::History;
use super::git::{Checkout, OwnFiles, run};
use super::listing::{self, FILES_MAX};
use super::{Seeded, Work, blocking, report};
use crate::files::{FileError, remove_tree};
use crate::home::Home;
use crate::scratch::ScratchDirectory;
use crate::trouble::{environment_error, git_error, tree_error};

/// What stands for the default branch.
const DEFAULT: &str = "HEAD";

/// The image of a repository at a reference; its default branch if there is none.
pub(super) async fn provide(
    home: &Home,
    url: &str,
    reference: Option<&str>,
    work: &Work,
) -> Result<Seeded, OpError> {
    work.begins("asking the repository");
    let commit = resolve(home, url, reference).await?;
    let reference = reference.unwrap_or(DEFAULT);
    let mut key = Sha256::new();
    for part in ["hotcell repository 1", url, &commit] {
        key.update(part);
        key.update([0]);
    }
    let key = crate::hex::hex(&key.finalize());
    let image = home.seeds().join(&key).with_added_extension("ext4");
    let cloned = if image.exists() {
        None
    } else {
        work.begins("cloning the repository");
        let directory = ScratchDirectory::create(&home.clones())?;
        let checkout = fetch(directory.path(), url, &commit, reference)
            .await
            .map_err(|error| error.during(format!("cannot clone {url}")))?;
        Some((directory, checkout))
    };
    let (home, work, url) = (home.clone(), work.clone(), url.to_owned());
    blocking(move || {
        let name = key.clone();
        cache::find_or_make(&home, &key, &work, |making| {
            let (directory, checkout) = cloned.as_ref().ok_or_else(|| {
                OpError::plain(ErrorKind::Conflict, "the seed's image was pruned just now")
                    .hinted("try again")
            })?;
            make(directory.path(), checkout, &url, commit, name, making, &work)
        })
    })
    .await
}

/// The commit that a reference means over there; its default branch if there is none.
pub(super) async fn resolve(
    home: &Home,
    url: &str,
    reference: Option<&str>,
) -> Result<String, OpError> {
    let reference = reference.unwrap_or(DEFAULT);
    for text in [url, reference] {
        if text.starts_with('-') || text.contains(char::is_control) || text.is_empty() {
            return Err(OpError::plain(
                ErrorKind::InvalidRequest,
                format!("`{text}` is neither a repository nor a reference"),
            ));
        }
    }
    if is_commit(reference) {
        return Ok(reference.to_ascii_lowercase());
    }
    // The last two are what a tag object stands for, and all that end like it.
    let peeled = format!("{reference}^{{}}");
    let answer = run(home.path(), &["ls-remote", "--", url, reference, &peeled])
        .await
        .map_err(|failure| git_error(failure).during(format!("cannot reach {url}")))?;
    let text = String::from_utf8_lossy(&answer);
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let wanted = [
        format!("refs/tags/{reference}^{{}}"),
        format!("refs/tags/{reference}"),
        format!("refs/heads/{reference}"),
        reference.to_owned(),
    ];
    let found = wanted
        .iter()
        .find_map(|wanted| lines.iter().find(|(_, name)| name == wanted))
        .map(|(commit, _)| (*commit).to_owned());
    found.ok_or_else(|| {
        OpError::plain(ErrorKind::NotFound, format!("{url} has no branch or tag `{reference}`"))
            .hinted("a commit has to be given with all its digits")
    })
}

/// Whether a reference is the whole name of a commit.
fn is_commit(reference: &str) -> bool {
    matches!(reference.len(), 40 | 64) && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Clones one commit into a directory, which is empty.
async fn fetch(
    clone: &Path,
    url: &str,
    commit: &str,
    reference: &str,
) -> Result<Checkout, OpError> {
    let branch = match reference {
        "HEAD" => "main",
        // git takes a branch of such a name for the commit, and warns all the time.
        name if is_commit(name) => "main",
        name if !name.contains(['.', '~', '^', ':', ' ']) => name,
        _ => "main",
    };
    let initial = format!("--initial-branch={branch}");
    run(clone, &["init", "--quiet", "--template=", &initial]).await.map_err(git_error)?;
    let shallow = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", url, commit];
    if run(clone, &shallow).await.is_err() {
        // Servers may refuse to give single commits, or less than everything.
        let whole = ["fetch", "--quiet", "--no-tags", "--", url, "+refs/*:refs/hotcell/*"];
        run(clone, &whole).await.map_err(git_error)?;
    }
    run(clone, &["reset", "--quiet", "--hard", commit]).await.map_err(git_error)?;
    let checkout = Checkout::find(clone, SeedFiles::Tracked).await?;
    checkout.ok_or_else(|| OpError::plain(ErrorKind::Internal, "the clone is no checkout"))
}

fn make(
    clone: &Path,
    checkout: &Checkout,
    url: &str,
    commit: String,
    key: String,
    making: &Path,
    work: &Work,
) -> Result<SeedReport, OpError> {
    let root = Root::open(clone).map_err(tree_error)?;
    let found = walk(&root, FILES_MAX, &mut |entry| entry.path.as_bytes() != b".git")
        .map_err(tree_error)?;
    listing::check_size(&found.entries).map_err(tree_error)?;
    let mut told = report::of(SeedSource::Repository, url.to_owned(), key, &found.entries);
    told.commit = Some(commit);
    told.submodules = checkout
        .submodules
        .iter()
        .map(|module| Submodule { path: module.path.clone(), content: SubmoduleContent::Absent })
        .collect();
    let staged = making.join(TREE);
    if let OwnFiles::Taken { checkout, shared, settings } = &checkout.own {
        let history = History::list(checkout, shared, settings)?;
        told.history_bytes = history.bytes();
        let own = making.join("own");
        std::fs::create_dir(&own).map_err(FileError::at("create", &own))?;
        history.put(&own)?;
        let dot = clone.join(".git");
        remove_tree(&dot)?;
        std::fs::rename(&own, &dot).map_err(FileError::at("move", &dot))?;
    }
    std::fs::rename(clone, &staged).map_err(FileError::at("move", clone))?;
    work.begins(PACKING);
    tree::from_directory(&staged, &making.join(IMAGE), IMAGE_VIRTUAL_BYTES, &work.cancel)
        .map_err(environment_error)?;
    Ok(told)
}
