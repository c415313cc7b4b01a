//! Environments: what a workspace starts from.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::prepare::{StepOutcome, Warmth, WorkProgress};
use crate::spec::{EnvironmentRef, Shape};

/// List the environments that exist and those that can be built
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {}

impl Operation for List {
    type Output = Environments;
    type Event = NoEvents;
    const NAME: &'static str = "env.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example { argv: "", json: "{}" }];
}

/// The environments of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environments {
    /// The curated ones first, then those pulled from registries.
    pub environments: Vec<Environment>,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentRef,
    /// What it is good for.
    pub description: String,
    /// Where it comes from.
    pub source: EnvironmentSource,
    /// What is on this host, if it was built or pulled.
    pub installed: Option<InstalledEnvironment>,
    /// The templates that are made from it.
    pub templates: Vec<TemplateSummary>,
}

/// Where an environment comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentSource {
    /// Built here from the distribution's signed packages.
    Packages,
    /// Pulled as an OCI image from a registry.
    Registry,
}

/// An environment's content on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstalledEnvironment {
    /// Names the content; environments never change under a digest.
    pub digest: Digest,
    /// When it was built or pulled, RFC 3339 in UTC.
    pub created_at: String,
    /// Disk space of its root image, in bytes.
    pub disk_bytes: u64,
    /// How many packages it holds.
    pub package_count: u64,
}

/// A template and how warm it makes the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateSummary {
    /// The shape of its machines.
    pub shape: Shape,
    /// Whether it can be used as it is.
    pub warmth: Warmth,
    /// Disk space in bytes.
    pub disk_bytes: u64,
}

impl Present for Environments {
    fn present(&self, screen: &mut Screen) {
        for environment in &self.environments {
            let state = match &environment.installed {
                None => "not built".to_owned(),
                Some(installed) => format!("{} MiB", installed.disk_bytes >> 20),
            };
            let name = environment.name.as_str();
            screen.line(format!("{name:<16} {state:<10} {}", environment.description));
            for template in &environment.templates {
                screen.line(format!(
                    "{:<16} {:<10} {}",
                    "",
                    template.warmth.to_string(),
                    template.shape
                ));
            }
        }
    }
}

/// Show an environment: digest, sizes, packages
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Inspect {
    /// Name or digest of the environment
    pub environment: EnvironmentRef,
}

impl Operation for Inspect {
    type Output = EnvironmentDetail;
    type Event = NoEvents;
    const NAME: &'static str = "env.inspect";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "debian:12", json: r#"{"environment": "debian:12"}"# }];
}

/// An environment with all its packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentDetail {
    /// The environment.
    pub environment: Environment,
    /// Size of its root file system as a workspace sees it, in bytes.
    pub virtual_bytes: u64,
    /// Its packages, sorted by name.
    pub packages: Vec<Package>,
}

/// A package of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Present for EnvironmentDetail {
    fn present(&self, screen: &mut Screen) {
        let environment = &self.environment;
        screen.line(format!("Environment  {}", environment.name));
        screen.line(format!("             {}", environment.description));
        if let Some(installed) = &environment.installed {
            screen.line(format!("Digest       {}", installed.digest));
            screen.line(format!("Created      {}", installed.created_at));
            screen.line(format!(
                "Size         {} MiB on disk, {} GiB as a workspace sees it",
                installed.disk_bytes >> 20,
                self.virtual_bytes >> 30
            ));
        }
        for template in &environment.templates {
            screen.line(format!(
                "Template     {}, {}, {} MiB",
                template.warmth,
                template.shape,
                template.disk_bytes >> 20
            ));
        }
        screen.line(format!("Packages     {}", self.packages.len()));
        for package in &self.packages {
            screen.line(format!("  {} {}", package.name, package.version));
        }
    }
}

/// Fetch an environment if it is not here yet
///
/// A curated environment is built from the distribution's signed packages;
/// nothing but the distribution's mirror is contacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// Name of the environment
    pub environment: EnvironmentRef,
}

impl Operation for Pull {
    type Output = Installed;
    type Event = WorkProgress;
    const NAME: &'static str = "env.pull";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "debian:12", json: r#"{"environment": "debian:12"}"# }];
}

/// Build a curated environment from the distribution's newest packages
///
/// The name then means the new content. Workspaces and templates of the old one
/// are not touched; `env prune` removes what nothing uses any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Name of the environment
    pub environment: EnvironmentRef,
    /// Mirror of the distribution to use instead of the default ones
    #[arg(long, value_name = "URL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
}

impl Operation for Build {
    type Output = Installed;
    type Event = WorkProgress;
    const NAME: &'static str = "env.build";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "debian:12-build", json: r#"{"environment": "debian:12-build"}"# }];
}

/// What became of a build or a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Installed {
    /// The environment.
    pub environment: Environment,
    /// Whether there was anything to do.
    pub outcome: StepOutcome,
    /// What it took, in milliseconds.
    pub duration_ms: u64,
}

impl Present for Installed {
    fn present(&self, screen: &mut Screen) {
        let Some(installed) = &self.environment.installed else { return };
        let outcome = match self.outcome {
            StepOutcome::Done => "installed",
            StepOutcome::AlreadyDone => "already here",
        };
        screen.line(format!(
            "{} {outcome}: {} MiB, {} packages, {}",
            self.environment.name,
            installed.disk_bytes >> 20,
            installed.package_count,
            installed.digest
        ));
    }
}

/// Remove what nothing needs: superseded environments, stale templates, leftovers
///
/// Never removes what a name means or a workspace uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Prune {}

impl Operation for Prune {
    type Output = Pruned;
    type Event = NoEvents;
    const NAME: &'static str = "env.prune";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example { argv: "", json: "{}" }];
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pruned {
    /// What was removed, a line each.
    pub removed: Vec<String>,
    /// Disk space that is free again, in bytes.
    pub freed_bytes: u64,
}

impl Present for Pruned {
    fn present(&self, screen: &mut Screen) {
        for removed in &self.removed {
            screen.line(format!("removed {removed}"));
        }
        screen.line(format!("{} MiB freed", self.freed_bytes >> 20));
    }
}
