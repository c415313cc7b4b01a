//! From an `Exec` to a running process, or to the reason for a refusal.
//!
//! Nothing of the agent's environment is inherited. The program is looked for
//! in the `PATH` that the command itself will see.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;

use guest_protocol::message::{Exec, Refusal};

use crate::sys::{Program, StartError, terminated};

const ENVIRONMENT: [(&str, &str); 4] = [
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("USER", "root"),
];

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("the command line is empty")]
    NoProgram,
    #[error("`{0}` holds a zero byte")]
    ZeroByte(String),
    #[error("`{0}` is no name of an environment variable")]
    VariableName(String),
    #[error("cannot create a pipe")]
    Pipe(#[source] io::Error),
    #[error("cannot create a terminal")]
    Terminal(#[source] io::Error),
    #[error("cannot create a cgroup")]
    Cgroup(#[source] io::Error),
    #[error("cannot create a process")]
    Process(#[source] io::Error),
    #[error("cannot hand over the standard streams")]
    Streams(#[source] io::Error),
    #[error("cannot enter the working directory `{path}`")]
    WorkingDirectory {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot execute `{program}`")]
    Execute {
        program: String,
        #[source]
        source: io::Error,
    },
}

impl SpawnError {
    pub(crate) fn started(error: StartError, exec: &Exec) -> Self {
        match error {
            StartError::Clone(source) => Self::Process(source),
            StartError::Streams(source) => Self::Streams(source),
            StartError::WorkingDirectory(source) => {
                Self::WorkingDirectory { path: exec.cwd.clone(), source }
            }
            StartError::Execute(source) => {
                let program = exec.argv.first().cloned().unwrap_or_default();
                Self::Execute { program, source }
            }
        }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::NoProgram | Self::ZeroByte(_) | Self::VariableName(_) => Refusal::Unsupported,
            Self::WorkingDirectory { .. } => Refusal::BadWorkingDirectory,
            Self::Pipe(source)
            | Self::Terminal(source)
            | Self::Cgroup(source)
            | Self::Process(source)
            | Self::Streams(source) => exhausted(source).unwrap_or(Refusal::Failed),
            Self::Execute { source, .. } => match source.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => Refusal::CommandNotFound,
                Some(libc::EACCES | libc::ENOEXEC) => Refusal::NotExecutable,
                _ => exhausted(source).unwrap_or(Refusal::Failed),
            },
        }
    }
}

fn exhausted(error: &io::Error) -> Option<Refusal> {
    let code = error.raw_os_error()?;
    let scarce = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ENOSPC];
    scarce.contains(&code).then_some(Refusal::Exhausted)
}

/// What the kernel needs to know to execute `exec`.
pub(crate) fn program(exec: &Exec) -> Result<Program, SpawnError> {
    let name = exec.argv.first().ok_or(SpawnError::NoProgram)?;
    let mut variables = BTreeMap::from(ENVIRONMENT);
    for (key, value) in &exec.env {
        if key.is_empty() || key.contains('=') {
            return Err(SpawnError::VariableName(key.clone()));
        }
        variables.insert(key, value);
    }
    let path = variables.get("PATH").copied().unwrap_or_default();
    Ok(Program {
        candidates: candidates(name, path)?,
        argv: exec.argv.iter().map(|word| string(word)).collect::<Result<_, _>>()?,
        env: variables
            .iter()
            .map(|(key, value)| string(&format!("{key}={value}")))
            .collect::<Result<_, _>>()?,
        cwd: string(&exec.cwd)?,
    })
}

/// The paths that a program of this name may have, as `execvp` sees it.
fn candidates(name: &str, path: &str) -> Result<Vec<CString>, SpawnError> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.contains('/') {
        return Ok(vec![string(name)?]);
    }
    let join = |directory: &str| match directory {
        "" => string(name),
        _ => string(&format!("{directory}/{name}")),
    };
    path.split(':').map(join).collect()
}

fn string(text: &str) -> Result<CString, SpawnError> {
    terminated(text).ok_or_else(|| SpawnError::ZeroByte(text.replace('\0', "\\0")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(argv: &[&str], env: &[(&str, &str)]) -> Exec {
        Exec {
            argv: argv.iter().map(ToString::to_string).collect(),
            env: env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            cwd: "/".into(),
            ..Exec::default()
        }
    }

    #[test]
    fn the_command_sees_its_own_environment_and_no_other() {
        let program = program(&exec(&["x"], &[("PATH", "/a::/b"), ("Z", "=1")])).unwrap();
        let env: Vec<_> = program.env.iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(env, ["HOME=/root", "LANG=C.UTF-8", "PATH=/a::/b", "USER=root", "Z==1"]);
        let paths: Vec<_> = program.candidates.iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(paths, ["/a/x", "x", "/b/x"]);
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        for exec in [
            exec(&[], &[]),
            exec(&["a\0b"], &[]),
            exec(&["a"], &[("A=B", "")]),
            exec(&["a"], &[("", "")]),
            exec(&["a"], &[("A", "\0")]),
        ] {
            assert_eq!(program(&exec).unwrap_err().refusal(), Refusal::Unsupported, "{exec:?}");
        }
    }
}
