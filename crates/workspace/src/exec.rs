//! From the options of a command to what the guest is asked for.

use std::collections::BTreeMap;

use guest_protocol::message::{Exec, Stdin};
use operation::{ErrorKind, OpError};
use workspace_api::run::CommandOptions;

/// Where commands run unless they say otherwise.
pub(crate) const DEFAULT_DIRECTORY: &str = "/workspace";

/// The guest's request for a command, without the secrets that it is given: see
/// `Engine::give`.
pub(crate) fn to_exec(argv: Vec<String>, options: CommandOptions) -> Result<Exec, OpError> {
    if argv.is_empty() {
        return Err(OpError::plain(ErrorKind::InvalidRequest, "there is no command to run")
            .hinted("put it behind `--`: `hotcell run debian:12 -- git --version`"));
    }
    if argv.iter().any(|word| word.contains('\0')) {
        return Err(OpError::plain(ErrorKind::InvalidRequest, "the command holds a NUL byte"));
    }
    let env: BTreeMap<String, String> =
        options.env.into_iter().map(|variable| (variable.name, variable.value)).collect();
    Ok(Exec {
        argv,
        env,
        cwd: options.cwd.unwrap_or_else(|| DEFAULT_DIRECTORY.to_owned()),
        timeout_ms: options.timeout.map(workspace_api::time::TimeSpan::as_millis),
        stdin: Stdin::Stream,
        ..Exec::default()
    })
}
