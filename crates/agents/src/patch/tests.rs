use std::collections::BTreeMap;

use super::*;

/// What a patch makes of some files.
fn outcome(patch: &str, files: &[(&str, &str)]) -> Result<Vec<(String, Option<String>)>, String> {
    let patch: Patch = patch.parse().map_err(|error: NoPatch| error.to_string())?;
    let before: BTreeMap<String, Option<String>> =
        files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect();
    let outcomes = patch.outcomes(&before).map_err(|misfit| misfit.to_string())?;
    Ok(outcomes.into_iter().map(|one| (one.path, one.after)).collect())
}

/// What a patch of one file makes of it.
fn changed(body: &str, content: &str) -> Result<String, String> {
    let patch = format!("*** Begin Patch\n*** Update File: f\n{body}*** End Patch");
    let outcomes = outcome(&patch, &[("f", content)])?;
    Ok(outcomes.into_iter().next().and_then(|(_, after)| after).unwrap_or_default())
}

#[test]
fn files_are_added_deleted_changed_and_moved() {
    let patch = "*** Begin Patch
*** Add File: new/file
+one
+
+two
*** Delete File: old
*** Update File: code.py
*** Move to: moved.py
@@ def b():
-    return 1
+    return 2
*** End Patch
";
    let files = [("old", "x\n"), ("code.py", "def a():\n    return 1\ndef b():\n    return 1\n")];
    let after = |text: &str| Some(text.to_owned());
    assert_eq!(
        outcome(patch, &files).unwrap(),
        [
            ("moved.py".to_owned(), after("def a():\n    return 1\ndef b():\n    return 2\n")),
            ("new/file".to_owned(), after("one\n\ntwo\n")),
            ("old".to_owned(), None),
        ]
    );
    let told = outcome(patch, &files[..1]).unwrap_err();
    assert_eq!(told, "code.py is not there");
}

#[test]
fn several_changes_of_a_file_follow_each_other() {
    let patch = "*** Begin Patch
*** Add File: a
+one
*** Update File: a
*** Move to: b
-one
+two
*** End Patch";
    assert_eq!(outcome(patch, &[]).unwrap(), [("b".to_owned(), Some("two\n".to_owned()))]);
    // What is there already is written anew.
    let told = outcome(patch, &[("a", "zero\n")]).unwrap();
    assert_eq!(told, [("b".to_owned(), Some("two\n".to_owned()))]);
    assert_eq!(outcome(patch, &[("b", "taken\n")]).unwrap_err(), "b is there already");
}

#[test]
fn places_are_found_by_their_lines_in_their_order() {
    let file = "a\nx\nb\nx\nc\nx\n";
    assert_eq!(changed(" b\n-x\n+y\n", file).unwrap(), "a\nx\nb\ny\nc\nx\n");
    assert_eq!(changed("@@\n-x\n+1\n@@\n-x\n+2\n", file).unwrap(), "a\n1\nb\n2\nc\nx\n");
    assert_eq!(changed("@@\n-x\n+y\n*** End of File\n", file).unwrap(), "a\nx\nb\nx\nc\ny\n");
    assert_eq!(changed("@@ a\n@@ c\n-x\n+y\n", file).unwrap(), "a\nx\nb\nx\nc\ny\n");
    assert_eq!(changed("@@ b\n+new\n", file).unwrap(), "a\nx\nb\nnew\nx\nc\nx\n");
    assert_eq!(changed("+end\n", file).unwrap(), "a\nx\nb\nx\nc\nx\nend\n");
    let told = changed("@@\n c\n@@\n-b\n", file).unwrap_err();
    assert!(told.ends_with("behind what comes before in the patch:\nb"), "{told}");
    assert!(changed("@@ d\n-x\n", file).unwrap_err().contains("no line `d`"));
}

#[test]
fn a_line_that_is_written_a_little_differently_is_found_and_stays_as_it_is() {
    let file = "if x:  \n\tprint(\u{201c}a\u{201d})\nend";
    let told = changed(" if x:\n-    print(\"a\")\n+\tprint('b')\n end\n", file).unwrap();
    assert_eq!(told, "if x:  \n\tprint('b')\nend\n");
    assert_eq!(changed(" a\n-b\n+c\n", "a\r\nb\r\n").unwrap(), "a\r\nc\r\n");
}

#[test]
fn empty_lines_are_lines_of_the_file_or_separate_what_comes_next() {
    assert_eq!(changed(" a\n\n-b\n+c\n\n", "a\n\nb\n").unwrap(), "a\n\nc\n");
    assert_eq!(changed("\n@@ a\n\n-b\n+c\n\n@@\n-d\n", "a\nb\nd\n").unwrap(), "a\nc\n");
    let wrapped =
        "<<'EOF'\n*** Begin Patch\n*** Add File: a\n+b\n\n*** Delete File: c\n*** End Patch\nEOF\n";
    assert_eq!(outcome(wrapped, &[("c", "")]).unwrap().len(), 2);
}

#[test]
fn what_is_no_patch_is_told_with_its_line() {
    for (text, told) in [
        ("", "line 1 of the patch: expected `*** Begin Patch`"),
        ("*** Begin Patch\n*** End Patch", "line 3 of the patch: the patch changes nothing"),
        ("*** Begin Patch\n*** Add File: a\n+b", "line 4 of the patch: expected `*** End Patch`"),
        (
            "*** Begin Patch\n*** Add File: a\nb\n*** End Patch",
            "line 3 of the patch: expected `***",
        ),
        ("*** Begin Patch\n*** Delete File: \n*** End Patch", "line 2 of the patch: expected `***"),
        (
            "*** Begin Patch\n*** Update File: a\n*** End Patch",
            "line 2 of the patch: expected lines",
        ),
        (
            "*** Begin Patch\n*** Update File: a\n b\nc\n*** End Patch",
            "line 4 of the patch: expected a line",
        ),
        (
            "\n<<EOF\n*** Begin Patch\n*** x\n*** End Patch\nEOF",
            "line 4 of the patch: expected `***",
        ),
        (
            "*** Begin Patch\n*** Delete File: a\n*** End Patch\nb",
            "line 4 of the patch: expected nothing",
        ),
    ] {
        let error = text.parse::<Patch>().unwrap_err().to_string();
        assert!(error.starts_with(told), "{text:?}: {error}");
    }
    let long = "*".repeat(BYTES_MAX + 1);
    assert_eq!(long.parse::<Patch>(), Err(NoPatch::TooLong(long.len())));
    let many = format!("*** Begin Patch\n{}*** End Patch", "*** Delete File: a\n".repeat(501));
    assert_eq!(many.parse::<Patch>(), Err(NoPatch::TooManyFiles));
}

#[test]
fn lines_that_are_all_alike_are_not_compared_for_ever() {
    let file = "a\n".repeat(100_000);
    let body = format!("@@\n{}-b\n", " a\n".repeat(50_000));
    assert!(changed(&body, &file).unwrap_err().contains("too many lines that are alike"));
}
