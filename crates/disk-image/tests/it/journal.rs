//! File systems whose journal holds what is not in its place yet.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::*;

fn debugfs(image: &Path, orders: &str) -> String {
    let mut child = Command::new("debugfs")
        .args(["-w", "-f", "-"])
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(orders.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The first block of a file, as `debugfs` knows it.
fn block_of(image: &Path, path: &str) -> u64 {
    let told = debugfs(image, &format!("blocks {path}\n"));
    told.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

#[test]
fn what_was_written_down_counts_and_what_was_revoked_does_not() {
    for options in [
        &["-b", "1024", "-O", "has_journal,^metadata_csum,^64bit"][..],
        &["-b", "4096", "-O", "has_journal,metadata_csum,64bit"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for name in ["one", "two", "three"] {
            fs::write(tree.join(name), vec![b'o'; 4096]).unwrap();
        }
        let at = directory.path().join("image");
        image(&tree, &at, options);
        let block = if options[1] == "1024" { 1024 } else { 4096 };
        let blocks = ["one", "two", "three"].map(|name| block_of(&at, name));
        // One that begins as the journal's own blocks do has to be told apart.
        let mut newer = vec![b'n'; block];
        newer[..4].copy_from_slice(&0xc03b_3998_u32.to_be_bytes());
        fs::write(directory.path().join("newer"), &newer).unwrap();
        let path = directory.path().join("newer");
        let path = path.display();
        debugfs(
            &at,
            &format!(
                "jo\njw -b {} {path}\njw -b {} {path}\njw -b {} -r {} {path}\njc\n",
                blocks[0], blocks[1], blocks[2], blocks[1]
            ),
        );
        let found = all(&open(&at));
        let content = |path: &[u8]| {
            found
                .iter()
                .find(|(name, ..)| name == path)
                .map(|(.., content)| content.clone())
                .unwrap()
        };
        for (name, is_newer) in [("/one", true), ("/two", false), ("/three", true)] {
            let content = content(name.as_bytes());
            assert_eq!(content[..block] == newer[..], is_newer, "{options:?}: {name}");
            assert!(is_newer || content == vec![b'o'; 4096], "{options:?}: {name}");
        }
    }
}
