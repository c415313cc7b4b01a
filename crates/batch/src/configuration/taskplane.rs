//! `.pi/taskplane-config.json`, version 1.

use batch_api::plan::{LANES_MAX, SourceOfSettings};
use batch_core::spec::FailurePolicy;
use serde_json::{Map, Value};

use super::{Read, TASKPLANE_FILE, WEIGHT_MAX, shown};

const FILE: &str = TASKPLANE_FILE;

/// The version of the file that is read.
const VERSION: u64 = 1;

/// The longest that an agent may show no progress: a week.
const STALL_MINUTES_MAX: u64 = 7 * 24 * 60;

/// What is not used and changes nothing that is planned.
const SILENT: &[&str] = &["project", "paths", "prefix", "context", "sizeWeights", "maxLanes"];

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    read.configuration.source = SourceOfSettings::Taskplane;
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let line = u32::try_from(error.line()).unwrap_or_default();
            read.problem(FILE, line, format!("found what is no JSON: {error}"));
            return read;
        }
    };
    if value["configVersion"] != VERSION {
        let message = format!("found another version; expected `\"configVersion\": {VERSION}`");
        read.problem(FILE, 0, message);
        return read;
    }
    areas(&value["taskRunner"]["taskAreas"], &mut read);
    let orchestrator = &value["orchestrator"];
    // The settings lie in `orchestrator.orchestrator` in files that Taskplane writes.
    let lanes = [&orchestrator["orchestrator"]["maxLanes"], &orchestrator["maxLanes"]];
    if let Some(lanes) = lanes.into_iter().find(|lanes| !lanes.is_null()) {
        match lanes.as_u64().and_then(|lanes| u8::try_from(lanes).ok()) {
            Some(lanes) if (1..=LANES_MAX).contains(&lanes) => {
                read.configuration.policy.lanes = lanes;
            }
            _ => read.problem(
                FILE,
                0,
                format!("found another `maxLanes`; expected 1 to {LANES_MAX}"),
            ),
        }
    }
    let assignment = &orchestrator["assignment"];
    weights(&assignment["sizeWeights"], &mut read);
    if let Some(strategy) = assignment["strategy"].as_str().filter(|it| *it != "affinity-first") {
        let message = format!(
            "`assignment.strategy` {} is not supported: tasks that share files follow each other",
            shown(strategy)
        );
        read.remark(FILE, message);
    }
    failure(&orchestrator["failure"], &mut read);
    if orchestrator["dependencies"]["source"] == "agent" {
        let message =
            "`dependencies.source` agent is not supported: dependencies are what packets say";
        read.remark(FILE, message);
    }
    unused(&value, &mut read);
    read
}

fn areas(areas: &Value, read: &mut Read) {
    for (name, area) in areas.as_object().into_iter().flatten() {
        match area["path"].as_str() {
            Some(path) => read.area(FILE, 0, name, path),
            None => {
                let message = format!(
                    "found the area `{}` without a `path`; expected its directory",
                    shown(name)
                );
                read.problem(FILE, 0, message);
            }
        }
        let is_elsewhere = ["repoId", "repo_id"].iter().any(|key| !area[*key].is_null());
        if is_elsewhere {
            let message = format!(
                "the repository of the area `{}` is not used: there is one repository",
                shown(name)
            );
            read.remark(FILE, message);
        }
    }
}

/// When it gives up.
fn failure(failure: &Value, read: &mut Read) {
    let stall = &failure["stallTimeout"];
    if !stall.is_null() {
        let minutes = stall.as_u64().filter(|minutes| (1..=STALL_MINUTES_MAX).contains(minutes));
        match minutes {
            Some(minutes) => read.configuration.limits.stall_ms = minutes * 60_000,
            None => {
                let message = format!(
                    "found another `stallTimeout`; expected 1 to {STALL_MINUTES_MAX} minutes"
                );
                read.problem(FILE, 0, message);
            }
        }
    }
    let policy = &failure["onTaskFailure"];
    if !policy.is_null() {
        let policy = policy.as_str().and_then(|name| match name {
            // There are no waves to be finished.
            "stop-wave" => Some(FailurePolicy::StopNew),
            name => super::limits::policy(name),
        });
        match policy {
            Some(policy) => read.configuration.on_task_failure = policy,
            None => {
                let expected = "expected skip-dependents, stop-wave or stop-all";
                read.problem(FILE, 0, format!("found another `onTaskFailure`; {expected}"));
            }
        }
    }
}

fn weights(weights: &Value, read: &mut Read) {
    for (size, weight) in weights.as_object().into_iter().flatten() {
        let number = weight.as_u64().and_then(|weight| u32::try_from(weight).ok());
        let number = number.filter(|weight| (1..=WEIGHT_MAX).contains(weight));
        let to = &mut read.configuration.policy.weights;
        let place = match size.as_str() {
            "S" => Some(&mut to.small),
            "M" => Some(&mut to.medium),
            "L" => Some(&mut to.large),
            _ => None,
        };
        match (place, number) {
            (Some(place), Some(number)) => *place = number,
            _ => {
                let message = format!(
                    "found the weight of `{}`; expected S, M and L, 1 to {WEIGHT_MAX}",
                    shown(size)
                );
                read.problem(FILE, 0, message);
            }
        }
    }
}

/// Tells, in one line, what is in the file and not used for planning.
fn unused(value: &Value, read: &mut Read) {
    let used = ["taskAreas", "assignment", "dependencies", "orchestrator", "failure"];
    let of = |section: &str, value: &Value, used: &[&str]| {
        let entries = value.as_object().into_iter().flat_map(Map::keys);
        let names = entries.filter(|name| !used.contains(&name.as_str()));
        let names = names.filter(|name| !SILENT.contains(&name.as_str()));
        names.map(|name| format!("{section}.{}", shown(name))).collect::<Vec<_>>()
    };
    let (runner, orchestrator) = (&value["taskRunner"], &value["orchestrator"]);
    let of_failure = ["stallTimeout", "onTaskFailure"];
    let names = [
        of("taskRunner", runner, &used),
        of("orchestrator", orchestrator, &used),
        of("orchestrator.failure", &orchestrator["failure"], &of_failure),
    ]
    .concat();
    if !names.is_empty() {
        read.remark(FILE, format!("planning does not use {}", names.join(", ")));
    }
}
