//! What is written down of commands.

use std::time::Instant;

use guest_protocol::message::Exec;
use operation::OpError;
use uuid::Uuid;
use workspace_api::ledger::LedgerEvent;
use workspace_api::run::CommandResult;

use super::terms::milliseconds;
use crate::console::last_lines;
use crate::keeper::client::KeeperConnection;

/// A command whose beginning is on record. Its values of variables are not: they
/// may be anybody's business but the ledger's.
pub(super) struct NotedCommand {
    command: String,
    begun: Instant,
}

impl NotedCommand {
    /// Writes down that a command is about to start.
    pub(super) fn started(
        connection: &KeeperConnection,
        exec: &Exec,
        secrets: Vec<String>,
    ) -> Self {
        let command = format!("cmd_{}", Uuid::now_v7().simple());
        connection.note(LedgerEvent::CommandStarted {
            command: command.clone(),
            argv: exec.argv.clone(),
            cwd: exec.cwd.clone(),
            secrets,
        });
        Self { command, begun: Instant::now() }
    }

    /// Writes down how it ended.
    pub(super) fn ended(
        self,
        connection: &KeeperConnection,
        result: &Result<CommandResult, OpError>,
    ) {
        let ended = match result {
            Ok(result) => LedgerEvent::CommandEnded {
                command: self.command,
                exit_code: Some(result.exit_code),
                error: None,
                duration_ms: result.duration_ms,
                stdout_bytes: result.stdout.total_bytes,
                stderr_bytes: result.stderr.total_bytes,
                output_end: (result.exit_code != 0)
                    .then(|| last_lines([&result.stderr.tail.0, &result.stdout.tail.0]))
                    .flatten(),
            },
            Err(error) => LedgerEvent::CommandEnded {
                command: self.command,
                exit_code: None,
                error: Some(error.message.clone()),
                duration_ms: milliseconds(self.begun),
                stdout_bytes: 0,
                stderr_bytes: 0,
                output_end: None,
            },
        };
        connection.note(ended);
    }
}
