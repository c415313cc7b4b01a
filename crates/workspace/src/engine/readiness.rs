//! How warm this host is for an environment and a shape.

use std::fmt::Write as _;

use environment::{EnvironmentError, EnvironmentRecord, KernelRecord, Selector};
use machine::MonitorInfo;
use operation::{Call, ErrorKind, Handler, OpError};
use tokio_util::sync::CancellationToken;
use workspace_api::digest::Digest;
use workspace_api::prepare::{Prepare, Warmth};
use workspace_api::spec::{Accelerator, EnvironmentRef, Shape};

use super::Engine;
use super::terms::{curated, digest, to_machine, to_shape, unknown};
use crate::host::HostFacts;
use crate::template::{Found, Ingredients, Template};
use crate::trouble::environment_error;

/// What a new workspace of an environment and a shape would start from.
#[derive(Debug)]
pub(super) struct Readiness {
    pub(super) accelerator: Accelerator,
    pub(super) monitor: Option<MonitorInfo>,
    pub(super) environment: Option<EnvironmentRecord>,
    pub(super) template: TemplateState,
}

/// Everything that a new workspace starts from.
#[derive(Debug)]
pub(super) struct WarmStart {
    pub(super) template: Box<Template>,
    pub(super) accelerator: Accelerator,
    pub(super) environment_digest: Digest,
    pub(super) monitor: MonitorInfo,
}

#[derive(Debug)]
pub(super) enum TemplateState {
    Warm(Box<Template>),
    Stale(StaleBecause),
    Cold,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum StaleBecause {
    /// Environment, kernel, agent, monitor or processor are not what they were.
    IngredientsChanged,
    /// Something wrote to its files.
    Tampered,
}

impl TemplateState {
    pub(super) fn warmth(&self) -> Warmth {
        match self {
            Self::Warm(_) => Warmth::Warm,
            Self::Stale(_) => Warmth::Stale,
            Self::Cold => Warmth::Cold,
        }
    }
}

impl Engine {
    /// The environment that a reference means, if it is here.
    pub(super) fn installed(
        &self,
        reference: &EnvironmentRef,
    ) -> Result<Option<EnvironmentRecord>, OpError> {
        let selector = Selector::parse(reference.as_str())
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        match self.library.inspect(&selector) {
            Ok(record) => Ok(Some(record)),
            Err(EnvironmentError::NotPresent { .. }) => Ok(None),
            Err(error) => Err(environment_error(error)),
        }
    }

    pub(super) fn newest_kernel(&self) -> Result<Option<KernelRecord>, OpError> {
        let kernels = self.library.kernels_present().map_err(environment_error)?;
        Ok(kernels.into_iter().max_by_key(|kernel| kernel.created_at))
    }

    /// What the current templates of an environment and shape are made of.
    pub(super) fn ingredients(
        &self,
        facts: &HostFacts,
        environment: &EnvironmentRecord,
        kernel: &KernelRecord,
        shape: Shape,
    ) -> Result<Ingredients, OpError> {
        let accelerator = facts.accelerator(self.settings.accelerator)?;
        Ok(Ingredients::new(
            environment,
            kernel,
            facts.monitor()?,
            to_machine(accelerator),
            &facts.processor,
            to_shape(shape),
        ))
    }

    /// Looks at everything that a new workspace needs.
    pub(super) fn readiness(
        &self,
        reference: &EnvironmentRef,
        shape: Shape,
    ) -> Result<Readiness, OpError> {
        let facts = HostFacts::load(&self.home, &self.settings)?;
        let accelerator = facts.accelerator(self.settings.accelerator)?;
        let environment = self.installed(reference)?;
        let kernel = self.newest_kernel()?;
        let template = match (&environment, &kernel) {
            (Some(environment), Some(kernel)) => {
                let ingredients = self.ingredients(&facts, environment, kernel, shape)?;
                match Template::find(&self.home, &ingredients.key())? {
                    Found::Warm(template) => TemplateState::Warm(template),
                    Found::Tampered => TemplateState::Stale(StaleBecause::Tampered),
                    Found::Cold => self.cold_or_stale(reference, &ingredients)?,
                }
            }
            _ => TemplateState::Cold,
        };
        Ok(Readiness { accelerator, monitor: facts.monitor, environment, template })
    }

    /// Without a current template: whether there is an outdated one.
    fn cold_or_stale(
        &self,
        reference: &EnvironmentRef,
        wanted: &Ingredients,
    ) -> Result<TemplateState, OpError> {
        let outdated = Template::list(&self.home)?.into_iter().any(|template| {
            let ingredients = &template.manifest.ingredients;
            ingredients.shape == wanted.shape
                && ingredients.accelerator == wanted.accelerator
                && template.manifest.name == *reference
        });
        Ok(if outdated {
            TemplateState::Stale(StaleBecause::IngredientsChanged)
        } else {
            TemplateState::Cold
        })
    }

    /// What [`Engine::warm_template`] says; if only the template is missing and this engine may, it is made first.
    /// Nothing is fetched and no environment is built for that.
    pub(super) async fn warmed_template(
        &self,
        reference: &EnvironmentRef,
        shape: Shape,
        cancel: &CancellationToken,
    ) -> Result<WarmStart, OpError> {
        let refused = match self.warm_template(reference, shape) {
            Ok(warm) => return Ok(warm),
            Err(error) => error,
        };
        let Some(most) = self.templates_max else { return Err(refused) };
        let Readiness { environment, template, .. } = self.readiness(reference, shape)?;
        let is_missing = match template {
            TemplateState::Cold | TemplateState::Stale(StaleBecause::IngredientsChanged) => true,
            // Whoever wrote to it may want to know why.
            TemplateState::Stale(StaleBecause::Tampered) | TemplateState::Warm(_) => false,
        };
        let has_room = Template::list(&self.home)?.len() < most;
        let has_rest = environment.is_some() && self.newest_kernel()?.is_some();
        if !(is_missing && has_room && has_rest) {
            return Err(refused);
        }
        let prepare = Prepare { environment: reference.clone(), shape, force: false };
        let mut call = Call::quiet().with_cancel(cancel.clone());
        Box::pin(self.handle(prepare, &mut call)).await?;
        self.warm_template(reference, shape)
    }

    /// Whether workspaces of an environment and a shape can be created at once.
    ///
    /// # Errors
    ///
    /// Why not, and what to do about it.
    pub fn check_prepared(&self, reference: &EnvironmentRef, shape: Shape) -> Result<(), OpError> {
        self.warm_template(reference, shape).map(drop)
    }

    /// The template that a new workspace starts from, or what to do to get one.
    pub(super) fn warm_template(
        &self,
        reference: &EnvironmentRef,
        shape: Shape,
    ) -> Result<WarmStart, OpError> {
        let readiness = self.readiness(reference, shape)?;
        if readiness.environment.is_none() && curated(reference).is_none() {
            return Err(unknown(reference));
        }
        let because = match readiness.template {
            TemplateState::Warm(template) => {
                return Ok(WarmStart {
                    template,
                    accelerator: readiness.accelerator,
                    environment_digest: digest(&readiness.environment.expect("seen above")),
                    monitor: readiness.monitor.expect("seen above"),
                });
            }
            TemplateState::Cold => "no template was made for it yet",
            TemplateState::Stale(StaleBecause::IngredientsChanged) => {
                "what its template was made from has changed"
            }
            TemplateState::Stale(StaleBecause::Tampered) => {
                "the files of its template were written to after it was saved"
            }
        };
        Err(OpError::plain(ErrorKind::Unavailable, because)
            .during(format!("`{reference}` is not prepared for {shape}"))
            .hinted(format!("prepare it once: `{}`", prepare_command(reference, shape))))
    }
}

/// The command line that prepares an environment for a shape.
pub(super) fn prepare_command(reference: &EnvironmentRef, shape: Shape) -> String {
    let mut command = format!("hotcell prepare {reference}");
    if shape.cpus != Shape::default().cpus {
        write!(command, " --cpus {}", shape.cpus).expect("writing to a string cannot fail");
    }
    if shape.memory_mib != Shape::default().memory_mib {
        write!(command, " --memory-mib {}", shape.memory_mib)
            .expect("writing to a string cannot fail");
    }
    command
}
