use std::fs;
use std::path::Path;

use batch_git::{GitError, Integrated, Merged, Operator, Way};

use crate::scene::*;

const BRANCH: &str = "hotcell/batch";

/// A batch whose integration branch holds one unit.
fn done() -> Scene {
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    write(&lane, "new", "new\n");
    write(&lane, "lines", "ONE\ntwo\nthree\nfour\nfive\n");
    let result = scene.result(1, &lane);
    let (note, signature) = (note("Merge TP-7"), signature());
    runtime().block_on(async {
        let merged = scene.store.merge(&scene.base, &result, &note, &signature).await.unwrap();
        let Merged::Commit(merged) = merged else { panic!("{merged:?}") };
        scene.store.advance(&scene.base, &merged).await.unwrap();
    });
    scene
}

fn integrate(scene: &Scene, way: &Way) -> Result<Integrated, GitError> {
    let (note, signature) = (note("Merge the batch"), signature());
    let operator = Operator::at(&scene.operator);
    runtime().block_on(async {
        let tip = scene.store.integration().await?;
        scene.store.integrate(&operator, &tip, BRANCH, way, &note, &signature).await
    })
}

fn forward() -> Way {
    Way::FastForward { into: "main".into() }
}

fn merge() -> Way {
    Way::Merge { into: "main".into() }
}

/// Whether what is integrated is found to be there.
fn has_arrived(scene: &Scene, way: &Way) -> bool {
    let operator = Operator::at(&scene.operator);
    let found = runtime().block_on(async {
        let tip = scene.store.integration().await?;
        scene.store.has_arrived(&operator, &tip, BRANCH, way).await
    });
    found.unwrap().is_some()
}

/// All that somebody sees who works in a checkout.
fn seen(checkout: &Path) -> (Vec<u8>, String, String) {
    let index = fs::read(checkout.join(".git/index")).unwrap();
    let head = git(checkout, &["rev-parse", "HEAD", "main"]);
    (index, head, git(checkout, &["status", "--porcelain"]))
}

#[test]
fn a_batch_only_adds_a_branch_until_it_is_told_to_do_more() {
    let scene = done();
    write(&scene.operator, "lines", "in the middle of something\n");
    let before = seen(&scene.operator);
    let tip = runtime().block_on(scene.store.integration()).unwrap();
    let operator = Operator::at(&scene.operator);
    assert!(!has_arrived(&scene, &forward()), "the operator has never seen it");
    runtime().block_on(scene.store.publish(&operator, &tip, BRANCH)).unwrap();
    assert!(!has_arrived(&scene, &forward()), "it is not on the operator's branch");
    assert_eq!(git(&scene.operator, &["rev-parse", BRANCH]), tip.as_str());
    // What is not committed would be written over.
    let refused = integrate(&scene, &forward());
    assert!(matches!(refused, Err(GitError::InTheWay(_))), "{refused:?}");
    assert_eq!(seen(&scene.operator), before);
    git(&scene.operator, &["checkout", "--quiet", "--", "lines"]);
    assert_eq!(integrate(&scene, &forward()).unwrap(), Integrated::At(tip));
    assert_eq!(fs::read_to_string(scene.operator.join("new")).unwrap(), "new\n");
    assert_eq!(git(&scene.operator, &["status", "--porcelain"]), "");
    assert!(has_arrived(&scene, &forward()));
    assert_eq!(integrate(&scene, &forward()).unwrap(), Integrated::Already);
}

#[test]
fn a_branch_that_moved_on_is_merged_or_left_alone() {
    let scene = done();
    git(&scene.operator, &["checkout", "--quiet", "-b", "elsewhere"]);
    git(&scene.operator, &["checkout", "--quiet", "main"]);
    write(&scene.operator, "theirs", "theirs\n");
    git(&scene.operator, &["add", "--all"]);
    git(&scene.operator, &["commit", "--quiet", "--message=meanwhile"]);
    git(&scene.operator, &["checkout", "--quiet", "elsewhere"]);
    let refused = integrate(&scene, &forward());
    assert!(matches!(&refused, Err(GitError::InTheWay(why)) if why.contains("moved on")));
    let files = git(&scene.operator, &["status", "--porcelain"]);
    assert!(matches!(integrate(&scene, &merge()).unwrap(), Integrated::At(_)));
    // It is checked out nowhere, so no file changes.
    assert_eq!(git(&scene.operator, &["status", "--porcelain"]), files);
    let held = git(&scene.operator, &["ls-tree", "--name-only", "-r", "main"]);
    assert_eq!(held, ".gitignore\nlines\nnew\nsrc/code\ntheirs");
    assert!(has_arrived(&scene, &merge()));
    assert_eq!(integrate(&scene, &merge()).unwrap(), Integrated::Already);

    let scene = done();
    write(&scene.operator, "lines", "1\ntwo\nthree\nfour\nfive\n");
    git(&scene.operator, &["commit", "--quiet", "--all", "--message=the same line"]);
    let before = seen(&scene.operator);
    let refused = integrate(&scene, &merge());
    assert!(matches!(&refused, Err(GitError::InTheWay(why)) if why.contains("lines")));
    assert_eq!(seen(&scene.operator), before);
}

#[test]
fn a_branch_is_pushed_for_a_pull_request() {
    let scene = done();
    let way = |remote: &str| Way::Push { remote: remote.into() };
    let refused = integrate(&scene, &way("--mirror"));
    assert!(matches!(refused, Err(GitError::Missing { .. })), "{refused:?}");
    let remote = scene.path("remote.git");
    git(&scene.path(""), &["init", "--quiet", "--bare", "remote.git"]);
    git(&scene.operator, &["remote", "add", "origin", &remote.to_string_lossy()]);
    let before = seen(&scene.operator);
    assert!(!has_arrived(&scene, &way("origin")) && !has_arrived(&scene, &way("elsewhere")));
    let pushed = integrate(&scene, &way("origin")).unwrap();
    assert!(has_arrived(&scene, &way("origin")));
    let tip = runtime().block_on(scene.store.integration()).unwrap();
    assert_eq!(pushed, Integrated::Pushed(tip.clone()));
    assert_eq!(
        git(&remote, &["for-each-ref", "--format=%(objectname) %(refname)"]),
        format!("{tip} refs/heads/{BRANCH}")
    );
    assert_eq!(seen(&scene.operator), before);
    assert_eq!(integrate(&scene, &way("origin")).unwrap(), pushed);
}
