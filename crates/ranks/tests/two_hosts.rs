//! Ranks on two hosts that a network connects: network namespaces with names of their own, joined by a pair of virtual
//! cards. They need root and `ip`; elsewhere, and without Open MPI, the tests are skipped.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use strata_ranks::Ranks;

/// A folder in which each rank leaves its process id; in the environment of the ranks.
const FOLDER: &str = "STRATA_TEST_TWO_HOSTS";

/// An address from which nobody answers.
const NOBODY: &str = "02:00:00:00:00:99";

/// What docs/cluster.md says for networks that may go silent.
const KEEPALIVE: [&str; 9] = [
    "--mca",
    "oob_tcp_keepalive_time",
    "3",
    "--mca",
    "oob_tcp_keepalive_intvl",
    "2",
    "--mca",
    "oob_tcp_keepalive_probes",
    "3",
];

/// What each rank runs, until the others are lost; nothing where no test started it.
#[test]
fn ranks_exchange() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let ranks = Ranks::of_environment(|text| eprintln!("{text}")).unwrap();
    assert_eq!((ranks.size(), ranks.on_this_host().unwrap(), ranks.place_on_this_host().unwrap()), (2, 1, 0));
    std::fs::write(folder.join(format!("pid-{}", ranks.rank())), std::process::id().to_string()).unwrap();
    while ranks.barrier().is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The thread that watches the others has the last word.
    std::thread::sleep(Duration::from_secs(60));
}

/// Two namespaces `NAME0` at 10.77.0.1 and `NAME1` at 10.77.0.2, and a folder; all are gone at the end.
struct Hosts {
    name: String,
    folder: PathBuf,
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_string();
    if output.status.success() { Ok(()) } else { Err(format!("ip {arguments}: {told}")) }
}

impl Hosts {
    /// None, after saying so, where there cannot be any.
    fn connected(test: &str) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("strata-{}-{}-", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        let hosts = Self { name, folder };
        let up = hosts.up().and_then(|()| {
            let version = Command::new("mpirun.openmpi").arg("--version").output();
            version.map(drop).map_err(|error| format!("mpirun.openmpi: {error}"))
        });
        up.map_err(|reason| strata_testing::skip(test, &reason)).ok()?;
        Some(hosts)
    }

    fn up(&self) -> Result<(), String> {
        let [one, two] = [0, 1].map(|host| format!("{}{host}", self.name));
        ip(&format!("netns add {one}"))?;
        ip(&format!("netns add {two}"))?;
        ip(&format!("link add wire netns {one} type veth peer name wire netns {two}"))?;
        for (host, address) in [(&one, 1), (&two, 2)] {
            ip(&format!("-n {host} addr add 10.77.0.{address}/24 dev wire"))?;
            ip(&format!("-n {host} link set lo up"))?;
            ip(&format!("-n {host} link set wire up"))?;
        }
        Ok(())
    }

    /// Starts a rank on each host; what they say comes from the child's standard error.
    fn start(&self, options: &[&str]) -> Child {
        // What `mpirun` starts in place of ssh: HOST COMMAND...
        let agent = self.folder.join("agent.sh");
        let script = format!(
            "#!/bin/bash\nhost={0}0; [ $1 = 10.77.0.2 ] && host={0}1; shift\n\
             exec ip netns exec $host unshare --uts -- bash -c \"hostname $host; $*\"\n",
            self.name
        );
        std::fs::write(&agent, script).unwrap();
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
        let first = format!("{}0", self.name);
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &first,
            "unshare",
            "--uts",
            "--",
            "bash",
            "-c",
            "hostname $0; exec \"$@\"",
            &first,
        ]);
        command.args(["mpirun.openmpi", "--allow-run-as-root", "--bind-to", "none", "-n", "2"]);
        command.args(["--host", "10.77.0.1:1,10.77.0.2:1", "-x", FOLDER]).args(["--mca", "plm_rsh_agent"]).arg(agent);
        command.args(["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"]);
        for part in ["btl", "oob"] {
            command.args(["--mca", &format!("{part}_tcp_if_include"), "10.77.0.0/24"]);
        }
        command.args(options).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "ranks_exchange", "--nocapture", "--test-threads=1"]);
        strata_ranks::forget_launch(&mut command);
        command.env(FOLDER, &self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The process ids of both ranks, once they exchange.
    fn ranks(&self) -> [String; 2] {
        let begun = Instant::now();
        loop {
            let read = |rank: usize| std::fs::read_to_string(self.folder.join(format!("pid-{rank}"))).ok();
            if let [Some(one), Some(two)] = [read(0), read(1)].map(|pid| pid.filter(|pid| !pid.is_empty())) {
                return [one, two];
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the ranks do not meet");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// From now on nothing arrives, and nobody is told.
    fn cut(&self) {
        for (host, other) in [(0, 2), (1, 1)] {
            ip(&format!("-n {}{host} neigh replace 10.77.0.{other} lladdr {NOBODY} dev wire nud permanent", self.name))
                .unwrap();
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [0, 1].map(|host| format!("{}{host}", self.name)) {
            let _ = Command::new("bash").args(["-c", &format!("kill -KILL $(ip netns pids {host})")]).output();
            let _ = ip(&format!("netns del {host}"));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn is_over(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.contains(") Z ")) || !Path::new("/proc").join(pid).exists()
}

/// The ranks notice by themselves; `mpirun` may go on waiting for its own on the other host.
#[test]
fn ranks_end_where_the_network_between_them_is_cut() {
    let Some(hosts) = Hosts::connected("ranks_end_where_the_network_between_them_is_cut") else { return };
    let mut child = hosts.start(&[]);
    let pids = hosts.ranks();
    hosts.cut();
    let cut = Instant::now();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.into_iter().find(|line| line.contains("nothing was heard from rank 1 for "));
    assert!(told.is_some_and(|line| line.starts_with(&format!("rank 0 on {}0: ", hosts.name))));
    while !pids.iter().all(|pid| is_over(pid)) {
        assert!(cut.elapsed() < Duration::from_secs(40), "ranks go on without each other");
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// With the options of docs/cluster.md the launcher ends too.
#[test]
fn mpirun_ends_where_the_network_is_cut_and_it_looks_for_signs_of_life() {
    let test = "mpirun_ends_where_the_network_is_cut_and_it_looks_for_signs_of_life";
    let Some(hosts) = Hosts::connected(test) else { return };
    let mut child = hosts.start(&KEEPALIVE);
    let pids = hosts.ranks();
    hosts.cut();
    let cut = Instant::now();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(!child.wait().unwrap().success(), "{told}");
    assert!(cut.elapsed() < Duration::from_secs(40), "{:?}: {told}", cut.elapsed());
    while !pids.iter().all(|pid| is_over(pid)) {
        assert!(cut.elapsed() < Duration::from_secs(40), "ranks go on without each other");
        std::thread::sleep(Duration::from_millis(50));
    }
}
