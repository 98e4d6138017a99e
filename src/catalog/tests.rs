//! The catalog as a whole: revisions, deletions, what is touched, what templates see, what the view keeps.
//!
//! Its builders serve the other tests of this folder.

use proptest::prelude::*;

use super::product::{Content, ContentUnit};
use super::promotion::{Audience, Channel, Kind};
use super::settings::Market;
use super::*;

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

pub(super) fn product(key: &str, revision: u64, price: &str) -> Product {
    Product { price: Some(amount(price)), ..Product::bare(sku(key), revision) }
}

pub(super) fn special_price(id: &str, revision: u64, names: &[&str], price: &str) -> Promotion {
    Promotion {
        id: id.parse().unwrap(),
        revision,
        skus: names.iter().map(|name| sku(name)).collect(),
        kind: Kind::SpecialPrice,
        price: amount(price),
        start: instant("2026-11-25T00:00:00+08:00"),
        end: instant("2026-11-28T00:00:00+08:00"),
        text: Some("双十一".to_owned()),
        audience: Audience::All,
        channel: Channel::Both,
        priority: 0,
    }
}

pub(super) fn settings(currency: &str, market: Market) -> Settings {
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    Settings { currency: currency.parse().unwrap(), market, time_zone }
}

fn hangzhou() -> Catalog {
    Catalog::new(settings("CNY", Market::China))
}

fn during() -> Moment {
    instant("2026-11-26T08:00:00+08:00")
}

#[track_caller]
fn check(catalog: &mut Catalog, row: Row, status: Status, touched: &[&str]) {
    let applied = catalog.apply(during(), row);
    assert_eq!(applied.status, status);
    assert_eq!(applied.touched, touched.iter().map(|name| sku(name)).collect());
}

#[test]
fn only_a_higher_revision_replaces() {
    let mut catalog = hangzhou();
    check(&mut catalog, Row::Product(product("1101", 7, "59.90")), Status::Applied, &["1101"]);
    check(&mut catalog, Row::Product(product("1101", 7, "1.00")), Status::Unchanged, &[]);
    check(&mut catalog, Row::Product(product("1101", 6, "1.00")), Status::Regressed { stored: 7 }, &[]);
    assert_eq!(catalog.product(&sku("1101")).unwrap().price, Some(amount("59.90")));
    check(&mut catalog, Row::Product(product("1101", 8, "59.90")), Status::Applied, &["1101"]);
    assert_eq!(catalog.product(&sku("1101")).unwrap().revision, 8);
}

#[test]
fn a_late_repeat_does_not_resurrect_for_thirty_days() {
    let mut catalog = hangzhou();
    let deletion = Row::ProductDeleted { sku: sku("1101"), revision: 9 };
    check(&mut catalog, deletion.clone(), Status::Applied, &["1101"]);
    check(&mut catalog, deletion, Status::Unchanged, &[]);
    check(&mut catalog, Row::Product(product("1101", 8, "59.90")), Status::Regressed { stored: 9 }, &[]);
    assert!(catalog.product(&sku("1101")).is_none());

    let last = during() + TOMBSTONE_KEPT;
    assert!(catalog.forget_deletions(last).is_empty());
    let after = last + Duration::from_micros(1);
    assert_eq!(catalog.clone().apply(after, Row::Product(product("1101", 8, "59.90"))).status, Status::Applied);
    assert_eq!(catalog.forget_deletions(after), [RowKey::Product(sku("1101"))]);
    assert_eq!(catalog.stored_product(&sku("1101")), None);
}

#[test]
fn a_promotion_touches_what_it_named_and_what_it_names() {
    let mut catalog = hangzhou();
    check(&mut catalog, Row::Promotion(special_price("P", 1, &["a", "b"], "5")), Status::Applied, &["a", "b"]);
    check(&mut catalog, Row::Promotion(special_price("P", 2, &["b", "c"], "5")), Status::Applied, &["a", "b", "c"]);
    assert_eq!(catalog.namings, 2);
    let deletion = Row::PromotionDeleted { id: "P".parse().unwrap(), revision: 3 };
    check(&mut catalog, deletion, Status::Applied, &["b", "c"]);
    assert!(catalog.naming.is_empty());
    assert_eq!(catalog.namings, 0);
}

#[test]
fn a_promotion_may_come_before_its_product() {
    let mut catalog = hangzhou();
    catalog.apply(during(), Row::Promotion(special_price("P", 1, &["1101"], "49.90")));
    assert_eq!(catalog.view(&sku("1101"), during()).price, None);
    catalog.apply(during(), Row::Product(product("1101", 1, "59.90")));
    assert_eq!(catalog.view(&sku("1101"), during()).price.as_deref(), Some("49.90"));
}

#[test]
fn an_amount_that_cannot_be_shown_as_it_is_is_refused() {
    let mut catalog = Catalog::new(settings("JPY", Market::China));
    let applied = catalog.apply(during(), Row::Product(product("1101", 1, "59.90")));
    let Status::Refused(refusal) = applied.status else { panic!("{:?}", applied.status) };
    assert_eq!(refusal.to_string(), "sku `1101`: `price` is 59.90; expected at most 0 decimals, as JPY has");
    assert!(catalog.product(&sku("1101")).is_none());
    check(&mut catalog, Row::Product(product("1101", 1, "59.00")), Status::Applied, &["1101"]);
}

#[test]
fn a_template_sees_prices_with_minor_digits_and_dates_in_the_stores_zone() {
    let mut catalog = Catalog::new(settings("CNY", Market::UnitedStates));
    let pistachios = Product {
        name: Some("加州开心果".to_owned()),
        content: Some(Content { amount: amount("500"), unit: ContentUnit::Gram }),
        ..product("1101", 7, "59.9")
    };
    catalog.apply(during(), Row::Product(pistachios));
    catalog.apply(during(), Row::Promotion(special_price("P-88", 3, &["1101"], "49.9")));
    let view = catalog.view(&sku("1101"), during());
    assert!(view.known);
    assert_eq!(view.name.as_deref(), Some("加州开心果"));
    assert_eq!(view.price.as_deref(), Some("49.90"));
    assert_eq!(view.was.as_deref(), Some("59.90"));
    assert_eq!(view.unit_price, Some(UnitPriceView { amount: "99.80".to_owned(), per: "kg".to_owned() }));
    let promotion = view.promotion.unwrap();
    assert_eq!((promotion.start_date.as_str(), promotion.end_date.as_str()), ("2026-11-25", "2026-11-27"));
    assert_eq!((promotion.kind.as_str(), promotion.text.as_deref()), ("special_price", Some("双十一")));

    let shown = catalog.shown(&sku("1101"), during());
    assert_eq!(shown.revision, Some(7));
    assert_eq!(shown.promotion_id, Some("P-88".parse().unwrap()));
    assert_eq!(shown.promotion_revision, Some(3));
    assert_eq!(shown.price.as_deref(), Some("49.90"));
}

#[test]
fn an_unknown_product_is_shown_as_unknown() {
    let view = hangzhou().view(&sku("1101"), during());
    assert_eq!(view, ProductView { sku: "1101".to_owned(), currency: "CNY".to_owned(), ..ProductView::default() });
    let shown = hangzhou().shown(&sku("1101"), during());
    assert_eq!((shown.revision, shown.price), (None, None));
}

#[test]
fn the_form_on_disk_stays() {
    // The view of a running store holds these bytes: do not change them, add fields.
    let mut catalog = hangzhou();
    catalog.apply(during(), Row::Product(product("1101", 7, "59.90")));
    catalog.apply(during(), Row::Promotion(special_price("P-88", 3, &["1101"], "49.90")));
    catalog.apply(Moment::from_secs(1), Row::ProductDeleted { sku: sku("0900"), revision: 2 });
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    assert_eq!(
        text(catalog.stored_product(&sku("1101"))),
        r#"{"present":{"sku":"1101","revision":7,"price":"59.90"}}"#
    );
    assert_eq!(text(catalog.stored_product(&sku("0900"))), r#"{"deleted":{"key":"0900","revision":2,"at":1000000}}"#);
    assert_eq!(
        text(catalog.stored_promotion(&"P-88".parse().unwrap())),
        concat!(
            r#"{"present":{"id":"P-88","revision":3,"skus":["1101"],"kind":"special_price","price":"49.90","#,
            r#""start":1795536000000000,"end":1795795200000000,"text":"双十一","audience":"all","channel":"both","priority":0}}"#
        )
    );
}

#[test]
fn a_record_of_another_version_is_read_as_far_as_it_goes() {
    let mut catalog = hangzhou();
    catalog.restore_product(br#"{"present":{"sku":"1101","revision":7,"price":"59.90","colour":"red"}}"#).unwrap();
    assert_eq!(catalog.product(&sku("1101")), Some(&product("1101", 7, "59.90")));
    let error = catalog.restore_product(b"{").unwrap_err();
    assert_eq!(error.to_string(), "the view's record of a product cannot be read");
}

/// Rows about few keys with many revisions, so that they meet.
fn any_row() -> impl Strategy<Value = Row> {
    let key = prop::sample::select(vec!["a", "b", "c"]);
    let names = prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4);
    let price = (0u32..20).prop_map(|yuan| format!("{yuan}.50"));
    prop_oneof![
        3 => (key.clone(), price.clone()).prop_map(|(key, price)| Row::Product(product(key, 0, &price))),
        1 => key.clone().prop_map(|key| Row::ProductDeleted { sku: sku(key), revision: 0 }),
        3 => (key.clone(), names, price).prop_map(|(id, names, price)| {
            Row::Promotion(special_price(id, 0, &names, &price))
        }),
        1 => key.prop_map(|id| Row::PromotionDeleted { id: id.parse().unwrap(), revision: 0 }),
    ]
}

/// Distinct revisions by place, so that "newest" has one meaning.
fn numbered(mut rows: Vec<Row>) -> Vec<Row> {
    for (number, row) in (1..).zip(&mut rows) {
        match row {
            Row::Product(Product { revision, .. })
            | Row::ProductDeleted { revision, .. }
            | Row::Promotion(Promotion { revision, .. })
            | Row::PromotionDeleted { revision, .. } => *revision = number,
        }
    }
    rows
}

fn records(catalog: &Catalog) -> Vec<Vec<u8>> {
    let products = catalog.products.values().map(Stored::to_bytes);
    products.chain(catalog.promotions.values().map(Stored::to_bytes)).collect()
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
        prop_assert_eq!(&one.naming, &other.naming);
        prop_assert_eq!(one.namings, other.namings);
    }

    #[test]
    fn what_the_view_keeps_restores_the_catalog(rows in prop::collection::vec(any_row(), 0..24).prop_map(numbered)) {
        let catalog = applied(&rows);
        let mut restored = hangzhou();
        for record in catalog.products.values() {
            restored.restore_product(&record.to_bytes()).unwrap();
        }
        for record in catalog.promotions.values() {
            restored.restore_promotion(&record.to_bytes()).unwrap();
        }
        prop_assert_eq!(records(&restored), records(&catalog));
        prop_assert_eq!(&restored.naming, &catalog.naming);
        prop_assert_eq!(restored.namings, catalog.namings);
        prop_assert_eq!(restored.namings, restored.naming.values().map(BTreeSet::len).sum::<usize>());
    }

    #[test]
    fn a_product_that_was_not_touched_looks_as_before(rows in prop::collection::vec(any_row(), 1..24).prop_map(numbered)) {
        let mut catalog = hangzhou();
        for row in rows {
            let before = catalog.clone();
            let touched = catalog.apply(during(), row).touched;
            for key in ["a", "b", "c", "d"].map(sku) {
                if !touched.contains(&key) {
                    prop_assert_eq!(before.shelf_price(&key, during()), catalog.shelf_price(&key, during()));
                }
            }
        }
    }
}
