//! Several radios, each on a channel of its own, and the labels that move between them.
//!
//! Radios on different channels do not disturb one another. A label stays with its radio until it hears it no more, or
//! is told to look around, and then goes to the one that it hears best.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::{LabelId, Moment};

use super::site::{Site, SiteOptions};
use super::tag::{TagOptions, TagState};

/// The hall.
#[derive(Debug)]
pub struct Hall {
    sites: Vec<Site>,
    /// How well each label hears each radio, 0 to 255; not at all at 0.
    qualities: BTreeMap<LabelId, Vec<u8>>,
}

impl Hall {
    /// So many radios that have just been switched on, and no label.
    #[must_use]
    pub fn new(now: Moment, options: SiteOptions, radios: u64) -> Self {
        let site = |number| Site::new(now, SiteOptions { seed: options.seed ^ number << 32, ..options });
        Self { sites: (0..radios).map(site).collect(), qualities: BTreeMap::new() }
    }

    /// Adds a label that hears each radio so well, with the radio that it hears best; it wakes first after `wakes_in`.
    pub fn add(&mut self, now: Moment, options: TagOptions, qualities: &[u8], wakes_in: Duration) {
        let best = best(&self.sites, qualities).unwrap_or(0);
        self.sites[best].add(now, options, wakes_in);
        self.carry(options.label, qualities);
    }

    /// A label is carried to where it hears each radio so well.
    pub fn carry(&mut self, label: LabelId, qualities: &[u8]) {
        self.qualities.insert(label, qualities.to_vec());
        for (site, quality) in self.sites.iter_mut().zip(qualities) {
            site.set_quality(label, *quality);
        }
    }

    /// One of the radios, with the labels that are with it.
    ///
    /// # Panics
    /// There is none of that number.
    pub fn radio(&mut self, number: usize) -> &mut Site {
        &mut self.sites[number]
    }

    /// The radio that a label is with.
    #[must_use]
    pub fn radio_of(&self, label: LabelId) -> Option<usize> {
        self.sites.iter().position(|site| site.label(label).is_some())
    }

    /// What can be seen of a label.
    #[must_use]
    pub fn label(&self, label: LabelId) -> Option<TagState> {
        self.sites.iter().find_map(|site| site.label(label))
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.sites.iter().filter_map(Site::poll_timeout).min()
    }

    /// Lets everything happen that is due by `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.sites.iter_mut().for_each(|site| site.handle_timeout(now));
        for from in 0..self.sites.len() {
            let lost: Vec<LabelId> = self.sites[from].lost().collect();
            for label in lost {
                self.look_around(now, label, from);
            }
        }
    }

    fn look_around(&mut self, now: Moment, label: LabelId, from: usize) {
        let Some(qualities) = self.qualities.get(&label) else { return };
        let Some(to) = best(&self.sites, qualities).filter(|to| *to != from) else { return };
        if let Some(mut tag) = self.sites[from].let_go(label) {
            tag.quality = qualities[to];
            self.sites[to].take_in(now, tag);
        }
    }
}

/// The radio that is heard best.
fn best(sites: &[Site], qualities: &[u8]) -> Option<usize> {
    let heard = sites.iter().zip(qualities).enumerate().filter(|(_, (site, quality))| site.is_on() && **quality > 0);
    heard.max_by_key(|(_, (_, quality))| **quality).map(|(number, _)| number)
}
