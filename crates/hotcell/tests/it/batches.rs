//! Batches: planned by a program.

use hotcell::batch_plan::Plan;
use hotcell::batch_processes::Processes;

use crate::support::open;

#[tokio::test]
async fn a_repository_is_made_ready_and_planned() {
    let repository = tempfile::tempdir().unwrap();
    let batches = open().batches();
    let plan = || {
        let directory = repository.path().to_string_lossy().into_owned();
        batches.plan(Plan { directory, ..Plan::of([]) })
    };
    let error = plan().await.unwrap_err();
    assert_eq!(error.kind, hotcell::ErrorKind::NotFound);
    let written = batches.init(repository.path()).await.unwrap();
    assert_eq!(written.files.len(), 2);
    let planned = plan().await.unwrap();
    assert!(planned.problems.is_empty(), "{planned:?}");
    let ids: Vec<_> = planned.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["EX-001"]);
    let packet = repository.path().join(&planned.tasks[0].prompt);
    std::fs::write(&packet, "# EX-001: Nothing to do\n").unwrap();
    let planned = plan().await.unwrap();
    assert_eq!(planned.problems.len(), 1);
    assert_eq!(planned.problems[0].file, "tasks/EX-001-development-guide/PROMPT.md");
    let listed = batches.agents().await.unwrap();
    assert!(listed.agents.iter().any(|agent| agent.kind == "codex" && !agent.proved.is_empty()));
    let processes = batches.processes(Processes::default()).await.unwrap();
    assert!(processes.processes.is_empty() && processes.ended.is_empty(), "{processes:?}");
}
