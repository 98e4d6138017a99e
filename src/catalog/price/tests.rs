//! The shelf price: cases from the contract, and a second, slow and obvious reading of the same paragraph.

use proptest::prelude::*;

use super::*;
use crate::catalog::history::PricePoint;
use crate::catalog::product::ContentUnit;
use crate::catalog::promotion::{Channel, Reduction};
use crate::catalog::sku::PromotionId;
use crate::catalog::tests::{amount, product, settings, special_price};

/// A promotion in seconds of a small world.
fn promotion(id: &str, price: &str, start: u64, end: u64, priority: i64) -> Promotion {
    let (start, end) = (Moment::from_secs(start), Moment::from_secs(end));
    Promotion { start, end, priority, ..special_price(id, 1, &["1101"], price) }
}

fn for_members(promotion: Promotion) -> Promotion {
    Promotion { audience: Audience::Member, ..promotion }
}

fn percent_off(id: &str, percent: &str, start: u64, end: u64, priority: i64) -> Promotion {
    Promotion { reduction: Reduction::Percent(amount(percent)), ..promotion(id, "0", start, end, priority) }
}

/// A product with its promotions and what it cost.
struct Case {
    product: Product,
    promotions: Vec<Arc<Promotion>>,
    history: History,
}

impl Case {
    fn new(price: Option<Decimal>, promotions: &[Promotion]) -> Self {
        let product = Product { price, ..product("1101", "1") };
        let promotions = promotions.iter().cloned().map(Arc::new).collect();
        Self { product, promotions, history: History::default() }
    }

    fn of(price: &str, promotions: &[Promotion]) -> Self {
        Self::new(Some(amount(price)), promotions)
    }

    /// With prices that were noted, in seconds.
    fn with_history(mut self, points: &[(u64, &str, Option<&str>)]) -> Self {
        for (from, price, promotion) in points {
            self.history.restore(PricePoint {
                sku: "1101".parse().unwrap(),
                from: Moment::from_secs(*from),
                price: Some(amount(price)),
                promotion_id: promotion.map(|id| id.parse().unwrap()),
            });
        }
        self
    }

    fn shelf(&self, at: u64, market: Market) -> ShelfPrice<'_> {
        let basis = Basis {
            product: Some(&self.product),
            revision: Some(7),
            promotions: &self.promotions,
            history: &self.history,
            noted_until: Moment::ZERO,
        };
        shelf_price(basis, Moment::from_secs(at), &settings("CNY", market))
    }
}

/// Checks price, the id that made it or brings its text, and the second of the next change.
#[track_caller]
fn check(promotions: &[Promotion], at: u64, price: &str, id: Option<&str>, next_change: Option<u64>) {
    let case = Case::of("10", promotions);
    let shelf = case.shelf(at, Market::China);
    assert_eq!(shelf.price, Some(amount(price)));
    assert_eq!(shelf.promotion().map(|it| it.id.as_str()), id);
    assert_eq!(shelf.price_promotion.is_some(), shelf.price < case.product.price);
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
    let case = Case::new(None, &[promotion("P", "5", 0, 9, 0)]);
    let shelf = case.shelf(1, Market::UnitedStates);
    assert_eq!((shelf.price, shelf.was, shelf.promotion(), shelf.next_change), (None, None, None, None));
    assert_eq!(shelf.base_revision, Some(7));
}

#[test]
fn a_percentage_is_rounded_half_up_to_the_minor_unit() {
    check(&[percent_off("P", "12.5", 0, 9, 0)], 1, "8.75", Some("P"), Some(9));
    check(&[percent_off("P", "33.33", 0, 9, 0)], 1, "6.67", Some("P"), Some(9));
    check(&[percent_off("P", "0.05", 0, 9, 0)], 1, "10", Some("P"), Some(9));
    check(&[percent_off("P", "99.95", 0, 9, 0)], 1, "0.01", Some("P"), Some(9));
    check(&[percent_off("P", "20", 0, 9, 0), promotion("Q", "7.99", 0, 9, 0)], 1, "7.99", Some("Q"), Some(9));
}

#[test]
fn a_text_alone_changes_no_price() {
    let text = Promotion { reduction: Reduction::Text, ..promotion("P", "0", 0, 9, 5) };
    check(std::slice::from_ref(&text), 1, "10", Some("P"), Some(9));
    check(&[text, promotion("Q", "8", 0, 9, 0)], 1, "8", Some("Q"), Some(9));
}

/// What members pay beside the price for everyone, and by which promotion.
#[track_caller]
fn check_member(promotions: &[Promotion], price: &str, member: Option<(&str, &str)>) {
    let case = Case::of("10", promotions);
    let shelf = case.shelf(1, Market::China);
    assert_eq!(shelf.price, Some(amount(price)));
    let found = shelf.member.map(|(price, promotion)| (price, promotion.id.as_str()));
    assert_eq!(found, member.map(|(price, id)| (amount(price), id)));
}

#[test]
fn members_pay_a_price_of_their_own_where_it_is_lower() {
    let member = |id, price, priority| for_members(promotion(id, price, 0, 9, priority));
    check_member(&[member("M", "8", 0)], "10", Some(("8", "M")));
    check_member(&[member("M", "8", 0), promotion("P", "9", 0, 9, 0)], "9", Some(("8", "M")));
    check_member(&[member("M", "8", 9), promotion("P", "8", 0, 9, 0)], "8", None);
    check_member(&[member("M", "8", 9), promotion("P", "7", 0, 9, 0)], "7", None);
    check_member(&[member("M", "8", 1), member("N", "5", 0)], "10", Some(("8", "M")));
    check_member(&[member("M", "12", 1)], "10", None);
    check_member(&[for_members(percent_off("M", "25", 0, 9, 0))], "10", Some(("7.50", "M")));
    let online = Promotion { channel: Channel::Online, ..member("M", "8", 0) };
    check_member(&[online], "10", None);
}

const DAY: u64 = 24 * 60 * 60;

/// What is struck through on day 50, by market, of a product at 10 that is reduced to 5 from day 45 to 60.
#[track_caller]
fn check_was(history: &[(u64, &str, Option<&str>)], expected: [Option<&str>; 3]) {
    let sale = promotion("P", "5", 45 * DAY, 60 * DAY, 0);
    let points: Vec<_> = history.iter().map(|(day, price, id)| (day * DAY, *price, *id)).collect();
    let case = Case::of("10", &[sale]).with_history(&points);
    let was = [Market::China, Market::Europe, Market::UnitedStates].map(|market| case.shelf(50 * DAY, market).was);
    assert_eq!(was, expected.map(|was| was.map(amount)));
}

#[test]
fn what_is_struck_through_is_the_markets_business() {
    check_was(&[], [None, None, Some("10")]);
    check_was(&[(40, "10", None)], [None, None, Some("10")]);
    check_was(&[(38, "10", None)], [Some("10"), None, Some("10")]);
    check_was(&[(15, "10", None)], [Some("10"), Some("10"), Some("10")]);
    // A higher price before: China compares with the base price at most.
    check_was(&[(0, "12", None), (44, "10", None)], [Some("10"), Some("10"), Some("10")]);
    check_was(&[(0, "12", None)], [Some("10"), Some("12"), Some("10")]);
    // A reduction of another kind three weeks before.
    check_was(&[(0, "10", None), (20, "7", Some("Q")), (25, "10", None)], [Some("10"), Some("7"), Some("10")]);
    // One so low that nothing is reduced any more.
    check_was(&[(0, "10", None), (44, "5", Some("Q")), (45, "10", None)], [None, None, Some("10")]);
    // The same reduction before is left out.
    check_was(&[(0, "10", None), (20, "5", Some("P")), (25, "10", None)], [Some("10"), Some("10"), Some("10")]);
    // Boundaries that nobody has noted yet count.
    check_was(&[(0, "10", None), (45, "5", Some("P"))], [Some("10"), Some("10"), Some("10")]);
}

#[test]
fn without_a_reduction_nothing_is_struck_through() {
    let case = Case::of("10", &[]).with_history(&[(0, "20", None), (40 * DAY, "10", None)]);
    for market in [Market::China, Market::Europe, Market::UnitedStates] {
        assert_eq!(case.shelf(40 * DAY, market).was, None);
        assert_eq!(case.shelf(41 * DAY, market).was, None);
    }
}

#[track_caller]
fn check_unit_price(price: &str, content: &str, unit: ContentUnit, expected: &str, per: Measure) {
    let mut case = Case::of(price, &[]);
    case.product.content = Some(Content { amount: amount(content), unit });
    let unit_price = case.shelf(1, Market::China).unit_price.unwrap();
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
    let mut case = Case::of("10", &[promotion("P", "5", 0, 9, 0)]);
    case.product.content = Some(Content { amount: amount("500"), unit: ContentUnit::Gram });
    assert_eq!(case.shelf(1, Market::China).unit_price.unwrap().amount, amount("10"));
}

#[test]
fn amounts_at_the_limits_do_not_overflow() {
    check_unit_price("999999999999.99", "0.000001", ContentUnit::Piece, "999999999999990000", Measure::Piece);
    check_unit_price("999999999999.99", "0.000001", ContentUnit::Gram, "999999999999990000000", Measure::Kilogram);
    let off = percent_off("P", "0.000001", 0, 9, 0);
    assert!(Case::of("999999999999.99", &[off]).shelf(1, Market::China).price.is_some());
}

/// Last second at which anything begins or ends in the small world.
const HORIZON: u64 = 12;

fn any_promotion() -> impl Strategy<Value = Promotion> {
    let channel = prop::sample::select(Channel::ALL.to_vec());
    let audience = prop::sample::select(Audience::ALL.to_vec());
    let text = prop::option::of(prop::sample::select(vec!["", "双十一"]));
    let reduction = prop_oneof![
        4 => (1..14u32).prop_map(|price| Reduction::Price(price.into())),
        2 => (1..100u32).prop_map(|percent| Reduction::Percent(percent.into())),
        1 => Just(Reduction::Text),
    ];
    (0..6u32, reduction, 0..HORIZON, 1..=HORIZON, -1..2i64, (channel, audience, text)).prop_map(
        |(id, reduction, start, length, priority, (channel, audience, text))| Promotion {
            reduction,
            channel,
            audience,
            text: text.map(Into::into),
            ..promotion(&format!("P{id}"), "1", start, (start + length).min(HORIZON), priority)
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

/// What the contract's paragraph says, read word by word.
#[derive(Debug, PartialEq)]
struct Slow {
    price: Option<Decimal>,
    by: Option<PromotionId>,
    told: Option<PromotionId>,
    member: Option<(Decimal, PromotionId)>,
}

fn slow_result(promotion: &Promotion, base: Decimal) -> Option<Decimal> {
    let result = match promotion.reduction {
        Reduction::Price(price) => price,
        Reduction::Percent(percent) => {
            let cents = base * Decimal::from(100) - base * percent;
            (cents + Decimal::new(5, 1)).floor() / Decimal::from(100)
        }
        Reduction::Text => return None,
    };
    if result < base { Some(result) } else { None }
}

fn slow(base: Option<Decimal>, promotions: &[Promotion], at: Moment) -> Slow {
    let Some(base) = base else { return Slow { price: None, by: None, told: None, member: None } };
    let mut holding: Vec<&Promotion> = Vec::new();
    for promotion in promotions {
        if promotion.start <= at && at < promotion.end && promotion.channel != Channel::Online {
            holding.push(promotion);
        }
    }
    let winner = |audience: Audience| {
        let mut those: Vec<&Promotion> = holding.clone();
        those.retain(|promotion| promotion.audience == audience && slow_result(promotion, base).is_some());
        those.sort_by_key(|promotion| promotion.id.clone());
        those.sort_by_key(|promotion| slow_result(promotion, base));
        those.sort_by_key(|promotion| std::cmp::Reverse(promotion.priority));
        those.first().map(|promotion| (slow_result(promotion, base).unwrap(), promotion.id.clone()))
    };
    let (everyone, member) = (winner(Audience::All), winner(Audience::Member));
    let price = everyone.as_ref().map_or(base, |(price, _)| *price);
    let mut texts = holding.clone();
    texts.retain(|promotion| {
        let is_text = promotion.text.as_deref().is_some_and(|text| !text.is_empty());
        is_text && promotion.audience == Audience::All
    });
    texts.sort_by_key(|promotion| promotion.id.clone());
    texts.sort_by_key(|promotion| std::cmp::Reverse(promotion.priority));
    let by = everyone.map(|(_, id)| id);
    Slow {
        price: Some(price),
        told: by.clone().or_else(|| texts.first().map(|promotion| promotion.id.clone())),
        by,
        member: member.filter(|(member, _)| *member < price),
    }
}

/// The lowest price of `span` seconds, by looking at every second since `known`.
fn slow_lowest(base: Option<Decimal>, promotions: &[Promotion], known: u64, at: u64, span: u64) -> Option<Decimal> {
    let by = |second: u64| slow(base, promotions, Moment::from_secs(second));
    let running = by(at).by;
    let mut end = at + 1;
    if running.is_some() {
        end = at;
        while end > known && by(end - 1).by == running {
            end -= 1;
        }
    }
    let start = (if running.is_some() { end } else { at }).saturating_sub(span);
    if start < known {
        return None;
    }
    let seconds = (start..end).map(by).filter(|second| running.is_none() || second.by != running);
    seconds.filter_map(|second| second.price).min()
}

proptest! {
    #[test]
    fn it_agrees_with_the_slow_reading_at_every_instant(
        promotions in any_promotions(),
        price in prop::option::of(1..14u32),
        at in 0..=HORIZON,
    ) {
        let case = Case::new(price.map(Decimal::from), &promotions);
        let shelf = case.shelf(at, Market::China);
        let found = Slow {
            price: shelf.price,
            by: shelf.price_promotion.map(|promotion| promotion.id.clone()),
            told: shelf.promotion().map(|promotion| promotion.id.clone()),
            member: shelf.member.map(|(price, promotion)| (price, promotion.id.clone())),
        };
        prop_assert_eq!(found, slow(case.product.price, &promotions, Moment::from_secs(at)));
    }

    #[test]
    fn the_lowest_price_agrees_with_a_look_at_every_day(
        promotions in any_promotions(),
        price in 1..14u32,
        known in 0..HORIZON,
        noted in 0..2 * HORIZON,
        at in 1..40 + HORIZON,
    ) {
        let (known, noted) = (known.min(at), noted.max(known));
        let in_days: Vec<Promotion> = promotions.iter().map(|promotion| Promotion {
            start: Moment::from_secs(promotion.start.as_millis() / 1_000 * DAY),
            end: Moment::from_secs(promotion.end.as_millis() / 1_000 * DAY),
            ..promotion.clone()
        }).collect();
        let mut case = Case::of(&price.to_string(), &in_days);
        // Noted day by day up to `noted`; the rest follows from the promotions.
        for day in known..=noted {
            let then = slow(case.product.price, &promotions, Moment::from_secs(day));
            case.history.note(Moment::from_secs(day * DAY), then.price, then.by.as_ref());
        }
        let lowest = case.shelf(at * DAY, Market::China).lowest;
        let slow = |span| slow_lowest(case.product.price, &promotions, known, at, span);
        prop_assert_eq!((lowest.of_7_days, lowest.of_30_days), (slow(7), slow(30)));
    }

    #[test]
    fn the_answer_is_constant_until_its_next_change(
        promotions in any_promotions(),
        price in prop::option::of(1..14u32),
        at in 0..=HORIZON,
    ) {
        let case = Case::new(price.map(Decimal::from), &promotions);
        let now = case.shelf(at, Market::UnitedStates);
        let until = now.next_change.map_or(HORIZON + 2, |next| next.as_millis() / 1_000);
        prop_assert!(until > at);
        for later in at..until {
            prop_assert_eq!(&case.shelf(later, Market::UnitedStates), &now, "at {} s", later);
        }
    }

    #[test]
    fn the_order_of_promotions_does_not_matter(
        (promotions, shuffled) in any_promotions().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        at in 0..=HORIZON,
    ) {
        let [one, other] = [promotions, shuffled].map(|promotions| Case::of("8", &promotions));
        prop_assert_eq!(one.shelf(at, Market::China), other.shelf(at, Market::China));
    }

    #[test]
    fn a_unit_price_agrees_with_whole_number_arithmetic(cents in 0..10_000_000u64, grams in 1..100_000u64) {
        let content = Content { amount: Decimal::from(grams), unit: ContentUnit::Gram };
        let currency = "CNY".parse().unwrap();
        let unit_price = unit_price(Decimal::new(i64::try_from(cents).unwrap(), 2), content, currency);
        let rounded = (2 * cents * 1_000 + grams) / (2 * grams);
        prop_assert_eq!(unit_price.unwrap().amount, Decimal::new(i64::try_from(rounded).unwrap(), 2));
    }
}
