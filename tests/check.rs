//! `gondola check` is clean for what ships, and finds each of the mistakes that are planted here.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::fs;
use std::path::Path;
use std::process::Command;

const RULES: &str = "[[rule]]\ntemplate = \"tag\"\n";
/// All that the law of China wants beside a price.
const LAWFUL: &str = r#"<text size="12" lines="8" overflow="shrink">{{ product.name }} {{ product.spec }} {{ product.origin }} {{ product.grade }}</text>
<price size="24..12" unit="{{ product.unit }}">{{ product.price }}</price>"#;
const PRODUCT: &str = r#"{"sku":"1","revision":1,"name":"盐","spec":"400g","origin":"青海","grade":"一级","unit":"袋","barcode":"6901234567892","price":"2.50","content":{"amount":"400","unit":"g"}}"#;

/// What `check` says of a directory of templates and a catalog: its exit code, and all that it prints.
fn checked(templates: &Path, catalog: &Path, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gondola"));
    command.args(["check", "--at", "2026-11-25T12:00:00+08:00", "--templates"]).arg(templates);
    let output = command.arg("--catalog").arg(catalog).args(more).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), said.concat())
}

/// Checks one template `tag`, its rules and one product, for a store in a market.
fn planted(template: &str, rules: &str, product: &str, market: &str) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    write("tag.xml", template);
    write("rules.toml", rules);
    let header = r#"{"snapshot":{"facet":"base","generation":1}}"#;
    let catalog = write("catalog.ndjson", &format!("{header}\n{product}\n{{\"end\":{{\"count\":1}}}}\n"));
    let currency = if market == "CN" { "CNY" } else { "EUR" };
    let config = write(
        "gondola.toml",
        &format!(
            "data_dir = \"data\"\n[feed]\nbroker = \"mqtt://127.0.0.1:1883\"\n[[store]]\nid = \"one\"\nname = \"One\"\n\
             format = \"community\"\ntime_zone = \"Europe/Berlin\"\ncurrency = \"{currency}\"\nmarket = \"{market}\"\n"
        ),
    );
    checked(directory.path(), &catalog, &["--config", config.to_str().unwrap()])
}

#[track_caller]
fn check_says((code, said): (i32, String), expected: &str) {
    assert!(said.contains(expected), "`{expected}` is not in {said}");
    assert!(code == 1 || code == 2, "exit code {code}");
}

fn tag(inside: &str) -> String {
    format!("<template name=\"tag\" direction=\"column\">\n{inside}\n{LAWFUL}</template>")
}

/// Mistakes in a template.
#[track_caller]
fn check_template(inside: &str, expected: &str) {
    check_says(planted(&tag(inside), RULES, PRODUCT, "CN"), expected);
}

#[test]
fn a_right_template_is_clean() {
    let (code, said) = planted(&tag("<rule/>"), RULES, PRODUCT, "CN");
    assert_eq!(code, 0, "{said}");
}

#[test]
fn what_ships_is_clean_for_every_template_panel_and_product() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("label-templates");
    let (code, said) = checked(&shipped, &shipped.join("samples/catalog.ndjson"), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("\"findings\": []"), "{said}");
}

#[test]
fn what_a_template_costs_on_a_type_of_label_is_said() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("label-templates");
    let directory = tempfile::tempdir().unwrap();
    let catalog = directory.path().join("one.ndjson");
    let header = r#"{"snapshot":{"facet":"base","generation":1}}"#;
    fs::write(&catalog, format!("{header}\n{PRODUCT}\n{{\"end\":{{\"count\":1}}}}\n")).unwrap();
    let (_, said) = checked(&shipped, &catalog, &["--costs"]);
    let report: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    let costs = report["costs"].as_array().unwrap();
    let line = |kind: &str| {
        let of = |cost: &&serde_json::Value| cost["label_type"] == kind && cost["template"] == "standard";
        costs.iter().find(of).unwrap_or_else(|| panic!("{kind} is not in {costs:?}"))
    };
    let (small, large) = (line("33"), line("36"));
    assert_eq!((&small["panel"], &small["blocks"]["max"]), (&"bwr-384x168".into(), &1.into()));
    assert!((100..4_096).contains(&small["bytes"]["max"].as_u64().unwrap()), "{small}");
    assert!(large["bytes"]["max"].as_u64() > small["bytes"]["max"].as_u64(), "{large}");
    let (_, said) = checked(&shipped, &catalog, &[]);
    assert!(!said.contains("\"costs\""), "{said}");
}

#[test]
fn mistakes_of_writing_are_found_with_their_place() {
    check_template("<blink/>", "tag.xml:2:1: unknown element `blink`");
    check_template("<rule colour=\"red\"/>", "tag.xml:2:7: unknown attribute `colour` of `rule`");
    check_template("<box gap=\"wide\"/>", "tag.xml:2:6: `gap` is `wide`; expected a whole number");
    check_template("<barcode>1</barcode>", "tag.xml:2:1: `barcode` has no `type`");
    check_template("<text>{{ product.nmae }}</text>", "tag.xml:2:7: unknown field `product.nmae`");
    check_template("<text>{{ product.name | shout }}</text>", "unknown filter: filter shout is unknown");
    check_template("<image src=\"logo.png\"/>", "tag.xml:2:8: `src` is `logo.png`; expected a PNG");
    check_says(planted("<template name=\"tag\">", RULES, PRODUCT, "CN"), "tag.xml:1:1: the root node was opened");
}

#[test]
fn mistakes_of_the_rules_are_found_with_their_place() {
    let rules = |rules: &str, expected: &str| check_says(planted(&tag("<rule/>"), rules, PRODUCT, "CN"), expected);
    rules("[[rule]]\ntemplate = \"tga\"\n", "rules.toml:2:12: unknown template `tga`");
    rules(&RULES.repeat(2), "rules.toml:2:12: a rule without `when` before the last");
    rules("[[rule]]\ntemplate = \"tag\"\nwhen = \"product.price\"\n", "rules.toml:2:12: the last rule has `when`");
}

#[test]
fn what_a_product_makes_of_a_template_is_found() {
    check_template(
        "<text size=\"40\">{{ product.name }}{{ product.name }}长得不得了的名字哪里放得下</text>",
        "does not fit and was cut",
    );
    check_template("<text size=\"12\">\u{10FFFD}</text>", "(U+10FFFD); a box stands for it");
    check_template("<barcode type=\"ean13\">6901234567890</barcode>", "its check digit is 0, and 2 by the others");
    check_template(
        "<barcode type=\"ean13\" module=\"3\">{{ product.barcode }}</barcode>",
        "with the light around it, it needs 339 pixels",
    );
    check_template(
        "<text size=\"12\" color=\"white\">{{ product.name }}</text>",
        "cannot be seen: it is white on white",
    );
    let red = tag("<rule color=\"red\"/>").replacen("name", "panels=\"bw-296x128\" name", 1);
    check_says(planted(&red, RULES, PRODUCT, "CN"), "is made for bw-296x128 and uses red, which that panel lacks");
}

#[test]
fn what_the_law_wants_beside_a_price_is_found() {
    let only = |inside: &str| format!("<template name=\"tag\" direction=\"column\">{inside}</template>");
    let price = "<price size=\"24..12\">{{ product.price }}</price>";
    let name = "<text lines=\"4\" size=\"12\">{{ product.name }}</text>";
    check_says(planted(&only(price), RULES, PRODUCT, "CN"), "the law of CN wants the name on a price label");
    check_says(planted(&only(name), RULES, PRODUCT, "CN"), "the law of CN wants the price on a price label");
    check_says(planted(&only(&format!("{name}{price}")), RULES, PRODUCT, "CN"), "the law of CN wants the origin");
    check_says(planted(&only(&format!("{name}{price}")), RULES, PRODUCT, "EU"), "the law of EU wants the unit price");
    let without_unit = PRODUCT.replace("\"unit\":\"袋\",", "");
    check_says(
        planted(&tag(""), RULES, &without_unit, "CN"),
        "the law of CN wants the unit on a price label, and the product has none",
    );
}
