//! Templates: which layout a label gets, and what stands in it. No pixels.
//!
//! A template is one XML file, a tree of flex boxes; `rules.toml` says which one a label gets. Both are
//! compiled once, with every mistake told at once and by its place; what comes out for a label is a
//! [`Scene`]: plain values, and a [`RenderKey`] that tells whether two pictures are the same.

mod element;
mod error;
mod expression;
pub mod lint;
pub(crate) mod money;
mod parse;
mod picture;
mod rules;
pub mod scene;
pub mod style;
#[cfg(test)]
mod tests;
pub mod view;

use std::collections::BTreeMap;
use std::path::Path;

use gondola_protocol::Panel;

pub use picture::Picture;

pub use error::{Problem, SceneError, TemplateError};
pub use scene::{RenderKey, Scene};

use element::{Evaluation, Template};
use expression::{Expressions, Seen};
use picture::Pictures;
use rules::{Placed, Rules};
use view::LabelView;

/// Longest template or rules file; the shipped ones have 2 KiB.
const FILE_MAX: usize = 64 * 1024;
/// Most templates in a directory.
const TEMPLATES_MAX: usize = 256;
/// The file that selects.
const RULES: &str = "rules.toml";

/// All templates and the rules, compiled once.
#[derive(Debug)]
pub struct Templates {
    templates: BTreeMap<String, Template>,
    rules: Rules,
    expressions: Expressions,
    pictures: Pictures,
    /// What they were compiled from.
    sources: Vec<Source>,
    rules_source: Source,
}

/// One file as read: its name for people, its stem, and its text or why there is none.
#[derive(Debug, Clone)]
struct Source {
    file: String,
    stem: String,
    text: Result<String, Problem>,
}

impl Templates {
    /// The templates that ship.
    #[must_use]
    pub fn embedded() -> Self {
        macro_rules! shipped {
            ($($stem:literal),+) => {
                vec![$(Source {
                    file: concat!("label-templates/", $stem, ".xml").to_owned(),
                    stem: $stem.to_owned(),
                    text: Ok(include_str!(concat!("../../label-templates/", $stem, ".xml")).to_owned()),
                }),+]
            };
        }
        let rules = Source {
            file: format!("label-templates/{RULES}"),
            stem: String::new(),
            text: Ok(include_str!("../../label-templates/rules.toml").to_owned()),
        };
        let templates = shipped!(
            "back-room",
            "clearance",
            "limited-time",
            "member",
            "no-price",
            "not-for-sale",
            "poster",
            "promotion",
            "sold-out",
            "standard",
            "strip"
        );
        Self::compile(templates, rules, Pictures::new()).expect("the templates that ship compile: a test loads them")
    }

    /// The templates and rules of a directory: every `*.xml`, and `rules.toml`.
    ///
    /// # Errors
    /// Every problem of every file, with its place.
    pub fn from_directory(directory: &Path) -> Result<Self, Vec<TemplateError>> {
        let listed = std::fs::read_dir(directory).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let entries = listed.map_err(|error| {
            let problem = Problem::Unreadable { why: error.to_string() };
            vec![TemplateError { file: directory.display().to_string(), line: 1, column: 1, problem }]
        })?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
        paths.sort();
        if paths.len() > TEMPLATES_MAX {
            let problem = Problem::TooMany { what: "templates", expected: TEMPLATES_MAX };
            return Err(vec![TemplateError { file: directory.display().to_string(), line: 1, column: 1, problem }]);
        }
        let pictures = picture::read(directory)?;
        Self::compile(paths.iter().map(|path| read(path)).collect(), read(&directory.join(RULES)), pictures)
    }

    /// The templates' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }

    /// The text that a template was compiled from; none where there is no such template.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let source = self.sources.iter().find(|source| source.stem == name)?;
        source.text.as_deref().ok()
    }

    /// The same templates, with other texts for some of them. A name that there is not is left out.
    ///
    /// # Errors
    /// Every problem of every text, with its place.
    pub fn with_texts<'a>(
        &self,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<TemplateError>> {
        let mut sources = self.sources.clone();
        for (name, text) in texts {
            if let Some(source) = sources.iter_mut().find(|source| source.stem == name) {
                source.file = format!("{name}.xml");
                source.text = within_limit(text.to_owned());
            }
        }
        Self::compile(sources, self.rules_source.clone(), self.pictures.clone())
    }

    /// What is wrong with the templates themselves, whatever they show.
    #[must_use]
    pub fn lints(&self) -> Vec<lint::Lint> {
        self.names().flat_map(|name| self.lints_of(name)).collect()
    }

    /// The same of one template.
    #[must_use]
    pub fn lints_of(&self, name: &str) -> Vec<lint::Lint> {
        let of = |template: &Template| lint::lacking(&template.name, &template.panels, &template.root.colors());
        self.templates.get(name).map(of).unwrap_or_default()
    }

    /// Whether a template is made for a panel; one that there is not is for none.
    #[must_use]
    pub fn suits(&self, name: &str, panel: Panel) -> bool {
        self.templates.get(name).is_some_and(|template| template.suits(panel))
    }

    /// The template that the rules choose: the first rule that holds.
    #[must_use]
    pub fn select<'a>(&'a self, view: &LabelView, panel: Panel) -> &'a str {
        self.rules.select(&self.expressions, &Seen::new(view, panel, 1))
    }

    /// What a label with this view shows in this template.
    ///
    /// # Errors
    /// No such template, another panel's template, or an expression that fails for this view.
    pub fn scene(&self, name: &str, view: &LabelView, panel: Panel) -> Result<Scene, SceneError> {
        let template = self.templates.get(name).ok_or_else(|| SceneError::UnknownTemplate {
            found: name.to_owned(),
            expected: self.names().map(str::to_owned).collect(),
        })?;
        if !template.suits(panel) {
            let panels: Vec<String> = template.panels.iter().map(ToString::to_string).collect();
            return Err(SceneError::Panel { template: name.to_owned(), panel, expected: panels.join(", ") });
        }
        let scale = template.scale(panel);
        let (expressions, pictures) = (&self.expressions, &self.pictures);
        let evaluation = Evaluation { expressions, pictures, colours: panel.colours(), scale };
        template
            .scene(&evaluation, &Seen::new(view, panel, scale), panel)
            .map_err(|error| SceneError::Expression { template: name.to_owned(), why: error.to_string() })
    }

    fn compile(sources: Vec<Source>, rules: Source, pictures: Pictures) -> Result<Self, Vec<TemplateError>> {
        let mut expressions = Expressions::new();
        let mut errors = Vec::new();
        let mut templates = BTreeMap::new();
        let names: Vec<String> = sources.iter().map(|source| source.stem.clone()).collect();
        for source in &sources {
            let parsed =
                source.checked(|text| parse::template(text, &source.stem, &mut expressions, &pictures), &mut errors);
            templates.extend(parsed.map(|template| (template.name.to_string(), template)));
        }
        let rules_source = rules;
        let rules = rules_source.checked(|text| Rules::parse(text, &names, &mut expressions), &mut errors);
        match rules {
            Some(rules) if errors.is_empty() => {
                Ok(Self { templates, rules, expressions, pictures, sources, rules_source })
            }
            _ => Err(errors),
        }
    }
}

impl Source {
    /// What `parse` makes of the text; its problems get the file and their line and column.
    fn checked<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, Vec<Placed>>,
        errors: &mut Vec<TemplateError>,
    ) -> Option<T> {
        let text = match &self.text {
            Ok(text) => text.as_str(),
            Err(problem) => {
                errors.push(self.placed("", (0, problem.clone())));
                return None;
            }
        };
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(problems) => {
                errors.extend(problems.into_iter().map(|problem| self.placed(text, problem)));
                None
            }
        }
    }

    fn placed(&self, text: &str, (at, problem): Placed) -> TemplateError {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        TemplateError {
            file: self.file.clone(),
            line: count(before.matches('\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
            problem,
        }
    }
}

fn within_limit(text: String) -> Result<String, Problem> {
    if text.len() <= FILE_MAX { Ok(text) } else { Err(Problem::TooLong { found: text.len(), expected: FILE_MAX }) }
}

fn read(path: &Path) -> Source {
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|error| Problem::Unreadable { why: error.utf8_error().to_string() })
            .and_then(within_limit),
        Err(error) => Err(Problem::Unreadable { why: error.to_string() }),
    };
    Source {
        file: path.display().to_string(),
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        text,
    }
}
