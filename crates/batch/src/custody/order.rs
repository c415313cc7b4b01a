//! What an engine wants to run.

use std::path::PathBuf;

use super::entry::{Key, Label};
use super::environment::Environment;
use super::limits::Limits;

/// A process to start.
#[derive(Debug, Clone)]
pub struct Order {
    /// Names it; none that this engine used before.
    pub key: Key,
    /// What it is for.
    pub label: Label,
    /// The program, by its absolute path.
    pub program: PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<String>,
    /// All of its environment.
    pub environment: Environment,
    /// Where it starts.
    pub directory: PathBuf,
    /// What it and its descendants may use up, if the host can hold them to it.
    pub limits: Limits,
    /// The file that gets what it says on standard error.
    pub stderr: PathBuf,
}
