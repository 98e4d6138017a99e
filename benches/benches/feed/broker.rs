//! Mosquitto with the configuration that ships, on a port of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use tempfile::TempDir;

/// A broker that can be killed and started again. It ends with its value.
pub(crate) struct Mosquitto {
    port: u16,
    dir: TempDir,
    child: Child,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let shipped = include_str!("../../../deploy/mosquitto.conf");
        let configuration = shipped.replace("listener 1883", &format!("listener {port}"));
        // Started as root, it would become another user, who cannot write to the directory.
        let here = format!("user root\npersistence_location {}/\n", dir.path().display());
        fs::write(dir.path().join("mosquitto.conf"), configuration + &here).unwrap();
        let child = spawn(dir.path(), port);
        Self { port, dir, child }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// A power cut: what is not in its file is gone, and here so is the file.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = fs::remove_file(self.dir.path().join("mosquitto.db"));
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.port);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it, and waits until it listens.
fn spawn(dir: &Path, port: u16) -> Child {
    let debian = "/usr/sbin/mosquitto";
    let program = if Path::new(debian).exists() { debian } else { "mosquitto" };
    let log = fs::File::create(dir.join("mosquitto.log")).unwrap();
    let mut command = Command::new(program);
    let mut child = command.arg("-c").arg(dir.join("mosquitto.conf")).stderr(log).spawn().unwrap();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "mosquitto ended: {}", fs::read_to_string(dir.join("mosquitto.log")).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child
}
