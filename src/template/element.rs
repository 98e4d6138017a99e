//! A template as compiled, and its evaluation against a view.

use gondola_protocol::{Colours, Panel};

use super::expression::{Condition, Expressions, Seen, Text as Value};
use super::scene::{Barcode, Content, Node, Price, Scene, Text, TextLook};
use super::style::{Color, Digits, Fit, Style, Symbology};

/// Longest text that an element shows, in characters: eight lines of 12-pixel Latin on a 296-pixel panel
/// hold fewer. It bounds the layout's work, whatever a source sends.
const SHOWN_MAX: usize = 400;

/// One template.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: String,
    /// Empty for every panel.
    pub(super) panels: Vec<Panel>,
    pub(super) root: Element,
}

/// One element of a template.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) when: Option<Condition>,
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
    Barcode { content: Value, symbology: Symbology, module: u16, digits: Digits },
}

/// What an element takes over from the one around it.
#[derive(Clone, Copy)]
struct Inherited {
    color: Color,
    behind: Color,
}

struct Evaluation<'a> {
    expressions: &'a Expressions,
    seen: &'a Seen,
    colours: Colours,
}

impl Template {
    pub(super) fn scene(
        &self,
        expressions: &Expressions,
        seen: &Seen,
        panel: Panel,
    ) -> Result<Scene, minijinja::Error> {
        let evaluation = Evaluation { expressions, seen, colours: panel.colours() };
        let inherited = Inherited { color: Color::Black, behind: Color::White };
        let root = evaluation.node(&self.root, inherited)?;
        // The whole panel belongs to the root, also when its own condition does not hold.
        let root = root.unwrap_or_else(|| Node {
            color: Color::Black,
            style: Style::default(),
            content: Content::Box(Vec::new()),
        });
        Ok(Scene { template: self.name.clone(), panel, root })
    }
}

impl Evaluation<'_> {
    /// The element with its values, or nothing when its condition does not hold or it has nothing to show.
    fn node(&self, element: &Element, around: Inherited) -> Result<Option<Node>, minijinja::Error> {
        if let Some(when) = &element.when
            && !self.expressions.holds(when, self.seen)?
        {
            return Ok(None);
        }
        let mut style = element.style.clone();
        style.background = style.background.map(|wanted| wanted.on(self.colours));
        let behind = style.background.unwrap_or(around.behind);
        let color = self.color(element, around, behind);
        let content = match &element.holds {
            Holds::Elements(elements) => {
                let inside = Inherited { color, behind };
                let children: Result<Vec<Option<Node>>, _> =
                    elements.iter().map(|element| self.node(element, inside)).collect();
                Some(Content::Box(children?.into_iter().flatten().collect()))
            }
            Holds::Text { text, look } => {
                self.shown(text)?.map(|text| Content::Text(Text { text, look: look.clone() }))
            }
            Holds::Price { amount, currency, unit, size } => {
                let currency = self.shown(currency)?.unwrap_or_default();
                let unit = self.shown(unit)?.unwrap_or_default();
                self.shown(amount)?.map(|amount| Content::Price(Price { amount, currency, unit, size: *size }))
            }
            &Holds::Barcode { ref content, symbology, module, digits } => {
                self.shown(content)?.map(|content| Content::Barcode(Barcode { content, symbology, module, digits }))
            }
        };
        Ok(content.map(|content| Node { color, style, content }))
    }

    /// The ink to draw with. Inks that the panel lacks have become black, so black may now stand on black:
    /// it turns white, and red on black is white on black where there is no red.
    fn color(&self, element: &Element, around: Inherited, behind: Color) -> Color {
        let color = element.color.unwrap_or(around.color).on(self.colours);
        if color == behind && behind == Color::Black { Color::White } else { color }
    }

    /// An evaluated text on one line, without control characters; none if nothing is left.
    fn shown(&self, value: &Value) -> Result<Option<String>, minijinja::Error> {
        let written = self.expressions.write(value, self.seen)?;
        let mut shown = String::new();
        // U+00A0 is kept: it is there so that a line does not break.
        let words = written.split(|c: char| c != '\u{a0}' && (c.is_whitespace() || c.is_control()));
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
