//! Chat hosts, the real ones: connected, looked at by themselves, led astray,
//! mended, and disconnected.

mod conversations;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::person::{Person, content};
use crate::support::*;

/// One host, and what is particular about it.
struct Case {
    host: &'static str,
    /// Its configuration file below the home, and what is in it at first.
    file: &'static str,
    before: Option<&'static str>,
    /// What the host itself says of the server named hotcell.
    sees: fn(&Person) -> Seen,
    /// Whether the file is what it was when the host is disconnected; one that the
    /// host writes itself is not.
    ends: Ends,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Broken,
    Working,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    AsItWas,
    AsTheHostLikes,
}

fn printed(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn claude_sees(person: &Person) -> Seen {
    let listed = printed(&person.host("claude").args(["mcp", "list"]).output().unwrap());
    match listed.lines().find(|line| line.starts_with("hotcell:")) {
        Some(line) if line.contains("✔ Connected") => Seen::Working,
        Some(_) => Seen::Broken,
        None => Seen::Nothing,
    }
}

fn opencode_sees(person: &Person) -> Seen {
    let listed = printed(&person.host("opencode").args(["mcp", "list"]).output().unwrap());
    match listed.lines().find(|line| line.contains(" hotcell ")) {
        Some(line) if line.contains("✓ hotcell") => Seen::Working,
        Some(_) => Seen::Broken,
        None => Seen::Nothing,
    }
}

/// Codex has no command that connects; its own protocol for editors does.
fn codex_sees(person: &Person) -> Seen {
    let mut server = person
        .host("codex")
        .arg("app-server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = server.stdin.take().unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut ask = |id: u64, method: &str, params: Value| {
        writeln!(input, "{}", json!({ "id": id, "method": method, "params": params })).unwrap();
        loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "codex ended");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message["result"].clone();
            }
        }
    };
    ask(1, "initialize", json!({ "clientInfo": { "name": "test", "version": "1" } }));
    let thread = ask(2, "thread/start", json!({ "cwd": person.project() }));
    let thread = thread["thread"]["id"].clone();
    let status = ask(3, "mcpServerStatus/list", json!({ "threadId": thread }));
    server.kill().unwrap();
    server.wait().unwrap();
    let servers = status["data"].as_array().unwrap_or_else(|| panic!("{status}"));
    match servers.iter().find(|server| server["name"] == "hotcell") {
        Some(server) if server["tools"]["workspace_exec"].is_object() => Seen::Working,
        Some(_) => Seen::Broken,
        None => Seen::Nothing,
    }
}

#[track_caller]
fn told(person: &Person, arguments: &[&str], code: i32) -> Value {
    let output = person.hotcell(&[&["--json"], arguments].concat());
    assert_code(&output, code);
    json(&output)
}

fn goes_through(case: &Case) {
    let person = Person::new();
    let file = person.home().join(case.file);
    if let Some(before) = case.before {
        person.write(case.file, before);
    }
    let original = content(&file);
    let host = case.host;
    told(&person, &["host", "doctor", host], 113);
    let untouched = content(&file);

    // What would be done is shown, and not done.
    let planned = told(&person, &["host", "connect", host, "--dry-run"], 0);
    assert_eq!((&planned["change"], &planned["dry_run"]), (&json!("added"), &json!(true)));
    let diff = planned["edit"]["diff"].as_str().unwrap_or_default();
    let commands = planned["commands"].as_array().unwrap();
    assert!(diff.contains("hotcell") != (commands.len() == 1), "{planned}");
    assert_eq!(content(&file), untouched);

    let connected = told(&person, &["host", "connect", host, "--mode", "inspect"], 0);
    assert_eq!(connected["change"], "added");
    assert_eq!(connected["command"][0], program().to_str().unwrap());
    assert_eq!(told(&person, &["host", "connect", host], 0)["change"], "changed");
    assert_eq!((case.sees)(&person), Seen::Working);
    let settled = content(&file);
    assert_eq!(told(&person, &["host", "connect", host], 0)["change"], "unchanged");
    assert_eq!(content(&file), settled);
    let found = told(&person, &["host", "doctor", host], 0);
    assert_eq!(found["verdict"], "connected");
    assert!(found["tools"].as_u64().unwrap() > 5, "{found}");

    // The program moves, and somebody adds a field that stays.
    let moved = settled.unwrap().replace(program().to_str().unwrap(), "/gone/hotcell");
    fs::write(&file, moved).unwrap();
    assert_eq!((case.sees)(&person), Seen::Broken);
    let found = told(&person, &["host", "doctor", host], 114);
    assert!(found["findings"].to_string().contains("which is gone"), "{found}");
    assert_eq!(told(&person, &["host", "repair", host], 0)["change"], "changed");
    assert_eq!((case.sees)(&person), Seen::Working);
    // The entry is lost with the file.
    fs::remove_file(&file).unwrap();
    let found = told(&person, &["host", "doctor", host], 113);
    assert!(found["findings"].to_string().contains("it was removed"), "{found}");
    assert_eq!(told(&person, &["host", "repair", host], 0)["change"], "added");
    told(&person, &["host", "doctor", host], 0);
    assert_eq!(told(&person, &["host", "disconnect", host], 0)["change"], "removed");

    // There and back, with what was in the file.
    match case.before {
        Some(before) => drop(person.write(case.file, before)),
        None => drop(fs::remove_file(&file)),
    }
    told(&person, &["host", "connect", host, "--no-project-source"], 0);
    let listed = told(&person, &["host", "list"], 0);
    let of_host = |entry: &&Value| entry["host"] == host;
    let listed = listed["hosts"].as_array().unwrap().iter().find(of_host).unwrap();
    assert_eq!(listed["connections"][0]["name"], "hotcell", "{listed}");
    told(&person, &["host", "disconnect", host], 0);
    assert_eq!((case.sees)(&person), Seen::Nothing);
    if case.ends == Ends::AsItWas {
        assert_eq!(content(&file), original);
    }
    assert_eq!(told(&person, &["host", "disconnect", host], 0)["change"], "unchanged");
}

#[test]
fn claude_code_is_connected_mended_and_disconnected() {
    goes_through(&Case {
        host: "claude-code",
        file: ".claude.json",
        before: None,
        sees: claude_sees,
        ends: Ends::AsTheHostLikes,
    });
}

#[test]
fn codex_is_connected_mended_and_disconnected() {
    goes_through(&Case {
        host: "codex",
        file: ".codex/config.toml",
        before: Some(
            "# mine\ncheck_for_update_on_startup = false # why not\n\n[analytics]\nenabled   = false\n",
        ),
        sees: codex_sees,
        ends: Ends::AsItWas,
    });
}

#[test]
fn opencode_is_connected_mended_and_disconnected() {
    goes_through(&Case {
        host: "opencode",
        file: ".config/opencode/opencode.jsonc",
        before: Some(
            "{\n  \"$schema\": \"https://opencode.ai/config.json\",\n  // mine\n  \"autoupdate\": false,   /* why not */\n}\n",
        ),
        sees: opencode_sees,
        ends: Ends::AsItWas,
    });
}

#[test]
fn what_is_not_ours_is_left_alone_and_the_rest_is_said() {
    let person = Person::new();
    let file = person.write(
        ".cursor/mcp.json",
        "{ \"mcpServers\": { \"hotcell\": { \"url\": \"http://x\" } } }",
    );
    let before = content(&file);
    let refused = person.hotcell(&["host", "connect", "cursor"]);
    assert_code(&refused, 114);
    assert!(
        text(&refused.stderr).contains("hint: choose another name"),
        "{}",
        text(&refused.stderr)
    );
    assert_code(&person.hotcell(&["host", "disconnect", "cursor"]), 114);
    assert_eq!(content(&file), before);
    // A server that does not start is not registered.
    let refused =
        person.hotcell(&["host", "connect", "cursor", "--name", "second", "--", "--no-such-flag"]);
    assert_code(&refused, 116);
    assert!(text(&refused.stderr).contains("--no-such-flag"), "{}", text(&refused.stderr));
    assert_eq!(content(&file), before);
    told(&person, &["host", "connect", "cursor", "--name", "second"], 0);
    // One in the project as well, which is found.
    let project = told(&person, &["host", "connect", "cursor", "--scope", "project"], 0);
    let project_file = PathBuf::from(project["file"].as_str().unwrap());
    assert_eq!(project_file, person.project().join(".cursor/mcp.json"));
    let found = person.hotcell(&["--json", "host", "doctor", "cursor", "--name", "second"]);
    assert!(json(&found)["findings"].to_string().contains("there is another one"));
    told(&person, &["host", "disconnect", "cursor", "--scope", "project"], 0);
    assert!(!project_file.exists());
    // Files that nobody understands, and hosts whose files people write.
    fs::write(&file, "{ \"mcpServers\": [").unwrap();
    assert_code(&person.hotcell(&["host", "connect", "cursor", "--name", "second"]), 114);
    assert_eq!(content(&file).unwrap(), "{ \"mcpServers\": [");
    assert_code(&person.hotcell(&["host", "connect", "goose"]), 2);
    let snippet = person.hotcell(&["host", "print-config", "goose"]);
    assert_code(&snippet, 0);
    let expected = format!(
        "extensions:\n  hotcell:\n    args: [\"mcp\",\"serve\"]\n    cmd: {:?}\n",
        program()
    );
    assert!(text(&snippet.stdout).starts_with(&expected), "{}", text(&snippet.stdout));
}

#[test]
fn a_source_that_is_not_usable_is_named_with_what_to_do() {
    let person = Person::new();
    let checkout = person.project().display().to_string();
    let gone = person.home().join("gone").display().to_string();
    let here = format!("file://{checkout}");
    fs::write(person.project().join("a"), "a").unwrap();
    git(&person.project(), &["add", "."]);
    git(&person.project(), &["commit", "--quiet", "-m", "one"]);
    let commit = git(&person.project(), &["rev-parse", "HEAD"])[..12].to_owned();
    let unusable = "which cannot be used: ";
    for (options, status, said) in [
        (&[][..], "good", format!("here the project at {checkout}: a git checkout")),
        (&["--no-project-source"], "good", "workspaces start empty".to_owned()),
        (&["--project-path", &gone], "failed", format!("{gone}, {unusable}")),
        (
            &["--repo-url", &here, "--environment", ENVIRONMENT],
            "good",
            format!("the repository {here}: commit {commit}"),
        ),
        (
            &["--repo-url", &here, "--repo-ref", "nowhere"],
            "failed",
            format!("nowhere of the repository {here}, {unusable}"),
        ),
        (&["--", "--repo-url", "file:///nowhere/at/all"], "failed", unusable.to_owned()),
    ] {
        // One that goes after it was connected.
        fs::create_dir(&gone).unwrap();
        told(&person, &[&["host", "connect", "cursor"], options].concat(), 0);
        fs::remove_dir(&gone).unwrap();
        let found = json(&person.hotcell(&["--json", "host", "doctor", "cursor"]));
        let findings = found["findings"].as_array().unwrap().clone();
        let project = findings.iter().find(|finding| finding["subject"] == "project").unwrap();
        assert_eq!(project["status"], status, "{project}");
        assert!(project.to_string().contains(&said), "{said}: {project}");
        assert_eq!(project.to_string().contains("--no-project-source`"), status == "failed");
    }
    // Nothing is written that others should not read.
    let secret = ["host", "connect", "cursor", "--repo-url", "https://me:hush@example.org/x"];
    let refused = person.hotcell(&secret);
    assert_code(&refused, 2);
    assert!(!text(&refused.stderr).contains("hush"), "{}", text(&refused.stderr));
}
