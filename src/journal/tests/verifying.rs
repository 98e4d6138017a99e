//! What is wrong with a journal is found, in the record in which it is.

use proptest::prelude::*;

use super::*;
use crate::journal::{Broken, Flaw};

/// A journal of `count` records that differ in length, over several segments if `segment_bytes` is small.
fn journal(count: u64, segment_bytes: u64) -> MemoryDirectory {
    let directory = MemoryDirectory::default();
    let entries: Vec<Entry> = (1..=count)
        .map(|label| {
            let skus = (0..label % 4).map(|sku| sku.to_string().parse().unwrap()).collect();
            Entry::Bound { label: LabelId(label), skus, template: None }
        })
        .collect();
    append_each(&directory, options(segment_bytes), &entries);
    directory
}

fn broken(directory: &MemoryDirectory) -> Broken {
    verify(directory.shared(), &store()).unwrap_err()
}

#[test]
fn a_whole_journal_verifies() {
    for count in [0, 1, 7] {
        let verified = verify(journal(count, 500).shared(), &store()).unwrap();
        assert_eq!((verified.records, verified.head.sequence), (count, count));
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let directory = journal(2, u64::MAX);
    let bytes = directory.bytes(FIRST);
    let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    directory.put(FIRST, &bytes[..bytes.len() - 1]);
    let torn = broken(&directory);
    assert_eq!(
        format!("{torn}; {}", torn.hint()),
        format!(
            "record 2 ({FIRST}, line 3, from byte {}) is torn: the file ends after {} bytes of it, without a newline; \
             a write was interrupted; it was never acknowledged, and the next start removes it",
            ends[1],
            bytes.len() - ends[1] - 1
        )
    );
    directory.put(FIRST, &[&bytes[..ends[0]], &bytes[ends[1]..]].concat());
    let skipped = broken(&directory).to_string();
    assert!(
        skipped.starts_with(&format!("record 1 ({FIRST}, line 2, from byte {}) was changed", ends[0])),
        "{skipped}"
    );
    directory.put(FIRST, &bytes[ends[0]..]);
    let headless = broken(&directory);
    assert!(matches!(headless.flaw, Flaw::Header { .. }) && headless.sequence == 1, "{headless}");
    directory.put(FIRST, b"");
    assert!(broken(&directory).to_string().ends_with("but the file is empty"));
}

#[test]
fn another_stores_journal_is_refused() {
    let directory = journal(2, u64::MAX);
    let broken = verify(directory.shared(), &"hz-002".parse().unwrap()).unwrap_err();
    assert!(broken.to_string().ends_with("but it is a segment of store `hz-001`"), "{broken}");
}

#[test]
fn a_missing_segment_is_found() {
    let directory = journal(9, 500);
    let names = directory.names();
    assert!(names.len() > 3, "{names:?}");
    let first_in = |name: &str| name["segment-".len()..][..20].parse::<u64>().unwrap();
    let dir = shared(&directory);
    dir.remove(&names[1]).unwrap();
    let broken = broken(&directory);
    assert_eq!(broken.sequence, first_in(&names[1]));
    assert_eq!(broken.flaw, Flaw::Missing { next: first_in(&names[2]) });
    assert!(broken.hint().starts_with("files were removed from the journal's directory; "), "{}", broken.hint());
    let error = open(&directory, options(u64::MAX), |_| ()).unwrap_err();
    assert!(matches!(error, JournalError::Broken { .. }), "{error}");
}

#[test]
fn a_segment_that_was_cut_short_is_no_torn_tail() {
    let directory = journal(9, 500);
    let names = directory.names();
    let bytes = directory.bytes(&names[0]);
    directory.put(&names[0], &bytes[..bytes.len() - 10]);
    assert!(matches!(broken(&directory).flaw, Flaw::Missing { .. }));
}

#[test]
fn a_segment_behind_another_beginning_is_found() {
    let (one, other) = (journal(9, 500), MemoryDirectory::default());
    let entries: Vec<Entry> =
        (1..=9).map(|label| Entry::Bound { label: LabelId(label), skus: Vec::new(), template: None }).collect();
    append_each(&other, options(500), &entries);
    let shared: Vec<String> = one.names().into_iter().filter(|name| other.names().contains(name)).collect();
    let swapped = shared.last().unwrap();
    assert_ne!(swapped, FIRST);
    one.put(swapped, &other.bytes(swapped));
    assert!(matches!(broken(&one).flaw, Flaw::Fork { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_changed_byte_is_found_in_its_record(count in 1_u64..9, at: prop::sample::Index, flip in 1_u8..) {
        let directory = journal(count, u64::MAX);
        let mut bytes = directory.bytes(FIRST);
        let at = at.index(bytes.len());
        // The header is before the first record.
        let sequence = (bytes[..at].iter().filter(|&&b| b == b'\n').count() as u64).max(1);
        bytes[at] ^= flip;
        directory.put(FIRST, &bytes);
        prop_assert_eq!(broken(&directory).sequence, sequence);
    }

    #[test]
    fn any_missing_or_swapped_record_is_found(first in 1_usize..8, second in 1_usize..8) {
        let directory = journal(8, u64::MAX);
        let bytes = directory.bytes(FIRST);
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
        if first == second {
            lines.remove(first);
        } else {
            lines.swap(first, second);
        }
        directory.put(FIRST, &lines.concat());
        prop_assert_eq!(broken(&directory).sequence, first.min(second) as u64);
    }

    #[test]
    fn any_bytes_are_an_answer(bytes: Vec<u8>) {
        let directory = MemoryDirectory::default();
        directory.put(FIRST, &bytes);
        prop_assert!(verify(directory.shared(), &store()).is_err());
    }
}
