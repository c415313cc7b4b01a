//! Commands: their results, their output as it comes, input, cancellation.

use std::io::Cursor;

use hotcell::{CancellationToken, CommandEnd, CommandOptions, ErrorKind, Shape};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_gives_a_typed_result_and_leaves_nothing() {
    let client = client().await;
    let done = client.run(run_of("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(done.environment, environment());
    assert_eq!(done.shape, Shape::default());
    let result = &done.result;
    assert_eq!((result.exit_code, result.end), (3, CommandEnd::Exited));
    assert_eq!(result.stdout.tail.0, b"out\n");
    assert_eq!((result.stdout.total_bytes, result.stdout.omitted_bytes), (4, 0));
    assert_eq!(result.stderr.tail.0, b"err\n");
    assert_gone(&client, done.workspace).await;

    let killed = client.run(run_of("kill -KILL $$")).await.unwrap();
    assert_eq!(killed.result.end, CommandEnd::Signaled { signal: 9 });
    assert_eq!(killed.result.exit_code, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_is_no_text_comes_byte_for_byte() {
    let client = client().await;
    let workspace = TestWorkspace::create(&client).await;
    let script = "print pack('C*', 0..255); print STDERR pack('C*', reverse 0..255)";
    let result = workspace.workspace.exec(["perl", "-e", script]).await.unwrap();
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(result.stdout.tail.0, all);
    assert!(result.stderr.tail.0.iter().eq(all.iter().rev()));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_while_the_command_runs() {
    let client = client().await;
    let workspace = TestWorkspace::create(&client).await;
    let (call, mut events) = watched();
    let (mut input, theirs) = tokio::io::duplex(64);
    let mut call = call.with_input(theirs);
    let running = tokio::spawn({
        let workspace = workspace.workspace.clone();
        async move {
            let command = ["sh", "-c", "echo question; read answer; echo heard $answer"];
            workspace.exec_with(command, CommandOptions::default(), &mut call).await
        }
    });
    // The command waits for an answer that is only given to its question.
    let id = events.until("question\n").await;
    assert_eq!(id, workspace.workspace.id());
    assert_eq!(events.stdout, b"question\n");
    input.write_all(b"this\n").await.unwrap();
    let result = running.await.unwrap().unwrap();
    assert_eq!(result.stdout.tail.0, b"question\nheard this\n");
    events.finish();
    assert_eq!(events.stdout, result.stdout.tail.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_goes_in_whole_and_ends() {
    let client = client().await;
    let workspace = TestWorkspace::create(&client).await;
    // More than the command may be sent before it has read some.
    let sent: Vec<u8> =
        (0..900_000_u32).map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()[0]).collect();
    let (call, mut events) = watched();
    let mut call = call.with_input(Cursor::new(sent.clone()));
    let result =
        workspace.workspace.exec_with(["cat"], CommandOptions::default(), &mut call).await.unwrap();
    events.finish();
    assert!(events.stdout == sent, "what was told is not what went in");
    assert!(result.stdout.tail.0 == sent, "the result is not what went in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_leaves_nothing() {
    let client = client().await;
    let (call, mut events) = watched();
    let cancel = CancellationToken::new();
    let mut call = call.with_cancel(cancel.clone());
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.call(run_of("echo ready; sleep 1000"), &mut call).await }
    });
    let id = events.until("ready").await;
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
    assert_gone(&client, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_waits_for_any_more_leaves_nothing() {
    let client = client().await;
    let (mut call, mut events) = watched();
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.call(run_of("echo ready; sleep 1000"), &mut call).await }
    });
    let id = events.until("ready").await;
    // The future is dropped, which gives it no chance to tidy up.
    running.abort();
    assert_gone(&client, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_command_ends_and_its_workspace_stays() {
    let client = client().await;
    let workspace = TestWorkspace::create(&client).await;
    let (call, mut events) = watched();
    let cancel = CancellationToken::new();
    let mut call = call.with_cancel(cancel.clone());
    let running = tokio::spawn({
        let workspace = workspace.workspace.clone();
        async move {
            let command = ["sh", "-c", "echo ready; sleep 1000; echo survived"];
            workspace.exec_with(command, CommandOptions::default(), &mut call).await
        }
    });
    events.until("ready").await;
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
    assert_eq!(workspace.script("pgrep -x sleep | wc -l").await.trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_commands_at_once_through_one_client() {
    let client = client().await;
    let workspace = TestWorkspace::create(&client).await;
    let mut running = JoinSet::new();
    for n in 0..32 {
        let workspace = workspace.workspace.clone();
        // Each waits until all have started, so they cannot have run in turn.
        let script = format!(
            "touch /tmp/started-{n}; \
             until [ $(ls /tmp | grep -c started-) -eq 32 ]; do sleep 0.2; done; echo {n}"
        );
        running.spawn(async move { (n, workspace.exec(["sh", "-c", &script]).await.unwrap()) });
    }
    for (n, result) in running.join_all().await {
        assert_eq!(result.exit_code, 0);
        assert_eq!(result.stdout.tail.0, format!("{n}\n").into_bytes());
    }
}
