//! The engine: one handler per operation.

mod admission;
mod apply_back;
mod chat_hosts;
mod commands;
mod creation;
mod diff;
mod disk;
mod doctor;
mod drives;
mod environments;
mod export;
mod files;
mod forking;
mod hibernation;
mod history;
mod jobs;
mod naming;
mod network;
mod patches;
mod ports;
mod power;
mod prepare;
mod progress;
mod push;
mod reaching;
mod readiness;
mod run;
mod secrets;
mod services;
mod shells;
mod snapshots;
mod summary;
mod terms;
mod tools;
mod trees;
mod workspaces;

use std::sync::Arc;

use environment::{Cancel, Library};
use operation::OpError;
use tokio_util::sync::CancellationToken;

use crate::home::Home;
use crate::recovery::recover;
use crate::settings::Settings;
use crate::store::{Quota, Store};
use crate::trouble::environment_error;

pub use self::shells::Attendance;

/// Carries out every operation of the contract.
#[derive(Debug, Clone)]
pub struct Engine {
    settings: Arc<Settings>,
    pub(crate) home: Home,
    pub(crate) store: Arc<Store>,
    library: Arc<Library>,
    /// How many workspaces it may make.
    quota: Option<Arc<Quota>>,
    /// Up to how many templates it makes one that is missing; none without being asked
    /// to prepare.
    templates_max: Option<usize>,
}

impl Engine {
    /// Opens the home, creating what is missing, and settles what killed
    /// processes left.
    ///
    /// # Errors
    ///
    /// If the home, its database or its library cannot be opened.
    pub fn open(settings: Settings) -> Result<Self, OpError> {
        let home = Home::open(&settings.home)?;
        let store = Store::open(&home)?;
        recover(&home, &store)?;
        let library = Library::open(home.path()).map_err(environment_error)?;
        Ok(Self {
            settings: Arc::new(settings),
            home,
            store: Arc::new(store),
            library: Arc::new(library),
            quota: None,
            templates_max: None,
        })
    }

    /// The same engine, which makes templates that are missing, up to so many.
    pub(crate) fn with_templates(mut self, most: usize) -> Self {
        self.templates_max = Some(most);
        self
    }

    /// The same engine, which makes no more workspaces than there may be.
    pub(crate) fn with_quota(mut self, quota: Quota) -> Self {
        self.quota = Some(Arc::new(quota));
        self
    }
}

/// The library's cancellation, which follows a call's for as long as the
/// returned guard lives.
fn follow(token: &CancellationToken) -> (Cancel, impl Drop + use<>) {
    let cancel = Cancel::new();
    let (theirs, ours) = (cancel.clone(), token.clone());
    let task = tokio::spawn(async move {
        ours.cancelled().await;
        theirs.cancel();
    });
    (cancel, AbortOnDrop(task))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// Every operation of the contract has its handler, or this does not compile.
const _: fn() = || {
    fn carries_out_all<T: workspace_api::WorkspaceOperations>() {}
    carries_out_all::<Engine>();
};
