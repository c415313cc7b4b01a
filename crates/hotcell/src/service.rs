//! Services: named processes that a workspace looks after.

use operation::Call;
use workspace_api::command::READ_DEFAULT;
use workspace_api::port::PortMapping;
use workspace_api::run::CommandOptions;
use workspace_api::service::{
    self, Ending, List, LogChannel, Logs, Readiness, Restart, ServiceLogs, ServiceName, Start,
    Status, Stop,
};

use crate::{Error, Workspace};

/// How a service is looked after.
#[derive(Debug, Clone, Default)]
pub struct ServiceDefinition {
    /// When it is ready.
    pub readiness: Readiness,
    /// What happens when its process ends.
    pub ending: Ending,
    /// The services that have to be ready first.
    pub after: Vec<ServiceName>,
    /// Ports that are published while it runs.
    pub publish: Vec<PortMapping>,
    /// How its process runs.
    pub options: CommandOptions,
}

/// A service. Dropping this does nothing to it.
#[derive(Debug, Clone)]
pub struct Service {
    workspace: Workspace,
    name: ServiceName,
}

impl Workspace {
    /// Starts a service and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If one of that name runs, what it comes after does not, or it does not get
    /// ready.
    pub async fn start_service<S: Into<String>>(
        &self,
        name: ServiceName,
        command: impl IntoIterator<Item = S>,
        definition: ServiceDefinition,
    ) -> Result<Service, Error> {
        let ServiceDefinition { readiness, ending, after, publish, options } = definition;
        let start = Start::new(self.id.into(), name.clone(), command);
        let start = Start { readiness, ending, after, publish, options, ..start };
        self.client.call(start, &mut Call::quiet()).await?;
        Ok(self.service(name))
    }

    /// A service that is known by its name.
    #[must_use]
    pub fn service(&self, name: ServiceName) -> Service {
        Service { workspace: self.clone(), name }
    }

    /// All services, by name.
    ///
    /// # Errors
    ///
    /// If the workspace no longer exists.
    pub async fn services(&self) -> Result<Vec<service::Service>, Error> {
        let list = List { workspace: self.id.into() };
        Ok(self.client.call(list, &mut Call::quiet()).await?.services)
    }
}

impl Service {
    /// Names it within its workspace.
    #[must_use]
    pub const fn name(&self) -> &ServiceName {
        &self.name
    }

    /// How it is.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn status(&self) -> Result<service::Service, Error> {
        let (workspace, service) = (self.workspace.id.into(), self.name.clone());
        self.workspace.client.call(Status { workspace, service }, &mut Call::quiet()).await
    }

    /// The last lines that it wrote, at most so many of each output.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn logs(&self, lines: u32) -> Result<ServiceLogs, Error> {
        let logs = Logs {
            workspace: self.workspace.id.into(),
            service: self.name.clone(),
            channel: LogChannel::Both,
            tail: Some(lines),
            cursor: None,
            max_bytes: READ_DEFAULT,
            follow: false,
        };
        self.workspace.client.call(logs, &mut Call::quiet()).await
    }

    /// Stops it, and everything that its process left.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn stop(&self) -> Result<service::Service, Error> {
        let (workspace, service) = (self.workspace.id.into(), self.name.clone());
        self.workspace.client.call(Stop { workspace, service }, &mut Call::quiet()).await
    }

    /// Starts it as it was defined, after stopping it if it runs, and waits until
    /// it is ready.
    ///
    /// # Errors
    ///
    /// If the machine is gone or it does not get ready.
    pub async fn restart(&self) -> Result<service::Service, Error> {
        let (workspace, service) = (self.workspace.id.into(), self.name.clone());
        self.workspace.client.call(Restart { workspace, service }, &mut Call::quiet()).await
    }
}
