//! I1, I2, I8: what is on a glass, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};

use gondola_protocol::{Digest, Edition, LabelId};

use super::{Fact, Found, Invariant};

/// What is known of each label.
#[derive(Debug, Default)]
pub(super) struct GlassChecker {
    labels: BTreeMap<LabelId, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// What was ever meant for it, and what it showed at first.
    meant: BTreeSet<Digest>,
    /// What it has shown.
    shown: BTreeSet<(Edition, Digest)>,
    /// The highest edition of each device with its id since that forgot everything last.
    editions: BTreeMap<usize, Edition>,
}

impl GlassChecker {
    pub(super) fn see(&mut self, fact: &Fact) -> Found {
        match *fact {
            Fact::Hung { label, digest } => {
                let known = self.labels.entry(label).or_default();
                known.meant.insert(digest);
                known.shown.insert((Edition(0), digest));
            }
            Fact::Meant { label, digest, .. } => _ = self.labels.entry(label).or_default().meant.insert(digest),
            Fact::Glass { label, edition, digest, device } => return self.see_glass(label, edition, digest, device),
            Fact::Reset { label, device } => _ = self.labels.entry(label).or_default().editions.remove(&device),
            Fact::Proven { label, edition, digest } => {
                let known = self.labels.entry(label).or_default();
                if !known.shown.contains(&(edition, digest)) {
                    let text = format!("a proof of edition {edition}, which the label never showed");
                    return Some((Invariant::Proven, Some(label), text));
                }
            }
            Fact::Confirmed { ref product, wrong: Some(label) } => {
                let text = format!("the price of {product} is confirmed, and a label shows another picture");
                return Some((Invariant::Proven, Some(label), text));
            }
            _ => {}
        }
        None
    }

    fn see_glass(&mut self, label: LabelId, edition: Edition, digest: Digest, device: usize) -> Found {
        let known = self.labels.entry(label).or_default();
        known.shown.insert((edition, digest));
        let newest = known.editions.entry(device).or_default();
        let before = *newest;
        *newest = edition.max(before);
        // Edition 0 is a label that forgot everything: white.
        if edition > Edition(0) && !known.meant.contains(&digest) {
            return Some((Invariant::Desired, Some(label), "a label shows what was never meant for it".to_owned()));
        }
        if edition < before {
            return Some((Invariant::Monotone, Some(label), format!("a label shows edition {edition} after {before}")));
        }
        None
    }
}
