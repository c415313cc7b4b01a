//! What fails, and of which kind the error is.

use hotcell::operations::Create;
use hotcell::{CommandOptions, ErrorKind, Run, Shape, WorkspaceName};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_not_found() {
    let client = client().await;
    let error = client.workspace("no-such-workspace".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("no-such-workspace"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_prepared_is_not_booted() {
    let client = client().await;
    let shape = Shape { cpus: 1, memory_mib: 301 };
    let error = client.run(run_of("true").with_shape(shape)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.hints.iter().any(|hint| hint.contains("hotcell prepare")), "{error}");
    let unknown = Run::new("no-such-environment".parse().unwrap(), ["true"]);
    assert_eq!(client.run(unknown).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_conflicts() {
    let client = client().await;
    let name: WorkspaceName = format!("sdk-taken-{}", std::process::id()).parse().unwrap();
    let create = Create::new(environment()).with_name(name);
    let first = TestWorkspace { workspace: client.create(create.clone()).await.unwrap() };
    let error = client.create(create).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    assert_eq!(first.script("echo unharmed").await, "unharmed\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_start_says_why() {
    let client = client().await;
    let workspace = TestWorkspace::create(&client).await;
    let kind_of = async |command: &str, cwd: Option<&str>| {
        let options = CommandOptions { cwd: cwd.map(str::to_owned), ..Default::default() };
        let (mut call, _events) = watched();
        workspace.workspace.exec_with([command], options, &mut call).await.unwrap_err().kind
    };
    assert_eq!(kind_of("no-such-program", None).await, ErrorKind::CommandNotFound);
    assert_eq!(kind_of("/etc/passwd", None).await, ErrorKind::CommandNotExecutable);
    assert_eq!(kind_of("true", Some("/nowhere")).await, ErrorKind::InvalidRequest);
    let nothing: [&str; 0] = [];
    let error = workspace.workspace.exec(nothing).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error}");
    // A machine of its own fails with the same kind.
    let missing = Run::new(environment(), ["no-such-program"]);
    assert_eq!(client.run(missing).await.unwrap_err().kind, ErrorKind::CommandNotFound);
}
