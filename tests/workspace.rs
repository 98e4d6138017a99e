//! The shape of the workspace: which crate may depend on which, and which file alone may name a thing.
//!
//! Cargo accepts any edge that is no cycle, so the rules stand here.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Every edge between our crates that a build may have.
const EDGES: [(&str, &str); 5] = [
    ("gondola", "gondola-drivers"),
    ("gondola", "gondola-protocol"),
    ("gondola", "gondola-simulator"),
    ("gondola-drivers", "gondola-protocol"),
    ("gondola-simulator", "gondola-protocol"),
];

/// May depend on every crate, and nothing depends on it.
const BENCH: &str = "gondola-bench";

/// What only tests may add.
const SIMULATOR: &str = "gondola-simulator";

/// The wire crate runs where there is neither an operating system nor an async runtime.
const PROTOCOL: &str = "gondola-protocol";

/// Crates of sockets, files and tasks.
const OUTSIDE: [&str; 16] = [
    "async-std",
    "axum",
    "futures",
    "futures-util",
    "hyper",
    "mio",
    "reqwest",
    "rumqttc",
    "rumqttd",
    "sled",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tokio-serial",
    "tokio-util",
];

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Names every edge of `metadata` that is not allowed.
fn forbidden(metadata: &Value) -> Vec<String> {
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    let is_ours = |name: &str| packages().any(|package| text(package, "name") == name);
    let mut found = Vec::new();
    for package in packages() {
        let from = text(package, "name");
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let (to, is_dev) = (text(dependency, "name"), dependency["kind"] == "dev");
            if from == PROTOCOL && OUTSIDE.contains(&to) {
                found.push(format!("{from} -> {to}: the wire crate does no I/O and knows no async runtime"));
            }
            if !is_ours(to) || from == BENCH {
                continue;
            }
            let is_designed = EDGES.contains(&(from, to)) || (is_dev && to == SIMULATOR);
            if !is_designed {
                found.push(format!("{from} -> {to}: this edge is not in the design"));
            }
            if (from, to) == ("gondola", SIMULATOR) && !is_dev && dependency["optional"] != true {
                found.push(format!("{from} -> {to}: only behind the feature `simulator`"));
            }
        }
        if from == "gondola" && package["features"]["simulator"] != json!([format!("dep:{SIMULATOR}")]) {
            found.push(format!("{from}: its feature `simulator` does not bring {SIMULATOR} and nothing else"));
        }
    }
    found
}

fn workspace() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_depend_on_each_other_as_designed() {
    let metadata = workspace();
    assert!(metadata["packages"].as_array().is_some_and(|packages| packages.len() >= 4), "no packages were read");
    assert_eq!(forbidden(&metadata), Vec::<String>::new());
}

/// The real workspace with one more dependency.
#[track_caller]
fn check_planted(from: &str, dependency: Value, expected: &[&str]) {
    let mut metadata = workspace();
    let packages = metadata["packages"].as_array_mut().unwrap();
    let package = packages.iter_mut().find(|package| package["name"] == from).unwrap();
    package["dependencies"].as_array_mut().unwrap().push(dependency);
    assert_eq!(forbidden(&metadata), expected);
}

#[test]
fn a_planted_edge_is_named() {
    let not_designed = "gondola-simulator -> gondola-drivers: this edge is not in the design";
    check_planted(SIMULATOR, json!({"name": "gondola-drivers", "kind": null, "optional": false}), &[not_designed]);
    check_planted(SIMULATOR, json!({"name": "gondola-drivers", "kind": "dev", "optional": false}), &[not_designed]);
    check_planted(
        "gondola-drivers",
        json!({"name": "gondola", "kind": "build", "optional": false}),
        &["gondola-drivers -> gondola: this edge is not in the design"],
    );
    check_planted(
        "gondola",
        json!({"name": SIMULATOR, "kind": null, "optional": false}),
        &["gondola -> gondola-simulator: only behind the feature `simulator`"],
    );
    check_planted(
        PROTOCOL,
        json!({"name": "tokio", "kind": null, "optional": true}),
        &["gondola-protocol -> tokio: the wire crate does no I/O and knows no async runtime"],
    );
    check_planted(PROTOCOL, json!({"name": SIMULATOR, "kind": "dev", "optional": false}), &[]);
    check_planted(PROTOCOL, json!({"name": "thiserror", "kind": null, "optional": false}), &[]);
}

/// Every file of the `src` of our crates that ship, by its path within the workspace.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let metadata = workspace();
    let mut found = Vec::new();
    // A benchmark is what a clock is for.
    let ships = |package: &&Value| text(package, "name") != BENCH;
    for package in metadata["packages"].as_array().unwrap().iter().filter(ships) {
        let mut folders = vec![Path::new(text(package, "manifest_path")).parent().unwrap().join("src")];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let source = std::fs::read_to_string(&path).unwrap();
                    found.push((path.strip_prefix(root).unwrap().to_owned(), source));
                }
            }
        }
    }
    found.sort();
    found
}

/// Whether a line of code, its comment left out, holds `words` as whole words.
fn names(line: &str, words: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(words)
        .any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + words.len()..].starts_with(is_part))
}

/// The lines that hold any of `words`, outside the place that may.
fn strays(words: &[&str], allowed: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, source) in sources().iter().filter(|(path, _)| !path.starts_with(allowed)) {
        for (line, number) in source.lines().zip(1..) {
            if words.iter().any(|words| names(line, words)) {
                found.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    found
}

#[test]
fn only_the_storage_names_its_database() {
    assert_eq!(strays(&["sled"], "src/storage"), Vec::<String>::new());
    assert!(!strays(&["sled"], "nowhere").is_empty(), "the storage has no database any more: remove this test");
}

#[test]
fn only_one_file_reads_a_clock() {
    let clocks = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];
    assert_eq!(strays(&clocks, "src/run/clock.rs"), Vec::<String>::new());
    assert!(!strays(&clocks, "nowhere").is_empty(), "no clock is read any more: remove this test");
}

#[test]
fn words_are_found_in_code_alone() {
    assert!(names("    db: sled::Db,", "sled"));
    assert!(names("let now = Instant::now();", "Instant::now"));
    assert!(!names("/// sled is named here", "sled"));
    assert!(!names("let assled = 1; // sled", "sled"));
    assert!(!names("use_sled()", "sled"));
}
