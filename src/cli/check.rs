//! `gondola check`

use std::collections::BTreeMap;
use std::path::PathBuf;

use gondola_protocol::{Moment, Panel};
use serde_json::json;

use super::{Ended, UsageError};
use crate::catalog::snapshot::{self, Snapshot};
use crate::catalog::{Catalog, Status};
use crate::config::Config;
use crate::render::Renderer;
use crate::run::clock::Clock;
use crate::template::Templates;
use crate::template::view::LabelView;

/// The panels that a catalog is tried on.
const PANELS: [&str; 2] = ["bw-250x122", "bwr-296x128"];

/// Examples that are printed of each finding.
const EXAMPLES_MAX: usize = 3;

/// Look for mistakes in a configuration, in templates, and in what the templates make of a catalog.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// A configuration file.
    #[arg(long, value_name = "F")]
    config: Option<PathBuf>,
    /// Templates instead of those that ship, or that the configuration names.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// A catalog: a snapshot of the base facet. Every product is drawn on every panel.
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

/// What was found, by its sentence, with some of the products that it is true of.
type Findings = BTreeMap<String, Vec<String>>;

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let config: Option<Config> = self.config.as_deref().map(super::config).transpose()?;
        let configured = config.and_then(|config| config.templates);
        let templates = super::templates(self.templates.as_ref().or(configured.as_ref()))?;
        let mut findings = Findings::new();
        let mut pictures = 0;
        if let Some(file) = &self.catalog {
            let bytes = super::read_file(file)?;
            let snapshot = snapshot::read_catalog(&bytes);
            let snapshot = snapshot.map_err(|error| UsageError::File { file: file.clone(), source: error.into() })?;
            pictures = check_catalog(snapshot, &templates, &mut findings)?;
        }
        let listed = findings.iter().map(|(finding, places)| {
            let examples = &places[..places.len().min(EXAMPLES_MAX)];
            json!({ "finding": finding, "count": places.len(), "examples": examples })
        });
        let listed: Vec<_> = listed.collect();
        let names: Vec<&str> = templates.names().collect();
        super::print_json(&json!({ "templates": names, "pictures": pictures, "findings": listed }))?;
        Ok(if findings.is_empty() { Ended::Done } else { Ended::Findings })
    }
}

/// Draws every product on every panel. Answers how many pictures that were.
fn check_catalog(snapshot: Snapshot, templates: &Templates, findings: &mut Findings) -> anyhow::Result<usize> {
    let now: Moment = Clock::start().now();
    for error in &snapshot.errors {
        findings.entry(error.to_string()).or_default().push(String::new());
    }
    for field in &snapshot.unknown_fields {
        findings.entry(format!("field `{field}` is not known and not looked at")).or_default().push(String::new());
    }
    let (store, settings) = super::render::sample_store();
    let mut catalog = Catalog::new(settings);
    for row in snapshot.rows {
        let applied = catalog.apply(now, row);
        if let Status::Refused(refusal) = applied.status {
            findings.entry(refusal.to_string()).or_default().push(applied.key.to_string());
        }
    }
    let mut renderer = Renderer::new()?;
    let mut pictures = 0;
    for product in catalog.products() {
        for panel in PANELS {
            let panel: Panel = panel.parse()?;
            let view = LabelView { store: store.clone(), products: vec![catalog.view(&product.sku, now)] };
            let template = templates.select(&view, panel);
            let place = format!("sku {}, template {template}, panel {panel}", product.sku);
            match templates.scene(template, &view, panel) {
                Ok(scene) => {
                    for finding in renderer.render(&scene).findings {
                        findings.entry(finding.to_string()).or_default().push(place.clone());
                    }
                }
                Err(error) => findings.entry(error.to_string()).or_default().push(place),
            }
            pictures += 1;
        }
    }
    Ok(pictures)
}
