use super::*;

fn told(read: &Read) -> String {
    let problems =
        read.problems.iter().map(|it| format!("{}:{}: {}\n", it.file, it.line, it.message));
    let remarks = read.remarks.iter().map(|it| format!("note: {}: {}\n", it.file, it.message));
    problems.chain(remarks).collect()
}

#[test]
fn what_is_written_is_read() {
    let mut configuration = Configuration::default();
    configuration.policy.lanes = 5;
    configuration.policy.weights.large = 6;
    for (name, path) in [("core", "tasks/core"), ("web.v2", "tasks/we b")] {
        let path = TreePath::parse(path.as_bytes()).unwrap();
        configuration.areas.insert(name.parse().unwrap(), path);
    }
    assert_eq!(own(&written(&configuration)).configuration.agent, None);
    configuration.limits.unit.money_micros = 2_500_000;
    configuration.limits.stall_ms = 5_400_000;
    configuration.limits.retries = 0;
    configuration.on_task_failure = FailurePolicy::StopAll;
    configuration.base = "release/\"1\"".into();
    configuration.environment = "debian:12-build".parse().unwrap();
    configuration.verify = vec!["make test".into(), "test -f 'a b'".into()];
    configuration.agent = Some(AgentSetup {
        kind: AgentKind::Command,
        command: vec!["sh".into(), "-c".into(), "echo \"$1\"\nexit 0".into()],
        lane: LaneMode::Guest,
        hosted: None,
    });
    let read = own(&written(&configuration));
    assert_eq!(told(&read), "");
    assert_eq!(read.configuration.agent, configuration.agent);
    configuration.agent = Some(AgentSetup {
        kind: AgentKind::Codex,
        command: Vec::new(),
        lane: LaneMode::Cell,
        hosted: Some(HostedSetup {
            program: Some("/opt/codex".into()),
            model: Some("gpt-5.5".into()),
            credentials: vec!["KEY".into()],
        }),
    });
    let read = own(&written(&configuration));
    assert_eq!(told(&read), "");
    assert_eq!(read.configuration.agent, configuration.agent);
    assert_eq!(read.configuration.limits, configuration.limits);
    assert_eq!(read.configuration.on_task_failure, configuration.on_task_failure);
    assert_eq!(read.configuration.base, configuration.base);
    assert_eq!(read.configuration.environment, configuration.environment);
    assert_eq!(read.configuration.verify, configuration.verify);
    assert_eq!(read.configuration.areas, configuration.areas);
    assert_eq!(read.configuration.policy, configuration.policy);
}

#[test]
fn what_is_not_known_is_an_error_with_its_line() {
    let text = "lane = 3\nlanes = 0\n\n[sizes]\nM = 2\nXL = 8\n\n[areas]\ncore = \"../outside\"\nall = \"x\"\n\"a b\" = \"x\"\nweb = 3\n";
    insta::assert_snapshot!(told(&own(text)), @r"
    .hotcell/batch.toml:1: found the key `lane`; expected one of `version`, `lanes`, `environment`, `base`, `verify`, `agent`, `limits`, `sizes`, `areas`, `lanes` perhaps
    .hotcell/batch.toml:2: found another value for `lanes`; expected 1 to 128
    .hotcell/batch.toml:6: found the key `XL` in [sizes]; expected one of `S`, `M`, `L`, `L` perhaps
    .hotcell/batch.toml:9: `../outside` is no path within the tree: it has a `..`; expected a directory below the repository
    .hotcell/batch.toml:10: found the area `all`, which means every area; expected another name
    .hotcell/batch.toml:11: found the area `a b`; expected 1 to 63 letters, digits and `._-`
    .hotcell/batch.toml:12: found no text for the area `web`; expected its directory
    .hotcell/batch.toml:1: found no version; expected `version = 1`
    ");
    let broken = own("version = 1\nlanes = = 3\n");
    assert_eq!(broken.problems[0].line, 2, "{}", told(&broken));
}

#[test]
fn everything_that_is_wrong_with_an_agent_is_told() {
    let text = "version = 1\nenvironment = \"a b\"\nbase = \"\"\nverify = \"make\"\n\n[agent]\nkind = \"command\"\nlane = \"cell\"\ncommand = []\nmodle = \"x\"\n";
    let all = told(&own(text));
    for wrong in
        ["`a b`", "`base`", "`verify`", "`lane` for `command`", "empty `command`", "`modle`"]
    {
        assert!(all.contains(wrong), "{wrong}\n{all}");
    }
    for (table, expected) in [
        ("agent = 3", "found a value for `agent`; expected a table [agent]"),
        ("[agent]\ncommand = [\"x\"]", "found no `kind` in [agent]; expected one of `command`"),
        ("[agent]\nkind = \"clod\"", "found another `kind`; expected one of `command`"),
        ("[agent]\nkind = \"command\"", "found no `command` in [agent]"),
        ("[agent]\nkind = \"command\"\ncommand = [3]", "found another value for `command`"),
        ("[agent]\nkind = \"command\"\ncommand = [\"x\"]\nmodel = \"m\"", "found `model`, which"),
        ("[agent]\nkind = \"codex\"", "found no `model` in [agent]"),
        ("[agent]\nkind = \"codex\"\nmodel = \"m\"\nlane = \"guest\"", "expected one of `cell`"),
        (
            "[agent]\nkind = \"codex\"\nmodel = \"m\"\ncredentials = [\"A=B\"]",
            "the name of a variable",
        ),
        ("[agent]\nkind = \"codex\"\nmodel = \"m\"\nprogram = \"x\"", "no absolute path"),
    ] {
        let read = own(&format!("version = 1\n{table}\n"));
        assert!(told(&read).contains(expected), "{}", told(&read));
        assert_eq!(read.configuration.agent, None);
    }
}

#[test]
fn limits_are_bounded_and_what_is_wrong_with_one_is_told_with_its_line() {
    let usual = own("version = 1\n[limits]\n").configuration;
    assert_eq!(usual.limits, Configuration::default().limits);
    for (line, expected) in [
        ("task_time = \"12\"", "expected a span of 1s to 10000h"),
        ("batch_time = 3", "another value for `batch_time`"),
        ("stall_timeout = \"0s\"", "another value for `stall_timeout`"),
        ("hold_timeout = \"soon\"", "another value for `hold_timeout`"),
        ("task_tokens = 0", "expected 1 to 1000000000000"),
        ("batch_tokens = \"1\"", "another value for `batch_tokens`"),
        ("task_money = \"100\"", "\"2.50 USD\""),
        ("batch_money = \"5 EUR\"", "another value for `batch_money`"),
        ("max_worker_iterations = 0", "expected 1 to 1000"),
        ("max_retries = 4", "expected 0 to 3"),
        ("on_task_failure = \"stop\"", "`skip-dependents`, `stop-new`, `stop-all`"),
        ("stall = \"1h\"", "found the key `stall` in [limits]"),
    ] {
        let read = own(&format!("version = 1\n[limits]\n{line}\n"));
        let told = told(&read);
        assert!(told.starts_with(".hotcell/batch.toml:3: ") && told.contains(expected), "{told}");
        assert_eq!(read.configuration.limits, Configuration::default().limits);
    }
}

#[test]
fn taskplanes_configuration_is_read_as_it_is_and_what_is_not_used_is_said() {
    let text = r#"{
      "configVersion": 1,
      "taskRunner": {
        "project": {"name": "x"},
        "worker": {"model": ""},
        "taskAreas": {
          "core": {"path": "tasks/core", "prefix": "TP", "context": "tasks/core/CONTEXT.md"},
          "web": {"path": "tasks/web", "repoId": "web"}
        }
      },
      "orchestrator": {
        "orchestrator": {"maxLanes": 4},
        "assignment": {"strategy": "round-robin", "sizeWeights": {"S": 1, "M": 3, "L": 5}},
        "merge": {"order": "sequential"},
        "failure": {"onTaskFailure": "stop-all", "stallTimeout": 45, "abortGracePeriod": 60}
      }
    }"#;
    let read = taskplane(text);
    assert_eq!(read.configuration.limits.stall_ms, 45 * 60_000);
    assert_eq!(read.configuration.on_task_failure, FailurePolicy::StopAll);
    assert_eq!(read.configuration.policy.lanes, 4);
    assert_eq!(read.configuration.policy.weights, Weights { small: 1, medium: 3, large: 5 });
    assert_eq!(read.configuration.areas.len(), 2);
    insta::assert_snapshot!(told(&read), @r"
    note: .pi/taskplane-config.json: the repository of the area `web` is not used: there is one repository
    note: .pi/taskplane-config.json: `assignment.strategy` round-robin is not supported: tasks that share files follow each other
    note: .pi/taskplane-config.json: planning does not use taskRunner.worker, orchestrator.merge, orchestrator.failure.abortGracePeriod
    ");
    let old = taskplane(r#"{"configVersion": 2}"#);
    assert_eq!(old.problems.len(), 1);
    let broken = taskplane("{\n\"a\": \n}");
    assert_eq!(broken.problems[0].line, 3);
}

#[test]
fn near_words_are_suggested_and_far_ones_are_not() {
    assert_eq!(suggestion("lane", ["version", "lanes"]), Some("lanes"));
    assert_eq!(suggestion("nonsense", ["version", "lanes"]), None);
}

#[test]
fn the_example_of_an_agent_is_read_as_it_is() {
    let read = own(&format!("version = 1\n{}", example_of_agent()));
    assert_eq!(told(&read), "");
    let agent = read.configuration.agent.unwrap();
    let model = agent.hosted.unwrap().model.unwrap();
    assert!(agents::PROVED[0].models.contains(&&*model), "{model}");
}
