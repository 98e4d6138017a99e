//! `gondola journal`: verify on journals that were changed or torn, show, and rebuild.

use std::fs;
use std::path::{Path, PathBuf};

use gondola::journal::{DIR_NAME, Entry, Journal, JournalOptions};
use gondola::storage::store_dir;
use gondola_protocol::{LabelId, Moment, StoreId};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

const RECORDS: u64 = 20;

/// A data directory with one store's journal in it.
fn data_dir() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store: StoreId = "hz-001".parse().unwrap();
    let store_dir = store_dir(dir.path(), &store);
    let options = JournalOptions::default();
    let opened = Journal::open(&store_dir, &store, options, &mut |_| (), |synced| assert!(synced.is_ok()));
    let journal = opened.unwrap().journal;
    for label in 1..=RECORDS {
        journal.append(Moment::from_micros(label), vec![Entry::Unbound { label: LabelId(label) }]).unwrap();
    }
    journal.close();
    (dir, store_dir.join(DIR_NAME).join("segment-00000000000000000001.ndjson"))
}

async fn verify(dir: &Path, code: i32) -> Value {
    let ended = Process::gondola(&["journal", "verify", "--data-dir", dir.to_str().unwrap()], dir).await;
    ended.json(code)["journals"][0].clone()
}

#[tokio::test]
async fn one_changed_byte_is_found_and_its_record_named() {
    let (dir, file) = data_dir();
    let whole = fs::read(&file).unwrap();
    let report = verify(dir.path(), 0).await;
    assert_eq!((&report["state"], &report["records"]), (&"whole".into(), &RECORDS.into()), "{report}");
    let positions = (1..8).map(|part| part * (whole.len() - 1) / 8).chain([0, whole.len() - 2]);
    for position in positions {
        let mut changed = whole.clone();
        changed[position] ^= 1;
        fs::write(&file, &changed).unwrap();
        // The first line is the segment's header, without which its first record cannot be checked.
        let line = 1 + whole[..position].iter().filter(|&&byte| byte == b'\n').count() as u64;
        let sequence = line.saturating_sub(1).max(1);
        let report = verify(dir.path(), 1).await;
        assert_eq!((&report["state"], &report["sequence"]), (&"broken".into(), &sequence.into()), "{report}");
        let error = report["error"].as_str().unwrap();
        let file = "segment-00000000000000000001.ndjson";
        assert!(error.starts_with(&format!("record {sequence} ({file}, line {line}, from byte ")), "{error}");
    }
}

#[tokio::test]
async fn a_torn_last_line_is_told_and_is_no_finding() {
    let (dir, file) = data_dir();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 30]).unwrap();
    let report = verify(dir.path(), 0).await;
    assert_eq!((&report["state"], &report["sequence"]), (&"torn".into(), &RECORDS.into()), "{report}");
    assert_eq!(report["records"], RECORDS - 1);
    assert!(report["hint"].as_str().unwrap().contains("it was never acknowledged"), "{report}");
}

async fn shown(dir: &Path, arguments: &[&str]) -> Vec<String> {
    let dir_argument = dir.to_str().unwrap();
    let arguments = [&["journal", "show", "--data-dir", dir_argument], arguments].concat();
    let ended = Process::gondola(&arguments, dir).await;
    ended.expect(0);
    ended.output.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn records_are_shown_as_sentences_and_as_json_and_can_be_chosen() {
    let (dir, file) = data_dir();
    let all = shown(dir.path(), &[]).await;
    assert_eq!(all.len() as u64, RECORDS);
    assert_eq!(all[6], "1970-01-01T00:00:00Z  hz-001         7  label 0000000000000007 unbound");
    assert_eq!(shown(dir.path(), &["--label", "0000000000000007"]).await, [all[6].clone()]);
    assert!(shown(dir.path(), &["--sku", "1101"]).await.is_empty());
    let some = shown(dir.path(), &["--since", "1970-01-01T00:00:00.000005Z", "--until", "1970-01-01T00:00:00.000008Z"]);
    assert_eq!(some.await, all[4..7]);
    assert_eq!(shown(dir.path(), &["--store", "hz-001"]).await, all);
    let json = shown(dir.path(), &["--json", "--label", "0000000000000007"]).await;
    let record: Value = serde_json::from_str(&json[0]).unwrap();
    let line = fs::read_to_string(&file).unwrap().lines().nth(7).unwrap().to_owned();
    let written: Value = serde_json::from_str(&line).unwrap();
    for field in ["sequence", "entry", "hash"] {
        assert_eq!(record[field], written[field], "{record}");
    }
    let other = ["journal", "show", "--store", "hz-009", "--data-dir", dir.path().to_str().unwrap()];
    let ended = Process::gondola(&other, dir.path()).await;
    ended.expect(2);
    assert!(ended.errors.contains("there is no store `hz-009`; there are hz-001"), "{}", ended.errors);
}

#[tokio::test]
async fn a_broken_record_ends_the_show_with_its_place() {
    let (dir, file) = data_dir();
    let text = fs::read_to_string(&file).unwrap().replace("000000000000000A", "000000000000000B");
    fs::write(&file, text).unwrap();
    let ended = Process::gondola(&["journal", "show", "--data-dir", dir.path().to_str().unwrap()], dir.path()).await;
    ended.expect(1);
    assert_eq!(ended.output.lines().count(), 9);
    assert!(ended.errors.contains("record 10 ("), "{}", ended.errors);
}

#[tokio::test]
async fn the_view_is_made_anew_on_demand() {
    let (dir, _) = data_dir();
    let rebuild = ["journal", "rebuild", "--data-dir", dir.path().to_str().unwrap()];
    let report = Process::gondola(&rebuild, dir.path()).await.json(0)["journals"][0].clone();
    assert_eq!((&report["state"], &report["records"]), (&"whole".into(), &RECORDS.into()), "{report}");
    let aside = report["rebuilt"]["view_set_aside"].as_str().unwrap();
    assert!(aside.ends_with("view.set-aside-1"), "{report}");
}
