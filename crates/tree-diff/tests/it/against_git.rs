//! A patch makes of the one tree the other one, through `git apply` and through
//! our own tool.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use proptest::prelude::*;

use crate::support::*;

/// What lies at a place.
#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>, u32),
    Link(String),
    Nothing,
}

fn thing() -> impl Strategy<Value = Thing> {
    let line =
        prop::sample::select(vec!["alpha", "beta", "", "gamma\r", "\tä", "-- y", "@@ -1 +1 @@"]);
    let text = (prop::collection::vec(line, 0..30), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text = lines.join("\n").into_bytes();
        text.extend(ends.then_some(b'\n'));
        text
    });
    let data = prop::collection::vec(any::<u8>(), 0..400);
    let content = prop_oneof![3 => text, 1 => data];
    let mode = prop::sample::select(vec![0o644, 0o755]);
    prop_oneof![
        6 => (content, mode).prop_map(|(content, mode)| Thing::File(content, mode)),
        1 => "[a-c/.]{1,70}".prop_map(Thing::Link),
        2 => Just(Thing::Nothing),
    ]
}

const NAMES: &[&[u8]] = &[
    b"a",
    b"b c",
    b"dir",
    b"dir/d e",
    b"dir/f",
    b"dir/sub/g",
    b"dir-x",
    "\u{e9}t\u{e9}".as_bytes(),
    b"no\xfftext",
    b"q\"uote\\",
    b"tab\tand\nline",
    b" b/x b/x",
];

/// Two trees that have much in common: things that stay, change a little, change
/// places, or are others.
fn trees() -> impl Strategy<Value = (Vec<Thing>, Vec<Thing>)> {
    let tree = || prop::collection::vec(thing(), NAMES.len());
    (tree(), tree(), prop::collection::vec(0..6_u8, NAMES.len())).prop_map(|(old, other, how)| {
        let new = (0..NAMES.len()).map(|n| match (how[n], &old[n], &other[n]) {
            (0, _, other) => other.clone(),
            (1, ..) => old[(n + 1) % NAMES.len()].clone(),
            (2, Thing::File(one, mode), Thing::File(two, _)) => {
                Thing::File([one.as_slice(), b"\n", &two[..two.len() / 4]].concat(), *mode)
            }
            (3, Thing::File(content, mode), _) => Thing::File(content.clone(), *mode ^ 0o111),
            (_, old, _) => old.clone(),
        });
        let new = new.collect();
        (old, new)
    })
}

fn filled(things: &[Thing]) -> Directory {
    let directory = Directory::new();
    for (name, thing) in NAMES.iter().zip(things) {
        let path = directory.at(Path::new(OsStr::from_bytes(name)));
        // git knows no empty directories, and `dir` is a directory or something else.
        let is_nothing = matches!(thing, Thing::Nothing);
        if is_nothing || path.exists() || fs::create_dir_all(path.parent().unwrap()).is_err() {
            continue;
        }
        match thing {
            Thing::File(content, mode) => {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Thing::Link(target) => symlink(target, &path).unwrap(),
            Thing::Nothing => {}
        }
    }
    directory
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_patch_makes_the_one_tree_of_the_other((old, new) in trees()) {
        let (mut before, mut after) = (filled(&old), filled(&new));
        let (changes, patch) = difference(&mut before, &mut after);
        let told = String::from_utf8_lossy(&patch).into_owned();
        prop_assert_eq!(changes.is_empty(), before.all() == after.all(), "{:?}", changes);
        if patch.is_empty() {
            return Ok(());
        }
        let file = Directory::new();
        file.put("patch", &patch);
        let ours = before.copy();
        let applied = git(
            before.path(),
            &["apply", "--whitespace=nowarn", file.at("patch").to_str().unwrap()],
        );
        let errors = String::from_utf8_lossy(&applied.stderr).into_owned();
        prop_assert!(applied.status.success(), "{}\n{}", errors, told);
        prop_assert_eq!(before.all(), after.all(), "git:\n{}", told);
        if let Err(error) = ours.apply(&patch) {
            prop_assert!(false, "{}\n{}", error, told);
        }
        prop_assert_eq!(ours.all(), after.all(), "our tool:\n{}", told);
        // Backwards, too: both sides of the patch are right. Only where a link has
        // taken a directory's place, git does not look behind it again.
        if after.at("dir").is_symlink() {
            return Ok(());
        }
        let backwards = ["apply", "--reverse", "--whitespace=nowarn", "--check"];
        let back = git(before.path(), &[&backwards[..], &[file.at("patch").to_str().unwrap()]].concat());
        prop_assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    }
}

/// Where nothing can be chosen, every byte is git's.
#[test]
fn a_patch_is_what_git_prints() {
    let both = Directory::new();
    both.put("one/text", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n");
    both.put("one/no newline", "a");
    both.put("one/was executed", "x\n");
    both.put("one/is executed", "x\n");
    both.set_mode("one/was executed", 0o755);
    both.put("one/gone", "gone\n");
    both.put("one/moved", "one\ntwo\nthree\nfour\nfive\nsix\n");
    both.put("one/deep/moved and changed", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    both.put("one/becomes a link", "text\n");
    both.link("one/link", "to/nowhere");
    both.put("two/text", "a\nb\nC\nd\ne\nf\ng\nh\ni\nj\nk\nl\nM\nn");
    both.put("two/no newline", "b");
    both.put("two/was executed", "x\n");
    both.put("two/is executed", "x\n");
    both.set_mode("two/is executed", 0o755);
    both.put("two/new", "new\n");
    both.put("two/empty", "");
    both.put("two/elsewhere/moved", "one\ntwo\nthree\nfour\nfive\nsix\n");
    both.put("two/changed", "1\n2\n3\n4\n5\n6\n7\n8\n!\n");
    both.link("two/becomes a link", "text");
    both.link("two/link", "to/somewhere");
    // git quotes what is not ASCII only if it is told to.
    both.put("two/\u{e9}t\u{e9} \"x\"\t", "q\n");
    let ours = {
        let mut trees = ["one", "two"].map(|tree| {
            let directory = Directory::new();
            fs::remove_dir(directory.path()).unwrap();
            fs::rename(both.at(tree), directory.path()).unwrap();
            directory
        });
        let [before, after] = &mut trees;
        let (_, patch) = difference(before, after);
        let [before, after] = trees;
        // The judge wants them in one place, and a name of its own for each.
        fs::rename(before.path(), both.at("one")).unwrap();
        fs::rename(after.path(), both.at("two")).unwrap();
        fs::create_dir_all(before.path()).unwrap();
        fs::create_dir_all(after.path()).unwrap();
        String::from_utf8(patch).unwrap()
    };
    git(both.path(), &["init", "--quiet"]);
    let tree = |name: &str| {
        git(both.path(), &["read-tree", "--empty"]);
        let work = format!("--work-tree={name}");
        git(both.path(), &[&work, "add", "--all", "."]);
        let written = git(both.path(), &["write-tree"]).stdout;
        String::from_utf8(written).unwrap().trim().to_owned()
    };
    let (one, two) = (tree("one"), tree("two"));
    let options =
        ["-c", "core.quotePath=false", "diff-tree", "-p", "--binary", "--full-index", "-M"];
    let theirs = git(both.path(), &[&options[..], &[&one, &two]].concat()).stdout;
    let theirs = String::from_utf8(theirs).unwrap();
    assert!(theirs.matches("diff --git").count() > 10, "{theirs}");
    let sections = |patch: &str| {
        let mut sections: Vec<String> =
            patch.split("diff --git ").skip(1).map(str::to_owned).collect();
        // git orders by bytes, and we as a walk does.
        sections.sort();
        sections
    };
    for (ours, theirs) in sections(&ours).iter().zip(&sections(&theirs)) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(sections(&ours).len(), sections(&theirs).len());
}
