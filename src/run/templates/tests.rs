//! Versions of templates: kept, taken back, and there after a restart.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use gondola_protocol::Moment;
use tempfile::TempDir;

use super::{Edit, EditError, TemplateLibrary, VERSIONS_MAX};
use crate::run::clock::Clock;
use crate::template::Templates;

const EMPTY: &str = "<template name=\"strip\"/>";

fn open(dir: &Path) -> TemplateLibrary {
    let clock = Clock::starting_at(Moment::from_secs(1_795_147_200));
    TemplateLibrary::open(dir, clock, Arc::new(Templates::embedded()))
}

fn edit(library: &TemplateLibrary, text: &str, edited: Option<u32>) -> Result<u32, EditError> {
    library.change("strip", Edit::Text { text: text.to_owned(), edited }, "ann".to_owned())
}

fn holds(library: &TemplateLibrary) -> String {
    library.current().text("strip").unwrap().to_owned()
}

#[test]
fn an_edit_holds_and_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let library = open(dir.path());
    let shipped = holds(&library);
    let watched = library.watch();
    assert_eq!(edit(&library, EMPTY, Some(0)).unwrap(), 1);
    assert_eq!((holds(&library), watched.has_changed().unwrap()), (EMPTY.to_owned(), true));
    assert_eq!(edit(&library, EMPTY, None).unwrap(), 1, "what holds already is no new version");
    let library = open(dir.path());
    assert_eq!(holds(&library), EMPTY);
    assert_eq!(library.change("strip", Edit::RollBack { to: 0 }, "bo".into()).unwrap(), 2);
    assert_eq!(library.change("strip", Edit::RollBack { to: 1 }, "cy".into()).unwrap(), 3);
    let library = open(dir.path());
    let versions = library.versions("strip");
    let told: Vec<_> = versions.iter().map(|one| (one.number, one.by.as_str(), one.restores)).collect();
    assert_eq!(told, [(3, "cy", Some(1)), (2, "bo", Some(0)), (1, "ann", None)]);
    let texts = [0, 1, 2, 3].map(|number| library.version_text("strip", number).unwrap());
    assert_eq!(texts, [shipped.as_str(), EMPTY, &shipped, EMPTY]);
}

#[test]
fn what_is_wrong_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let library = open(dir.path());
    let before = holds(&library);
    let refused = edit(&library, "<template name=\"strip\">\n  <txt/>\n</template>", None).unwrap_err().to_string();
    assert!(refused.starts_with("strip.xml:2:3: unknown element `txt`; expected one of box, text"), "{refused}");
    edit(&library, EMPTY, None).unwrap();
    edit(&library, &before, Some(1)).unwrap();
    let overtaken = edit(&library, EMPTY, Some(1)).unwrap_err().to_string();
    assert!(overtaken.starts_with("template `strip` is at version 2 by now, not at 1"), "{overtaken}");
    let unknown = library.change("none", Edit::RollBack { to: 0 }, "ann".into()).unwrap_err().to_string();
    assert!(unknown.starts_with("there is no template `none`; there are back-room,"), "{unknown}");
    let unknown = library.change("strip", Edit::RollBack { to: 9 }, "ann".into()).unwrap_err().to_string();
    assert!(unknown.starts_with("template `strip` has no version 9"), "{unknown}");
    assert_eq!((holds(&library), library.versions("strip").len()), (before, 2));
}

#[test]
fn an_edit_that_no_longer_compiles_is_left_out_and_the_others_stand() {
    let dir = TempDir::new().unwrap();
    let library = open(dir.path());
    edit(&library, EMPTY, None).unwrap();
    let poster = "<template name=\"poster\"/>".to_owned();
    library.change("poster", Edit::Text { text: poster.clone(), edited: None }, "ann".into()).unwrap();
    let file = dir.path().join("templates/strip/1.toml");
    let later = fs::read_to_string(&file).unwrap().replace("name=", "title=");
    fs::write(&file, later).unwrap();
    fs::write(dir.path().join("templates/strip/2.toml"), "torn").unwrap();
    let library = open(dir.path());
    assert_eq!(library.current().text("strip"), Templates::embedded().text("strip"));
    assert_eq!(library.current().text("poster"), Some(poster.as_str()));
}

#[test]
fn a_disk_that_takes_nothing_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let library = open(dir.path());
    let before = holds(&library);
    fs::write(dir.path().join("templates"), "in the way").unwrap();
    assert!(matches!(edit(&library, EMPTY, None).unwrap_err(), EditError::Io { .. }));
    assert_eq!((holds(&library), library.versions("strip").len()), (before, 0));
}

#[test]
fn the_oldest_versions_go() {
    let dir = TempDir::new().unwrap();
    let library = open(dir.path());
    let edits = u32::try_from(VERSIONS_MAX).unwrap() + 2;
    for number in 1..=edits {
        edit(&library, &format!("{EMPTY}<!-- {number} -->"), None).unwrap();
    }
    let versions = library.versions("strip");
    assert_eq!((versions[0].number, versions.len()), (edits, VERSIONS_MAX));
    assert_eq!(fs::read_dir(dir.path().join("templates/strip")).unwrap().count(), VERSIONS_MAX);
}
