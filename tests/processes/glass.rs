//! What a glass must show: made afresh from what was published, with the library and not by the controller.

use std::collections::BTreeMap;

use gondola::catalog::Catalog;
use gondola::catalog::wire::{Facet, parse};
use gondola::config::Config;
use gondola::controller::StoreSettings;
use gondola::render::{Renderer, png};
use gondola::run::store_settings;
use gondola::template::Templates;
use gondola::template::view::LabelView;
use gondola_protocol::{Moment, Panel, Planes};
use serde_json::Value;

use crate::process::eventually;
use crate::shop::{PANEL, Shop};

/// Makes pictures of the newest word on each product.
pub(crate) struct Glass {
    settings: StoreSettings,
    templates: Templates,
    renderer: Renderer,
    events: BTreeMap<String, Value>,
}

impl Glass {
    pub(crate) fn new(shop: &Shop) -> Self {
        let config = Config::load(&shop.configuration()).unwrap();
        Self {
            settings: store_settings(&config.store[0]).unwrap(),
            templates: Templates::embedded(),
            renderer: Renderer::new().unwrap(),
            events: BTreeMap::new(),
        }
    }

    /// These products' pictures are to be made from these events.
    pub(crate) fn expect(&mut self, events: &[Value]) {
        let keyed = events.iter().map(|event| (event["sku"].as_str().unwrap().to_owned(), event.clone()));
        self.events.extend(keyed);
    }

    /// What a label that shows `sku` must show.
    pub(crate) fn picture(&mut self, sku: &str) -> Planes {
        let mut catalog = Catalog::new(self.settings.catalog.clone());
        let payload = serde_json::to_vec(&self.events[sku]).unwrap();
        // No promotion, so the picture is the same at every moment.
        let now = Moment::ZERO;
        for row in parse(Facet::Base, &payload).rows {
            catalog.apply(now, row);
        }
        let products = vec![catalog.view(&sku.parse().unwrap(), now)];
        let view = LabelView { store: self.settings.view.clone(), products };
        let panel: Panel = PANEL.parse().unwrap();
        let scene = self.templates.scene(self.templates.select(&view, panel), &view, panel).unwrap();
        self.renderer.render(&scene).planes
    }

    /// Waits until every label shows its product as it was last published, by the digest that the label computed;
    /// then compares each glass pixel by pixel.
    pub(crate) async fn agrees(&mut self, shop: &Shop, bindings: &BTreeMap<u64, String>) {
        let pictures: BTreeMap<&str, Planes> = bindings.values().map(|sku| (&**sku, self.picture(sku))).collect();
        let digests: BTreeMap<&str, String> =
            pictures.iter().map(|(sku, planes)| (*sku, planes.digest().to_string())).collect();
        eventually("every glass to agree", async || {
            let shown = shop.simulator.labels().await;
            let number = |label: &Value| u64::from_str_radix(label["label"].as_str().unwrap(), 16).unwrap();
            let wrong = shown.iter().filter(|label| label["digest"] != digests[&*bindings[&number(label)]]);
            let wrong: Vec<&Value> = wrong.collect();
            if wrong.is_empty() { Ok(()) } else { Err(format!("{} wrong, such as {}", wrong.len(), wrong[0])) }
        })
        .await;
        for (label, sku) in bindings {
            let shown = png::decode(&shop.simulator.screen(*label).await, PANEL.parse().unwrap());
            assert!(shown.as_ref() == Ok(&pictures[&**sku]), "label {label}, sku {sku}");
        }
    }
}
