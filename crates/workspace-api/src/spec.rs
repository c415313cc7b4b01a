//! What a workspace is made of.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use operation::text_value;

/// The name of an environment, such as `debian:12`, or its digest
/// (`sha256:…`, at least eight digits).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentRef(String);

impl EnvironmentRef {
    /// The environment that is used when none is named.
    pub const DEFAULT: &'static str = "debian:12";
    /// Longest name, in bytes.
    pub const LENGTH_MAX: usize = 255;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EnvironmentRef {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for EnvironmentRef {
    type Err = NotAnEnvironment;

    fn from_str(text: &str) -> Result<Self, NotAnEnvironment> {
        let valid = (1..=Self::LENGTH_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-:/@".contains(c))
            && !text.contains("..");
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAnEnvironment(text.to_owned())) }
    }
}

impl fmt::Display for EnvironmentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that can name no environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no environment: write a name such as `debian:12`, or a digest")]
pub struct NotAnEnvironment(String);

text_value!(EnvironmentRef, "^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$");

/// How large a workspace's machine is
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::Args,
)]
#[serde(deny_unknown_fields, default)]
pub struct Shape {
    /// Virtual processors
    #[arg(long, default_value_t = Shape::default().cpus, value_parser = clap::value_parser!(u8).range(1..=64))]
    #[schemars(range(min = 1, max = 64))]
    pub cpus: u8,
    /// Memory in MiB; the host gives only what the guest touches
    #[arg(long, default_value_t = Shape::default().memory_mib, value_parser = clap::value_parser!(u32).range(256..=262_144))]
    #[schemars(range(min = 256, max = 262_144))]
    pub memory_mib: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { cpus: 1, memory_mib: 1024 }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.cpus == 1 { "" } else { "s" };
        write!(f, "{} cpu{plural}, {} MiB", self.cpus, self.memory_mib)
    }
}

/// One variable of a command's environment: `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Variable {
    type Err = NotAVariable;

    fn from_str(text: &str) -> Result<Self, NotAVariable> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(NotAVariable(text.to_owned())),
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A text that is no variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no variable: write NAME=VALUE")]
pub struct NotAVariable(String);

text_value!(Variable, "^[^=]+=.*$");

/// What executes a workspace's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// The processor itself, through `/dev/kvm`.
    Kvm,
    /// Emulation; works everywhere, five to twelve times slower.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}
