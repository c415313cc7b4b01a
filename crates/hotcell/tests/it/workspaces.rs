//! Workspaces from their creation to their deletion.

use hotcell::network::operations::NetworkVerdict;
use hotcell::operations::{Create, List};
use hotcell::{
    CancellationToken, CommandOptions, ErrorKind, IdlePolicy, Label, LedgerEvent, NetworkOptions,
    Shape, TerminalSize, WorkspaceName, WorkspaceState,
};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_created_used_found_and_deleted() {
    let client = client().await;
    let name: WorkspaceName = format!("sdk-{}", std::process::id()).parse().unwrap();
    let create = Create::new(environment()).with_name(name.clone());
    let made = TestWorkspace { workspace: client.create(create).await.unwrap() };
    let id = made.workspace.id();

    let status = made.workspace.status().await.unwrap();
    assert_eq!((status.id, status.state), (id, WorkspaceState::Running));
    assert_eq!(status.name, Some(name.clone()));
    assert_eq!((status.environment, status.shape), (environment(), Shape::default()));

    // What one command leaves the next one finds, through whichever handle.
    made.script("echo kept > /workspace/file").await;
    let found = client.workspace(name.to_string().parse().unwrap()).await.unwrap();
    assert_eq!(found.id(), id);
    let result = found.exec(["cat", "/workspace/file"]).await.unwrap();
    assert_eq!(result.stdout.tail.0, b"kept\n");
    assert!(client.workspaces().await.unwrap().iter().any(|listed| listed.id == id));

    let label: Label = format!("sdk={}", std::process::id()).parse().unwrap();
    found.update(None, [label.clone()]).await.unwrap();
    let filter = List { label: vec![label.to_string().parse().unwrap()], ..List::default() };
    assert_eq!(client.find(filter.clone()).await.unwrap().workspaces[0].id, id);

    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("pushed"), "in").unwrap();
    assert_eq!(found.push(host.path()).await.unwrap().sent, ["pushed"]);
    let out = host.path().join("out");
    assert_eq!(found.export("file".parse().unwrap(), &out).await.unwrap().bytes, 5);
    assert_eq!(std::fs::read(out).unwrap(), b"kept\n");

    let summary = found.summary().await.unwrap();
    assert_eq!((summary.commands_total, summary.commands_failed), (2, 0));
    assert_eq!(summary.ledger.broken_at, None);
    let log = found.logs().await.unwrap();
    assert!(matches!(log.events[0].event, LedgerEvent::Created { .. }));

    found.delete().await.unwrap();
    let gone = client.find(List { deleted: true, ..filter }).await.unwrap();
    assert_eq!(gone.deleted[0].id, id);
    assert_gone(&client, id).await;
    assert_eq!(made.workspace.status().await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_kept_ready_put_aside_and_goes_on() {
    let client = client().await;
    let made = TestWorkspace::create(&client).await;
    let workspace = &made.workspace;
    let idle = IdlePolicy { idle_after: "2h".parse().unwrap(), ..IdlePolicy::default() };
    assert_eq!(workspace.set_idle(idle).await.unwrap().idle, idle);
    workspace.extend("48h".parse().unwrap()).await.unwrap();
    let left = workspace.status().await.unwrap().expires_in_ms.unwrap();
    assert!(left > 47 * 60 * 60 * 1000, "{left}");

    let shell_of = |options| workspace.open_shell(["cat"], TerminalSize::default(), options);
    let shell = shell_of(CommandOptions::default()).await.unwrap();
    assert_eq!(workspace.hibernate().await.unwrap().state, WorkspaceState::Hibernated);
    assert_eq!(
        workspace.extend("1h".parse().unwrap()).await.unwrap_err().kind,
        ErrorKind::Conflict
    );
    // What needs its machine wakes it, and finds what ran.
    let mut seen = shell.write_line("woken").await.unwrap().cursor;
    let mut output = Vec::new();
    while !String::from_utf8_lossy(&output).contains("woken") {
        let read = shell.next_output(seen).await.unwrap();
        assert!(read.running);
        output.extend(read.output.0);
        seen = read.next_cursor;
    }
    let larger = Shape { memory_mib: 2048, ..Shape::default() };
    assert_eq!(workspace.resize(larger).await.unwrap_err().kind, ErrorKind::Conflict);
    workspace.stop().await.unwrap();
    assert_eq!(workspace.resize(larger).await.unwrap().shape, larger);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_workspace_may_reach_is_seen_and_changed() {
    let client = client().await;
    let TestWorkspace { workspace } = &TestWorkspace::create(&client).await;
    assert!(workspace.network().await.unwrap().policy.is_off());
    let only = NetworkOptions::only(["good.example".parse().unwrap()]);
    let state = workspace.set_network(only).await.unwrap();
    assert_eq!(state.policy.to_string(), "egress to good.example");
    let looked_up = workspace.exec(["getent", "hosts", "evil.example"]).await.unwrap();
    assert_ne!(looked_up.exit_code, 0);
    let log = workspace.network_log().await.unwrap();
    let entry = &log.entries[0];
    assert_eq!(entry.target, "evil.example");
    assert_eq!(entry.verdict, NetworkVerdict::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_reach_the_command() {
    let client = client().await;
    let workspace = TestWorkspace::create(&client).await;
    let options = CommandOptions {
        env: vec!["GREETING=hi there".parse().unwrap()],
        cwd: Some("/tmp".to_owned()),
        secret: vec!["SDK_TOKEN=TOKEN".parse().unwrap()],
        timeout: None,
    };
    client.set_secret("SDK_TOKEN".parse().unwrap(), "0123456789").await.unwrap();
    let (mut call, _events) = watched();
    let command = ["sh", "-c", "pwd; echo $GREETING"];
    let result = workspace.workspace.exec_with(command, options, &mut call).await.unwrap();
    assert_eq!(result.stdout.tail.0, b"/tmp\nhi there\n");
}

/// Each start of the product looks for what killed processes left. It must not
/// take a workspace that is just being deleted for one of those.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_not_disturbed_by_others_that_tidy_up() {
    const DELETIONS: usize = 12;
    let client = client().await;
    let enough = CancellationToken::new();
    let others = tokio::task::spawn_blocking({
        let enough = enough.clone();
        move || {
            while !enough.is_cancelled() {
                open();
            }
        }
    });
    let enough = enough.drop_guard();
    for _ in 0..DELETIONS {
        let made = TestWorkspace::create(&client).await;
        made.workspace.clone().delete().await.unwrap();
        let status = made.workspace.status().await.map(|found| found.state);
        assert_eq!(status.map_err(|error| error.kind), Err(ErrorKind::NotFound));
        let directory = home().join("workspaces").join(made.workspace.id().to_string());
        assert!(!directory.exists(), "{} is left", directory.display());
    }
    drop(enough);
    others.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_patches_need_no_shell() {
    let client = client().await;
    let made = client.create(Create::new(environment())).await.unwrap();
    let made = TestWorkspace { workspace: made };
    let workspace = &made.workspace;
    workspace.write_file("a/b".parse().unwrap(), b"old\n").await.unwrap();
    let patch = "--- a/a/b\n+++ b/a/b\n@@ -1 +1 @@\n-old\n+new\n";
    let applied = workspace.apply_patch(patch).await.unwrap();
    assert_eq!(applied.files[0].path, "a/b");
    let read = workspace.read_file("a/b".parse().unwrap()).await.unwrap();
    assert_eq!(read.content.0, b"new\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_stopped_and_booted_again() {
    let client = client().await;
    let made = TestWorkspace::create(&client).await;
    made.script("echo kept > /workspace/file").await;
    assert_eq!(made.workspace.stop().await.unwrap().state, WorkspaceState::Stopped);
    assert_eq!(made.workspace.exec(["true"]).await.unwrap_err().kind, ErrorKind::MachineLost);
    assert_eq!(made.workspace.boot().await.unwrap().state, WorkspaceState::Running);
    let result = made.workspace.exec(["cat", "/workspace/file"]).await.unwrap();
    assert_eq!(result.stdout.tail.0, b"kept\n");
}
