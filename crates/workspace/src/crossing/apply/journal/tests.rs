//! Deaths and disturbances at every step.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

/// What a checkout has before and after: names and contents; a link's begins with
/// an arrow, the name of a directory with nothing in it ends with a slash.
const OLD: &[(&str, &str)] = &[
    ("becomes", "a directory"),
    ("changed", "old"),
    ("emptied/file", "going"),
    ("gone/deep/file", "going"),
    ("gone/other", "stays"),
    ("swap", "->x"),
    ("turns", "a file"),
];
const NEW: &[(&str, &str)] = &[
    ("bare/inner/", ""),
    ("becomes/", ""),
    ("changed", "new"),
    ("emptied/", ""),
    ("gone/other", "stays"),
    ("made/here/file", "made"),
    ("swap", "text"),
    ("turns/into/one", "with a file"),
];

/// The removals come first, then what is put, in its order.
const STEPS: usize = 8;
const BEFORE_CHANGED: usize = 5;

struct Scene {
    _directory: tempfile::TempDir,
    home: Home,
    checkout: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(&directory.path().join("home")).unwrap();
        let checkout = directory.path().join("checkout");
        for (name, content) in OLD {
            let at = checkout.join(name);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            match content.strip_prefix("->") {
                Some(target) => symlink(target, at).unwrap(),
                None => fs::write(at, content).unwrap(),
            }
        }
        Self { _directory: directory, home, checkout }
    }

    fn changes(&self) -> Changes {
        let mut changes = Changes::begin(&self.home, &self.checkout).unwrap();
        let root = Root::open(&self.checkout).unwrap();
        let path = |name: &str| TreePath::parse(name.as_bytes()).unwrap();
        let old = |name: &str| root.find(&path(name)).unwrap();
        let new = Permissions::New { executable: false };
        let mut put = |name: &str, content: &str| {
            let mut content = content.as_bytes();
            changes.put_file(&path(name), old(name).as_ref(), &mut content, new).unwrap();
        };
        put("made/here/file", "made");
        put("changed", "new");
        put("swap", "text");
        put("turns/into/one", "with a file");
        for name in ["gone/deep/file", "emptied/file", "becomes", "turns"] {
            changes.remove(&path(name), &old(name).unwrap()).unwrap();
        }
        for name in ["becomes", "bare/inner", "emptied"] {
            changes.make_directory(&path(name)).unwrap();
        }
        changes
    }

    /// Decides the changes, does some of their steps, or all and the directories, and
    /// is killed.
    fn killed_after(&self, steps: usize) {
        let mut changes = self.changes();
        changes.decided.steps.sort_by_key(|step| step.new.is_some());
        changes.decided.directories = changes.missing_directories().unwrap();
        let all = std::mem::take(&mut changes.decided);
        let mut some = Decided::default();
        if steps > STEPS {
            some.empty.clone_from(&all.empty);
        }
        some.steps = all.steps[..steps.min(STEPS)].to_vec();
        changes.journal.decided = Some(all);
        write(&changes.records, &changes.journal).unwrap();
        forward(&changes.root, &changes.staging, &some).unwrap();
        // Dropping what is decided leaves it as SIGKILL does.
    }

    fn tree(&self) -> Vec<(String, String)> {
        fn walk(at: &Path, below: &Path, found: &mut Vec<(String, String)>) {
            for child in fs::read_dir(at).unwrap().flatten() {
                let path = child.path();
                let name = path.strip_prefix(below).unwrap().to_str().unwrap().to_owned();
                let kind = child.file_type().unwrap();
                if kind.is_dir() {
                    let before = found.len();
                    walk(&path, below, found);
                    if found.len() == before {
                        found.push((format!("{name}/"), String::new()));
                    }
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).unwrap();
                    found.push((name, format!("->{}", target.display())));
                } else {
                    found.push((name, fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.checkout, &self.checkout, &mut found);
        found.sort();
        found
    }

    #[track_caller]
    fn is(&self, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()))
            .collect();
        assert_eq!(self.tree(), expected);
        let left = fs::read_dir(self.home.applies()).unwrap().flatten();
        for records in left {
            assert!(!records.path().join(JOURNAL).exists(), "a journal is left");
        }
    }
}

#[test]
fn all_changes_are_carried_out() {
    let scene = Scene::new();
    let at = scene.checkout.join("changed");
    fs::set_permissions(&at, fs::Permissions::from_mode(0o640)).unwrap();
    let mut changes = scene.changes();
    let path = TreePath::parse(b"script").unwrap();
    let permissions = Permissions::Of { mode: 0o4640, executable: true };
    changes.put_file(&path, None, &mut &b"#!"[..], permissions).unwrap();
    changes.commit().unwrap();
    let script = scene.checkout.join("script");
    assert_eq!(fs::metadata(&script).unwrap().mode() & 0o7777, 0o750);
    fs::remove_file(script).unwrap();
    scene.is(NEW);
    assert!(!scene.checkout.join("gone/deep").exists(), "an empty directory is left");
}

#[test]
fn what_was_killed_before_it_was_decided_is_gone() {
    let scene = Scene::new();
    // Its lock is held for as long as this process lives: nobody else settles it.
    std::mem::forget(scene.changes());
    settle_all(&scene.home);
    assert_ne!(scene.tree().len(), OLD.len());
    let records = fs::read_dir(scene.home.applies()).unwrap().next().unwrap().unwrap().path();
    settle(&records).unwrap();
    scene.is(OLD);
}

#[test]
fn what_was_decided_is_completed_wherever_it_was_killed() {
    for steps in 0..=STEPS + 1 {
        let scene = Scene::new();
        scene.killed_after(steps);
        settle_all(&scene.home);
        scene.is(NEW);
        settle_all(&scene.home);
        scene.is(NEW);
    }
}

#[test]
fn a_change_of_somebody_else_is_kept_and_the_rest_undone() {
    for steps in 0..=BEFORE_CHANGED {
        let scene = Scene::new();
        scene.killed_after(steps);
        // In place, so that the inode says nothing.
        let at = scene.checkout.join("changed");
        assert_eq!(fs::read_to_string(&at).unwrap(), "old");
        fs::write(&at, "mine").unwrap();
        settle_all(&scene.home);
        let mut expected = OLD.to_vec();
        expected[1] = ("changed", "mine");
        scene.is(&expected);
    }
}

#[test]
fn what_can_neither_be_done_nor_undone_stays_and_is_told() {
    let scene = Scene::new();
    scene.killed_after(BEFORE_CHANGED + 1);
    let at = scene.checkout.join("changed");
    assert_eq!(fs::read_to_string(&at).unwrap(), "new");
    // Their work on the new content, and something in the way of the last step.
    fs::write(&at, "mine, on top").unwrap();
    fs::remove_file(scene.checkout.join("swap")).unwrap();
    fs::write(scene.checkout.join("swap"), "mine").unwrap();
    settle_all(&scene.home);
    let Err(error) = Changes::begin(&scene.home, &scene.checkout) else { panic!("it is settled") };
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.hints.iter().any(|hint| hint.contains(".hotcell-apply-")), "{error}");
    assert_eq!(fs::read_to_string(&at).unwrap(), "mine, on top");
    assert_eq!(fs::read_to_string(scene.checkout.join("swap")).unwrap(), "mine");
}

#[test]
fn a_file_that_changed_since_it_was_judged_stops_everything() {
    let scene = Scene::new();
    let changes = scene.changes();
    fs::write(scene.checkout.join("changed"), "mine").unwrap();
    let error = changes.commit().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    let mut expected = OLD.to_vec();
    expected[1] = ("changed", "mine");
    scene.is(&expected);
}

#[test]
fn what_is_in_the_way_of_a_directory_stops_everything() {
    let scene = Scene::new();
    let mut changes = scene.changes();
    changes.make_directory(&TreePath::parse(b"gone/other/deep").unwrap()).unwrap();
    assert!(changes.commit().is_err());
    scene.is(OLD);
}

#[test]
fn a_link_that_appears_on_the_way_is_not_followed() {
    let scene = Scene::new();
    let outside = tempfile::tempdir().unwrap();
    let changes = scene.changes();
    symlink(outside.path(), scene.checkout.join("made")).unwrap();
    assert_eq!(changes.commit().unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::remove_file(scene.checkout.join("made")).unwrap();
    scene.is(OLD);
}

#[test]
fn a_forged_journal_writes_nothing_of_gits_own() {
    for path in [".git/hooks/x", "../x", "/etc/x", "a/.GIT"] {
        assert!(parsed(path).is_err(), "{path}");
    }
}
