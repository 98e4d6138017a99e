//! What a label had proven around an instant.

use super::*;
use crate::journal::entry::{Confirmed, Shown};
use crate::journal::keeper::keep;
use crate::journal::{JournalReader, Proofs};
use gondola_protocol::{Digest, Edition};

fn at(second: u64) -> Moment {
    Moment::from_secs(second)
}

fn proof(label: u64, picture: u8, edition: u64, previous_until: Option<u64>) -> Entry {
    let shown = vec![Shown {
        sku: "1101".parse().unwrap(),
        revision: Some(edition),
        promotion_id: None,
        promotion_revision: None,
        price: Some(format!("{picture}.00").into()),
    }];
    Entry::Proof {
        label: LabelId(label),
        digest: Digest([picture; 16]),
        edition: Edition(edition),
        key: None,
        shown,
        previous_until: previous_until.map(at),
    }
}

fn confirmed(label: u64, proof: u64, until: u64) -> Entry {
    Entry::Confirmed { labels: vec![Confirmed { label: LabelId(label), proof, until: at(until) }] }
}

/// Label 1 shows picture 1 from second 10, picture 2 from 40 and again with a new number at 45, and picture 3 from 90;
/// label 2 is removed in between; label 3 shows one picture all the time.
fn history() -> Vec<(u64, Entry)> {
    let mut history: Vec<(u64, Entry)> = (1..=3).map(|label| (label, registered(label))).collect();
    history.extend([
        (10, proof(1, 1, 1, None)),
        (11, proof(2, 1, 1, None)),
        (12, proof(3, 9, 1, None)),
        (20, confirmed(1, 4, 18)),
        (30, confirmed(1, 4, 29)),
        (31, confirmed(3, 6, 30)),
        (40, proof(1, 2, 2, Some(38))),
        (45, proof(1, 2, 3, None)),
        (50, removed(2)),
        (60, confirmed(1, 11, 59)),
        (70, confirmed(3, 6, 69)),
        (90, proof(1, 3, 4, None)),
        (95, registered(2)),
    ]);
    history
}

fn written(segment_bytes: u64) -> MemoryDirectory {
    let directory = MemoryDirectory::default();
    let (sink, reports) = reports();
    let journal = open(&directory, options(segment_bytes), sink).unwrap().1.journal;
    for (second, entry) in history() {
        journal.append(at(second), vec![entry]).unwrap();
        reports.recv().unwrap().unwrap();
    }
    journal.close();
    directory
}

fn proofs(directory: &MemoryDirectory, label: u64, second: u64) -> Option<Proofs> {
    JournalReader::new(shared(directory), &store()).proofs_of(LabelId(label), at(second)).unwrap()
}

/// Record of the proof that holds, until when it is proven, record of the next one, and when the label was removed.
type Brief = (u64, u64, Option<u64>, Option<u64>);

fn brief(proofs: &Proofs) -> Brief {
    let seconds = |moment: Moment| moment.as_micros() / 1_000_000;
    let next = proofs.next.as_ref().map(|next| next.position.sequence);
    (proofs.holding.position.sequence, seconds(proofs.proven_until), next, proofs.removed.map(seconds))
}

#[track_caller]
fn check(directory: &MemoryDirectory, label: u64, second: u64, expected: Option<Brief>) {
    assert_eq!(proofs(directory, label, second).as_ref().map(brief), expected, "label {label} at {second}");
}

#[track_caller]
fn check_all(directory: &MemoryDirectory) {
    check(directory, 1, 9, None);
    check(directory, 1, 10, Some((4, 38, Some(10), None)));
    check(directory, 1, 25, Some((4, 38, Some(10), None)));
    check(directory, 1, 39, Some((4, 38, Some(10), None)));
    check(directory, 1, 40, Some((10, 59, Some(15), None)));
    check(directory, 1, 89, Some((11, 59, Some(15), None)));
    check(directory, 1, 5_000, Some((15, 90, None, None)));
    check(directory, 2, 30, Some((5, 11, None, Some(50))));
    check(directory, 2, 50, None);
    check(directory, 2, 99, None);
    check(directory, 3, 12, Some((6, 69, None, None)));
    check(directory, 3, 99, Some((6, 69, None, None)));
    check(directory, 4, 99, None);
}

#[test]
fn the_proof_that_holds_its_confirmations_and_the_next_one_are_found() {
    for segment_bytes in [1, 600, u64::MAX] {
        check_all(&written(segment_bytes));
    }
}

#[test]
fn sealed_segments_answer_the_same() {
    let directory = written(600);
    assert!(keep(&shared(&directory), &store(), Duration::from_secs(1_000), at(95)).unwrap().sealed > 3);
    check_all(&directory);
}

#[test]
fn a_proof_carries_its_record_and_what_was_shown() {
    let directory = written(u64::MAX);
    let holding = proofs(&directory, 1, 50).unwrap().holding;
    assert_eq!((holding.digest, holding.edition, holding.at), (Digest([2; 16]), Edition(3), at(45)));
    assert_eq!(holding.shown[0].price.as_deref(), Some("2.00"));
    let text = String::from_utf8(directory.bytes(FIRST)).unwrap();
    let line = text.lines().nth(11).unwrap();
    assert!(line.starts_with(r#"{"sequence":11,"#) && line.contains(&holding.position.hash.to_string()), "{line}");
}

/// The proof's own record was dropped for its age; a checkpoint still knows it, with its position.
#[test]
fn a_proof_older_than_the_journal_is_found_in_its_checkpoint() {
    let directory = written(1);
    let expected = proofs(&directory, 3, 99).unwrap();
    keep(&shared(&directory), &store(), Duration::from_secs(1_000), at(95)).unwrap();
    append_each(&directory, options(1), &[registered(7)]);
    let dropped = keep(&shared(&directory), &store(), Duration::from_secs(35), at(100)).unwrap().dropped;
    assert!(dropped >= 12, "{dropped}");
    assert_eq!(proofs(&directory, 3, 99), Some(expected));
    check(&directory, 1, 99, Some((15, 90, None, None)));
}

#[test]
fn a_record_that_is_not_durable_yet_is_not_told() {
    let directory = MemoryDirectory::default();
    let (sink, reports) = reports();
    let journal = open(&directory, options(u64::MAX), sink).unwrap().1.journal;
    journal.append(at(1), vec![registered(1), proof(1, 1, 1, None)]).unwrap();
    reports.recv().unwrap().unwrap();
    let before = directory.syncs();
    directory.hold_syncs();
    journal.append(at(2), vec![proof(1, 2, 2, None)]).unwrap();
    directory.wait_for_sync(before + 1);
    let proofs = |second| journal.reader().proofs_of(LabelId(1), at(second)).unwrap().unwrap();
    assert_eq!(brief(&proofs(9)), (2, 1, None, None));
    directory.release_syncs();
    reports.recv().unwrap().unwrap();
    assert_eq!(brief(&proofs(9)), (3, 2, None, None));
    journal.close();
}
