//! Where things are kept between runs: below the user's cache directory, apart
//! from the user's own workspaces.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use environment::{
    BuildOptions, Cancel, EnvironmentName, EnvironmentRecord, KernelRecord, Library, Phase,
    Progress, Rebuild,
};
use etcetera::BaseStrategy as _;
use rustix::fs::{FlockOperation, flock};

/// A directory of that name in the user's cache, created if it is missing.
pub(crate) fn directory(name: &str) -> Result<PathBuf> {
    let path = etcetera::choose_base_strategy()?.cache_dir().join(name);
    create_private(&path)?;
    Ok(path)
}

/// Creates a directory that only we can enter, and its parents.
pub(crate) fn create_private(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

/// Waits until no other task uses a directory; it is ours for as long as the
/// returned file is open.
pub(crate) fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("xtask.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!("waiting for another task that uses {}", directory.display());
        flock(&file, FlockOperation::LockExclusive)?;
    }
    Ok(file)
}

/// An empty directory, whatever a task that was killed has left in it.
pub(crate) fn emptied(path: PathBuf) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    create_private(&path)?;
    Ok(path)
}

/// Removes every entry of a directory but one: what an earlier content made.
pub(crate) fn keep_only(directory: &Path, kept: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path != kept {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The environment of that name made from exactly these packages, built if it
/// is missing or was made from others.
pub(crate) fn environment(
    library: &Library,
    name: &EnvironmentName,
    packages: &[&str],
) -> Result<EnvironmentRecord> {
    let made_from_these = |record: &EnvironmentRecord| {
        record.manifest.recipe.includes.iter().map(String::as_str).eq(packages.iter().copied())
    };
    let options = BuildOptions::default();
    let mut tell = teller(name.as_str());
    let cancel = Cancel::new();
    let built = library.build_packages(name, packages, &options, &mut tell, &cancel)?;
    if made_from_these(&built.record) {
        return Ok(built.record);
    }
    let options = BuildOptions { rebuild: Rebuild::Always, ..options };
    Ok(library.build_packages(name, packages, &options, &mut tell, &cancel)?.record)
}

/// A kernel, fetched if there is none.
pub(crate) fn kernel(library: &Library) -> Result<KernelRecord> {
    let options = BuildOptions::default();
    Ok(library.ensure_kernel(&options, &mut teller("kernel"), &Cancel::new())?)
}

/// Says once when a long piece of work enters another phase.
fn teller(what: &str) -> impl FnMut(Progress) + use<> {
    let what = what.to_owned();
    let mut last: Option<Phase> = None;
    move |progress| {
        if last != Some(progress.phase) {
            last = Some(progress.phase);
            eprintln!("  {what}: {:?}", progress.phase);
        }
    }
}
