//! How long work tells how far it is.

use std::pin::pin;
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

/// An event of a task that does not know how much there is to do.
pub(super) fn under_way(task: Task, note: String) -> WorkProgress {
    WorkProgress { task, note, done: 0, total: None, finished: false }
}

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

/// How long work takes before anybody hears of it.
const QUIET: Duration = Duration::from_secs(1);

/// How often they hear of it from then on.
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits for blocking work that moves bytes, and tells how far it is.
pub(super) async fn crossing<T, E: Send + 'static>(
    call: &mut Call<E>,
    work: JoinHandle<Result<T, OpError>>,
    meter: &Meter,
    told: impl Fn(u64) -> E,
) -> Result<T, OpError> {
    let done = telling(call, work, || told(meter.bytes())).await;
    done.map_err(|error| OpError::new(ErrorKind::Internal, &error))?
}

/// Waits for work, and tells how far it is once it takes long.
pub(super) async fn telling<T, E: Send + 'static>(
    call: &mut Call<E>,
    work: impl Future<Output = T>,
    mut told: impl FnMut() -> E,
) -> T {
    let mut work = pin!(work);
    let mut wait = QUIET;
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(wait) => {
                wait = INTERVAL;
                call.emit(told()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_takes_long_is_told_of() {
        let told = Arc::new(AtomicU32::new(0));
        let count = told.clone();
        let mut call = Call::new(move |()| {
            count.fetch_add(1, Ordering::Relaxed);
            async {}
        });
        telling(&mut call, sleep(QUIET / 2), || ()).await;
        assert_eq!(told.load(Ordering::Relaxed), 0);
        telling(&mut call, sleep(QUIET + INTERVAL * 5 / 2), || ()).await;
        assert_eq!(told.load(Ordering::Relaxed), 3);
    }
}
