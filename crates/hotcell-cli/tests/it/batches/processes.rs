//! What of batches runs, and the end of what nobody owns; started by the program
//! itself, as an engine starts it.

use std::path::Path;

use batch::custody::{Custodian, Environment, Held, Holding, Limits, Order};
use batch_api::Epoch;
use serde_json::Value;

use crate::support::*;

const BATCH: &str = "bat_0190a6f2c3d4750e8f001122334455ff";
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn processes(home: &Path, arguments: &[&str]) -> Value {
    let output = hotcell_in(home).args(["batch", "processes", "--json"]).args(arguments).output();
    let output = output.unwrap();
    assert_code(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn start(custodian: &Custodian, home: &Path, key: &str) -> Held {
    let mut environment = Environment::empty();
    environment.set("PATH", SEARCH_PATH).unwrap();
    let order = Order {
        key: key.parse().unwrap(),
        label: format!("worker of {key}").parse().unwrap(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), "setsid sleep 600 & sleep 600".into()],
        environment,
        directory: "/".into(),
        limits: Limits::default(),
        stderr: home.join(key),
    };
    custodian.start(order).await.unwrap()
}

#[tokio::test]
async fn what_an_engine_owns_is_listed_and_what_nobody_owns_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let none = processes(home, &["--orphans"]);
    assert_eq!(none["processes"], Value::Array(vec![]));
    let missing = hotcell_in(home).args(["batch", "processes", BATCH]).output().unwrap();
    assert_code(&missing, 113);

    let root = home.join("batches").join(BATCH).join("custody");
    let holding = Holding::detect(&root, SEARCH_PATH).unwrap();
    let begun = Custodian::begin(&root, Epoch(1), holding, program().to_owned()).await;
    let (custodian, _) = begun.unwrap();
    let kept = start(&custodian, home, "kept").await;
    let mut lost = start(&custodian, home, "lost").await;
    let all = processes(home, &[BATCH]);
    let owned: Vec<&Value> = all["processes"].as_array().unwrap().iter().collect();
    assert_eq!(owned.len(), 2, "{all}");
    assert_eq!(owned[0]["label"], "worker of kept");
    assert!(owned.iter().all(|one| one["ownership"] == "owned"), "{all}");
    assert!(owned[0]["pids"].as_array().unwrap().len() >= 3, "warden and two naps: {all}");

    let epoch = std::fs::read_dir(&root).unwrap().flatten().next().unwrap().path();
    std::fs::remove_file(epoch.join("lost.json")).unwrap();
    let ended = processes(home, &["--orphans"]);
    assert_eq!(ended["ended"].as_array().unwrap().len(), 1, "{ended}");
    assert_eq!(ended["ended"][0]["key"], "lost");
    assert_eq!(ended["ended"][0]["end"], "killed");
    assert_eq!(ended["processes"].as_array().unwrap().len(), 1, "{ended}");
    lost.wait().await.unwrap();

    // Without its engine the other one has no owner either.
    drop((kept, lost, custodian));
    let output = hotcell_in(home).args(["batch", "processes", "--orphans"]).output().unwrap();
    assert_code(&output, 0);
    let said = text(&output.stdout);
    assert!(
        said.starts_with(&format!("{BATCH} kept  worker of kept: its engine is dead; ")),
        "{said}"
    );
    assert_eq!(processes(home, &[])["processes"], Value::Array(vec![]));
}
