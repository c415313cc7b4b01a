use crate::network::HostPattern;
use crate::secret::SecretUse;
use crate::workspace::{ApplyBack, Create, Export};

use super::*;

fn hosts(text: &str) -> Vec<HostPattern> {
    text.split(',').map(|host| host.parse().unwrap()).collect()
}

fn ceiling() -> Ceiling {
    let root = |path: &str| HostRoot::new(path.into()).unwrap();
    Ceiling {
        network: "*.example.org:443,pip.test".parse().unwrap(),
        shape: Shape { cpus: 2, memory_mib: 512 },
        workspaces: 3,
        secrets: ["TOKEN".parse().unwrap()].into(),
        apply_back: ApplyBackCeiling::DryRun,
        roots: vec![root("/srv/a")],
        folder: Some(root("/srv/out")),
        source: Source::Directory("/projects/app".to_owned()),
        scope: Scope::of(&Source::Directory("/projects/app".to_owned())),
    }
}

fn judged(claim: Claim<'_>) -> Verdict {
    let mut claim = claim;
    ceiling().judge(&mut claim, &Facts::default())
}

#[test]
fn a_network_is_narrowed_to_the_list_or_refused() {
    let mut open = NetworkOptions::egress();
    assert_eq!(judged(Claim::Network(&mut open)), Verdict::Narrowed);
    assert_eq!(open.allow, hosts("*.example.org:443,pip.test"));
    let mut within = NetworkOptions::only(hosts("a.example.org:443,pip.test:80"));
    assert_eq!(judged(Claim::Network(&mut within)), Verdict::Allowed);
    for outside in ["example.org:443", "a.example.org", "evil.test", "pip.test,evil.test"] {
        let mut options = NetworkOptions::only(hosts(outside));
        let verdict = judged(Claim::Network(&mut options));
        assert!(matches!(verdict, Verdict::Refused(Refusal::Hosts { .. })), "{outside}");
    }
    assert_eq!(judged(Claim::Network(&mut NetworkOptions::default())), Verdict::Allowed);
}

#[test]
fn machines_have_the_size_that_is_allowed_and_no_more() {
    let mut usual = Shape::default();
    assert_eq!(judged(Claim::Shape(&mut usual)), Verdict::Narrowed);
    assert_eq!(usual, Shape { cpus: 1, memory_mib: 512 });
    let mut large = Shape { cpus: 1, memory_mib: 600 };
    let verdict = judged(Claim::Shape(&mut large));
    assert_eq!(verdict, Verdict::Refused(Refusal::Memory { most: 512, wanted: 600 }));
    let mut many = Shape { cpus: 3, memory_mib: 256 };
    let verdict = judged(Claim::Shape(&mut many));
    assert_eq!(verdict, Verdict::Refused(Refusal::Cpus { most: 2, wanted: 3 }));
    for (cpus, memory_mib, is_allowed) in [
        (None, None, true),
        (Some(2), Some(512), true),
        (Some(3), None, false),
        (None, Some(600), false),
    ] {
        let verdict = judged(Claim::Resizing { cpus, memory_mib });
        assert_eq!(verdict == Verdict::Allowed, is_allowed, "{verdict:?}");
    }
    let full = Facts { count: 2, named: None };
    assert_eq!(ceiling().judge(&mut Claim::Making(1), &full), Verdict::Allowed);
    let verdict = ceiling().judge(&mut Claim::Making(2), &full);
    assert!(matches!(verdict, Verdict::Refused(Refusal::Workspaces { there: 2, .. })));
}

#[test]
fn only_the_operator_says_what_a_workspace_starts_from() {
    let mut create = Create::default();
    for mut claim in create.claims() {
        assert!(!matches!(ceiling().judge(&mut claim, &Facts::default()), Verdict::Refused(_)));
    }
    assert_eq!(create.seed.path.as_deref(), Some("/projects/app"));
    assert_eq!(create.label, ["hotcell.project=/projects/app".parse().unwrap()]);
    for mut seed in [
        Seed::from_path("/etc"),
        Seed::from_path("/srv/a/../../etc"),
        Seed::from_path("/srv/out/x"),
        Seed::from_path("/projects"),
        Seed::from_repository("https://example.org/x"),
    ] {
        let verdict = judged(Claim::Source(&mut seed));
        assert!(matches!(verdict, Verdict::Refused(Refusal::Source(_))), "{seed:?}");
    }
    for path in ["/srv/a", "/srv/a/b", "b/c", "/projects/app/"] {
        assert_eq!(judged(Claim::Source(&mut Seed::from_path(path))), Verdict::Allowed, "{path}");
    }
    let mut labels = vec!["hotcell.project=/elsewhere".parse().unwrap()];
    assert_eq!(judged(Claim::Naming(&mut labels)), Verdict::Refused(Refusal::Label));
}

#[test]
fn into_the_folder_goes_one_new_file_and_below_a_root_anything() {
    let judged = |to: &str, change: fn(&mut Export)| {
        let mut export = Export::new("demo".parse().unwrap(), "a".parse().unwrap(), to);
        change(&mut export);
        let mut claims = export.claims();
        let verdict = ceiling().judge(&mut claims.pop().unwrap(), &Facts::default());
        drop(claims);
        (verdict, export.kind)
    };
    let file = Some(crate::workspace::ExportedKind::File);
    assert_eq!(judged("report.txt", |_| {}), (Verdict::Narrowed, file));
    assert_eq!(judged("/srv/out/report.txt", |_| {}), (Verdict::Narrowed, file));
    let replaces = |export: &mut Export| {
        export.existing = crate::workspace::Existing::Replace;
    };
    assert_eq!(judged("report.txt", replaces).0, Verdict::Refused(Refusal::PlainCopies));
    assert_eq!(judged("/srv/a/x/y", replaces), (Verdict::Allowed, None));
    for outside in ["a/b", ".", "..", "../x", "/srv/out", "/etc/passwd", "/srv/a/../x", ""] {
        let (verdict, _) = judged(outside, |_| {});
        assert!(matches!(verdict, Verdict::Refused(_)), "{outside}: {verdict:?}");
    }
}

#[test]
fn workspaces_outside_are_unseen_and_those_that_may_do_more_are_refused() {
    let owned: BTreeMap<_, _> = [(PROJECT_LABEL.to_owned(), "/projects/app".to_owned())].into();
    let named = |labels: &BTreeMap<_, _>, network: &NetworkOptions, secrets: &[&str]| Named {
        labels: labels.clone(),
        network: network.policy().unwrap(),
        secrets: secrets.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let judged = |named: Option<Named>| {
        let mut meant = "demo".parse().unwrap();
        ceiling().judge(&mut Claim::Workspace(&mut meant), &Facts { named, count: 0 })
    };
    let off = NetworkOptions::default();
    assert_eq!(judged(Some(named(&owned, &off, &["TOKEN"]))), Verdict::Allowed);
    assert_eq!(judged(Some(named(&BTreeMap::new(), &off, &[]))), Verdict::Unseen);
    assert_eq!(judged(None), Verdict::Unseen);
    let verdict = judged(Some(named(&owned, &NetworkOptions::egress(), &[])));
    assert!(matches!(verdict, Verdict::Refused(Refusal::Reaches { .. })), "{verdict:?}");
    let verdict = judged(Some(named(&owned, &off, &["OTHER"])));
    assert!(matches!(verdict, Verdict::Refused(Refusal::Holds(_))), "{verdict:?}");
}

#[test]
fn secrets_are_named_and_never_leave_and_nothing_dangerous_is_applied() {
    let uses = |text: &str| vec![text.parse::<SecretUse>().unwrap()];
    assert_eq!(judged(Claim::Secrets(&uses("TOKEN=GH_TOKEN"))), Verdict::Allowed);
    let verdict = judged(Claim::Secrets(&uses("OTHER=TOKEN")));
    assert!(matches!(verdict, Verdict::Refused(Refusal::Secret(_))), "{verdict:?}");
    assert!(matches!(judged(Claim::SecretsLeave(true)), Verdict::Refused(_)));

    let mut apply = ApplyBack::plan("demo".parse().unwrap(), "/projects/app");
    let judge = |ceiling: &Ceiling, apply: &mut ApplyBack| {
        let mut claim = apply.claims().pop().unwrap();
        ceiling.judge(&mut claim, &Facts::default())
    };
    assert_eq!(judge(&ceiling(), &mut apply), Verdict::Allowed);
    apply.mode = ApplyMode::Apply;
    assert!(matches!(judge(&ceiling(), &mut apply), Verdict::Refused(Refusal::ApplyBack(_))));
    let open = Ceiling { apply_back: ApplyBackCeiling::Yes, ..ceiling() };
    assert_eq!(judge(&open, &mut apply), Verdict::Allowed);
    apply.allow = vec![crate::workspace::Danger::Hooks];
    assert!(matches!(judge(&open, &mut apply), Verdict::Refused(Refusal::OperatorOnly(_))));
    let mut elsewhere = ApplyBack::plan("demo".parse().unwrap(), "/projects/other");
    assert!(matches!(judge(&open, &mut elsewhere), Verdict::Refused(Refusal::Path { .. })));
}

#[test]
fn a_network_ceiling_prints_what_it_parses() {
    for text in ["off", "egress", "pip.test,*.example.org:443"] {
        assert_eq!(text.parse::<NetworkCeiling>().unwrap().to_string(), text);
    }
    for bad in ["", "all", "pip.test,", "a b", "https://x.test", "off,pip.test:0"] {
        let parsed = bad.parse::<NetworkCeiling>();
        assert!(parsed.is_err() || bad == "all", "{bad}: {parsed:?}");
    }
}
