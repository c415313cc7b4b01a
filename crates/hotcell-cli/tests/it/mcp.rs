//! The server for models.

mod ceiling;
mod http;
mod reading;
mod robustness;
mod session;

use std::time::Instant;

use serde_json::json;

use self::session::Session;
use crate::support::*;

/// A name that no other test has.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[test]
fn a_model_mends_a_project_and_brings_that_home_only_if_its_operator_allows_it() {
    let project = tempfile::TempDir::new().unwrap();
    std::fs::write(project.path().join("sum.sh"), "echo $(($1 - $2))\n").unwrap();
    let path = project.path().to_str().unwrap();
    let mut session = Session::begun(&["--mode", "repro-fix", "--project-path", path]);
    let name = unique("mcp");
    session.use_tool("workspace_create", json!({ "name": name }));
    let test = json!({ "workspace": name, "command": "test \"$(sh sum.sh 2 3)\" = 5 || { echo wrong; exit 1; }" });
    let before = session.use_tool("workspace_exec", test.clone());
    assert!(before.starts_with("wrong\n") && before.contains("exit code 1"), "{before}");
    let read = session.use_tool("file_read", json!({ "workspace": name, "path": "sum.sh" }));
    assert!(read.starts_with("echo $(($1 - $2))\n"), "{read}");
    let edit = json!({ "workspace": name, "path": "sum.sh", "old": "$1 - $2", "new": "$1 + $2" });
    session.use_tool("file_edit", edit);
    let after = session.use_tool("workspace_exec", test);
    assert!(after.contains("exit code 0"), "{after}");
    let diff = json!({ "workspace": name, "format": "patch" });
    let diff = session.use_tool("workspace_diff", diff);
    assert!(diff.contains("-echo $(($1 - $2))\n+echo $(($1 + $2))\n"), "{diff}");
    // Unless the operator says more, what would come home is said and not done.
    let home = json!({ "workspace": name });
    let plan = session.use_tool("workspace_apply_back", home.clone());
    assert!(plan.contains("sum.sh"), "{plan}");
    let host = || std::fs::read_to_string(project.path().join("sum.sh")).unwrap();
    assert_eq!(host(), "echo $(($1 - $2))\n");
    let serve = |may: &str| {
        Session::begun(&["--mode", "repro-fix", "--project-path", path, "--apply-back", may])
    };
    let listed = serve("no").ask("tools/list", json!({})).to_string();
    assert!(listed.contains("workspace_diff") && !listed.contains("workspace_apply_back"));
    let apply = json!({ "workspace": name, "mode": "apply" });
    assert!(session.refused("workspace_apply_back", apply.clone()).contains("no argument `mode`"));
    serve("yes").use_tool("workspace_apply_back", apply);
    assert_eq!(host(), "echo $(($1 + $2))\n");
    session.use_tool("workspace_reset", json!({ "workspace": name }));
    let fresh =
        session.use_tool("workspace_exec", json!({ "workspace": name, "command": "cat sum.sh" }));
    assert!(fresh.starts_with("echo $(($1 - $2))\n"), "{fresh}");
    session.use_tool("workspace_delete", json!({ "workspace": name }));
}

#[test]
fn slow_calls_block_nobody_and_cancelling_one_reaches_the_guest() {
    let workspace = TestWorkspace::create(&[]);
    let mut session = Session::begun(&["--no-project-source"]);
    let script =
        "trap 'echo ended > /tmp/ended; exit' TERM; touch /tmp/began; while :; do sleep 0.1; done";
    let slow =
        session.call("workspace_exec", json!({ "workspace": workspace.id, "command": script }));
    eventually("it runs", || workspace.exec(&[], &["test", "-e", "/tmp/began"]).status.success());
    let quick = session
        .use_tool("workspace_exec", json!({ "workspace": workspace.id, "command": "echo quick" }));
    assert!(quick.starts_with("quick\n"), "{quick}");
    session.say(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": slow },
    }));
    eventually("it was ended", || {
        workspace.exec(&[], &["test", "-e", "/tmp/ended"]).status.success()
    });
    // The protocol wants no answer to what was cancelled.
    let pong = session.ask("ping", json!({}));
    assert!(pong.get("result").is_some() && !session.early.contains_key(&slow), "{pong}");
}

#[test]
fn much_output_is_cut_and_the_rest_can_be_read() {
    let workspace = TestWorkspace::create(&[]);
    let mut session = Session::begun(&["--no-project-source"]);
    let text = session
        .use_tool("workspace_exec", json!({ "workspace": workspace.id, "command": "seq 100000" }));
    assert!(text.chars().count() <= 8_000, "{}", text.len());
    assert!(text.starts_with("1\n2\n") && text.contains("\n100000\n"), "{text}");
    let (_, told) = text.split_once("command read ").unwrap();
    let (id, told) = told.split_once(", channel stdout, cursor ").unwrap();
    let cursor: u64 = told.split_once(' ').unwrap().0.parse().unwrap();
    let rest = session.use_tool(
        "command_read",
        json!({ "workspace": workspace.id, "command": id, "cursor": cursor }),
    );
    let last = text.split("[…").next().unwrap().lines().last().unwrap().parse::<u32>().unwrap();
    assert!(rest.starts_with(&format!("{}\n", last + 1)), "{rest}");
}

#[test]
fn nothing_boots_before_it_is_needed_and_mistakes_are_told_in_words() {
    let begun = Instant::now();
    let mut session = Session::begun(&["--no-project-source"]);
    let listed = session.ask("tools/list", json!({}));
    let answered = begun.elapsed();
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "workspace_exec"), "{listed}");
    println!("initialize and tools/list were answered after {answered:?}");

    let unknown =
        session.refused("workspace_exec", json!({ "workspace": "nobody", "command": "true" }));
    assert!(unknown.contains("code: not_found") && unknown.contains("hint: "), "{unknown}");
    let missing = session.refused("workspace_exec", json!({ "workspace": "nobody" }));
    assert!(missing.contains("command") && missing.contains("code: invalid_request"), "{missing}");
    let hidden = session.refused("workspace_create", json!({ "network": "egress" }));
    assert!(hidden.contains("no argument `network`"), "{hidden}");
    let huge = "x".repeat(4 << 20);
    let huge =
        session.refused("file_write", json!({ "workspace": "nobody", "path": "a", "text": huge }));
    assert!(huge.contains("code: "), "{huge}");
    let answer = session.ask("tools/call", json!({ "name": "host_delete", "arguments": {} }));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(session.ask("no/such/method", json!({})).get("error").is_some());
}

#[test]
fn what_a_model_cannot_prepare_is_made_ready_as_far_as_nothing_has_to_be_fetched() {
    prepared(ENVIRONMENT);
    let own = tempfile::TempDir::new().unwrap();
    for shared in ["environments", "kernels", "initrds"] {
        std::os::unix::fs::symlink(home().join(shared), own.path().join(shared)).unwrap();
    }
    let mut session = Session::start_in(own.path(), &["--no-project-source"]).begin();
    // No template is there yet, for any shape.
    session.use_tool("workspace_create", json!({ "name": "large", "cpus": 2 }));
    let count = json!({ "workspace": "large", "command": "nproc" });
    assert!(session.use_tool("workspace_exec", count).starts_with("2\n"));
    session.use_tool("workspace_delete", json!({ "workspace": "large" }));
    // An environment is not built for a model.
    let empty = tempfile::TempDir::new().unwrap();
    let mut nothing = Session::start_in(empty.path(), &["--no-project-source"]).begin();
    let told = nothing.refused("workspace_create", json!({}));
    assert!(told.contains("`hotcell prepare debian:12`"), "{told}");
    // By hand nobody waits for what he has not asked for.
    let create = ["workspace", "create", ENVIRONMENT, "--cpus", "3"];
    let refused = hotcell_in(own.path()).args(create).output().unwrap();
    assert!(text(&refused.stderr).contains("prepare debian:12 --cpus 3"), "{refused:?}");
}

#[test]
fn hosts_of_the_stateless_revision_are_served() {
    let mut session = Session::start(&["--mode", "inspect", "--no-project-source"]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    let discovered = session.ask("server/discover", json!({ "_meta": meta }));
    assert!(
        discovered["result"]["instructions"].as_str().unwrap().contains("untrusted"),
        "{discovered}"
    );
    // This revision has given the protocol's logging up.
    assert!(discovered["result"]["capabilities"].get("logging").is_none(), "{discovered}");
    let level = session.ask("logging/setLevel", json!({ "level": "debug", "_meta": meta }));
    assert_eq!(level["error"]["code"], -32601, "{level}");
    let listed = session.ask("tools/list", json!({ "_meta": meta }));
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert!(tools.len() <= 12, "{listed}");
    for tool in tools {
        assert_eq!(tool["annotations"]["openWorldHint"], false, "{tool}");
    }
}
