//! A call of a tool: from arguments to an answer.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use operation::tool::Entry;
use operation::{Progress, RawCall, Tell};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, ProgressNotificationParam, ProgressToken,
};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer};
use serde_json::Value;

use super::Server;
use crate::answer::{Answer, TEXT_MAX_CHARS};

impl<H: Send + Sync + 'static> Server<H> {
    pub(super) async fn carry_out(
        &self,
        entry: &Entry,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let _under_way = self.under_way.token();
        let answer = Arc::new(Mutex::new(Answer::default()));
        let gathered = Arc::clone(&answer);
        let told = ToldProgress::of(&context);
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
        match outcome.await {
            Ok(output) => {
                tracing::info!(tool = entry.tool.name, took = ?begun.elapsed(), "answered");
                let mut answer = std::mem::take(&mut *answer.lock().expect("as above"));
                answer.add(&*output);
                let mut result = CallToolResult::success(vec![ContentBlock::text(answer.text())]);
                result.structured_content = entry.record(output.json(), TEXT_MAX_CHARS);
                result
            }
            Err(error) => {
                let code = serde_json::to_value(error.kind).unwrap_or(Value::Null);
                let code = code.as_str().unwrap_or_default();
                tracing::info!(tool = entry.tool.name, code, %error, "failed");
                let text = format!("{}\ncode: {code}", self.catalog.spoken(&error.to_string()));
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
        }
    }
}

/// Where progress of a call is told, if the client wants to know.
#[derive(Clone)]
struct ToldProgress {
    client: Option<(Peer<RoleServer>, ProgressToken)>,
    steps: Arc<Mutex<f64>>,
}

impl ToldProgress {
    fn of(context: &RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        let client = token.map(|token| (context.peer.clone(), token));
        Self { client, steps: Arc::default() }
    }

    async fn tell(&self, progress: Progress) {
        let Some((peer, token)) = &self.client else { return };
        // The protocol wants a number that only grows; pieces of work that
        // follow each other each begin at zero.
        let step = {
            let mut steps = self.steps.lock().expect("nobody panics while counting");
            *steps += 1.0;
            *steps
        };
        let mut param = ProgressNotificationParam::new(token.clone(), step);
        param.message = Some(match progress.total {
            Some(total) => {
                format!("{}: {} ({} of {total})", progress.task, progress.note, progress.done)
            }
            None => format!("{}: {}", progress.task, progress.note),
        });
        if let Err(error) = peer.notify_progress(param).await {
            tracing::debug!(%error, "the client takes no progress");
        }
    }
}
