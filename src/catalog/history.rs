//! What a product cost on the shelf, and since when: as far back as a struck-through price must be proven.
//!
//! It knows only what it was told at the time. A span before its first point is unknown, and stays so.

use std::time::Duration;

use gondola_protocol::Moment;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::promotion::micros;
use super::sku::{PromotionId, Sku};

/// The longest look back that a market asks for: 98/6/EC as amended, article 6a.
pub const KEPT: Duration = days(30);

/// Most points of a product. A price that changes every three hours for 30 days has 240; past it the two oldest
/// become one with the lower of their prices, which can only make a compared price lower.
const POINTS_MAX: usize = 256;

/// A change of a product's price for everyone. Its JSON is a part of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricePoint {
    /// The product.
    pub sku: Sku,
    /// From then on, in microseconds since the Unix epoch.
    #[serde(with = "micros")]
    pub from: Moment,
    /// The price; none while there was none.
    pub price: Option<Decimal>,
    /// The promotion that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<PromotionId>,
}

/// A price for everyone from an instant on, until the next point's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) from: Moment,
    pub(super) price: Option<Decimal>,
    pub(super) promotion: Option<PromotionId>,
}

/// One product's points, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    points: Vec<Point>,
}

/// The lowest prices before a reduction, as far as the history reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lowest {
    /// Of 7 days.
    pub of_7_days: Option<Decimal>,
    /// Of 30 days.
    pub of_30_days: Option<Decimal>,
}

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

impl History {
    /// The newest point's instant.
    pub(super) fn last_from(&self) -> Option<Moment> {
        self.points.last().map(|point| point.from)
    }

    /// Takes in that the price is `price` from `from` on. Answers whether that is news; a clock that went back
    /// makes no point older than one before it.
    pub(super) fn note(&mut self, from: Moment, price: Option<Decimal>, promotion: Option<&PromotionId>) -> bool {
        let is_known = match self.points.last() {
            Some(last) => last.price == price && last.promotion.as_ref() == promotion,
            None => price.is_none(),
        };
        if !is_known {
            self.push(Point { from, price, promotion: promotion.cloned() });
        }
        !is_known
    }

    /// Its points, oldest first: taken back in this order they make the same history.
    pub(crate) fn points(&self, sku: &Sku) -> impl Iterator<Item = PricePoint> {
        self.points.iter().map(|point| PricePoint {
            sku: sku.clone(),
            from: point.from,
            price: point.price,
            promotion_id: point.promotion.clone(),
        })
    }

    /// Takes back a point, in the order of the journal.
    pub(crate) fn restore(&mut self, point: PricePoint) {
        self.push(Point { from: point.from, price: point.price, promotion: point.promotion_id });
    }

    fn push(&mut self, mut point: Point) {
        point.from = self.last_from().map_or(point.from, |last| point.from.max(last));
        // A price that held for no time was no price.
        self.points.pop_if(|last| last.from == point.from);
        if self.points.last().is_some_and(|last| (last.price, &last.promotion) == (point.price, &point.promotion)) {
            return;
        }
        // Most products have one or two: room for four is no saving.
        self.points.reserve_exact(1);
        self.points.push(point);
        let cutoff = self.run_start(self.points.len() - 1) - KEPT;
        let old = self.points.iter().skip(1).take_while(|next| next.from <= cutoff).count();
        self.points.drain(..old);
        if self.points.len() > POINTS_MAX {
            let oldest = self.points.remove(0);
            let next = &mut self.points[0];
            if next.price.is_none() || oldest.price.is_some_and(|price| next.price.is_some_and(|next| price < next)) {
                (next.price, next.promotion) = (oldest.price, oldest.promotion);
            }
            next.from = oldest.from;
        }
    }

    /// When the reduction that point `index` is part of began.
    fn run_start(&self, index: usize) -> Moment {
        run_start(&self.points[..=index])
    }

    /// The lowest prices before the reduction that runs at `at`, or up to `at` if none does. `later` are the
    /// points that follow from the promotions between the newest point and `at`.
    pub(super) fn lowest(&self, at: Moment, later: &[Point]) -> Lowest {
        if later.is_empty() {
            let known = self.points.partition_point(|point| point.from <= at);
            return lowest(&self.points[..known], at);
        }
        let mut points: Vec<Point> = self.points.clone();
        points.extend(later.iter().cloned());
        points.retain(|point| point.from <= at);
        lowest(&points, at)
    }
}

/// When the reduction of the last point began; for a point without one, its own instant.
fn run_start(points: &[Point]) -> Moment {
    let Some(last) = points.last() else { return Moment::ZERO };
    if last.promotion.is_none() {
        return last.from;
    }
    let run = points.iter().rev().take_while(|point| point.promotion == last.promotion);
    run.last().map_or(last.from, |first| first.from)
}

fn lowest(points: &[Point], at: Moment) -> Lowest {
    let Some(last) = points.last() else { return Lowest::default() };
    let running = last.promotion.as_ref();
    let end = if running.is_some() { run_start(points) } else { at };
    let since = |span: Duration| {
        let start = end - span;
        if points[0].from > start {
            return None;
        }
        let begins = points.iter().map(|point| point.from);
        let ends = begins.skip(1).chain([at]);
        let within = points.iter().zip(ends).filter(|(point, until)| {
            *until > start && (running.is_none() || (point.from < end && point.promotion.as_ref() != running))
        });
        within.filter_map(|(point, _)| point.price).min()
    };
    Lowest { of_7_days: since(days(7)), of_30_days: since(days(30)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    /// A history of (day, price, promotion), asked on a day. Answers the lowest of 7 and of 30 days.
    #[track_caller]
    fn check(points: &[(u64, Option<i64>, Option<&str>)], day: u64, expected: (Option<i64>, Option<i64>)) {
        let mut history = History::default();
        for (day, price, promotion) in points {
            let id = promotion.map(|id| id.parse().unwrap());
            history.note(Moment::from_secs(day * DAY), price.map(Decimal::from), id.as_ref());
        }
        let lowest = history.lowest(Moment::from_secs(day * DAY), &[]);
        let expected = (expected.0.map(Decimal::from), expected.1.map(Decimal::from));
        assert_eq!((lowest.of_7_days, lowest.of_30_days), expected);
    }

    #[test]
    fn a_short_history_answers_nothing() {
        check(&[], 100, (None, None));
        check(&[(100, Some(10), None)], 106, (None, None));
        check(&[(100, Some(10), None)], 107, (Some(10), None));
        check(&[(100, Some(10), None)], 130, (Some(10), Some(10)));
    }

    #[test]
    fn the_running_reduction_is_left_out_and_others_are_not() {
        let points = [(0, Some(10), None), (40, Some(8), Some("A")), (45, Some(10), None), (50, Some(5), Some("B"))];
        check(&points, 50, (Some(8), Some(8)));
        check(&points, 70, (Some(8), Some(8)));
        let again = [(0, Some(10), None), (40, Some(5), Some("A")), (45, Some(10), None), (50, Some(4), Some("A"))];
        check(&again, 51, (Some(10), Some(10)));
        let raised = [(0, Some(10), None), (40, Some(5), Some("A")), (41, Some(6), Some("A"))];
        check(&raised, 60, (Some(10), Some(10)));
    }

    #[test]
    fn without_a_reduction_the_price_itself_counts() {
        let cut = [(0, Some(10), None), (40, Some(7), None)];
        check(&cut, 40, (Some(7), Some(7)));
        check(&cut, 69, (Some(7), Some(7)));
        let raised = [(0, Some(7), None), (40, Some(10), None)];
        check(&raised, 41, (Some(7), Some(7)));
        check(&raised, 47, (Some(10), Some(7)));
        check(&raised, 70, (Some(10), Some(10)));
    }

    #[test]
    fn days_without_a_price_say_nothing() {
        check(&[(0, Some(10), None), (40, None, None), (45, Some(12), None)], 50, (Some(12), Some(10)));
        check(&[(0, Some(10), None), (40, None, None)], 80, (None, None));
    }

    #[test]
    fn what_no_reduction_can_ask_for_is_dropped_and_a_flood_is_merged() {
        let mut history = History::default();
        for day in 0..100 {
            history.note(Moment::from_secs(day * DAY), Some(Decimal::from(day)), None);
        }
        assert_eq!(history.points.len(), 31);
        assert_eq!(history.points[0].from, Moment::from_secs(69 * DAY));
        for second in 0..1_000 {
            history.note(Moment::from_secs(100 * DAY + second), Some(Decimal::from(500 + second)), None);
        }
        assert_eq!(history.points.len(), POINTS_MAX);
        assert_eq!(history.lowest(Moment::from_secs(101 * DAY), &[]).of_30_days, Some(Decimal::from(70)));
    }
}
