//! Commands that need nothing but files.

use std::fs;
use std::path::Path;
use std::process::Command;

use gondola::config::Config;
use gondola::render::png;
use gondola_protocol::{Panel, Planes};
use serde_json::Value;

use crate::process::{GONDOLA, Process};

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

/// Ten templates on twelve panels, and the poster on four.
const PICTURES_PER_PRODUCT: usize = 124;

#[tokio::test]
async fn check_draws_every_product_of_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = format!("{SAMPLES}/catalog.ndjson");
    let products = fs::read_to_string(&catalog).unwrap().lines().count() - 2;
    let ended = Process::gondola(&["check", "--catalog", &catalog], dir.path()).await;
    let report: Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!(report["pictures"], PICTURES_PER_PRODUCT * products, "{report}");
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

/// A table with mistakes: on line 3 a number that is no amount, on line 4 no sku, on line 5 a sku again.
const TABLE: &str = "\u{feff}sku,name,price,content_amount,content_unit,attribute.roast\n\
    1101,加州开心果,59.90,500,g,原味\n1102,Honey,\"1,5\",,,\n,Nobody,1.00,,,\n1101,Again,2.00,,,\n1103,Salt,3.20,,,\n";

#[tokio::test]
async fn a_table_becomes_a_snapshot_and_its_bad_rows_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let [table, snapshot, again] =
        ["in.csv", "base", "out.csv"].map(|name| dir.path().join(name).display().to_string());
    fs::write(&table, TABLE).unwrap();
    let import = ["catalog", "import", &table, "--output", &snapshot, "--generation", "7"];
    let report = Process::gondola(&import, dir.path()).await.json(1);
    assert_eq!((&report["rows"], &report["bad"]), (&3.into(), &3.into()), "{report}");
    let places: Vec<_> = report["findings"].as_array().unwrap().iter().map(|it| (&it["row"], &it["column"])).collect();
    assert_eq!(places, [(&3.into(), &"price".into()), (&4.into(), &"sku".into()), (&5.into(), &"sku".into())]);
    let problem = report["findings"][0]["problem"].as_str().unwrap();
    assert!(problem.starts_with("`price` is the text \"1,5\"; expected an amount"), "{problem}");
    let text = fs::read_to_string(&snapshot).unwrap();
    assert!(text.starts_with("{\"snapshot\":{\"facet\":\"base\",\"generation\":7}}\n"), "{text}");
    assert!(text.ends_with("{\"end\":{\"count\":3}}\n") && text.contains("\"sku\":\"1102\""), "{text}");

    let export = ["catalog", "export", &snapshot, "--output", &again];
    assert_eq!(Process::gondola(&export, dir.path()).await.json(1)["bad"], 1);
    let written = fs::read_to_string(&again).unwrap();
    assert!(written.starts_with("sku,revision,name,") && written.contains("\n1101,7,加州开心果,"), "{written}");
    // What a table holds comes back from it.
    let back = ["catalog", "import", &again, "--output", &snapshot, "--generation", "8"];
    assert_eq!(Process::gondola(&back, dir.path()).await.json(0)["rows"], 2);
    assert_eq!(
        Process::gondola(&["catalog", "export", &snapshot, "--output", &again], dir.path()).await.json(0)["rows"],
        2
    );
    assert_eq!(fs::read_to_string(&again).unwrap(), written);
}

#[tokio::test]
async fn a_table_that_cannot_be_used_leaves_the_snapshot_alone() {
    let dir = tempfile::tempdir().unwrap();
    let [table, snapshot] = ["in.csv", "base"].map(|name| dir.path().join(name).display().to_string());
    fs::write(&snapshot, "as it was").unwrap();
    for (text, code, expected) in [
        ("sku,prise\n1,2\n", 2, "cause: column `prise` is not known; expected some of sku, revision, "),
        ("sku,price\n", 1, "holds no product; a snapshot without any would empty the store"),
    ] {
        fs::write(&table, text).unwrap();
        let ended = Process::gondola(&["catalog", "import", &table, "--output", &snapshot], dir.path()).await;
        ended.expect(code);
        assert!(ended.errors.contains(expected), "{}", ended.errors);
        assert_eq!(fs::read_to_string(&snapshot).unwrap(), "as it was");
    }
}

#[tokio::test]
async fn events_become_a_snapshot_with_their_promotions() {
    let dir = tempfile::tempdir().unwrap();
    let [events, snapshot] = ["in.ndjson", "base"].map(|name| dir.path().join(name).display().to_string());
    fs::copy(format!("{SAMPLES}/catalog.ndjson"), &events).unwrap();
    let import = ["catalog", "import", &events, "--output", &snapshot];
    let report = Process::gondola(&import, dir.path()).await.json(0);
    let checked = Process::gondola(&["check", "--catalog", &snapshot], dir.path()).await.json(0);
    assert_eq!(checked["pictures"].as_u64(), report["rows"].as_u64().map(|rows| PICTURES_PER_PRODUCT as u64 * rows));
    assert!(fs::read_to_string(&snapshot).unwrap().contains("\"promotion_id\""));
}

#[tokio::test]
async fn the_log_follows_a_price_from_its_message_to_the_glass() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Command::new(GONDOLA);
    demo.env("GONDOLA_LOG", "warn,gondola::way=debug").args([
        "demo",
        "--labels",
        "3",
        "--base-stations",
        "1",
        "--seed",
        "3",
    ]);
    demo.args(["--listen", "127.0.0.1:0", "--until-settled", "--json"]);
    let ended = Process::start("demo", &mut demo, dir.path()).ended().await;
    let steps: Vec<&str> = ended.errors.lines().collect();
    let field = |step: &str, name: &str| {
        let value = step.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
        value.unwrap_or_else(|| panic!("no {name} in {step}")).to_owned()
    };
    // Backwards from the last proof, over what each step has in common with the one before.
    let before = |end: usize, kind: &str, common: &[(&str, &str)]| {
        let has = |step: &str| {
            common.iter().all(|(name, value)| step.split_whitespace().any(|word| word == format!("{name}={value}")))
        };
        let found = steps[..end].iter().rposition(|step| step.split_whitespace().any(|word| word == kind) && has(step));
        found.unwrap_or_else(|| panic!("no step `{kind}` with {common:?}:\n{}", steps.join("\n")))
    };
    let proven = before(steps.len(), "proven", &[]);
    let [sku, revision, label, edition] =
        ["sku", "revision", "label", "edition"].map(|name| field(steps[proven], name));
    let sent =
        before(proven, "sent", &[("sku", &sku), ("revision", &revision), ("label", &label), ("edition", &edition)]);
    let answered = before(proven, "answered", &[("transfer", &field(steps[sent], "transfer"))]);
    let priced = before(sent, "priced", &[("sku", &sku), ("price", field(steps[sent], "price").trim_matches('"'))]);
    let told = before(priced, "told", &[("sku", &format!("\"{sku}\"")), ("revision", &revision)]);
    assert!(told < priced && priced < sent && sent < answered && answered < proven, "{}", steps.join("\n"));
    ended.expect(0);
}
