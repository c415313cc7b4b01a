//! What is proved to keep its hands in the gateway: adapter × version × model.
//!
//! A row is here because `tests/it/cell.rs` tried it, with everything around it
//! poisoned and every tool called that the agent was ever known by; the test fails if
//! it passes with other models than these. What has no row is not unsafe: nobody knows.

use crate::adapter::Adapter;

/// A version of an agent that was tried in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proved {
    /// Which agent.
    pub adapter: Adapter,
    /// Its version, as its program tells it.
    pub version: &'static str,
    /// The models that it was tried with, as the agent calls them: what tools an agent
    /// offers depends on the model.
    pub models: &'static [&'static str],
}

/// All that is proved.
pub const PROVED: &[Proved] = &[
    Proved {
        adapter: Adapter::ClaudeCode,
        version: "2.1.328",
        models: &["claude-sonnet-4-5", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"],
    },
    Proved {
        adapter: Adapter::Codex,
        version: "0.169.0",
        models: &[
            "gpt-5.5",
            "gpt-5.6-sol",
            "gpt-6-astra",
            "gpt-6-sol",
            "gpt-6.1-sol",
            "gpt-6.1-terra",
        ],
    },
    Proved {
        adapter: Adapter::OpenCode,
        version: "1.18.33",
        models: &["anthropic/claude-sonnet-5-5", "openai/gpt-6.1-sol"],
    },
    Proved {
        adapter: Adapter::Pi,
        version: "0.87.1",
        models: &["anthropic/claude-sonnet-5-5", "openai/gpt-6.1-sol"],
    },
];

/// Why an agent is refused a cell, with what would be taken instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// No version of it is proved.
    #[error("nothing is known about where the hands of an agent of kind `{0}` are")]
    Adapter(Adapter),
    /// This version is not proved.
    #[error("{adapter} {version} is not proved to keep its hands in a cell; {} is", .proved.join(", "))]
    Version {
        /// Which agent.
        adapter: Adapter,
        /// Its version.
        version: String,
        /// The versions that are proved.
        proved: Vec<&'static str>,
    },
    /// No model was named: the agent's default depends on whose it is.
    #[error("no model is named, and {adapter} {version} is proved with some only: {}", .proved.join(", "))]
    NoModel {
        /// Which agent.
        adapter: Adapter,
        /// Its version.
        version: String,
        /// The models that it is proved with.
        proved: &'static [&'static str],
    },
    /// This version is not proved with this model.
    #[error("{adapter} {version} is not proved to keep its hands in a cell with `{model}`; it is with {}", .proved.join(", "))]
    Model {
        /// Which agent.
        adapter: Adapter,
        /// Its version.
        version: String,
        /// The model.
        model: String,
        /// The models that it is proved with.
        proved: &'static [&'static str],
    },
}

/// The proof that an agent keeps its hands in a cell.
///
/// # Errors
///
/// If there is none for this version with this model.
pub fn proof(
    adapter: Adapter,
    version: &str,
    model: Option<&str>,
) -> Result<&'static Proved, Unproved> {
    let rows = || PROVED.iter().filter(|row| row.adapter == adapter);
    let proved: Vec<&'static str> = rows().map(|row| row.version).collect();
    if proved.is_empty() {
        return Err(Unproved::Adapter(adapter));
    }
    let version = version.to_owned();
    let Some(row) = rows().find(|row| row.version == version) else {
        return Err(Unproved::Version { adapter, version, proved });
    };
    let proved = row.models;
    match model {
        Some(model) if proved.contains(&model) => Ok(row),
        Some(model) => Err(Unproved::Model { adapter, version, model: model.to_owned(), proved }),
        None => Err(Unproved::NoModel { adapter, version, proved }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_tried_is_refused_with_what_was() {
        let row = PROVED[1];
        let (adapter, version, model) = (row.adapter, row.version, row.models[0]);
        assert_eq!(proof(adapter, version, Some(model)), Ok(&PROVED[1]));
        let told = |version: &str, model: Option<&str>| {
            proof(adapter, version, model).unwrap_err().to_string()
        };
        assert!(told("9.9.9", Some(model)).contains(version));
        assert!(told(version, Some("another")).contains(model));
        assert!(told(version, None).contains(model));
        assert_eq!(proof(Adapter::Command, "1", None), Err(Unproved::Adapter(Adapter::Command)));
    }
}
