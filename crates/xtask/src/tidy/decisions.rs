//! That every decision can be found: numbered without gaps, and linked.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Violation;

const DIRECTORY: &str = "docs/decisions";
const INDEX: &str = "README.md";

pub(super) fn check(root: &Path) -> Result<Vec<Violation>> {
    let directory = root.join(DIRECTORY);
    let index = directory.join(INDEX);
    let linked =
        fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let mut pages = Vec::new();
    for entry in fs::read_dir(&directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != INDEX {
            pages.push(name);
        }
    }
    pages.sort();
    Ok(judge(&pages, &linked))
}

/// `pages` are sorted.
fn judge(pages: &[String], linked: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, page) in (1..).zip(pages) {
        let path = Path::new(DIRECTORY).join(page);
        if !page.starts_with(&format!("{number:04}-")) || !page.ends_with(".md") {
            let message = format!("the page should be called `{number:04}-….md`");
            violations.push(Violation::of(&path, 0, message));
        }
        if !linked.contains(&format!("({page})")) {
            let message = format!("{DIRECTORY}/{INDEX} does not link the page");
            violations.push(Violation::of(&path, 0, message));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_missing_links_are_found() {
        let pages = ["0001-one.md", "0003-three.md"].map(str::to_owned);
        let found = judge(&pages, "* [one](0001-one.md)\n* [two](0002-two.md)");
        let messages: Vec<&str> =
            found.iter().map(|violation| violation.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "the page should be called `0002-….md`",
                "docs/decisions/README.md does not link the page"
            ]
        );
    }
}
