//! The way of a price in the log, from a source's message to the glass: one event for each step, at level debug under the
//! target `gondola::way`. Each has fields of the step before it, so that a person with `grep`, or a collector of traces,
//! follows one change: `sku` and `revision` lead from the message to the picture, `label` and `edition` from there to the
//! glass, `transfer` to the base station and back.
//!
//! | step | fields |
//! |---|---|
//! | `told`, by a source or over REST | `facet`, `sku` or promotion, `revision` |
//! | `priced`: the price of a product changed | `sku`, `price`, `promotion` |
//! | `sent` to a base station | `sku`, `revision`, `price`, `label`, `edition`, `transfer`, `station` |
//! | `answered` by the base station | `transfer`, `outcome` |
//! | `proven` by the label | `sku`, `revision`, `price`, `label`, `edition`, `digest` |

use gondola_drivers::head::{HeadEvent, Picture};
use gondola_protocol::{StationId, StoreId};
use tracing::{Level, debug, enabled};

use crate::catalog::wire::Row;
use crate::controller::Controller;
use crate::controller::message::{Input, Request};
use crate::fleet::label::Label;
use crate::journal::Entry;
use crate::journal::entry::Shown;

const WAY: &str = "gondola::way";

/// Something is told to the core.
pub(super) fn input(store: &StoreId, input: &Input) {
    if !enabled!(target: WAY, Level::DEBUG) {
        return;
    }
    match input {
        Input::Feed { rows, .. } | Input::Request { request: Request::Apply { rows }, .. } => told(store, rows),
        Input::Station(station, HeadEvent::Outcome { number, outcome }) => {
            debug!(target: WAY, %store, %station, transfer = number.0, ?outcome, "answered");
        }
        _ => {}
    }
}

fn told(store: &StoreId, rows: &[Row]) {
    for Row { key, revision, .. } in rows {
        debug!(target: WAY, %store, facet = %key.facet(), sku = key.id(), revision, "told");
    }
}

/// The core decided something, or learnt it from a label.
pub(super) fn decided(store: &StoreId, entries: &[Entry]) {
    if !enabled!(target: WAY, Level::DEBUG) {
        return;
    }
    for entry in entries {
        match entry {
            Entry::Prices { points } => {
                for point in points {
                    let price = point.price.map(tracing::field::display);
                    let promotion = point.promotion_id.as_ref().map(tracing::field::display);
                    debug!(target: WAY, %store, sku = %point.sku, price, promotion, "priced");
                }
            }
            Entry::Proof { label, edition, digest, shown, .. } => {
                for Shown { sku, revision, price, .. } in shown {
                    let (price, edition) = (price.as_deref(), edition.0);
                    debug!(target: WAY, %store, %sku, revision, price, %label, edition, %digest, "proven");
                }
            }
            _ => {}
        }
    }
}

/// A picture goes to a base station.
pub(super) fn sent(store: &StoreId, controller: &Controller, station: &StationId, picture: &Picture) {
    if !enabled!(target: WAY, Level::DEBUG) {
        return;
    }
    let (label, edition, transfer) = (picture.label, picture.edition.0, picture.number.0);
    let under_way = controller.fleet().label(label).and_then(|label: &Label| label.under_way.as_deref());
    for Shown { sku, revision, price, .. } in under_way.iter().flat_map(|under_way| under_way.content.shown.iter()) {
        let price = price.as_deref();
        debug!(target: WAY, %store, %sku, revision, price, %label, edition, transfer, %station, "sent");
    }
}
