//! Which of our crates may depend on which.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata};

use super::Violation;

/// What each crate may depend on among ours. A new edge is a decision: write
/// down why (`docs/decisions`) before adding it here.
const ALLOWED: &[(&str, &[&str])] = &[
    ("operation", &[]),
    ("workspace-api", &["operation"]),
    ("guest-protocol", &[]),
    ("guest-agent", &["guest-protocol"]),
    ("guest-tools", &["guest-protocol", "file-tree"]),
    ("file-tree", &[]),
    ("tree-diff", &["guest-protocol"]),
    ("disk-image", &[]),
    ("machine", &[]),
    ("environment", &[]),
    ("egress", &["workspace-api"]),
    ("chat-hosts", &["workspace-api"]),
    ("host-git", &[]),
    ("batch-git", &["batch-api", "host-git"]),
    ("agent-lab", &[]),
    ("agents", &[]),
    ("redaction", &[]),
    ("sealing", &[]),
    ("batch-api", &["operation", "workspace-api"]),
    ("packet", &["batch-api"]),
    ("batch-core", &["batch-api"]),
    (
        "batch",
        &[
            "agents",
            "batch-api",
            "batch-core",
            "batch-git",
            "packet",
            "operation",
            "file-tree",
            "redaction",
            "workspace",
            "workspace-api",
        ],
    ),
    (
        "workspace",
        &[
            "operation",
            "workspace-api",
            "guest-protocol",
            "file-tree",
            "machine",
            "environment",
            "egress",
            "redaction",
            "sealing",
            "tree-diff",
            "disk-image",
            "chat-hosts",
            "host-git",
        ],
    ),
    ("hotcell", &["operation", "workspace-api", "workspace", "batch", "batch-api"]),
    ("mcp", &["operation"]),
    ("recipes", &["file-tree"]),
    (
        "hotcell-cli",
        &["operation", "workspace-api", "workspace", "mcp", "recipes", "batch", "batch-api"],
    ),
];

/// What only the tests of a crate may depend on besides, and why.
const ALLOWED_IN_TESTS: &[(&str, &[&str], &str)] = &[
    (
        "hotcell-cli",
        &["guest-protocol", "machine", "agent-lab", "batch-core"],
        "a test resumes copies of a machine that is older than any template; others run agents and batches",
    ),
    ("agents", &["agent-lab"], "adapters are tried with the agents' own programs"),
    ("recipes", &["operation", "workspace-api"], "recipes get by with the tools of their modes"),
    ("tree-diff", &["guest-tools"], "what it prints is applied by our own tool, too"),
];

/// Nothing depends on it, and it may depend on everything.
const TASKS: &str = "xtask";

pub(super) fn check(metadata: &Metadata) -> Vec<Violation> {
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut violations = Vec::new();
    for package in packages.iter().filter(|package| package.name.as_str() != TASKS) {
        let name = package.name.as_str();
        let manifest = package.manifest_path.strip_prefix(&metadata.workspace_root);
        let path = Path::new(manifest.unwrap_or(&package.manifest_path).as_str());
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            let message = format!("the crate `{name}` is missing in the table of allowed edges");
            violations.push(Violation::of(path, 0, message));
            continue;
        };
        for dependency in &package.dependencies {
            let target = dependency.name.as_str();
            let for_tests = dependency.kind == DependencyKind::Development
                && ALLOWED_IN_TESTS
                    .iter()
                    .any(|(known, more, _)| *known == name && more.contains(&target));
            if ours.contains(target) && !allowed.contains(&target) && !for_tests {
                let message = format!("`{name}` must not depend on `{target}`");
                violations.push(Violation::of(path, 0, message));
            }
        }
    }
    violations
}
