//! What the program says about itself, and about the host.

use crate::support::*;

#[test]
fn prepare_is_idempotent_and_says_so() {
    let output = hotcell().args(["--json", "prepare", ENVIRONMENT]).output().unwrap();
    assert_code(&output, 0);
    let value = json(&output);
    assert_eq!(value["warmth"], "warm");
    for step in value["steps"].as_array().unwrap() {
        assert_eq!(step["outcome"], "already_done", "{step}");
    }
}

#[test]
fn the_doctor_knows_when_the_main_job_can_run() {
    let ready = hotcell().args(["--json", "doctor"]).output().unwrap();
    assert_code(&ready, 0);
    assert_eq!(json(&ready)["verdict"], "ready");
    let fresh = tempfile::tempdir().unwrap();
    let cold = hotcell_in(fresh.path()).args(["--json", "doctor"]).output().unwrap();
    assert_code(&cold, 116);
    let value = json(&cold);
    assert_eq!(value["verdict"], "not_prepared");
    for finding in value["findings"].as_array().unwrap() {
        let needs_remedy = finding["status"] != "good";
        assert_eq!(finding["remedy"].is_string(), needs_remedy, "{finding}");
    }
}

#[test]
fn a_host_without_a_monitor_is_told_what_to_install() {
    let fresh = tempfile::tempdir().unwrap();
    // The search path always ends with the system's own directories, so the
    // monitor is hidden where it lies: what is mounted there is no program.
    let output = std::process::Command::new("unshare")
        .args([if rustix::process::geteuid().is_root() { "-m" } else { "-rm" }, "sh", "-euc"])
        .arg(format!(
            "mount --bind /dev/null $(command -v qemu-system-x86_64)
             HOTCELL_HOME={} exec {} --json doctor",
            fresh.path().display(),
            program().display()
        ))
        .output()
        .unwrap();
    assert_code(&output, 116);
    let value = json(&output);
    assert_eq!(value["verdict"], "unable");
    let monitor = &value["findings"][0];
    assert_eq!(monitor["status"], "failed");
    assert!(monitor["remedy"].as_str().unwrap().contains("qemu-system-x86"), "{monitor}");
}

#[test]
fn environments_are_listed_and_inspected() {
    let listed = hotcell().args(["--json", "env", "list"]).output().unwrap();
    assert_code(&listed, 0);
    let names: Vec<String> = json(&listed)["environments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|environment| environment["name"].as_str().unwrap().to_owned())
        .collect();
    for curated in ["debian:12", "debian:12-base", "debian:12-build"] {
        assert!(names.iter().any(|name| name == curated), "{names:?}");
    }
    let inspected = hotcell().args(["--json", "env", "inspect", ENVIRONMENT]).output().unwrap();
    let value = json(&inspected);
    assert!(value["environment"]["installed"]["disk_bytes"].as_u64().unwrap() > 50 << 20);
    let packages = value["packages"].as_array().unwrap();
    assert!(packages.iter().any(|package| package["name"] == "git"), "{packages:?}");
    let unknown = hotcell().args(["env", "inspect", "plan9:4"]).output().unwrap();
    assert_code(&unknown, 113);
    assert!(text(&unknown.stderr).contains("debian:12"), "{}", text(&unknown.stderr));
}

#[test]
fn everything_works_offline_once_it_is_prepared() {
    home();
    let script = format!(
        "HOTCELL_HOME={} exec {} run {ENVIRONMENT} -- git --version",
        home().display(),
        program().display()
    );
    let flags: &[&str] = if rustix::process::geteuid().is_root() { &["-n"] } else { &["-r", "-n"] };
    let output =
        std::process::Command::new("unshare").args(flags).args(["sh", "-euc", &script]).output();
    assert_code(&output.unwrap(), 0);
}

#[test]
fn errors_go_to_standard_error_and_have_a_remedy() {
    let output = hotcell().args(["workspace", "status", "nobody"]).output().unwrap();
    assert_code(&output, 113);
    assert_eq!(text(&output.stdout), "");
    insta::assert_snapshot!(text(&output.stderr), @r"
    error: there is no workspace `nobody`
    hint: `hotcell workspace list` shows what exists
    ");
    assert_code(&hotcell().args(["run", ENVIRONMENT]).output().unwrap(), 2);
    assert_code(&hotcell().arg("--version").output().unwrap(), 0);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = hotcell().args(["completions", shell]).output().unwrap();
        assert_code(&output, 0);
        assert!(text(&output.stdout).contains("seed-path"), "{shell}");
    }
}

#[test]
fn a_template_that_is_made_again_leaves_the_disks_of_workspaces_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let own = sharing_home(scratch.path(), &["environments", "kernels", "initrds", "seeds"]);
    let hotcell = |arguments: &[&str]| {
        let output = hotcell_in(&own).args(arguments).output().unwrap();
        assert_code(&output, 0);
        output
    };
    let templates = || {
        std::fs::read_dir(own.join("templates"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().join("manifest.json").exists())
    };
    hotcell(&["prepare", ENVIRONMENT]);
    hotcell(&["workspace", "create", ENVIRONMENT, "--name", "old"]);
    hotcell(&["prepare", ENVIRONMENT, "--memory-mib", "512"]);
    let before: Vec<_> = templates().map(|entry| entry.path()).collect();
    // Making all anew would build the environment again, so only this is forced.
    for template in &before {
        let ram = std::fs::File::options().append(true).open(template.join("ram")).unwrap();
        ram.set_modified(std::time::SystemTime::now()).unwrap();
    }
    hotcell(&["prepare", ENVIRONMENT]);
    hotcell(&["env", "prune"]);
    let after: Vec<_> = templates().map(|entry| entry.path()).collect();
    assert_eq!(after.len(), 2, "the one that is used and the new one: {after:?}");
    let seen = hotcell(&["workspace", "exec", "old", "--", "cat", "/etc/hostname"]);
    assert_eq!(text(&seen.stdout), "old\n");
    hotcell(&["--yes", "workspace", "delete", "old"]);
    hotcell(&["env", "prune"]);
    assert_eq!(templates().count(), 1);
}
