//! Ways around a policy that have been tried elsewhere.

use crate::support::operator::*;
use crate::support::*;

/// Sends one question to the name server, in any type, and prints the answer's
/// code and how many answers it holds. Perl is part of every Debian.
const ASK: &str = r#"
    use Socket; my ($name, $type) = @ARGV;
    socket(my $s, AF_INET, SOCK_DGRAM, 17); 
    my $q = pack("nnnnnn", 7, 0x100, 1, 0, 0, 0) . join("", map { pack("C/a", $_) } split(/\./, $name)) . pack("Cnn", 0, $type, 1);
    send($s, $q, 0, pack_sockaddr_in(53, inet_aton("9.9.9.9"))) or die "send: $!";
    recv($s, my $a, 512, 0); my (undef, $flags, undef, $answers) = unpack("nnnn", $a);
    printf "code %d, %d answers\n", $flags & 15, $answers;
"#;

#[test]
fn resolvers_of_ones_own_are_hosts_like_others() {
    let host = Host::counting("").knows("");
    let workspace = host.create(&["--allow", "good.example"]);
    for (address, port, told) in [
        ("1.1.1.1", 443, "1.1.1.1:443"),
        ("9.9.9.9", 853, "9.9.9.9:853"),
        ("2606:4700:4700::1111", 443, "[2606:4700:4700::1111]:443"),
    ] {
        assert!(!answered(&talk(&workspace, address, port, &get("dns.example"))));
        assert_denied(&workspace, told, "not among the allowed hosts");
    }
    // Whatever server is asked, ours answers: what is not allowed is refused, and
    // no answer holds anything but addresses (so no parameters of encrypted hello).
    let ask = |name: &str, kind: &str| {
        let output = workspace.exec(&[], &["perl", "-e", ASK, name, kind]);
        assert_code(&output, 0);
        text(&output.stdout)
    };
    for kind in ["1", "16", "65", "255"] {
        assert_eq!(ask("evil.example", kind), "code 5, 0 answers\n", "type {kind}");
    }
    for kind in ["16", "64", "65"] {
        assert_eq!(ask("good.example", kind), "code 0, 0 answers\n", "type {kind}");
    }
}

#[test]
fn a_name_is_one_name_however_it_is_written() {
    let port = serve("hello");
    let names = ["good.example", "a.wild.example", "wild.example", "xwild.example"];
    let hosts: String = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
    let host = Host::counting(LOOPBACK).knows(&hosts);
    let workspace = host.create(&["--allow", "Good.Example", "--allow", "*.wild.example"]);
    for name in ["GOOD.example", "good.example.", "a.WILD.example"] {
        assert!(answered(&talk(&workspace, name, port, &get(name))), "{name}");
    }
    for name in ["wild.example", "xwild.example"] {
        assert!(!answered(&talk(&workspace, name, port, &get(name))), "{name}");
        assert_denied(&workspace, name, "not among the allowed hosts");
    }
    // A name that looks like it in another script, and one with a space in it.
    for request in [get("g\u{43e}od.example"), get("good.example evil.example"), get("")] {
        assert!(!answered(&talk(&workspace, "good.example", port, &request)));
    }
}

#[test]
fn numbers_that_programs_read_as_addresses_are_those_addresses() {
    let port = serve("hello");
    let host = Host::counting("").knows("");
    let workspace = host.create(&["--network", "egress"]);
    for (written, told) in [
        ("012.1.2.3", "10.1.2.3"),
        ("10.258", "10.0.1.2"),
        ("0xA9FEA9FE", "169.254.169.254"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("172.16.0.1", "172.16.0.1"),
        ("255.255.255.255", "255.255.255.255"),
    ] {
        assert!(!answered(&talk(&workspace, written, port, &get("x.example"))), "{written}");
        let reached = log(&workspace).iter().any(|entry| entry["verdict"] != "denied");
        assert!(!reached, "{written}: {:#?}", log(&workspace));
        // That one the kernel itself refuses.
        if told != "255.255.255.255" {
            assert_denied(&workspace, &format!("{told}:{port}"), "not public");
        }
    }
}

#[test]
fn whoever_is_sent_elsewhere_is_judged_there() {
    let elsewhere = serve("hello");
    let port = serve_raw(&format!(
        "HTTP/1.1 302 Found\r\nLocation: http://evil.example:{elsewhere}/\r\n\
         Content-Length: 0\r\n\r\n"
    ));
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n127.0.0.1 evil.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let followed =
        workspace.exec(&[], &["curl", "-sSL", "-m", "30", &format!("http://good.example:{port}/")]);
    assert!(text(&followed.stderr).contains("resolve host"), "{}", text(&followed.stderr));
    assert_denied(&workspace, "evil.example", "not among the allowed hosts");
    // A client that keeps the address that it has for the good name.
    let connect_to = format!("evil.example:{port}:good.example:{port}");
    let url = format!("http://evil.example:{port}/");
    let fronted = ["curl", "-sS", "-m", "30", "--connect-to", &connect_to, &url];
    assert_ne!(workspace.exec(&[], &fronted).status.code(), Some(0));
    assert_denied(&workspace, &format!("good.example:{port}"), "for the host evil.example");
}

#[test]
fn root_of_the_guest_and_its_other_users_are_judged_alike() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n127.0.0.1 evil.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let as_user = |name: &str| {
        let script = format!(
            "exec 3<>/dev/tcp/{name}/{port} && printf '{}' >&3 && timeout 20 head -c 15 <&3",
            get(name)
        );
        workspace.exec(&[], &["setpriv", "--reuid", "1000", "bash", "-c", &script])
    };
    assert!(answered(&as_user("good.example")));
    assert!(!answered(&as_user("evil.example")));
    // Whoever connects to the daemon itself gets nowhere.
    let listening = workspace.script(
        "while read -r _ local _ state _; do [ $state = 0A ] && echo $((0x${local#*:})); done \
         < /proc/net/tcp",
    );
    assert!(!listening.is_empty());
    for daemon in listening.split_whitespace() {
        let daemon = daemon.parse().unwrap();
        assert!(!answered(&talk(&workspace, "127.0.0.1", daemon, &get("good.example"))));
    }
    // Packets of one's own making go nowhere: there is nobody at the other end.
    let raw = r#"use Socket; socket(my $s, AF_INET, SOCK_RAW, 1) or die;
        my $echo = pack("CCnnn", 8, 0, 0xf7fd, 1, 1);
        send($s, $echo, 0, pack_sockaddr_in(0, inet_aton("93.184.216.34")));
        my $r = ""; vec($r, fileno($s), 1) = 1; my $n = 0;
        while (select(my $in = $r, undef, undef, 1)) { recv($s, my $a, 99, 0);
            $n++ if unpack("C", substr($a, 20)) == 0 }
        print "$n answers\n";"#;
    assert_eq!(workspace.script(&format!("perl -e '{raw}'")), "0 answers\n");
}

#[test]
fn names_are_counted() {
    let names: Vec<String> = (0..330).map(|n| format!("n{n}.good.example")).collect();
    let hosts: String = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
    let host = Host::counting(LOOPBACK).knows(&hosts);
    let workspace = host.create(&["--allow", "*.good.example"]);
    let found =
        workspace.exec(&[], &["bash", "-c", "getent ahostsv4 n{0..329}.good.example | wc -l"]);
    // Three lines each, as there are three kinds of sockets.
    assert_eq!(text(&found.stdout).trim(), "900");
    assert_denied(&workspace, "n329.good.example", "more than 300 names in a minute");
}
