//! `rules.toml`: which template a label gets.

use serde::Deserialize;

use super::error::Problem;
use super::expression::{Condition, Expressions, Seen};

/// The rules in their order; the last takes what the others leave.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    template: String,
    when: Option<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    template: toml::Spanned<String>,
    when: Option<toml::Spanned<String>>,
}

/// A problem and the byte at which it stands.
pub(super) type Placed = (usize, Problem);

impl Rules {
    /// Reads the rules against the templates that are there.
    pub(super) fn parse(source: &str, names: &[String], expressions: &mut Expressions) -> Result<Self, Vec<Placed>> {
        let file: RulesFile = toml::from_str(source).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            vec![(at, Problem::Malformed { format: "rules", why: error.message().replace('\n', " ") })]
        })?;
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        let last = file.rule.len().saturating_sub(1);
        for (index, entry) in file.rule.into_iter().enumerate() {
            let at = entry.template.span().start;
            if !names.iter().any(|name| name == entry.template.get_ref()) {
                let found = entry.template.get_ref().clone();
                problems.push((at, Problem::UnknownTemplate { found, expected: names.to_vec() }));
            }
            match (&entry.when, index == last) {
                (None, false) => problems.push((at, Problem::Unreachable)),
                (Some(_), true) => problems.push((at, Problem::NoCatchAll { found: "the last rule has `when`" })),
                _ => {}
            }
            let when = entry.when.map(|when| expressions.condition(when.get_ref()).map_err(|p| (when.span().start, p)));
            match when.transpose() {
                Ok(when) => rules.push(Rule { template: entry.template.into_inner(), when }),
                Err(problem) => problems.push(problem),
            }
        }
        if rules.is_empty() && problems.is_empty() {
            problems.push((0, Problem::NoCatchAll { found: "there is no rule" }));
        }
        if problems.is_empty() { Ok(Self(rules)) } else { Err(problems) }
    }

    /// The first rule that holds. A condition that cannot be evaluated for this view does not hold.
    pub(super) fn select(&self, expressions: &Expressions, seen: &Seen) -> &str {
        let holds = |rule: &&Rule| match &rule.when {
            Some(when) => expressions.holds(when, seen).unwrap_or(false),
            None => true,
        };
        &self.0.iter().find(holds).expect("the last rule has no condition: checked when the rules load").template
    }
}
