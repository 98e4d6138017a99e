//! The catalog as a whole: revisions, deletions, what is touched, what templates see, what the view keeps.
//!
//! Its builders serve the other tests of this folder.

use proptest::prelude::*;

use super::approvals::Verdict;
use super::facets::{Rating, Returns, Stock};
use super::guard::GuardRules;
use super::product::{Content, ContentUnit};
use super::promotion::{Audience, Channel, Kind};
use super::settings::Market;
use super::wire::{Change, Facet, Row};
use super::*;
use crate::storage::{Tree, ViewChange};

mod reloads;

pub(super) fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

pub(super) fn amount(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// An RFC 3339 instant.
pub(super) fn instant(text: &str) -> Moment {
    let timestamp: Timestamp = text.parse().unwrap();
    Moment::from_micros(u64::try_from(timestamp.as_microsecond()).unwrap())
}

pub(super) fn product(key: &str, price: &str) -> Product {
    Product { price: Some(amount(price)), ..Product::bare(sku(key)) }
}

/// A row of a product's base facet.
pub(super) fn base(key: &str, revision: u64, price: &str) -> Row {
    Row { key: RowKey::Sku(Facet::Base, sku(key)), revision, change: Change::Base(product(key, price)) }
}

pub(super) fn promotion(promotion: Promotion) -> Row {
    let (key, revision) = (RowKey::Promotion(promotion.id.clone()), promotion.revision);
    Row { key, revision, change: Change::Promotion(promotion) }
}

pub(super) fn deletion(key: RowKey, revision: u64) -> Row {
    Row { key, revision, change: Change::Deleted }
}

fn stock(key: &str, revision: u64, quantity: i64) -> Row {
    let change = Change::Stock(Stock { quantity, reorder_level: None, sold_per_day: None });
    Row { key: RowKey::Sku(Facet::Stock, sku(key)), revision, change }
}

fn member(key: &str, revision: u64, membership: Membership) -> Row {
    Row { key: RowKey::Sku(Facet::Assortment, sku(key)), revision, change: Change::Assortment(membership) }
}

fn base_key(key: &str) -> RowKey {
    RowKey::Sku(Facet::Base, sku(key))
}

pub(super) fn special_price(id: &str, revision: u64, names: &[&str], price: &str) -> Promotion {
    Promotion {
        id: id.parse().unwrap(),
        revision,
        skus: names.iter().map(|name| sku(name)).collect(),
        kind: Kind::SpecialPrice,
        reduction: Reduction::Price(amount(price)),
        start: instant("2026-11-25T00:00:00+08:00"),
        end: instant("2026-11-28T00:00:00+08:00"),
        text: Some("双十一".into()),
        audience: Audience::All,
        channel: Channel::Both,
        priority: 0,
    }
}

/// A store in Hangzhou's time zone, in which nothing is held.
pub(super) fn settings(currency: &str, market: Market) -> Settings {
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    Settings { currency: currency.parse().unwrap(), market, time_zone, guard: GuardRules::OFF }
}

fn hangzhou() -> Catalog {
    Catalog::new(settings("CNY", Market::China))
}

/// The same store with the guard's rules as they come.
fn guarded() -> Catalog {
    Catalog::new(Settings { guard: GuardRules::default(), ..settings("CNY", Market::China) })
}

fn during() -> Moment {
    instant("2026-11-26T08:00:00+08:00")
}

#[track_caller]
fn check(catalog: &mut Catalog, row: Row, status: Status, touched: &[&str]) {
    let applied = catalog.apply(during(), row);
    assert_eq!(applied.status, status);
    assert_eq!(catalog.take_touched(), touched.iter().map(|name| sku(name)).collect::<Vec<_>>());
}

#[test]
fn only_a_higher_revision_replaces() {
    let mut catalog = hangzhou();
    check(&mut catalog, base("1101", 7, "59.90"), Status::Applied, &["1101"]);
    check(&mut catalog, base("1101", 7, "1.00"), Status::Unchanged, &[]);
    check(&mut catalog, base("1101", 6, "1.00"), Status::Regressed { stored: 7 }, &[]);
    assert_eq!(catalog.product(&sku("1101")).unwrap().price, Some(amount("59.90")));
    check(&mut catalog, base("1101", 8, "59.90"), Status::Applied, &["1101"]);
    assert_eq!(catalog.item(&sku("1101")).unwrap().revision(), Some(8));
}

#[test]
fn four_sources_make_one_product_and_each_has_its_own_revision() {
    let mut catalog = hangzhou();
    let row = |facet, revision, change| Row { key: RowKey::Sku(facet, sku("1101")), revision, change };
    check(&mut catalog, stock("1101", 90, 34), Status::Applied, &["1101"]);
    assert!(!catalog.view(&sku("1101"), during()).known, "a stock of what nobody has described");
    check(&mut catalog, base("1101", 7, "59.90"), Status::Applied, &["1101"]);
    let returns = Returns { y_code: "Y20391".into(), grade: Some("B".into()) };
    check(&mut catalog, row(Facet::Returns, 2, Change::Returns(returns)), Status::Applied, &["1101"]);
    let view = catalog.view(&sku("1101"), during());
    assert_eq!(view.rating, None, "what a source has not told is not made up");
    let rating = Rating { score: Some(amount("4.8")), count: Some(2210), class: Some("A".into()) };
    check(&mut catalog, row(Facet::Rating, 4, Change::Rating(rating)), Status::Applied, &["1101"]);
    let view = catalog.view(&sku("1101"), during());
    assert_eq!(view.stock.unwrap().quantity, 34);
    assert_eq!(view.returns.unwrap().y_code, "Y20391");
    assert_eq!(view.rating.unwrap().score.as_deref(), Some("4.8"));
    assert_eq!(view.price.as_deref(), Some("59.90"));
    check(&mut catalog, stock("1101", 89, 0), Status::Regressed { stored: 90 }, &[]);
    check(&mut catalog, deletion(RowKey::Sku(Facet::Stock, sku("1101")), 91), Status::Applied, &["1101"]);
    let view = catalog.view(&sku("1101"), during());
    assert_eq!((view.stock, view.known), (None, true));
}

#[test]
fn a_late_repeat_does_not_resurrect_for_thirty_days() {
    let mut catalog = hangzhou();
    check(&mut catalog, deletion(base_key("1101"), 9), Status::Applied, &["1101"]);
    check(&mut catalog, deletion(base_key("1101"), 9), Status::Unchanged, &[]);
    check(&mut catalog, base("1101", 8, "59.90"), Status::Regressed { stored: 9 }, &[]);
    assert!(catalog.product(&sku("1101")).is_none());

    let last = during() + TOMBSTONE_KEPT;
    catalog.forget_deletions(last);
    assert_eq!(catalog.told, 1);
    let after = last + Duration::from_micros(1);
    assert_eq!(catalog.clone().apply(after, base("1101", 8, "59.90")).status, Status::Applied);
    catalog.take_records();
    catalog.forget_deletions(after);
    assert_eq!((catalog.told, catalog.items.len()), (0, 0));
    let removed = ViewChange { tree: Tree::Products, key: b"1101".to_vec(), value: None };
    assert_eq!(catalog.take_records(), [removed]);
}

#[test]
fn a_promotion_touches_what_it_named_and_what_it_names() {
    let mut catalog = hangzhou();
    check(&mut catalog, promotion(special_price("P", 1, &["a", "b"], "5")), Status::Applied, &["a", "b"]);
    check(&mut catalog, promotion(special_price("P", 2, &["b", "c"], "5")), Status::Applied, &["a", "b", "c"]);
    assert_eq!((catalog.namings, catalog.items.len()), (2, 2));
    let gone = deletion(RowKey::Promotion("P".parse().unwrap()), 3);
    check(&mut catalog, gone, Status::Applied, &["b", "c"]);
    assert_eq!((catalog.namings, catalog.items.len(), catalog.boundaries.len()), (0, 0, 0));
}

#[test]
fn a_promotion_may_come_before_its_product() {
    let mut catalog = hangzhou();
    catalog.apply(during(), promotion(special_price("P", 1, &["1101"], "49.90")));
    assert_eq!(catalog.view(&sku("1101"), during()).price, None);
    catalog.apply(during(), base("1101", 1, "59.90"));
    assert_eq!(catalog.view(&sku("1101"), during()).price.as_deref(), Some("49.90"));
}

#[test]
fn everything_is_sold_until_somebody_has_told_what() {
    let mut catalog = hangzhou();
    for key in ["a", "b", "c"] {
        catalog.apply(during(), base(key, 1, "5"));
    }
    catalog.take_touched();
    let sold = |catalog: &Catalog| ["a", "b", "c"].map(|key| catalog.is_in_assortment(&sku(key)));
    assert_eq!(sold(&catalog), [true, true, true]);
    check(&mut catalog, member("a", 12, Membership::In), Status::Applied, &["a", "b", "c"]);
    assert_eq!(sold(&catalog), [true, false, false]);
    check(&mut catalog, member("b", 13, Membership::In), Status::Applied, &["b"]);
    check(&mut catalog, member("a", 11, Membership::Out), Status::Regressed { stored: 12 }, &[]);
    check(&mut catalog, member("a", 14, Membership::Out), Status::Applied, &["a"]);
    assert_eq!(sold(&catalog), [false, true, false]);
    assert!(!catalog.view(&sku("a"), during()).in_assortment);
}

#[test]
fn an_amount_that_cannot_be_shown_as_it_is_is_refused() {
    let mut catalog = Catalog::new(settings("JPY", Market::China));
    let applied = catalog.apply(during(), base("1101", 1, "59.90"));
    let Status::Refused(refusal) = applied.status else { panic!("{:?}", applied.status) };
    assert_eq!(refusal.to_string(), "sku `1101`: `price` is 59.90; expected at most 0 decimals, as JPY has");
    assert!(catalog.product(&sku("1101")).is_none());
    check(&mut catalog, base("1101", 1, "59.00"), Status::Applied, &["1101"]);
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let mut catalog = hangzhou();
    let patch = |revision, patch| Row { key: base_key("1101"), revision, change: Change::Patch(patch) };
    let cheaper = || product::ProductPatch { price: Some(Some(amount("49.90"))), ..Default::default() };
    let unknown = Status::Refused(Refusal::Unknown { key: base_key("1101") });
    check(&mut catalog, patch(1, cheaper()), unknown, &[]);
    let mut whole = base("1101", 7, "59.90");
    if let Change::Base(product) = &mut whole.change {
        product.name = Some("加州开心果".into());
        product.attributes = Some(Box::new([("roast".into(), "原味".into())].into()));
    }
    check(&mut catalog, whole, Status::Applied, &["1101"]);
    check(&mut catalog, patch(7, cheaper()), Status::Unchanged, &[]);
    check(&mut catalog, patch(8, cheaper()), Status::Applied, &["1101"]);
    let attributes = [("roast".into(), None), ("salt".into(), Some("淡盐".into()))].into();
    let renamed = product::ProductPatch { name: Some(None), attributes, ..Default::default() };
    check(&mut catalog, patch(9, renamed), Status::Applied, &["1101"]);
    let product = catalog.product(&sku("1101")).unwrap();
    assert_eq!((product.price, product.name.as_ref()), (Some(amount("49.90")), None));
    assert_eq!(product.attributes, Some(Box::new([("salt".into(), "淡盐".into())].into())));
}

#[test]
fn a_slip_of_the_keyboard_waits_for_a_person_and_the_old_price_stays() {
    let mut catalog = guarded();
    let first = catalog.apply(during(), base("1101", 1, "0.01"));
    assert_eq!(first.status, Status::Applied, "a first price is never held");
    catalog.apply(during(), base("1101", 2, "0.02"));
    assert!(matches!(catalog.apply(during(), base("1101", 3, "59.90")).status, Status::Held(_)));
    assert!(matches!(catalog.apply(during(), base("1101", 3, "59.90")).status, Status::Held(_)), "it still waits");
    assert_eq!(catalog.shelf_price(&sku("1101"), during()).price, Some(amount("0.02")));
    let held = catalog.held().next().unwrap().clone();
    assert_eq!((held.row.revision, held.id), (3, 1));
    // A newer revision replaces it and is judged anew.
    assert!(matches!(catalog.apply(during(), base("1101", 4, "69.90")).status, Status::Held(_)));
    assert_eq!(catalog.held().map(|held| (held.id, held.row.revision)).collect::<Vec<_>>(), [(2, 4)]);
    assert!(catalog.was_held(1) && catalog.held_by_id(1).is_none());
    assert_eq!(catalog.apply(during(), base("1101", 5, "0.03")).status, Status::Applied);
    assert_eq!(catalog.held().count(), 0);
}

#[test]
fn approving_applies_the_revision_that_waits_and_rejecting_is_remembered() {
    let mut catalog = guarded();
    catalog.apply(during(), base("1101", 1, "59.90"));
    catalog.apply(during(), base("1101", 2, "5.99"));
    assert_eq!(catalog.decide(during(), &base_key("1101"), 1, Verdict::Approved), None, "another revision");
    let approved = catalog.decide(during(), &base_key("1101"), 2, Verdict::Approved).unwrap();
    assert_eq!(approved.status, Status::Applied);
    assert_eq!(catalog.shelf_price(&sku("1101"), during()).price, Some(amount("5.99")));
    catalog.apply(during(), base("1101", 3, "599.00"));
    catalog.decide(during(), &base_key("1101"), 3, Verdict::Rejected);
    assert_eq!(catalog.apply(during(), base("1101", 3, "599.00")).status, Status::Rejected);
    assert_eq!(catalog.shelf_price(&sku("1101"), during()).price, Some(amount("5.99")));
    // A verdict from the journal stands before the row has come.
    let mut restarted = guarded();
    restarted.apply(during(), base("1101", 1, "59.90"));
    restarted.decide(during(), &base_key("1101"), 2, Verdict::Approved);
    assert_eq!(restarted.apply(during(), base("1101", 2, "5.99")).status, Status::Applied);
}

#[test]
fn a_promotion_that_gives_goods_away_waits_as_well() {
    let mut catalog = guarded();
    catalog.apply(during(), base("a", 1, "59.90"));
    catalog.apply(during(), base("b", 1, "100"));
    let status = |catalog: &mut Catalog, row| catalog.apply(during(), row).status;
    assert_eq!(status(&mut catalog, promotion(special_price("P", 1, &["a", "b"], "49.90"))), Status::Applied);
    let slip = status(&mut catalog, promotion(special_price("P", 2, &["a", "b"], "4.99")));
    assert!(matches!(slip, Status::Held(_)), "{slip:?}");
    assert_eq!(catalog.shelf_price(&sku("a"), during()).price, Some(amount("49.90")));
    let online = Promotion { channel: Channel::Online, ..special_price("Q", 1, &["a"], "0") };
    assert_eq!(status(&mut catalog, promotion(online)), Status::Applied, "no label shows it");
    let key = RowKey::Promotion("P".parse().unwrap());
    catalog.decide(during(), &key, 2, Verdict::Approved);
    assert_eq!(catalog.shelf_price(&sku("a"), during()).price, Some(amount("4.99")));
    let same = Promotion { text: None, ..special_price("P", 3, &["a", "b"], "4.99") };
    assert_eq!(status(&mut catalog, promotion(same)), Status::Applied, "the same price was approved before");
}

#[test]
fn a_wave_of_changes_waits_where_the_store_wants_that() {
    let guard = GuardRules { wave_percent: 50, ..GuardRules::default() };
    let mut catalog = Catalog::new(Settings { guard, ..settings("CNY", Market::China) });
    for key in ["a", "b", "c", "d"] {
        catalog.apply(during(), base(key, 1, "10"));
    }
    let became: Vec<bool> = ["a", "b", "c", "d"]
        .map(|key| matches!(catalog.apply(during(), base(key, 2, "11")).status, Status::Held(_)))
        .into();
    assert_eq!(became, [false, false, true, true]);
    let later = during() + guard::WAVE_SPAN;
    assert_eq!(catalog.apply(later, base("c", 3, "11")).status, Status::Applied);
}

#[test]
fn a_template_sees_prices_with_minor_digits_and_dates_in_the_stores_zone() {
    let mut catalog = Catalog::new(settings("CNY", Market::UnitedStates));
    let mut pistachios = base("1101", 7, "59.9");
    if let Change::Base(product) = &mut pistachios.change {
        product.name = Some("加州开心果".into());
        product.content = Some(Content { amount: amount("500"), unit: ContentUnit::Gram });
    }
    catalog.apply(during(), pistachios);
    catalog.apply(during(), promotion(special_price("P-88", 3, &["1101"], "49.9")));
    let evening = Promotion {
        kind: Kind::MemberPrice,
        reduction: Reduction::Percent(amount("25.0")),
        audience: Audience::Member,
        end: instant("2026-11-26T20:00:00+08:00"),
        ..special_price("M", 1, &["1101"], "0")
    };
    catalog.apply(during(), promotion(evening));
    let view = catalog.view(&sku("1101"), during());
    assert!(view.known && view.in_assortment);
    assert_eq!(view.name.as_deref(), Some("加州开心果"));
    assert_eq!(view.price.as_deref(), Some("49.90"));
    assert_eq!(view.was.as_deref(), Some("59.90"));
    assert_eq!(view.unit_price, Some(UnitPriceView { amount: "99.80".to_owned(), per: "kg".to_owned() }));
    let told = view.promotion.unwrap();
    assert_eq!((told.start_date.as_str(), told.start_time.as_str()), ("2026-11-25", "00:00"));
    assert_eq!((told.end_date.as_str(), told.end_time.as_str()), ("2026-11-27", "24:00"));
    assert_eq!((told.kind.as_str(), told.text.as_deref()), ("special_price", Some("双十一")));
    assert_eq!(view.member_price.as_deref(), Some("44.93"));
    let members = view.member_promotion.unwrap();
    assert_eq!((members.percent.as_deref(), members.end_time.as_str()), (Some("25"), "20:00"));

    let shown = catalog.shown(&sku("1101"), during());
    assert_eq!(shown.revision, Some(7));
    assert_eq!(shown.promotion_id, Some("P-88".parse().unwrap()));
    assert_eq!(shown.promotion_revision, Some(3));
    assert_eq!(shown.price.as_deref(), Some("49.90"));
}

#[test]
fn an_unknown_product_is_shown_as_unknown() {
    let view = hangzhou().view(&sku("1101"), during());
    let bare = ProductView { sku: "1101".to_owned(), currency: "CNY".to_owned(), ..ProductView::default() };
    assert_eq!(view, ProductView { in_assortment: true, ..bare });
    let shown = hangzhou().shown(&sku("1101"), during());
    assert_eq!((shown.revision, shown.price), (None, None));
}

/// What a store in the EU strikes through on a day of November, with what it learnt before and on that day.
#[track_caller]
fn check_was(catalog: &mut Catalog, day: &str, expected: Option<&str>) {
    let at = instant(&format!("2026-11-{day}T12:00:00+08:00"));
    catalog.handle_timeout(at);
    assert_eq!(catalog.view(&sku("1101"), at).was.as_deref(), expected, "on {day}");
}

#[test]
fn prices_are_noted_as_they_change_and_as_boundaries_pass() {
    let mut catalog = Catalog::new(settings("EUR", Market::Europe));
    let at = |text: &str| instant(&format!("2026-{text}T00:00:00+08:00"));
    catalog.handle_timeout(at("09-01"));
    catalog.apply(at("09-01"), base("1101", 1, "12"));
    catalog.apply(at("09-01"), promotion(special_price("P", 1, &["1101"], "8")));
    catalog.handle_timeout(at("11-01"));
    catalog.apply(at("11-01"), base("1101", 2, "10"));
    check_was(&mut catalog, "24", None);
    check_was(&mut catalog, "25", Some("10.00"));
    check_was(&mut catalog, "27", Some("10.00"));
    check_was(&mut catalog, "28", None);
    let points: Vec<(String, Option<Decimal>)> = catalog
        .take_points()
        .into_iter()
        .map(|point| (catalog.local(point.from).strftime("%m-%d").to_string(), point.price))
        .collect();
    let expected = [("09-01", "12"), ("11-01", "10"), ("11-25", "8"), ("11-28", "10")];
    assert_eq!(points, expected.map(|(day, price)| (day.to_owned(), Some(amount(price)))));
}

#[test]
fn a_run_that_was_down_at_a_boundary_notes_it_from_its_instant() {
    let mut catalog = hangzhou();
    let (before, start) = (instant("2026-11-20T00:00:00+08:00"), instant("2026-11-25T00:00:00+08:00"));
    catalog.handle_timeout(before);
    catalog.apply(before, base("1101", 1, "12"));
    catalog.apply(before, promotion(special_price("P", 1, &["1101"], "8")));
    let (records, points) = (catalog.take_records(), catalog.take_points());
    let mut restarted = hangzhou();
    for ViewChange { tree, key, value } in records {
        restarted.restore(tree, &key, &value.unwrap()).unwrap();
    }
    points.into_iter().for_each(|point| restarted.restore_price(point));
    restarted.resume(before);
    restarted.handle_timeout(instant("2026-12-20T00:00:00+08:00"));
    let noted: Vec<_> = restarted.take_points().into_iter().map(|point| (point.from, point.price)).collect();
    let end = instant("2026-11-28T00:00:00+08:00");
    assert_eq!(noted, [(start, Some(amount("8"))), (end, Some(amount("12")))]);
}

#[test]
fn a_clock_that_jumps_ends_with_the_right_price() {
    let mut catalog = hangzhou();
    let [before, during, after] = ["24", "26", "29"].map(|day| instant(&format!("2026-11-{day}T00:00:00+08:00")));
    catalog.handle_timeout(before);
    catalog.apply(before, base("1101", 1, "12"));
    catalog.apply(before, promotion(special_price("P", 1, &["1101"], "8")));
    catalog.take_touched();
    for (now, price, is_touched) in
        [(after, "12", true), (during, "8", true), (before, "12", true), (before, "12", false), (during, "8", true)]
    {
        catalog.handle_timeout(now);
        assert_eq!(catalog.take_touched().contains(&sku("1101")), is_touched);
        assert_eq!(catalog.shelf_price(&sku("1101"), now).price, Some(amount(price)));
        let next = catalog.shelf_price(&sku("1101"), now).next_change;
        assert_eq!(catalog.poll_timeout(), next);
    }
}

#[test]
fn the_form_on_disk_stays() {
    // The view of a running store holds these bytes: do not change them, add fields.
    let mut catalog = guarded();
    catalog.apply(during(), base("1101", 7, "59.90"));
    catalog.apply(during(), stock("1101", 90, 34));
    catalog.apply(during(), promotion(special_price("P-88", 3, &["1101"], "49.90")));
    catalog.apply(during(), base("1101", 8, "0"));
    catalog.apply(Moment::from_secs(1), deletion(base_key("0900"), 2));
    catalog.apply(during(), member("1101", 4, Membership::In));
    let records: Vec<String> = catalog
        .take_records()
        .into_iter()
        .map(|record| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            format!("{:?} {} {}", record.tree, text(&record.key), text(&record.value.unwrap()))
        })
        .collect();
    let expected = [
        r#"Products 0900 {"base":{"mark":{"revision":2,"at":1000000},"value":null}}"#,
        concat!(
            r#"Products 1101 {"base":{"mark":{"revision":7,"at":1795651200000000},"value":{"sku":"1101","price":"59.90"}},"#,
            r#""stock":{"mark":{"revision":90,"at":1795651200000000},"value":{"quantity":34}},"#,
            r#""membership":{"mark":{"revision":4,"at":1795651200000000},"value":"in"}}"#
        ),
        concat!(
            r#"Promotions P-88 {"mark":{"revision":3,"at":1795651200000000},"value":{"id":"P-88","revision":3,"#,
            r#""skus":["1101"],"kind":"special_price","reduction":{"price":"49.90"},"start":1795536000000000,"#,
            r#""end":1795795200000000,"text":"双十一","audience":"all","channel":"both","priority":0}}"#
        ),
        concat!(
            r#"Held {"sku":["base","1101"]} {"id":1,"row":{"key":{"sku":["base","1101"]},"revision":8,"#,
            r#""change":{"base":{"sku":"1101","price":"0"}}},"reason":"zero","since":1795651200000000}"#
        ),
        r#"Meta catalog {"assortment_told":true}"#,
    ];
    assert_eq!(records, expected);
}

#[test]
fn a_record_of_another_version_is_read_as_far_as_it_goes() {
    let mut catalog = hangzhou();
    let record =
        br#"{"base":{"mark":{"revision":7,"at":5},"value":{"sku":"1101","price":"59.90","colour":"red"}},"x":1}"#;
    catalog.restore(Tree::Products, b"1101", record).unwrap();
    assert_eq!(catalog.product(&sku("1101")), Some(&product("1101", "59.90")));
    let error = catalog.restore(Tree::Products, b"1101", b"{").unwrap_err();
    assert_eq!(error.to_string(), "the view's record of a product cannot be read");
}

/// Rows about few keys, so that they meet.
fn any_row() -> impl Strategy<Value = Row> {
    let key = prop::sample::select(vec!["a", "b", "c"]);
    let names = prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4);
    let price = (0u32..20).prop_map(|yuan| format!("{yuan}.50"));
    prop_oneof![
        3 => (key.clone(), price.clone()).prop_map(|(key, price)| base(key, 0, &price)),
        1 => key.clone().prop_map(|key| deletion(base_key(key), 0)),
        1 => (key.clone(), 0..9i64).prop_map(|(key, quantity)| stock(key, 0, quantity)),
        1 => (key.clone(), prop::sample::select(Membership::ALL.to_vec()))
            .prop_map(|(key, membership)| member(key, 0, membership)),
        3 => (key.clone(), names, price).prop_map(|(id, names, price)| {
            promotion(special_price(id, 0, &names, &price))
        }),
        1 => key.prop_map(|id| deletion(RowKey::Promotion(id.parse().unwrap()), 0)),
    ]
}

/// Distinct revisions by place, so that "newest" has one meaning.
fn numbered(mut rows: Vec<Row>) -> Vec<Row> {
    for (number, row) in (1..).zip(&mut rows) {
        row.revision = number;
        if let Change::Promotion(promotion) = &mut row.change {
            promotion.revision = number;
        }
    }
    rows
}

/// Everything that the view would hold of a catalog.
fn records(catalog: &Catalog) -> Vec<(Tree, Vec<u8>, Option<Vec<u8>>)> {
    let mut catalog = catalog.clone();
    catalog.unsaved.extend(catalog.items.keys().cloned().map(Unsaved::Item));
    catalog.unsaved.extend(catalog.promotions.keys().cloned().map(Unsaved::Promotion));
    catalog.unsaved.insert(Unsaved::Meta);
    catalog.take_records().into_iter().map(|record| (record.tree, record.key, record.value)).collect()
}

/// What the records do not tell: counts and cross-references.
fn references(catalog: &Catalog) -> (usize, usize, Vec<(Sku, Vec<PromotionId>)>) {
    let named = catalog
        .items
        .iter()
        .map(|(sku, item)| (sku.clone(), item.promotions.iter().map(|promotion| promotion.id.clone()).collect()));
    (catalog.told, catalog.namings, named.collect())
}

fn applied(rows: &[Row]) -> Catalog {
    let mut catalog = hangzhou();
    for row in rows {
        catalog.apply(during(), row.clone());
    }
    catalog
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        (rows, shuffled) in prop::collection::vec(any_row(), 0..24).prop_map(numbered)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
    ) {
        let (one, other) = (applied(&rows), applied(&shuffled));
        prop_assert_eq!(records(&one), records(&other));
        prop_assert_eq!(references(&one).0, references(&other).0);
        prop_assert_eq!(one.namings, other.namings);
        prop_assert_eq!(&one.boundaries, &other.boundaries);
    }

    #[test]
    fn what_the_view_keeps_restores_the_catalog(
        rows in prop::collection::vec(any_row(), 0..24).prop_map(numbered),
        reversed in any::<bool>(),
    ) {
        let mut catalog = applied(&rows);
        let mut records_of = records(&catalog);
        if reversed {
            records_of.reverse();
        }
        let mut restored = hangzhou();
        for (tree, key, value) in records_of {
            if let Some(value) = value {
                restored.restore(tree, &key, &value).unwrap();
            }
        }
        catalog.take_points().into_iter().for_each(|point| restored.restore_price(point));
        restored.resume(during());
        prop_assert_eq!(records(&restored), records(&catalog));
        prop_assert_eq!(references(&restored), references(&catalog));
        prop_assert_eq!(&restored.boundaries, &catalog.boundaries);
        for key in ["a", "b", "c", "d"].map(sku) {
            prop_assert_eq!(restored.shelf_price(&key, during()), catalog.shelf_price(&key, during()));
        }
    }

    #[test]
    fn a_product_that_was_not_touched_looks_as_before(rows in prop::collection::vec(any_row(), 1..24).prop_map(numbered)) {
        let mut catalog = hangzhou();
        for row in rows {
            let before = catalog.clone();
            catalog.apply(during(), row);
            let touched = catalog.take_touched();
            for key in ["a", "b", "c", "d"].map(sku) {
                if before.item(&key).is_some() && !touched.contains(&key) {
                    prop_assert_eq!(before.view(&key, during()), catalog.view(&key, during()));
                }
            }
        }
    }
}
