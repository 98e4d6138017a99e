//! Pictures drawn for virtual stores: those whose scenes are the same are drawn once, whoever asks for them.

use std::collections::BTreeMap;

use gondola_protocol::Planes;

use crate::render::{RenderError, Renderer};
use crate::template::{RenderKey, Scene};

/// Pictures that are kept: 40 MB of common ones.
const DRAWN_MAX: usize = 4_096;

/// A renderer with what it has drawn lately.
#[derive(Debug)]
pub struct Drawing {
    renderer: Renderer,
    /// By what decides the pixels.
    drawn: BTreeMap<RenderKey, Planes>,
}

impl Drawing {
    /// Nothing is drawn yet.
    ///
    /// # Errors
    /// The fonts do not open.
    pub fn new() -> Result<Self, RenderError> {
        Ok(Self { renderer: Renderer::new()?, drawn: BTreeMap::new() })
    }

    /// A scene's picture.
    pub fn draw(&mut self, scene: &Scene) -> Planes {
        if self.drawn.len() >= DRAWN_MAX {
            self.drawn.clear();
        }
        let Self { renderer, drawn } = self;
        drawn.entry(scene.key()).or_insert_with(|| renderer.render(scene).planes).clone()
    }
}
