//! A real `sshd` on loopback, with keys and a configuration of its own, for the user who runs the tests.
//!
//! Owns the process and its directory; both go when this is dropped. It listens on loopback alone and lets in nobody but
//! the one key that it made. It runs when `TRUCKEE_TEST_SSHD` is 1.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{run, until};

/// The variable that asks for it.
const WANTED: &str = "TRUCKEE_TEST_SSHD";
const PROGRAM: &str = "/usr/sbin/sshd";
/// Where it changes its root to before somebody has logged in; it wants it when it runs as root.
const EMPTY_DIR: &str = "/run/sshd";
/// How often it is started when the port was taken in between.
const STARTS: u32 = 5;

/// See the module.
pub struct Sshd {
    dir: TempDir,
    child: Child,
    /// On 127.0.0.1.
    pub port: u16,
    /// Who may log in: whoever runs the tests.
    pub user: String,
}

impl Sshd {
    /// Starts one; none, with a sentence, when it is not asked for. Whoever logs in finds the programs of `bin` before
    /// all others.
    ///
    /// # Panics
    /// When it is asked for and does not run.
    #[must_use]
    pub fn start(bin: &Path) -> Option<Sshd> {
        if std::env::var(WANTED).as_deref() != Ok("1") {
            eprintln!("{WANTED} is not 1: what needs an ssh server is not tested");
            return None;
        }
        let user = said("id", &["-un"]);
        if said("id", &["-u"]) == "0" {
            fs::create_dir_all(EMPTY_DIR).expect("root can make a directory");
        }
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        for key in ["host", "client"] {
            let path = dir.path().join(key).display().to_string();
            said("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path]);
        }
        let public = fs::read(dir.path().join("client.pub")).expect("a key was made");
        fs::write(dir.path().join("authorized"), public).expect("it can be written");
        for _ in 0..STARTS {
            let port = free_port();
            let mut child = spawn(dir.path(), port, bin);
            let listens = until("sshd listens, or has ended", || {
                let ended = child.try_wait().expect("a child can be looked after").is_some();
                let listens = TcpStream::connect(("127.0.0.1", port)).is_ok();
                (ended || listens).then_some(listens && !ended)
            });
            if listens {
                note_host(dir.path(), port);
                return Some(Sshd {
                    dir,
                    child,
                    port,
                    user,
                });
            }
        }
        panic!("sshd does not run: {}", log(dir.path()));
    }

    /// File with the key that may log in.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.dir.path().join("client")
    }

    /// Further options of `ssh`, so that nothing depends on the person at this machine.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let known = self.dir.path().join("known_hosts");
        vec![
            format!("UserKnownHostsFile={}", known.display()),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
        ]
    }

    /// What it has written.
    #[must_use]
    pub fn log(&self) -> String {
        log(self.dir.path())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- sshd\n{}", self.log());
        }
        // Nothing to be done about an error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(program: &str, args: &[&str]) -> String {
    let output = run(Path::new(program), args);
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}

/// Free now; somebody may take it before it is used.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

fn spawn(dir: &Path, port: u16, bin: &Path) -> Child {
    let shown = dir.display();
    let lines = [
        format!("ListenAddress 127.0.0.1:{port}"),
        format!("HostKey {shown}/host"),
        format!("AuthorizedKeysFile {shown}/authorized"),
        "PidFile none".to_owned(),
        // The directory is below one that everybody may write to.
        "StrictModes no".to_owned(),
        "UsePAM no".to_owned(),
        "PermitRootLogin prohibit-password".to_owned(),
        "PasswordAuthentication no".to_owned(),
        "KbdInteractiveAuthentication no".to_owned(),
        "AllowTcpForwarding no".to_owned(),
        format!("SetEnv PATH={}:/usr/bin:/bin", bin.display()),
    ];
    let config = dir.join("config");
    fs::write(&config, lines.join("\n") + "\n").expect("it can be written");
    let log = File::options().append(true).create(true).open(dir.join("log"));
    Command::new(PROGRAM)
        .args(["-D", "-e", "-f"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("it can be written"))
        .spawn()
        .unwrap_or_else(|error| panic!("{PROGRAM}: {error}; install openssh-server"))
}

/// So that the client knows the server.
fn note_host(dir: &Path, port: u16) {
    let key = fs::read_to_string(dir.join("host.pub")).expect("a key was made");
    fs::write(dir.join("known_hosts"), format!("[127.0.0.1]:{port} {key}")).expect("it can be written");
}
