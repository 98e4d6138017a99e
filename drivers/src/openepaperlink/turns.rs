//! Who is served when: one radio serves one label at a time, and one that comes meanwhile is sent away and does not come
//! again for 40 seconds. Turns are spans of time that do not overlap.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::{LabelId, Moment};

/// The turns that are taken.
#[derive(Debug, Default)]
pub(super) struct Turns {
    by_start: BTreeMap<Moment, (LabelId, Moment)>,
    starts: BTreeMap<LabelId, Moment>,
}

impl Turns {
    /// The first moment from `from` on at which a span of `length` is free.
    pub(super) fn free_at(&self, from: Moment, length: Duration) -> Moment {
        let mut start = from;
        let before = self.by_start.range(..=from).next_back();
        if let Some((_, (_, end))) = before {
            start = start.max(*end);
        }
        for (next, (_, end)) in self.by_start.range(from..) {
            if start + length <= *next {
                break;
            }
            start = start.max(*end);
        }
        start
    }

    /// Takes the span for a label, in place of what it had. The span is free.
    pub(super) fn take(&mut self, label: LabelId, start: Moment, length: Duration) {
        self.leave(label);
        self.by_start.insert(start, (label, start + length));
        self.starts.insert(label, start);
    }

    /// Gives back what a label has.
    pub(super) fn leave(&mut self, label: LabelId) {
        if let Some(start) = self.starts.remove(&label) {
            self.by_start.remove(&start);
        }
    }

    /// Whether a label has one.
    pub(super) fn has(&self, label: LabelId) -> bool {
        self.starts.contains_key(&label)
    }

    /// Gives back everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_turn_is_where_nobody_else_is() {
        let at = Moment::from_secs;
        let mut turns = Turns::default();
        turns.take(LabelId(1), at(10), SECOND * 2);
        turns.take(LabelId(2), at(13), SECOND);
        for (from, length, expected) in [(5, 5, 5), (5, 6, 14), (11, 1, 12), (10, 1, 12), (12, 2, 14), (20, 9, 20)] {
            assert_eq!(turns.free_at(at(from), SECOND * length), at(expected), "{length} s from {from} s on");
        }
        turns.leave(LabelId(1));
        assert_eq!(turns.free_at(at(10), SECOND * 3), at(10));
    }

    proptest! {
        #[test]
        fn turns_never_overlap(asked in prop::collection::vec((0_u64..60, 1_u64..9), 0..60)) {
            let mut turns = Turns::default();
            for ((from, length), label) in asked.into_iter().zip(0..) {
                let (from, length) = (Moment::from_secs(from), SECOND * u32::try_from(length).unwrap());
                let start = turns.free_at(from, length);
                prop_assert!(start >= from);
                turns.take(LabelId(label), start, length);
            }
            let spans: Vec<(Moment, Moment)> = turns.by_start.iter().map(|(start, (_, end))| (*start, *end)).collect();
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
            prop_assert_eq!(spans.len(), turns.starts.len());
        }
    }
}
