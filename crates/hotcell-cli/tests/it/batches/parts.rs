//! Parts of a batch, for tests that have an engine within themselves.

use std::fs;
use std::path::{Path, PathBuf};

use batch_api::{BatchId, TaskId, UnitId};
use batch_core::spec::{BatchSpec, Ceiling, FailurePolicy, Limits, Receipts, UnitSpec};

pub(super) fn packet(packets: &Path, task: &str, file: &str) -> PathBuf {
    let home = packets.join(format!("{task}-write"));
    fs::create_dir_all(&home).unwrap();
    let prompt = format!(
        "# Task: {task} - Write a file\n\n**Size:** S\n\n## Mission\n\nWrite: {file}\n\n\
         ## Steps\n\n### Step 1: Begin\n\n- [ ] It is there\n\n### Step 2: Go on\n\n- [ ] It is whole\n"
    );
    fs::write(home.join("PROMPT.md"), prompt).unwrap();
    home
}

pub(super) fn unit(task: &str, home: &Path, after: &[&str]) -> UnitSpec {
    let task: TaskId = task.parse().unwrap();
    UnitSpec {
        unit: UnitId { task, repository: "app".parse().unwrap(), visit: 1 },
        home: home.to_string_lossy().into_owned(),
        after: after.iter().map(|task| task.parse().unwrap()).collect(),
        apart: Vec::new(),
        memory_mib: 0,
    }
}

pub(super) fn spec(batch: BatchId, units: Vec<UnitSpec>) -> BatchSpec {
    let ceiling = Ceiling { time_ms: 3_600_000, tokens: 1_000_000, money_micros: 1_000_000 };
    BatchSpec {
        batch,
        owner: "operator:anna".parse().unwrap(),
        lanes: 2,
        memory_mib: None,
        policy: FailurePolicy::SkipDependents,
        receipts: Receipts::Unprovable,
        limits: Limits {
            unit: ceiling,
            batch: ceiling,
            stall_ms: 600_000,
            retries: Limits::RETRIES_MAX,
            contexts: 4,
            wait_ms: 600_000,
        },
        units,
    }
}
