//! Layers that QEMU wrote, as it reads them itself.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use disk_image::{Disk as _, Layers};

fn run(program: &str, arguments: &[&str], at: &Path) {
    let done = Command::new(program).args(arguments).current_dir(at).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A raw image below two layers: each writes something, and one takes it back.
fn layered(at: &Path) {
    let image = File::create(at.join("image")).unwrap();
    image.set_len(1 << 30).unwrap();
    image.write_all_at(&[1; 200_000], 0).unwrap();
    image.write_all_at(&[2; 200_000], 700 << 20).unwrap();
    let create = |layer: &str, below: &str, format: &str| {
        run("qemu-img", &["create", "-q", "-f", "qcow2", "-b", below, "-F", format, layer], at);
    };
    let write = |layer: &str, orders: &[&str]| {
        let orders: Vec<&str> = orders.iter().flat_map(|order| ["-c", *order]).collect();
        run("qemu-io", &[&["-f", "qcow2", layer], orders.as_slice()].concat(), at);
    };
    create("lower", "image", "raw");
    write("lower", &["write -P 3 70000 5000", "write -P 4 600M 1M", "write -z 700M 128k"]);
    create("upper", "lower", "qcow2");
    write("upper", &["write -P 5 100000 10", "write -z 601000k 128k", "write -P 6 1023M 1M"]);
}

fn open(at: &Path) -> Layers {
    let file = |name: &str| File::open(at.join(name)).unwrap();
    Layers::new(vec![file("upper"), file("lower")], file("image")).unwrap()
}

#[test]
fn what_is_read_is_what_qemu_reads() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    layered(at);
    run("qemu-img", &["convert", "-f", "qcow2", "-O", "raw", "upper", "flat"], at);
    let flat = File::open(at.join("flat")).unwrap();
    let layers = open(at);
    assert_eq!(layers.bytes(), 1 << 30);
    // In pieces that fit no cluster.
    let places = (0..3_u64 << 20).step_by(70_001).chain((599 << 20..603 << 20).step_by(70_001));
    let places = places.chain((699 << 20..702 << 20).step_by(70_001)).chain([(1 << 30) - 70_001]);
    for place in places {
        let (mut ours, mut theirs) = (vec![9; 70_001], vec![8; 70_001]);
        layers.read_at(place, &mut ours).unwrap();
        flat.read_exact_at(&mut theirs, place).unwrap();
        assert!(ours == theirs, "at {place}");
    }
    assert!(layers.read_at((1 << 30) - 1, &mut [0; 2]).is_err());

    // All that is not zeros lies in what is told to be data, and that is little.
    let (mut at_offset, mut copied, mut total) = (0, vec![0; 1 << 20], 0);
    let told = File::create(at.join("told")).unwrap();
    told.set_len(1 << 30).unwrap();
    while let Some((begin, length)) = layers.next_data(at_offset).unwrap() {
        assert!(begin >= at_offset && length > 0);
        let length = length.min(1 << 20);
        let piece = &mut copied[..usize::try_from(length).unwrap()];
        layers.read_at(begin, piece).unwrap();
        told.write_all_at(piece, begin).unwrap();
        at_offset = begin + length;
        total += length;
    }
    assert!(total < 4 << 20, "{total}");
    run("cmp", &["told", "flat"], at);
}

#[test]
fn layers_that_lead_elsewhere_or_are_none_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    layered(at);
    let whole = fs::read(at.join("upper")).unwrap();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(at.join("bad"), bytes).unwrap();
        let file = |name: &str| File::open(at.join(name)).unwrap();
        Layers::new(vec![file("bad")], file("image")).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|bytes| bytes.truncate(3)));
    assert!(refused(&|bytes| bytes[0] = 0));
    assert!(refused(&|bytes| bytes[79] |= 4), "data in another file");
    assert!(refused(&|bytes| bytes[35] = 1), "encrypted");
    assert!(refused(&|bytes| bytes[23] = 40), "clusters of a terabyte");
    assert!(refused(&|bytes| bytes[36..40].fill(0xff)), "a table without end");
    // The name in the header means nothing: below lies what the caller says.
    let layers = open(at);
    fs::remove_file(at.join("lower")).unwrap();
    layers.read_at(600 << 20, &mut [0; 100]).unwrap();
}
