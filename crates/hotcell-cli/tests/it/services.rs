//! Services: what a workspace looks after without a caller.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::*;

fn service(workspace: &TestWorkspace, verb: &str, arguments: &[&str]) -> Output {
    hotcell().args(["--json", "service", verb, &workspace.id]).args(arguments).output().unwrap()
}

#[track_caller]
fn start(workspace: &TestWorkspace, name: &str, options: &[&str], command: &[&str]) -> Value {
    let output = service(workspace, "start", &[&[name], options, &["--"], command].concat());
    assert_code(&output, 0);
    json(&output)
}

fn status(workspace: &TestWorkspace, name: &str) -> Value {
    json(&service(workspace, "status", &[name]))
}

/// Answers `/` with its second argument and everything else with 404.
const WEB: &str = r#"
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0],
    Listen => 64, ReuseAddr => 1) or die "cannot listen: $!";
$| = 1;
print "listening on $ARGV[0]\n";
while (my $client = $server->accept) {
    my $line = <$client>;
    while (my $rest = <$client>) { last if $rest =~ /^\r?\n$/ }
    print STDERR "asked: $line";
    my ($code, $body) = $line =~ m{^GET / } ? ("200 OK", $ARGV[1]) : ("404 Not Found", "");
    print $client "HTTP/1.0 $code\r\nContent-Length: ", length $body, "\r\n\r\n$body";
    close $client;
}
"#;

fn fetch(address: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// How many processes of the guest have exactly this command line.
fn processes(workspace: &TestWorkspace, command: &str) -> usize {
    let script = format!("pgrep -fxc '{command}' || true");
    workspace.script(&script).trim().parse().unwrap()
}

#[test]
fn a_service_is_ready_reached_by_its_port_and_followed_by_what_comes_after_it() {
    let workspace = TestWorkspace::create(&[]);
    let web = ["perl", "-e", WEB, "8000", "hello from web"];
    let options = ["--ready", "http:8000/", "--publish", "8000", "--health-interval", "200ms"];
    let started = start(&workspace, "web", &options, &web);
    assert_eq!(started["state"], "ready");
    let mapping = started["ports"][0].as_str().unwrap();
    let address = format!("127.0.0.1:{}", mapping.strip_prefix("8000:").unwrap());
    // Ready means: the very first request is answered.
    let answer = fetch(&address).unwrap();
    assert!(
        answer.starts_with("HTTP/1.0 200 OK") && answer.ends_with("hello from web"),
        "{answer}"
    );

    let worker = ["sh", "-c", "curl -s http://127.0.0.1:8000/; sleep 1000"];
    let options = ["--after", "web", "--ready", "log:hello from \\w+$"];
    assert_eq!(start(&workspace, "worker", &options, &worker)["state"], "ready");
    let activity = workspace.status()["activity"].take();
    let counts = ["running_services", "ready_services", "failed_services", "running_commands"];
    assert_eq!(counts.map(|count| activity[count].as_u64().unwrap()), [2, 2, 0, 0]);

    let listed = json(&hotcell().args(["--json", "workspace", "list"]).output().unwrap());
    let listed = listed["workspaces"].as_array().unwrap().clone();
    let listed = listed.iter().find(|listed| listed["id"] == *workspace.id).unwrap();
    assert_eq!(listed["activity"]["ready_services"], 2);

    // What cannot be is refused, and nothing changes.
    let refused = |name: &str, options: &[&str], code| {
        let output = service(&workspace, "start", &[&[name], options, &["--", "true"]].concat());
        assert_code(&output, code);
        text(&output.stderr)
    };
    refused("web", &[], 114);
    refused("other", &["--after", "nobody"], 113);
    refused("other", &["--ready", "tcp:0"], 2);
    refused("Other", &[], 2);
    refused("other", &["--health-interval", "1s"], 2);
    refused("other", &["--publish", "8000"], 114);
    let port = ["port", "unpublish", &workspace.id, "8000"];
    assert_code(&hotcell().args(port).output().unwrap(), 114);
    let names = |listed: Value| -> Vec<String> {
        let services = listed["services"].as_array().unwrap().clone();
        services.iter().map(|service| service["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(json(&service(&workspace, "list", &[]))), ["web", "worker"]);

    let stopped = service(&workspace, "stop", &["web"]);
    assert_code(&stopped, 0);
    assert_eq!(json(&stopped)["state"], "stopped");
    assert_eq!(json(&stopped).get("ports"), None, "nobody listens there any more");
    assert!(TcpStream::connect(&address).is_err());
    let cycle = refused("web", &["--after", "worker"], 114);
    assert!(cycle.contains("web after worker after web"), "{cycle}");
    let early = refused("other", &["--after", "web"], 114);
    assert!(early.contains("`web` is stopped"), "{early}");
    // As it was defined, at the port that it had.
    let again = service(&workspace, "restart", &["web"]);
    assert_code(&again, 0);
    assert_eq!(json(&again)["ports"][0], mapping);
    assert!(fetch(&address).unwrap().ends_with("hello from web"));
    let logs = hotcell().args(["workspace", "logs", &workspace.id]).output().unwrap();
    let logs = text(&logs.stdout);
    for kind in ["service_started", "service_ready", "service_stopped", "port_published"] {
        assert!(logs.contains(kind), "{kind}: {logs}");
    }
}

#[test]
fn a_process_that_is_killed_is_started_again_until_it_was_too_often() {
    let workspace = TestWorkspace::create(&[]);
    let options = [
        "--ready",
        "tcp:81",
        "--restart",
        "on-failure",
        "--restart-limit",
        "2",
        "--backoff",
        "50ms",
    ];
    start(&workspace, "web", &options, &["perl", "-e", WEB, "81", "again"]);
    let kill = |times: usize| {
        // It is ready a moment before it says so.
        let said = || service(&workspace, "logs", &["web", "--channel", "stdout"]);
        let said = || text(&said().stdout).matches("listening").count();
        eventually("it has said so", || said() == times);
        workspace.script("pkill -9 perl");
    };
    for restarts in 1..=2 {
        kill(restarts);
        let mut seen = Value::Null;
        eventually("it is ready again", || {
            seen = status(&workspace, "web");
            seen["restarts"] == restarts && seen["state"] == "ready"
        });
    }
    kill(3);
    eventually("it has failed", || status(&workspace, "web")["state"] == "failed");
    let seen = status(&workspace, "web");
    let reason = seen["reason"].as_str().unwrap();
    assert!(reason.contains("signal 9") && reason.contains("2 restarts"), "{reason}");
    assert_eq!(workspace.status()["activity"]["failed_services"], 1);
    // Its log is one, over all its processes.
    let log = json(&service(&workspace, "logs", &["web", "--cursor", "0"]));
    let said = log["stdout"]["output"]["text"].as_str().unwrap();
    assert_eq!(said, "listening on 81\n".repeat(3));
    let last = json(&service(&workspace, "logs", &["web", "--tail", "1", "--channel", "stdout"]));
    assert_eq!(last["stdout"]["cursor"], 32);
    assert!(last.get("stderr").is_none());
}

#[test]
fn a_service_that_does_not_get_ready_fails_and_says_why() {
    let workspace = TestWorkspace::create(&[]);
    let failing = |name: &str, options: &[&str], command: &[&str]| {
        let output = service(&workspace, "start", &[&[name], options, &["--"], command].concat());
        assert_code(&output, 116);
        assert_eq!(status(&workspace, name)["state"], "failed");
        text(&output.stderr)
    };
    let waits = ["--ready", "file:/run/never", "--ready-timeout", "6s"];
    let why = failing("slow", &waits, &["sh", "-c", "echo last words >&2; sleep 1000"]);
    assert!(why.contains("/run/never") && why.contains("last words"), "{why}");
    assert_eq!(processes(&workspace, "sleep 1000"), 0);
    let why = failing("early", &["--ready", "tcp:1"], &["true"]);
    assert!(why.contains("exited with code 0 before it was ready"), "{why}");
    let why = failing("absent", &["--restart", "always"], &["no-such-program"]);
    assert!(why.contains("no-such-program"), "{why}");
    let why = failing(
        "broken",
        &["--ready", "command:echo not yet >&2; exit 3", "--ready-timeout", "6s"],
        &["sleep", "1000"],
    );
    assert!(why.contains("code 3 not yet"), "{why}");
    // And what gets there, by the same checks.
    let touch = ["sh", "-c", "sleep 0.2; touch ready; sleep 1000"];
    start(&workspace, "slow", &["--ready", "file:ready"], &touch);
    start(&workspace, "broken", &["--ready", "command:test -e ready"], &["sleep", "1000"]);
    // Work that is done is no failure.
    let done = start(&workspace, "early", &["--no-wait"], &["true"]);
    assert!(["waiting", "starting", "ready", "stopped"].contains(&done["state"].as_str().unwrap()));
    eventually("it is done", || status(&workspace, "early")["state"] == "stopped");
}

#[test]
fn all_that_a_service_started_ends_with_it() {
    let workspace = TestWorkspace::create(&[]);
    let stubborn = "trap '' TERM; setsid sleep 1111 & echo up; while :; do sleep 0.1; done";
    let options = ["--ready", "log:^up$", "--stop-timeout", "300ms"];
    start(&workspace, "stubborn", &options, &["sh", "-c", stubborn]);
    eventually("its child runs", || processes(&workspace, "sleep 1111") == 1);
    assert_eq!(json(&service(&workspace, "stop", &["stubborn"]))["state"], "stopped");
    assert_eq!(processes(&workspace, "sleep 1111"), 0);
    assert_eq!(status(&workspace, "stubborn")["process"]["exit_code"], 137);
    // Whoever handles the signal has its time.
    let polite = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    start(&workspace, "polite", &["--ready", "log:^up$"], &["sh", "-c", polite]);
    assert_code(&service(&workspace, "stop", &["polite"]), 0);
    let log = json(&service(&workspace, "logs", &["polite"]));
    assert_eq!(log["stdout"]["output"]["text"], "up\nbye\n");
    // One that ends by itself leaves nothing either.
    let leaver = ["sh", "-c", "setsid sleep 2222 & exit 0"];
    start(&workspace, "leaver", &["--no-wait"], &leaver);
    eventually("it is done", || status(&workspace, "leaver")["state"] == "stopped");
    assert_eq!(processes(&workspace, "sleep 2222"), 0);
}

#[test]
fn health_is_watched_after_a_service_is_ready() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script("touch /run/ok");
    let health = ["--ready", "file:/run/ok", "--health-interval", "50ms", "--health-failures", "2"];
    start(&workspace, "patient", &health, &["sleep", "1000"]);
    let strict = [&health[..], &["--restart", "always", "--backoff", "50ms"]].concat();
    start(&workspace, "strict", &strict, &["sleep", "1000"]);
    workspace.script("rm /run/ok");
    eventually("it is unhealthy", || status(&workspace, "patient")["state"] == "unhealthy");
    eventually("it is restarted", || {
        let seen = status(&workspace, "strict");
        seen["restarts"] == 1 && seen["state"] == "starting"
    });
    workspace.script("touch /run/ok");
    for name in ["patient", "strict"] {
        eventually("it is ready again", || status(&workspace, name)["state"] == "ready");
    }
    assert_eq!(status(&workspace, "patient")["restarts"], 0);
}

#[test]
fn services_end_with_their_machine_and_are_started_again_on_request_only() {
    let workspace = TestWorkspace::create(&[]);
    let power = |verb: &str| {
        assert_code(&hotcell().args(["workspace", verb, &workspace.id]).output().unwrap(), 0);
    };
    let options = ["--ready", "tcp:82", "--publish", "82", "--restart", "always"];
    let started = start(&workspace, "web", &options, &["perl", "-e", WEB, "82", "still here"]);
    let mapping = started["ports"][0].as_str().unwrap();
    let address = format!("127.0.0.1:{}", mapping.strip_prefix("82:").unwrap());
    let restarted = || {
        assert!(TcpStream::connect(&address).is_err());
        assert_code(&service(&workspace, "restart", &["web"]), 0);
        assert!(fetch(&address).unwrap().ends_with("still here"));
    };
    power("reset");
    let seen = status(&workspace, "web");
    assert_eq!(
        (&seen["state"], &seen["reason"]),
        (&"stopped".into(), &"the workspace was reset".into())
    );
    assert_eq!(workspace.script("pgrep -c perl || true").trim(), "0");
    restarted();
    power("stop");
    assert_eq!(status(&workspace, "web")["reason"], "the workspace was stopped");
    assert_code(&service(&workspace, "stop", &["web"]), 0);
    assert_code(&service(&workspace, "restart", &["web"]), 118);
    power("start");
    assert_eq!(status(&workspace, "web")["state"], "stopped");
    restarted();
    // Nobody is left to say that it runs, so nobody says so.
    kill(keeper_of(&workspace.directory()));
    eventually("it is lost", || status(&workspace, "web")["state"] == "lost");
    power("start");
    assert_eq!(status(&workspace, "web")["state"], "lost");
    restarted();
}

#[test]
fn a_log_is_followed_until_its_service_ends() {
    let workspace = TestWorkspace::create(&[]);
    let script =
        "for i in 1 2 3; do echo tick $i; echo tock $i >&2; sleep 0.1; done; exec sleep 1000";
    start(&workspace, "clock", &["--ready", "log:tick 1"], &["sh", "-c", script]);
    let mut follow = hotcell();
    follow.args(["service", "logs", &workspace.id, "clock", "--follow"]);
    let mut child = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_word(&mut child, "tick 3\n");
    assert_code(&service(&workspace, "stop", &["clock"]), 0);
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 0);
    assert_eq!(text(&output.stderr), "tock 1\ntock 2\ntock 3\n");
}

#[test]
fn a_service_has_its_secret_again_after_a_restart_and_nobody_sees_it() {
    const VALUE: &str = "service-secret-value-1";
    let workspace = TestWorkspace::create(&[]);
    let mut set = hotcell();
    set.args(["secret", "set", "SERVICE_TOKEN"]);
    assert_code(&with_input(set, VALUE.into()), 0);
    let script = "echo length ${#TOKEN}; echo value $TOKEN; sleep 1000";
    let options = ["--secret", "SERVICE_TOKEN=TOKEN", "--ready", "log:value"];
    start(&workspace, "holder", &options, &["sh", "-c", script]);
    assert_code(&service(&workspace, "restart", &["holder"]), 0);
    let log = service(&workspace, "logs", &["holder", "--channel", "stdout"]);
    let said = json(&log)["stdout"]["output"]["text"].as_str().unwrap().to_owned();
    assert_eq!(said.matches(&format!("length {}", VALUE.len())).count(), 2, "{said}");
    let broken = format!("command:echo {VALUE} >&2; exit 1");
    // What a check says is told with the reason.
    let check = ["--ready", "command:echo $TOKEN >&2; exit 1", "--ready-timeout", "6s"];
    let arguments =
        [&["broken", "--secret", "SERVICE_TOKEN=TOKEN"], &check[..], &["--", "sleep", "9"]]
            .concat();
    let failed = service(&workspace, "start", &arguments);
    assert_code(&failed, 116);
    assert!(text(&failed.stderr).contains("code 1"), "{}", text(&failed.stderr));
    // Where it would be written down it is refused.
    let literal = service(&workspace, "start", &["literal", "--ready", &broken, "--", "true"]);
    assert_code(&literal, 115);
    let told = service(&workspace, "list", &[]);
    for shown in [&log.stdout, &told.stdout, &failed.stderr, &failed.stdout] {
        assert!(!text(shown).contains(VALUE), "{}", text(shown));
    }
    let directory = workspace.directory();
    for kept in ["services/holder.json", "services/broken.json", "jobs/svc_holder/record.json"] {
        let kept = std::fs::read_to_string(directory.join(kept)).unwrap();
        assert!(!kept.contains(VALUE), "{kept}");
    }
    let delete = ["--yes", "secret", "delete", "SERVICE_TOKEN"];
    assert_code(&hotcell().args(delete).output().unwrap(), 0);
}

#[test]
fn a_service_that_was_up_in_a_snapshot_is_up_after_the_reset_and_in_a_fork() {
    let workspace = TestWorkspace::create(&[]);
    let options =
        ["--ready", "tcp:83", "--publish", "83", "--restart", "always", "--backoff", "50ms"];
    let started = start(&workspace, "web", &options, &["perl", "-e", WEB, "83", "the same"]);
    let mapping = started["ports"][0].as_str().unwrap().to_owned();
    let address = format!("127.0.0.1:{}", mapping.strip_prefix("83:").unwrap());
    let process = workspace.script("pgrep perl");
    let snapshot = ["snapshot", "create", &workspace.id, "up"];
    assert_code(&hotcell().args(snapshot).output().unwrap(), 0);
    assert_code(&service(&workspace, "stop", &["web"]), 0);
    let reset = ["--yes", "workspace", "reset", &workspace.id, "--to", "up"];
    assert_code(&hotcell().args(reset).output().unwrap(), 0);
    assert_eq!(status(&workspace, "web")["state"], "ready");
    assert_eq!(workspace.script("pgrep perl"), process);
    assert!(fetch(&address).unwrap().ends_with("the same"));

    // Hibernated, nobody listens for it; woken, its ports are those that it had.
    let background = ["perl", "-e", WEB, "84", "plain"];
    let command = [&["command", "start", &workspace.id, "--"][..], &background].concat();
    assert_code(&hotcell().args(command).output().unwrap(), 0);
    let publish = ["--json", "port", "publish", &workspace.id, "84"];
    let published = json(&hotcell().args(publish).output().unwrap());
    let plain = format!("127.0.0.1:{}", published["host_port"]);
    eventually("it listens", || fetch(&plain).is_ok_and(|answer| answer.ends_with("plain")));
    let hibernate = ["workspace", "hibernate", &workspace.id];
    assert_code(&hotcell().args(hibernate).output().unwrap(), 0);
    assert!(TcpStream::connect(&address).is_err() && TcpStream::connect(&plain).is_err());
    assert_eq!(workspace.script("pgrep perl | head -1"), process);
    assert_eq!(status(&workspace, "web")["state"], "ready");
    assert!(fetch(&address).unwrap().ends_with("the same"));
    assert!(fetch(&plain).unwrap().ends_with("plain"));
    workspace.script("pkill -9 -f 'plain$'");

    // A copy has the service, and looks after it, but not the port of the host.
    let fork = ["--json", "workspace", "fork", &workspace.id, "--from", "up"];
    let forked = hotcell().args(fork).output().unwrap();
    assert_code(&forked, 0);
    let id = json(&forked)["children"][0]["id"].as_str().unwrap().to_owned();
    let child = TestWorkspace { id };
    let seen = status(&child, "web");
    assert_eq!((&seen["state"], seen.get("ports")), (&"ready".into(), None));
    assert_eq!(child.script("pgrep perl"), process);
    // Both are looked after again.
    for workspace in [&workspace, &child] {
        workspace.script("pkill -9 perl");
        eventually("it is restarted", || {
            let seen = status(workspace, "web");
            seen["restarts"] == 1 && seen["state"] == "ready"
        });
    }
    assert!(fetch(&address).unwrap().ends_with("the same"));
    assert_code(&service(&child, "stop", &["web"]), 0);
}
