//! How long work tells how far it is.

use std::time::Duration;

use environment::{Phase, Progress};
use operation::{Call, ErrorKind, OpError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use workspace_api::prepare::{Task, WorkProgress};

use super::follow;
use crate::crossing::stream::Meter;

/// How many events of blocking work may wait for a slow listener.
const PROGRESS_QUEUE: usize = 64;

/// Parts of a progress bar per phase of a build.
const STEPS_PER_PHASE: u64 = 100;

/// The event that ends a task's progress.
pub(super) fn finished(task: Task) -> WorkProgress {
    WorkProgress { task, note: "done".to_owned(), done: 1, total: Some(1), finished: true }
}

/// Runs blocking work and passes on what it tells. The work sees the call's
/// cancellation.
pub(super) async fn blocking<T, F>(call: &mut Call<WorkProgress>, work: F) -> Result<T, OpError>
where
    T: Send + 'static,
    F: FnOnce(&mut dyn FnMut(WorkProgress), &environment::Cancel) -> Result<T, OpError>
        + Send
        + 'static,
{
    let (cancel, _guard) = follow(&call.cancel);
    let (sender, mut told) = mpsc::channel(PROGRESS_QUEUE);
    let task = tokio::task::spawn_blocking(move || {
        let mut tell = |progress| {
            // A listener that is behind misses steps, never the result.
            let _ = sender.try_send(progress);
        };
        work(&mut tell, &cancel)
    });
    while let Some(progress) = told.recv().await {
        call.emit(progress).await;
    }
    task.await.map_err(|error| OpError::new(ErrorKind::Internal, &error))?
}

/// Turns the library's progress into the contract's.
pub(super) fn library_progress(
    task: Task,
    tell: &mut dyn FnMut(WorkProgress),
) -> impl FnMut(Progress) + '_ {
    const PHASES: &[Phase] =
        &[Phase::Waiting, Phase::Downloading, Phase::Installing, Phase::Packing, Phase::Finishing];
    let mut last = None;
    move |progress| {
        let index = PHASES.iter().position(|phase| *phase == progress.phase).unwrap_or(0) as u64;
        let part = progress.fraction.unwrap_or(0.0).clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the product lies between 0 and 100"
        )]
        let done = index * STEPS_PER_PHASE + (part * STEPS_PER_PHASE as f64) as u64;
        // Estimates may be corrected downwards; a bar that goes back helps nobody.
        if last.is_some_and(|last| done <= last) {
            return;
        }
        last = Some(done);
        let note = match progress.phase {
            Phase::Waiting => "waiting for another process",
            Phase::Downloading => "downloading packages",
            Phase::Installing => "installing packages",
            Phase::Packing => "packing the image",
            Phase::Finishing => "finishing",
        };
        tell(WorkProgress {
            task,
            note: note.to_owned(),
            done,
            total: Some(PHASES.len() as u64 * STEPS_PER_PHASE),
            finished: false,
        });
    }
}

/// How long a crossing takes before anybody hears of it.
const CROSSING_QUIET: Duration = Duration::from_secs(1);

/// How often they hear of it from then on.
const CROSSING_INTERVAL: Duration = Duration::from_millis(200);

/// Waits for blocking work that moves bytes, and tells how far it is.
pub(super) async fn crossing<T, E: Send + 'static>(
    call: &mut Call<E>,
    mut work: JoinHandle<Result<T, OpError>>,
    meter: &Meter,
    told: impl Fn(u64) -> E,
) -> Result<T, OpError> {
    let mut wait = CROSSING_QUIET;
    loop {
        tokio::select! {
            done = &mut work => {
                return done.map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
            }
            () = tokio::time::sleep(wait) => {
                wait = CROSSING_INTERVAL;
                call.emit(told(meter.bytes())).await;
            }
        }
    }
}
