//! A call of a tool: from arguments to an answer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use operation::tool::Entry;
use operation::{ErrorKind, Progress, RawCall, Tell};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, ProgressNotificationParam, ProgressToken,
};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer};
use serde_json::Value;

use super::Server;
use super::logging::{Log, Weight};
use crate::answer::{Answer, TEXT_MAX_CHARS};

/// When a client is told what takes so long.
const SLOW_AFTER: Duration = Duration::from_secs(10);

impl<H: Send + Sync + 'static> Server<H> {
    pub(super) async fn carry_out(
        &self,
        entry: &Entry,
        request: CallToolRequestParams,
        log: &Log,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let _under_way = self.under_way.token();
        let answer = Arc::new(Mutex::new(Answer::default()));
        let gathered = Arc::clone(&answer);
        let progress = ToldProgress::of(&context);
        let told = progress.clone();
        let call = RawCall::new(move |event: Box<dyn Tell>| {
            let told = told.clone();
            let progress = event.progress();
            if progress.is_none() {
                gathered.lock().expect("nobody panics while adding").add(&*event);
            }
            async move {
                if let Some(progress) = progress {
                    told.tell(progress).await;
                }
            }
        })
        .with_cancel(context.ct.clone());
        let arguments = request.arguments.unwrap_or_default();
        let begun = Instant::now();
        let outcome = async {
            let request = entry.request(arguments)?;
            let row = &self.table[entry.row];
            (row.call)(self.host()?, request, call).await
        };
        let (tool, client) = (entry.tool.name, &context.peer);
        let told_if_slow = async {
            tokio::time::sleep(SLOW_AFTER).await;
            let at = progress.last().map(|last| format!(": {last}")).unwrap_or_default();
            let message = format!("{tool} has taken {SLOW_AFTER:?} so far{at}");
            log.tell(client, Weight::Notice, &message).await;
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = outcome => outcome,
            () = told_if_slow => unreachable!("it waits for ever"),
        };
        match outcome {
            Ok(output) => {
                let took = begun.elapsed();
                tracing::info!(tool, ?took, "answered");
                let record = entry.record(output.json(), TEXT_MAX_CHARS);
                let id = record.as_ref().and_then(|record| record["id"].as_str());
                let id = id.map(|id| format!(": {id}")).unwrap_or_default();
                let message = format!("{tool} answered after {} ms{id}", took.as_millis());
                log.tell(client, Weight::Info, &message).await;
                let mut answer = std::mem::take(&mut *answer.lock().expect("as above"));
                answer.add(&*output);
                let mut result = CallToolResult::success(vec![ContentBlock::text(answer.text())]);
                result.structured_content = record;
                result
            }
            Err(error) => {
                let code = serde_json::to_value(error.kind).unwrap_or(Value::Null);
                let code = code.as_str().unwrap_or_default();
                tracing::info!(tool, code, %error, "failed");
                let (weight, what) = match error.kind {
                    ErrorKind::Denied => (Weight::Warning, "was refused"),
                    _ => (Weight::Info, "failed"),
                };
                let message = self.catalog.spoken(&error.to_string());
                log.tell(client, weight, &format!("{tool} {what}\n{message}")).await;
                let text = format!("{message}\ncode: {code}");
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
        }
    }
}

/// Where progress of a call is told, if the client wants to know.
#[derive(Clone)]
struct ToldProgress {
    client: Option<(Peer<RoleServer>, ProgressToken)>,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    steps: f64,
    last: Option<String>,
}

impl ToldProgress {
    fn of(context: &RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        let client = token.map(|token| (context.peer.clone(), token));
        Self { client, told: Arc::default() }
    }

    /// What the call is at.
    fn last(&self) -> Option<String> {
        self.told.lock().expect("nobody panics while counting").last.clone()
    }

    async fn tell(&self, progress: Progress) {
        let message = match progress.total {
            Some(total) => {
                format!("{}: {} ({} of {total})", progress.task, progress.note, progress.done)
            }
            None => format!("{}: {}", progress.task, progress.note),
        };
        // The protocol wants a number that only grows; pieces of work that
        // follow each other each begin at zero.
        let step = {
            let mut told = self.told.lock().expect("nobody panics while counting");
            told.last = Some(message.clone());
            told.steps += 1.0;
            told.steps
        };
        let Some((peer, token)) = &self.client else { return };
        let mut param = ProgressNotificationParam::new(token.clone(), step);
        param.message = Some(message);
        if let Err(error) = peer.notify_progress(param).await {
            tracing::debug!(%error, "the client takes no progress");
        }
    }
}
