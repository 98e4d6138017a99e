//! Views through whatever files go through.

use std::fs;
use std::thread;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::database::{CHECKSUM_KEY, RELEASE_WAIT, RELEASE_WAITS_MAX, SEQUENCE_KEY, STATE_TREE, VERSION_KEY};
use super::*;

fn set(tree: Tree, key: &str, value: &str) -> ViewChange {
    ViewChange { tree, key: key.into(), value: Some(value.into()) }
}

fn batch(journal_sequence: u64, changes: Vec<ViewChange>) -> ViewBatch {
    ViewBatch { number: journal_sequence, journal_sequence, changes }
}

fn texts(rows: &Rows, tree: Tree) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    rows.of(tree).map(|(key, value)| (text(key), text(value))).collect()
}

/// What is in a view by now.
fn loaded(view: &View, tree: Tree) -> Vec<(String, String)> {
    texts(&view.database().unwrap().read_through().unwrap().1, tree)
}

/// A view that could be used goes up to a journal record.
#[track_caller]
fn check_opened(opened: &ViewOpened, journal_sequence: Option<u64>) {
    assert_eq!((opened.journal_sequence, &opened.set_aside), (journal_sequence, &None));
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn trees_are_apart_and_in_order_and_the_newest_value_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (view, opened) = View::open(dir.path()).unwrap();
    check_opened(&opened, None);
    let remove = ViewChange { tree: Tree::Products, key: "1101".into(), value: None };
    let first = batch(3, vec![set(Tree::Products, "1102", "b"), set(Tree::Products, "1101", "a")]);
    let second = batch(5, vec![set(Tree::Labels, "1101", "c"), set(Tree::Products, "1103", "d"), remove]);
    let third = batch(6, vec![set(Tree::Products, "1103", "e"), set(Tree::Meta, "", "f")]);
    view.write(vec![first]).unwrap();
    view.write(vec![second, third]).unwrap();
    drop(view);
    let (_, opened) = View::open(dir.path()).unwrap();
    check_opened(&opened, Some(6));
    assert_eq!(texts(&opened.rows, Tree::Products), pairs(&[("1102", "b"), ("1103", "e")]));
    assert_eq!(texts(&opened.rows, Tree::Labels), pairs(&[("1101", "c")]));
    assert_eq!(texts(&opened.rows, Tree::Meta), pairs(&[("", "f")]));
    assert_eq!(texts(&opened.rows, Tree::Promotions), []);
}

/// A view after `damage` is set aside for `reason`, and the new one is empty and works.
#[track_caller]
fn check(damage: impl FnOnce(&Path), reason: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DIR_NAME);
    let (view, _) = View::open(dir.path()).unwrap();
    view.write(vec![batch(1, vec![set(Tree::Meta, "key", "value")])]).unwrap();
    drop(view);
    damage(&path);
    let (view, opened) = View::open(dir.path()).unwrap();
    let set_aside = opened.set_aside.unwrap();
    assert!(set_aside.reason.contains(reason), "{set_aside}");
    assert_eq!(set_aside.path, dir.path().join("view.set-aside-1"));
    assert_eq!((texts(&opened.rows, Tree::Meta), opened.journal_sequence), (Vec::new(), None));
    assert_eq!(loaded(&view, Tree::Meta), []);
    view.write(vec![batch(2, vec![set(Tree::Meta, "key", "value")])]).unwrap();
    drop(view);
    let (_, opened) = View::open(dir.path()).unwrap();
    check_opened(&opened, Some(2));
}

/// The database itself, once sled's threads have let go of it.
fn database(path: &Path) -> sled::Db {
    for _ in 0..RELEASE_WAITS_MAX {
        match sled::open(path) {
            Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire lock") => {
                thread::sleep(RELEASE_WAIT);
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("{} stays locked", path.display());
}

fn insert(path: &Path, key: &[u8], value: &[u8]) {
    let db = database(path);
    db.open_tree(STATE_TREE).unwrap().insert(key, value).unwrap();
}

fn remove(path: &Path, key: &[u8]) {
    let db = database(path);
    db.open_tree(STATE_TREE).unwrap().remove(key).unwrap();
}

#[test]
fn what_will_not_open_is_set_aside() {
    check(|path| fs::write(path.join("conf"), "not a configuration").unwrap(), "the database");
    check(
        |path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "no directory").unwrap();
        },
        "the database failed: ",
    );
}

#[test]
fn what_another_version_wrote_is_set_aside() {
    check(|path| insert(path, VERSION_KEY, &7_u32.to_be_bytes()), "it has version 7, this gondola writes version 2");
    check(|path| insert(path, VERSION_KEY, b"?"), "it has version unknown");
}

#[test]
fn what_does_not_add_up_is_set_aside() {
    let damaged = "what it holds is not what was written";
    check(|path| insert(path, SEQUENCE_KEY, &9_u64.to_be_bytes()), damaged);
    check(|path| insert(path, b"\xFFkey", b"value"), damaged);
    check(|path| insert(path, &Tree::Meta.key(b"key"), b"older"), damaged);
    check(|path| remove(path, &Tree::Meta.key(b"key")), damaged);
    check(|path| remove(path, CHECKSUM_KEY), damaged);
    check(|path| remove(path, VERSION_KEY), damaged);
}

#[test]
fn a_view_in_use_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let held = View::open(dir.path()).unwrap();
    let error = View::open(dir.path()).unwrap_err();
    assert!(matches!(error, ViewError::InUse { .. }), "{error}");
    drop(held);
    assert_eq!(View::open(dir.path()).unwrap().1.set_aside, None);
}

#[test]
fn a_view_that_rests_is_opened_by_who_needs_it_and_must_hold_what_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DIR_NAME);
    let (view, _) = View::open(dir.path()).unwrap();
    view.write(vec![batch(1, vec![set(Tree::Meta, "key", "value")])]).unwrap();
    view.rest();
    // Others could have it.
    drop(database(&path));
    assert_eq!(loaded(&view, Tree::Meta), pairs(&[("key", "value")]));
    view.rest();
    view.write(vec![batch(2, vec![set(Tree::Meta, "key", "newer")])]).unwrap();
    view.rest();
    insert(&path, SEQUENCE_KEY, &9_u64.to_be_bytes());
    let error = view.open_again(3).unwrap_err();
    assert!(matches!(error, ViewError::Damaged), "{error}");
}

#[test]
fn a_view_can_be_replaced_and_few_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (mut view, _) = View::open(dir.path()).unwrap();
    for number in 1..=5 {
        view.write(vec![batch(9, Vec::new())]).unwrap();
        let (anew, opened) = view.replace("it goes further than the journal").unwrap();
        let path = dir.path().join(format!("view.set-aside-{number}"));
        let reason = "it goes further than the journal".to_owned();
        assert_eq!((opened.journal_sequence, opened.set_aside), (None, Some(SetAside { path, reason })));
        view = anew;
    }
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["view", "view.set-aside-3", "view.set-aside-4", "view.set-aside-5"]);
}

#[test]
fn a_place_without_room_for_a_view_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = View::open(&dir.path().join("file")).unwrap_err();
    assert!(matches!(error, ViewError::SetAside { .. }), "{error}");
    assert!(error.to_string().contains("which is not usable: the database failed: "), "{error}");
}

/// Copies a view's files as they are: what a process that dies leaves behind.
fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    fs::create_dir_all(to.path().join(DIR_NAME).join("blobs")).unwrap();
    for entry in fs::read_dir(from.join(DIR_NAME)).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.path().join(DIR_NAME).join(entry.file_name())).unwrap();
        }
    }
    to
}

#[test]
fn what_was_flushed_survives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (view, _) = View::open(dir.path()).unwrap();
    for sequence in 1..=20 {
        let value = sequence.to_string();
        let changes = vec![set(Tree::Products, &value, &value), set(Tree::Labels, "newest", &value)];
        view.write(vec![batch(sequence, changes)]).unwrap();
    }
    let crashed = copied(dir.path());
    let (_, opened) = View::open(crashed.path()).unwrap();
    check_opened(&opened, Some(20));
    assert_eq!(texts(&opened.rows, Tree::Labels), pairs(&[("newest", "20")]));
    assert_eq!(texts(&opened.rows, Tree::Products).len(), 20);
}

/// What a view of `steps` batches holds after each of them, and its files.
fn grown(steps: u64) -> (Vec<Vec<(String, String)>>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (view, _) = View::open(dir.path()).unwrap();
    let mut history = vec![Vec::new()];
    for sequence in 1..=steps {
        let touched = (0..200).filter(|key| key % (1 + sequence % 7) == 0);
        let value = format!("{sequence} {}", "x".repeat(200));
        let changes = touched.map(|key| set(Tree::Products, &format!("{key:03}"), &value)).collect();
        view.write(vec![batch(sequence, changes)]).unwrap();
        history.push(loaded(&view, Tree::Products));
    }
    (history, copied(dir.path()))
}

/// The journal's tail can only bring a view up to date that is whole as of the position it claims.
#[test]
fn a_damaged_view_is_whole_as_of_its_position_or_set_aside() {
    // Enough for sled to have used parts of its file again.
    let (history, whole) = grown(120);
    let bytes = fs::read(whole.path().join("view/db")).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for round in 0..30 {
        let dir = copied(whole.path());
        let mut bytes = bytes.clone();
        let at = random.random_range(0..bytes.len());
        match round % 3 {
            0 => bytes[at] ^= 0x10,
            1 => bytes[at..].iter_mut().take(4_096).for_each(|byte| *byte = 0),
            _ => bytes.truncate(at),
        }
        fs::write(dir.path().join("view/db"), bytes).unwrap();
        let (_, opened) = View::open(dir.path()).unwrap();
        let position = usize::try_from(opened.journal_sequence.unwrap_or(0)).unwrap();
        let set_aside = opened.set_aside;
        assert!(
            texts(&opened.rows, Tree::Products) == history[position],
            "round {round}, byte {at}: {position}, {set_aside:?}"
        );
    }
}
