//! The shelf price: cases from the contract, and a second, slow and obvious reading of the same paragraph.

use proptest::prelude::*;

use super::*;
use crate::catalog::product::ContentUnit;
use crate::catalog::tests::{amount, product, special_price};

const CNY: &str = "CNY";

/// A promotion in seconds of a small world.
fn promotion(id: &str, price: &str, start: u64, end: u64, priority: i64) -> Promotion {
    let (start, end) = (Moment::from_secs(start), Moment::from_secs(end));
    Promotion { start, end, priority, ..special_price(id, 1, &["1101"], price) }
}

fn shelf<'a>(base: &'a Product, promotions: &'a [Promotion], at: u64, market: Market) -> ShelfPrice<'a> {
    shelf_price(Some(base), promotions.iter(), Moment::from_secs(at), CNY.parse().unwrap(), market)
}

/// Checks price, the id that made it or brings its text, and the second of the next change.
#[track_caller]
fn check(promotions: &[Promotion], at: u64, price: &str, id: Option<&str>, next_change: Option<u64>) {
    let base = product("1101", 7, "10");
    let shelf = shelf(&base, promotions, at, Market::China);
    assert_eq!(shelf.price, Some(amount(price)));
    assert_eq!(shelf.promotion().map(|it| it.id.as_str()), id);
    assert_eq!(shelf.price_promotion.is_some(), shelf.price < base.price);
    assert!(shelf.price_promotion.is_none() || shelf.text_promotion.is_none());
    assert_eq!(shelf.next_change, next_change.map(Moment::from_secs));
}

#[test]
fn a_promotion_holds_from_its_start_until_just_before_its_end() {
    let sale = [promotion("P", "8", 100, 200, 0)];
    check(&sale, 99, "10", None, Some(100));
    check(&sale, 100, "8", Some("P"), Some(200));
    check(&sale, 199, "8", Some("P"), Some(200));
    check(&sale, 200, "10", None, None);
}

#[test]
fn priority_then_result_then_id_decides() {
    check(&[promotion("A", "5", 0, 9, 1), promotion("B", "8", 0, 9, 2)], 1, "8", Some("B"), Some(9));
    check(&[promotion("A", "8", 0, 9, 1), promotion("B", "5", 0, 9, 1)], 1, "5", Some("B"), Some(9));
    check(&[promotion("B", "5", 0, 9, 1), promotion("A", "5", 0, 9, 1)], 1, "5", Some("A"), Some(9));
    check(&[promotion("A", "5", 0, 9, -1), promotion("B", "8", 0, 9, 0)], 1, "8", Some("B"), Some(9));
}

#[test]
fn a_result_not_below_the_base_price_is_text_only() {
    check(&[promotion("P", "10", 0, 9, 5)], 1, "10", Some("P"), Some(9));
    check(&[promotion("P", "12", 0, 9, 5), promotion("Q", "8", 0, 9, 0)], 1, "8", Some("Q"), Some(9));
    check(&[promotion("Q", "10", 0, 9, 0), promotion("P", "12", 0, 9, 0)], 1, "10", Some("P"), Some(9));
    let silent = Promotion { text: None, ..promotion("P", "12", 0, 9, 0) };
    check(&[silent], 1, "10", None, None);
}

#[test]
fn an_online_promotion_is_not_for_the_shelf() {
    let online = Promotion { channel: Channel::Online, ..promotion("P", "5", 0, 9, 0) };
    check(std::slice::from_ref(&online), 1, "10", None, None);
    let in_store = Promotion { channel: Channel::Store, ..online };
    check(&[in_store], 1, "5", Some("P"), Some(9));
}

#[test]
fn without_a_base_price_there_is_no_price() {
    let base = Product { price: None, ..product("1101", 7, "10") };
    let sale = [promotion("P", "5", 0, 9, 0)];
    let shelf = shelf(&base, &sale, 1, Market::UnitedStates);
    assert_eq!((shelf.price, shelf.was, shelf.promotion(), shelf.next_change), (None, None, None, None));
    assert_eq!(shelf.base_revision, Some(7));
}

#[test]
fn only_a_market_that_compares_with_the_base_price_has_a_struck_through_one() {
    let base = product("1101", 7, "10");
    let sale = [promotion("P", "5", 0, 9, 0)];
    assert_eq!(shelf(&base, &sale, 1, Market::UnitedStates).was, Some(amount("10")));
    assert_eq!(shelf(&base, &[], 1, Market::UnitedStates).was, None);
    assert_eq!(shelf(&base, &sale, 1, Market::China).was, None);
    assert_eq!(shelf(&base, &sale, 1, Market::Europe).was, None);
}

#[track_caller]
fn check_unit_price(price: &str, content: &str, unit: ContentUnit, expected: &str, per: Measure) {
    let content = Content { amount: amount(content), unit };
    let base = Product { content: Some(content), ..product("1101", 7, price) };
    let unit_price = shelf(&base, &[], 1, Market::China).unit_price.unwrap();
    assert_eq!((unit_price.amount, unit_price.per), (amount(expected), per));
}

#[test]
fn the_unit_price_is_rounded_half_up() {
    check_unit_price("49.90", "500", ContentUnit::Gram, "99.80", Measure::Kilogram);
    check_unit_price("9.99", "2.5", ContentUnit::Kilogram, "4.00", Measure::Kilogram);
    check_unit_price("6.50", "550", ContentUnit::Millilitre, "11.82", Measure::Litre);
    check_unit_price("10", "3", ContentUnit::Litre, "3.33", Measure::Litre);
    check_unit_price("1.00", "8", ContentUnit::Piece, "0.13", Measure::Piece);
    check_unit_price("12", "150", ContentUnit::Centimetre, "8.00", Measure::Metre);
    check_unit_price("12", "1.5", ContentUnit::Metre, "8.00", Measure::Metre);
    check_unit_price("99", "5000", ContentUnit::SquareCentimetre, "198.00", Measure::SquareMetre);
    check_unit_price("99", "0.5", ContentUnit::SquareMetre, "198.00", Measure::SquareMetre);
}

#[test]
fn the_unit_price_is_that_of_the_shelf_price() {
    let content = Content { amount: amount("500"), unit: ContentUnit::Gram };
    let base = Product { content: Some(content), ..product("1101", 7, "10") };
    let sale = [promotion("P", "5", 0, 9, 0)];
    assert_eq!(shelf(&base, &sale, 1, Market::China).unit_price.unwrap().amount, amount("10"));
}

#[test]
fn amounts_at_the_limits_do_not_overflow() {
    check_unit_price("999999999999.99", "0.000001", ContentUnit::Piece, "999999999999990000", Measure::Piece);
    check_unit_price("999999999999.99", "0.000001", ContentUnit::Gram, "999999999999990000000", Measure::Kilogram);
}

/// Last second at which anything begins or ends in the small world.
const HORIZON: u64 = 12;

fn any_promotion() -> impl Strategy<Value = Promotion> {
    let channel = prop::sample::select(Channel::ALL.to_vec());
    let text = prop::option::of(prop::sample::select(vec!["", "双十一"]));
    (0..6u32, 1..14u32, 0..HORIZON, 1..=HORIZON, -1..2i64, channel, text).prop_map(
        |(id, price, start, length, priority, channel, text)| {
            let end = (start + length).min(HORIZON);
            Promotion {
                channel,
                text: text.map(str::to_owned),
                ..promotion(&format!("P{id}"), &price.to_string(), start, end, priority)
            }
        },
    )
}

/// Promotions with distinct ids, as a catalog has them.
fn any_promotions() -> impl Strategy<Value = Vec<Promotion>> {
    prop::collection::vec(any_promotion(), 0..6).prop_map(|mut promotions| {
        promotions.sort_by(|left, right| left.id.cmp(&right.id));
        promotions.dedup_by(|left, right| left.id == right.id);
        promotions
    })
}

/// The contract's paragraph, read word by word: sort everything that holds and take the first.
fn slow(base: Option<Decimal>, promotions: &[Promotion], at: Moment) -> (Option<Decimal>, Option<String>) {
    let Some(base) = base else { return (None, None) };
    let mut holding: Vec<&Promotion> = Vec::new();
    for promotion in promotions {
        if promotion.start <= at && at < promotion.end && promotion.channel != Channel::Online {
            holding.push(promotion);
        }
    }
    let mut with_result: Vec<&Promotion> = holding.clone();
    with_result.retain(|promotion| promotion.price < base);
    with_result.sort_by_key(|promotion| promotion.id.clone());
    with_result.sort_by_key(|promotion| promotion.price);
    with_result.sort_by_key(|promotion| std::cmp::Reverse(promotion.priority));
    if let Some(winner) = with_result.first() {
        return (Some(winner.price), Some(winner.id.to_string()));
    }
    holding.retain(|promotion| promotion.text.as_deref().is_some_and(|text| !text.is_empty()));
    holding.sort_by_key(|promotion| promotion.id.clone());
    holding.sort_by_key(|promotion| std::cmp::Reverse(promotion.priority));
    (Some(base), holding.first().map(|promotion| promotion.id.to_string()))
}

proptest! {
    #[test]
    fn it_agrees_with_the_slow_reading_at_every_instant(
        promotions in any_promotions(),
        price in prop::option::of(1..14u32),
        at in 0..=HORIZON,
    ) {
        let base = Product { price: price.map(Decimal::from), ..product("1101", 7, "1") };
        let shelf = shelf(&base, &promotions, at, Market::China);
        let id = shelf.promotion().map(|promotion| promotion.id.to_string());
        prop_assert_eq!((shelf.price, id), slow(base.price, &promotions, Moment::from_secs(at)));
    }

    #[test]
    fn the_answer_is_constant_until_its_next_change(
        promotions in any_promotions(),
        price in prop::option::of(1..14u32),
        at in 0..=HORIZON,
    ) {
        let base = Product { price: price.map(Decimal::from), ..product("1101", 7, "1") };
        let now = shelf(&base, &promotions, at, Market::UnitedStates);
        let until = now.next_change.map_or(HORIZON + 2, |next| next.as_millis() / 1_000);
        prop_assert!(until > at);
        for later in at..until {
            prop_assert_eq!(&shelf(&base, &promotions, later, Market::UnitedStates), &now, "at {} s", later);
        }
    }

    #[test]
    fn the_order_of_promotions_does_not_matter(
        (promotions, shuffled) in any_promotions().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        at in 0..=HORIZON,
    ) {
        let base = product("1101", 7, "8");
        let one = shelf(&base, &promotions, at, Market::China);
        prop_assert_eq!(one, shelf(&base, &shuffled, at, Market::China));
    }

    #[test]
    fn a_unit_price_agrees_with_whole_number_arithmetic(cents in 0..10_000_000u64, grams in 1..100_000u64) {
        let content = Content { amount: Decimal::from(grams), unit: ContentUnit::Gram };
        let unit_price = unit_price(Decimal::new(i64::try_from(cents).unwrap(), 2), content, CNY.parse().unwrap());
        let rounded = (2 * cents * 1_000 + grams) / (2 * grams);
        prop_assert_eq!(unit_price.unwrap().amount, Decimal::new(i64::try_from(rounded).unwrap(), 2));
    }
}
