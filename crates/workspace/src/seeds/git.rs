//! Questions to git about a checkout, asked so that nothing in it is executed.

use std::path::{Path, PathBuf};

use file_tree::TreePath;
use host_git::{Failure, Git};
use operation::{ErrorKind, OpError};
use workspace_api::seed::{SeedFiles, Submodule, SubmoduleContent};

use crate::trouble::git_error;

/// Most submodules that are looked into.
const SUBMODULES_MAX: usize = 1000;

/// A checkout, and what of it is taken.
#[derive(Debug)]
pub(super) struct Checkout {
    /// The commit that is checked out, if there is one.
    pub(super) commit: Option<String>,
    /// The files to take; `None` means everything.
    pub(super) files: Option<Vec<TreePath>>,
    /// What git says that is not taken, and why.
    pub(super) left_out: Vec<(String, &'static str)>,
    pub(super) submodules: Vec<Submodule>,
    /// Where git keeps its own.
    pub(super) own: OwnFiles,
}

/// Where git keeps its own files.
#[derive(Debug)]
pub(super) enum OwnFiles {
    /// Here, and they are taken.
    Taken {
        /// What belongs to this checkout: index, what is checked out.
        checkout: PathBuf,
        /// What all checkouts of the repository share: objects, branches.
        shared: PathBuf,
        /// Settings that the guest needs to read them.
        settings: Vec<(String, String)>,
    },
    /// They are not taken, for this reason.
    LeftOut(&'static str),
}

impl Checkout {
    /// Looks at `directory`, which is resolved. `None` if it is no checkout.
    pub(super) async fn find(directory: &Path, files: SeedFiles) -> Result<Option<Self>, OpError> {
        let Some(places) = Places::of(directory).await? else {
            return match files {
                SeedFiles::Tracked => Err(OpError::plain(
                    ErrorKind::InvalidRequest,
                    format!("{} is no git checkout", directory.display()),
                )
                .hinted("without --seed-files everything in it is taken")),
                SeedFiles::Unignored | SeedFiles::All => Ok(None),
            };
        };
        // None of these waits for another one, and a process of git's takes its time.
        let of_top = async {
            match files {
                SeedFiles::All => Ok(None),
                SeedFiles::Unignored | SeedFiles::Tracked => list(directory, files).await.map(Some),
            }
        };
        let head = line(directory, &["rev-parse", "--verify", "--quiet", "HEAD"]);
        let (own, commit, of_top) = tokio::try_join!(own_files(directory, &places), head, of_top)?;
        let mut checkout =
            Self { commit, files: None, left_out: Vec::new(), submodules: Vec::new(), own };
        let Some(of_top) = of_top else { return Ok(Some(checkout)) };
        let mut taken = Vec::with_capacity(of_top.len());
        let mut pending = vec![(TreePath::root(), Some(of_top))];
        while let Some((module, listed)) = pending.pop() {
            let at = directory.join(module.as_path());
            let listed = match listed {
                Some(listed) => listed,
                None => list(&at, files).await?,
            };
            for (name, kind) in listed {
                let path = module.join(&name).map_err(|error| not_usable(&error))?;
                match kind {
                    Listed::File => {
                        taken.push(path);
                        continue;
                    }
                    Listed::Repository => {
                        checkout.left_out.push((path.to_string(), "a git repository of its own"));
                        continue;
                    }
                    Listed::Module => {}
                }
                let full = directory.join(path.as_path());
                let is_present = full.join(".git").symlink_metadata().is_ok();
                let content =
                    if is_present { SubmoduleContent::Files } else { SubmoduleContent::Absent };
                checkout.submodules.push(Submodule { path: path.to_string(), content });
                if is_present {
                    pending.push((path.clone(), None));
                }
                taken.push(path);
                if checkout.submodules.len() > SUBMODULES_MAX {
                    return Err(not_usable(&file_tree::TreeError::TooMuch {
                        what: "submodules",
                        max: SUBMODULES_MAX as u64,
                    }));
                }
            }
        }
        checkout.files = Some(taken);
        Ok(Some(checkout))
    }
}

/// Where git finds things.
#[derive(Debug)]
struct Places {
    top: PathBuf,
    checkout: PathBuf,
    shared: PathBuf,
}

impl Places {
    async fn of(directory: &Path) -> Result<Option<Self>, OpError> {
        let questions = ["rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir"];
        let answer = match run(directory, &questions).await {
            Ok(answer) => answer,
            Err(Failure::Said(text)) if text.contains("dubious ownership") => {
                return Err(OpError::plain(
                    ErrorKind::Denied,
                    format!("git does not trust {}: somebody else owns it", directory.display()),
                )
                .hinted("git config --global --add safe.directory says that you do")
                .hinted("--seed-files all takes everything without asking git"));
            }
            // No checkout, or no git to ask.
            Err(Failure::Said(_) | Failure::Missing) => return Ok(None),
            Err(failure) => return Err(git_error(failure)),
        };
        let mut lines = answer.split(|byte| *byte == b'\n').map(|line| {
            let line: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(line);
            directory.join(line)
        });
        let (Some(top), Some(checkout), Some(shared)) = (lines.next(), lines.next(), lines.next())
        else {
            return Ok(None);
        };
        // Where the repository says that its files lie somewhere else, this
        // directory is not its checkout.
        Ok(directory.starts_with(&top).then_some(Self { top, checkout, shared }))
    }
}

/// Whether git's own files are taken. A `.git` that is a file or a link could
/// lead to any repository of the user, whoever put it there, so it is believed
/// only if what it leads to knows of this checkout.
async fn own_files(directory: &Path, places: &Places) -> Result<OwnFiles, OpError> {
    if places.top != directory {
        return Ok(OwnFiles::LeftOut("only a part of the checkout is taken"));
    }
    let dot = directory.join(".git");
    let is_directory = dot.symlink_metadata().is_ok_and(|entry| entry.is_dir());
    if !is_directory {
        let back = std::fs::read_to_string(places.checkout.join("gitdir")).unwrap_or_default();
        let knows = std::fs::canonicalize(back.trim()).is_ok_and(|back| back == dot);
        let worktree = line(directory, &["config", "--local", "core.worktree"]).await?;
        let is_module = worktree.is_some_and(|worktree| {
            std::fs::canonicalize(places.checkout.join(worktree)).is_ok_and(|at| at == directory)
        });
        if !knows && !is_module {
            return Ok(OwnFiles::LeftOut("it leads to a repository that does not know of it"));
        }
    }
    if places.shared.join("objects/info/alternates").exists() {
        return Ok(OwnFiles::LeftOut("it borrows objects from another repository"));
    }
    let pattern = "^(core\\.(repositoryformatversion|filemode|symlinks|autocrlf|eol|safecrlf|\
                   sparsecheckout|sparsecheckoutcone)|\
                   extensions\\.(objectformat|refstorage))$";
    let settings = match run(directory, &["config", "-z", "--get-regexp", pattern]).await {
        Ok(answer) => settings(&answer),
        Err(Failure::Said(_)) => Vec::new(),
        Err(failure) => return Err(git_error(failure)),
    };
    Ok(OwnFiles::Taken {
        checkout: places.checkout.clone(),
        shared: places.shared.clone(),
        settings,
    })
}

/// Names and values of settings, of which only plain words are taken.
fn settings(answer: &[u8]) -> Vec<(String, String)> {
    let is_plain = |value: &str| {
        !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    answer
        .split(|byte| *byte == 0)
        .filter_map(|record| std::str::from_utf8(record).ok()?.split_once('\n'))
        .filter(|(_, value)| is_plain(value))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What a name stands for that git lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    /// A file or a link.
    File,
    /// A submodule of the checkout.
    Module,
    /// A repository that the checkout does not know of.
    Repository,
}

/// The names of a checkout's files, as git has them. What is tracked and what is not
/// are two questions asked at once: the first one tells submodules from files, which
/// would otherwise take a look at each file.
async fn list(directory: &Path, files: SeedFiles) -> Result<Vec<(Vec<u8>, Listed)>, OpError> {
    let others = async {
        if files != SeedFiles::Unignored {
            return Ok(Vec::new());
        }
        run(directory, &["ls-files", "-z", "--others", "--exclude-standard"]).await
    };
    let tracked = run(directory, &["ls-files", "-z", "--cached", "--stage"]);
    let (tracked, others) = tokio::try_join!(tracked, others).map_err(git_error)?;
    let mut names: Vec<(Vec<u8>, Listed)> = tracked_names(&tracked).collect();
    for name in others.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let listed = if name.ends_with(b"/") { Listed::Repository } else { Listed::File };
        names.push((name.to_vec(), listed));
    }
    // While a merge is not resolved, a file is listed once for each side.
    names.sort_unstable();
    names.dedup_by(|one, other| one.0 == other.0);
    Ok(names)
}

/// The names in an index as `ls-files --stage` tells it: mode, object and stage, a
/// tab, the name.
fn tracked_names(answer: &[u8]) -> impl Iterator<Item = (Vec<u8>, Listed)> {
    /// The mode of a commit of another repository.
    const MODULE: &[u8] = b"160000 ";
    answer.split(|byte| *byte == 0).filter_map(|entry| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        let listed = if entry.starts_with(MODULE) { Listed::Module } else { Listed::File };
        Some((entry.get(tab + 1..)?.to_vec(), listed))
    })
}

/// A question that is answered by one line, or not at all.
pub(super) async fn line(directory: &Path, question: &[&str]) -> Result<Option<String>, OpError> {
    Git::of_operator(directory).line(question).await.map_err(git_error)
}

/// Those of some names, each with a NUL byte behind it, that are ignored.
pub(super) async fn ignored(directory: &Path, names: Vec<u8>) -> Result<Vec<u8>, OpError> {
    match Git::of_operator(directory).ask(&["check-ignore", "-z", "--stdin"], names).await {
        Ok(answer) => Ok(answer),
        // None of them: then it says nothing.
        Err(Failure::Said(text)) if text.is_empty() => Ok(Vec::new()),
        Err(failure) => Err(git_error(failure)),
    }
}

/// Merges three texts, files in a directory of ours: the first side, what both began
/// with, the other side. `None` if both sides changed the same lines.
pub(crate) async fn merge_texts(
    directory: &Path,
    [ours, base, theirs]: [&str; 3],
) -> Result<Option<Vec<u8>>, OpError> {
    let question = ["merge-file", "--quiet", "--stdout", ours, base, theirs];
    match run(directory, &question).await {
        Ok(merged) => Ok(Some(merged)),
        // Conflicts are all that it fails with and says nothing about.
        Err(Failure::Said(text)) if text.is_empty() => Ok(None),
        Err(failure) => Err(git_error(failure)),
    }
}

/// Asks git and takes its answer.
pub(super) async fn run(directory: &Path, question: &[&str]) -> Result<Vec<u8>, Failure> {
    Git::of_operator(directory).run(question).await
}

fn not_usable(error: &dyn std::error::Error) -> OpError {
    OpError::new(ErrorKind::InvalidRequest, error).during("the checkout cannot be taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_tells_submodules_from_files() {
        let answer = b"100644 aa 0\ta\tb\x00160000 bb 0\tmodule\x00120000 cc 2\tlink\0";
        let names: Vec<_> = tracked_names(answer).collect();
        let named = |name: &[u8], listed| (name.to_vec(), listed);
        assert_eq!(
            names,
            [
                named(b"a\tb", Listed::File),
                named(b"module", Listed::Module),
                named(b"link", Listed::File)
            ]
        );
    }

    #[test]
    fn settings_that_could_do_more_are_dropped() {
        let answer = b"core.filemode\ntrue\0core.eol\nlf\n[remote \"x\"]\0core.autocrlf\n\0";
        assert_eq!(settings(answer), [("core.filemode".to_owned(), "true".to_owned())]);
    }
}
