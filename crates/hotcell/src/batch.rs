//! Batches: many agents on a graph of tasks.

use std::path::Path;

use batch_api::init::{Init, Initialised};
use batch_api::plan::{Plan, Planned};
use batch_api::processes::{ProcessList, Processes};
use operation::{Call, Handler, Operation};

use crate::{Client, Error};

/// Carries operations on batches out. It needs no machine.
#[derive(Debug, Clone)]
pub struct Batches {
    handler: ::batch::Batches,
}

impl Client {
    /// What can be done with batches.
    #[must_use]
    pub fn batches(&self) -> Batches {
        Batches { handler: self.batches.clone() }
    }
}

impl Batches {
    /// Carries any operation on batches out, with its events, input and cancellation.
    ///
    /// # Errors
    ///
    /// Whatever the operation fails with.
    pub async fn call<O>(&self, operation: O, call: &mut Call<O::Event>) -> Result<O::Output, Error>
    where
        O: Operation,
        ::batch::Batches: Handler<O>,
    {
        self.handler.handle(operation, call).await
    }

    /// Plans tasks. What is wrong with their packets is part of the answer:
    /// [`Planned::problems`].
    ///
    /// # Errors
    ///
    /// If there is no such repository, area or packet.
    pub async fn plan(&self, plan: Plan) -> Result<Planned, Error> {
        self.call(plan, &mut Call::quiet()).await
    }

    /// Writes a configuration and an example into the repository around a directory.
    ///
    /// # Errors
    ///
    /// If a file cannot be written, or the configuration that is there makes no sense.
    pub async fn init(&self, directory: impl AsRef<Path>) -> Result<Initialised, Error> {
        let directory = directory.as_ref().to_string_lossy().into_owned();
        self.call(Init { directory, dry_run: false }, &mut Call::quiet()).await
    }

    /// Lists the processes of agents and tools, and ends those that nobody owns if
    /// that is asked for ([`Processes::orphans`]).
    ///
    /// # Errors
    ///
    /// If there is no such batch.
    pub async fn processes(&self, processes: Processes) -> Result<ProcessList, Error> {
        self.call(processes, &mut Call::quiet()).await
    }
}
