//! Builds, alone and in parallel, and what is found afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Instant;

use environment::{
    BuildOptions, BuildOutcome, Cancel, EnvironmentError, EnvironmentName, InUse, Phase, Rebuild,
    Selector,
};

use crate::{check, debugfs, entries, fresh, silent};

fn base() -> EnvironmentName {
    "debian:12-base".parse().unwrap()
}

#[test]
fn two_builders_make_one_environment_that_is_whole_and_reproducible() {
    let (directory, library) = fresh();
    let mode = fs::metadata(directory.path().join("environments")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let started = Instant::now();
    let phases = Mutex::new(Vec::new());
    let build = || {
        let mut progress = |progress: environment::Progress| {
            phases.lock().unwrap().push(progress.phase);
        };
        library.build(&base(), &BuildOptions::default(), &mut progress, &Cancel::new()).unwrap()
    };
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(build);
        let other = scope.spawn(build);
        (one.join().unwrap(), other.join().unwrap())
    });
    println!("built in {:?}", started.elapsed());
    assert_eq!(one.record, other.record);
    assert_ne!(one.outcome, other.outcome);
    let phases = phases.into_inner().unwrap();
    for phase in
        [Phase::Waiting, Phase::Downloading, Phase::Installing, Phase::Packing, Phase::Finishing]
    {
        assert!(phases.contains(&phase), "{phase:?}");
    }

    let record = one.record;
    let manifest = &record.manifest;
    assert_eq!(record.names, [base()]);
    assert!(manifest.packages.iter().any(|package| package.name == "ca-certificates"));
    assert!(manifest.packages.len() > 60);
    assert_eq!(fs::metadata(record.root_image()).unwrap().len(), manifest.image_virtual_bytes);
    assert!(manifest.image_disk_bytes < 150 * 1024 * 1024, "{}", manifest.image_disk_bytes);
    println!("{} packages, {} bytes on disk", manifest.packages.len(), record.disk_bytes);
    check(&record.root_image());
    let shadow = debugfs("stat /etc/shadow", &record.root_image());
    assert!(shadow.contains("User:     0   Group:    42"), "{shadow}");
    assert!(debugfs("stat /bin/bash", &record.root_image()).contains("Type: regular"));
    assert_eq!(debugfs("cat /etc/resolv.conf", &record.root_image()), "");
    assert!(entries(&directory.path().join("staging")).is_empty());

    let again = BuildOptions { rebuild: Rebuild::Always, mirror: None };
    let rebuilt = library.build(&base(), &again, &mut silent(), &Cancel::new()).unwrap();
    assert_eq!(rebuilt.outcome, BuildOutcome::Built);
    assert_eq!(rebuilt.record, record, "the same packages make the same archive");

    let prefix = manifest.digest.to_string()[..20].to_owned();
    assert_eq!(library.inspect(&Selector::parse(&prefix).unwrap()).unwrap(), record);
    let kept = library.prune(&|_| InUse::No, &Cancel::new()).unwrap();
    assert!(kept.removed.is_empty());
    library.forget(&base()).unwrap();
    let kept = library.prune(&|_| InUse::Yes, &Cancel::new()).unwrap();
    assert!(kept.removed.is_empty());
    let pruned = library.prune(&|_| InUse::No, &Cancel::new()).unwrap();
    assert_eq!(pruned.removed, std::slice::from_ref(&manifest.digest));
    assert!(pruned.freed_bytes > 50 * 1024 * 1024);
    assert!(library.list().unwrap().is_empty());
    assert!(entries(&directory.path().join("staging")).is_empty());
}

#[test]
fn an_unknown_name_is_refused_with_a_hint() {
    let (_directory, library) = fresh();
    let name = "debian:99".parse().unwrap();
    let error =
        library.build(&name, &BuildOptions::default(), &mut silent(), &Cancel::new()).unwrap_err();
    assert!(matches!(error, EnvironmentError::UnknownName { .. }));
    assert!(error.hint().unwrap().contains("debian:12-base"));
}

#[test]
fn a_mirror_that_does_not_answer_is_told() {
    let (directory, library) = fresh();
    let mirror = Some("http://127.0.0.1:9/debian".to_owned());
    let options = BuildOptions { rebuild: Rebuild::IfMissing, mirror };
    let error = library.build(&base(), &options, &mut silent(), &Cancel::new()).unwrap_err();
    assert!(matches!(error, EnvironmentError::DownloadFailed { .. }), "{error}");
    assert!(entries(&directory.path().join("staging")).is_empty());
}

#[test]
fn a_mirror_that_is_not_signed_is_refused() {
    let (directory, library) = fresh();
    let mirror = tempfile::tempdir().unwrap();
    fs::set_permissions(&mirror, fs::Permissions::from_mode(0o755)).unwrap();
    let release = mirror.path().join("dists/bookworm");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("Release"), "Suite: bookworm\nCodename: bookworm\n").unwrap();
    let mirror = Some(format!("deb copy://{} bookworm main", mirror.path().display()));
    let options = BuildOptions { rebuild: Rebuild::IfMissing, mirror };
    let error = library.build(&base(), &options, &mut silent(), &Cancel::new()).unwrap_err();
    assert!(matches!(error, EnvironmentError::BadSignature { .. }), "{error}");
    assert_eq!(entries(&directory.path().join("environments")), ["names"]);
}

#[test]
fn a_cancelled_build_ends_at_once_and_leaves_nothing() {
    let (directory, library) = fresh();
    let cancel = Cancel::new();
    let asked_at = std::cell::Cell::new(None);
    let mut progress = |progress: environment::Progress| {
        if progress.phase == Phase::Installing && asked_at.get().is_none() {
            asked_at.set(Some(Instant::now()));
            cancel.cancel();
        }
    };
    let error =
        library.build(&base(), &BuildOptions::default(), &mut progress, &cancel).unwrap_err();
    assert!(matches!(error, EnvironmentError::Cancelled), "{error}");
    let took = asked_at.get().unwrap().elapsed();
    assert!(took.as_secs() < 5, "{took:?}");
    assert!(entries(&directory.path().join("staging")).is_empty());
    assert_eq!(entries(&directory.path().join("environments")), ["names"]);
}

#[test]
fn every_tool_is_found_here() {
    for tool in environment::tools() {
        assert!(matches!(tool.presence, environment::Presence::Found(_)), "{tool:?}");
    }
}
