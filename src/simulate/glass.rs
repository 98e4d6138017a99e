//! The check from outside: what is on each glass against a picture made afresh from the merchandise
//! system's own last word, not from the controller's catalog.

use std::collections::BTreeMap;

use gondola_protocol::{LabelId, Moment, Planes};
use gondola_simulator::LabelState;

use super::publisher::{self, Publisher};
use crate::catalog::Catalog;
use crate::catalog::sku::Sku;
use crate::controller::StoreSettings;
use crate::render::{RenderError, Renderer};
use crate::template::Templates;
use crate::template::view::{LabelView, StoreView};

/// What the check found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GlassCheck {
    /// Glasses compared.
    pub checked: usize,
    /// Of those, with at least one wrong pixel.
    pub wrong: usize,
}

/// Makes pictures from the merchandise system's word.
#[derive(Debug)]
pub struct GlassChecker {
    store: StoreView,
    settings: crate::catalog::settings::Settings,
    templates: Templates,
    renderer: Renderer,
    bindings: BTreeMap<LabelId, Sku>,
}

impl GlassChecker {
    /// A checker for labels that are bound to one product each.
    ///
    /// # Errors
    /// The fonts do not open.
    pub fn new(settings: &StoreSettings, bindings: BTreeMap<LabelId, Sku>) -> Result<Self, RenderError> {
        Ok(Self {
            store: settings.view.clone(),
            settings: settings.catalog.clone(),
            templates: Templates::embedded(),
            renderer: Renderer::new()?,
            bindings,
        })
    }

    /// Compares every glass with what it must show at `now`.
    pub fn check(&mut self, publisher: &Publisher, labels: &[LabelState], now: Moment) -> GlassCheck {
        let mut catalog = Catalog::new(self.settings.clone());
        for published in publisher.skus().filter_map(|sku| publisher.published(sku)) {
            for row in publisher::rows(&published.event) {
                catalog.apply(now, row);
            }
        }
        let mut found = GlassCheck::default();
        for label in labels {
            let Some(sku) = self.bindings.get(&label.label) else { continue };
            found.checked += 1;
            let view = LabelView { store: self.store.clone(), products: vec![catalog.view(sku, now)] };
            found.wrong += usize::from(self.expected(&view, label).as_ref() != Some(&label.planes));
        }
        found
    }

    fn expected(&mut self, view: &LabelView, label: &LabelState) -> Option<Planes> {
        let template = self.templates.select(view, label.panel);
        let scene = self.templates.scene(template, view, label.panel).ok()?;
        Some(self.renderer.render(&scene).planes)
    }
}
