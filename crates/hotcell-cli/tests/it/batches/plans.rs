//! What is planned, and what keeps a plan from being one.

use super::*;

/// Two areas, nine tasks, one of them done.
fn example() -> Project {
    let project = Project::configured();
    project.packet("core/TP-001-reader", "M", "", "src/read.rs src/main.rs");
    project.packet("core/TP-002-writer", "S", "TP-000", "src/write/**");
    project.packet("core/TP-003-engine", "L", "TP-001 core/TP-002", "src/engine/");
    project.packet("web/TP-004-page", "M", "TP-002", "web/** src/main.rs");
    project.packet("web/TP-005-chart", "S", "tp-004", "web/chart.ts");
    project.packet("core/TP-006-test", "S", "", "src/*.rs");
    project.write("tasks/core/archive/TP-000-old/.DONE", "Completed: 2026-01-01T00:00:00Z\n");
    project.write("tasks/web/MY-APP-7-old/PROMPT.md", "# MY-APP-7: Old\n\n### Step 1: x\n");
    project.write("tasks/web/MY-APP-7-old/.DONE", "");
    project.write("tasks/core/CONTEXT.md", "# Core\n\nNext Task ID: TP-007\n");
    project.write(
        "tasks/core/TP-001-reader/STATUS.md",
        "### Step 1: Do it\n- [x] done\n\n### Step 2: Test it\n- [ ] tested\n",
    );
    project
}

#[test]
fn a_plan_is_told_as_text_json_and_picture() {
    let project = example();
    let plan = project.batch(&["plan"]);
    assert_code(&plan, 0);
    assert_eq!(text(&plan.stderr), "");
    insta::assert_snapshot!(text(&plan.stdout));
    let plan = project.batch(&["plan", "--json"]);
    let told = json(&plan);
    assert_eq!(told["completed"], 2);
    let tasks = told["tasks"].as_array().unwrap();
    let writer = tasks.iter().find(|task| task["id"] == "TP-002").unwrap();
    assert_eq!(writer["satisfied"][0], "TP-000");
    assert_eq!(writer["prompt"], "tasks/core/TP-002-writer/PROMPT.md");
    let reader = tasks.iter().find(|task| task["id"] == "TP-001").unwrap();
    assert_eq!(reader["steps_complete"], 1);
    let pictures = [(); 2].map(|()| project.batch(&["plan", "--format", "svg"]).stdout);
    assert_eq!(pictures[0], pictures[1], "the same packets are the same picture");
    let picture = text(&pictures[0]);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    assert_eq!(picture.matches("class=\"id\"").count(), 6);
    let one_lane = json(&project.batch(&["plan", "--lanes", "1", "--json"]));
    assert_eq!(one_lane["minutes"], one_lane["work_minutes"]);
}

#[test]
fn one_task_is_planned_as_a_hundred_are() {
    let project = example();
    for source in ["tasks/core/TP-006-test/PROMPT.md", "tasks/core/TP-006-test"] {
        let told = json(&project.batch(&["plan", source, "--json"]));
        assert_eq!(told["tasks"].as_array().unwrap().len(), 1, "{told}");
        assert_eq!(told["tasks"][0]["area"], "core");
    }
    let pending = project.refused(&["plan", "tasks/web/TP-005-chart/PROMPT.md"], 2);
    assert!(
        pending.contains(
            "tasks/web/TP-005-chart/PROMPT.md:7: found the dependency TP-004, which is not done"
        ),
        "{pending}"
    );
    let pending = project.refused(&["plan", "web"], 2);
    assert!(pending.contains("TP-002, which is not done and not in this batch"), "{pending}");
    let below = project.path().join("tasks/core");
    let mut command = hotcell_in(&project.path().join(".home"));
    let output = command.args(["batch", "plan", "--id-only"]).current_dir(below).output().unwrap();
    assert_code(&output, 0);
    assert_eq!(text(&output.stdout).lines().count(), 6, "the repository is found from below");
    // A directory that no configuration names is an area as well.
    project.packet("more/TP-020-other", "S", "TP-000", "docs/");
    let told = json(&project.batch(&["plan", "tasks/more", "--json"]));
    assert_eq!(told["tasks"][0]["area"], "more");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_file_and_line() {
    let project = Project::configured();
    project.packet("core/TP-001-circle", "S", "TP-002", "src");
    project.packet("core/TP-002-circle", "S", "TP-001", "src");
    project.packet("core/TP-003-itself", "S", "TP-003", "src");
    project.packet("core/TP-004-lost", "XL", "", "../outside");
    project.write("tasks/web/TP-005-empty/PROMPT.md", "# Task: TP-005 - Empty\n\n## Steps\n");
    project.packet("web/TP-001-again", "S", "", "web");
    project.write("tasks/web/TP-006-both/PROMPT.md", "# TP-006: Both\n\n**Repo:** api\n\n## Segment DAG\n\nRepos: api, web\n\n### Step 1: x\n\n#### Segment: api\n- [ ] x\n");
    project.write("tasks/web/notes/ideas.md", "no packet\n");
    insta::assert_snapshot!(project.refused(&["plan"], 2));
    let told = project.batch(&["plan", "--json"]);
    assert_code(&told, 2);
    assert_eq!(json(&told)["problems"][0]["file"], "tasks/core/TP-001-circle/PROMPT.md");
    let unknown = project.refused(&["plan", "cor"], 113);
    assert!(unknown.contains("hint: there is an area `core`"), "{unknown}");
}

#[test]
fn a_project_of_taskplane_is_planned_as_it_is_and_can_be_taken_over() {
    let project = Project::new();
    let text = r#"{"configVersion": 1,
        "taskRunner": {"taskAreas": {"core": {"path": "tasks/core", "prefix": "TP"}}},
        "orchestrator": {"orchestrator": {"maxLanes": 5}, "merge": {"order": "sequential"}}}"#;
    project.write(".pi/taskplane-config.json", text);
    project.packet("core/TP-001-first", "S", "", "src");
    let plan = project.batch(&["plan", "--json"]);
    assert_code(&plan, 0);
    let told = json(&plan);
    assert_eq!((&told["settings"], &told["lanes"]), (&"taskplane".into(), &5.into()));
    assert!(told["remarks"][0]["message"].as_str().unwrap().contains("orchestrator.merge"));
    assert_code(&project.batch(&["init"]), 0);
    let taken = json(&project.batch(&["plan", "--json"]));
    assert_eq!((&taken["settings"], &taken["lanes"]), (&"own".into(), &5.into()));
    assert_eq!(taken["tasks"], told["tasks"]);
}

#[test]
fn what_init_writes_plans_and_what_exists_stays() {
    let project = Project::new();
    let nothing = project.refused(&["plan"], 113);
    assert!(nothing.contains("hint: `hotcell batch init`"), "{nothing}");
    let dry = project.batch(&["init", "--dry-run"]);
    assert_code(&dry, 0);
    assert!(text(&dry.stdout).contains("would write .hotcell/batch.toml"));
    assert!(!project.path().join(".hotcell").exists() && !project.path().join("tasks").exists());
    let written = project.batch(&["init"]);
    assert_code(&written, 0);
    insta::assert_snapshot!(text(&written.stdout), @r"
    wrote tasks/EX-001-development-guide/PROMPT.md
    wrote .hotcell/batch.toml
    ");
    let plan = project.batch(&["plan", "--json"]);
    assert_code(&plan, 0);
    let told = json(&plan);
    assert_eq!(told["tasks"][0]["id"], "EX-001");
    assert_eq!(told["remarks"], serde_json::json!([]));
    let early = project.refused(&["start"], 2);
    for hint in ["hint: commit what the agents are to begin with", "[agent]"] {
        assert!(early.contains(hint), "{early}");
    }
    let changed = "version = 1\n[areas]\ntasks = \"tasks\" # mine\n";
    project.write(".hotcell/batch.toml", changed);
    let again = project.batch(&["init"]);
    assert_eq!(text(&again.stdout), "kept .hotcell/batch.toml\n");
    let kept = fs::read_to_string(project.path().join(".hotcell/batch.toml")).unwrap();
    assert_eq!(kept, changed);
    project.write(".hotcell/batch.toml", "version = 1\nlanse = 4\n");
    let broken = project.refused(&["plan"], 2);
    assert!(broken.contains(".hotcell/batch.toml:2: found the key `lanse`"), "{broken}");
    assert!(broken.contains("`lanes` perhaps"), "{broken}");
    project.refused(&["init"], 114);
}
