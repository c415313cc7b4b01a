//! `prepare`: all one-time work, ahead.

use std::time::Instant;

use environment::{BuildOptions, BuildOutcome, IMAGE_VIRTUAL_BYTES, ModuleSet, Rebuild};
use operation::{Call, Handler, OpError};
use workspace_api::prepare::{Prepare, Prepared, PreparedStep, Task, Warmth, WorkProgress};

use super::Engine;
use super::progress::{blocking, finished, library_progress};
use super::terms::{digest, from_machine, from_shape, milliseconds, to_outcome};
use crate::guest_programs::PROGRAMS;
use crate::host::HostFacts;
use crate::seeds;
use crate::template::{self, Found, Ingredients, Making, Remake, Template};
use crate::trouble::environment_error;

/// How many steps the making of a template tells of.
const TEMPLATE_STEPS: u64 = 3;

impl Handler<Prepare> for Engine {
    async fn handle(
        &self,
        prepare: Prepare,
        call: &mut Call<WorkProgress>,
    ) -> Result<Prepared, OpError> {
        // What would fail in the end anyway shall not cost a build first.
        let facts = HostFacts::load(&self.home, &self.settings)?;
        let monitor = facts.monitor()?.clone();
        facts.accelerator(self.settings.accelerator)?;
        let rebuild = if prepare.force { Rebuild::Always } else { Rebuild::IfMissing };

        let begun = Instant::now();
        let (environment, outcome) = self.build(&prepare.environment, rebuild, None, call).await?;
        let mut steps = vec![step(Task::Environment, outcome, begun)];

        let begun = Instant::now();
        let had_kernel = self.newest_kernel()?.is_some();
        let kernel = {
            let library = self.library.clone();
            let options = BuildOptions { rebuild, mirror: None };
            blocking(call, move |tell, cancel| {
                let mut progress = library_progress(Task::Kernel, tell);
                library.ensure_kernel(&options, &mut progress, cancel).map_err(environment_error)
            })
            .await?
        };
        call.emit(finished(Task::Kernel)).await;
        let done = !had_kernel || prepare.force;
        steps.push(step(
            Task::Kernel,
            if done { BuildOutcome::Built } else { BuildOutcome::AlreadyPresent },
            begun,
        ));

        let begun = Instant::now();
        let ingredients = self.ingredients(&facts, &environment, &kernel, prepare.shape)?;
        let remake = if prepare.force { Remake::Always } else { Remake::IfCold };
        let was_warm = is_warm(self, &ingredients)?;
        let making = Making {
            home: self.home.clone(),
            settings: (*self.settings).clone(),
            monitor,
            name: prepare.environment.clone(),
            ingredients,
            vmlinux: kernel.vmlinux(),
            initrd: self
                .library
                .initrd(&kernel, &PROGRAMS, ModuleSet::Workspace)
                .map_err(environment_error)?,
            root_image: environment.root_image(),
            empty_seed: seeds::empty(&self.home)?,
            image_bytes: IMAGE_VIRTUAL_BYTES,
        };
        let token = call.cancel.clone();
        let template = blocking(call, move |tell, _| {
            let mut done = 0;
            let mut told = |note: &'static str| {
                tell(WorkProgress {
                    task: Task::Template,
                    note: note.to_owned(),
                    done,
                    total: Some(TEMPLATE_STEPS),
                    finished: false,
                });
                done = (done + 1).min(TEMPLATE_STEPS);
            };
            template::make(&making, remake, &mut told, &token)
        })
        .await?;
        call.emit(finished(Task::Template)).await;
        let done = !was_warm || prepare.force;
        steps.push(step(
            Task::Template,
            if done { BuildOutcome::Built } else { BuildOutcome::AlreadyPresent },
            begun,
        ));

        let shape = template.manifest.ingredients.shape;
        Ok(Prepared {
            environment_digest: digest(&environment),
            environment: prepare.environment,
            accelerator: from_machine(template.manifest.ingredients.accelerator),
            shape: from_shape(shape),
            steps,
            warmth: Warmth::Warm,
            template_disk_bytes: template.disk_bytes(),
        })
    }
}

fn is_warm(engine: &Engine, ingredients: &Ingredients) -> Result<bool, OpError> {
    Ok(matches!(Template::find(&engine.home, &ingredients.key())?, Found::Warm(_)))
}

fn step(task: Task, outcome: BuildOutcome, begun: Instant) -> PreparedStep {
    PreparedStep { task, outcome: to_outcome(outcome), duration_ms: milliseconds(begun) }
}
