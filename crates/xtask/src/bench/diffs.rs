//! What changed in a large tree, beside what git says of it inside the guest.

use std::time::Instant;

use anyhow::{Result, ensure};
use hotcell::operations::Create;
use hotcell::{DiffFormat, Seed, Workspace};
use serde::Serialize;

use super::SHAPE;
use super::figures::{Figure, Report, Target};
use super::product::{Product, milliseconds, time};
use super::repository::{FILES, Repository};

/// How many files change.
const CHANGED: usize = 20;

/// Times of one round.
#[derive(Debug, Serialize)]
struct Sample {
    git_ms: f64,
    status_ms: f64,
    patch_ms: f64,
}

/// Measures some rounds in one workspace.
pub(super) async fn measure(
    product: &Product<'_>,
    repository: &Repository,
    rounds: u32,
    report: &mut Report,
) -> Result<()> {
    let seed = Seed::from_path(repository.path.display().to_string());
    let create = Create { seed, ..Create::new(product.environment.clone()).with_shape(SHAPE) };
    let workspace = product.client.create(create).await?;
    change(&workspace).await?;
    let mut samples = Vec::new();
    // The first round fills the caches, for both sides: git's index is one of them.
    for round in 0..=rounds {
        let sample = Sample {
            git_ms: time(&workspace, &["git", "-C", "/workspace", "status", "--porcelain"]).await?,
            status_ms: told(&workspace, DiffFormat::Status).await?,
            patch_ms: told(&workspace, DiffFormat::Patch).await?,
        };
        if round > 0 {
            samples.push(sample);
        }
    }
    workspace.delete().await?;
    let of = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<_>>();
    report.add(Figure {
        name: "diff of 20 changes in 20,000 files",
        unit: "ms",
        product: of(|sample| sample.status_ms),
        baseline: Some(("git status", of(|sample| sample.git_ms))),
        target: Some(Target::Factor(3.0)),
    });
    report.add(Figure {
        name: "… as a patch",
        unit: "ms",
        product: of(|sample| sample.patch_ms),
        baseline: Some(("git status", of(|sample| sample.git_ms))),
        target: Some(Target::Factor(3.0)),
    });
    Ok(())
}

/// Changes files all over the tree.
async fn change(workspace: &Workspace) -> Result<()> {
    let numbers = (0..CHANGED).map(|change| change * (FILES / CHANGED));
    let paths: Vec<String> = numbers.map(Repository::file).collect();
    let script =
        format!("cd /workspace && for f in {}; do echo changed >> $f; done", paths.join(" "));
    super::product::run(workspace, &["sh", "-ec", &script]).await
}

async fn told(workspace: &Workspace, format: DiffFormat) -> Result<f64> {
    let begun = Instant::now();
    let difference = workspace.diff(format).await?;
    let elapsed = milliseconds(begun);
    ensure!(difference.changes.len() == CHANGED, "{} changes", difference.changes.len());
    Ok(elapsed)
}
