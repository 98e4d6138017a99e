//! A disk that fails at any step: nothing acknowledged is lost, the chain verifies, and the journal goes on by itself.

use super::*;
use crate::journal::keeper;
use crate::journal::memory::{Effect, Fault, Left};

const ENTRIES: u64 = 12;

const EFFECTS: [Effect; 4] = [Effect::None, Effect::Half, Effect::Done, Effect::Lost];

/// Registers labels one after the other over several segments, on a disk with a fault, and looks after the segments in
/// between as the keeper does. Answers which registrations were acknowledged.
fn work(directory: &MemoryDirectory) -> Result<Vec<u64>, JournalError> {
    let (sink, reports) = reports();
    let journal = open(directory, options(700), sink)?.1.journal;
    let mut acknowledged = Vec::new();
    for label in 1..=ENTRIES {
        journal.append(Moment::from_secs(label), vec![registered(label)]).unwrap();
        // A passing failure is over with the next success.
        while reports.recv().unwrap().is_err() {}
        acknowledged.push(label);
        if label % 4 == 0 {
            // What it cannot do now, it does the next time.
            let _ = keeper::keep(&shared(directory), &store(), Duration::from_secs(5), Moment::from_secs(label));
        }
    }
    journal.close();
    Ok(acknowledged)
}

/// Everything that was acknowledged is there, whatever the process or the machine did.
#[track_caller]
fn check(directory: &MemoryDirectory, acknowledged: &[u64], context: &str) {
    for left in [Left::Synced, Left::Everything] {
        let after = directory.after_power_cut(left);
        let (recalled, opened) = match open(&after, options(700), |_| ()) {
            Ok(opened) => opened,
            Err(error) => {
                panic!("{context}, {left:?}: {error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
            }
        };
        let found = labels(&recalled);
        let lost: Vec<&u64> = acknowledged.iter().filter(|label| !found.contains(label)).collect();
        assert!(lost.is_empty(), "{context}, {left:?}: lost {lost:?} of {found:?}");
        // It goes on, and is looked after.
        opened.journal.append(Moment::from_secs(99), vec![registered(99)]).unwrap();
        opened.journal.close();
        keeper::keep(&shared(&after), &store(), Duration::from_secs(5), Moment::from_secs(99)).unwrap();
        verify(after.shared(), &store()).unwrap_or_else(|broken| panic!("{context}, {left:?}: {broken}"));
        assert!(labels(&reopened(&after).0).contains(&99), "{context}, {left:?}");
    }
}

#[test]
fn a_whole_run_takes_many_operations() {
    let directory = MemoryDirectory::default();
    assert_eq!(work(&directory).unwrap().len() as u64, ENTRIES);
    assert!(directory.operations() > 60, "{}", directory.operations());
    check(&directory, &(1..=ENTRIES).collect::<Vec<_>>(), "without a fault");
}

/// Every operation in turn fails, in every way.
#[test]
fn a_fault_at_any_operation_loses_nothing() {
    let whole = MemoryDirectory::default();
    work(&whole).unwrap();
    for operation in 1..=whole.operations() {
        for effect in EFFECTS {
            let directory = MemoryDirectory::failing(Fault::at(operation, effect));
            let context = format!("operation {operation} {effect:?}");
            let acknowledged = match work(&directory) {
                Ok(acknowledged) => acknowledged,
                // A start says what is wrong; the next one succeeds.
                Err(error) => {
                    assert!(matches!(error, JournalError::Open { .. }), "{context}: {error}");
                    work(&directory).unwrap()
                }
            };
            check(&directory, &acknowledged, &context);
        }
    }
}

/// From any operation on everything fails for a while, as on a full disk.
#[test]
fn an_outage_from_any_operation_on_loses_nothing() {
    let whole = MemoryDirectory::default();
    work(&whole).unwrap();
    for operation in (8..=whole.operations()).step_by(3) {
        for effect in EFFECTS {
            let directory = MemoryDirectory::failing(Fault { operations: operation..operation + 9, effect });
            let acknowledged = work(&directory).unwrap();
            check(&directory, &acknowledged, &format!("operations from {operation} {effect:?}"));
        }
    }
}

/// At any operation the machine stops: what was acknowledged until then is there after it.
#[test]
fn a_power_cut_at_any_operation_loses_nothing() {
    let whole = MemoryDirectory::default();
    work(&whole).unwrap();
    for operation in 8..=whole.operations() {
        for effect in EFFECTS {
            let directory = MemoryDirectory::failing(Fault { operations: operation..u64::MAX, effect });
            let (sink, reports) = reports();
            let journal = open(&directory, options(700), sink).unwrap().1.journal;
            let mut acknowledged = Vec::new();
            for label in 1..=ENTRIES {
                journal.append(Moment::from_secs(label), vec![registered(label)]).unwrap();
                if reports.recv().unwrap().is_err() {
                    break;
                }
                acknowledged.push(label);
                if label % 4 == 0 {
                    let _ = keeper::keep(&shared(&directory), &store(), Duration::ZERO, Moment::from_secs(label));
                }
            }
            check(&directory, &acknowledged, &format!("stopped at operation {operation} {effect:?}"));
            // A journal that is closed does not wait for a disk that does not come back.
            journal.close();
        }
    }
}

#[test]
fn a_failure_is_told_once_and_is_over_with_the_next_success() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(u64::MAX), &[removed(1)]);
    let next = directory.operations();
    // Opening syncs file and directory; then an append fails, and the attempts to go on.
    directory.fail(Fault { operations: next + 3..next + 9, effect: Effect::None });
    let said = append_each(&directory, options(u64::MAX), &[removed(2), removed(3)]);
    assert_eq!(
        said,
        [
            format!("could not write to the journal memory/{FIRST}: no storage space"),
            "could not go on with the journal memory: no storage space".to_owned()
        ]
    );
    assert_eq!(labels(&reopened(&directory.after_power_cut(Left::Synced)).0), [1, 2, 3]);
}

#[test]
fn what_a_failed_sync_may_have_lost_is_written_again() {
    let directory = MemoryDirectory::default();
    append_each(&directory, options(u64::MAX), &[removed(1)]);
    let next = directory.operations();
    directory.fail(Fault::at(next + 4, Effect::Lost));
    let said = append_each(&directory, options(u64::MAX), &[removed(2)]);
    assert_eq!(said, [format!("could not sync the journal memory/{FIRST} to disk: no storage space")]);
    assert_eq!(labels(&reopened(&directory.after_power_cut(Left::Synced)).0), [1, 2]);
    assert_eq!(directory.names().len(), 2, "the failed segment is not written to any more");
}
