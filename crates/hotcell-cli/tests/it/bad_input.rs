//! Every operation refuses what makes no sense, says why and what to do, and
//! changes nothing.
//!
//! The operations and their fields come from the contract, how each is called well
//! from [`CASES`]: an operation without a case fails the test. From a good call the
//! bad ones are made, one mistake each.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Output;

use serde_json::Value;

use crate::support::*;

/// What a good call consists of. A word in braces stands for a value that is also
/// given wrong.
struct Case {
    operation: &'static str,
    words: &'static str,
    stopped: Stopped,
}

/// What becomes of the good call when the workspace is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// It is refused.
    Refused,
    /// It works.
    Works,
    /// It has nothing to do with that, or would change what the test is about.
    Skipped,
}

use Stopped::{Refused, Skipped, Works};

const fn case(operation: &'static str, words: &'static str, stopped: Stopped) -> Case {
    Case { operation, words, stopped }
}

const CASES: &[Case] = &[
    case("run", "{env} -- true", Skipped),
    case("prepare", "{env}", Skipped),
    case("doctor", "", Skipped),
    case("workspace.create", "{env}", Skipped),
    case("workspace.exec", "{ws} -- true", Refused),
    case("workspace.list", "", Works),
    case("workspace.status", "{ws}", Works),
    case("workspace.reset", "{ws}", Refused),
    case("workspace.update", "{ws}", Works),
    case("workspace.stop", "{ws}", Refused),
    case("workspace.hibernate", "{ws}", Refused),
    case("workspace.start", "{ws}", Skipped),
    case("workspace.delete", "{ws}", Skipped),
    case("workspace.fork", "{ws}", Refused),
    case("workspace.apply-back", "{ws} .", Refused),
    case("workspace.export", "{ws} {file} exported", Refused),
    case("workspace.logs", "{ws}", Works),
    case("workspace.summary", "{ws}", Works),
    case("file.list", "{ws} {path}", Refused),
    case("file.stat", "{ws} {file}", Refused),
    case("file.read", "{ws} {file}", Refused),
    case("file.write", "{ws} {path} --text new", Refused),
    case("file.edit", "{ws} {file} --old content --new other", Refused),
    case("file.mkdir", "{ws} {path}", Refused),
    case("file.move", "{ws} {file} {path}", Refused),
    case("file.copy", "{ws} {file} {path}", Refused),
    case("file.delete", "{ws} {file}", Refused),
    case("file.search", "{ws} content {path}", Refused),
    case("sync.push", "{ws} . --to {path}", Refused),
    case("patch.apply", "{ws} --directory {path} --patch nonsense", Refused),
    case("command.start", "{ws} -- true", Refused),
    case("command.run", "{ws} -- true", Refused),
    case("command.list", "{ws}", Works),
    case("command.status", "{ws} {cmd}", Works),
    case("command.wait", "{ws} {cmd}", Skipped),
    case("command.read", "{ws} {cmd}", Works),
    case("command.signal", "{ws} {cmd}", Refused),
    case("shell.open", "{ws}", Refused),
    case("shell.list", "{ws}", Works),
    case("shell.read", "{ws} {sh}", Works),
    case("shell.write", "{ws} {sh} --text x", Refused),
    case("shell.resize", "{ws} {sh}", Refused),
    case("shell.signal", "{ws} {sh}", Refused),
    case("shell.close", "{ws} {sh}", Works),
    case("network.show", "{ws}", Refused),
    case("network.set", "{ws} --network off", Refused),
    case("network.log", "{ws}", Refused),
    case("port.publish", "{ws} {port}", Refused),
    case("port.list", "{ws}", Works),
    case("port.unpublish", "{ws} {port}", Skipped),
    case("workspace.diff", "{ws}", Works),
    case("disk.list", "{ws} {guest}", Works),
    case("disk.read", "{ws} {guest-file}", Works),
    case("disk.export", "{ws} {host-file}", Skipped),
    case("snapshot.compare", "{ws} {past} {snapshot}", Skipped),
    case("snapshot.create", "{ws} {new}", Refused),
    case("snapshot.list", "{ws}", Works),
    case("snapshot.delete", "{ws} {snapshot}", Skipped),
    case("service.start", "{ws} {new} -- true", Refused),
    case("service.list", "{ws}", Works),
    case("service.status", "{ws} {service}", Skipped),
    case("service.logs", "{ws} {service}", Skipped),
    case("service.stop", "{ws} {service}", Skipped),
    case("service.restart", "{ws} {service}", Skipped),
    case("secret.set", "{secret}", Skipped),
    case("secret.list", "", Works),
    case("secret.delete", "{secret}", Skipped),
    case("env.list", "", Skipped),
    case("env.inspect", "{env}", Skipped),
    case("env.pull", "{env}", Skipped),
    case("env.build", "{env}", Skipped),
    case("env.prune", "", Skipped),
    case("host.list", "", Skipped),
    case("host.connect", "{host} --dry-run", Skipped),
    case("host.print-config", "{host}", Skipped),
    case("host.doctor", "{host}", Skipped),
    case("host.repair", "{host} --dry-run", Skipped),
    case("host.disconnect", "{host} --dry-run", Skipped),
    case("batch.init", "{directory} --dry-run", Skipped),
    case("batch.plan", "{tasks}", Skipped),
    case("batch.start", "{tasks}", Skipped),
    case("batch.status", "{batch}", Skipped),
    case("batch.list", "", Skipped),
    case("batch.pause", "{batch}", Skipped),
    case("batch.resume", "{batch}", Skipped),
    case("batch.abort", "{batch}", Skipped),
    case("batch.retry", "{unit} {batch}", Skipped),
    case("batch.skip", "{unit} {batch}", Skipped),
    case("batch.integrate", "{batch}", Skipped),
    case("batch.events", "{batch}", Skipped),
    case("batch.doctor", "{batch}", Skipped),
    case("batch.traces", "{batch}", Skipped),
    case("batch.trace", "{trace} {batch}", Skipped),
    case("batch.prune", "{batch} --older-than 7d", Skipped),
    case("batch.redact", "{variable} {batch}", Skipped),
    case("batch.send", "{to} hello {batch}", Skipped),
    case("batch.broadcast", "hello {batch}", Skipped),
    case("batch.answer", "{wait} go yes {batch}", Skipped),
    case("batch.export", "{directory} {batch}", Skipped),
    case("batch.inbox", "{batch}", Skipped),
    case("batch.replies", "{batch}", Skipped),
    case("batch.processes", "{batch} --orphans", Skipped),
    case("batch.agents", "", Skipped),
];

/// A mistake, and with which exit codes it may be refused.
type Mistake = (&'static str, &'static [i32]);

const MALFORMED: &[i32] = &[2];
const UNKNOWN: &[i32] = &[113];
const OUTSIDE: &[i32] = &[2, 115];

/// What is given instead of a good value.
fn mistakes(placeholder: &str) -> &'static [Mistake] {
    const WORKSPACE: &[Mistake] = &[
        ("../x", MALFORMED),
        ("Bad Name", MALFORMED),
        ("ws_12", MALFORMED),
        ("cmd_00000000", UNKNOWN_OR_MALFORMED),
        ("ws_00000000", UNKNOWN),
        ("nobody-has-this-name", UNKNOWN),
    ];
    const UNKNOWN_OR_MALFORMED: &[i32] = &[2, 113];
    const ENVIRONMENT: &[Mistake] =
        &[("../x", MALFORMED), ("a b", MALFORMED), ("plan9:4", UNKNOWN)];
    const PATH: &[Mistake] = &[
        ("../outside", OUTSIDE),
        ("/etc/passwd", OUTSIDE),
        ("a/../../b", OUTSIDE),
        ("link/hosts", OUTSIDE),
        ("directory/up/etc/hosts", OUTSIDE),
    ];
    const FILE: &[Mistake] = &[
        ("../outside", OUTSIDE),
        ("/etc/passwd", OUTSIDE),
        ("link/hosts", OUTSIDE),
        ("missing", UNKNOWN),
        ("file/below", &[2, 113, 114]),
    ];
    // Their workspace runs, which is a mistake as well.
    const GUEST: &[Mistake] = &[
        ("etc", MALFORMED),
        ("", MALFORMED),
        ("/workspace/../etc", MALFORMED),
        ("\"/not quoted", MALFORMED),
        ("/etc", RUNNING),
    ];
    const RUNNING: &[i32] = &[114];
    const HOST_FILE: &[Mistake] = &[("/nowhere/at/all", RUNNING), ("", RUNNING)];
    const COMMAND: &[Mistake] = &[
        ("cmd_00000000", UNKNOWN),
        ("cmd_12", MALFORMED),
        ("sh_00000000", MALFORMED),
        ("../jobs", MALFORMED),
    ];
    const SHELL: &[Mistake] = &[
        ("sh_00000000", UNKNOWN),
        ("sh_12", MALFORMED),
        ("cmd_00000000", MALFORMED),
        ("../jobs", MALFORMED),
    ];
    const NEW: &[Mistake] = &[("Bad Name", MALFORMED), ("../x", MALFORMED), ("", MALFORMED)];
    const SNAPSHOT: &[Mistake] =
        &[("Bad Name", MALFORMED), ("../x", MALFORMED), ("nobody-has-this-name", UNKNOWN)];
    const SECRET: &[Mistake] = &[("", MALFORMED), ("../x", MALFORMED), ("a b", MALFORMED)];
    const PORT: &[Mistake] = &[("0", MALFORMED), ("65536", MALFORMED), ("-1", MALFORMED)];
    const HOST: &[Mistake] = &[("nobody", MALFORMED), ("", MALFORMED), ("../x", MALFORMED)];
    const DIRECTORY: &[Mistake] = &[("/nowhere/at/all", UNKNOWN), ("/etc/passwd", UNKNOWN)];
    const TASKS: &[Mistake] = &[
        ("", MALFORMED),
        ("a\nb", MALFORMED),
        ("/etc/passwd", MALFORMED),
        ("nobody-has-this-area", UNKNOWN),
        ("../nowhere/PROMPT.md", UNKNOWN),
    ];
    const BATCH: &[Mistake] = &[
        ("", MALFORMED),
        ("bat_12", MALFORMED),
        ("../x", MALFORMED),
        ("bat_00000000000000000000000000000000", UNKNOWN),
    ];
    const UNIT: &[Mistake] = &[
        ("", MALFORMED),
        ("7", MALFORMED),
        ("../x", MALFORMED),
        ("TP-7@app", MALFORMED),
        ("TP-7@app/01", MALFORMED),
    ];
    const TO: &[Mistake] =
        &[("", MALFORMED), ("7", MALFORMED), ("../x", MALFORMED), ("TP-7:boss", MALFORMED)];
    const WAIT: &[Mistake] =
        &[("", MALFORMED), ("1", MALFORMED), ("wait_01", MALFORMED), ("msg_1", MALFORMED)];
    const TRACE: &[Mistake] =
        &[("", MALFORMED), ("3f9c", MALFORMED), ("sha256:12", MALFORMED), ("../x", MALFORMED)];
    const VARIABLE: &[Mistake] = &[("", MALFORMED), ("../x", MALFORMED), ("A=B", MALFORMED)];
    match placeholder {
        "{batch}" => BATCH,
        "{trace}" => TRACE,
        "{variable}" => VARIABLE,
        "{to}" => TO,
        "{wait}" => WAIT,
        "{unit}" => UNIT,
        "{directory}" => DIRECTORY,
        "{tasks}" => TASKS,
        "{host}" => HOST,
        "{ws}" => WORKSPACE,
        "{env}" => ENVIRONMENT,
        "{path}" => PATH,
        "{file}" => FILE,
        "{cmd}" => COMMAND,
        "{sh}" => SHELL,
        "{port}" => PORT,
        "{new}" => NEW,
        "{snapshot}" | "{service}" | "{past}" => SNAPSHOT,
        "{guest}" | "{guest-file}" => GUEST,
        "{host-file}" => HOST_FILE,
        "{secret}" => SECRET,
        other => panic!("nobody knows what is wrong for {other}"),
    }
}

/// A field of a request that is a flag, and a value that it does not take.
fn bad_flags(contract: &Value, operation: &str, help: &str) -> Vec<[String; 2]> {
    let input = &contract[operation]["input"];
    let resolve = |schema: &Value| -> Value {
        let reference = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        reference.and_then(|pointer| input.pointer(pointer)).unwrap_or(schema).clone()
    };
    let mut fields = Vec::new();
    for (name, schema) in input["properties"].as_object().into_iter().flatten() {
        let schema = resolve(schema);
        match schema["properties"].as_object() {
            Some(group) => fields.extend(group.iter().map(|(n, s)| (n.clone(), resolve(s)))),
            None => fields.push((name.clone(), schema)),
        }
    }
    let mut found = Vec::new();
    for (name, schema) in fields {
        let flag = format!("--{}", name.replace('_', "-"));
        if !help.split_whitespace().any(|word| word == flag) {
            continue;
        }
        let mut bad = |value: String| found.push([flag.clone(), value]);
        let schema = if schema["type"] == "array" { resolve(&schema["items"]) } else { schema };
        let alternative = schema["anyOf"].as_array().map(|any| resolve(&any[0]));
        let schema = alternative.unwrap_or(schema);
        if schema["enum"].is_array() || schema["oneOf"].is_array() {
            bad("nonsense".to_owned());
        }
        if schema["pattern"].is_string() {
            // Nothing that has a form of its own is like any of these.
            let shapeless = ["^[^\\x00]+$"].iter().any(|known| schema["pattern"] == *known);
            bad(if shapeless { "../outside".to_owned() } else { "!".to_owned() });
            bad("a".repeat(5000));
        }
        let is_number = |kind: &Value| *kind == "integer";
        let is_number = is_number(&schema["type"])
            || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_number));
        if is_number {
            bad("-1".to_owned());
            bad("1.5".to_owned());
            if let Some(most) = schema["maximum"].as_u64().filter(|most| *most > 1) {
                bad((most + 1).to_string());
            }
            if let Some(least) = schema["minimum"].as_u64().filter(|least| *least > 0) {
                bad((least - 1).to_string());
            }
        }
    }
    found
}

struct Sweep {
    workspace: TestWorkspace,
    command: String,
    shell: String,
}

impl Sweep {
    fn new() -> Self {
        let workspace = TestWorkspace::create(&[]);
        workspace.script(
            "echo content > file; ln -s /etc link; mkdir directory; ln -s ../.. directory/up",
        );
        let id = |words: &[&str]| {
            let output = hotcell().args(words).output().unwrap();
            assert_code(&output, 0);
            text(&output.stdout).trim().to_owned()
        };
        let ws = workspace.id.as_str();
        let command = id(&["command", "start", "--id-only", ws, "--", "sleep", "1000"]);
        let shell = id(&["shell", "open", "--id-only", ws]);
        Self { workspace, command, shell }
    }

    fn good(&self, word: &str) -> String {
        match word {
            "{ws}" => self.workspace.id.clone(),
            "{env}" => ENVIRONMENT.to_owned(),
            "{path}" => ".".to_owned(),
            "{file}" => "file".to_owned(),
            "{cmd}" => self.command.clone(),
            "{sh}" => self.shell.clone(),
            "{port}" => "8080".to_owned(),
            "{past}" => "baseline".to_owned(),
            "{guest}" => "/workspace".to_owned(),
            "{guest-file}" => "/etc/debian_version".to_owned(),
            "{host-file}" => "/nowhere/at/all".to_owned(),
            "{new}" | "{snapshot}" | "{service}" => "one".to_owned(),
            "{secret}" => "NOBODY_HAS_THIS".to_owned(),
            "{host}" => "cursor".to_owned(),
            "{directory}" => ".".to_owned(),
            "{tasks}" => "all".to_owned(),
            "{unit}" | "{to}" => "TP-7".to_owned(),
            "{wait}" => "wait_1".to_owned(),
            "{trace}" => "sha256:3f9c01de".to_owned(),
            "{variable}" => "NOBODY_HAS_THIS".to_owned(),
            "{batch}" => "bat_0190a6f2c3d4750e8f001122334455ff".to_owned(),
            word => word.to_owned(),
        }
    }

    fn call(&self, operation: &str, words: &[String]) -> Output {
        let mut command = hotcell();
        command.args(["--json", "--yes"]).args(operation.split('.'));
        command.args(words).output().unwrap()
    }

    /// Everything that a call could have changed, in lines.
    fn state(&self) -> BTreeSet<String> {
        // What is staged beside a file and taken back touches its directory's time.
        let tree = "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp \\) \
                    -prune -o -type d -printf '%p %m\\n' -o -printf '%p %y %m %s %T@ %l\\n'";
        let tree = self.workspace.script(&format!("{tree}; sha256sum file"));
        let status = self.workspace.status();
        let fields = ["name", "labels", "state", "idle", "environment_digest", "activity"];
        let status = fields.map(|field| status[field].to_string()).join(" ");
        tree.lines().map(str::to_owned).chain([status]).collect()
    }

    fn events(&self) -> Vec<Value> {
        let logs = self.call("workspace.logs", std::slice::from_ref(&self.workspace.id));
        json(&logs)["events"].as_array().unwrap().clone()
    }
}

/// What is wrong with how a call was refused: it is with one of these codes, with a
/// reason, and with a remedy where that is not what the command line itself says.
fn complaint(what: &str, output: &Output, codes: &[i32]) -> Option<String> {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code().unwrap_or(-1);
    let told = serde_json::from_str::<Value>(&out).unwrap_or_default();
    let kind = &told["error"]["kind"];
    let hints = told["error"]["hints"].as_array().map_or(0, Vec::len);
    let wrong = if !codes.contains(&code) {
        format!("exit code {code}")
    } else if !err.starts_with("error: ") {
        "no reason".to_owned()
    } else if !told.is_null() && hints == 0 && *kind != "invalid_request" {
        "no remedy".to_owned()
    } else {
        return None;
    };
    Some(format!("{what}: {wrong}: {}", err.trim_end()))
}

#[track_caller]
fn assert_none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

fn contract() -> Value {
    serde_json::from_str(include_str!("../../../../docs/reference/contract.json")).unwrap()
}

#[test]
fn there_is_a_case_for_every_operation() {
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.operation).collect();
    assert_eq!(cases.len(), CASES.len());
    let contract = contract();
    let operations: BTreeSet<&str> =
        contract.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(cases, operations);
}

#[test]
fn every_mistake_is_refused_and_changes_nothing() {
    let contract = contract();
    let sweep = Sweep::new();
    let (before, recorded) = (sweep.state(), sweep.events().len());
    let mut complaints = Vec::new();
    for case in CASES {
        let words: Vec<&str> = case.words.split_whitespace().collect();
        let filled = |wrong: Option<(usize, &str)>| -> Vec<String> {
            let word = |(index, word): (usize, &&str)| match wrong {
                Some((at, bad)) if at == index => bad.to_owned(),
                _ => sweep.good(word),
            };
            words.iter().enumerate().map(word).collect()
        };
        let placeholders = words.iter().enumerate().filter(|(_, word)| word.starts_with('{'));
        for (index, placeholder) in placeholders {
            for (bad, codes) in mistakes(placeholder) {
                let call = filled(Some((index, bad)));
                let what = format!("{} {}", case.operation, call.join(" "));
                complaints.extend(complaint(&what, &sweep.call(case.operation, &call), codes));
            }
        }
        let help = text(&sweep.call(case.operation, &["--help".to_owned()]).stdout);
        for [flag, value] in bad_flags(&contract, case.operation, &help) {
            let mut call = filled(None);
            let end = call.iter().position(|word| word == "--").unwrap_or(call.len());
            let mistake = format!("{flag}={value}");
            call.insert(end, mistake);
            let what = format!("{} {}", case.operation, call.join(" "));
            complaints.extend(complaint(&what, &sweep.call(case.operation, &call), OUTSIDE));
        }
    }
    assert_none(complaints);
    let recorded_since = sweep.events().split_off(recorded);
    // What the test itself did to look.
    let ours = |event: &Value| event["event"]["kind"].as_str().unwrap().starts_with("command_");
    assert!(recorded_since.iter().all(ours), "{recorded_since:#?}");
    assert!(recorded_since.len() <= 4, "{recorded_since:#?}");
    let changed: Vec<String> = sweep.state().symmetric_difference(&before).cloned().collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

#[test]
fn a_stopped_workspace_refuses_what_needs_its_machine_and_says_how_to_get_it() {
    let sweep = Sweep::new();
    assert_code(&sweep.call("workspace.stop", std::slice::from_ref(&sweep.workspace.id)), 0);
    let recorded = sweep.events().len();
    let mut complaints = Vec::new();
    for case in CASES.iter().filter(|case| case.stopped != Skipped) {
        let words: Vec<String> =
            case.words.split_whitespace().map(|word| sweep.good(word)).collect();
        let output = sweep.call(case.operation, &words);
        let what = format!("{} {}", case.operation, words.join(" "));
        match case.stopped {
            Refused => {
                complaints.extend(complaint(&what, &output, &[114, 118]));
                let remedy = text(&output.stderr);
                if !remedy.contains("workspace start") {
                    complaints.push(format!("{what}: another remedy: {remedy}"));
                }
            }
            _ if output.status.success() => {}
            _ => complaints.push(format!("{what}: {}", text(&output.stderr))),
        }
    }
    assert_none(complaints);
    let updated = sweep.events().split_off(recorded);
    assert_eq!(updated.len(), 1, "{updated:#?}");
}

#[test]
fn what_is_too_long_is_refused_and_what_is_ambiguous_is_asked_about() {
    let sweep = Sweep::new();
    let ws = sweep.workspace.id.as_str();
    let mut write = hotcell();
    write.args(["shell", "write", ws, &sweep.shell]);
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("long"), vec![b'x'; 17 << 20]).unwrap();
    let refused = write.stdin(File::open(scratch.path().join("long")).unwrap()).output().unwrap();
    assert_none(complaint("17 MiB for a shell", &refused, MALFORMED));
    // Ids begin with the time of their creation.
    let other = TestWorkspace::create(&[]);
    let beginning = &other.id[..8];
    let refused = sweep.call("workspace.status", &[beginning.to_owned()]);
    assert_none(complaint("the beginning of several ids", &refused, MALFORMED));
    let remedy = text(&refused.stderr);
    assert!(remedy.contains("it may be ws_"), "{remedy}");
    let found = sweep.call("command.status", &[ws.to_owned(), sweep.command[..34].to_owned()]);
    assert_eq!(json(&found)["id"], sweep.command.as_str());
}
