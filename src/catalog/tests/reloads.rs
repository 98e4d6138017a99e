//! Snapshots into the catalog: what is absent leaves, what came meanwhile stays.

use super::*;

fn at(second: u64) -> Moment {
    during() + Duration::from_secs(second)
}

/// A snapshot of a facet that was asked for at a second, and is applied ten seconds later.
fn reload(catalog: &mut Catalog, facet: Facet, asked: u64, rows: Vec<Row>, reset: bool) -> Vec<Status> {
    reload_with(catalog, facet, asked, rows, reset, &[])
}

fn reload_with(
    catalog: &mut Catalog,
    facet: Facet,
    asked: u64,
    rows: Vec<Row>,
    reset: bool,
    kept: &[RowKey],
) -> Vec<Status> {
    let begin = SnapshotPart::Begin { facet, seq: None, reset, asked_at: at(asked) };
    let rows = SnapshotPart::Rows { rows, kept: kept.to_vec() };
    let mut became = Vec::new();
    for part in [begin, rows, SnapshotPart::End] {
        became.extend(catalog.take_snapshot(at(asked + 10), part));
    }
    became.into_iter().map(|applied| applied.status).collect()
}

#[track_caller]
fn check_prices(catalog: &Catalog, expected: &[(&str, Option<&str>)]) {
    for (key, price) in expected {
        assert_eq!(catalog.shelf_price(&sku(key), at(99)).price, price.map(amount), "{key}");
    }
}

#[test]
fn what_a_snapshot_does_not_name_leaves_and_leaves_a_tombstone() {
    let mut catalog = hangzhou();
    for key in ["a", "b", "c"] {
        catalog.apply(at(0), base(key, 5, "10"));
    }
    catalog.apply(at(0), stock("c", 1, 3));
    catalog.take_touched();
    let became = reload(&mut catalog, Facet::Base, 20, vec![base("a", 5, "10"), base("b", 6, "11")], false);
    assert_eq!(became, [Status::Unchanged, Status::Applied]);
    check_prices(&catalog, &[("a", Some("10")), ("b", Some("11")), ("c", None)]);
    assert_eq!(catalog.take_touched(), [sku("b"), sku("c")]);
    assert!(catalog.item(&sku("c")).unwrap().stock().is_some(), "another source's facet stays");
    let late = catalog.apply(at(40), base("c", 5, "10"));
    assert_eq!(late.status, Status::Unchanged, "a late repeat does not resurrect");
    check_prices(&catalog, &[("c", None)]);
    // The next whole snapshot that names it again is right.
    reload(&mut catalog, Facet::Base, 50, vec![base("a", 5, "10"), base("b", 6, "11"), base("c", 5, "10")], false);
    check_prices(&catalog, &[("c", Some("10"))]);
}

#[test]
fn changes_that_come_while_a_snapshot_is_on_its_way_survive() {
    let mut catalog = hangzhou();
    catalog.apply(at(0), base("a", 5, "10"));
    catalog.apply(at(25), base("b", 1, "20"));
    catalog.apply(at(25), base("a", 7, "12"));
    let became = reload(&mut catalog, Facet::Base, 20, vec![base("a", 6, "11")], false);
    assert_eq!(became, [Status::Unchanged], "it cannot know of what came after it was asked for");
    check_prices(&catalog, &[("a", Some("12")), ("b", Some("20"))]);
}

#[test]
fn rows_with_a_bad_field_and_held_ones_keep_what_is_stored() {
    let mut catalog = guarded();
    catalog.apply(at(0), base("a", 5, "10"));
    catalog.apply(at(0), base("b", 5, "10"));
    reload_with(&mut catalog, Facet::Base, 20, vec![base("b", 6, "1000")], false, &[base_key("a"), base_key("z")]);
    check_prices(&catalog, &[("a", Some("10")), ("b", Some("10"))]);
    assert_eq!(catalog.held().count(), 1);
}

#[test]
fn a_restored_source_is_taken_with_reset_and_not_without() {
    let mut catalog = hangzhou();
    catalog.apply(at(0), base("a", 90, "10"));
    catalog.apply(at(25), base("b", 90, "10"));
    let restored = || vec![base("a", 3, "8"), base("b", 3, "8")];
    let regressed = Status::Regressed { stored: 90 };
    assert_eq!(reload(&mut catalog, Facet::Base, 20, restored(), false), [regressed, Status::Unchanged]);
    check_prices(&catalog, &[("a", Some("10"))]);
    let became = reload(&mut catalog, Facet::Base, 22, restored(), true);
    assert_eq!(became, [Status::Applied, Status::Unchanged], "what came after it was asked for stands");
    check_prices(&catalog, &[("a", Some("8")), ("b", Some("10"))]);
}

#[test]
fn an_abandoned_snapshot_takes_nothing_away() {
    let mut catalog = hangzhou();
    catalog.apply(at(0), base("a", 5, "10"));
    let begin = SnapshotPart::Begin { facet: Facet::Base, seq: None, reset: false, asked_at: at(20) };
    catalog.take_snapshot(at(30), begin);
    catalog.take_snapshot(at(30), SnapshotPart::Abandon);
    catalog.take_snapshot(at(30), SnapshotPart::Rows { rows: vec![base("b", 1, "5")], kept: vec![] });
    catalog.take_snapshot(at(30), SnapshotPart::End);
    check_prices(&catalog, &[("a", Some("10")), ("b", None)]);
}

#[test]
fn promotions_leave_with_the_prices_that_they_made() {
    let mut catalog = hangzhou();
    catalog.apply(at(0), base("a", 1, "10"));
    catalog.apply(at(0), promotion(special_price("P", 1, &["a"], "5")));
    catalog.apply(at(0), promotion(special_price("Q", 1, &["a"], "7")));
    check_prices(&catalog, &[("a", Some("5"))]);
    reload(&mut catalog, Facet::Promotion, 20, vec![promotion(special_price("Q", 1, &["a"], "7"))], false);
    check_prices(&catalog, &[("a", Some("7"))]);
    assert_eq!((catalog.namings, catalog.promotions().count()), (1, 1));
}

#[test]
fn a_snapshot_of_the_assortment_says_what_is_sold_once_it_is_whole() {
    let mut catalog = hangzhou();
    for key in ["a", "b", "c"] {
        catalog.apply(at(0), base(key, 1, "5"));
    }
    let sold = |catalog: &Catalog| ["a", "b", "c"].map(|key| catalog.is_in_assortment(&sku(key)));
    let facet = Facet::Assortment;
    let begin = |asked| SnapshotPart::Begin { facet, seq: None, reset: false, asked_at: at(asked) };
    let row = |key| SnapshotPart::Rows { rows: vec![member(key, 0, Membership::In)], kept: vec![] };
    catalog.take_snapshot(at(30), begin(20));
    catalog.take_snapshot(at(30), row("a"));
    assert_eq!(sold(&catalog), [true, true, true], "half a snapshot takes nothing off the shelf");
    catalog.take_snapshot(at(30), row("b"));
    catalog.take_snapshot(at(30), SnapshotPart::End);
    assert_eq!(sold(&catalog), [true, true, false]);
    // A change with a revision stands beside later snapshots, as long as it is newer than they are.
    catalog.apply(at(45), member("b", 12, Membership::Out));
    catalog.take_snapshot(at(50), begin(40));
    catalog.take_snapshot(at(50), row("b"));
    catalog.take_snapshot(at(50), SnapshotPart::End);
    assert_eq!(sold(&catalog), [false, false, false]);
    catalog.take_snapshot(at(70), begin(60));
    catalog.take_snapshot(at(70), row("b"));
    catalog.take_snapshot(at(70), SnapshotPart::End);
    assert_eq!(sold(&catalog), [false, true, false]);
    assert_eq!(catalog.apply(at(80), member("b", 12, Membership::Out)).status, Status::Unchanged);
}

proptest! {
    /// Rows, then a snapshot that was asked for in between: the catalog holds exactly what it names, with what
    /// came later on top.
    #[test]
    fn a_snapshot_and_later_changes_are_all_that_is_left(
        before in prop::collection::vec(any_row(), 0..16),
        listed in prop::sample::subsequence(vec!["a", "b", "c"], 0..=3),
        later in prop::collection::vec(any_row(), 0..8),
    ) {
        let rows = numbered(before.into_iter().chain(later.iter().cloned()).collect());
        let (before, later) = rows.split_at(rows.len() - later.len());
        let mut catalog = hangzhou();
        for row in before {
            catalog.apply(at(0), row.clone());
        }
        for row in later {
            catalog.apply(at(25), row.clone());
        }
        let snapshot: Vec<Row> = listed.iter().map(|key| base(key, 1_000, "7")).collect();
        reload(&mut catalog, Facet::Base, 20, snapshot, false);
        for key in ["a", "b", "c"] {
            let changed = later.iter().rev().find(|row| row.key == base_key(key));
            let expected = match (listed.contains(&key), changed.map(|row| &row.change)) {
                (true, _) => Some(product(key, "7")),
                (false, Some(Change::Base(product))) => Some(product.clone()),
                (false, _) => None,
            };
            prop_assert_eq!(catalog.product(&sku(key)), expected.as_ref(), "{}", key);
        }
    }
}
