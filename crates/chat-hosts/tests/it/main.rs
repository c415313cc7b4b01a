//! Entries in files on a real disk.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test itself would")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use chat_hosts::catalog::Writer;
use chat_hosts::edit;
use chat_hosts::store::{Seen, StoreError};
use chat_hosts::{Drift, Host, Place, Server, Standing, Surroundings};
use serde_json::json;
use workspace_api::host::{ChatHost, HostScope};

fn around(directory: &Path) -> Surroundings {
    let (home, project) = (directory.join("home"), directory.join("project"));
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&project).unwrap();
    Surroundings { home, variables: BTreeMap::new(), project }
}

fn place(host: ChatHost, scope: HostScope, around: &Surroundings) -> Place {
    Place::of(&Host::of(host), scope, around).unwrap()
}

fn server(program: &str, arguments: &[&str]) -> Server {
    let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    Server {
        name: "hotcell".parse().unwrap(),
        program: program.to_owned(),
        arguments,
        is_short: true,
    }
}

#[test]
fn an_entry_of_every_host_is_recognised_and_judged() {
    for id in ChatHost::ALL {
        let host = Host::of(id);
        assert_eq!(host.id, id);
        let wanted = server("/opt/bin/hotcell", &["--profile", "inspect"]);
        let entry = serde_json::Value::Object(host.shape.entry(&wanted));
        assert_eq!(host.shape.command_of(&entry).unwrap(), wanted.command(), "{id}");
        assert_eq!(host.shape.judge(&wanted, Some(&entry)), Standing::Ours(vec![]), "{id}");
        let moved = server("/usr/bin/hotcell", &[]);
        let drifts = vec![
            Drift::Program("/opt/bin/hotcell".to_owned()),
            Drift::Arguments("mcp serve --profile inspect".to_owned()),
        ];
        assert_eq!(host.shape.judge(&moved, Some(&entry)), Standing::Ours(drifts), "{id}");
        assert_eq!(host.shape.judge(&moved, None), Standing::Absent);
        for foreign in [json!(1), json!({}), json!({ "command": "hotcell", "args": ["run"] })] {
            assert_eq!(host.shape.judge(&moved, Some(&foreign)), Standing::Foreign, "{id}");
        }
    }
}

#[test]
fn what_somebody_added_to_an_entry_stays_and_what_it_lacks_is_seen() {
    let shape = Host::of(ChatHost::Codex).shape;
    let wanted = server("/opt/hotcell", &[]);
    let mut entry = serde_json::Value::Object(shape.entry(&wanted));
    entry["tool_timeout_sec"] = json!(20);
    entry["env_vars"] = json!(["HOTCELL_HOME"]);
    assert_eq!(shape.judge(&wanted, Some(&entry)), Standing::Ours(vec![]));
    assert!(!shape.fields(&wanted, Some(&entry)).contains_key("tool_timeout_sec"));
    entry.as_object_mut().unwrap().remove("tool_timeout_sec");
    let lacks = Standing::Ours(vec![Drift::Lacks("tool_timeout_sec")]);
    assert_eq!(shape.judge(&wanted, Some(&entry)), lacks);
}

#[test]
fn links_stay_links_and_modes_stay() {
    let directory = tempfile::tempdir().unwrap();
    let around = around(directory.path());
    let dotfiles = directory.path().join("dotfiles");
    fs::create_dir(&dotfiles).unwrap();
    let file = dotfiles.join("codex.toml");
    fs::write(&file, "model = \"x\"\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(around.home.join(".codex")).unwrap();
    symlink(&file, around.home.join(".codex/config.toml")).unwrap();
    let seen = Seen::at(&place(ChatHost::Codex, HostScope::User, &around)).unwrap();
    seen.replace(Some(b"new")).unwrap();
    assert!(around.home.join(".codex/config.toml").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(&dotfiles).unwrap().count(), 1);
}

#[test]
fn nothing_is_written_over_what_somebody_else_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let around = around(directory.path());
    let place = place(ChatHost::Cursor, HostScope::User, &around);
    let seen = Seen::at(&place).unwrap();
    assert_eq!(seen.bytes, None);
    fs::create_dir_all(place.file.parent().unwrap()).unwrap();
    fs::write(&place.file, "{}").unwrap();
    assert!(matches!(seen.replace(Some(b"ours")), Err(StoreError::Changed(_))));
    assert!(matches!(seen.replace(None), Err(StoreError::Changed(_))));
    assert_eq!(fs::read(&place.file).unwrap(), b"{}");
    assert_eq!(fs::read_dir(place.file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_project_does_not_lead_out_of_itself() {
    let directory = tempfile::tempdir().unwrap();
    let around = around(directory.path());
    let place = place(ChatHost::Vscode, HostScope::Project, &around);
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, around.project.join(".vscode")).unwrap();
    assert!(matches!(Seen::at(&place), Err(StoreError::LeadsOut(_))));
    fs::remove_file(around.project.join(".vscode")).unwrap();
    fs::create_dir(around.project.join(".vscode")).unwrap();
    // A name that the project has taken is no way out either.
    symlink(outside.join("x"), around.project.join(".vscode/.mcp.json.hotcell-new")).unwrap();
    Seen::at(&place).unwrap().replace(Some(b"{}")).unwrap();
    assert!(!outside.join("x").exists());
    fs::remove_file(&place.file).unwrap();
    fs::create_dir(&place.file).unwrap();
    assert!(matches!(Seen::at(&place), Err(StoreError::NoFile(_))));
}

#[test]
fn every_host_that_is_edited_can_be_given_an_entry_in_every_scope() {
    let directory = tempfile::tempdir().unwrap();
    let around = around(directory.path());
    let wanted = server("/opt/hotcell", &[]);
    for host in ChatHost::ALL.map(Host::of) {
        for scope in [HostScope::User, HostScope::Project] {
            let Some(place) = Place::of(&host, scope, &around) else { continue };
            let Writer::Edit(format) = place.location.writer else { continue };
            let seen = Seen::at(&place).unwrap();
            let path = place.path("hotcell");
            let fields = host.shape.fields(&wanted, None);
            let after = edit::put(format, seen.text(), &path, &fields).unwrap();
            seen.replace(Some(&after)).unwrap();
            let entry = edit::read(format, Seen::at(&place).unwrap().text(), &path).unwrap();
            let standing = host.shape.judge(&wanted, entry.as_ref());
            assert_eq!(standing, Standing::Ours(vec![]), "{}", place.file.display());
        }
    }
}
