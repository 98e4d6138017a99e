//! Pictures by digest, in the view's database.
//!
//! A picture is kept as its panel's id, a zero byte and its planes, deflated. What comes out is what the
//! digest says or nothing: whoever wanted it draws it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use gondola_protocol::{Digest, Moment, Panel, Planes};

use super::view::{Database, View, ViewError};

/// Bytes of planes that are kept in memory: some 400 pictures of a 2.9-inch three-colour panel, which is a
/// wave of price changes between its drawing and the stations' pulls.
const CACHE_BYTES_MAX: usize = 4 << 20;

/// Pictures by digest. Shared by reference between threads.
#[derive(Debug)]
pub struct Pictures {
    view: View,
    cache: Mutex<Cache>,
    young: Mutex<Young>,
}

impl Database {
    /// Whether a picture that nobody wants has been kept for so long. It is noted when that is first asked.
    fn is_outdated(&self, key: &[u8], now: Moment, kept_for: Duration) -> Result<bool, ViewError> {
        if kept_for.is_zero() {
            return Ok(true);
        }
        let since = self.unwanted.get(key)?.and_then(|since| Some(u64::from_be_bytes(since.as_ref().try_into().ok()?)));
        if since.is_none() {
            self.unwanted.insert(key, &now.as_micros().to_be_bytes())?;
        }
        Ok(since.is_some_and(|since| now.since(Moment::from_micros(since)) >= kept_for))
    }
}

/// Pictures that were put since the last clearing, and between the two before: nobody may know of them yet.
#[derive(Debug, Default)]
struct Young {
    since_last: BTreeSet<Digest>,
    before: BTreeSet<Digest>,
}

impl Pictures {
    /// The pictures in a view's database.
    #[must_use]
    pub fn new(view: &View) -> Self {
        Self { view: view.clone(), cache: Mutex::default(), young: Mutex::default() }
    }

    /// Keeps a picture. It is on disk with the view's next flush, or half a second later.
    ///
    /// # Errors
    /// The database's.
    pub fn put(&self, planes: &Planes) -> Result<Digest, ViewError> {
        let digest = planes.digest();
        self.young().since_last.insert(digest);
        let Database { pictures, .. } = self.view.database()?;
        if !pictures.contains_key(digest.0)? {
            pictures.insert(digest.0, pack(planes))?;
        }
        self.cache().insert(digest, planes.clone());
        Ok(digest)
    }

    /// The picture with this digest, if it is kept and whole. One that is not is dropped, with a warning.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<Planes> {
        if let Some(planes) = self.cache().pictures.get(digest) {
            return Some(planes.clone());
        }
        let value = self.view.database().and_then(|database| Ok(database.pictures.get(digest.0)?));
        let value = value.inspect_err(|e| tracing::warn!(%digest, "could not read a picture: {e}"));
        let value = value.ok()??;
        let Some(planes) = unpack(&value).filter(|planes| planes.digest() == *digest) else {
            tracing::warn!(%digest, "a kept picture is damaged; it is dropped and drawn again");
            self.drop_damaged(digest);
            return None;
        };
        self.cache().insert(*digest, planes.clone());
        Some(planes)
    }

    /// Drops every picture but these, those put since the clearing before the last, and those that were wanted less
    /// than `kept_for` ago; and says how many. A picture is put before anybody can want it by its digest, so a young one
    /// is never dropped.
    ///
    /// # Errors
    /// The database's.
    pub fn retain(&self, wanted: &BTreeSet<Digest>, now: Moment, kept_for: Duration) -> Result<usize, ViewError> {
        self.cache().retain(wanted);
        {
            let mut young = self.young();
            young.before = std::mem::take(&mut young.since_last);
        }
        let (database, mut dropped) = (self.view.database()?, 0);
        for key in database.pictures.iter().keys() {
            let key = key?;
            let digest = <[u8; 16]>::try_from(key.as_ref()).map(Digest);
            if digest.is_ok_and(|digest| wanted.contains(&digest) || self.young().contains(&digest)) {
                database.unwanted.remove(&key)?;
            } else if database.is_outdated(&key, now, kept_for)? {
                database.pictures.remove(&key)?;
                database.unwanted.remove(&key)?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    fn drop_damaged(&self, digest: &Digest) {
        if let Err(error) = self.view.database().and_then(|database| Ok(database.pictures.remove(digest.0)?)) {
            tracing::warn!(%digest, "could not drop a damaged picture: {error}");
        }
    }

    /// Never held while the database works.
    fn young(&self) -> MutexGuard<'_, Young> {
        self.young.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never held while the database works.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        // What is behind it is whole after any of its methods, so another thread's panic does not matter.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Young {
    fn contains(&self, digest: &Digest) -> bool {
        self.since_last.contains(digest) || self.before.contains(digest)
    }
}

/// The pictures that came by last, oldest out first.
#[derive(Debug, Default)]
struct Cache {
    pictures: BTreeMap<Digest, Planes>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl Cache {
    fn insert(&mut self, digest: Digest, planes: Planes) {
        let bytes = planes.bytes().len();
        if bytes > CACHE_BYTES_MAX || self.pictures.contains_key(&digest) {
            return;
        }
        while self.bytes + bytes > CACHE_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.pictures.remove(&oldest).map_or(0, |planes| planes.bytes().len());
        }
        self.bytes += bytes;
        self.order.push_back(digest);
        self.pictures.insert(digest, planes);
    }

    fn retain(&mut self, wanted: &BTreeSet<Digest>) {
        self.order.retain(|digest| wanted.contains(digest));
        self.pictures.retain(|digest, _| wanted.contains(digest));
        self.bytes = self.pictures.values().map(|planes| planes.bytes().len()).sum();
    }
}

fn pack(planes: &Planes) -> Vec<u8> {
    const INFALLIBLE: &str = "deflating into a Vec does not fail";
    let mut value = planes.panel().to_string().into_bytes();
    value.push(0);
    let mut encoder = DeflateEncoder::new(value, Compression::fast());
    encoder.write_all(planes.bytes()).expect(INFALLIBLE);
    encoder.finish().expect(INFALLIBLE)
}

fn unpack(value: &[u8]) -> Option<Planes> {
    let zero = value.iter().position(|&byte| byte == 0)?;
    let panel: Panel = std::str::from_utf8(&value[..zero]).ok()?.parse().ok()?;
    let mut bytes = Vec::with_capacity(panel.picture_bytes());
    // One byte more than is right is enough to know that it is wrong.
    let limit = panel.picture_bytes() as u64 + 1;
    DeflateDecoder::new(&value[zero + 1..]).take(limit).read_to_end(&mut bytes).ok()?;
    Planes::new(panel, bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn panel() -> Panel {
        "bwr-296x128".parse().unwrap()
    }

    /// A picture unlike that of any other number.
    fn picture(number: u16) -> Planes {
        let mut bytes = vec![0; panel().picture_bytes()];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        Planes::new(panel(), bytes).unwrap()
    }

    fn pictures(dir: &tempfile::TempDir) -> Pictures {
        Pictures::new(&View::open(dir.path()).unwrap().0)
    }

    #[test]
    fn a_picture_is_kept_until_it_is_not_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let kept = pictures(&dir);
        let digests: Vec<Digest> = (0..4).map(|number| kept.put(&picture(number)).unwrap()).collect();
        assert_eq!(kept.put(&picture(0)).unwrap(), digests[0]);
        let wanted = digests[..2].iter().copied().collect();
        let retain = || kept.retain(&wanted, Moment::ZERO, Duration::ZERO).unwrap();
        assert_eq!((retain(), retain()), (0, 2), "young pictures stay");
        let found = |kept: Pictures| digests.iter().map(|digest| kept.get(digest)).collect::<Vec<_>>();
        let expected = [Some(picture(0)), Some(picture(1)), None, None];
        assert_eq!(found(kept), expected);
        // From the disk alone.
        assert_eq!(found(pictures(&dir)), expected);
    }

    #[test]
    fn a_picture_is_kept_for_as_long_as_proofs_of_it_are() {
        let dir = tempfile::tempdir().unwrap();
        let kept = pictures(&dir);
        let digest = kept.put(&picture(0)).unwrap();
        let retain = |pictures: &Pictures, wanted: &[Digest], hour: u64| {
            let wanted = wanted.iter().copied().collect();
            pictures.retain(&wanted, Moment::from_secs(hour * 3_600), Duration::from_hours(10)).unwrap()
        };
        assert_eq!([0, 1, 9].map(|hour| retain(&kept, &[], hour)), [0, 0, 0]);
        // Somebody wanted it again, and the time begins anew. A restart changes nothing.
        assert_eq!([retain(&kept, &[digest], 11), retain(&kept, &[], 12)], [0, 0]);
        drop(kept);
        let kept = pictures(&dir);
        assert_eq!((retain(&kept, &[], 21), kept.get(&digest)), (0, Some(picture(0))));
        assert_eq!((retain(&kept, &[], 22), kept.get(&digest)), (1, None));
    }

    #[test]
    fn pictures_take_less_room_than_their_planes() {
        let packed = pack(&Planes::white(panel())).len();
        assert!(packed < 200, "{packed}");
    }

    /// What is kept under a picture's digest is another thing: nothing comes out, and it can be put again.
    #[track_caller]
    fn check(value: &[u8]) {
        let dir = tempfile::tempdir().unwrap();
        let kept = pictures(&dir);
        let digest = picture(7).digest();
        kept.view.database().unwrap().pictures.insert(digest.0, value).unwrap();
        assert_eq!(kept.get(&digest), None);
        kept.put(&picture(7)).unwrap();
        assert_eq!(kept.get(&digest), Some(picture(7)));
    }

    #[test]
    fn a_damaged_picture_does_not_come_out() {
        let whole = pack(&picture(7));
        check(b"");
        check(b"bwr-296x128\0");
        check(b"bwr-9x9\0\x03\0");
        check(&whole[..whole.len() / 2]);
        check(&pack(&picture(8)));
    }

    #[test]
    fn memory_is_bounded() {
        let size = panel().picture_bytes();
        let mut cache = Cache::default();
        for number in 0..1_000 {
            cache.insert(picture(number).digest(), picture(number));
            cache.insert(picture(number).digest(), picture(number));
        }
        assert_eq!((cache.pictures.len(), cache.order.len()), (CACHE_BYTES_MAX / size, CACHE_BYTES_MAX / size));
        assert!(cache.pictures.contains_key(&picture(999).digest()));
        cache.retain(&BTreeSet::from([picture(999).digest()]));
        assert_eq!((cache.pictures.len(), cache.order.len(), cache.bytes), (1, 1, size));
        let poster = Planes::white("bwry-3200x3200".parse().unwrap());
        (0..2).for_each(|_| cache.insert(poster.digest(), poster.clone()));
        assert!(cache.bytes <= CACHE_BYTES_MAX);
    }

    #[test]
    fn threads_share_it() {
        let dir = tempfile::tempdir().unwrap();
        let kept = pictures(&dir);
        thread::scope(|scope| {
            for thread in 0..4 {
                let kept = &kept;
                scope.spawn(move || {
                    for number in (thread..200).step_by(2) {
                        let digest = kept.put(&picture(number)).unwrap();
                        assert_eq!(kept.get(&digest), Some(picture(number)));
                    }
                });
            }
        });
        let retain = || kept.retain(&BTreeSet::new(), Moment::ZERO, Duration::ZERO).unwrap();
        assert_eq!((retain(), retain()), (0, 200), "young pictures stay");
    }
}
