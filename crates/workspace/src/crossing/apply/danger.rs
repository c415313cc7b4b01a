//! Which changes of a checkout can make its host run something.
//!
//! No list of these is complete: whoever builds or tests what an agent wrote runs
//! it. The list holds what runs *by itself*, before anybody has looked.

use file_tree::TreePath;
use workspace_api::workspace::Danger;

use super::plan::{Content, State};

/// Names of files that are dangerous wherever they lie.
const NAMES: &[(&str, Danger)] = &[
    (".gitattributes", Danger::GitSettings),
    (".gitmodules", Danger::GitSettings),
    (".lfsconfig", Danger::GitSettings),
    (".pre-commit-config.yaml", Danger::Hooks),
    (".pre-commit-hooks.yaml", Danger::Hooks),
    ("lefthook.yml", Danger::Hooks),
    (".lefthook.yml", Danger::Hooks),
    (".huskyrc", Danger::Hooks),
    (".gitlab-ci.yml", Danger::Ci),
    (".travis.yml", Danger::Ci),
    (".drone.yml", Danger::Ci),
    (".cirrus.yml", Danger::Ci),
    (".appveyor.yml", Danger::Ci),
    ("appveyor.yml", Danger::Ci),
    ("azure-pipelines.yml", Danger::Ci),
    ("bitbucket-pipelines.yml", Danger::Ci),
    ("jenkinsfile", Danger::Ci),
    ("cloudbuild.yaml", Danger::Ci),
    (".envrc", Danger::EditorTasks),
    (".env", Danger::EditorTasks),
    (".exrc", Danger::EditorTasks),
    (".nvimrc", Danger::EditorTasks),
    (".nvim.lua", Danger::EditorTasks),
    (".vimrc", Danger::EditorTasks),
    (".dir-locals.el", Danger::EditorTasks),
    (".mise.toml", Danger::EditorTasks),
    ("mise.toml", Danger::EditorTasks),
    (".tool-versions", Danger::EditorTasks),
    (".mcp.json", Danger::EditorTasks),
    (".npmrc", Danger::PackageScripts),
    (".yarnrc", Danger::PackageScripts),
    (".yarnrc.yml", Danger::PackageScripts),
    (".pnpmfile.cjs", Danger::PackageScripts),
    (".pypirc", Danger::PackageScripts),
    ("pip.conf", Danger::PackageScripts),
    ("setup.py", Danger::PackageScripts),
    ("build.rs", Danger::PackageScripts),
    ("extconf.rb", Danger::PackageScripts),
    ("rust-toolchain", Danger::PackageScripts),
    ("rust-toolchain.toml", Danger::PackageScripts),
];

/// Directories in which everything is dangerous.
const DIRECTORIES: &[(&str, Danger)] = &[
    (".githooks", Danger::Hooks),
    (".husky", Danger::Hooks),
    (".github", Danger::Ci),
    (".gitea", Danger::Ci),
    (".forgejo", Danger::Ci),
    (".gitlab", Danger::Ci),
    (".circleci", Danger::Ci),
    (".buildkite", Danger::Ci),
    (".woodpecker", Danger::Ci),
    (".vscode", Danger::EditorTasks),
    (".idea", Danger::EditorTasks),
    (".fleet", Danger::EditorTasks),
    (".zed", Danger::EditorTasks),
    (".vim", Danger::EditorTasks),
    (".nvim", Danger::EditorTasks),
    (".devcontainer", Danger::EditorTasks),
    (".claude", Danger::EditorTasks),
    (".codex", Danger::EditorTasks),
    (".cursor", Danger::EditorTasks),
    (".gemini", Danger::EditorTasks),
    (".opencode", Danger::EditorTasks),
    (".direnv", Danger::EditorTasks),
    (".cargo", Danger::PackageScripts),
    (".yarn", Danger::PackageScripts),
];

/// Extensions of files that are dangerous wherever they lie.
const EXTENSIONS: &[(&str, Danger)] =
    &[(".code-workspace", Danger::EditorTasks), (".sublime-project", Danger::EditorTasks)];

/// The scripts of a `package.json` that package managers run by themselves.
const LIFECYCLE: &[&str] = &[
    "preinstall",
    "install",
    "postinstall",
    "preuninstall",
    "uninstall",
    "postuninstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "prepack",
    "dependencies",
];

/// What is dangerous about giving a place another state. Nothing is about taking
/// something away.
pub(crate) fn dangers(path: &TreePath, before: &State, after: &State) -> Vec<Danger> {
    if matches!(after, State::Nothing) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let lower: Vec<String> =
        path.names().map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    if let Some((name, directories)) = lower.split_last() {
        let by_name = NAMES.iter().filter(|(known, _)| known == name);
        let by_extension = EXTENSIONS.iter().filter(|(known, _)| name.ends_with(known));
        // A file, or a link to somewhere else, can take a directory's place.
        let by_directory = DIRECTORIES
            .iter()
            .filter(|(known, _)| directories.iter().chain([name]).any(|name| name == known));
        found.extend(by_name.chain(by_extension).chain(by_directory).map(|(_, danger)| *danger));
        if name == "package.json" && lifecycle(before) != lifecycle(after) {
            found.push(Danger::PackageScripts);
        }
    }
    match after {
        State::File { executable: true, .. }
            if !matches!(before, State::File { executable: true, .. }) =>
        {
            found.push(Danger::Executable);
        }
        State::Symlink(target) if leaves(path, target) => found.push(Danger::LeavingLink),
        _ => {}
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The lifecycle scripts of a `package.json`. One that cannot be read is unlike
/// every other.
fn lifecycle(state: &State) -> Option<Vec<(String, String)>> {
    let State::File { content: Content::Known(bytes), .. } = state else {
        return match state {
            State::Nothing => Some(Vec::new()),
            _ => None,
        };
    };
    let parsed: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let Some(scripts) = parsed.get("scripts") else { return Some(Vec::new()) };
    let scripts = scripts.as_object()?;
    let named = scripts.iter().filter(|(name, _)| LIFECYCLE.contains(&name.as_str()));
    Some(named.map(|(name, script)| (name.clone(), script.to_string())).collect())
}

/// Whether a link leads out of the tree, or into git's own files, by its text.
fn leaves(path: &TreePath, target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut at: Vec<&[u8]> = path.names().collect();
    at.pop();
    for name in target.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if at.pop().is_none() => return true,
            b".." => {}
            name => at.push(name),
        }
    }
    at.iter().any(|name| name.eq_ignore_ascii_case(b".git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str, executable: bool) -> State {
        State::File { content: Content::Known(content.as_bytes().to_vec()), executable }
    }

    fn of(path: &str, before: &State, after: &State) -> Vec<Danger> {
        dangers(&TreePath::parse(path.as_bytes()).unwrap(), before, after)
    }

    #[test]
    fn what_runs_by_itself_is_named() {
        let new = file("x", false);
        for (path, danger) in [
            (".gitattributes", Danger::GitSettings),
            ("sub/.GitModules", Danger::GitSettings),
            (".husky/pre-commit", Danger::Hooks),
            (".github/workflows/ci.yml", Danger::Ci),
            ("Jenkinsfile", Danger::Ci),
            (".vscode/tasks.json", Danger::EditorTasks),
            ("a/b/.envrc", Danger::EditorTasks),
            ("my.code-workspace", Danger::EditorTasks),
            (".claude/settings.json", Danger::EditorTasks),
            ("crates/x/build.rs", Danger::PackageScripts),
        ] {
            assert_eq!(of(path, &State::Nothing, &new), [danger], "{path}");
            assert_eq!(of(path, &new, &State::Nothing), [], "{path}");
        }
        for harmless in ["src/main.rs", "README.md", ".gitignore", "environment", "docs/github/x"] {
            assert_eq!(of(harmless, &State::Nothing, &new), [], "{harmless}");
        }
    }

    #[test]
    fn links_and_executables_are_named() {
        let link = |target: &str| State::Symlink(target.as_bytes().to_vec());
        for (target, leaves) in [
            ("/etc/passwd", true),
            ("../../x", true),
            ("../.git/hooks/pre-commit", true),
            ("../b", false),
            ("c/../../b", false),
        ] {
            let found = of("a/link", &State::Nothing, &link(target));
            assert_eq!(!found.is_empty(), leaves, "{target}");
        }
        assert_eq!(of("run", &file("", false), &file("", true)), [Danger::Executable]);
        assert_eq!(of("run", &file("", true), &file("x", true)), []);
    }

    #[test]
    fn only_scripts_that_package_managers_run_count() {
        let old = file(r#"{"scripts": {"test": "a", "postinstall": "b"}}"#, false);
        let harmless = file(r#"{"scripts": {"postinstall": "b", "test": "c"}, "x": 1}"#, false);
        assert_eq!(of("package.json", &old, &harmless), []);
        for bad in [r#"{"scripts": {"postinstall": "c"}}"#, "{", r#"{"scripts": []}"#] {
            assert_eq!(of("package.json", &old, &file(bad, false)), [Danger::PackageScripts]);
        }
    }
}
