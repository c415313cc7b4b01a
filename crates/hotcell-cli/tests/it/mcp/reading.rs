//! What hosts read beside tools: resources, prompts, records, hints.

use serde_json::json;

use super::session::Session;
use super::unique;
use crate::support::*;

#[test]
fn a_workspace_is_read_by_address_and_told_as_a_record() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script("echo one > /workspace/a; printf '\\000\\377' > '/workspace/b c'");
    let mut session = Session::begun(&["--no-project-source"]);
    let templates = session.ask("resources/templates/list", json!({}));
    let templates = templates["result"]["resourceTemplates"].as_array().unwrap().clone();
    assert!(templates.iter().any(|t| t["uriTemplate"].as_str().unwrap().ends_with("{+path}")));
    let address = |what: &str| format!("hotcell://workspace/{}/{what}", workspace.id);
    let listed = session.ask("resources/list", json!({}));
    let listed = listed["result"]["resources"].as_array().unwrap().clone();
    for what in ["summary", "diff", "logs"] {
        assert!(listed.iter().any(|resource| resource["uri"] == address(what)), "{what}");
    }
    let mut read = |uri: &str| session.ask("resources/read", json!({ "uri": uri }));
    let content = |answer: serde_json::Value| answer["result"]["contents"][0].clone();
    let diff = content(read(&address("diff")));
    assert!(diff["text"].as_str().unwrap().contains("+one\n"), "{diff}");
    let summary = content(read(&address("summary")));
    assert_eq!(summary["mimeType"], "text/markdown");
    assert!(summary["text"].as_str().unwrap().contains("echo one"), "{summary}");
    assert_eq!(content(read(&address("file/a")))["text"], "one\n");
    assert_eq!(content(read(&address("file/b%20c")))["blob"], "AP8=");
    for (wrong, code) in [(address("nothing"), -32002), (address("file/none"), -32002)] {
        let error = read(&wrong)["error"].clone();
        assert_eq!(error["code"], code, "{wrong}: {error}");
    }

    let call = session.call("workspace_list", json!({}));
    let listed = session.answer(call)["result"].clone();
    let records = listed["structuredContent"]["workspaces"].as_array().unwrap();
    assert!(records.iter().any(|record| record["id"] == workspace.id), "{listed}");
    assert!(listed["content"][0]["text"].as_str().unwrap().contains(&workspace.id));
    // What is not there is left out: the schema knows no null.
    assert!(!listed["structuredContent"].to_string().contains("null"), "{listed}");
    let told = session.refused("workspace_exec", json!({ "workspace": "nobody", "command": "x" }));
    assert!(told.contains("`workspace_list`") && !told.contains("hotcell workspace"), "{told}");
}

#[test]
fn what_scripts_go_on_with_is_a_record_however_the_arguments_were_written() {
    let mut session = Session::begun(&["--profile", "workspace-full", "--no-project-source"]);
    let tools = session.ask("tools/list", json!({}))["result"]["tools"].clone();
    let tools = tools.as_array().unwrap().clone();
    let name = unique("record");
    let mut told = |tool: &str, arguments: serde_json::Value| {
        let call = session.call(tool, arguments);
        let answer = session.answer(call)["result"].clone();
        assert_ne!(answer["isError"], true, "{answer}");
        let record = answer["structuredContent"].clone();
        // What the schema promises is there, and nothing that it does not know.
        let schema = tools.iter().find(|listed| listed["name"] == tool).unwrap();
        let schema = &schema["outputSchema"];
        for field in schema["required"].as_array().unwrap() {
            assert!(record[field.as_str().unwrap()] != json!(null), "{tool}: {field} in {record}");
        }
        for field in record.as_object().unwrap().keys() {
            assert!(schema["properties"][field].is_object(), "{tool}: {field} in {schema}");
        }
        record
    };
    // Numbers and lists as texts, nothing as null and as nothing between quotes.
    let create = json!({
        "name": name, "environment": "", "cpus": "1", "memory_mib": null, "label": "team=core",
    });
    let created = told("workspace_create", create);
    let id = created["id"].as_str().unwrap().to_owned();
    assert_eq!((&created["name"], &created["labels"]["team"]), (&json!(name), &json!("core")));
    let shell = told("shell_open", json!({ "workspace": id, "cwd": "" }));
    assert_eq!(shell["status"]["state"], "running", "{shell}");
    let taken = told("snapshot_create", json!({ "workspace": id, "name": "here" }));
    assert_eq!(taken["snapshot"]["name"], "here");
    let fork = json!({ "workspace": name, "count": "2", "name": format!("{name}-of") });
    let forked = told("workspace_fork", fork);
    assert_eq!(forked["parent"], json!(id));
    let children = forked["children"].as_array().unwrap();
    assert_eq!(children[1]["name"], json!(format!("{name}-of-2")), "{forked}");
    let start = json!({ "workspace": id, "service": "idle", "command": "exec sleep 600" });
    assert_eq!(told("service_start", start)["state"], "ready");
    let listed = told("workspace_list", json!({}));
    for child in children {
        let is_it = |found: &serde_json::Value| found["id"] == child["id"];
        assert!(listed["workspaces"].as_array().unwrap().iter().any(is_it), "{listed}");
    }
    for made in children.iter().map(|child| &child["id"]).chain([&json!(id)]) {
        session.use_tool("workspace_delete", json!({ "workspace": made }));
    }
    let told = session.refused("workspace_fork", json!({ "workspace": id, "count": "many" }));
    assert!(told.contains("code: invalid_request"), "{told}");
}

#[test]
fn a_mode_begins_conversations_and_shows_what_is_always_needed() {
    let mut session = Session::begun(&["--mode", "inspect", "--no-project-source"]);
    let prompts = session.ask("prompts/list", json!({}));
    assert_eq!(prompts["result"]["prompts"][0]["name"], "untrusted", "{prompts}");
    let said = json!({ "name": "untrusted", "arguments": { "task": "Is this safe?" } });
    let said = session.ask("prompts/get", said);
    let text = said["result"]["messages"][0]["content"]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Is this safe?\n") && text.contains("workspace_create"), "{text}");
    for wrong in [
        json!({ "name": "untrusted" }),
        json!({ "name": "untrusted", "arguments": { "task": "x", "more": "y" } }),
        json!({ "name": "nothing", "arguments": { "task": "x" } }),
    ] {
        assert_eq!(session.ask("prompts/get", wrong.clone())["error"]["code"], -32602, "{wrong}");
    }
    let tools = session.ask("tools/list", json!({}));
    let tools = tools["result"]["tools"].as_array().unwrap();
    let always = |name: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        tool["_meta"]["anthropic/alwaysLoad"] == true
    };
    assert!(always("workspace_exec") && !always("workspace_diff"));
}
