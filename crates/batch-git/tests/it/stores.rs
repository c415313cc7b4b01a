use std::fs;

use batch_api::Epoch;
use batch_git::{GitError, Merged, Operator, Store, Way};

use crate::scene::*;

#[test]
fn a_store_is_whole_without_the_operators_repository() {
    let scene = Scene::new();
    fs::remove_dir_all(&scene.operator).unwrap();
    let runtime = runtime();
    runtime.block_on(scene.store.check()).unwrap();
    assert_eq!(runtime.block_on(scene.store.integration()).unwrap(), scene.base);
    assert_eq!(runtime.block_on(scene.store.base()).unwrap(), scene.base);
    assert_eq!(scene.file(&scene.base, "src/code"), "code");
    // None of the operator's names came along.
    let names = git(scene.store.path(), &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(names, "refs/heads/integration\nrefs/hotcell/base");
}

#[test]
fn whoever_makes_a_store_again_has_the_one_that_is_there() {
    let scene = Scene::new();
    let workspace = scene.workspace("lane");
    write(&workspace, "new", "new\n");
    let result = scene.result(1, &workspace);
    let runtime = runtime();
    let again = Store::create(&scene.stores, Epoch(1), &scene.operator, "HEAD");
    let again = runtime.block_on(again).unwrap();
    assert_eq!(runtime.block_on(again.result(&attempt(1))).unwrap(), Some(result));
    // What somebody left half-made is in nobody's way.
    fs::create_dir_all(scene.path("others/new.git/objects")).unwrap();
    let others = scene.path("others");
    runtime.block_on(async {
        let made = Store::create(&others, Epoch(1), &scene.operator, "main").await.unwrap();
        made.check().await.unwrap();
    });
}

#[test]
fn what_no_batch_can_rely_on_is_refused() {
    let scene = Scene::new();
    let runtime = runtime();
    let make = |operator: &std::path::Path, base: &str| {
        runtime.block_on(Store::create(&scene.path("more"), Epoch(1), operator, base))
    };
    for base in ["nothing", "--all", "HEAD:lines", ""] {
        let refused = make(&scene.operator, base);
        assert!(matches!(refused, Err(GitError::Missing { .. })), "{base}: {refused:?}");
    }
    let url = format!("file://{}", scene.operator.display());
    write(&scene.operator, "lines", "other\n");
    git(&scene.operator, &["commit", "--quiet", "--all", "--message=second"]);
    git(&scene.path(""), &["clone", "--quiet", "--depth=1", &url, "shallow"]);
    let refused = make(&scene.path("shallow"), "HEAD");
    assert!(matches!(refused, Err(GitError::InTheWay(_))), "{refused:?}");
    // One that borrows objects lends us copies.
    let operator = scene.operator.to_string_lossy();
    git(&scene.path(""), &["clone", "--quiet", "--shared", &operator, "borrower"]);
    let store = make(&scene.path("borrower"), "HEAD").unwrap();
    fs::remove_dir_all(&scene.operator).unwrap();
    runtime.block_on(store.check()).unwrap();
}

#[test]
fn an_engine_that_was_replaced_changes_nothing_any_more() {
    let scene = Scene::new();
    let workspace = scene.workspace("lane");
    write(&workspace, "new", "new\n");
    let result = scene.result(1, &workspace);
    let bundle = scene.captured(&workspace);
    let stale = &scene.store;
    // What a git of the former engine held locked is free for the next one.
    fs::write(stale.path().join("refs/heads/integration.lock"), "").unwrap();
    let runtime = runtime();
    let owner = Store::claim(&scene.stores, Epoch(2)).unwrap();
    let (base, note, signature) = (&scene.base, note("merged"), signature());
    let operator = Operator::at(&scene.operator);
    let way = Way::FastForward { into: "main".into() };
    let refusals = runtime.block_on(async {
        [
            stale.advance(base, &result).await.err(),
            stale.integration().await.err(),
            stale.merge(base, &result, &note, &signature).await.err(),
            stale.commit(&attempt(2), base, &result, &note, &signature).await.err(),
            stale.receive(&attempt(2), base, &bundle, batch_git::Limits::default()).await.err(),
            stale.publish(&operator, base, "hotcell/batch").await.err(),
            stale.has_arrived(&operator, base, "hotcell/batch", &way).await.err(),
            Store::claim(&scene.stores, Epoch(1)).err(),
            Store::create(&scene.stores, Epoch(1), &scene.operator, "HEAD").await.err(),
        ]
    });
    for (number, refusal) in refusals.into_iter().enumerate() {
        assert!(matches!(refusal, Some(GitError::NotOwned { .. })), "{number}: {refusal:?}");
    }
    assert!(!git_may(&scene.operator, &["rev-parse", "--verify", "hotcell/batch"]));
    runtime.block_on(async {
        let merged = owner.merge(base, &result, &note, &signature).await.unwrap();
        let Merged::Commit(merged) = merged else { panic!("{merged:?}") };
        owner.advance(base, &merged).await.unwrap();
        owner.advance(base, &merged).await.unwrap();
        assert_eq!(owner.integration().await.unwrap(), merged);
        // Only forward, and only from where it is.
        assert!(owner.advance(base, &result).await.is_err());
        assert!(owner.advance(&merged, base).await.is_err());
    });
}

#[test]
fn a_checkout_shares_nothing_with_the_store_and_what_is_left_there_is_taken() {
    let scene = Scene::new();
    let path = scene.path("a checkout, 100%");
    let runtime = runtime();
    runtime.block_on(scene.store.check_out(&scene.base, &path)).unwrap();
    assert_eq!(git(&path, &["status", "--short", "--branch"]), "## main");
    assert_eq!(git(&path, &["remote"]), "");
    assert_eq!(git(&path, &["rev-list", "--all"]), scene.base.to_string());
    // Whatever is done to its objects is done to no other's.
    for entry in walkdir(&path.join(".git/objects")) {
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&entry.metadata().unwrap()), 1);
    }
    write(&path, "new", "new\n");
    git(&path, &["add", "new"]);
    git(&path, &["commit", "--quiet", "--message=mine"]);
    write(&path, "lines", "other\n");
    let result = scene.result(1, &path);
    assert_eq!(scene.file(&result, "new"), "new");
    assert_eq!(scene.file(&result, "lines"), "other");
    runtime.block_on(scene.store.check()).unwrap();
    // Nothing is made where something is.
    assert!(runtime.block_on(scene.store.check_out(&scene.base, &path)).is_err());
}

/// All files below a directory.
fn walkdir(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walkdir(&path)) } else { found.push(path) }
    }
    found
}
