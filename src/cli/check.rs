//! `gondola check`

use std::path::PathBuf;

use gondola_protocol::{Moment, Panel};
use serde_json::json;

use super::costs::{self, Costs};
use super::{Ended, UsageError};
use crate::catalog::settings::Settings;
use crate::catalog::snapshot::{self, Snapshot};
use crate::catalog::{Catalog, Status};
use crate::config::{Config, StoreConfig};
use crate::render::Renderer;
use crate::render::check::{self, Findings, PANELS, Which, find};
use crate::run::clock::Clock;
use crate::run::store_settings;
use crate::template::Templates;
use crate::template::view::{LabelView, StoreView};

/// Examples that are printed of each finding.
const EXAMPLES_MAX: usize = 3;

/// Look for mistakes in a configuration, in templates, and in what the templates make of a catalog.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// A configuration file. A catalog is drawn for each of its stores, instead of for a Chinese one in CNY.
    #[arg(long, value_name = "F")]
    config: Option<PathBuf>,
    /// Templates instead of those that ship, or that the configuration names.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// A catalog: a snapshot of the base facet. Every product is drawn with every template on every common panel.
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// The instant to draw for (RFC 3339 with offset), instead of now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// Say what each template costs on labels of OpenEPaperLink, in bytes and blocks, by type; needs a catalog. So it is
    /// said by itself when the configuration has radios for them.
    #[arg(long, requires = "catalog")]
    costs: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let now = self.at.map_or_else(|| Clock::start().now(), super::moment);
        let config: Option<Config> = self.config.as_deref().map(super::config).transpose()?;
        let configured = config.as_ref().and_then(|config| config.templates.as_ref());
        let templates = super::templates(self.templates.as_ref().or(configured))?;
        let mut findings = Findings::new();
        for lint in templates.lints() {
            find(&mut findings, lint, "");
        }
        let types = costs::label_types(config.as_ref(), self.costs)?;
        let mut costs = Costs::new(types);
        let mut pictures = 0;
        if let Some(file) = &self.catalog {
            let bytes = super::read_file(file)?;
            for (store, settings) in stores(config.as_ref())? {
                let snapshot = snapshot::read_catalog(&bytes);
                let snapshot =
                    snapshot.map_err(|error| UsageError::File { file: file.clone(), source: error.into() })?;
                let catalog = filled(snapshot, settings, now, &mut findings);
                pictures += check_catalog(&catalog, &store, &templates, now, &mut findings)?;
                costs.add(&catalog, &store, &templates, now)?;
            }
        }
        let listed = findings.iter().map(|(finding, places)| {
            let examples = &places[..places.len().min(EXAMPLES_MAX)];
            json!({ "finding": finding, "count": places.len(), "examples": examples })
        });
        let listed: Vec<_> = listed.collect();
        let names: Vec<&str> = templates.names().collect();
        let mut report = json!({ "templates": names, "pictures": pictures, "findings": listed });
        if let Some(costs) = costs.report() {
            report["costs"] = costs;
        }
        super::print_json(&report)?;
        Ok(if findings.is_empty() { Ended::Done } else { Ended::Findings })
    }
}

/// The stores that a catalog is drawn for.
fn stores(config: Option<&Config>) -> anyhow::Result<Vec<(StoreView, Settings)>> {
    let Some(config) = config.filter(|config| !config.store.is_empty()) else {
        return Ok(vec![super::render::sample_store()]);
    };
    let store = |config: &StoreConfig| {
        let settings = store_settings(config)?;
        Ok((settings.view, settings.catalog))
    };
    config.store.iter().map(store).collect()
}

/// A catalog with the rows of a snapshot; what is wrong with a row is a finding.
fn filled(snapshot: Snapshot, settings: Settings, now: Moment, findings: &mut Findings) -> Catalog {
    for error in &snapshot.errors {
        find(findings, error, "");
    }
    for field in &snapshot.unknown_fields {
        find(findings, format!("field `{field}` is not known and not looked at"), "");
    }
    let mut catalog = Catalog::new(settings);
    for row in snapshot.rows {
        let applied = catalog.apply(now, row);
        if let Status::Refused(refusal) = applied.status {
            find(findings, refusal, &applied.key.to_string());
        }
    }
    catalog
}

/// Draws every product with every template on every panel that it is made for. What the law wants is asked only of
/// the template that the rules choose. Answers how many pictures that were.
fn check_catalog(
    catalog: &Catalog,
    store: &StoreView,
    templates: &Templates,
    now: Moment,
    findings: &mut Findings,
) -> anyhow::Result<usize> {
    let mut renderer = Renderer::new()?;
    let mut pictures = 0;
    for panel in PANELS {
        let panel: Panel = panel.parse()?;
        for product in catalog.products() {
            let view = LabelView { store: store.clone(), products: vec![catalog.view(&product.sku, now)] };
            pictures += check::view(&mut renderer, templates, Which::All, &view, panel, findings);
        }
    }
    Ok(pictures)
}
