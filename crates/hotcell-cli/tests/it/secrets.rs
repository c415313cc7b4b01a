//! Secrets: what they reach, and that nothing else shows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::*;

/// With characters that every encoding changes.
const VALUE: &str = "tök\"en/+Zq7 &x9?";

/// The value as it is, and whatever of its other forms a test looks for.
fn forms(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let hex = |upper| {
        let digits = bytes
            .iter()
            .map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        digits.collect::<String>()
    };
    let percent: String = bytes
        .iter()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let mut forms = vec![value.to_owned(), hex(false), hex(true), percent];
    for offset in 0..3 {
        let encoded = STANDARD.encode([&b"xyz"[..offset], bytes].concat());
        // Without the characters that depend on what lies beside the value.
        forms.push(encoded[(offset * 8).div_ceil(6)..(offset + bytes.len()) * 8 / 6].to_owned());
    }
    forms
}

#[track_caller]
fn assert_hidden(shown: &[u8], value: &str, what: &str) {
    for form in forms(value) {
        let found = shown.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!found, "{what} shows {form:?}");
    }
}

/// A secret that is deleted when the test ends, however it ends.
struct TestSecret(&'static str);

impl TestSecret {
    fn set(name: &'static str, value: &str) -> Self {
        let mut set = hotcell();
        set.args(["--json", "secret", "set", name]);
        let output = with_input(set, format!("{value}\n").into_bytes());
        assert_code(&output, 0);
        assert_eq!(json(&output)["bytes"], value.len());
        Self(name)
    }

    fn listed(&self) -> Value {
        let output = hotcell().args(["--json", "secret", "list"]).output().unwrap();
        let secrets = json(&output)["secrets"].as_array().unwrap().clone();
        secrets.into_iter().find(|secret| secret["name"] == self.0).unwrap_or_default()
    }
}

impl Drop for TestSecret {
    fn drop(&mut self) {
        let _ = hotcell().args(["--yes", "secret", "delete", self.0]).output();
    }
}

fn hotcell_json(arguments: &[&str]) -> Output {
    hotcell().arg("--json").args(arguments).output().unwrap()
}

/// All of an output: what goes to people, and what goes beside it.
fn both(output: &Output) -> Vec<u8> {
    [output.stdout.as_slice(), &output.stderr].concat()
}

/// Every file of ours that a workspace can have left something in.
fn files_of_home(workspace: &TestWorkspace) -> Vec<PathBuf> {
    // What these hold is made before a workspace exists, by other tests meanwhile.
    const MADE_BEFORE: [&str; 6] =
        ["environments", "kernels", "initrds", "templates", "staging", "seeds"];
    let mut found = Vec::new();
    let mut directories = vec![home().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let is_other = directory == home().join("workspaces") && path != workspace.directory();
            let was_before = directory == home() && MADE_BEFORE.iter().any(|made| name == *made);
            if is_other || was_before {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn a_value_reaches_its_commands_and_nothing_that_is_shown_or_stored_holds_it() {
    let secret = TestSecret::set("T_FACES", VALUE);
    let workspace = TestWorkspace::create(&[]);
    let id = workspace.id.as_str();
    // It runs before the workspace has any secret, and is hidden from all the same.
    let early = workspace
        .exec_command(&[], &["sh", "-c", EARLY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    let given = ["--secret", "T_FACES=TOKEN"];
    let reversed: Vec<u8> = VALUE.bytes().rev().collect();
    let output = workspace.exec(&given, &["perl", "-e", "print scalar reverse $ENV{TOKEN}"]);
    assert_code(&output, 0);
    assert_eq!(output.stdout, reversed, "the command has the value");
    assert_eq!(workspace.script("echo \"<$TOKEN>\""), "<>\n", "no other has it");

    for (what, script) in ENCODERS {
        let output = workspace.exec(&given, &["sh", "-c", script]);
        assert_code(&output, 0);
        assert!(text(&both(&output)).contains("[REDACTED:T_FACES]"), "{what}: {output:?}");
        assert_hidden(&both(&output), VALUE, what);
    }
    let mut arguments = vec!["workspace", "exec", id];
    arguments.extend(given);
    arguments.extend(["--", "sh", "-c", "printf '%s' \"$TOKEN\"; exit 3"]);
    let result = hotcell_json(&arguments);
    assert_code(&result, 3);
    assert_hidden(&both(&result), VALUE, "a result in JSON");

    // A command line and an error may hold it as well.
    let failed = workspace.exec(&[], &["sh", "-c", &format!("exec '/{VALUE}'")]);
    assert_hidden(&both(&failed), VALUE, "a shell's error");
    let missing = workspace.exec(&[], &[VALUE]);
    assert_code(&missing, 127);
    assert_hidden(&both(&missing), VALUE, "an error");

    let started = json(&hotcell_json(
        &[&["command", "start", id][..], &given, &["--", "sh", "-c", JOB]].concat(),
    ));
    let command = started["id"].as_str().unwrap();
    assert_code(&hotcell_json(&["command", "wait", id, command]), 0);
    let read = hotcell_json(&["command", "read", id, command]);
    assert_eq!(json(&read)["output"]["text"], "in the background: [REDACTED:T_FACES]\n");
    for verb in ["list", "status"] {
        let arguments = ["command", verb, id, command];
        let shown = hotcell_json(&arguments[..if verb == "list" { 3 } else { 4 }]);
        assert_hidden(&both(&shown), VALUE, verb);
    }

    let opened = json(&hotcell_json(&[&["shell", "open", id][..], &given, &["--", "sh"]].concat()));
    let shell = opened["id"].as_str().unwrap();
    assert_code(&hotcell_json(&["shell", "write", id, shell, "--text", "echo \"= $TOKEN =\""]), 0);
    for view in ["raw", "plain", "screen"] {
        let arguments = ["shell", "read", id, shell, "--view", view, "--idle", "400ms"];
        eventually("the shell shows it", || {
            let shown = hotcell_json(&arguments);
            assert_hidden(&both(&shown), VALUE, view);
            json(&shown)["output"]["text"].to_string().contains("= [REDACTED:T_FACES] =")
        });
    }

    let early = early.wait_with_output().unwrap();
    assert_code(&early, 0);
    assert!(text(&early.stdout).contains("TOKEN=[REDACTED:T_FACES]"), "{}", text(&early.stdout));

    let status = workspace.status();
    assert_eq!(status["secrets"], serde_json::json!(["T_FACES"]));
    assert_eq!(secret.listed()["workspaces"][0], *id);
    for arguments in [
        &["workspace", "status", id][..],
        &["workspace", "logs", id],
        &["workspace", "summary", id],
        &["secret", "list"],
    ] {
        let shown = hotcell_json(arguments);
        assert_code(&shown, 0);
        assert_hidden(&both(&shown), VALUE, &arguments.join(" "));
    }
    let log = json(&hotcell_json(&["workspace", "logs", id])).to_string();
    assert!(log.contains("secret_set") && log.contains(r#""secrets":["T_FACES"]"#), "{log}");

    let mut redacted = 0;
    for path in files_of_home(&workspace) {
        // What vanished meanwhile belonged to another test.
        let Ok(bytes) = fs::read(&path) else { continue };
        assert_hidden(&bytes, VALUE, &path.display().to_string());
        redacted += usize::from(text(&bytes).contains("[REDACTED:T_FACES]"));
    }
    assert!(redacted >= 3, "the logs of a command and a shell, and the ledger: {redacted}");

    // Bytes are never altered, so these stay inside; a search only shows.
    assert_code(&workspace.exec(&given, &["sh", "-c", "printf 'key=%s' \"$TOKEN\" >leak"]), 0);
    let refused = hotcell_json(&["file", "read", id, "leak"]);
    assert_code(&refused, 115);
    assert!(text(&refused.stderr).contains("`leak` holds"), "{}", text(&refused.stderr));
    assert_hidden(&both(&refused), VALUE, "a refusal");
    let allowed = hotcell().args(["file", "read", id, "leak", "--allow-secrets"]).output().unwrap();
    assert_eq!(text(&allowed.stdout), format!("key={VALUE}"));
    let refused = hotcell_json(&["workspace", "diff", id, "--format", "patch"]);
    assert_code(&refused, 115);
    assert!(text(&refused.stderr).contains("`leak` holds"), "{}", text(&refused.stderr));
    assert_code(&hotcell_json(&["workspace", "diff", id]), 0);
    let patch = ["workspace", "diff", id, "--format", "patch", "--allow-secrets"];
    let allowed = hotcell().args(patch).output().unwrap();
    assert!(text(&allowed.stdout).contains(&format!("+key={VALUE}\n")), "{allowed:?}");
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("leak");
    let export = ["workspace", "export", id, "leak", place.to_str().unwrap()];
    let refused = hotcell_json(&export);
    assert_code(&refused, 115);
    assert!(!place.exists());
    assert_code(&hotcell().args(export).arg("--allow-secrets").output().unwrap(), 0);
    assert_eq!(fs::read_to_string(&place).unwrap(), format!("key={VALUE}"));
    let checkout = tempfile::tempdir().unwrap();
    let back =
        ["workspace", "apply-back", id, checkout.path().to_str().unwrap(), "--mode", "apply"];
    let refused = hotcell_json(&back);
    assert_code(&refused, 115);
    assert!(text(&refused.stderr).contains("`leak` holds"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_dir(checkout.path()).unwrap().count(), 0);
    assert_code(&hotcell().args(back).arg("--allow-secrets").output().unwrap(), 0);
    assert!(checkout.path().join("leak").exists());
    let found = hotcell_json(&["file", "search", id, "key="]);
    assert_eq!(json(&found)["lines"][0]["text"], "key=[REDACTED:T_FACES]");

    assert_code(&hotcell_json(&["snapshot", "create", id, "leaky"]), 0);
    let compare = ["snapshot", "compare", id, "baseline", "leaky"];
    assert_code(&hotcell_json(&compare), 0);
    let refused = hotcell_json(&[&compare[..], &["--format", "patch"]].concat());
    assert_code(&refused, 115);
    assert!(text(&refused.stderr).contains("`leak` holds"), "{}", text(&refused.stderr));
    assert_code(&hotcell_json(&["workspace", "stop", id]), 0);
    let read = ["disk", "read", id, "/workspace/leak"];
    let refused = hotcell_json(&read);
    assert_code(&refused, 115);
    assert!(text(&refused.stderr).contains("`/workspace/leak` holds"), "{refused:?}");
    let allowed = hotcell().args(read).arg("--allow-secrets").output().unwrap();
    assert_eq!(text(&allowed.stdout), format!("key={VALUE}"));
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    let refused = hotcell_json(&["disk", "export", id, image.to_str().unwrap()]);
    assert_code(&refused, 115);
    assert!(text(&refused.stderr).contains("`drive root` holds"), "{refused:?}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

/// Shows the variables of the first process that has a secret.
const EARLY: &str = r#"
    until grep -lz '^TOKEN=' /proc/[0-9]*/environ 2>/dev/null >/tmp/found; do sleep 0.05; done
    until tr '\0' '\n' < "$(head -n 1 /tmp/found)" 2>/dev/null | grep '^TOKEN='; do
        grep -lz '^TOKEN=' /proc/[0-9]*/environ 2>/dev/null >/tmp/found; sleep 0.05
    done"#;

const JOB: &str = "echo \"in the background: $TOKEN\"; printf %s \"$TOKEN\" | base64 >&2";

/// What shows the value in each of its forms.
const ENCODERS: &[(&str, &str)] = &[
    ("output", "printf '%s' \"$TOKEN\""),
    ("errors", "printf '%s' \"$TOKEN\" >&2"),
    (
        "pieces",
        "printf '%s' \"${TOKEN%??????}\"; sleep 0.3; printf '%s' \"${TOKEN#\"${TOKEN%??????}\"}\"",
    ),
    ("hex", "printf '%s' \"$TOKEN\" | od -An -v -tx1 | tr -d ' \\n'"),
    ("base64", "printf '%s' \"$TOKEN\" | base64"),
    ("base64 behind one byte", "printf 'x%s' \"$TOKEN\" | base64"),
    ("base64 behind two bytes", "printf 'xy%sz' \"$TOKEN\" | base64"),
    (
        "percent",
        "perl -e '$t = $ENV{TOKEN}; $t =~ s/([^A-Za-z0-9])/sprintf(q(%%%02X), ord $1)/ge; print $t'",
    ),
    ("json", "perl -e '$t = $ENV{TOKEN}; $t =~ s/\"/\\\\\"/g; print qq(\"$t\")'"),
];

#[test]
fn what_a_workspace_was_given_is_hidden_after_a_new_value_a_reset_a_restart_and_a_deletion() {
    const NEXT: &str = "another-value-1";
    let secret = TestSecret::set("T_LATER", VALUE);
    let workspace = TestWorkspace::create(&[]);
    let given = ["--secret", "T_LATER"];
    let print = ["sh", "-c", "printf '%s' \"$T_LATER\" | wc -c"];
    let length = |expected: &str| {
        let output = workspace.exec(&given, &print);
        assert_code(&output, 0);
        assert_eq!(text(&output.stdout).trim(), expected.len().to_string());
    };
    length(VALUE);
    let _secret = (TestSecret::set("T_LATER", NEXT), secret);
    let echo_both = format!("echo '{VALUE}' '{NEXT}'");
    assert_eq!(workspace.script(&echo_both), format!("[REDACTED:T_LATER] {NEXT}\n"));
    // The next command gets the present value, and both are hidden from then on.
    length(NEXT);
    let hidden = "[REDACTED:T_LATER] [REDACTED:T_LATER]\n";
    assert_eq!(workspace.script(&echo_both), hidden);
    let reset = hotcell().args(["--yes", "workspace", "reset", &workspace.id]).output().unwrap();
    assert_code(&reset, 0);
    assert_eq!(workspace.script(&echo_both), hidden);
    length(NEXT);

    let deleted = hotcell().args(["--yes", "secret", "delete", "T_LATER"]).output().unwrap();
    assert_code(&deleted, 0);
    let refused = workspace.exec(&given, &print);
    assert_code(&refused, 113);
    assert!(text(&refused.stderr).contains("hotcell secret set"), "{}", text(&refused.stderr));
    for verb in ["stop", "start"] {
        assert_code(&hotcell().args(["workspace", verb, &workspace.id]).output().unwrap(), 0);
    }
    assert_eq!(workspace.script(&echo_both), hidden);
    assert_eq!(workspace.status()["secrets"], serde_json::json!(["T_LATER"]));

    // What a dead machine's console said is told with the error.
    let script = format!("echo 'console: {VALUE}' >/dev/console; sleep 1000");
    let command = workspace
        .exec_command(&[], &["sh", "-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let console = workspace.directory().join("console.log");
    eventually("the console says it", || {
        text(&fs::read(&console).unwrap_or_default()).contains("console: ")
    });
    kill(monitor_of(&workspace.directory()));
    let output = command.wait_with_output().unwrap();
    assert_code(&output, 118);
    assert!(text(&output.stderr).contains("[REDACTED:T_LATER]"), "{}", text(&output.stderr));
    assert_hidden(&both(&output), VALUE, "an excerpt of the console");
}

#[test]
fn memory_that_holds_a_value_is_on_disk_only_sealed_and_goes_on_with_it() {
    // Nothing but memory holds it: no encoding, so that every byte is looked for.
    const IN_MEMORY: &str = "kept-in-memory-and-nowhere-else";
    let _secret = TestSecret::set("T_MEMORY", IN_MEMORY);
    let workspace = TestWorkspace::small();
    let id = workspace.id.as_str();
    let before = json(&hotcell_json(&["snapshot", "create", id, "before"]));
    assert_eq!(before["snapshot"]["sealed"], false, "{before}");
    // A shell keeps the value as a variable, and a file system in memory a copy.
    let script = "printf %s \"$T_MEMORY\" >/dev/shm/copy; exec sh";
    let open = ["shell", "open", id, "--secret", "T_MEMORY", "--", "sh", "-c", script];
    let shell = json(&hotcell_json(&open))["id"].as_str().unwrap().to_owned();
    let reversed: String = IN_MEMORY.chars().rev().collect();
    let expected = format!("{}\n{reversed}", IN_MEMORY.len());
    let assert_has_it = |id: &str, what: &str| {
        let line = "printf '%s' \"$T_MEMORY\" | wc -c; rev </dev/shm/copy; echo";
        let written = hotcell_json(&["shell", "write", id, &shell, "--text", line]);
        assert_code(&written, 0);
        let cursor = json(&written)["cursor"].to_string();
        let read = ["shell", "read", id, &shell, "--cursor", &cursor, "--idle", "400ms"];
        eventually(what, || {
            let shown = json(&hotcell_json(&read));
            shown["output"]["text"].as_str().unwrap().contains(&expected)
        });
    };
    let assert_nowhere = || {
        for path in files_of_home(&workspace) {
            let Ok(bytes) = fs::read(&path) else { continue };
            let found = memmem(&bytes, IN_MEMORY.as_bytes());
            assert!(!found, "{} holds the value", path.display());
        }
    };
    assert_has_it(id, "it has it");

    let taken = hotcell_json(&["snapshot", "create", id, "sealed"]);
    assert_code(&taken, 0);
    assert_eq!(json(&taken)["snapshot"]["sealed"], true);
    assert_nowhere();
    let reset = ["--yes", "workspace", "reset", id, "--to", "sealed"];
    assert_code(&hotcell().args(reset).output().unwrap(), 0);
    assert_has_it(id, "it went on with what it had");

    // Left alone it is hibernated like any other, sealed as well.
    let idle = ["workspace", "update", id, "--idle-after", "1s"];
    assert_code(&hotcell_json(&idle), 0);
    eventually("it is hibernated", || workspace.status()["state"] == "hibernated");
    assert_nowhere();
    let never = ["workspace", "update", id, "--idle-after", "never"];
    assert_code(&hotcell_json(&never), 0);
    assert_has_it(id, "it woke with what it had");

    let forked = hotcell_json(&["workspace", "fork", id, "--from", "sealed"]);
    assert_code(&forked, 0);
    let child =
        TestWorkspace { id: json(&forked)["children"][0]["id"].as_str().unwrap().to_owned() };
    assert_eq!(child.status()["secrets"], serde_json::json!(["T_MEMORY"]));
    assert_eq!(child.script("rev </dev/shm/copy"), format!("{reversed}"));
    assert_eq!(child.script("cat /dev/shm/copy"), "[REDACTED:T_MEMORY]");
    // The next command gets the present value there as well.
    let given = child.exec(&["--secret", "T_MEMORY"], &["sh", "-c", "echo ${#T_MEMORY}"]);
    assert_eq!(super::support::text(&given.stdout), format!("{}\n", IN_MEMORY.len()));
}

/// Whether something holds these bytes; fast on large files.
fn memmem(bytes: &[u8], wanted: &[u8]) -> bool {
    let first = wanted[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[test]
fn what_cannot_be_a_secret_is_refused_and_changes_nothing() {
    let set = |name: &str, value: &[u8]| {
        let mut set = hotcell();
        set.args(["secret", "set", name]);
        with_input(set, value.to_vec())
    };
    for value in [&b"1234567\n"[..], b"", b"12345678\0", b"12345678\xff", &[b'x'; 40_000]] {
        let output = set("T_REFUSED", value);
        assert_code(&output, 2);
        assert!(!text(&output.stderr).contains("12345678"), "{}", text(&output.stderr));
    }
    assert_code(&set("not-a-name", b"0123456789"), 2);
    let missing = hotcell().args(["secret", "set", "T_REFUSED", "--from-env", "T_NONE"]).output();
    assert_code(&missing.unwrap(), 113);
    let listed = hotcell().args(["--json", "secret", "list"]).output().unwrap();
    assert!(!text(&listed.stdout).contains("T_REFUSED"));

    let mut set = hotcell();
    set.env("T_SOURCE", "from-the-environment");
    let output = set.args(["secret", "set", "T_SOURCES", "--from-env", "T_SOURCE"]).output();
    assert_code(&output.unwrap(), 0);
    let secret = TestSecret("T_SOURCES");
    let before = secret.listed()["bytes"].clone();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "from a file\r\n").unwrap();
    let path = file.path().to_str().unwrap();
    let output = hotcell().args(["secret", "set", "T_SOURCES", "--from-file", path]).output();
    assert_code(&output.unwrap(), 0);
    assert_eq!((before, secret.listed()["bytes"].clone()), (20.into(), 11.into()));

    let workspace = TestWorkspace::create(&[]);
    let twice = ["--secret", "T_SOURCES=X", "--env", "X=1"];
    assert_code(&workspace.exec(&twice, &["true"]), 2);
    assert_eq!(workspace.status()["secrets"], Value::Null, "it was given none");
}

#[test]
fn a_lost_key_is_told_with_a_remedy_and_a_killed_set_leaves_the_value_before_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path();
    let set = |value: &str| {
        let mut set = hotcell_in(own);
        set.args(["secret", "set", "T_OWN"]);
        with_input(set, value.as_bytes().to_vec())
    };
    for delay_ms in 0..12 {
        let mut command = hotcell_in(own);
        let mut child = command
            .args(["secret", "set", "T_OWN", "--from-file"])
            .arg(value_file(own))
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay_ms * 3));
        let _ = child.kill();
        child.wait().unwrap();
        let listed = json(&hotcell_in(own).args(["--json", "secret", "list"]).output().unwrap());
        let is_whole = |secret: &Value| secret["readable"] == true && secret["bytes"] == 24;
        assert!(listed["secrets"].as_array().unwrap().iter().all(is_whole), "{listed}");
    }
    assert_code(&set("0123456789"), 0);
    assert!(!own.join("secret.key-new").exists(), "what a killed one left is used up");
    fs::remove_file(own.join("secret.key")).unwrap();
    let listed = json(&hotcell_in(own).args(["--json", "secret", "list"]).output().unwrap());
    assert_eq!(listed["secrets"][0]["readable"], false);
    let run = ["run", ENVIRONMENT, "--secret", "T_OWN", "--", "true"];
    let other = hotcell_in(own).args(run).output().unwrap();
    assert_ne!(other.status.code(), Some(0));
    assert_code(&set("0123456789"), 0);
    let listed = json(&hotcell_in(own).args(["--json", "secret", "list"]).output().unwrap());
    assert_eq!(listed["secrets"][0]["readable"], true);
}

fn value_file(directory: &Path) -> PathBuf {
    let path = directory.join("value");
    fs::write(&path, "twenty-four bytes of it.").unwrap();
    path
}

#[test]
fn a_run_is_given_a_secret_as_well() {
    let _secret = TestSecret::set("T_RUN", VALUE);
    let script = "printf '%s' \"$T_RUN\" | wc -c; echo \"$T_RUN\"";
    let output = run_script(&["--secret", "T_RUN"], script);
    assert_code(&output, 0);
    assert_eq!(text(&output.stdout), format!("{}\n[REDACTED:T_RUN]\n", VALUE.len()));
}
