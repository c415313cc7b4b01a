//! Whether copies become slower as a workspace is copied again and again.
//!
//! At the end of the row, each copy of the workspace is made
//! in turns with one of a fresh workspace that was never copied. So what is compared
//! happens at the same time, whatever else this machine does.

use std::time::Instant;

use anyhow::{Context, Result};
use hotcell::operations::Fork;
use hotcell::{Call, SnapshotName, Workspace, snapshot};

use super::figures::{Figure, Report, Target};
use super::product::{Product, kibibytes, milliseconds, run, to_milliseconds};

/// How many of the last copies are compared with those of fresh workspaces.
const ENDS: u32 = 10;

/// How many snapshots are there at once; a workspace has room for 64.
const KEPT: u32 = 10;

/// What one fork and one snapshot took.
#[derive(Debug, Clone, Copy)]
struct Copied {
    fork_ms: f64,
    snapshot_ms: f64,
    pause_ms: f64,
    exec_ms: f64,
}

/// Makes `count` forks and as many snapshots of one workspace.
pub(super) async fn measure(product: &Product<'_>, count: u32, report: &mut Report) -> Result<()> {
    let source = product.create().await?;
    run(&source, &["true"]).await?;
    let disk = source.status().await?.disk_bytes;
    let (mut late, mut fresh) = (Vec::new(), Vec::new());
    for number in 0..count {
        let is_late = number + ENDS >= count;
        if is_late {
            let never = product.create().await?;
            run(&never, &["true"]).await?;
            fresh.push(copy(product, &never, number).await?);
            never.delete().await?;
        }
        let copied = copy(product, &source, number).await?;
        if is_late {
            late.push(copied);
        }
        if let Some(old) = number.checked_sub(KEPT) {
            let delete = snapshot::Delete { workspace: source.id().into(), name: name(old)? };
            product.client.call(delete, &mut Call::quiet()).await?;
        }
    }
    let grown = source.status().await?.disk_bytes.saturating_sub(disk);
    source.delete().await?;
    let mut beside = |name, of: fn(&Copied) -> f64| {
        report.add(Figure {
            name,
            unit: "ms",
            product: late.iter().map(of).collect(),
            baseline: Some(("fresh", fresh.iter().map(of).collect())),
            target: Some(Target::Factor(1.1)),
        });
    };
    beside("hundredth fork → first command", |copied| copied.fork_ms);
    beside("… its source's pause", |copied| copied.pause_ms);
    beside("… a command in its child", |copied| copied.exec_ms);
    beside("hundredth snapshot", |copied| copied.snapshot_ms);
    report.add(Figure {
        name: "… disk of each snapshot that is kept",
        unit: "MiB",
        product: vec![kibibytes(grown) / 1024.0 / f64::from(KEPT.min(count))],
        baseline: None,
        target: None,
    });
    Ok(())
}

async fn copy(product: &Product<'_>, source: &Workspace, number: u32) -> Result<Copied> {
    let begun = Instant::now();
    let forked = product.client.call(Fork::new(source.id().into()), &mut Call::quiet()).await?;
    let child = forked.children.first().context("a fork without children")?;
    let child = product.client.workspace(child.id.into()).await?;
    run(&child, &["true"]).await?;
    let fork_ms = milliseconds(begun);
    let begun = Instant::now();
    run(&child, &["true"]).await?;
    let exec_ms = milliseconds(begun);
    child.delete().await?;
    let begun = Instant::now();
    source.snapshot(name(number)?).await?;
    let snapshot_ms = milliseconds(begun);
    let pause_ms = to_milliseconds(forked.pause_us.unwrap_or_default());
    Ok(Copied { fork_ms, snapshot_ms, pause_ms, exec_ms })
}

fn name(number: u32) -> Result<SnapshotName> {
    Ok(format!("copy-{number}").parse()?)
}
