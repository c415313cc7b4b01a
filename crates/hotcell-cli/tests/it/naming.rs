//! What workspaces are called, and finding them by it, also when they are gone.

use crate::support::*;

/// The ids that a list with these filters has, of workspaces of this test.
fn ids(run: &str, filters: &[&str]) -> Vec<String> {
    let run = format!("run={run}");
    let output = hotcell()
        .args(["workspace", "list", "--id-only", "--label", &run])
        .args(filters)
        .output()
        .unwrap();
    assert_code(&output, 0);
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn workspaces_are_found_by_what_they_are_called() {
    // Unique, so that what other runs left behind is not found.
    let run = format!("naming-{}", std::process::id());
    let label = format!("run={run}");
    let (first, second) = (format!("{run}-web"), format!("{run}-db"));
    let create = |name: &str, more: &[&str]| {
        let mut arguments = vec!["--name", name, "--label", &label];
        arguments.extend(more);
        TestWorkspace::create(&arguments)
    };
    let web = create(&first, &["--label", "tier=front"]);
    let db = create(&second, &[]);
    assert_eq!(ids(&run, &[]), [db.id.as_str(), web.id.as_str()]);
    assert_eq!(ids(&run, &["--label", "tier"]), [web.id.as_str()]);
    assert_eq!(ids(&run, &["--name", "*-d?"]), [db.id.as_str()]);
    assert_eq!(ids(&run, &["--state", "stopped"]), [""; 0]);
    assert_eq!(ids(&run, &["--environment", ENVIRONMENT]).len(), 2);
    assert_eq!(ids(&run, &["--environment", "debian:12-build"]), [""; 0]);

    let update = |arguments: &[&str]| {
        hotcell().args(["--json", "workspace", "update", &web.id]).args(arguments).output().unwrap()
    };
    assert_code(&update(&["--name", &second]), 114);
    assert_eq!(web.status()["name"], first.as_str());
    let renamed = format!("{run}-edge");
    let changed = update(&["--name", &renamed, "--label", "owner=me", "--remove-label", "tier"]);
    assert_code(&changed, 0);
    assert_eq!(json(&changed)["name"], renamed.as_str());
    assert_eq!(json(&changed)["labels"], serde_json::json!({ "owner": "me", "run": run }));
    assert_eq!(ids(&run, &["--name", &format!("{run}-e*")]), [web.id.as_str()]);
    let many: Vec<String> = (0..63).map(|key| format!("--label=k{key}=v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_code(&update(&many), 2);
    assert_eq!(web.status()["labels"].as_object().unwrap().len(), 2);

    drop(web);
    assert_eq!(ids(&run, &[]), [db.id.as_str()]);
    let deleted = hotcell()
        .args(["--json", "workspace", "list", "--deleted", "--label", &label])
        .output()
        .unwrap();
    assert_code(&deleted, 0);
    let tombstone = &json(&deleted)["deleted"][0];
    assert_eq!(tombstone["name"], renamed.as_str());
    assert_eq!(tombstone["reason"], "deleted");
    assert_eq!(tombstone["environment"], ENVIRONMENT);
}

#[test]
fn only_what_has_ids_can_be_asked_for_them() {
    let created = hotcell().args(["workspace", "create", "--id-only"]).output().unwrap();
    assert_code(&created, 0);
    let workspace = TestWorkspace { id: text(&created.stdout).trim().to_owned() };
    assert_eq!(workspace.status()["id"], workspace.id.as_str());
    assert_code(&hotcell().args(["doctor", "--id-only"]).output().unwrap(), 2);
}
