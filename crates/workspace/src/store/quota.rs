//! How many workspaces there may be of a scope, judged where one more is written down.
//!
//! Whoever writes has the database for itself until it is done, so the judgement holds
//! for any number of servers at once. What is being made counts. A creator that is
//! killed leaves a record that counts until recovery has removed it.

use rusqlite::Transaction;
use workspace_api::ceiling::{Refusal, Scope};

use super::row::json;
use super::{Details, StoreError};
use crate::keeper::Lifetime;

/// How many workspaces there may be of a scope.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    pub(crate) scope: Scope,
    pub(crate) most: u32,
}

impl Quota {
    /// Refuses one more if there are as many as there may be. Machines that live with
    /// their creator are none of them.
    pub(super) fn judge(
        &self,
        transaction: &Transaction<'_>,
        lifetime: Lifetime,
    ) -> Result<(), StoreError> {
        if lifetime != Lifetime::UntilDeleted {
            return Ok(());
        }
        let failed = |source| StoreError::Record { action: "count workspaces", source };
        let mut statement = transaction
            .prepare_cached("SELECT details FROM workspaces WHERE lifetime <> 'with_creator'")
            .map_err(failed)?;
        let found = statement.query_map([], |row| json::<Details>(row, 0)).map_err(failed)?;
        let mut there = 0;
        for details in found {
            there += u32::from(self.scope.includes(&details.map_err(failed)?.labels));
        }
        let most = self.most;
        if there < most {
            return Ok(());
        }
        Err(StoreError::Refused(Refusal::Workspaces { there, most, wanted: 1 }))
    }
}
