//! Snapshots, resets and forks: how long the source stands still, and how long
//! it takes until each copy works.

use std::time::Instant;

use anyhow::{Context, Result};
use hotcell::operations::Fork;
use hotcell::{Call, SnapshotName, Workspace};
use serde::Serialize;

use super::figures::{Figure, Report, Target, median};
use super::floor;
use super::product::{Product, milliseconds, run};

/// Medians of one round.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pause_ms: f64,
    snapshot_ms: f64,
    fork_ms: f64,
    next_child_ms: f64,
    reset_ms: f64,
}

/// One round.
pub(super) async fn measure(product: &Product<'_>) -> Result<Sample> {
    let source = product.create().await?;
    run(&source, &["true"]).await?;
    let (mut pauses, mut snapshots, mut forks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut children, mut resets) = (Vec::new(), Vec::new());
    for number in 0..product.runs {
        let begun = Instant::now();
        let fork = Fork::new(source.id().into());
        pauses.extend(first_command(product, fork, begun, &mut forks).await?);

        let begun = Instant::now();
        let name: SnapshotName = format!("bench-{number}").parse()?;
        let taken = source.snapshot(name.clone()).await?;
        snapshots.push(milliseconds(begun));
        pauses.push(to_milliseconds(taken.pause_us));

        let begun = Instant::now();
        let fork = Fork::new(source.id().into()).with_from(name.clone());
        first_command(product, fork, begun, &mut children).await?;

        let begun = Instant::now();
        source.reset_to(hotcell::SnapshotRef::Named(name)).await?;
        run(&source, &["true"]).await?;
        resets.push(milliseconds(begun));
    }
    source.delete().await?;
    Ok(Sample {
        pause_ms: median(&pauses),
        snapshot_ms: median(&snapshots),
        fork_ms: median(&forks),
        next_child_ms: median(&children),
        reset_ms: median(&resets),
    })
}

/// Forks one child and has it run a command; how long the source stood still.
async fn first_command(
    product: &Product<'_>,
    fork: Fork,
    begun: Instant,
    times: &mut Vec<f64>,
) -> Result<Option<f64>> {
    let forked = product.client.call(fork, &mut Call::quiet()).await?;
    let child = forked.children.first().context("a fork without children")?;
    let child: Workspace = product.client.workspace(child.id.into()).await?;
    run(&child, &["true"]).await?;
    times.push(milliseconds(begun));
    child.delete().await?;
    Ok(forked.pause_us.map(to_milliseconds))
}

/// Adds the figures.
pub(super) fn figures(samples: &[Sample], floors: &[floor::Sample], report: &mut Report) {
    let ours = |of: fn(&Sample) -> f64| samples.iter().map(of).collect();
    let floors = || floors.iter().map(|sample| sample.resume_to_first_exec_ms).collect();
    report.add(Figure {
        name: "pause of a snapshot's or fork's source",
        unit: "ms",
        product: ours(|sample| sample.pause_ms),
        baseline: None,
        target: Some(Target::AtMost(15.0)),
    });
    report.add(Figure {
        name: "snapshot, until it is on disk",
        unit: "ms",
        product: ours(|sample| sample.snapshot_ms),
        baseline: None,
        target: None,
    });
    report.add(Figure {
        name: "fork → first command in the child",
        unit: "ms",
        product: ours(|sample| sample.fork_ms),
        baseline: None,
        target: Some(Target::AtMost(1000.0)),
    });
    report.add(Figure {
        name: "next child → its first command",
        unit: "ms",
        product: ours(|sample| sample.next_child_ms),
        baseline: Some(("floor", floors())),
        target: Some(Target::Factor(2.0)),
    });
    report.add(Figure {
        name: "reset to a snapshot → first command",
        unit: "ms",
        product: ours(|sample| sample.reset_ms),
        baseline: Some(("floor", floors())),
        target: Some(Target::Factor(1.5)),
    });
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn to_milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}
