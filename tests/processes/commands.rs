//! Commands that need nothing but files.

use std::fs;
use std::path::Path;

use gondola::config::Config;
use gondola::render::png;
use gondola_protocol::{Panel, Planes};
use serde_json::Value;

use crate::process::Process;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/label-templates/samples");

#[tokio::test]
async fn render_writes_the_picture_and_the_planes_whose_digest_it_prints() {
    let dir = tempfile::tempdir().unwrap();
    let (picture, planes) = (dir.path().join("out.png"), dir.path().join("out.bin"));
    let product = format!("{SAMPLES}/pistachios.json");
    for panel in ["bw-250x122", "bwr-296x128", "bwry-400x300"] {
        let arguments = ["render", "--product", &product, "--panel", panel, "--at", "2026-11-25T08:00:00+08:00"];
        let files = ["--output", picture.to_str().unwrap(), "--planes", planes.to_str().unwrap()];
        let report = Process::gondola(&[&arguments[..], &files[..]].concat(), dir.path()).await.json(0);
        let panel: Panel = panel.parse().unwrap();
        let written = Planes::new(panel, fs::read(&planes).unwrap()).unwrap();
        assert_eq!(report["digest"], written.digest().to_string(), "{report}");
        assert_eq!(png::decode(&fs::read(&picture).unwrap(), panel), Ok(written));
    }
}

#[tokio::test]
async fn check_draws_every_product_of_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = format!("{SAMPLES}/catalog.ndjson");
    let products = fs::read_to_string(&catalog).unwrap().lines().count() - 2;
    let ended = Process::gondola(&["check", "--catalog", &catalog], dir.path()).await;
    let report: Value = serde_json::from_str(&ended.output).unwrap();
    // On two panels.
    assert_eq!(report["pictures"], 2 * products, "{report}");
    assert_eq!(report["findings"], Value::Array(Vec::new()), "{report}");
    ended.expect(0);
}

#[tokio::test]
async fn print_config_prints_a_configuration_that_means_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gondola.toml");
    let text = "data_dir = 'here'\n[feed]\nbroker = 'mqtt://broker.example'\n[[store]]\nid = 'hz-001'\nname = '店'\n\
                format = 'pop-up'\ntime_zone = 'Asia/Shanghai'\ncurrency = 'CNY'\nmarket = 'CN'\n\
                [[store.base_station]]\nid = 'front'\ndriver = 'shelflink'\ntransport = { tcp = '127.0.0.1:7001' }\n";
    fs::write(&file, text).unwrap();
    let printed = print_config(&file).await;
    assert_eq!(Config::parse(&printed, "printed"), Config::parse(text, "written"));
    assert!(printed.contains("listen = \"127.0.0.1:8080\"") && printed.contains("mqtt://broker.example:1883"));
    fs::write(&file, &printed).unwrap();
    assert_eq!(print_config(&file).await, printed);
}

#[tokio::test]
async fn a_wrong_configuration_is_told_with_everything_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gondola.toml");
    fs::write(&file, "data_dir = 'here'\n[web]\nlisten = '0.0.0.0:80'\n[feed]\nbroker = 'http://broker'\n").unwrap();
    let ended = Process::gondola(&["run", "--config", file.to_str().unwrap()], dir.path()).await;
    ended.expect(2);
    assert!(ended.errors.starts_with("error: cannot use the configuration "), "{}", ended.errors);
    assert!(ended.errors.contains("broker `http://broker` is not"), "{}", ended.errors);
}

async fn print_config(file: &Path) -> String {
    let ended = Process::gondola(&["print-config", "--config", file.to_str().unwrap()], file.parent().unwrap()).await;
    ended.expect(0);
    ended.output
}
