//! Everything that there is of a home: the one place that knows what could be left
//! over.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What there is of a home, comparable with what there was of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// Processes that have something of its open, or were started for it.
    pub(crate) processes: BTreeSet<String>,
    /// Files of its that somebody has locked.
    pub(crate) locks: BTreeSet<PathBuf>,
    /// Sockets that somebody listens on, by their paths.
    pub(crate) sockets: BTreeSet<String>,
    /// Files and directories, but for the database's own.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Workspaces on record, and what is kept of them elsewhere in the database.
    pub(crate) rows: BTreeSet<String>,
}

impl Inventory {
    /// Takes it. Links are not followed, so what a home shares is not counted.
    pub(crate) fn of(home: &Path) -> Self {
        let files = files(home);
        Self {
            processes: processes(home),
            locks: locks(home, &files),
            sockets: sockets(home),
            rows: rows(home),
            files: files
                .into_iter()
                .map(|path| path.strip_prefix(home).unwrap().to_owned())
                .filter(|path| !path.to_string_lossy().starts_with("hotcell.sqlite"))
                .collect(),
        }
    }
}

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    // What goes away while it is looked at is gone.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

fn processes(home: &Path) -> BTreeSet<String> {
    let is_inside = |path: PathBuf| path.starts_with(home);
    let mut found = BTreeSet::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        if pid == std::process::id() {
            continue;
        }
        let links = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let uses = links.filter_map(|link| fs::read_link(link.path()).ok()).any(is_inside)
            || fs::read_link(process.path().join("cwd")).is_ok_and(is_inside);
        if uses {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.insert(format!("{pid} {}", name.trim()));
        }
    }
    found
}

/// As `/proc/locks` has them: by the numbers of device and file.
fn locks(home: &Path, files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let text = fs::read_to_string("/proc/locks").unwrap();
    let locked: BTreeSet<u64> = text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.matches(':').count() == 2))
        .filter_map(|place| place.rsplit(':').next()?.parse().ok())
        .collect();
    let is_locked = |path: &PathBuf| {
        // SQLite's are not held by anybody's life.
        !path.to_string_lossy().contains("hotcell.sqlite")
            && path.symlink_metadata().is_ok_and(|file| locked.contains(&file.ino()))
    };
    let found = files.iter().filter(|path| is_locked(path));
    found.map(|path| path.strip_prefix(home).unwrap().to_owned()).collect()
}

fn sockets(home: &Path) -> BTreeSet<String> {
    let home = home.to_string_lossy();
    let text = fs::read_to_string("/proc/net/unix").unwrap();
    let paths = text.lines().filter_map(|line| line.split_whitespace().nth(7));
    paths.filter(|path| path.starts_with(&*home)).map(str::to_owned).collect()
}

fn rows(home: &Path) -> BTreeSet<String> {
    let Ok(database) = rusqlite::Connection::open(home.join("hotcell.sqlite")) else {
        return BTreeSet::new();
    };
    let known = "SELECT id FROM workspaces UNION SELECT id FROM tombstones";
    let queries = [
        "SELECT 'workspace ' || id || ' ' || state FROM workspaces".to_owned(),
        format!(
            "SELECT DISTINCT 'orphan ' || workspace FROM events WHERE workspace NOT IN ({known})"
        ),
    ];
    let mut found = BTreeSet::new();
    for query in queries {
        let Ok(mut statement) = database.prepare(&query) else { continue };
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        found.extend(rows.map(Result::unwrap));
    }
    found
}
