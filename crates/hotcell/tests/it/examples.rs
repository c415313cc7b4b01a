//! The examples do what they show.

use std::process::Command;

use crate::support::*;

/// What an example writes when it succeeds. Cargo builds examples with tests.
async fn run_example(name: &str) -> String {
    // Examples do not prepare.
    client().await;
    let example = build_directory().join("examples").join(name);
    let output = Command::new(&example)
        .env("HOTCELL_HOME", home())
        .env("HOTCELL_PROGRAM", program())
        .env_remove("HOTCELL_ACCELERATOR")
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", example.display()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}: {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_run_prints_a_version() {
    let output = run_example("run").await;
    assert!(output.starts_with("git version 2."), "{output}");
    let id = output.split_whitespace().find(|word| word.starts_with("ws_")).unwrap();
    assert_gone(&client().await, id.trim_end_matches(',').parse().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_parallel_uses_two_workspaces() {
    let output = run_example("parallel").await;
    for line in ["one: one", "two: two", "one and two are done"] {
        assert!(output.lines().any(|printed| printed == line), "{output}");
    }
}
