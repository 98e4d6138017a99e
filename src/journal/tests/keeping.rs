//! Sealing, checkpoints and retention.

use rust_decimal::Decimal;

use super::*;
use crate::alert::{Alert, NEWS_MAX, Rule, State};
use crate::catalog::approvals::Verdict;
use crate::catalog::history::PricePoint;
use crate::catalog::wire::{Facet, RowKey};
use crate::journal::entry::{Confirmed, Position};
use crate::journal::keeper::{Done, keep};
use gondola_protocol::{Digest, Edition};

const DAY: Duration = Duration::from_secs(86_400);

fn proof(label: u64, edition: u64) -> Entry {
    let digest = Digest([u8::try_from(edition).unwrap(); 16]);
    Entry::Proof {
        label: LabelId(label),
        digest,
        edition: Edition(edition),
        key: None,
        shown: Vec::new(),
        previous_until: None,
    }
}

fn bound(label: u64, sku: &str) -> Entry {
    Entry::Bound { label: LabelId(label), skus: vec![sku.parse().unwrap()], template: None }
}

fn price(sku: &str, from: u64, cents: i64) -> Entry {
    let price = Some(Decimal::new(cents, 2));
    let point = PricePoint { sku: sku.parse().unwrap(), from: Moment::from_secs(from), price, promotion_id: None };
    Entry::Prices { points: vec![point] }
}

fn decided(sku: &str, revision: u64) -> Entry {
    let row = RowKey::Sku(Facet::Base, sku.parse().unwrap());
    Entry::Decided { row, revision, verdict: Verdict::Approved }
}

fn run(directory: &MemoryDirectory, now: u64) -> Done {
    keep(&shared(directory), &store(), DAY, Moment::from_secs(now)).unwrap()
}

fn entries(recalled: Vec<Recalled>) -> Vec<Entry> {
    recalled.into_iter().map(|it| it.entry).collect()
}

#[test]
fn a_closed_segment_is_sealed_and_verifies() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(20_000), &(1..=150).map(removed).collect::<Vec<_>>());
    let before = directory.bytes(FIRST).len();
    assert_eq!(run(&directory, 0).sealed, 1);
    let sealed = directory.bytes(&format!("{FIRST}.gz")).len();
    assert!(!directory.names().contains(&FIRST.to_owned()));
    // The hashes alone, which cannot be compressed, are a sixth of these short lines.
    assert!(sealed * 3 < before, "{sealed} of {before}");
    assert_eq!(verify(directory.shared(), &store()).unwrap().records, 150);
    assert_eq!(run(&directory, 0), Done::default(), "there is nothing left to do");
}

#[test]
fn a_checkpoint_holds_what_its_records_come_to() {
    let directory = MemoryDirectory::default();
    let history = [
        registered(1),
        registered(2),
        registered(3),
        bound(1, "1101"),
        bound(2, "1102"),
        bound(3, "1103"),
        price("1101", 10, 5_990),
        price("1101", 20, 4_990),
        proof(1, 7),
        proof(2, 7),
        removed(3),
        decided("1101", 4),
        Entry::Unbound { label: LabelId(2) },
        bound(1, "1104"),
        proof(1, 8),
        decided("1101", 5),
        Entry::Confirmed { labels: vec![Confirmed { label: LabelId(1), proof: 15, until: Moment::from_secs(99) }] },
        price("1101", 30, 5_990),
    ];
    append_each(&directory, options(1), &history);
    assert_eq!(run(&directory, 0).checkpoint, Some(18));
    let expected = [
        registered(1),
        bound(1, "1104"),
        proof(1, 8),
        registered(2),
        proof(2, 7),
        Entry::Confirmed { labels: vec![Confirmed { label: LabelId(1), proof: 15, until: Moment::from_secs(99) }] },
    ];
    let (recalled, opened) = reopened(&directory);
    assert_eq!((opened.head.sequence, opened.until), (18, Some(Moment::from_secs(18))));
    let sequences: Vec<_> = recalled.iter().map(|it| it.position.map(|position| position.sequence)).collect();
    assert_eq!(sequences, [Some(1), Some(14), Some(15), Some(2), Some(10), None, None, Some(16)]);
    let found = entries(recalled);
    assert_eq!(found[..6], expected);
    let Entry::Prices { points } = &found[6] else { panic!("{found:?}") };
    let prices: Vec<_> = points.iter().map(|point| (point.from.as_micros() / 1_000_000, point.price)).collect();
    assert_eq!(prices, [(10, 5_990), (20, 4_990), (30, 5_990)].map(|(at, cents)| (at, Some(Decimal::new(cents, 2)))));
    assert_eq!(found[7], decided("1101", 5));
}

#[test]
fn a_checkpoint_holds_exchanges_the_alerts_that_hold_and_the_newest_news() {
    let alert = |second: u64, subject: &str, state: State| {
        let (at, subject) = (Moment::from_secs(second), subject.to_owned());
        let (number, text) = (second * 1_000, "it is so".to_owned());
        Entry::Alert(Alert {
            number,
            rule: Rule::Stranger,
            subject,
            state,
            text,
            cause: None,
            at,
            since: at,
            acknowledged: None,
        })
    };
    let directory = MemoryDirectory::default();
    let replaced = Entry::Replaced {
        label: LabelId(1),
        panel: "bwr-296x128".parse().unwrap(),
        with: LabelId(2),
        with_panel: "bwr-296x128".parse().unwrap(),
        position: Position { aisle: "3".into(), ..Position::default() },
        skus: vec!["1101".parse().unwrap()],
        template: None,
    };
    let mut history = vec![registered(1), bound(1, "1101"), replaced, alert(1, "old", State::Raised)];
    for second in 0..NEWS_MAX as u64 {
        history.push(alert(10 + second, "other", if second % 2 == 0 { State::Raised } else { State::Cleared }));
    }
    append_each(&directory, options(1), &history);
    run(&directory, 0);
    let found = entries(reopened(&directory).0);
    let Entry::Registered { position, .. } = &found[1] else { panic!("{:?}", found[1]) };
    assert_eq!((&found[0], position.aisle.as_str(), &found[2]), (&registered(1), "3", &bound(2, "1101")));
    assert_eq!(found[3], alert(1, "old", State::Raised));
    assert_eq!(found[4..], history[4..]);
}

/// Folding again what was folded changes nothing: a checkpoint may be made in any number of steps.
#[test]
fn a_checkpoint_of_checkpoints_is_the_same() {
    let history: Vec<Entry> = (1..=60)
        .map(|nth| match nth % 5 {
            0 => price("1101", nth, i64::try_from(nth * 10).unwrap()),
            1 => registered(nth % 7),
            2 => bound(nth % 7, "1101"),
            3 => proof(nth % 7, nth),
            _ => {
                if nth % 3 == 0 {
                    removed(nth % 7)
                } else {
                    decided("1101", nth)
                }
            }
        })
        .collect();
    let (once, often) = (MemoryDirectory::default(), MemoryDirectory::default());
    append_each(&once, options(1), &history);
    run(&once, 0);
    for part in history.chunks(7) {
        append_each(&often, options(1), part);
        run(&often, 0);
    }
    let strip = |recalled: Vec<Recalled>| {
        recalled.into_iter().map(|it| (it.position.map(|position| position.sequence), it.entry)).collect::<Vec<_>>()
    };
    assert_eq!(strip(reopened(&once).0), strip(reopened(&often).0));
}

#[test]
fn old_records_are_dropped_once_two_checkpoints_cover_them() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(1), &[registered(1), bound(1, "1101"), proof(1, 7), proof(1, 8)]);
    assert_eq!(run(&directory, 1_000_000), Done { sealed: 4, checkpoint: Some(4), dropped: 0 });
    append_each(&directory, options(1), &[proof(1, 9)]);
    // The last record of the first four is of second 4; what comes after of second 1.
    assert_eq!(run(&directory, 1_000_000), Done { sealed: 1, checkpoint: Some(5), dropped: 4 });
    let verified = verify(directory.shared(), &store()).unwrap();
    assert_eq!((verified.first, verified.records, verified.head.sequence), (5, 1, 5));
    assert_eq!(entries(reopened(&directory).0), [registered(1), bound(1, "1101"), proof(1, 9)]);
}

#[test]
fn young_records_stay() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(1), &[registered(1), bound(1, "1101")]);
    run(&directory, 2);
    append_each(&directory, options(1), &[proof(1, 7)]);
    assert_eq!(run(&directory, 2).dropped, 0);
    assert_eq!(verify(directory.shared(), &store()).unwrap().first, 1);
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(1), &[registered(1), proof(1, 7)]);
    run(&directory, 1_000_000);
    append_each(&directory, options(1), &[proof(1, 8)]);
    run(&directory, 1_000_000);
    assert_eq!(verify(directory.shared(), &store()).unwrap().first, 3, "only checkpoints know the registration");
    let name = "checkpoint-00000000000000000003.ndjson.gz";
    let mut bytes = directory.bytes(name);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    directory.put(name, &bytes);
    assert_eq!(verify(directory.shared(), &store()).unwrap_err().file, name);
    let (recalled, opened) = open(&directory, options(u64::MAX), |_| ()).unwrap();
    assert_eq!(entries(recalled), [registered(1), proof(1, 7), proof(1, 8)]);
    assert_eq!(opened.unusable.len(), 1);
    let said = opened.unusable[0].to_string();
    assert!(said.starts_with(&format!("checkpoint {name} cannot be used: ")), "{said}");
    directory.put("checkpoint-00000000000000000002.ndjson.gz", b"nothing");
    let error = open(&directory, options(1), |_| ()).unwrap_err();
    assert!(error.to_string().contains("has no checkpoint that can be used: checkpoint "), "{error}");
    assert_eq!(error.hint(), "restore the journal from a backup; keep what is there beside it");
}

#[test]
fn a_checkpoint_of_another_history_is_refused() {
    let (one, other) = (MemoryDirectory::default(), MemoryDirectory::default());
    append_each(&one, options(1), &[registered(1), registered(2)]);
    append_each(&other, options(1), &[registered(1), registered(3)]);
    run(&one, 0);
    let name = "checkpoint-00000000000000000002.ndjson.gz";
    other.put(name, &one.bytes(name));
    let error = open(&other, options(1), |_| ()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("stands where the journal goes on from it"), "{cause}");
}
