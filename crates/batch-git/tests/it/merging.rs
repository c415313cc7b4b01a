use batch_git::Merged;

use crate::scene::*;

#[test]
fn what_goes_together_is_merged_and_the_rest_is_named() {
    let scene = Scene::new();
    let edit = |name: &str, number, file: &str, content: &str| {
        let lane = scene.workspace(name);
        write(&lane, file, content);
        scene.result(number, &lane)
    };
    let first = edit("first", 1, "lines", "ONE\ntwo\nthree\nfour\nfive\n");
    let second = edit("second", 2, "lines", "one\ntwo\nthree\nfour\nFIVE\n");
    let third = edit("third", 3, "lines", "1\ntwo\nthree\nfour\nfive\n");
    let (store, note, signature) = (&scene.store, note("Merge TP-7"), signature());
    let merge =
        |onto, work| runtime().block_on(store.merge(onto, work, &note, &signature)).unwrap();
    let Merged::Commit(one) = merge(&scene.base, &first) else { panic!("nothing is in the way") };
    assert_eq!(merge(&scene.base, &first), Merged::Commit(one.clone()), "the same every time");
    let Merged::Commit(two) = merge(&one, &second) else { panic!("other lines") };
    assert_eq!(scene.file(&two, "lines"), "ONE\ntwo\nthree\nfour\nFIVE");
    assert_eq!(merge(&two, &third), Merged::Conflict(vec!["lines".into()]));
    assert_eq!(merge(&two, &first), Merged::Already);
    let keeps = |commit| runtime().block_on(store.keeps(commit)).unwrap();
    assert!(keeps(&first), "a result is kept");
    assert!(!keeps(&two), "a merge is nobody's until the branch has it");
    let parents = git(store.path(), &["log", "--first-parent", "--format=%s", two.as_str()]);
    assert_eq!(parents, "Merge TP-7\nMerge TP-7\nfirst");
}
