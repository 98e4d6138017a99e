//! A snapshot into items: it arrives whole and verified, in parts, so that changes get in between; what it does
//! not name leaves at its end.

use gondola_protocol::Moment;

use super::apply::Origin;
use super::facets::Membership;
use super::records::Unsaved;
use super::sku::{PromotionId, Sku};
use super::told::Told;
use super::wire::{Change, Facet, Row, RowKey};
use super::{Applied, Catalog, Status};

/// A part of a snapshot that was received whole and found to be in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotPart {
    /// It begins. What was known before `asked_at` and is not named by the rows that follow leaves at the end.
    Begin {
        /// Which facet.
        facet: Facet,
        /// The source's number for it.
        generation: u64,
        /// The last number of the facet's messages that is in it.
        seq: Option<u64>,
        /// Whether lower revisions are taken: the source was restored.
        reset: bool,
        /// When it was asked for.
        asked_at: Moment,
    },
    /// Some of its rows.
    Rows {
        /// Which facet.
        facet: Facet,
        /// Valid rows.
        rows: Vec<Row>,
        /// Rows with an invalid field: what is stored of them stays.
        kept: Vec<RowKey>,
    },
    /// It is over.
    End {
        /// Which facet.
        facet: Facet,
    },
    /// It ends before its time, and nothing leaves.
    Abandon {
        /// Which facet.
        facet: Facet,
    },
}

/// A snapshot that is being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reload {
    number: u32,
    generation: u64,
    asked_at: Moment,
    reset: bool,
}

impl Catalog {
    /// Takes in a part of a snapshot, and answers what became of its rows. At most one snapshot of a facet is
    /// under way: another one's beginning takes its place.
    pub fn take_snapshot(&mut self, now: Moment, part: SnapshotPart) -> Vec<Applied> {
        match part {
            SnapshotPart::Begin { facet, generation, reset, asked_at, .. } => {
                self.reload_last += 1;
                let number = self.reload_last;
                self.reloads.insert(facet, Reload { number, generation, asked_at, reset });
                Vec::new()
            }
            SnapshotPart::Rows { facet, rows, kept } => self.take_rows(now, facet, rows, &kept),
            SnapshotPart::End { facet } => {
                self.end_reload(now, facet);
                Vec::new()
            }
            SnapshotPart::Abandon { facet } => {
                self.reloads.remove(&facet);
                Vec::new()
            }
        }
    }

    fn take_rows(&mut self, now: Moment, facet: Facet, rows: Vec<Row>, kept: &[RowKey]) -> Vec<Applied> {
        let Some(reload) = self.reloads.get(&facet).copied() else { return Vec::new() };
        for key in kept {
            self.meet(key, reload.number);
        }
        rows.into_iter().map(|row| self.take_row(now, row, reload)).collect()
    }

    fn take_row(&mut self, now: Moment, row: Row, reload: Reload) -> Applied {
        let Reload { number, asked_at, reset, .. } = reload;
        self.meet(&row.key, number);
        if let (RowKey::Sku(Facet::Assortment, sku), Change::Assortment(Membership::In)) = (&row.key, &row.change) {
            let (sku, revision) = (sku.clone(), row.revision);
            let status = self.take_member(now, sku, revision, reload);
            return Applied { key: row.key, revision, status };
        }
        self.take(now, row, Origin::Snapshot { number, asked_at, reset })
    }

    /// A snapshot's rows of the assortment have no revision: they stand until a change that came after it was
    /// asked for, or comes with a revision of its own.
    fn take_member(&mut self, now: Moment, sku: Sku, revision: u64, reload: Reload) -> Status {
        let known = self.items.get(&sku).and_then(|item| item.membership.as_ref());
        let is_newer = known.is_some_and(|known| known.mark.at >= reload.asked_at);
        if is_newer || known.is_some_and(|known| known.value == Some(Membership::In)) {
            return Status::Unchanged;
        }
        let revision = known.map_or(revision, |known| known.mark.revision.max(revision));
        let key = RowKey::Sku(Facet::Assortment, sku);
        let row = Row { key, revision, change: Change::Assortment(Membership::In) };
        let origin = Origin::Snapshot { number: reload.number, asked_at: reload.asked_at, reset: reload.reset };
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

    fn end_reload(&mut self, now: Moment, facet: Facet) {
        let Some(reload) = self.reloads.remove(&facet) else { return };
        self.generations.insert(facet, reload.generation);
        self.unsaved.insert(Unsaved::Meta);
        if facet == Facet::Promotion {
            self.drop_promotions(now, reload);
        } else {
            self.drop_facets(now, facet, reload);
        }
        if facet == Facet::Assortment {
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

    fn drop_facets(&mut self, now: Moment, facet: Facet, reload: Reload) {
        let is_absent = |item: &super::Item| {
            item.standing(facet).is_some_and(|standing| {
                let is_out = facet == Facet::Assortment
                    && item.membership.as_ref().is_some_and(|told| told.value == Some(Membership::Out));
                let is_there = !standing.is_removed && !is_out;
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
            self.touched.insert(sku);
        }
    }
}
