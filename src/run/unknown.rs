//! Fields of sources that this version does not know: each is told once, all are counted.

use std::collections::BTreeSet;

use crate::catalog::wire::Facet;

/// Unknown fields that are named in the log: a source's whole format, should it be another one. Others are
/// only counted.
const TOLD_MAX: usize = 256;

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct UnknownFields {
    told: BTreeSet<(Facet, String)>,
}

impl UnknownFields {
    /// Counts fields, and names each once.
    pub(super) fn tell(&mut self, facet: Facet, fields: BTreeSet<String>) {
        metrics::counter!("gondola_feed_unknown_fields_total").increment(fields.len() as u64);
        for field in fields {
            if self.told.len() < TOLD_MAX && self.told.insert((facet, field.clone())) {
                tracing::warn!("feed: field `{field}` of {facet} is not known and not looked at; this is told once");
            }
        }
    }
}
