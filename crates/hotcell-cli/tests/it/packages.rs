//! Package managers in a guest, as they are: no settings of a proxy or of
//! certificates, also where something with an authority of its own intercepts TLS.
//!
//! Which hosts they ask is theirs to know. So they run once while everything
//! public may be reached, and once more with only those hosts that they asked.

use std::process::Command;

use crate::support::operator::*;
use crate::support::toolbox::toolbox;
use crate::support::*;

#[test]
fn packages_of_the_distribution_are_listed_without_settings_of_a_proxy() {
    let mut command = behind_interception();
    // The mirrors are the environment's own.
    let sources = run_script(&[], "cat /etc/apt/sources.list /etc/apt/sources.list.d/* || true");
    let sources = text(&sources.stdout);
    let addresses = sources.split_whitespace().filter_map(|word| word.split_once("://"));
    let mirrors: Vec<&str> =
        addresses.filter_map(|(_, address)| address.split('/').next()).collect();
    let script = format!("apt-get update 2>&1; git ls-remote https://{}/x 2>&1", mirrors[0]);
    command.args(["run", ENVIRONMENT, "--timeout", "100s"]);
    for mirror in &mirrors {
        command.args(["--allow", mirror]);
    }
    let output = command.args(["--", "sh", "-c", &script]).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("Reading package lists"), "{said}");
    assert!(!said.contains("Failed to fetch") && !said.contains("certificate"), "{said}");
}

/// What the host's own settings say about where packages come from.
fn mirrors() -> Vec<String> {
    let asked = Command::new("npm").args(["config", "get", "registry"]).output().unwrap();
    let mut mirrors = vec![format!("npm_config_registry={}", text(&asked.stdout).trim())];
    for name in ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"] {
        mirrors.extend(std::env::var(name).map(|value| format!("{name}={value}")));
    }
    mirrors
}

const PIP: &str = "pip download --quiet --no-cache-dir --no-deps --dest $(mktemp -d) six";
const NPM: &str = "cd $(mktemp -d) && npm_config_update_notifier=false \\
    /workspace/bin/node /workspace/npm/bin/npm-cli.js pack --silent is-number";
const CARGO: &str = "cd $(mktemp -d) && mkdir src && touch src/lib.rs && cat > Cargo.toml <<END
[package]
name = 'x'
version = '0.1.0'
[dependencies]
itoa = '1'
END
CARGO_HOME=$PWD/home /workspace/bin/cargo vendor --quiet && ls vendor/itoa";

#[test]
fn pip_npm_cargo_and_git_work_as_they_are() {
    let mut create = behind_interception();
    create.args(["--json", "workspace", "create", prepared(BUILD_ENVIRONMENT)]);
    create.args(["--network", "egress", "--seed-path"]).arg(toolbox());
    let output = create.output().unwrap();
    assert_code(&output, 0);
    let workspace = TestWorkspace { id: json(&output)["id"].as_str().unwrap().to_owned() };
    let mirrors = mirrors();
    let with: Vec<&str> = mirrors.iter().flat_map(|mirror| ["--env", mirror]).collect();
    let run = |script: &str| workspace.exec(&with, &["bash", "-c", script]);
    for script in [PIP, NPM, CARGO] {
        assert_code(&run(script), 0);
    }
    let mut hosts: Vec<String> = log(&workspace)
        .iter()
        .map(|entry| entry["target"].as_str().unwrap().to_owned())
        .filter(|target| target.ends_with(":443"))
        .collect();
    hosts.sort();
    hosts.dedup();
    // There is no repository, which only a server that is trusted can say.
    let (host, _) = hosts[0].split_once(':').unwrap();
    let git = run(&format!("git ls-remote https://{host}/none"));
    assert!(text(&git.stderr).contains("not found"), "{}", text(&git.stderr));

    let set = |hosts: &[String]| {
        let mut set = hotcell();
        set.args(["network", "set", &workspace.id]);
        set.args(hosts.iter().flat_map(|host| ["--allow", host]));
        assert_code(&set.output().unwrap(), 0);
    };
    set(&hosts);
    assert_code(&run(CARGO), 0);
    set(&["other.example".to_owned()]);
    assert_ne!(run(&format!("CARGO_NET_RETRY=0; {CARGO}")).status.code(), Some(0));
    let refused = log(&workspace).iter().any(|entry| {
        let target = entry["target"].as_str().unwrap();
        entry["verdict"] == "denied" && hosts.iter().any(|host| host.starts_with(target))
    });
    assert!(refused, "{:#?}", log(&workspace));
}
