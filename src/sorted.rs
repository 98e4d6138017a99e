//! Two sorted things, side by side.

/// As many keys as this share of a map's entries, or more, are looked for side by side: a step costs a fraction of a
/// lookup, but there is one for every entry.
const STEPS_A_LOOKUP: usize = 8;

/// Whether it is less work to look for so many keys among so many entries side by side than one by one.
pub(crate) const fn is_side_by_side(keys: usize, entries: usize) -> bool {
    keys >= entries / STEPS_A_LOOKUP
}

/// Those of the entries, in order, whose keys are among the keys, in order.
pub(crate) fn among<'a, K: Ord + 'a, V>(
    entries: impl Iterator<Item = (&'a K, V)>,
    keys: impl Iterator<Item = &'a K>,
) -> impl Iterator<Item = (&'a K, V)> {
    let mut entries = entries.peekable();
    keys.filter_map(move |key| {
        while entries.next_if(|(known, _)| *known < key).is_some() {}
        entries.next_if(|(known, _)| *known == key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of entries under these keys, those that are found under others.
    #[track_caller]
    fn check(entries: &[u8], keys: &[u8], expected: &[u8]) {
        let entries = entries.iter().map(|key| (key, *key));
        let found: Vec<u8> = among(entries, keys.iter()).map(|(_, value)| value).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_in_both_is_found() {
        check(&[], &[1, 2], &[]);
        check(&[1, 2], &[], &[]);
        check(&[1, 2, 3], &[1, 2, 3], &[1, 2, 3]);
        check(&[2, 4, 6, 8], &[1, 4, 5, 8, 9], &[4, 8]);
        check(&[4, 5], &[1, 2, 5], &[5]);
    }
}
