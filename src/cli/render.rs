//! `gondola render`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gondola_protocol::{Moment, Panel};
use serde_json::json;

use super::{Ended, UsageError};
use crate::catalog::Catalog;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Market, Settings};
use crate::catalog::snapshot;
use crate::render::{Renderer, png};
use crate::run::clock::Clock;
use crate::template::Templates;
use crate::template::view::{LabelView, StoreView};

/// Draw one product's label as a PNG.
///
/// The picture is the one that a label of a Chinese store in CNY would show.
#[derive(Debug, clap::Args)]
pub(super) struct Render {
    /// A product: one base event of the feed, its promotions inside.
    #[arg(long, value_name = "FILE")]
    product: PathBuf,
    /// A template by name, instead of the rules' choice.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Size and colours of the label.
    #[arg(long, value_name = "ID", default_value = "bwr-296x128")]
    panel: Panel,
    /// The instant to draw for (RFC 3339 with offset), instead of now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// Templates instead of those that ship.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Picture pixels per label pixel.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    scale: u32,
    /// Where to write the picture.
    #[arg(long, value_name = "PNG")]
    output: PathBuf,
    /// Where to write the packed planes.
    #[arg(long, value_name = "BIN")]
    planes: Option<PathBuf>,
}

/// The store that a picture without a configuration is drawn for.
pub(super) fn sample_store() -> (StoreView, Settings) {
    let view = StoreView {
        id: "sample".to_owned(),
        name: "Gondola".to_owned(),
        format: "community".to_owned(),
        market: Market::China.to_string(),
    };
    let settings = Settings {
        currency: "CNY".parse().expect("an ISO 4217 code"),
        market: Market::China,
        time_zone: jiff::tz::TimeZone::get("Asia/Shanghai").expect("the zone data are built in"),
        guard: GuardRules::default(),
    };
    (view, settings)
}

impl Render {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let now = self.at.map_or_else(|| Clock::start().now(), super::moment);
        let templates = super::templates(self.templates.as_ref())?;
        let view = view(&self.product, now)?;
        let template = self.template_name(&templates, &view)?;
        let scene = templates.scene(template, &view, self.panel)?;
        let rendered = Renderer::new()?.render(&scene);
        write(&self.output, &png::encode(&rendered.planes, self.scale))?;
        if let Some(file) = &self.planes {
            write(file, rendered.planes.bytes())?;
        }
        let findings: Vec<String> = rendered.findings.iter().map(ToString::to_string).collect();
        super::print_json(&json!({
            "template": template,
            "panel": self.panel,
            "digest": rendered.planes.digest(),
            "findings": findings,
        }))?;
        Ok(Ended::Done)
    }

    fn template_name<'a>(&'a self, templates: &'a Templates, view: &LabelView) -> Result<&'a str, UsageError> {
        let Some(name) = &self.template else { return Ok(templates.select(view, self.panel)) };
        let known: Vec<&str> = templates.names().collect();
        if known.contains(&name.as_str()) {
            return Ok(name);
        }
        Err(UsageError::Value(format!("template `{name}` does not exist; there are {}", known.join(", "))))
    }
}

fn view(file: &PathBuf, now: Moment) -> anyhow::Result<LabelView> {
    let bytes = super::read_file(file)?;
    let product = snapshot::read_product(&bytes);
    let product = product.map_err(|error| UsageError::File { file: file.clone(), source: error.into() })?;
    let (store, settings) = sample_store();
    let mut catalog = Catalog::new(settings);
    for row in product.rows {
        catalog.apply(now, row);
    }
    Ok(LabelView { store, products: vec![catalog.view(&product.sku, now)] })
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}
