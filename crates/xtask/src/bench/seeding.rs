//! A large repository as a seed, beside what copying it costs on the host.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hotcell::Seed;
use hotcell::operations::Create;
use serde::Serialize;
use tempfile::TempDir;

use super::SHAPE;
use super::figures::{Figure, Report, Target};
use super::product::{Product, milliseconds, run};
use super::repository::Repository;

/// Times of one round.
#[derive(Debug, Serialize)]
struct Sample {
    archive_ms: f64,
    first_ms: f64,
    cached_ms: f64,
    /// Of an empty directory: `/workspace` is mounted there, too.
    empty_ms: f64,
}

/// Measures some rounds.
pub(super) async fn measure(
    product: &Product<'_>,
    repository: &Repository,
    rounds: u32,
    report: &mut Report,
) -> Result<()> {
    let empty = TempDir::new_in(product.home)?;
    let mut samples = Vec::new();
    // The first round fills the host's caches, for both sides.
    for round in 0..=rounds {
        repository.commit(&round.to_string())?;
        let sample = sample(product, repository, empty.path()).await?;
        if round > 0 {
            samples.push(sample);
        }
    }
    let of = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<_>>();
    report.add(Figure {
        name: "seed of 20,000 files, first time",
        unit: "ms",
        product: of(|sample| sample.first_ms - sample.empty_ms),
        baseline: Some(("archive | tar", of(|sample| sample.archive_ms))),
        target: Some(Target::Factor(2.0)),
    });
    report.add(Figure {
        name: "create with that seed, cached",
        unit: "ms",
        product: of(|sample| sample.cached_ms),
        baseline: Some(("empty", of(|sample| sample.empty_ms))),
        target: Some(Target::Factor(1.2)),
    });
    Ok(())
}

async fn sample(product: &Product<'_>, repository: &Repository, empty: &Path) -> Result<Sample> {
    let seed = Seed::from_path(repository.path.display().to_string());
    let empty = Seed::from_path(empty.display().to_string());
    let first_ms = created(product, seed.clone()).await?;
    let cached_ms = created(product, seed).await?;
    let empty_ms = created(product, empty).await?;
    let copy = TempDir::new_in(product.home)?;
    Ok(Sample {
        archive_ms: archive(&repository.path, copy.path())?,
        first_ms,
        cached_ms,
        empty_ms,
    })
}

/// From the request until a command has seen `/workspace`.
async fn created(product: &Product<'_>, seed: Seed) -> Result<f64> {
    let begun = Instant::now();
    let create = Create { seed, ..Create::new(product.environment.clone()).with_shape(SHAPE) };
    let workspace = product.client.create(create).await?;
    run(&workspace, &["ls", "/workspace"]).await?;
    let elapsed = milliseconds(begun);
    workspace.delete().await?;
    Ok(elapsed)
}

/// `git archive HEAD | tar x`.
fn archive(repository: &Path, to: &Path) -> Result<f64> {
    let begun = Instant::now();
    let mut git = Command::new("git")
        .args(["archive", "HEAD"])
        .current_dir(repository)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start git")?;
    let pipe = git.stdout.take().context("git has no output")?;
    let tar = Command::new("tar").arg("-x").current_dir(to).stdin(pipe).status()?;
    let elapsed = milliseconds(begun);
    ensure!(git.wait()?.success() && tar.success(), "git archive | tar x failed");
    Ok(elapsed)
}
