//! Snapshots, resets and forks: how long the source stands still, how long it
//! takes until each copy works, and what a copy costs.

use std::time::Instant;

use anyhow::{Context, Result};
use hotcell::operations::Fork;
use hotcell::{Call, SnapshotName, Workspace};
use serde::Serialize;

use super::figures::{Figure, Report, Target, median};
use super::product::{Product, kibibytes, milliseconds, run, to_milliseconds};
use super::{LARGE, floor};

/// Gibibytes of the larger shape.
const LARGE_GIB: f64 = 2.0;

/// Medians of one round.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pause_ms: f64,
    snapshot_ms: f64,
    fork_ms: f64,
    next_child_ms: f64,
    reset_ms: f64,
    large_pause_ms: f64,
    large_fork_ms: f64,
    child_mib: f64,
    child_disk_kib: f64,
}

/// A child that has run its first command.
struct Child {
    workspace: Workspace,
    elapsed_ms: f64,
    pause_ms: Option<f64>,
}

/// One round.
pub(super) async fn measure(product: &Product<'_>) -> Result<Sample> {
    let source = product.create().await?;
    run(&source, &["true"]).await?;
    let (mut pauses, mut snapshots, mut forks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut children, mut resets) = (Vec::new(), Vec::new());
    let (mut memory, mut disk) = (Vec::new(), Vec::new());
    for number in 0..product.runs {
        let child = first_command(product, Fork::new(source.id().into())).await?;
        forks.push(child.elapsed_ms);
        pauses.extend(child.pause_ms);
        disk.push(kibibytes(child.workspace.status().await?.disk_bytes));
        let used = product.memory(&child.workspace)?;
        memory.push((used.monitor_kib + used.keeper_kib) / 1024.0);
        child.workspace.delete().await?;

        let begun = Instant::now();
        let name: SnapshotName = format!("bench-{number}").parse()?;
        let taken = source.snapshot(name.clone()).await?;
        snapshots.push(milliseconds(begun));
        pauses.push(to_milliseconds(taken.pause_us));

        let fork = Fork::new(source.id().into()).with_from(name.clone());
        let child = first_command(product, fork).await?;
        children.push(child.elapsed_ms);
        child.workspace.delete().await?;

        let begun = Instant::now();
        source.reset_to(hotcell::SnapshotRef::Named(name)).await?;
        run(&source, &["true"]).await?;
        resets.push(milliseconds(begun));
    }
    source.delete().await?;
    let (large_pauses, large_forks) = large(product).await?;
    Ok(Sample {
        pause_ms: median(&pauses),
        snapshot_ms: median(&snapshots),
        fork_ms: median(&forks),
        next_child_ms: median(&children),
        reset_ms: median(&resets),
        large_pause_ms: median(&large_pauses),
        large_fork_ms: median(&large_forks),
        child_mib: median(&memory),
        child_disk_kib: median(&disk),
    })
}

/// Pauses and forks of a workspace with more memory.
async fn large(product: &Product<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
    let source = product.create_of(LARGE).await?;
    run(&source, &["true"]).await?;
    let (mut pauses, mut forks) = (Vec::new(), Vec::new());
    for _ in 0..product.runs {
        let child = first_command(product, Fork::new(source.id().into())).await?;
        pauses.extend(child.pause_ms);
        forks.push(child.elapsed_ms);
        child.workspace.delete().await?;
    }
    source.delete().await?;
    Ok((pauses, forks))
}

/// Forks one child and has it run a command.
async fn first_command(product: &Product<'_>, fork: Fork) -> Result<Child> {
    let begun = Instant::now();
    let forked = product.client.call(fork, &mut Call::quiet()).await?;
    let child = forked.children.first().context("a fork without children")?;
    let workspace = product.client.workspace(child.id.into()).await?;
    run(&workspace, &["true"]).await?;
    let elapsed_ms = milliseconds(begun);
    Ok(Child { workspace, elapsed_ms, pause_ms: forked.pause_us.map(to_milliseconds) })
}

/// Adds the figures.
pub(super) fn figures(samples: &[Sample], floors: &[floor::Sample], report: &mut Report) {
    let ours = |of: fn(&Sample) -> f64| samples.iter().map(of).collect::<Vec<_>>();
    let floor = |of: fn(&floor::Sample) -> f64| Some(("floor", floors.iter().map(of).collect()));
    let mut add = |name, unit, product, baseline, target| {
        report.add(Figure { name, unit, product, baseline, target });
    };
    let pause = Some(Target::AtMost(15.0));
    add("pause of a copy's source, 256 MiB", "ms", ours(|sample| sample.pause_ms), None, pause);
    add("pause of a copy's source, 2 GiB", "ms", ours(|sample| sample.large_pause_ms), None, pause);
    add("snapshot, until it is on disk", "ms", ours(|sample| sample.snapshot_ms), None, None);
    let second = Some(Target::AtMost(1000.0));
    add("fork → first command in the child", "ms", ours(|sample| sample.fork_ms), None, second);
    let per_gib = ours(|sample| sample.large_fork_ms / LARGE_GIB);
    add("… with 2 GiB, per GiB", "ms", per_gib, None, None);
    add(
        "next child → its first command",
        "ms",
        ours(|sample| sample.next_child_ms),
        floor(|floor| floor.resume_to_first_exec_ms),
        Some(Target::Factor(2.0)),
    );
    add(
        "reset to a snapshot → first command",
        "ms",
        ours(|sample| sample.reset_ms),
        floor(|floor| floor.resume_to_first_exec_ms),
        Some(Target::Factor(1.5)),
    );
    add(
        "private memory of an idle child",
        "MiB",
        ours(|sample| sample.child_mib),
        floor(|floor| floor.private_dirty_kib / 1024.0),
        Some(Target::Plus(12.0)),
    );
    let little = Some(Target::AtMost(1024.0));
    add("disk of a child", "KiB", ours(|sample| sample.child_disk_kib), None, little);
}
