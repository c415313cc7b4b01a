//! The operator's ceiling: what somebody who is not the operator, a model above
//! all, may have done at most.
//!
//! ```text
//! request ──Claims──▶ claim, claim, … ──Ceiling::judge──▶ allowed
//!                                                       ├▶ narrowed (the request was changed)
//!                                                       ├▶ unseen   (as if it did not exist)
//!                                                       └▶ refused  (rule, remedy)
//! ```
//!
//! An operation says itself what it wants of the world ([`Claims`]), so one that
//! is added and does not say it does not compile where a ceiling is kept. A
//! [`Ceiling`] is made once, by the operator, and is only read afterwards. What a
//! request leaves open is filled in or lowered so that it fits; what it asks for
//! and may not have is refused, never quietly replaced by something else.
//!
//! The judge does no I/O: what it has to know it is told as [`Facts`]. Paths of the
//! host are only attributed to a root here; whoever opens them does so beneath
//! that root.

mod claims;
mod limits;
mod narrowing;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use operation::{ErrorKind, OpError};

use crate::network::{NetworkMode, NetworkOptions, NetworkPolicy};
use crate::secret::SecretName;
use crate::seed::Seed;
use crate::spec::Shape;
use crate::workspace::ApplyMode;

use self::claims::is_the_operators;
pub use self::claims::{Claim, Claims, Leaving, Returning};
pub use self::limits::{ApplyBackCeiling, HostRoot, NetworkCeiling, NotACeiling, NotARoot};
pub use self::source::{NotASource, PROJECT_LABEL, Scope, Source};

/// What may be done at most, and with which workspaces.
#[derive(Debug, Clone)]
pub struct Ceiling {
    /// What workspaces may reach.
    pub network: NetworkCeiling,
    /// How large one machine may be.
    pub shape: Shape,
    /// How many workspaces there may be in [`Self::scope`].
    pub workspaces: u32,
    /// Secrets that commands may be given.
    pub secrets: BTreeSet<SecretName>,
    /// What may be done to the checkout of the host.
    pub apply_back: ApplyBackCeiling,
    /// Directories of the host below which anything may be read and written.
    pub roots: Vec<HostRoot>,
    /// A directory of the host into which single regular files may be copied,
    /// over nothing that is there.
    pub folder: Option<HostRoot>,
    /// What a workspace starts from for which nothing is said.
    pub source: Source,
    /// Which workspaces there are for a request.
    pub scope: Scope,
}

impl Default for Ceiling {
    /// No network, no secret, nothing of the host, and machines of a moderate
    /// size.
    fn default() -> Self {
        Self {
            network: NetworkCeiling::Off,
            shape: Self::SHAPE_DEFAULT,
            workspaces: Self::WORKSPACES_DEFAULT,
            secrets: BTreeSet::new(),
            apply_back: ApplyBackCeiling::No,
            roots: Vec::new(),
            folder: None,
            source: Source::Nothing,
            scope: Scope::Everything,
        }
    }
}

/// A workspace that a request names, as far as a judge has to know it.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it may reach.
    pub network: NetworkPolicy,
    /// Secrets that something in it was given.
    pub secrets: BTreeSet<SecretName>,
}

/// What a judge has to know of the world.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The workspace that the claim means; none if there is none.
    pub named: Option<Named>,
    /// How many workspaces there are in the scope, those included that are being
    /// made.
    pub count: u32,
}

/// What a ceiling says to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the ceiling.
    Allowed,
    /// It is, now that what was left open has been settled.
    Narrowed,
    /// What it names does not exist, as far as whoever asks may know.
    Unseen,
    /// It is above the ceiling.
    Refused(Refusal),
}

/// Why a claim is above the ceiling: the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no network.
    #[error("the operator of this server lets workspaces reach nothing")]
    NetworkOff,
    /// A host is not among those that may be reached.
    #[error("the operator of this server lets workspaces reach only {allowed}; {wanted} is more")]
    Hosts {
        /// What may be reached.
        allowed: String,
        /// What was asked for.
        wanted: String,
    },
    /// The workspace was allowed to reach more than anything may here.
    #[error("this workspace may reach more ({reaches}) than the operator of this server allows")]
    Reaches {
        /// What it may reach.
        reaches: String,
    },
    /// Too many processors.
    #[error("a machine has at most {most} processors here, not {wanted}")]
    Cpus {
        /// The limit.
        most: u8,
        /// What was asked for.
        wanted: u8,
    },
    /// Too much memory.
    #[error("a machine has at most {most} MiB of memory here, not {wanted}")]
    Memory {
        /// The limit.
        most: u32,
        /// What was asked for.
        wanted: u32,
    },
    /// Too many workspaces.
    #[error("there are {there} workspaces and at most {most} may be; {wanted} more are too many")]
    Workspaces {
        /// How many there are.
        there: u32,
        /// The limit.
        most: u32,
        /// How many more were asked for.
        wanted: u32,
    },
    /// A secret may not be named.
    #[error("the secret `{0}` is not among those that may be given here")]
    Secret(SecretName),
    /// The workspace was given a secret that nothing may be given here.
    #[error("this workspace was given the secret `{0}`, which nothing here may have")]
    Holds(SecretName),
    /// Content that holds a secret shall leave.
    #[error("what holds the value of a secret does not leave a workspace through this server")]
    SecretsLeave,
    /// The request names where a workspace starts from.
    #[error("what a workspace starts from is the operator's to say: {0}")]
    Source(Source),
    /// A path of the host lies outside.
    #[error("`{path}` does not lie below a directory of the host that this server may use")]
    Path {
        /// The path.
        path: String,
    },
    /// Only a file's name may be given.
    #[error("`{path}` is not the name of a file: this server copies into one folder only")]
    FileName {
        /// What was given.
        path: String,
    },
    /// Something that is there would be replaced, or an archive made.
    #[error("this server copies single regular files only, and over nothing that is there")]
    PlainCopies,
    /// Nothing is applied to the host.
    #[error("this server applies nothing to the host: {0}")]
    ApplyBack(&'static str),
    /// A label is the operator's.
    #[error("the label `{PROJECT_LABEL}` says whose workspace it is; that cannot be changed here")]
    Label,
    /// It is nothing for models.
    #[error("`{0}` is for the operator of this host")]
    OperatorOnly(&'static str),
}

impl Refusal {
    /// What the operator can do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let serve = |flag: &str| format!("the operator can allow it with `{flag}` of `mcp serve`");
        match self {
            Self::NetworkOff => serve("--max-network egress` or `--max-network HOST,…"),
            Self::Hosts { .. } | Self::Reaches { .. } => serve("--max-network"),
            Self::Cpus { .. } => serve("--max-cpus"),
            Self::Memory { .. } => serve("--max-memory-mib"),
            Self::Workspaces { .. } => {
                format!("delete one that is done with; {}", serve("--max-workspaces"))
            }
            Self::Secret(name) | Self::Holds(name) => serve(&format!("--secret {name}")),
            Self::SecretsLeave => "write it without the secret, or have the operator copy it \
                                   with `hotcell workspace export`"
                .to_owned(),
            Self::Source(_) => "leave the source out; the operator can name another with \
                                `--project-path`, `--repo-url` or `--host-root` of `mcp serve`"
                .to_owned(),
            Self::Path { .. } => serve("--host-root"),
            Self::FileName { .. } | Self::PlainCopies => {
                format!("give a file name that is not taken; {}", serve("--host-root"))
            }
            Self::ApplyBack(_) => serve("--apply-back"),
            Self::Label => "leave that label out".to_owned(),
            Self::OperatorOnly(operation) => {
                format!("ask the operator to run `hotcell {}`", operation.replace('.', " "))
            }
        }
    }
}

impl From<Refusal> for OpError {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Denied, &refusal).hinted(refusal.remedy())
    }
}

/// A path of the host, attributed to the root below which it may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// The root.
    pub root: &'a HostRoot,
    /// The path relative to it, without `.` and `..`; empty for the root itself.
    pub below: PathBuf,
}

impl Ceiling {
    /// The largest machine, unless the operator says otherwise.
    pub const SHAPE_DEFAULT: Shape = Shape { cpus: 8, memory_mib: 16_384 };

    /// How many workspaces there may be, unless the operator says otherwise.
    pub const WORKSPACES_DEFAULT: u32 = 32;

    /// Judges a claim. What the request left open is settled in it.
    pub fn judge(&self, claim: &mut Claim<'_>, facts: &Facts) -> Verdict {
        match claim {
            Claim::Workspace(_) => match &facts.named {
                Some(named) if self.scope.includes(&named.labels) => self.uses(named),
                _ => Verdict::Unseen,
            },
            Claim::Making(wanted) => {
                let (there, most) = (facts.count, self.workspaces);
                if there.saturating_add(*wanted) <= most {
                    Verdict::Allowed
                } else {
                    Verdict::Refused(Refusal::Workspaces { there, most, wanted: *wanted })
                }
            }
            Claim::Naming(labels) => {
                if labels.iter().any(|label| is_the_operators(&label.key)) {
                    return Verdict::Refused(Refusal::Label);
                }
                labels.extend(self.scope.stamp(&self.source));
                Verdict::Narrowed
            }
            Claim::Labelling(keys) => {
                if keys.iter().any(|key| is_the_operators(key)) {
                    return Verdict::Refused(Refusal::Label);
                }
                Verdict::Allowed
            }
            Claim::Shape(shape) => self.shapes(shape),
            Claim::Resizing { cpus, memory_mib } => {
                let most = self.shape;
                match (cpus.filter(|wanted| *wanted > most.cpus), *memory_mib) {
                    (Some(wanted), _) => {
                        Verdict::Refused(Refusal::Cpus { most: most.cpus, wanted })
                    }
                    (None, Some(wanted)) if wanted > most.memory_mib => {
                        Verdict::Refused(Refusal::Memory { most: most.memory_mib, wanted })
                    }
                    _ => Verdict::Allowed,
                }
            }
            Claim::Network(options) => self.reaches(options),
            Claim::Source(seed) => self.starts(seed),
            Claim::Secrets(uses) => {
                let mut named = uses.iter().map(|given| &given.secret);
                match named.find(|secret| !self.secrets.contains(*secret)) {
                    None => Verdict::Allowed,
                    Some(secret) => Verdict::Refused(Refusal::Secret(secret.clone())),
                }
            }
            Claim::SecretsLeave(false) => Verdict::Allowed,
            Claim::SecretsLeave(true) => Verdict::Refused(Refusal::SecretsLeave),
            Claim::Reading(path) => self.reads(path),
            Claim::Leaving(leaving) => self.leaves(leaving),
            Claim::Returning(returning) => self.returns(returning),
            Claim::Operator(operation) => Verdict::Refused(Refusal::OperatorOnly(operation)),
        }
    }

    /// Where a path that is read lies below a root: a relative one below the first.
    #[must_use]
    pub fn place_to_read(&self, path: &str) -> Option<Place<'_>> {
        place(Path::new(path), self.roots.iter())
    }

    /// Where a path that is written lies below a root: a relative one below the
    /// folder for copies, or else below the first root.
    #[must_use]
    pub fn place_to_write(&self, path: &str) -> Option<Place<'_>> {
        place(Path::new(path), self.folder.iter().chain(&self.roots))
    }

    fn uses(&self, named: &Named) -> Verdict {
        if let Some(held) = named.secrets.iter().find(|held| !self.secrets.contains(*held)) {
            return Verdict::Refused(Refusal::Holds(held.clone()));
        }
        if self.network.covers(&named.network) {
            Verdict::Allowed
        } else {
            Verdict::Refused(Refusal::Reaches { reaches: named.network.to_string() })
        }
    }

    fn shapes(&self, shape: &mut Shape) -> Verdict {
        let (usual, most, wanted) = (Shape::default(), self.shape, *shape);
        // What is the default was not asked for, so it may be lowered.
        if wanted.cpus == usual.cpus {
            shape.cpus = wanted.cpus.min(most.cpus);
        }
        if wanted.memory_mib == usual.memory_mib {
            shape.memory_mib = wanted.memory_mib.min(most.memory_mib);
        }
        if shape.cpus > most.cpus {
            Verdict::Refused(Refusal::Cpus { most: most.cpus, wanted: shape.cpus })
        } else if shape.memory_mib > most.memory_mib {
            let (most, wanted) = (most.memory_mib, shape.memory_mib);
            Verdict::Refused(Refusal::Memory { most, wanted })
        } else if *shape == wanted {
            Verdict::Allowed
        } else {
            Verdict::Narrowed
        }
    }

    fn reaches(&self, options: &mut NetworkOptions) -> Verdict {
        // What contradicts itself is refused by whoever carries it out.
        let Ok(wanted) = options.policy() else { return Verdict::Allowed };
        if self.network.covers(&wanted) {
            return Verdict::Allowed;
        }
        match &self.network {
            NetworkCeiling::Off => Verdict::Refused(Refusal::NetworkOff),
            NetworkCeiling::Only(hosts) if wanted.allow.is_empty() => {
                *options =
                    NetworkOptions { network: Some(NetworkMode::Egress), allow: hosts.clone() };
                Verdict::Narrowed
            }
            NetworkCeiling::Only(_) | NetworkCeiling::Egress => {
                let outside = wanted.allow.iter().filter(|host| !self.network.covers_host(host));
                let outside: Vec<String> = outside.map(ToString::to_string).collect();
                Verdict::Refused(Refusal::Hosts {
                    allowed: self.network.to_string(),
                    wanted: outside.join(", "),
                })
            }
        }
    }

    fn starts(&self, seed: &mut Seed) -> Verdict {
        let own = self.source.seed(seed.files);
        if *seed == own {
            return Verdict::Allowed;
        }
        match (&mut seed.path, &seed.repo_url) {
            (None, None) => {
                *seed = own;
                Verdict::Narrowed
            }
            (Some(path), None) => match self.reads(path) {
                Verdict::Refused(_) => Verdict::Refused(Refusal::Source(self.source.clone())),
                other => other,
            },
            // git would go there from the host, with the operator's credentials.
            (_, Some(_)) => Verdict::Refused(Refusal::Source(self.source.clone())),
        }
    }

    /// Judges a path that is to be read: the project is always allowed.
    fn reads(&self, path: &str) -> Verdict {
        if self.source.is_directory(path) || self.place_to_read(path).is_some() {
            Verdict::Allowed
        } else {
            Verdict::Refused(Refusal::Path { path: path.to_owned() })
        }
    }

    fn leaves(&self, leaving: &mut Leaving<'_>) -> Verdict {
        let Some(place) = self.place_to_write(leaving.to) else {
            return Verdict::Refused(Refusal::Path { path: leaving.to.clone() });
        };
        if self.roots.contains(place.root) {
            return Verdict::Allowed;
        }
        // Into the folder: one name, one regular file, where nothing is yet.
        if place.below.components().count() != 1 {
            return Verdict::Refused(Refusal::FileName { path: leaving.to.clone() });
        }
        if leaving.is_plain() {
            leaving.only_a_file();
            Verdict::Narrowed
        } else {
            Verdict::Refused(Refusal::PlainCopies)
        }
    }

    fn returns(&self, returning: &Returning<'_>) -> Verdict {
        match (self.apply_back, returning.mode) {
            (ApplyBackCeiling::No, _) => {
                return Verdict::Refused(Refusal::ApplyBack("not even as a trial"));
            }
            (ApplyBackCeiling::DryRun, ApplyMode::Apply) => {
                return Verdict::Refused(Refusal::ApplyBack("it only says what would be applied"));
            }
            (ApplyBackCeiling::DryRun, ApplyMode::Plan) | (ApplyBackCeiling::Yes, _) => {}
        }
        if !returning.allow.is_empty() {
            return Verdict::Refused(Refusal::OperatorOnly("workspace.apply-back"));
        }
        self.reads(returning.checkout)
    }
}

fn place<'a>(path: &Path, mut roots: impl Iterator<Item = &'a HostRoot>) -> Option<Place<'a>> {
    if path.is_relative() {
        return Some(Place { root: roots.next()?, below: plain(path)? });
    }
    roots.find_map(|root| {
        let below = plain(path.strip_prefix(root.path()).ok()?)?;
        Some(Place { root, below })
    })
}

/// A relative path of names alone.
fn plain(path: &Path) -> Option<PathBuf> {
    path.components()
        .filter(|component| !matches!(component, Component::CurDir))
        .map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
