//! A tool that was asked something and is at work.

use guest_protocol::TOOLS_PATH;
use guest_protocol::message::End;
use guest_protocol::tools::{self, Answer, EXIT_UNKNOWN, Failure, FailureKind};
use operation::{ErrorKind, OpError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use workspace_api::id::WorkspaceId;
use workspace_api::run::CommandOptions;

use super::super::Engine;
use super::super::run::to_exec;
use crate::keeper::client::{PipeEnding, PipeInput, PipeOutput};
use crate::store::Record;

/// A tool that was asked something. Dropping it has the tool killed.
#[derive(Debug)]
pub(crate) struct Asked {
    /// For what follows the request.
    pub(crate) input: Option<PipeInput>,
    /// The answer, and what follows it.
    pub(crate) output: Option<PipeOutput>,
    ending: PipeEnding,
    workspace: WorkspaceId,
}

impl Engine {
    /// Starts a tool and tells it what is wanted.
    pub(crate) async fn ask_tool<M: Serialize + Sync>(
        &self,
        record: &Record,
        name: &str,
        request: &M,
    ) -> Result<Asked, OpError> {
        let header = tools::header(request)
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        let argv = vec![TOOLS_PATH.to_owned(), name.to_owned()];
        let root = CommandOptions { cwd: Some("/".to_owned()), ..CommandOptions::default() };
        let pipe = self.connect(record).await?.pipe(to_exec(argv, root)?)?;
        let (mut input, output, ending) = pipe.into_parts();
        // A tool that does not read it says why.
        let _ = input.write_all(&header).await;
        Ok(Asked { input: Some(input), output: Some(output), ending, workspace: record.id })
    }
}

impl Asked {
    /// Waits for the answer.
    pub(crate) async fn answer<T: DeserializeOwned>(&mut self) -> Result<T, OpError> {
        match self.read_answer().await {
            Ok(Answer::Done(done)) => Ok(done),
            Ok(Answer::Failed(failure)) => Err(failed(failure, self.workspace)),
            Err(error) => Err(self.why_not(&error).await),
        }
    }

    async fn read_answer<T: DeserializeOwned>(&mut self) -> std::io::Result<Answer<T>> {
        let Some(output) = &mut self.output else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        let mut prefix = [0; 4];
        output.read_exact(&mut prefix).await?;
        let length = tools::header_length(prefix).map_err(std::io::Error::other)?;
        let mut json = vec![0; length];
        output.read_exact(&mut json).await?;
        Ok(tools::parse(&json)?)
    }

    /// Waits for the end of a tool whose output was read: whether it was whole.
    pub(crate) async fn finish(mut self) -> Result<(), OpError> {
        // Its end is told when nobody waits for its output any more.
        drop((self.input.take(), self.output.take()));
        let end = self.ending.wait().await?;
        if end.end == (End::Code { code: 0 }) {
            return Ok(());
        }
        let mut error = OpError::plain(ErrorKind::Conflict, "the guest could not read all of it")
            .hinted("try again when nothing in the workspace writes to it");
        error.causes.extend((!end.stderr.is_empty()).then(|| end.stderr.trim().to_owned()));
        Err(error)
    }

    /// Why there is no answer.
    pub(crate) async fn why_not(&mut self, error: &std::io::Error) -> OpError {
        drop((self.input.take(), self.output.take()));
        let end = match self.ending.wait().await {
            Ok(end) => end,
            Err(error) => return error,
        };
        if end.end == (End::Code { code: EXIT_UNKNOWN }) {
            let message = "the workspace's guest is too old for this";
            return OpError::plain(ErrorKind::Unavailable, message)
                .hinted("workspaces that are created from now on can do it");
        }
        let mut error = OpError::new(ErrorKind::Internal, error)
            .during("the guest did not answer as it should");
        error.causes.extend((!end.stderr.is_empty()).then_some(end.stderr));
        error
    }
}

fn failed(failure: Failure, workspace: WorkspaceId) -> OpError {
    let kind = match failure.kind {
        FailureKind::Invalid => ErrorKind::InvalidRequest,
        FailureKind::NotFound => ErrorKind::NotFound,
        FailureKind::Conflict => ErrorKind::Conflict,
        FailureKind::Outside => ErrorKind::Denied,
        FailureKind::Exhausted => ErrorKind::Exhausted,
        FailureKind::Failed => ErrorKind::Internal,
    };
    let Failure { message, causes, mut hints, .. } = failure;
    if matches!(kind, ErrorKind::NotFound | ErrorKind::Conflict) && hints.is_empty() {
        hints.push(format!("`hotcell file list {workspace}` shows what there is"));
    }
    OpError { kind, message, causes, hints }
}
