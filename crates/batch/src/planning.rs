//! `batch.plan`: packets found, read, and planned.

use std::collections::BTreeSet;

use batch_api::plan::{Contention, PacketProblem, Plan, PlanFormat, Planned, PlannedTask};
use batch_core::plan::{self, Batch, Dependency, Known, Task};
use batch_core::spec::UnitSpec;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use packet::status::{Progress, StepStatus};
use workspace_api::spec::Shape;

use crate::Batches;
use crate::configuration::{AgentSetup, Configuration, LaneMode, Read, limits_told};
use crate::discovery::{self, Found, Packet, Repository};
use crate::picture;

impl Handler<Plan> for Batches {
    async fn handle(&self, plan: Plan, _: &mut Call<NoEvents>) -> Result<Planned, OpError> {
        tokio::task::spawn_blocking(move || outlined(&plan).map(|outline| outline.planned))
            .await
            .map_err(|error| {
                OpError::new(ErrorKind::Internal, &error).during("planning ended early")
            })?
    }
}

/// A plan, and all that it was made from.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) planned: Planned,
    pub(crate) repository: Repository,
    pub(crate) configuration: Configuration,
    /// What is to be done, the most urgent first; empty if there are problems.
    pub(crate) units: Vec<UnitSpec>,
}

/// Plans what is asked for.
pub(crate) fn outlined(request: &Plan) -> Result<Outline, OpError> {
    let directory = discovery::directory(&request.directory);
    let repository = Repository::around(&directory)?;
    let read = repository.configuration();
    let mut policy = read.configuration.policy;
    policy.lanes = request.lanes.unwrap_or(policy.lanes);
    let mut planned = nothing_planned(&repository, &read, policy.lanes);
    let mut units = Vec::new();
    let configuration = read.configuration;
    if !planned.problems.is_empty() {
        return Ok(Outline { planned, repository, configuration, units });
    }
    planned.remarks.extend(configuration.agent.as_ref().and_then(AgentSetup::remark));
    let found = Found::look(&repository, &configuration, &directory, &request.tasks)?;
    planned.completed = found.completed_here;
    planned.remarks.extend(found.remarks);
    planned.problems.extend(found.problems);
    let broken: BTreeSet<&str> = planned.problems.iter().map(|it| it.file.as_str()).collect();
    let is_graph_known = broken.is_empty();
    let batch = batch(&found.wanted, &found.completed, &found.pending);
    match plan::plan(&batch, policy) {
        Ok(plan) if is_graph_known => {
            fill(&mut planned, &plan, &found.wanted);
            let home = |at: usize| home(&repository, &found.wanted[at]);
            let is_machine =
                configuration.agent.as_ref().is_none_or(|it| it.lane != LaneMode::Worktree);
            let memory_mib = if is_machine { Shape::default().memory_mib.into() } else { 0 };
            units = UnitSpec::of(&plan, &repository.name(), memory_mib, home);
        }
        Ok(_) => {}
        Err(problems) => {
            // What is unknown may be in a packet that could not be read.
            let is_certain = |problem: &plan::Problem| {
                is_graph_known || !matches!(problem.fault, plan::Fault::Unresolved { .. })
            };
            let certain = problems.into_iter().filter(is_certain);
            planned.problems.extend(certain.map(|problem| located(&found.wanted, &problem)));
        }
    }
    planned.problems.sort();
    planned.problems.dedup();
    planned.remarks.sort();
    if planned.problems.is_empty() && request.format == PlanFormat::Svg {
        planned.picture = Some(picture::draw(&planned));
    }
    Ok(Outline { planned, repository, configuration, units })
}

/// What is planned before anything was looked for.
fn nothing_planned(repository: &Repository, read: &Read, lanes: u8) -> Planned {
    let configuration = &read.configuration;
    Planned {
        repository: repository.path.display().to_string(),
        settings: configuration.source.clone(),
        problems: read.problems.clone(),
        remarks: read.remarks.clone(),
        lanes,
        limits: limits_told(&configuration.limits, configuration.on_task_failure),
        tasks: Vec::new(),
        conflicts: Vec::new(),
        waves: Vec::new(),
        critical_path: Vec::new(),
        critical_minutes: 0,
        minutes: 0,
        work_minutes: 0,
        completed: 0,
        picture: None,
    }
}

/// What stands against a plan, by the file that it is in.
fn located(packets: &[Packet], problem: &plan::Problem) -> PacketProblem {
    let file = packets.get(problem.task).map_or(".", |packet| packet.file.as_str());
    PacketProblem { file: file.to_owned(), line: problem.line, message: problem.fault.to_string() }
}

/// A packet's directory.
fn home(repository: &Repository, packet: &Packet) -> String {
    let file = repository.path.join(&packet.file);
    file.parent().unwrap_or(&file).to_string_lossy().into_owned()
}

type Place = (batch_api::AreaName, batch_api::TaskId);

/// What there is to be planned.
fn batch(packets: &[Packet], completed: &[Place], pending: &[Place]) -> Batch {
    let task = |packet: &Packet| Task {
        id: packet.prompt.id.value.clone(),
        area: packet.area.clone(),
        size: packet.prompt.size(),
        dependencies: packet
            .prompt
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                area: dependency.value.area.clone(),
                task: dependency.value.task.clone(),
                line: dependency.line,
            })
            .collect(),
        scope: packet.prompt.scope.iter().map(|entry| entry.value.clone()).collect(),
    };
    let known = |(area, id): &Place| Known { area: area.clone(), id: id.clone() };
    Batch {
        tasks: packets.iter().map(task).collect(),
        completed: completed.iter().map(known).collect(),
        pending: pending.iter().map(known).collect(),
    }
}

/// Tells a plan.
fn fill(planned: &mut Planned, plan: &plan::Plan, packets: &[Packet]) {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    for task in &plan.tasks {
        let Packet { area, file, prompt, status } = &packets[task.position];
        let is_complete = |step: &&StepStatus| step.progress() == Progress::Complete;
        let steps = status.iter().flatten().flat_map(|status| &status.steps);
        let complete = steps.filter(is_complete).count();
        if prompt.scope.is_empty() {
            let message = "no file scope: nobody knows which files it changes".to_owned();
            planned.remarks.push(batch_api::plan::Remark { file: file.clone(), message });
        }
        planned.tasks.push(PlannedTask {
            id: task.id.clone(),
            name: prompt.name.value.clone(),
            area: area.clone(),
            prompt: file.clone(),
            size: prompt.size(),
            review_level: prompt.review_level(),
            steps: number(prompt.steps.len()),
            steps_complete: number(complete.min(prompt.steps.len())),
            lane: task.lane,
            start: task.start,
            end: task.end,
            wave: number(task.wave),
            depends_on: task.depends_on.clone(),
            satisfied: task.satisfied.clone(),
            conflicts_with: task.conflicts_with.clone(),
            is_critical: task.is_critical,
        });
    }
    let conflict = |conflict: &plan::Conflict| Contention {
        first: conflict.first.clone(),
        second: conflict.second.clone(),
        first_scope: conflict.first_pattern.clone(),
        second_scope: conflict.second_pattern.clone(),
        overlap: conflict.overlap,
    };
    planned.conflicts = plan.conflicts.iter().map(conflict).collect();
    planned.waves = plan.waves.clone();
    planned.critical_path = plan.critical_path.clone();
    planned.critical_minutes = plan.critical_minutes;
    planned.minutes = plan.minutes;
    planned.work_minutes = plan.work_minutes;
    if plan.undecided > 0 {
        let message = format!(
            "{} pairs of file scopes could not be compared and count as the same files",
            plan.undecided
        );
        planned.remarks.push(batch_api::plan::Remark { file: ".".to_owned(), message });
    }
}
