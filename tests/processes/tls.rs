//! A broker with TLS and users, and a store that is loaded from a file at the start.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::broker::{Broker, product};
use crate::process::{GONDOLA, Process, eventually};
use crate::shop::Controller;

/// Mosquitto with a certificate of its own, and one user.
async fn broker(dir: &Path) -> Broker {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), certificate.cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    let users = dir.join("users");
    let user = Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&users).args(["shelf", "s3cret"]).status();
    assert!(user.expect("mosquitto_passwd comes with mosquitto").success());
    let configure = |port| {
        let dir = dir.display();
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\nuser root\npassword_file {dir}/users\n\
             certfile {dir}/cert.pem\nkeyfile {dir}/key.pem\n"
        )
    };
    Broker::start(dir, configure).await
}

fn configure(dir: &Path, port: u16, password: &str) {
    fs::write(dir.join("password"), format!("{password}\n")).unwrap();
    let here = dir.display();
    let text = format!(
        "data_dir = '{here}/gondola'\n\
         [web]\n\
         listen = '127.0.0.1:0'\n\
         [feed]\n\
         broker = 'mqtts://localhost:{port}'\n\
         username = 'shelf'\n\
         password_file = '{here}/password'\n\
         ca_file = '{here}/cert.pem'\n\
         [[store]]\n\
         id = 'hz-001'\n\
         name = '杭州解百店'\n\
         format = 'community'\n\
         time_zone = 'Asia/Shanghai'\n\
         currency = 'CNY'\n\
         market = 'CN'\n\
         reload = {{ url = 'file://{here}/snapshots', facets = ['base'] }}\n"
    );
    fs::write(dir.join("gondola.toml"), text).unwrap();
}

#[tokio::test]
async fn a_store_is_loaded_from_a_file_and_fed_through_tls() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path()).await;
    fs::create_dir_all(dir.path().join("snapshots/hz-001")).unwrap();
    let row = product("1101", 7, "59.90");
    let snapshot =
        format!("{{\"snapshot\":{{\"facet\":\"base\",\"generation\":1}}}}\n{row}\n{{\"end\":{{\"count\":1}}}}\n");
    fs::write(dir.path().join("snapshots/hz-001/base"), snapshot).unwrap();
    configure(dir.path(), broker.port, "s3cret");
    // This waits for a subscription.
    let controller = Controller::start(&dir).await;
    eventually("the product of the snapshot", async || {
        let found = controller.rest.find("products/1101").await;
        (found["base"]["price"] == "59.90").then_some(()).ok_or_else(|| found.to_string())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_and_a_stranger_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path()).await;
    let command = || {
        let mut command = Command::new(GONDOLA);
        command.args(["run", "--config"]).arg(dir.path().join("gondola.toml"));
        command
    };
    configure(dir.path(), broker.port, "wrong");
    let mut controller = Process::start("controller", &mut command(), dir.path());
    controller.logs("Connection refused, return code: `NotAuthorized`").await;
    controller.kill();
    // A certificate of another authority.
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(dir.path().join("cert.pem"), stranger.cert.pem()).unwrap();
    let mut controller = Process::start("controller", &mut command(), dir.path());
    let line = controller.logs("cannot reach the MQTT broker at localhost:").await;
    assert!(line.contains("invalid peer certificate"), "{line}");
    controller.kill();
    // No certificate at all.
    fs::write(dir.path().join("cert.pem"), "").unwrap();
    let ended = Process::start("controller", &mut command(), dir.path()).ended().await;
    ended.expect(1);
    assert!(ended.errors.contains("cause: cannot read a certificate from "), "{}", ended.errors);
}
