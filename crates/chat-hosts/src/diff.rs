//! What changes in a file, as a unified diff.

use std::path::Path;

use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};

/// The difference between two states of a file; a missing file has no lines.
#[must_use]
pub fn unified(file: &Path, before: Option<&[u8]>, after: Option<&[u8]>) -> String {
    let lossy =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (old, new) = (lossy(before), lossy(after));
    let input = InternedInput::new(old.as_str(), new.as_str());
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let printer = BasicLineDiffPrinter(&input.interner);
    let hunks = diff.unified_diff(&printer, UnifiedDiffConfig::default(), &input);
    let name = |bytes: Option<&[u8]>| {
        bytes.map_or_else(|| "/dev/null".to_owned(), |_| file.display().to_string())
    };
    format!("--- {}\n+++ {}\n{hunks}", name(before), name(after))
}
