//! What goes on in a workspace without a caller.

use hotcell::{
    CommandOptions, ErrorKind, JobState, OutputChannel, Readiness, ServiceDefinition, ServiceName,
    ServiceState, Signal, TerminalSize, View,
};

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
    let mut text = String::new();
    while !text.contains("<remembered>") {
        let idle = Some("400ms".parse().unwrap());
        let read = shell.read(View::Plain, written.cursor, idle).await.unwrap();
        text = String::from_utf8(read.output.0).unwrap();
    }
    let mut seen = shell.type_bytes(b"echo at''tached\r".to_vec()).await.unwrap().cursor;
    let mut output = Vec::new();
    while !String::from_utf8_lossy(&output).contains("attached") {
        let read = shell.next_output(seen).await.unwrap();
        assert!(read.running);
        output.extend(read.output.0);
        seen = read.next_cursor;
    }
    shell.resize(TerminalSize { columns: 80, rows: 24 }).await.unwrap();
    shell.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_port_is_reached_from_this_host() {
    let client = client().await;
    let made = TestWorkspace::create(&client).await;
    let port = made.workspace.publish("8000".parse().unwrap()).await.unwrap();
    assert_eq!(made.workspace.ports().await.unwrap()[0].address(), port.address());
    let server = r#"use IO::Socket::INET;
        my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8000,
            Listen => 1) or die;
        $| = 1; print "listening\n";
        my $client = $server->accept; print $client "hello";"#;
    let started =
        made.workspace.start(["perl", "-e", server], CommandOptions::default()).await.unwrap();
    while started.status().await.unwrap().status.stdout_bytes == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut answer = String::new();
    let mut connection = tokio::net::TcpStream::connect(port.address()).await.unwrap();
    tokio::io::AsyncReadExt::read_to_string(&mut connection, &mut answer).await.unwrap();
    assert_eq!(answer, "hello");
    made.workspace.unpublish(8000).await.unwrap();
    assert_eq!(made.workspace.ports().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_started_looked_at_restarted_and_stopped() {
    let client = client().await;
    let made = TestWorkspace::create(&client).await;
    let ready = Some("log:^up$".parse().unwrap());
    let definition = ServiceDefinition {
        readiness: Readiness { ready, ..Readiness::default() },
        ..ServiceDefinition::default()
    };
    let command = ["sh", "-c", "echo up; sleep 1000"];
    let name: ServiceName = "web".parse().unwrap();
    let web = made.workspace.start_service(name, command, definition.clone()).await.unwrap();
    assert_eq!(web.status().await.unwrap().state, ServiceState::Ready);
    assert_eq!(web.restart().await.unwrap().state, ServiceState::Ready);
    let logs = web.logs(10).await.unwrap();
    assert_eq!(logs.stdout.unwrap().output.0, b"up\nup\n");
    assert_eq!(web.stop().await.unwrap().state, ServiceState::Stopped);
    let listed = made.workspace.services().await.unwrap();
    assert_eq!(listed[0].name, *web.name());
    let early = made.workspace.start_service("bad".parse().unwrap(), ["false"], definition).await;
    assert_eq!(early.unwrap_err().kind, ErrorKind::Unavailable);
}
