//! `gondola journal verify` on journals that were changed or torn.

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
