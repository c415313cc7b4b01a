//! What is known of a workspace beyond what tables have columns for.
//!
//! One JSON object per workspace. A new field needs no migration: it has a
//! default, and a program that does not know it hands it on unchanged. A field
//! that such a program must not ignore belongs into a migration instead, which
//! makes older programs refuse the database.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use workspace_api::idle::IdlePolicy;
use workspace_api::network::NetworkPolicy;
use workspace_api::port::PortMapping;
use workspace_api::secret::SecretName;
use workspace_api::seed::SeedReport;

/// The details of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    /// What its user calls it by, for finding it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// What it was seeded with; the image is `seed.ext4` in its directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<SeedReport>,
    /// Names of the secrets that something in it was given.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) secrets: BTreeSet<SecretName>,
    /// What it may reach.
    #[serde(skip_serializing_if = "NetworkPolicy::is_off")]
    pub(crate) network: NetworkPolicy,
    /// Its published ports, with those of the host that they had last. They
    /// belong to this workspace alone: a copy of it begins without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ports: Vec<PortMapping>,
    /// What becomes of it when nobody uses it.
    #[serde(skip_serializing_if = "IdlePolicy::is_default")]
    pub(crate) idle: IdlePolicy,
    /// What a newer program wrote.
    #[serde(flatten)]
    pub(crate) unknown: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_newer_program_survive() {
        let text = r#"{"labels":{"a":"b"},"warp":{"factor":9}}"#;
        let details: Details = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&details).unwrap(), text);
        assert_eq!(serde_json::from_str::<Details>("{}").unwrap(), Details::default());
    }
}
