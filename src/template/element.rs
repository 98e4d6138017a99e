//! A template as compiled, and its evaluation against a view.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gondola_protocol::panel::PanelError;
use gondola_protocol::{Colours, Panel};

use super::expression::{Condition, Expressions, Seen, Text as Value};
use super::picture::Pictures;
use super::scene::{Code, Content, Image, Node, Price, Scene, Text, TextLook};
use super::style::{Color, Digits, Dither, Fit, Level, Style, Symbology, scaled_module};

/// Longest text that an element shows, in characters: eight lines of 12-pixel Latin on a 296-pixel panel
/// hold fewer. It bounds the layout's work, whatever a source sends.
const SHOWN_MAX: usize = 400;

/// Pixels of a panel's short side for which templates are drawn: a panel with twice as many shows everything
/// twice as large.
const DRAWN_FOR: u16 = 128;

/// One template.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: Arc<str>,
    /// Empty for every panel.
    pub(super) panels: Vec<Made>,
    /// Pixels of the panel for one of the template; none follows the panel's size.
    pub(super) scale: Option<u16>,
    pub(super) root: Element,
}

/// What a template is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// This panel.
    For(Panel),
    /// Panels of so many columns and rows, whatever their colours.
    Sized(u16, u16),
}

impl FromStr for Made {
    type Err = PanelError;

    fn from_str(text: &str) -> Result<Self, PanelError> {
        if text.contains('-') {
            return text.parse().map(Self::For);
        }
        let panel: Panel = format!("bw-{text}").parse()?;
        Ok(Self::Sized(panel.width(), panel.height()))
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(panel) => panel.fmt(f),
            Self::Sized(width, height) => write!(f, "{width}x{height}"),
        }
    }
}

/// One element of a template.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) when: Option<Condition>,
    pub(super) repeats: Repeats,
    /// None inherits.
    pub(super) color: Option<Color>,
    pub(super) style: Style,
    pub(super) holds: Holds,
}

/// What an element holds, before evaluation.
#[derive(Debug)]
pub(super) enum Holds {
    Elements(Vec<Element>),
    Text { text: Value, look: TextLook },
    Price { amount: Value, currency: Value, unit: Value, size: Fit },
    Code { content: Value, symbology: Symbology, level: Level, module: Fit, digits: Digits },
    Image { source: Value, dither: Dither },
}

/// How often an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Once,
    /// Once for each product, which is `product` inside.
    EachProduct,
}

/// What an element takes over from the one around it.
#[derive(Clone, Copy)]
struct Inherited {
    color: Color,
    behind: Color,
}

/// What a template is evaluated with, beside the view.
pub(super) struct Evaluation<'a> {
    pub(super) expressions: &'a Expressions,
    pub(super) pictures: &'a Pictures,
    pub(super) colours: Colours,
    pub(super) scale: u16,
}

impl Element {
    /// The inks that it and what is in it name.
    pub(super) fn colors(&self) -> Vec<Color> {
        let inside: &[Self] = if let Holds::Elements(elements) = &self.holds { elements } else { &[] };
        let mut colors: Vec<Color> = self.color.into_iter().chain(self.style.background).collect();
        colors.extend(inside.iter().flat_map(Self::colors));
        colors.sort_unstable();
        colors.dedup();
        colors
    }
}

impl Template {
    pub(super) fn suits(&self, panel: Panel) -> bool {
        let suits = |made: &Made| match made {
            Made::For(named) => *named == panel,
            Made::Sized(width, height) => (*width, *height) == (panel.width(), panel.height()),
        };
        self.panels.is_empty() || self.panels.iter().any(suits)
    }

    /// Pixels of a panel for one of the template's.
    pub(super) fn scale(&self, panel: Panel) -> u16 {
        self.scale.unwrap_or_else(|| (panel.width().min(panel.height()) / DRAWN_FOR).max(1))
    }

    pub(super) fn scene(
        &self,
        evaluation: &Evaluation<'_>,
        seen: &Seen,
        panel: Panel,
    ) -> Result<Scene, minijinja::Error> {
        let inherited = Inherited { color: Color::Black, behind: Color::White };
        let root = evaluation.node(&self.root, seen, inherited)?;
        // The whole panel belongs to the root, also when its own condition does not hold.
        let root = root.unwrap_or_else(|| Node {
            color: Color::Black,
            style: Style::default(),
            content: Content::Box(Vec::new()),
        });
        Ok(Scene { template: Arc::clone(&self.name), panel, root })
    }
}

impl Evaluation<'_> {
    /// The element with its values, or nothing when its condition does not hold or it has nothing to show.
    fn node(&self, element: &Element, seen: &Seen, around: Inherited) -> Result<Option<Node>, minijinja::Error> {
        if let Some(when) = &element.when
            && !self.expressions.holds(when, seen)?
        {
            return Ok(None);
        }
        let mut style = element.style.scaled(self.scale);
        style.background = style.background.map(|wanted| wanted.on(self.colours));
        let behind = style.background.unwrap_or(around.behind);
        let color = self.color(element, around, behind);
        let content = match &element.holds {
            Holds::Elements(elements) => {
                let inside = Inherited { color, behind };
                let mut children = Vec::with_capacity(elements.len());
                for element in elements {
                    self.nodes(element, seen, inside, &mut children)?;
                }
                Some(Content::Box(children))
            }
            Holds::Text { text, look } => self.shown(text, seen)?.map(|text| {
                let look = TextLook { size: look.size.scaled(self.scale), ..*look };
                Content::Text(Text { text, look })
            }),
            Holds::Price { amount, currency, unit, size } => {
                let currency = self.shown(currency, seen)?.unwrap_or_default();
                let unit = self.shown(unit, seen)?.unwrap_or_default();
                let size = size.scaled(self.scale);
                self.shown(amount, seen)?.map(|amount| Content::Price(Price { amount, currency, unit, size }))
            }
            &Holds::Code { ref content, symbology, level, module, digits } => {
                let module = scaled_module(module, self.scale);
                self.shown(content, seen)?
                    .map(|content| Content::Code(Code { content, symbology, level, module, digits }))
            }
            &Holds::Image { ref source, dither } => {
                let picture = self.shown(source, seen)?.and_then(|name| self.pictures.get(&name).cloned());
                picture.map(|picture| Content::Image(Image { picture, dither }))
            }
        };
        Ok(content.map(|content| Node { color, style, content }))
    }

    /// The element as often as it stands.
    fn nodes(
        &self,
        element: &Element,
        seen: &Seen,
        around: Inherited,
        nodes: &mut Vec<Node>,
    ) -> Result<(), minijinja::Error> {
        match element.repeats {
            Repeats::Once => nodes.extend(self.node(element, seen, around)?),
            Repeats::EachProduct => {
                for seen in seen.each() {
                    nodes.extend(self.node(element, &seen, around)?);
                }
            }
        }
        Ok(())
    }

    /// The ink to draw with. Inks that the panel lacks have become black, so black may now stand on black:
    /// it turns white, and red on black is white on black where there is no red.
    fn color(&self, element: &Element, around: Inherited, behind: Color) -> Color {
        let color = element.color.unwrap_or(around.color).on(self.colours);
        if color == behind && behind == Color::Black { Color::White } else { color }
    }

    /// An evaluated text on one line, without control characters; none if nothing is left.
    fn shown(&self, value: &Value, seen: &Seen) -> Result<Option<String>, minijinja::Error> {
        let written = self.expressions.write(value, seen)?;
        let mut shown = String::new();
        // U+00A0 is kept: it is there so that a line does not break; and U+3000, which is as wide as a character.
        let kept = ['\u{a0}', '\u{3000}'];
        let words = written.split(|c: char| !kept.contains(&c) && (c.is_whitespace() || c.is_control()));
        for word in words.filter(|word| !word.is_empty()) {
            if !shown.is_empty() {
                shown.push(' ');
            }
            shown.push_str(word);
        }
        if let Some((end, _)) = shown.char_indices().nth(SHOWN_MAX) {
            shown.truncate(end);
        }
        Ok(Some(shown).filter(|shown| !shown.is_empty()))
    }
}
