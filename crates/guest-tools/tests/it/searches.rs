//! The tool `search`.

use guest_protocol::tools::file::Selection;
use guest_protocol::tools::search::{Case, Found, Search, Syntax};

use crate::support::*;

fn search(workspace: &Workspace, pattern: &str, syntax: Syntax) -> Found {
    let request = Search {
        pattern: pattern.to_owned(),
        syntax,
        case: Case::Smart,
        path: place("."),
        selection: Selection { globs: vec!["!*.md".into()], ..Selection::default() },
        context: 1,
        limit: 2,
    };
    workspace.ask(&request, &[], |r, i, o| guest_tools::search::serve(r, i, o)).0.unwrap()
}

#[test]
fn lines_are_found_with_their_context_and_a_bound() {
    let workspace = Workspace::new();
    workspace.put(".gitignore", "ignored\n");
    workspace.put("ignored", "needle\n");
    workspace.put("note.md", "needle\n");
    workspace.put("data", b"needle\0\n");
    workspace.put("a/one", "before\nsome Needle (1)\nafter\n");
    workspace.put("b", "needle\nneedle\nneedle\n");
    let found = search(&workspace, "needle", Syntax::Regex);
    let lines: Vec<String> = found
        .lines
        .iter()
        .map(|line| format!("{}:{}:{:?}:{}", line.path, line.number, line.column, line.text))
        .collect();
    assert_eq!(
        lines[..3],
        ["a/one:1:None:before", "a/one:2:Some(6):some Needle (1)", "a/one:3:None:after"]
    );
    assert_eq!((found.matches, found.truncated), (2, true));
    let literal = search(&workspace, "(1)", Syntax::Literal);
    assert_eq!((literal.matches, literal.files, literal.truncated), (1, 1, false));
}
