//! Operations on environments.

use std::time::Instant;

use environment::{
    BuildOptions, BuildOutcome, CuratedEnvironment, EnvironmentName, EnvironmentRecord, InUse,
    Rebuild, catalog,
};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::env::{
    Build, Environment, EnvironmentDetail, EnvironmentSource, Environments, Inspect, Installed,
    InstalledEnvironment, List, Package, Prune, Pruned, Pull, TemplateSummary,
};
use workspace_api::prepare::{Task, Warmth, WorkProgress};
use workspace_api::spec::EnvironmentRef;

use super::Engine;
use super::progress::{blocking, finished, library_progress};
use super::readiness::TemplateState;
use super::terms::{curated, digest, from_shape, milliseconds, shown, to_outcome, unknown};
use crate::files::{disk_bytes, remove_tree};
use crate::template::{Found, Template};
use crate::trouble::environment_error;

impl Handler<List> for Engine {
    async fn handle(&self, _: List, _: &mut Call<NoEvents>) -> Result<Environments, OpError> {
        let records = self.library.list().map_err(environment_error)?;
        let mut environments = Vec::new();
        for curated in catalog() {
            let named = |record: &&EnvironmentRecord| {
                record.names.iter().any(|name| name.as_str() == curated.name)
            };
            let record = records.iter().find(named);
            environments.push(self.environment(&reference(curated.name), Some(curated), record)?);
        }
        for record in &records {
            for name in &record.names {
                if !catalog().iter().any(|curated| curated.name == name.as_str()) {
                    environments.push(self.environment(
                        &reference(name.as_str()),
                        None,
                        Some(record),
                    )?);
                }
            }
        }
        Ok(Environments { environments })
    }
}

impl Handler<Inspect> for Engine {
    async fn handle(
        &self,
        inspect: Inspect,
        _: &mut Call<NoEvents>,
    ) -> Result<EnvironmentDetail, OpError> {
        let curated = curated(&inspect.environment);
        let record = self.installed(&inspect.environment)?;
        if record.is_none() && curated.is_none() {
            return Err(unknown(&inspect.environment));
        }
        let environment = self.environment(&inspect.environment, curated, record.as_ref())?;
        let packages = record.iter().flat_map(|record| &record.manifest.packages);
        Ok(EnvironmentDetail {
            environment,
            virtual_bytes: record.as_ref().map_or(environment::IMAGE_VIRTUAL_BYTES, |record| {
                record.manifest.image_virtual_bytes
            }),
            packages: packages
                .map(|package| Package {
                    name: package.name.clone(),
                    version: package.version.clone(),
                })
                .collect(),
        })
    }
}

impl Handler<Pull> for Engine {
    async fn handle(
        &self,
        pull: Pull,
        call: &mut Call<WorkProgress>,
    ) -> Result<Installed, OpError> {
        self.install(&pull.environment, Rebuild::IfMissing, None, call).await
    }
}

impl Handler<Build> for Engine {
    async fn handle(
        &self,
        build: Build,
        call: &mut Call<WorkProgress>,
    ) -> Result<Installed, OpError> {
        self.install(&build.environment, Rebuild::Always, build.mirror, call).await
    }
}

impl Handler<Prune> for Engine {
    async fn handle(&self, _: Prune, call: &mut Call<NoEvents>) -> Result<Pruned, OpError> {
        let mut pruned = Pruned { removed: Vec::new(), freed_bytes: Template::sweep(&self.home)? };
        let workspaces = self.store.list()?;
        let kernel = self.newest_kernel()?.map(|kernel| kernel.digest.to_string());
        let mut kept = Vec::new();
        for template in Template::list(&self.home)? {
            let ingredients = &template.manifest.ingredients;
            let used = workspaces.iter().any(|record| record.template == template.name);
            let newest = match Template::find(&self.home, &ingredients.key())? {
                Found::Warm(newest) => newest.name == template.name,
                Found::Tampered | Found::Cold => false,
            };
            let current = newest
                && self.installed(&template.manifest.name)?.is_some_and(|record| {
                    record.manifest.digest.to_string() == ingredients.environment
                })
                && kernel.as_ref() == Some(&ingredients.kernel)
                && ingredients.agent == crate::guest_programs::digest();
            if used || current {
                kept.push(template);
                continue;
            }
            let bytes = disk_bytes(&template.directory);
            remove_tree(&template.directory)?;
            pruned.freed_bytes += bytes;
            pruned
                .removed
                .push(format!("template {} of {}", template.name, template.manifest.name));
        }
        let in_use = |digest: &environment::Digest| {
            let text = digest.to_string();
            let by_template = kept.iter().any(|template| {
                let manifest = &template.manifest;
                manifest.ingredients.environment == text
                    || manifest.ingredients.kernel == text
                    || manifest.initrd.to_string_lossy().contains(digest.digits())
            });
            let by_workspace =
                workspaces.iter().any(|record| record.environment_digest.to_string() == text);
            if by_template || by_workspace { InUse::Yes } else { InUse::No }
        };
        let (cancel, _guard) = super::follow(&call.cancel);
        let library = self.library.prune(&in_use, &cancel).map_err(environment_error)?;
        pruned.freed_bytes += library.freed_bytes;
        pruned.removed.extend(library.removed.iter().map(ToString::to_string));
        let (seeds, freed_bytes) = crate::seeds::prune(&self.home)?;
        pruned.freed_bytes += freed_bytes;
        if seeds > 0 {
            pruned.removed.push(format!("{seeds} images of seeds"));
        }
        Ok(pruned)
    }
}

impl Engine {
    async fn install(
        &self,
        name: &EnvironmentRef,
        rebuild: Rebuild,
        mirror: Option<String>,
        call: &mut Call<WorkProgress>,
    ) -> Result<Installed, OpError> {
        let begun = Instant::now();
        let (record, outcome) = self.build(name, rebuild, mirror, call).await?;
        Ok(Installed {
            environment: self.environment(name, curated(name), Some(&record))?,
            outcome: to_outcome(outcome),
            duration_ms: milliseconds(begun),
        })
    }

    /// Builds an environment, or finds it.
    pub(super) async fn build(
        &self,
        name: &EnvironmentRef,
        rebuild: Rebuild,
        mirror: Option<String>,
        call: &mut Call<WorkProgress>,
    ) -> Result<(EnvironmentRecord, BuildOutcome), OpError> {
        // What is here already needs no name that can be built.
        if rebuild == Rebuild::IfMissing
            && let Some(record) = self.installed(name)?
        {
            return Ok((record, BuildOutcome::AlreadyPresent));
        }
        if curated(name).is_none() {
            return Err(unknown(name));
        }
        let library = self.library.clone();
        let parsed: EnvironmentName = name
            .as_str()
            .parse()
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        let options = BuildOptions { rebuild, mirror };
        let built = blocking(call, move |tell, cancel| {
            let mut progress = library_progress(Task::Environment, tell);
            library.build(&parsed, &options, &mut progress, cancel).map_err(environment_error)
        })
        .await?;
        call.emit(finished(Task::Environment)).await;
        Ok((built.record, built.outcome))
    }

    /// What is told of an environment.
    fn environment(
        &self,
        name: &EnvironmentRef,
        curated: Option<&CuratedEnvironment>,
        record: Option<&EnvironmentRecord>,
    ) -> Result<Environment, OpError> {
        let mut templates = Vec::new();
        for template in Template::list(&self.home)? {
            if template.manifest.name != *name {
                continue;
            }
            let shape = from_shape(template.manifest.ingredients.shape);
            // Of several templates of one shape only the current one is warm.
            let warmth = match self.readiness(name, shape)?.template {
                TemplateState::Warm(current) if current.name == template.name => Warmth::Warm,
                _ => Warmth::Stale,
            };
            templates.push(TemplateSummary { shape, warmth, disk_bytes: template.disk_bytes() });
        }
        Ok(Environment {
            name: name.clone(),
            description: curated.map(|curated| curated.description.to_owned()).unwrap_or_default(),
            source: if curated.is_some() {
                EnvironmentSource::Packages
            } else {
                EnvironmentSource::Registry
            },
            installed: record.map(|record| InstalledEnvironment {
                digest: digest(record),
                created_at: shown(record.manifest.created_at),
                disk_bytes: record.manifest.image_disk_bytes,
                package_count: record.manifest.packages.len() as u64,
            }),
            templates,
        })
    }
}

fn reference(name: &str) -> EnvironmentRef {
    name.parse().expect("the library's names are names")
}
