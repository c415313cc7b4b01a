use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use batch_git::capture::SCRIPT;
use batch_git::{Finding, GitError, Limits};

use crate::scene::*;

#[test]
fn commits_index_and_untracked_files_arrive_with_their_authors() {
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    write(&lane, "committed", "committed\n");
    git(&lane, &["add", "--all"]);
    let by = ["-c", "user.name=Agent", "-c", "user.email=agent@example.org"];
    git(&lane, &[&by[..], &["commit", "--quiet", "--message=by the agent"]].concat());
    git(&lane, &["branch", "idea"]);
    write(&lane, "lines", "stashed\n");
    git(&lane, &["stash", "--quiet"]);
    write(&lane, "staged", "staged\n");
    git(&lane, &["add", "--all"]);
    write(&lane, "staged", "staged, then changed\n");
    write(&lane, "untracked/deep", "untracked\n");
    write(&lane, "built", "ignored\n");
    fs::remove_file(lane.join("src/code")).unwrap();
    let status = git(&lane, &["status", "--porcelain"]);
    let bundle = scene.captured(&lane);
    assert_eq!(git(&lane, &["status", "--porcelain"]), status, "capturing changes nothing");

    let received = scene.receive(1, &bundle).unwrap();
    assert_eq!(received.head.as_str(), git(&lane, &["rev-parse", "HEAD"]));
    assert_eq!((received.commits, received.changed), (1, 4));
    assert_eq!(received.findings, []);
    // The same bundle, and the same state captured again, are the same; also if whoever
    // held locks there was killed.
    assert_eq!(scene.receive(1, &bundle).unwrap(), received);
    for lock in ["index.lock", "config.lock", "refs/hotcell/work.lock"] {
        write(&lane, &format!(".git/{lock}"), "");
    }
    assert!(!git_may(&lane, &["config", "user.name", "Agent"]));
    assert_eq!(scene.receive(1, &scene.captured(&lane)).unwrap(), received);
    assert!(git_may(&lane, &["config", "user.name", "Agent"]), "the next context can go on");
    let captures = git(scene.store.path(), &["for-each-ref", "--format=%(refname:lstrip=8)"]);
    let captures: Vec<&str> = captures.lines().filter(|name| !name.is_empty()).collect();
    assert_eq!(captures, ["heads/idea", "heads/integration", "hotcell/work", "stash"]);
    let staged = format!("{}^2:staged", received.work);
    assert_eq!(git(scene.store.path(), &["show", &staged]), "staged");

    let result = scene.result(1, &lane);
    assert_eq!(scene.result(1, &lane), result, "the same work has the same result");
    assert_eq!(scene.file(&result, "staged"), "staged, then changed");
    assert_eq!(scene.file(&result, "untracked/deep"), "untracked");
    let log = git(scene.store.path(), &["log", "--format=%an: %s", result.as_str()]);
    assert_eq!(log, "Hotcell: the rest\nAgent: by the agent\nAda: first");
    let body = git(scene.store.path(), &["log", "-1", "--format=%(trailers)", result.as_str()]);
    assert_eq!(body, "Hotcell-Unit: TP-7@app/1");
    assert!(!git_may(scene.store.path(), &["show", &format!("{result}:built")]));
    runtime().block_on(scene.store.check()).unwrap();

    // The attempt goes on: its last capture is what it comes to.
    write(&lane, "later", "later");
    let later = scene.result(1, &lane);
    assert_eq!(scene.file(&later, "later"), "later");
    assert_eq!(scene.file(&later, "staged"), "staged, then changed");
    let attempt = attempt(1);
    let earlier = scene.store.result_of(&attempt, &received.work);
    assert_eq!(runtime().block_on(earlier).unwrap(), None, "another capture's is not its");
}

/// Found by CI: a file that was changed within the tick of the clock in which it was
/// checked out, to the same size, was taken for unchanged.
#[test]
fn a_change_that_no_clock_can_tell_is_captured() {
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    // The time of the last change of an inode cannot be set, so git does not look at it.
    git(&lane, &["config", "core.trustCtime", "false"]);
    let (path, index) = (lane.join("lines"), lane.join(".git/index"));
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let set =
        |path: &Path| fs::File::options().write(true).open(path).unwrap().set_modified(moment);
    set(&path).unwrap();
    git(&lane, &["update-index", "--refresh"]);
    set(&index).unwrap();
    write(&lane, "lines", "ONE\ntwo\nthree\nfour\nfive\n");
    set(&path).unwrap();

    let result = scene.result(1, &lane);
    assert!(scene.file(&result, "lines").starts_with("ONE"));
}

/// Git skips a directory that it cannot open, and says so at most: then the lane is
/// removed, and with it what lay in there.
#[test]
fn what_git_would_skip_is_captured_or_the_capture_fails() {
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    // To root nothing is forbidden; in a namespace without any rights it is like others.
    let shell = |script: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "sh", "-c", script, "sh"]).args(arguments);
        command.current_dir(&lane).output().unwrap()
    };
    let bundle = lane.with_extension("bundle");
    let capture = || shell(SCRIPT, &[scene.base.as_str(), bundle.to_str().unwrap()]);

    let locked = "mkdir -p locked/within && echo kept > locked/within/file && \
        echo other > shut && chmod 000 shut locked/within locked";
    assert!(shell(locked, &[]).status.success());
    let captured = capture();
    assert!(captured.status.success(), "{captured:?}");
    let result = scene.taken(1, &bundle);
    assert_eq!(scene.file(&result, "locked/within/file"), "kept");
    assert_eq!(scene.file(&result, "shut"), "other");

    let deep = "i=0; while [ $i -lt 260 ]; do mkdir directory-like-any; cd -P directory-like-any; \
        i=$((i + 1)); done; echo deep > file";
    assert!(shell(deep, &[]).status.success());
    let captured = capture();
    assert!(!captured.status.success(), "{captured:?}");
    let said = String::from_utf8_lossy(&captured.stderr).into_owned();
    assert!(said.contains("could not open directory"), "{said}");
}

/// Found by killing machines: what git had not synced was there by name only, and git
/// never wrote it again.
#[test]
fn objects_that_a_dead_machine_left_empty_hold_nothing_up() {
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    write(&lane, "new", "new\n");
    let objects = lane.join(".git/objects");
    let before = files(&objects);
    scene.captured(&lane);
    let made: Vec<PathBuf> =
        files(&objects).into_iter().filter(|path| !before.contains(path)).collect();
    assert!(made.len() >= 4, "a file, its tree, and two commits: {made:?}");
    for object in made {
        fs::remove_file(&object).unwrap();
        fs::write(&object, "").unwrap();
    }
    let result = scene.result(1, &lane);
    assert_eq!(scene.file(&result, "new"), "new");
}

/// Found by killing engines: two lanes that were captured again at the same moment had
/// one quarantine, so the one was given what the other had left, or nothing.
#[test]
fn what_several_attempts_left_is_taken_at_the_same_time() {
    let scene = Scene::new();
    let bundles = [1, 2, 3].map(|number| {
        let lane = scene.workspace(&format!("lane-{number}"));
        write(&lane, "whose", &number.to_string());
        scene.captured(&lane)
    });
    let (attempts, limits) = ([1, 2, 3].map(attempt), Limits::default());
    let [one, two, three] =
        [0, 1, 2].map(|at| scene.store.receive(&attempts[at], &scene.base, &bundles[at], limits));
    let taken = runtime().block_on(async { tokio::join!(one, two, three) });
    for (received, number) in [taken.0, taken.1, taken.2].into_iter().zip(["1", "2", "3"]) {
        assert_eq!(scene.file(&received.unwrap().work, "whose"), number);
    }
}

/// The files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn what_is_elsewhere_is_named_and_not_followed() {
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    git(&lane, &["clone", "--quiet", ".", "inner"]);
    write(&lane, "large", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    write(&lane, "small", "version 1\n");
    let received = scene.receive(1, &scene.captured(&lane)).unwrap();
    let named = |path: &str| path.to_owned();
    assert_eq!(
        received.findings,
        [Finding::Repository { path: named("inner") }, Finding::Pointer { path: named("large") }]
    );
    let other = scene.workspace("other");
    git(&other, &["checkout", "--quiet", "--orphan", "fresh"]);
    git(&other, &["commit", "--quiet", "--message=no history"]);
    let received = scene.receive(2, &scene.captured(&other)).unwrap();
    assert_eq!(received.findings, [Finding::OtherHistory]);
    let (attempt, note, signature) = (attempt(2), note("x"), signature());
    let made = scene.store.commit(&attempt, &scene.base, &received.work, &note, &signature);
    let made = runtime().block_on(made);
    assert!(matches!(made, Err(GitError::Refused(_))), "{made:?}");
}

/// A bundle of one commit whose tree is made of raw entries.
fn bundle_of_tree(scene: &Scene, name: &str, entries: &[(&str, &str)]) -> PathBuf {
    let lane = scene.workspace(name);
    let hash = |kind: &str, content: &[u8]| {
        let mut child = Command::new("git")
            .args(["hash-object", "-t", kind, "-w", "--stdin", "--literally"])
            .current_dir(&lane)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), content).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let blob = hash("blob", b"#!/bin/sh\n");
    let raw: Vec<u8> = (0..blob.len() / 2)
        .map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let tree = entries.iter().fold(Vec::new(), |mut tree, (mode, path)| {
        tree.extend_from_slice(format!("{mode} {path}\0").as_bytes());
        tree.extend_from_slice(&raw);
        tree
    });
    let tree = hash("tree", &tree);
    let base = scene.base.as_str();
    let commit = |tree: &str, parents: &[&str]| {
        let parents: Vec<&str> = parents.iter().flat_map(|parent| ["-p", parent]).collect();
        git(&lane, &[&["commit-tree", tree, "-m", "x"], &*parents].concat())
    };
    let staged = commit(&format!("{base}^{{tree}}"), &[base]);
    let work = commit(&tree, &[base, &staged]);
    git(&lane, &["update-ref", "refs/hotcell/work", &work]);
    bundled(&lane, &["refs/hotcell/work", &format!("^{base}")])
}

fn bundled(lane: &Path, what: &[&str]) -> PathBuf {
    let bundle = lane.with_extension("bundle");
    let to = bundle.to_string_lossy().into_owned();
    git(lane, &[&["bundle", "create", "--quiet", &to], what].concat());
    bundle
}

/// That it is refused, and that nothing of it can be reached.
#[track_caller]
fn assert_refused(scene: &Scene, bundle: &Path, limits: Limits) -> String {
    let names = || git(scene.store.path(), &["for-each-ref"]);
    let before = names();
    let attempt = attempt(9);
    let taken = scene.store.receive(&attempt, &scene.base, bundle, limits);
    let GitError::Refused(why) = runtime().block_on(taken).unwrap_err() else {
        panic!("it is not the bundle that is refused")
    };
    assert_eq!(names(), before);
    why
}

#[test]
fn bundles_that_are_not_what_they_should_be_are_refused() {
    let scene = Scene::new();
    let limits = Limits::default();
    for (name, entry, why) in [
        ("dot-git", ("100644", ".git"), "hasDotgit"),
        ("dot-git-case", ("100644", ".GIT"), "hasDotgit"),
        ("dot-dot", ("100644", ".."), "hasDotdot"),
        ("slash", ("100644", "a/b"), "fullPathname"),
        ("modules-link", ("120000", ".gitmodules"), "gitmodulesSymlink"),
    ] {
        let bundle = bundle_of_tree(&scene, name, &[entry]);
        let said = assert_refused(&scene, &bundle, limits);
        assert!(said.contains(why), "{name}: {said}");
    }
    let bundle = bundle_of_tree(&scene, "harmless", &[("100644", "file")]);
    let small = Limits { bundle_bytes: 100, ..limits };
    assert!(assert_refused(&scene, &bundle, small).contains("bundle"));
    let whole = fs::read(&bundle).unwrap();
    for (name, content) in
        [("empty", &whole[..0]), ("cut", &whole[..whole.len() - 30]), ("text", b"not a bundle\n")]
    {
        let path = scene.path(name);
        fs::write(&path, content).unwrap();
        assert_refused(&scene, &path, limits);
    }
    // The way they are made is not what was refused.
    scene.receive(8, &bundle).unwrap();

    let lane = scene.workspace("lane");
    git(&lane, &["update-ref", "refs/tags/mine", "HEAD"]);
    git(&lane, &["commit", "--quiet", "--allow-empty", "--message=more"]);
    let without = bundled(&lane, &["integration", &format!("^{}", scene.base)]);
    assert!(assert_refused(&scene, &without, limits).contains("what lay in the workspace"));
    git(&lane, &["update-ref", "refs/hotcell/work", "HEAD"]);
    let flat = bundled(&lane, &["refs/hotcell/work", &format!("^{}", scene.base)]);
    assert!(assert_refused(&scene, &flat, limits).contains("shape"));
    let honest = scene.workspace("honest");
    git(&honest, &["commit", "--quiet", "--allow-empty", "--message=more"]);
    git(&honest, &["update-ref", "refs/hotcell/integrated", "HEAD"]);
    let named = bundled(&honest, &["refs/hotcell/integrated", &format!("^{}", scene.base)]);
    assert!(assert_refused(&scene, &named, limits).contains("hotcell/integrated"));
    // A file that is small only as long as it is packed.
    let bomb = scene.workspace("bomb");
    fs::write(bomb.join("zeros"), vec![0; 3 << 20]).unwrap();
    let bomb = scene.captured(&bomb);
    assert!(fs::metadata(&bomb).unwrap().len() < 1 << 20);
    let tight = Limits { unpacked_bytes: 1 << 20, ..limits };
    assert!(assert_refused(&scene, &bomb, tight).contains("content"));
    runtime().block_on(scene.store.check()).unwrap();
}
