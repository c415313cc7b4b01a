//! Creates, uses and deletes workspaces in a row, and looks at what changes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::{Connection, OpenFlags};

use super::figures::{Figure, Report, Target};
use super::processes;
use super::product::{Product, milliseconds, run};

/// How many of the first and of the last times are compared.
const ENDS: usize = 10;

/// How long keepers may take to be gone once their workspaces are.
const SETTLING: Duration = Duration::from_millis(500);

/// What a home and its users amount to.
#[derive(Debug)]
struct State {
    processes: u32,
    files: u32,
    listed: u32,
    rows: u32,
    client_kib: f64,
}

/// Adds what a row of workspaces leaves, and whether the last ones take longer
/// than the first ones.
pub(super) async fn measure(product: &Product<'_>, count: u32, report: &mut Report) -> Result<()> {
    let before = State::of(product).await?;
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let workspace = product.create().await?;
        run(&workspace, &["true"]).await?;
        workspace.delete().await?;
        times.push(milliseconds(begun));
    }
    tokio::time::sleep(SETTLING).await;
    let after = State::of(product).await?;
    let ends = ENDS.min(times.len());
    // Others use the machine too; what the product itself accumulates shows in
    // the fastest of several, which nobody disturbed.
    report.add(Figure {
        name: "create, exec, delete: best of last 10",
        unit: "ms",
        product: fastest(&times[times.len() - ends..]),
        baseline: Some(("first 10", fastest(&times[..ends]))),
        target: None,
    });
    let none_left = |name, before: u32, after: u32| Figure {
        name,
        unit: "",
        product: vec![f64::from(after) - f64::from(before)],
        baseline: None,
        target: Some(Target::AtMost(0.0)),
    };
    report.add(none_left("… left over: processes", before.processes, after.processes));
    report.add(none_left("… left over: files", before.files, after.files));
    report.add(none_left("… left over: workspaces listed", before.listed, after.listed));
    report.add(Figure {
        name: "… database rows more (tombstones)",
        unit: "",
        product: vec![f64::from(after.rows) - f64::from(before.rows)],
        baseline: None,
        target: None,
    });
    report.add(Figure {
        name: "… growth of the client's memory",
        unit: "KiB",
        product: vec![after.client_kib - before.client_kib],
        baseline: None,
        target: None,
    });
    Ok(())
}

fn fastest(times: &[f64]) -> Vec<f64> {
    times.iter().copied().min_by(f64::total_cmp).into_iter().collect()
}

impl State {
    async fn of(product: &Product<'_>) -> Result<Self> {
        Ok(Self {
            processes: u32::try_from(processes::users_of(product.home)?.len())?,
            files: files_below(&product.home.join("workspaces"))?,
            listed: u32::try_from(product.client.workspaces().await?.len())?,
            rows: rows_in(&product.home.join("hotcell.sqlite"))?,
            client_kib: processes::anonymous_kib(std::process::id())?,
        })
    }
}

fn files_below(directory: &Path) -> Result<u32> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        count += 1;
        if entry.file_type()?.is_dir() {
            count += files_below(&entry.path())?;
        }
    }
    Ok(count)
}

/// The rows of all tables. Deleted workspaces keep one each: a tombstone.
fn rows_in(database: &Path) -> Result<u32> {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut total = 0;
    for name in names {
        let count: u32 =
            database
                .query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0))?;
        total += count;
    }
    Ok(total)
}
