//! The shell of the templates: those that the process was started with, and what was edited on the web, version by version
//! in the data directory.
//!
//! `templates/<name>/<number>.toml` holds one version: when, by whom, and its text; without a text it is the template as
//! it came. The highest number holds. Rolling back makes a new version of an old text, so that nothing is ever lost.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gondola_protocol::Moment;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::clock::Clock;
use crate::template::{TemplateError, Templates};

/// The folder in the data directory.
pub const DIRECTORY: &str = "templates";

/// Versions of one template that are kept: years of edits; then the oldest go.
const VERSIONS_MAX: usize = 100;

/// Problems that one sentence tells at most: whoever mends these sees the rest.
const TOLD_MAX: usize = 5;

/// Why a template is not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// No template has this name.
    #[error("there is no template `{name}`; there are {}", .known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The templates.
        known: Vec<String>,
    },
    /// No version has this number.
    #[error("template `{name}` has no version {number}; the newest {VERSIONS_MAX} are kept")]
    NoVersion {
        /// The template.
        name: String,
        /// The number.
        number: u32,
    },
    /// It does not compile.
    #[error("{}", told(.0))]
    Refused(Vec<TemplateError>),
    /// Somebody else was faster.
    #[error("template `{name}` is at version {found} by now, not at {edited}: look at that first, and edit it again")]
    Overtaken {
        /// The template.
        name: String,
        /// The version that was edited.
        edited: u32,
        /// The version that holds.
        found: u32,
    },
    /// The disk does not take it.
    #[error("the template could not be kept in {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The process ends.
    #[error("the controller is stopping")]
    Stopped,
}

fn told(problems: &[TemplateError]) -> String {
    let mut sentences: Vec<String> = problems.iter().take(TOLD_MAX).map(ToString::to_string).collect();
    if problems.len() > TOLD_MAX {
        sentences.push(format!("and {} more", problems.len() - TOLD_MAX));
    }
    sentences.join("; ")
}

/// One version of a template, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1; 0 is the template as it came.
    pub number: u32,
    /// When it was made.
    pub at: Moment,
    /// Who made it.
    pub by: String,
    /// The version whose text it took up again.
    pub restores: Option<u32>,
}

/// A version on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    at_ms: u64,
    by: String,
    restores: Option<u32>,
    /// None for the template as it came.
    text: Option<String>,
}

/// What a change of a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Another text.
    Text {
        /// The text.
        text: String,
        /// The version that was edited; none whatever holds.
        edited: Option<u32>,
    },
    /// The text of an earlier version; 0 for the template as it came.
    RollBack {
        /// Its number.
        to: u32,
    },
}

/// The templates of a process. Cloning it gives another handle to the same.
#[derive(Clone)]
pub struct TemplateLibrary(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    clock: Clock,
    /// As they came.
    base: Arc<Templates>,
    /// Held for a whole change, so that two cannot contradict each other.
    changes: Mutex<History>,
    current: watch::Sender<Arc<Templates>>,
}

/// The versions of each template that was edited, oldest first, and the texts that hold.
#[derive(Debug, Default)]
struct History {
    versions: BTreeMap<String, Vec<Version>>,
    texts: BTreeMap<String, String>,
}

impl fmt::Debug for TemplateLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TemplateLibrary")
    }
}

impl TemplateLibrary {
    /// Takes up what was edited in a data directory. An edit that no longer compiles, as after an upgrade, is told of and
    /// left out: its template is then as it came.
    #[must_use]
    pub fn open(data_dir: &Path, clock: Clock, base: Arc<Templates>) -> Self {
        let directory = data_dir.join(DIRECTORY);
        let mut history = History::default();
        for name in base.names() {
            history.recall(name, &directory.join(name));
        }
        let current = history.compile(&base).unwrap_or_else(|_| history.compile_what_can_be(&base));
        let (current, _) = watch::channel(current);
        Self(Arc::new(Inner { directory, clock, base, changes: Mutex::new(history), current }))
    }

    /// The templates that hold, now and after each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Templates>> {
        self.0.current.subscribe()
    }

    /// The templates that hold.
    #[must_use]
    pub fn current(&self) -> Arc<Templates> {
        Arc::clone(&self.0.current.borrow())
    }

    /// The versions of a template, newest first; none for one that is as it came.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<Version> {
        let history = lock(&self.0.changes);
        history.versions.get(name).map(|versions| versions.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// The templates with a draft among them. It compiles: not on a task's own thread.
    ///
    /// # Errors
    /// No such template, or a text that does not compile.
    pub fn with_draft(&self, name: &str, text: &str) -> Result<Templates, EditError> {
        let current = self.current();
        self.known(&current, name)?;
        current.with_texts([(name, text)]).map_err(EditError::Refused)
    }

    /// The text of a version; 0 is the template as it came. It reads a file: not on a task's own thread.
    ///
    /// # Errors
    /// No such template or version, or the disk.
    pub fn version_text(&self, name: &str, number: u32) -> Result<String, EditError> {
        self.known(&self.0.base, name)?;
        let as_it_came = || self.0.base.text(name).unwrap_or_default().to_owned();
        if number == 0 {
            return Ok(as_it_came());
        }
        let missing = || EditError::NoVersion { name: name.to_owned(), number };
        if !self.versions(name).iter().any(|version| version.number == number) {
            return Err(missing());
        }
        let path = self.0.directory.join(name).join(file_name(number));
        let stored = read(&path).map_err(|source| EditError::Io { path, source })?;
        Ok(stored.text.unwrap_or_else(as_it_came))
    }

    /// Changes a template, once its new version is on disk, and answers its number: every label is looked at again. A text
    /// that holds already changes nothing. It compiles and writes: not on a task's own thread.
    ///
    /// # Errors
    /// See [`EditError`]; nothing has changed then.
    pub fn change(&self, name: &str, edit: Edit, by: String) -> Result<u32, EditError> {
        self.known(&self.0.base, name)?;
        let (text, edited, restores) = match edit {
            Edit::Text { text, edited } => (Some(text), edited, None),
            Edit::RollBack { to: 0 } => (None, None, Some(0)),
            Edit::RollBack { to } => (Some(self.version_text(name, to)?), None, Some(to)),
        };
        let mut history = lock(&self.0.changes);
        let found = history.number(name);
        if let Some(edited) = edited.filter(|edited| *edited != found) {
            return Err(EditError::Overtaken { name: name.to_owned(), edited, found });
        }
        let text = text.filter(|text| self.0.base.text(name) != Some(text));
        if history.texts.get(name) == text.as_ref() {
            return Ok(found);
        }
        let mut texts = history.texts.clone();
        match &text {
            Some(text) => _ = texts.insert(name.to_owned(), text.clone()),
            None => _ = texts.remove(name),
        }
        let templates = compile(&self.0.base, &texts).map_err(EditError::Refused)?;
        let version = Version { number: found + 1, at: self.0.clock.now(), by, restores };
        let directory = self.0.directory.join(name);
        let stored = Stored { at_ms: version.at.as_millis(), by: version.by.clone(), restores, text };
        write(&directory, version.number, &stored)
            .map_err(|source| EditError::Io { path: directory.clone(), source })?;
        let number = version.number;
        history.texts = texts;
        history.add(name, version, &directory);
        self.0.current.send_replace(Arc::new(templates));
        Ok(number)
    }

    fn known(&self, templates: &Templates, name: &str) -> Result<(), EditError> {
        if templates.text(name).is_some() {
            return Ok(());
        }
        let known = self.0.base.names().map(str::to_owned).collect();
        Err(EditError::Unknown { name: name.to_owned(), known })
    }
}

impl History {
    fn number(&self, name: &str) -> u32 {
        self.versions.get(name).and_then(|versions| versions.last()).map_or(0, |version| version.number)
    }

    fn recall(&mut self, name: &str, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        let number = |path: PathBuf| path.file_name()?.to_str()?.strip_suffix(".toml")?.parse::<u32>().ok();
        let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.ok()?.path())).collect();
        numbers.sort_unstable();
        for number in numbers {
            let path = directory.join(file_name(number));
            match read(&path) {
                Ok(Stored { at_ms, by, restores, text }) => {
                    let version = Version { number, at: Moment::from_micros(at_ms * 1_000), by, restores };
                    self.versions.entry(name.to_owned()).or_default().push(version);
                    match text {
                        Some(text) => _ = self.texts.insert(name.to_owned(), text),
                        None => _ = self.texts.remove(name),
                    }
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a version of a template cannot be read and is left out");
                }
            }
        }
    }

    fn compile(&self, base: &Templates) -> Result<Arc<Templates>, Vec<TemplateError>> {
        compile(base, &self.texts).map(Arc::new)
    }

    /// Drops the texts that do not compile.
    fn compile_what_can_be(&mut self, base: &Arc<Templates>) -> Arc<Templates> {
        self.texts.retain(|name, text| match base.with_texts([(name.as_str(), text.as_str())]) {
            Ok(_) => true,
            Err(problems) => {
                tracing::error!(template = name, problems = told(&problems), "an edited template is left out");
                false
            }
        });
        self.compile(base).unwrap_or_else(|_| Arc::clone(base))
    }

    fn add(&mut self, name: &str, version: Version, directory: &Path) {
        let versions = self.versions.entry(name.to_owned()).or_default();
        versions.push(version);
        if versions.len() > VERSIONS_MAX {
            let oldest = versions.remove(0);
            if let Err(error) = fs::remove_file(directory.join(file_name(oldest.number))) {
                tracing::warn!(template = name, %error, "an old version stays on disk");
            }
        }
    }
}

fn compile(base: &Templates, texts: &BTreeMap<String, String>) -> Result<Templates, Vec<TemplateError>> {
    base.with_texts(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

fn file_name(number: u32) -> String {
    format!("{number}.toml")
}

fn read(path: &Path) -> io::Result<Stored> {
    toml::from_str(&fs::read_to_string(path)?).map_err(io::Error::other)
}

/// Writes a version so that after a power cut it is there whole or not at all, and there once this has returned.
fn write(directory: &Path, number: u32, stored: &Stored) -> io::Result<()> {
    let is_new = !directory.exists();
    fs::create_dir_all(directory)?;
    let text = toml::to_string_pretty(stored).map_err(io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(directory.join(file_name(number))).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()?;
    // The folders' own names, up to the data directory's.
    for above in directory.ancestors().skip(1).take(if is_new { 2 } else { 0 }) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// Nothing that holds the lock panics half-way through a change.
fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
