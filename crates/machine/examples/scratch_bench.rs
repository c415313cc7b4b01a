#![allow(warnings, clippy::all)]
use machine::{launcher::*, qemu::Qemu, *};
use std::{path::*, time::*};
use tokio::io::*;
#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{:?} {}", launcher::abilities(), kvm::probe());
    let t = Instant::now();
    let v = kvm::probe();
    println!("probe {:?} {v:?}", t.elapsed());
    let user = if std::env::var("KEEP").is_ok() {
        UidPolicy::Keep
    } else {
        UidPolicy::Drop { uid: 61235, gid: 61235, uid_use: UidUse::Dedicated }
    };
    let l = Launcher {
        program: std::env::current_exe().unwrap().parent().unwrap().join("confinement_probe"),
        arguments: vec!["stage".into()],
    };
    let q = Qemu::new(l, user, std::env::var_os("PATH").unwrap());
    let info = q.monitor().unwrap();
    let q = q.with_monitor(info);
    let d = PathBuf::from("/tmp/mach/rs");
    let _ = std::fs::remove_dir_all(&d);
    std::fs::create_dir_all(&d).unwrap();
    let mem: u32 = std::env::var("MEM").ok().and_then(|m| m.parse().ok()).unwrap_or(256);
    let mut s = MachineSpec {
        accelerator: Accelerator::Tcg,
        cpu_model: std::env::var("CPU").ok(),
        shape: Shape { cpus: 1, memory_mib: mem },
        kernel: "/tmp/x/vmlinux".into(),
        initrd: "/tmp/mach/w/initramfs.gz".into(),
        command_line: String::new(),
        ram: RamFile { path: d.join("ram"), sharing: RamSharing::Shared },
        disks: vec![],
        console: d.join("console"),
        generation_id: uuid::Uuid::nil(),
        start: Start::Boot,
    };
    let t = Instant::now();
    let mut m = q.start(&s).await.unwrap();
    let up = t.elapsed();
    let mut a = BufReader::new(m.take_agent().unwrap());
    let mut line = String::new();
    a.read_line(&mut line).await.unwrap();
    println!("boot: up {up:?}, agent {line:?} {:?}", t.elapsed());
    let t = Instant::now();
    m.saving().unwrap().save(d.join("state")).await.unwrap();
    println!("save {:?}", t.elapsed());
    m.stop().await;
    s.ram.sharing = RamSharing::CopyOnWrite;
    s.start = Start::Resume { state: d.join("state") };
    let (mut u, mut f, mut tr) = (vec![], vec![], vec![]);
    for i in 0..15u128 {
        s.generation_id = uuid::Uuid::from_u128(i + 7);
        let t = Instant::now();
        let mut m = q.start(&s).await.unwrap();
        u.push(t.elapsed());
        let mut a = BufReader::new(m.take_agent().unwrap());
        async fn run(a: &mut BufReader<tokio::net::UnixStream>) {
            a.get_mut().write_all(b"/bin/busybox true\n").await.unwrap();
            let mut line = String::new();
            while line.trim() != "EOM" {
                line.clear();
                a.read_line(&mut line).await.unwrap();
            }
        }
        run(&mut a).await;
        f.push(t.elapsed());
        for _ in 0..60 {
            let t = Instant::now();
            run(&mut a).await;
            tr.push(t.elapsed());
        }
        if i == 14 {
            let st = std::fs::read_to_string(format!("/proc/{}/status", m.monitor_pid())).unwrap();
            for l in st.lines() {
                if ["Uid", "VmPeak", "RssAnon", "Seccomp:", "NoNew", "Groups", "Threads"]
                    .iter()
                    .any(|p| l.starts_with(p))
                {
                    println!("{l}");
                }
            }
        }
        m.stop().await;
    }
    for v in [&mut u, &mut f, &mut tr] {
        v.sort();
    }
    println!(
        "start→resumed {:?}, start→first exec {:?}, round trip {:?}",
        u[u.len() / 2],
        f[f.len() / 2],
        tr[tr.len() / 2]
    );
}
