//! The base stations that hear a label.

use gondola_protocol::StationId;

use super::few::Few;
use super::label::Heard;

/// The base stations that hear a label, by name. A label is heard by one or two, which stand side by side: a map's node
/// has room for eleven, 500 bytes for each of a chain's labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hearing(Few<(StationId, Heard)>);

impl Hearing {
    /// How a base station hears the label.
    #[must_use]
    pub fn get(&self, station: &StationId) -> Option<&Heard> {
        self.place(station).ok().map(|at| &self.0[at].1)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, station: &StationId) -> Option<&mut Heard> {
        self.place(station).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether a base station hears the label.
    #[must_use]
    pub fn contains_key(&self, station: &StationId) -> bool {
        self.place(station).is_ok()
    }

    /// A base station hears the label like this from now on.
    pub fn insert(&mut self, station: StationId, heard: Heard) {
        match self.place(&station) {
            Ok(at) => self.0[at].1 = heard,
            Err(at) => self.0.insert(at, (station, heard)),
        }
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each base station and how it hears the label, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&StationId, &Heard)> {
        self.0.iter().map(|(station, heard)| (station, heard))
    }

    fn place(&self, station: &StationId) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(station))
    }
}

#[cfg(test)]
mod tests {
    use gondola_protocol::Moment;

    use super::*;

    #[test]
    fn each_base_station_is_there_once_and_in_order() {
        let heard = |second| Heard { at: Moment::from_secs(second), rssi_dbm: -60, failures: 0 };
        let station = |name: &str| name.parse::<StationId>().unwrap();
        let mut hearing = Hearing::default();
        assert!(hearing.is_empty());
        for (second, name) in (1..).zip(["front", "back", "side", "back"]) {
            hearing.insert(station(name), heard(second));
        }
        let found: Vec<_> = hearing.iter().map(|(station, heard)| (station.to_string(), *heard)).collect();
        let expected = [("back", 4), ("front", 1), ("side", 3)].map(|(name, second)| (name.to_owned(), heard(second)));
        assert_eq!(found, expected);
        hearing.get_mut(&station("side")).unwrap().failures = 3;
        assert_eq!(hearing.get(&station("side")).unwrap().failures, 3);
        assert!(hearing.contains_key(&station("front")) && !hearing.contains_key(&station("roof")));
    }
}
