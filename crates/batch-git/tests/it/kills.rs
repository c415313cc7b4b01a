//! git is killed in the middle of each step; then the step is taken again.

use std::time::{Duration, Instant};

use batch_api::Epoch;
use batch_git::{Limits, Merged, Store};

use crate::scene::*;

/// In how many parts the time of all steps is cut.
const PARTS: u32 = 12;

#[test]
fn whoever_is_killed_anywhere_comes_to_the_same_commits_afterwards() {
    let scene = Scene::new();
    let lane = scene.workspace("lane");
    write(&lane, "new", "new\n");
    git(&lane, &["add", "--all"]);
    git(&lane, &["commit", "--quiet", "--message=by the agent"]);
    write(&lane, "lines", "changed\n");
    let bundle = scene.captured(&lane);
    let runtime = runtime();
    let all = |directory: std::path::PathBuf, epoch: Epoch| {
        let (scene, bundle) = (&scene, &bundle);
        async move {
            let store = Store::create(&directory, epoch, &scene.operator, "HEAD").await?;
            let (base, note, signature) = (&scene.base, note("the rest"), signature());
            let attempt = attempt(1);
            let received = store.receive(&attempt, base, bundle, Limits::default()).await?;
            let result = store.commit(&attempt, base, &received.work, &note, &signature).await?;
            let merged = store.merge(base, &result, &note, &signature).await?;
            let tip = match merged {
                Merged::Commit(tip) => tip,
                // What was advanced before it was killed needs no merging.
                Merged::Already => store.integration().await?,
                Merged::Conflict(paths) => panic!("{paths:?}"),
            };
            store.advance(base, &tip).await?;
            Ok::<_, batch_git::GitError>((store, tip))
        }
    };
    let begun = Instant::now();
    let (_, expected) = runtime.block_on(all(scene.path("unharmed"), Epoch(1))).unwrap();
    let took = begun.elapsed();
    let mut killed = 0;
    for part in 0..PARTS {
        let directory = scene.path(&format!("killed-{part}"));
        // Dropping it kills the git that is at work.
        let patience =
            took.mul_f64(f64::from(part) / f64::from(PARTS)).max(Duration::from_millis(1));
        let cut = runtime.block_on(async {
            tokio::time::timeout(patience, all(directory.clone(), Epoch(1))).await
        });
        killed += u32::from(cut.is_err());
        let (store, tip) = runtime.block_on(all(directory, Epoch(2))).unwrap();
        assert_eq!(tip, expected);
        runtime.block_on(store.check()).unwrap();
    }
    // How many there are depends on how fast it was the first time.
    assert!(killed > 0);
}
