//! What this host lends, and what lives on it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use batch::custody::{Custodian, Environment, Holding, Limits, Order, Settled};
use batch_api::Epoch;

/// The longest wait for something that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How processes are held in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    Cgroup,
    Namespace,
}

impl Means {
    /// What can be tested here, and says what cannot.
    #[expect(clippy::print_stderr, reason = "a test that was not made is told")]
    pub(crate) fn available() -> Vec<Self> {
        let trial = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        match Holding::cgroups(trial.path()) {
            Ok(Holding::Cgroup { parent }) => {
                std::fs::remove_dir(parent).unwrap();
                all.push(Self::Cgroup);
            }
            Ok(other) => panic!("asked for cgroups, got {other:?}"),
            Err(error) => eprintln!("tested by namespaces only; cgroups: {error}"),
        }
        match Holding::namespaces(SEARCH_PATH) {
            Ok(_) => all.push(Self::Namespace),
            Err(error) => eprintln!("tested by cgroups only; namespaces: {error}"),
        }
        assert!(!all.is_empty(), "nothing can be held here");
        all
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Namespace => "namespace",
        }
    }

    pub(crate) fn holding(self, root: &Path) -> Holding {
        match self {
            Self::Cgroup => Holding::cgroups(root).unwrap(),
            Self::Namespace => Holding::namespaces(SEARCH_PATH).unwrap(),
        }
    }
}

/// A registry of its own, and a word by which its processes are recognised.
#[derive(Debug)]
pub(crate) struct Place {
    directory: tempfile::TempDir,
    pub(crate) means: Means,
    /// An argument of `sleep` that nobody else has.
    pub(crate) nap: String,
    /// The group that holds those of all its entries.
    group: Option<PathBuf>,
}

impl Place {
    pub(crate) fn new(means: Means) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let nap = format!("600.{}{number:04}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        let group = match means.holding(&directory.path().join("custody")) {
            Holding::Cgroup { parent } => {
                std::fs::remove_dir(&parent).unwrap();
                Some(parent)
            }
            Holding::Namespace { .. } => None,
        };
        Self { directory, means, nap, group }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("custody")
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn begin(&self, epoch: u64) -> (Custodian, Vec<Settled>) {
        let root = self.root();
        let holding = self.means.holding(&root);
        Custodian::begin(&root, Epoch(epoch), holding, program()).await.unwrap()
    }

    pub(crate) fn order(&self, key: &str, script: &str) -> Order {
        let mut environment = Environment::empty();
        environment.set("PATH", SEARCH_PATH).unwrap();
        environment.set("NAP", &self.nap).unwrap();
        Order {
            key: key.parse().unwrap(),
            label: format!("{key} of a test").parse().unwrap(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment,
            directory: "/".into(),
            limits: Limits::default(),
            stderr: self.directory.path().join(format!("{key}.stderr")),
        }
    }

    /// How many processes of this place nap; found by their arguments, which
    /// has nothing to do with how custody finds them.
    pub(crate) fn napping(&self) -> usize {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let naps = |path: PathBuf| {
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            line == format!("sleep\0{}\0", self.nap).as_bytes()
        };
        processes.filter(|process| naps(process.path())).count()
    }

    /// Whether anything is left where groups are made.
    pub(crate) fn has_group(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.exists())
    }

    pub(crate) fn wait_until_napping(&self, count: usize) {
        eventually(&format!("{count} nap"), || self.napping() == count);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            // A group that a failed test left is seen by the next one.
            let _ = std::fs::remove_dir(group);
        }
    }
}

/// The example program that stands in for the product. It is built with the tests,
/// beside them.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    target.join("examples/custody_probe")
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
