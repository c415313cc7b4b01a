//! What goes on in a workspace without a caller.

use hotcell::{CommandOptions, JobState, OutputChannel, Signal, TerminalSize, View};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_background_command_is_waited_for_read_and_signalled() {
    let client = client().await;
    let made = TestWorkspace::create(&client).await;
    let script = "echo out; exit 4";
    let command = ["sh", "-c", script];
    let started = made.workspace.start(command, CommandOptions::default()).await.unwrap();
    let ended = started.wait(None).await.unwrap();
    assert_eq!((ended.status.state, ended.status.exit_code), (JobState::Ended, Some(4)));
    let read = started.read(OutputChannel::Stdout, 0).await.unwrap();
    assert_eq!((read.output.0, read.running), (b"out\n".to_vec(), false));

    let endless = made.workspace.start(["sleep", "1000"], CommandOptions::default()).await.unwrap();
    assert_eq!(endless.status().await.unwrap().status.state, JobState::Running);
    endless.signal(Signal::TERMINATE).await.unwrap();
    assert_eq!(endless.wait(None).await.unwrap().status.exit_code, Some(143));
    // Whoever knows the id has the same command.
    let again = made.workspace.background(endless.id().clone());
    assert_eq!(again.status().await.unwrap().status.exit_code, Some(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_remembers() {
    let client = client().await;
    let made = TestWorkspace::create(&client).await;
    let none: [&str; 0] = [];
    let (size, options) = (TerminalSize::default(), CommandOptions::default());
    let shell = made.workspace.open_shell(none, size, options).await.unwrap();
    shell.write_line("X=remembered").await.unwrap();
    let written = shell.write_line("echo \"<$X>\"").await.unwrap();
    let idle = Some("400ms".parse().unwrap());
    let read = shell.read(View::Plain, written.cursor, idle).await.unwrap();
    let text = String::from_utf8(read.output.0).unwrap();
    assert!(text.contains("<remembered>"), "{text}");
    shell.resize(TerminalSize { columns: 80, rows: 24 }).await.unwrap();
    shell.close().await.unwrap();
}
