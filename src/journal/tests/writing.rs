//! The writer: groups, segments, and what a process that died leaves.

use std::thread;

use super::*;
use crate::journal::memory::Left;
use crate::journal::writer::TornTail;
use crate::journal::{AppendError, DIR_NAME, DiskDirectory, JournalCounters, LINE_MAX};

#[test]
fn a_journal_on_disk_is_read_again_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for run in 0..3 {
        let (sink, reports) = reports();
        let mut recalled = Vec::new();
        let options = JournalOptions::default();
        let opened = Journal::open(dir.path(), &store(), options, &mut |it| recalled.push(it), sink).unwrap();
        assert_eq!((labels(&recalled), opened.torn), (expected.clone(), None));
        assert_eq!(opened.head.sequence, expected.len() as u64);
        assert_eq!(opened.until, (run > 0).then(|| Moment::from_secs(run - 1)));
        opened.journal.append(Moment::from_secs(run), vec![removed(run), removed(run + 10)]).unwrap();
        opened.journal.append(Moment::from_secs(run), Vec::new()).unwrap();
        opened.journal.close();
        expected.extend([run, run + 10]);
        let last = reports.try_iter().last().unwrap().unwrap();
        assert_eq!((last.batches, last.position.sequence), (2, expected.len() as u64));
    }
    let directory = DiskDirectory::at(&dir.path().join(DIR_NAME));
    assert_eq!(verify(directory, &store()).unwrap().records, 6);
}

#[test]
fn a_journal_goes_on_over_many_segments() {
    let directory = MemoryDirectory::default();
    let entries: Vec<Entry> = (1..=20).map(removed).collect();
    for part in entries.chunks(7) {
        append_each(&directory, options(600), part);
    }
    let (recalled, opened) = reopened(&directory);
    assert_eq!(labels(&recalled), (1..=20).collect::<Vec<_>>());
    assert_eq!(opened.head.sequence, 20);
    let verified = verify(directory.shared(), &store()).unwrap();
    assert_eq!((verified.records, verified.first), (20, 1));
    assert!(verified.segments >= 7, "{verified:?}");
}

#[test]
fn what_waits_shares_one_sync() {
    let directory = MemoryDirectory::default();
    let (sink, reports) = reports();
    let journal = open(&directory, options(u64::MAX), sink).unwrap().1.journal;
    let before = directory.syncs();
    directory.hold_syncs();
    journal.append(Moment::ZERO, vec![removed(0)]).unwrap();
    directory.wait_for_sync(before + 1);
    thread::scope(|scope| {
        for thread in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                (0..25).for_each(|nth| journal.append(Moment::ZERO, vec![removed(1 + thread * 25 + nth)]).unwrap());
            });
        }
    });
    directory.release_syncs();
    let (first, second) = (reports.recv().unwrap().unwrap(), reports.recv().unwrap().unwrap());
    assert_eq!((first.batches, second.batches), (1, 201));
    let JournalCounters { entries, fsyncs, bytes } = journal.counters();
    let header = directory.bytes(FIRST).iter().position(|&byte| byte == b'\n').unwrap() as u64 + 1;
    assert_eq!((entries, fsyncs, header + bytes), (201, 2, directory.bytes(FIRST).len() as u64));
    journal.close();
    let left = directory.after_power_cut(Left::Synced);
    assert_eq!(verify(left.shared(), &store()).unwrap().head, second.position);
}

#[test]
fn a_group_is_bounded() {
    let directory = MemoryDirectory::default();
    let journal = open(&directory, options(u64::MAX), |_| ()).unwrap().1.journal;
    let before = directory.syncs();
    directory.hold_syncs();
    journal.append(Moment::ZERO, vec![removed(0)]).unwrap();
    directory.wait_for_sync(before + 1);
    // More than a group's bytes each.
    let big = vec![removed(0); 10_500];
    (0..3).for_each(|_| journal.append(Moment::ZERO, big.clone()).unwrap());
    directory.release_syncs();
    journal.close();
    assert_eq!(directory.syncs() - before, 4);
}

#[test]
fn a_full_queue_hands_the_batch_back() {
    let directory = MemoryDirectory::default();
    let journal = open(&directory, options(u64::MAX), |_| ()).unwrap().1.journal;
    let before = directory.syncs();
    directory.hold_syncs();
    journal.append(Moment::ZERO, vec![removed(0)]).unwrap();
    directory.wait_for_sync(before + 1);
    (0..QUEUE_MAX).for_each(|_| journal.append(Moment::ZERO, vec![removed(1)]).unwrap());
    let refused = journal.append(Moment::ZERO, vec![removed(2)]).unwrap_err();
    assert!(matches!(&refused, AppendError::Full(entries) if entries[..] == [removed(2)]), "{refused}");
    directory.release_syncs();
    journal.close();
    assert_eq!(verify(directory.shared(), &store()).unwrap().records, 1 + QUEUE_MAX as u64);
}

#[test]
fn a_last_record_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
    let whole = MemoryDirectory::default();
    append_each(&whole, options(u64::MAX), &[1, 2, 3].map(removed));
    let bytes = whole.bytes(FIRST);
    let last = bytes[..bytes.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    for end in last..bytes.len() {
        let directory = MemoryDirectory::default();
        directory.put(FIRST, &bytes[..end]);
        let torn = TornTail { sequence: 3, offset: last as u64, bytes: (end - last) as u64 };
        let (recalled, opened) = reopened(&directory);
        assert_eq!((labels(&recalled), opened.torn), (vec![1, 2], (end > last).then_some(torn)));
        drop(opened);
        append_each(&directory, options(u64::MAX), &[7, 8].map(removed));
        assert_eq!(labels(&reopened(&directory.after_power_cut(Left::Synced)).0), [1, 2, 7, 8]);
    }
}

#[test]
fn a_tail_that_a_power_cut_left_without_bytes_is_cut() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(u64::MAX), &[1, 2].map(removed));
    let whole = directory.bytes(FIRST);
    directory.put(FIRST, &[whole.clone(), vec![0; 5_000]].concat());
    let torn = reopened(&directory).1.torn.unwrap();
    assert_eq!(torn, TornTail { sequence: 3, offset: whole.len() as u64, bytes: 5_000 });
    assert!(torn.to_string().starts_with("removed 5000 bytes of an unfinished record 3 (from byte "), "{torn}");
    assert_eq!(labels(&reopened(&directory.after_power_cut(Left::Synced)).0), [1, 2]);
}

#[test]
fn a_changed_journal_is_refused_and_left_as_it_is() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(u64::MAX), &[1, 2, 3].map(removed));
    let mut bytes = directory.bytes(FIRST);
    let header = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    bytes[header + 20] ^= 1;
    directory.put(FIRST, &bytes);
    let error = open(&directory, options(u64::MAX), |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the journal memory does not verify");
    let JournalError::Broken { broken, .. } = error else { panic!("{error}") };
    assert_eq!((broken.sequence, broken.file.as_str(), broken.line), (1, FIRST, 2));
    assert_eq!(directory.bytes(FIRST), bytes);
}

#[test]
fn an_entry_that_could_not_be_read_again_is_refused() {
    let directory = MemoryDirectory::default();
    let (sink, reports) = reports();
    let journal = open(&directory, options(u64::MAX), sink).unwrap().1.journal;
    let template = Some("x".repeat(LINE_MAX).into());
    journal.append(Moment::ZERO, vec![Entry::Bound { label: LabelId(1), skus: Vec::new(), template }]).unwrap();
    let error = reports.recv().unwrap().unwrap_err();
    assert!(matches!(error, JournalError::EntryTooLong { sequence: 1, .. }) && !error.is_passing(), "{error}");
    journal.close();
    assert_eq!(verify(directory.shared(), &store()).unwrap().records, 0);
}
