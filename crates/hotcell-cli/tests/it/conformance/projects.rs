//! Projects of other people, as packages of the registries, each of another kind:
//! seeded from a git checkout, built or tested inside, changed, diffed, forked,
//! brought elsewhere as a patch, copied out, and applied back to a checkout.
//!
//! Packages come through the host's own clients, so its settings say from where,
//! and are kept between runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{FlockOperation, flock};

use super::*;
use crate::support::toolbox::toolbox;

/// A project, and what is done with it.
struct Project {
    name: &'static str,
    /// Puts its files into an empty directory.
    fetch: fn(&Path) -> PathBuf,
    /// Builds or tests it, outside of its tree.
    build: &'static str,
    /// What a build that went well says.
    proof: &'static str,
    /// A file, and what is written in it instead of what.
    edited: (&'static str, &'static str, &'static str),
    /// Files that are deleted, renamed and made executable.
    deleted: &'static str,
    renamed: &'static str,
    executable: &'static str,
    /// What is copied out.
    exported: &'static str,
}

/// A project in Python that has tests.
const PYTHON: Project = Project {
    name: "python",
    fetch: python_package,
    build: "export PYTHONDONTWRITEBYTECODE=1; python3 -m unittest -q simplejson.tests.test_decode simplejson.tests.test_fail",
    proof: "OK",
    edited: ("simplejson/__init__.py", "__version__ = '3.20.1'", "__version__ = '3.20.1+here'"),
    deleted: "CHANGES.txt",
    renamed: "LICENSE.txt",
    executable: "setup.py",
    exported: "simplejson",
};

/// Who commits.
const AUTHOR: [&str; 4] = ["-c", "user.name=test", "-c", "user.email=test@example.org"];

fn run_in(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    assert_code(&output, 0);
    output
}

fn python_package(into: &Path) -> PathBuf {
    let fetch = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "simplejson==3.20.1"];
    run_in(into, "pip", &fetch);
    run_in(
        into,
        "sh",
        &["-c", "tar --no-same-owner -xzf simplejson-*.tar.gz && rm *.gz && mv simplejson-* tree"],
    );
    into.join("tree")
}

fn crate_with_c(into: &Path) -> PathBuf {
    fs::create_dir(into.join("src")).unwrap();
    fs::write(into.join("src/lib.rs"), "").unwrap();
    let manifest =
        "[package]\nname = 'x'\nversion = '0.1.0'\n[dependencies]\nlz4-sys = '=1.11.1'\n";
    fs::write(into.join("Cargo.toml"), manifest).unwrap();
    run_in(into, env!("CARGO"), &["vendor", "--quiet", "vendor"]);
    into.join("vendor/lz4-sys")
}

fn node_package(into: &Path) -> PathBuf {
    agent_lab::fetch_npm_package("uglify-js@3.19.3", into)
}

/// A checkout of the project with one commit, to be changed as the test wants.
fn checkout(project: &Project, at: &Path) -> PathBuf {
    let kept = test_cache().join("projects-1").join(project.name);
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    let lock = File::create(kept.with_extension("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if !kept.exists() {
        let scratch = tempfile::tempdir_in(test_cache()).unwrap();
        let tree = (project.fetch)(scratch.path());
        let git = |arguments: &[&str]| run_in(&tree, "git", &[&AUTHOR, arguments].concat());
        git(&["init", "--quiet", "--initial-branch=main"]);
        git(&["add", "--all", "--force"]);
        git(&["commit", "--quiet", "--message", "as it was published"]);
        fs::rename(&tree, &kept).unwrap();
    }
    let copy = at.join("checkout");
    let copied = Command::new("cp").arg("-a").arg(&kept).arg(&copy).status().unwrap();
    assert!(copied.success());
    copy
}

/// A checkout of a project in Python that has tests, with one commit.
pub(crate) fn python_checkout(at: &Path) -> PathBuf {
    checkout(&PYTHON, at)
}

/// What lies in a tree but for git's own: content and whether it is executable.
type Content = BTreeMap<PathBuf, (bool, Vec<u8>)>;

fn content(tree: &Path) -> Content {
    fn below(root: &Path, at: &Path, found: &mut Content) {
        for entry in fs::read_dir(at).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            // A program that is large and that nobody changes.
            if name == Path::new("node") {
                continue;
            }
            let file = path.symlink_metadata().unwrap();
            if file.is_dir() {
                if name != Path::new(".git") {
                    below(root, &path, found);
                }
            } else if file.is_symlink() {
                let target = fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
                found.insert(name, (false, target));
            } else {
                let is_executable = file.permissions().mode() & 0o100 != 0;
                found.insert(name, (is_executable, fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    below(tree, tree, &mut found);
    found
}

fn create(checkout: &Path) -> TestWorkspace {
    let mut create = hotcell();
    create.args(["--json", "workspace", "create", prepared(BUILD_ENVIRONMENT), "--seed-path"]);
    let output = create.arg(checkout).output().unwrap();
    assert_code(&output, 0);
    TestWorkspace { id: json(&output)["id"].as_str().unwrap().to_owned() }
}

fn done(words: &[&str], workspace: &TestWorkspace, arguments: &[&str]) -> Output {
    let mut hotcell = hotcell();
    let output = hotcell.arg("--yes").args(words).arg(&workspace.id).args(arguments).output();
    let output = output.unwrap();
    assert_code(&output, 0);
    output
}

/// The workspace's tree, brought here as bytes.
fn brought(workspace: &TestWorkspace, scratch: &Path) -> Content {
    let archive =
        workspace.exec(&[], &["tar", "--exclude=./.git", "--exclude=./node", "-cf", "-", "."]);
    assert_code(&archive, 0);
    let to = tempfile::tempdir_in(scratch).unwrap();
    let mut unpack = Command::new("tar");
    unpack.args(["-xf", "-", "-C"]).arg(to.path());
    assert_code(&with_input(unpack, archive.stdout), 0);
    content(to.path())
}

fn go_through(project: &Project) {
    let scratch = tempfile::tempdir_in(test_cache()).unwrap();
    let checkout = checkout(project, scratch.path());
    let original = content(&checkout);
    let workspace = create(&checkout);
    let build = |workspace: &TestWorkspace| {
        let said = workspace.exec(&["--timeout", "250s"], &["bash", "-ec", project.build]);
        let words = format!("{}{}", text(&said.stdout), text(&said.stderr));
        assert!(said.status.success() && words.contains(project.proof), "{words}");
    };
    build(&workspace);
    assert_eq!(brought(&workspace, scratch.path()), original);

    let (file, old, new) = project.edited;
    done(&["file", "edit"], &workspace, &[file, "--old", old, "--new", new]);
    done(&["file", "write"], &workspace, &["notes/new.txt", "--text", "no newline", "--parents"]);
    done(&["file", "delete"], &workspace, &[project.deleted]);
    done(&["file", "move"], &workspace, &[project.renamed, "renamed"]);
    workspace.script(&format!("chmod 755 {}; printf '\\0\\377' > data", project.executable));
    build(&workspace);
    let changed = brought(&workspace, scratch.path());
    assert_ne!(changed, original);

    // The patch makes the one of the other, for git and in another workspace.
    let told = done(&["--json", "workspace", "diff"], &workspace, &[]);
    let told = json(&told);
    assert_eq!(told["counts"]["total"], 6, "{told}");
    let patch = done(&["workspace", "diff"], &workspace, &["--format", "patch"]).stdout;
    let patch_file = scratch.path().join("patch");
    fs::write(&patch_file, &patch).unwrap();
    let clone = scratch.path().join("clone");
    run_in(scratch.path(), "git", &["clone", "--quiet", "checkout", "clone"]);
    run_in(&clone, "git", &["apply", "--check", patch_file.to_str().unwrap()]);
    run_in(&clone, "git", &["apply", patch_file.to_str().unwrap()]);
    assert_eq!(content(&clone), changed);
    let other = create(&checkout);
    let mut apply = hotcell();
    apply.args(["patch", "apply", &other.id]);
    assert_code(&with_input(apply, patch), 0);
    assert_eq!(brought(&other, scratch.path()), changed);
    drop(other);

    // Copied out, and applied back to a checkout, it is the same.
    let copy = scratch.path().join("copy");
    done(&["workspace", "export"], &workspace, &[project.exported, copy.to_str().unwrap()]);
    let below = |content: &Content| -> Content {
        let place = Path::new(project.exported);
        let below = |path: &PathBuf| path.strip_prefix(place).ok().map(Path::to_owned);
        content.iter().filter_map(|(path, what)| Some((below(path)?, what.clone()))).collect()
    };
    assert_eq!(content(&copy), below(&changed));
    run_in(scratch.path(), "git", &["clone", "--quiet", "checkout", "back"]);
    let back = scratch.path().join("back");
    let allowed = ["--mode", "apply", "--allow", "executable", "--allow", "package-scripts"];
    done(
        &["workspace", "apply-back"],
        &workspace,
        &[&[back.to_str().unwrap()], &allowed[..]].concat(),
    );
    assert_eq!(content(&back), changed);

    // A child goes on with the changes, the workspace itself goes back.
    let forked = done(&["--json", "workspace", "fork"], &workspace, &[]);
    let child = json(&forked)["children"][0]["id"].as_str().unwrap().to_owned();
    let child = TestWorkspace { id: child };
    done(&["workspace", "reset"], &workspace, &[]);
    assert_eq!(brought(&workspace, scratch.path()), original);
    assert_eq!(brought(&child, scratch.path()), changed);
    // All that time nobody wrote to the host's checkout.
    assert_eq!(content(&checkout), original);
    assert_eq!(text(&run_in(&checkout, "git", &["status", "--porcelain"]).stdout), "");
}

#[test]
fn a_python_project_is_tested_changed_and_brought_elsewhere() {
    go_through(&PYTHON);
}

#[test]
fn a_c_project_is_built_changed_and_brought_elsewhere() {
    go_through(&Project {
        name: "c",
        fetch: crate_with_c,
        build: "cc -Iliblz4/lib -o /tmp/example liblz4/examples/simple_buffer.c liblz4/lib/lz4.c && /tmp/example",
        proof: "Validation done",
        edited: ("liblz4/examples/simple_buffer.c", "Validation done.", "Validation done here."),
        deleted: "liblz4/INSTALL",
        renamed: "liblz4/NEWS",
        executable: "build.rs",
        exported: "liblz4",
    });
}

#[test]
fn a_node_project_is_built_changed_and_brought_elsewhere() {
    go_through(&Project {
        name: "node",
        fetch: |into| {
            let tree = node_package(into);
            // Node.js itself goes in with it.
            fs::copy(toolbox().join("bin/node"), tree.join("node")).unwrap();
            tree
        },
        build: "./node bin/uglifyjs lib/utils.js --compress --mangle -o /tmp/small.js \
                && ./node --check /tmp/small.js && test $(wc -c < /tmp/small.js) -lt $(wc -c < lib/utils.js) && echo smaller",
        proof: "smaller",
        edited: ("package.json", "\"license\"", "\"x-changed\": true, \"license\""),
        deleted: "README.md",
        renamed: "LICENSE",
        executable: "lib/utils.js",
        exported: "lib",
    });
}
