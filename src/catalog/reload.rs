//! A snapshot into items: it arrives whole and verified, in parts, so that changes get in between; what it does
//! not name leaves at its end.

use gondola_protocol::Moment;

use super::apply::Origin;
use super::facets::Membership;
use super::records::Unsaved;
use super::sku::{PromotionId, Sku};
use super::told::Told;
use super::wire::{Change, Facet, Row, RowKey};
use super::{Applied, Catalog, Item, Status};

/// A part of a snapshot that was received whole and found to be in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotPart {
    /// It begins. What was known before `asked_at` and is not named by the rows that follow leaves at the end.
    Begin {
        /// Which facet.
        facet: Facet,
        /// The last number of the facet's messages that is in it.
        seq: Option<u64>,
        /// Whether lower revisions are taken: the source was restored.
        reset: bool,
        /// When it was asked for.
        asked_at: Moment,
    },
    /// Some of its rows.
    Rows {
        /// Valid rows.
        rows: Vec<Row>,
        /// Rows with an invalid field: what is stored of them stays.
        kept: Vec<RowKey>,
    },
    /// It is over.
    End,
    /// It ends before its time, and nothing leaves.
    Abandon,
}

/// A snapshot that is being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reload {
    pub(super) facet: Facet,
    number: u32,
    asked_at: Moment,
    reset: bool,
}

impl Catalog {
    /// Takes in a part of a snapshot, and answers what became of its rows. At most one snapshot is under way:
    /// another one's beginning takes its place.
    pub fn take_snapshot(&mut self, now: Moment, part: SnapshotPart) -> Vec<Applied> {
        match part {
            SnapshotPart::Begin { facet, reset, asked_at, .. } => {
                self.reload_last += 1;
                self.reload = Some(Reload { facet, number: self.reload_last, asked_at, reset });
            }
            SnapshotPart::Rows { rows, kept } => return self.take_rows(now, rows, &kept),
            SnapshotPart::End => self.end_reload(now),
            SnapshotPart::Abandon => self.reload = None,
        }
        Vec::new()
    }

    fn take_rows(&mut self, now: Moment, rows: Vec<Row>, kept: &[RowKey]) -> Vec<Applied> {
        let Some(reload) = self.reload else { return Vec::new() };
        for key in kept {
            self.meet(key, reload.number);
        }
        rows.into_iter().map(|row| self.take_row(now, row, reload)).collect()
    }

    fn take_row(&mut self, now: Moment, row: Row, reload: Reload) -> Applied {
        let Reload { number, asked_at, reset, .. } = reload;
        self.meet(&row.key, number);
        let origin = Origin::Snapshot { number, asked_at, reset };
        match &row.key {
            RowKey::Sku(Facet::Assortment, sku) => {
                let (key, sku, revision) = (row.key.clone(), sku.clone(), row.revision);
                Applied { key, revision, status: self.take_member(now, &sku, origin) }
            }
            _ => self.take(now, row, origin),
        }
    }

    /// A snapshot's rows of the assortment have no revision: they stand beside the one that is known, unless a
    /// change came after the snapshot was asked for.
    fn take_member(&mut self, now: Moment, sku: &Sku, origin: Origin) -> Status {
        let known = self.items.get(sku).and_then(|item| item.membership.as_ref());
        let is_newer = known.is_some_and(|known| origin.is_before(known.mark.at));
        if is_newer || known.is_some_and(|known| known.value == Some(Membership::In)) {
            return Status::Unchanged;
        }
        let row = Row {
            key: RowKey::Sku(Facet::Assortment, sku.clone()),
            revision: known.map_or(0, |known| known.mark.revision),
            change: Change::Assortment(Membership::In),
        };
        match self.refusal(&row) {
            Some(refusal) => Status::Refused(refusal),
            None => {
                self.store(now, row, origin);
                Status::Applied
            }
        }
    }

    /// Marks what a snapshot names, so that it does not leave at the end.
    fn meet(&mut self, key: &RowKey, number: u32) {
        let mark = match key {
            RowKey::Sku(facet, sku) => self.items.get_mut(sku).and_then(|item| item.mark_mut(*facet)),
            RowKey::Promotion(id) => self.promotions.get_mut(id).map(|told| &mut told.mark),
        };
        if let Some(mark) = mark {
            mark.met = number;
        }
    }

    fn end_reload(&mut self, now: Moment) {
        let Some(reload) = self.reload.take() else { return };
        if reload.facet == Facet::Promotion {
            self.drop_promotions(now, reload);
        } else {
            self.drop_facets(now, reload);
        }
        if reload.facet == Facet::Assortment {
            self.tell_assortment();
        }
    }

    fn drop_promotions(&mut self, now: Moment, reload: Reload) {
        let is_absent =
            |told: &Told<_>| told.value.is_some() && told.mark.met != reload.number && told.mark.at < reload.asked_at;
        let absent = self.promotions.iter().filter(|(_, told)| is_absent(told));
        let absent: Vec<(PromotionId, u64)> = absent.map(|(id, told)| (id.clone(), told.mark.revision)).collect();
        for (id, revision) in absent {
            self.replace_promotion(now, id, Told::new(revision, now, reload.number, None));
        }
    }

    fn drop_facets(&mut self, now: Moment, reload: Reload) {
        let facet = reload.facet;
        let is_out = |item: &Item| {
            facet == Facet::Assortment
                && item.membership.as_ref().is_some_and(|told| told.value == Some(Membership::Out))
        };
        let is_absent = |item: &Item| {
            item.standing(facet).is_some_and(|standing| {
                let is_there = !standing.is_removed && !is_out(item);
                is_there && standing.mark.met != reload.number && standing.mark.at < reload.asked_at
            })
        };
        let absent = self.items.iter().filter(|(_, item)| is_absent(item));
        let absent: Vec<Sku> = absent.map(|(sku, _)| sku.clone()).collect();
        for sku in absent {
            if let Some(item) = self.items.get_mut(&sku) {
                item.remove(facet, now);
            }
            if facet == Facet::Base {
                self.note_price(now, &sku);
            }
            self.unsaved.insert(Unsaved::Item(sku.clone()));
            self.touch(&sku);
        }
    }
}
