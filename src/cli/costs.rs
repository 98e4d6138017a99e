//! What pictures cost on labels of OpenEPaperLink: what a label fetches, in bytes and in blocks of 4 KiB.

use std::collections::BTreeMap;

use gondola_drivers::openepaperlink::payload::{self, Variant};
use gondola_drivers::openepaperlink::{LabelType, LabelTypes};
use gondola_protocol::Moment;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::config::{Config, Driver};
use crate::render::Renderer;
use crate::template::Templates;
use crate::template::view::{LabelView, StoreView};

/// The firmware that a label is taken to have: the newest.
const FIRMWARE: u16 = u16::MAX;

/// The types to ask about: none unless it is asked for or the configuration has radios.
///
/// # Errors
/// A type of the configuration that makes no sense.
pub(super) fn label_types(config: Option<&Config>, is_asked: bool) -> anyhow::Result<Option<LabelTypes>> {
    let stations = config.into_iter().flat_map(|config| &config.store).flat_map(|store| &store.base_station);
    let mut types = is_asked.then(LabelTypes::default);
    for station in stations.filter(|station| station.driver == Driver::Openepaperlink) {
        let own = station.label_types().map_err(anyhow::Error::msg)?;
        let all = types.get_or_insert_default();
        for label_type in own.iter() {
            all.add(label_type.clone())?;
        }
    }
    Ok(types)
}

/// Bytes of every picture, by template and label type.
#[derive(Debug)]
pub(super) struct Costs {
    types: Option<LabelTypes>,
    bytes: BTreeMap<(String, u8), Vec<usize>>,
}

impl Costs {
    pub(super) const fn new(types: Option<LabelTypes>) -> Self {
        Self { types, bytes: BTreeMap::new() }
    }

    /// Draws every product with every template that is made for a type's panel.
    pub(super) fn add(
        &mut self,
        catalog: &Catalog,
        store: &StoreView,
        templates: &Templates,
        now: Moment,
    ) -> anyhow::Result<()> {
        let Some(types) = self.types.clone() else { return Ok(()) };
        let mut renderer = Renderer::new()?;
        for label_type in types.iter() {
            for product in catalog.products() {
                let view = LabelView { store: store.clone(), products: vec![catalog.view(&product.sku, now)] };
                for template in templates.names().filter(|name| templates.suits(name, label_type.panel)) {
                    // What cannot be drawn has been found already.
                    let Ok(scene) = templates.scene(template, &view, label_type.panel) else { continue };
                    let planes = renderer.render(&scene).planes;
                    let packed = payload::pack(&planes, label_type, FIRMWARE, Variant::default());
                    let bytes = packed.map(|payload| payload.bytes.len());
                    self.bytes.entry((template.to_owned(), label_type.id)).or_default().extend(bytes);
                }
            }
        }
        Ok(())
    }

    /// A line for each template and type; none when nothing was asked.
    pub(super) fn report(mut self) -> Option<Value> {
        let types = self.types?;
        let line = |((template, id), bytes): (&(String, u8), &mut Vec<usize>)| {
            bytes.sort_unstable();
            let (median, max) = (*bytes.get(bytes.len() / 2)?, *bytes.last()?);
            let LabelType { name, panel, .. } = types.get(*id)?;
            let blocks = |bytes: usize| bytes.div_ceil(gondola_drivers::openepaperlink::wire::BLOCK_BYTES);
            Some(json!({
                "template": template,
                "label_type": format!("{id:02X}"),
                "name": name,
                "panel": panel,
                "bytes": { "median": median, "max": max },
                "blocks": { "median": blocks(median), "max": blocks(max) },
            }))
        };
        Some(self.bytes.iter_mut().filter_map(line).collect())
    }
}
