//! What the tests of the store share.

use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;
use workspace_api::id::WorkspaceId;
use workspace_api::spec::{Accelerator, EnvironmentRef, Shape};
use workspace_api::state::WorkspaceState;

use super::{Details, Record, Store};
use crate::home::Home;
use crate::keeper::Lifetime;

pub(crate) fn record(name: Option<&str>) -> Record {
    Record {
        id: WorkspaceId::from_uuid(Uuid::now_v7()),
        name: name.map(|name| name.parse().unwrap()),
        state: WorkspaceState::Creating,
        reason: None,
        environment: EnvironmentRef::default(),
        environment_digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
        template: "t".to_owned(),
        accelerator: Accelerator::Tcg,
        shape: Shape::default(),
        lifetime: Lifetime::UntilDeleted,
        created_at: Timestamp::now(),
        last_activity_at: Timestamp::now(),
        details: Details::default(),
    }
}

pub(crate) fn store() -> (TempDir, Home, Store) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::open(directory.path()).unwrap();
    let store = Store::open(&home).unwrap();
    (directory, home, store)
}
