//! The view's records: what is written of a change, and taken back at the next start.

use std::sync::Arc;

use gondola_protocol::Moment;
use serde::{Deserialize, Serialize};

use super::Catalog;
use super::approvals::Held;
use super::item::Item;
use super::promotion::Promotion;
use super::sku::{PromotionId, Sku};
use super::told::{RestoreError, Told, from_key, from_record, to_record};
use super::wire::RowKey;
use crate::storage::{Tree, ViewChange};

/// The key of the catalog's own record among others of its tree.
const META_KEY: &[u8] = b"catalog";

/// A record that differs from what the view holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsaved {
    Item(Sku),
    Promotion(PromotionId),
    Held(RowKey),
    Meta,
}

/// What belongs to no product.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Meta {
    assortment_told: bool,
}

impl Catalog {
    /// What the view must hold of everything that changed since the last call.
    pub fn take_records(&mut self) -> Vec<ViewChange> {
        let unsaved = std::mem::take(&mut self.unsaved);
        unsaved.into_iter().map(|unsaved| self.record(&unsaved)).collect()
    }

    fn record(&self, unsaved: &Unsaved) -> ViewChange {
        let (tree, key, value) = match unsaved {
            Unsaved::Item(sku) => {
                let item = self.item(sku).filter(|item| item.is_told());
                (Tree::Products, sku.as_str().as_bytes().to_vec(), item.map(to_record))
            }
            Unsaved::Promotion(id) => {
                let told = self.promotions.get(id);
                let whole = told.map(|told| Told { mark: told.mark, value: told.value.as_deref() });
                (Tree::Promotions, id.as_str().as_bytes().to_vec(), whole.map(|whole| to_record(&whole)))
            }
            Unsaved::Held(key) => (Tree::Held, to_record(key), self.approvals.get(key).map(to_record)),
            Unsaved::Meta => {
                let meta = Meta { assortment_told: self.assortment_told };
                (Tree::Meta, META_KEY.to_vec(), Some(to_record(&meta)))
            }
        };
        ViewChange { tree, key, value }
    }

    /// Takes back one record of a tree, in place of what is there.
    ///
    /// # Errors
    /// Bytes that [`Self::take_records`] did not give.
    pub fn restore(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        match tree {
            Tree::Products => {
                let sku: Sku = from_key("a product", key)?;
                let item: Item = from_record("a product", value)?;
                let kept = self.items.entry(sku).or_default();
                let (promotions, history) = (std::mem::take(&mut kept.promotions), std::mem::take(&mut kept.history));
                self.told += usize::from(!kept.is_told());
                **kept = Item { promotions, history, ..item };
            }
            Tree::Promotions => {
                let id: PromotionId = from_key("a promotion", key)?;
                let Told { mark, value } = from_record::<Told<Promotion>>("a promotion", value)?;
                self.restore_promotion(id, Told { mark, value: value.map(Arc::new) });
            }
            Tree::Held => self.approvals.restore(from_record::<Held>("a held change", value)?),
            Tree::Meta if key == META_KEY => {
                let meta: Meta = from_record("the catalog", value)?;
                self.assortment_told = meta.assortment_told;
            }
            Tree::Meta | Tree::Labels => {}
        }
        Ok(())
    }

    fn restore_promotion(&mut self, id: PromotionId, told: Told<Arc<Promotion>>) {
        if let Some(promotion) = &told.value {
            self.namings += promotion.skus.len();
            for sku in &promotion.skus {
                self.items.entry(sku.clone()).or_default().set_promotion(&id, told.value.clone());
            }
        }
        self.promotions.insert(id, told);
    }

    /// Forgets deletions older than [`TOMBSTONE_KEPT`](super::TOMBSTONE_KEPT).
    ///
    /// It looks at everything, so once an hour is often enough: an old deletion decides nothing even before.
    pub fn forget_deletions(&mut self, now: Moment) {
        for (sku, item) in &mut self.items {
            if item.forget(now) {
                self.told -= usize::from(!item.is_told());
                self.unsaved.insert(Unsaved::Item(sku.clone()));
            }
        }
        self.items.retain(|_, item| !item.is_empty());
        let promotions = self.promotions.extract_if(.., |_, told| told.is_forgotten(now));
        self.unsaved.extend(promotions.map(|(id, _)| Unsaved::Promotion(id)));
    }
}
