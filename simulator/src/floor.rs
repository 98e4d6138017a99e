//! The floor of a shop: parallel shelves, a label's place along them, and base stations under the ceiling.

use serde::Serialize;

/// A place on the floor plan, in centimetres from its lower left corner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// To the right.
    pub x_cm: u32,
    /// Up.
    pub y_cm: u32,
}

/// The shop's floor: its size and its shelves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Floor {
    /// From its left wall to its right one.
    pub width_cm: u32,
    /// From its lower wall to its upper one.
    pub depth_cm: u32,
    /// No two of them touch.
    pub shelves: Vec<Shelf>,
}

/// A shelf, seen from above, with its sides along the walls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shelf {
    /// Its lower left corner.
    pub corner: Place,
    /// To the right.
    pub width_cm: u32,
    /// Up.
    pub depth_cm: u32,
}

/// A floor with a place for each label and each base station.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FloorPlan {
    /// The floor.
    pub floor: Floor,
    /// Along the shelves, in order.
    pub labels: Vec<Place>,
    /// Spread under the ceiling.
    pub base_stations: Vec<Place>,
}

/// A shelf seen from above: six metres, with labels on both of its long sides.
const SHELF: (u32, u32) = (600, 100);

/// What one shelf holds: six boards of 60 cm pieces on two sides would be 240; a shop that is full has 300.
const LABELS_PER_SHELF: usize = 300;

/// A shop has as many shelves as this, if it has labels for them: what stands on one is heard alike everywhere.
const SHELVES_MIN: usize = 4;

/// Between shelves, and between them and the walls.
const AISLE_CM: u32 = 200;

/// What a shelf takes of the floor, with its aisles.
const CELL: (u32, u32) = (SHELF.0 + AISLE_CM, SHELF.1 + AISLE_CM);

impl Floor {
    /// A shop of parallel shelves that holds so many labels and so many base stations: the same for the same numbers.
    #[must_use]
    pub fn for_labels(labels: usize, base_stations: usize) -> FloorPlan {
        let shelves = labels.div_ceil(LABELS_PER_SHELF).max(SHELVES_MIN.min(labels)).max(1);
        let columns = columns(shelves, CELL);
        let rows = shelves.div_ceil(columns);
        let corner = |shelf: usize| Place {
            x_cm: AISLE_CM + CELL.0 * short(shelf % columns),
            y_cm: AISLE_CM + CELL.1 * short(shelf / columns),
        };
        let floor = Self {
            width_cm: AISLE_CM + CELL.0 * short(columns),
            depth_cm: AISLE_CM + CELL.1 * short(rows),
            shelves: (0..shelves)
                .map(|shelf| Shelf { corner: corner(shelf), width_cm: SHELF.0, depth_cm: SHELF.1 })
                .collect(),
        };
        let per_shelf = labels.div_ceil(shelves);
        FloorPlan {
            labels: (0..labels).map(|label| floor.on_shelf(label / per_shelf, label % per_shelf, per_shelf)).collect(),
            base_stations: floor.under_the_ceiling(base_stations),
            floor,
        }
    }

    /// Where one of a shelf's labels hangs: its lower side is full from left to right before its upper one is.
    fn on_shelf(&self, shelf: usize, number: usize, per_shelf: usize) -> Place {
        let Shelf { corner, width_cm, depth_cm } = self.shelves[shelf];
        let per_side = per_shelf.div_ceil(2);
        let (side, along) = (number / per_side, number % per_side);
        let middle = short(along * 2 + 1) * width_cm / short(per_side * 2);
        Place { x_cm: corner.x_cm + middle, y_cm: corner.y_cm + depth_cm * short(side) }
    }

    /// Rows of places that share the floor alike.
    fn under_the_ceiling(&self, count: usize) -> Vec<Place> {
        let columns = columns(count, (self.depth_cm, self.width_cm));
        let rows = count.div_ceil(columns);
        let place = |number: usize| {
            let (row, column) = (number / columns, number % columns);
            let in_row = columns.min(count - row * columns);
            let middle = |of: u32, at: usize, among: usize| of * short(2 * at + 1) / short(2 * among);
            Place { x_cm: middle(self.width_cm, column, in_row), y_cm: middle(self.depth_cm, row, rows) }
        };
        (0..count).map(place).collect()
    }
}

/// The fewest columns in which so many cells of a size fill at least as much breadth as depth; at least one.
fn columns(cells: usize, (width, depth): (u32, u32)) -> usize {
    let is_broad = |columns: &usize| columns * width as usize >= cells.div_ceil(*columns) * depth as usize;
    (1..=cells).find(is_broad).unwrap_or(cells.max(1))
}

/// A number that is counted in a shop: shelves, and places on one.
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[track_caller]
    fn check(labels: usize, base_stations: usize, shelves: usize, (width_cm, depth_cm): (u32, u32)) {
        let plan = Floor::for_labels(labels, base_stations);
        let floor = &plan.floor;
        assert_eq!((floor.shelves.len(), floor.width_cm, floor.depth_cm), (shelves, width_cm, depth_cm));
        assert_eq!((plan.labels.len(), plan.base_stations.len()), (labels, base_stations));
        for label in &plan.labels {
            let hangs_on = |shelf: &Shelf| {
                let (right, top) = (shelf.corner.x_cm + shelf.width_cm, shelf.corner.y_cm + shelf.depth_cm);
                (shelf.corner.x_cm..=right).contains(&label.x_cm) && [shelf.corner.y_cm, top].contains(&label.y_cm)
            };
            assert!(floor.shelves.iter().any(hangs_on), "{label:?}");
        }
        let is_inside = |place: &Place| place.x_cm < width_cm && place.y_cm < depth_cm;
        assert!(plan.base_stations.iter().all(is_inside), "{plan:?}");
        let places: BTreeSet<_> = plan.labels.iter().chain(&plan.base_stations).collect();
        assert_eq!(places.len(), labels + base_stations, "no two at one place");
    }

    #[test]
    fn a_shop_holds_what_it_was_made_for() {
        check(1, 1, 1, (1_000, 500));
        check(60, 2, 4, (1_800, 800));
        check(1_500, 1, 5, (1_800, 1_100));
        check(30_000, 20, 100, (5_800, 4_700));
    }

    #[test]
    fn an_empty_shop_has_a_floor() {
        let plan = Floor::for_labels(0, 0);
        assert!(plan.labels.is_empty() && plan.base_stations.is_empty() && plan.floor.width_cm > 0);
    }
}
