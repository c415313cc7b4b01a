//! What is told of a tree that was taken.

use file_tree::{Entry, Kind};
use workspace_api::seed::{LeftOut, SeedReport, SeedSource, SizedPath};

/// A report that counts files of a list.
pub(super) fn of(
    source: SeedSource,
    origin: String,
    image: String,
    entries: &[Entry],
) -> SeedReport {
    let files = || entries.iter().filter(|entry| entry.kind == Kind::File);
    let mut largest: Vec<&Entry> = files().collect();
    largest.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.bytes));
    largest.truncate(SeedReport::LARGEST_MAX);
    let directories = entries
        .iter()
        .filter(|entry| entry.kind == Kind::Directory && !entry.path.is_root())
        .count() as u64;
    let root = entries.iter().filter(|entry| entry.path.is_root()).count() as u64;
    SeedReport {
        source,
        origin,
        commit: None,
        image,
        files: entries.len() as u64 - directories - root,
        directories,
        bytes: files().map(|entry| entry.bytes).sum(),
        history_bytes: 0,
        largest: largest
            .into_iter()
            .map(|entry| SizedPath { path: entry.path.to_string(), bytes: entry.bytes })
            .collect(),
        left_out: Vec::new(),
        left_out_total: 0,
        submodules: Vec::new(),
        lfs_pointers: Vec::new(),
        lfs_pointers_total: 0,
        cached: false,
    }
}

/// Notes that something was not taken.
pub(super) fn leave_out(report: &mut SeedReport, path: impl ToString, reason: impl Into<String>) {
    report.left_out_total += 1;
    if report.left_out.len() < SeedReport::LIST_MAX {
        report.left_out.push(LeftOut { path: path.to_string(), reason: reason.into() });
    }
}

/// Notes a pointer of Git LFS.
pub(super) fn lfs_pointer(report: &mut SeedReport, path: impl ToString) {
    report.lfs_pointers_total += 1;
    if report.lfs_pointers.len() < SeedReport::LIST_MAX {
        report.lfs_pointers.push(path.to_string());
    }
}
