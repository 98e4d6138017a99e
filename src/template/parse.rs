//! XML to a compiled template; every problem of a file at once.

use std::collections::BTreeSet;
use std::str::FromStr;

use roxmltree::{Document, Node as XmlNode, ParsingOptions};

use super::element::{Element, Holds, Made, Repeats, Template};
use super::error::Problem;
use super::expression::{Expressions, Text};
use super::picture::Pictures;
use super::rules::Placed;
use super::scene::TextLook;
use super::style::{
    Color, Decoration, Digits, Direction, Dither, Expected, Fit, Font, LINES_MAX, Length, Level, Module, Overflow,
    Pixels, Style, Symbology, TextAlign, Weight, Whole,
};

/// Most elements of one template; the layout of a shelf label has some 20.
const ELEMENTS_MAX: usize = 256;
/// Most elements inside one another: layout recurses.
const DEPTH_MAX: usize = 16;
/// Largest share of spare or missing room.
const SHARE_MAX: u16 = 100;
/// Most pixels of a panel for one of a template's; the largest common panels take 3.
const SCALE_MAX: u16 = 8;
/// Smallest module of bars: at 112 pixels to the inch a bar of one is 0.23 mm, which hand scanners read.
const BAR_MIN: u16 = 1;
/// Smallest square of a QR code or a Data Matrix: telephones do not read squares below 0.35 mm in a shop's light.
const SQUARE_MIN: u16 = 2;

const ELEMENTS: &[&str] = &["box", "text", "price", "barcode", "qrcode", "datamatrix", "image", "rule", "badge"];
const COMMON: &[&str] =
    &["when", "grow", "shrink", "width", "height", "padding", "color", "background", "border", "radius"];
const BOX: &[&str] = &["direction", "gap", "align", "justify"];
const TEXT: &[&str] = &["size", "lines", "overflow", "font", "weight", "text-decoration", "text-align"];

/// Reads one template.
pub(super) fn template(
    source: &str,
    file_stem: &str,
    expressions: &mut Expressions,
    pictures: &Pictures,
) -> Result<Template, Vec<Placed>> {
    let options = ParsingOptions { nodes_limit: 16 * 1024, ..ParsingOptions::default() };
    let document = Document::parse_with_options(source, options).map_err(|error| {
        let at = offset(source, error.pos());
        // The parser ends its sentence with the place, which ours begins with.
        let why = error.to_string().split(" at ").next().unwrap_or_default().to_owned();
        vec![(at, Problem::Malformed { format: "XML", why })]
    })?;
    let mut reader = Reader { expressions, pictures, problems: Vec::new(), elements: 0 };
    let template = reader.root(document.root_element(), file_stem);
    match template {
        Some(template) if reader.problems.is_empty() => Ok(template),
        _ => Err(reader.problems),
    }
}

fn offset(source: &str, place: roxmltree::TextPos) -> usize {
    let row = usize::try_from(place.row).unwrap_or(1).max(1);
    let line: usize = source.split_inclusive('\n').take(row - 1).map(str::len).sum();
    let column = usize::try_from(place.col).unwrap_or(1).max(1);
    line + source[line..].chars().take(column - 1).map(char::len_utf8).sum::<usize>()
}

struct Reader<'a> {
    expressions: &'a mut Expressions,
    pictures: &'a Pictures,
    problems: Vec<Placed>,
    elements: usize,
}

impl Reader<'_> {
    fn root(&mut self, node: XmlNode<'_, '_>, file_stem: &str) -> Option<Template> {
        let name = node.tag_name().name();
        if name != "template" {
            let problem = Problem::UnknownElement { found: name.to_owned(), expected: "template".to_owned() };
            self.problems.push((node.range().start, problem));
            return None;
        }
        self.known_attributes(node, &[&["name", "panels", "scale"], COMMON, BOX]);
        match node.attribute("name") {
            Some(name) if name == file_stem => {}
            Some(_) => self.value_problem(node, "name", format!("the name of its file, `{file_stem}`")),
            None => self.missing(node, "name", format!("the name of its file, `{file_stem}`")),
        }
        let panels = self.panels(node);
        let scale = self.optional::<Whole<1, SCALE_MAX>>(node, "scale").map(|scale| scale.0);
        let mut root = self.element(node, 0)?;
        root.style.background.get_or_insert(Color::White);
        Some(Template { name: file_stem.into(), panels, scale, root })
    }

    fn panels(&mut self, node: XmlNode<'_, '_>) -> Vec<Made> {
        let listed = node.attribute("panels").unwrap_or_default();
        let panels: Result<Vec<Made>, _> = listed.split_whitespace().map(str::parse).collect();
        panels.unwrap_or_else(|_| {
            self.value_problem(node, "panels", "panels like `bwr-296x128`, or sizes like `400x300`".to_owned());
            Vec::new()
        })
    }

    /// Reads an element whose name is known.
    fn element(&mut self, node: XmlNode<'_, '_>, depth: usize) -> Option<Element> {
        self.elements += 1;
        if self.elements == ELEMENTS_MAX + 1 {
            self.problems.push((node.range().start, Problem::TooMany { what: "elements", expected: ELEMENTS_MAX }));
        }
        if depth == DEPTH_MAX {
            let what = "elements inside one another";
            self.problems.push((node.range().start, Problem::TooMany { what, expected: DEPTH_MAX }));
        }
        if self.elements > ELEMENTS_MAX || depth >= DEPTH_MAX {
            return None;
        }
        let when = node.attribute("when").and_then(|source| {
            let compiled = self.expressions.condition(source);
            self.kept(compiled, Self::attribute_at(node, "when"))
        });
        let color = self.optional(node, "color");
        let style = self.style(node);
        let holds = match node.tag_name().name() {
            "text" | "badge" => self.text(node),
            "price" => self.price(node),
            "barcode" => self.barcode(node),
            "qrcode" => self.square_code(node, Symbology::Qr),
            "datamatrix" => self.square_code(node, Symbology::DataMatrix),
            "image" => self.image(node),
            "rule" => self.rule(node),
            _ => self.children(node, depth),
        };
        let repeats = self.repeats(node);
        let mut element = Element { when, repeats, color, style, holds: holds? };
        match node.tag_name().name() {
            "rule" => drawn_as_line(&mut element),
            "badge" => drawn_inverse(&mut element, node),
            _ => {}
        }
        Some(element)
    }

    fn children(&mut self, node: XmlNode<'_, '_>, depth: usize) -> Option<Holds> {
        let mut elements = Vec::new();
        for child in node.children() {
            if child.is_text() && !child.text().unwrap_or_default().trim().is_empty() {
                self.problems.push((child.range().start, content(node, "text", "elements; text stands in `text`")));
            }
            if !child.is_element() {
                continue;
            }
            let name = child.tag_name().name();
            match name {
                "box" => self.known_attributes(child, &[COMMON, BOX, &["each"]]),
                "text" | "badge" => self.known_attributes(child, &[COMMON, TEXT]),
                "price" => self.known_attributes(child, &[COMMON, &["size", "currency", "unit"]]),
                "barcode" => self.known_attributes(child, &[COMMON, &["type", "module", "digits"]]),
                "qrcode" => self.known_attributes(child, &[COMMON, &["module", "level"]]),
                "datamatrix" => self.known_attributes(child, &[COMMON, &["module"]]),
                "image" => self.known_attributes(child, &[COMMON, &["src", "dither"]]),
                "rule" => self.known_attributes(child, &[&["when", "color", "width", "height", "grow", "shrink"]]),
                _ => {
                    let problem = Problem::UnknownElement { found: name.to_owned(), expected: ELEMENTS.join(", ") };
                    self.problems.push((child.range().start, problem));
                    continue;
                }
            }
            elements.extend(self.element(child, depth + 1));
        }
        Some(Holds::Elements(elements))
    }

    fn text(&mut self, node: XmlNode<'_, '_>) -> Option<Holds> {
        let bold_by_default = node.tag_name().name() == "badge";
        let look = TextLook {
            size: self.optional(node, "size").unwrap_or(Fit { largest: 16, smallest: 12 }),
            lines: self.optional::<Whole<1, LINES_MAX>>(node, "lines").map_or(1, |lines| lines.0),
            overflow: self.optional(node, "overflow").unwrap_or(Overflow::Ellipsis),
            font: self.optional(node, "font").unwrap_or(Font::Text),
            weight: self.optional(node, "weight").unwrap_or(if bold_by_default {
                Weight::Bold
            } else {
                Weight::Normal
            }),
            decoration: self.optional(node, "text-decoration").unwrap_or(Decoration::None),
            align: self.optional(node, "text-align").unwrap_or(TextAlign::Left),
        };
        Some(Holds::Text { text: self.value(node)?, look })
    }

    fn price(&mut self, node: XmlNode<'_, '_>) -> Option<Holds> {
        let size = self.optional(node, "size").unwrap_or(Fit { largest: 64, smallest: 24 });
        let currency = self.attribute_text(node, "currency", "{{ product.currency }}");
        let unit = self.attribute_text(node, "unit", "");
        Some(Holds::Price { amount: self.value(node)?, currency: currency?, unit: unit?, size })
    }

    fn barcode(&mut self, node: XmlNode<'_, '_>) -> Option<Holds> {
        const BARS: &str = "one of ean13, ean8, upca, code128";
        match node.attribute("type") {
            None => self.missing(node, "type", BARS.to_owned()),
            Some("ean13" | "ean8" | "upca" | "code128") => {}
            Some(_) => {
                self.value_problem(node, "type", BARS.to_owned());
                return None;
            }
        }
        let symbology = self.optional(node, "type").unwrap_or(Symbology::Ean13);
        let module = self.optional::<Module<BAR_MIN>>(node, "module").unwrap_or(Module::SMALLEST).0;
        let digits = self.optional(node, "digits").unwrap_or(Digits::Below);
        Some(Holds::Code { content: self.value(node)?, symbology, level: Level::Medium, module, digits })
    }

    fn square_code(&mut self, node: XmlNode<'_, '_>, symbology: Symbology) -> Option<Holds> {
        let module = self.optional::<Module<SQUARE_MIN>>(node, "module").unwrap_or(Module::SMALLEST).0;
        let level = self.optional(node, "level").unwrap_or(Level::Medium);
        Some(Holds::Code { content: self.value(node)?, symbology, level, module, digits: Digits::None })
    }

    fn image(&mut self, node: XmlNode<'_, '_>) -> Option<Holds> {
        if node.has_children() {
            self.problems.push((node.range().start, content(node, "something", "nothing")));
        }
        let Some(source) = node.attribute("src") else {
            self.missing(node, "src", "the name of a picture like `logo.png`".to_owned());
            return None;
        };
        if !source.contains("{{") && !self.pictures.contains_key(source) {
            let known: Vec<&str> = self.pictures.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "that folder is empty".to_owned() } else { known.join(", ") };
            self.value_problem(node, "src", format!("a PNG in the folder `images` beside the template ({known})"));
        }
        let dither = self.optional(node, "dither").unwrap_or(Dither::Diffusion);
        Some(Holds::Image { source: self.attribute_text(node, "src", "")?, dither })
    }

    fn repeats(&mut self, node: XmlNode<'_, '_>) -> Repeats {
        match node.attribute("each") {
            None => Repeats::Once,
            Some("products") => Repeats::EachProduct,
            Some(_) => {
                self.value_problem(node, "each", "`products`".to_owned());
                Repeats::Once
            }
        }
    }

    fn rule(&mut self, node: XmlNode<'_, '_>) -> Option<Holds> {
        if node.has_children() {
            self.problems.push((node.range().start, content(node, "something", "nothing")));
        }
        Some(Holds::Elements(Vec::new()))
    }

    fn style(&mut self, node: XmlNode<'_, '_>) -> Style {
        let plain = Style::default();
        let column = node.tag_name().name() == "template";
        // What shows figures or bars keeps its size; boxes and texts give way.
        let stiff = matches!(node.tag_name().name(), "price" | "barcode" | "qrcode" | "datamatrix" | "rule" | "badge");
        Style {
            direction: self.optional(node, "direction").unwrap_or(if column {
                Direction::Column
            } else {
                plain.direction
            }),
            gap: self.optional::<Pixels>(node, "gap").map_or(plain.gap, |gap| gap.0),
            padding: self.optional(node, "padding").unwrap_or(plain.padding),
            align: self.optional(node, "align").unwrap_or(plain.align),
            justify: self.optional(node, "justify").unwrap_or(plain.justify),
            grow: self.optional::<Whole<0, SHARE_MAX>>(node, "grow").map_or(plain.grow, |grow| grow.0),
            shrink: self
                .optional::<Whole<0, SHARE_MAX>>(node, "shrink")
                .map_or(if stiff { 0 } else { plain.shrink }, |shrink| shrink.0),
            width: self.optional(node, "width"),
            height: self.optional(node, "height"),
            background: self.optional(node, "background"),
            border: self.optional::<Pixels>(node, "border").map_or(plain.border, |border| border.0),
            radius: self.optional::<Pixels>(node, "radius").map_or(plain.radius, |radius| radius.0),
        }
    }

    /// An attribute's value, if it is there and valid.
    fn optional<T: FromStr<Err = Expected>>(&mut self, node: XmlNode<'_, '_>, name: &'static str) -> Option<T> {
        match node.attribute(name)?.parse() {
            Ok(value) => Some(value),
            Err(Expected(expected)) => {
                self.value_problem(node, name, expected);
                None
            }
        }
    }

    fn attribute_text(&mut self, node: XmlNode<'_, '_>, name: &str, default: &str) -> Option<Text> {
        let compiled = self.expressions.text(node.attribute(name).unwrap_or(default));
        self.kept(compiled, Self::attribute_at(node, name))
    }

    /// The text that an element holds.
    fn value(&mut self, node: XmlNode<'_, '_>) -> Option<Text> {
        if let Some(child) = node.children().find(XmlNode::is_element) {
            let found = format!("`{}`", child.tag_name().name());
            self.problems.push((child.range().start, content(node, &found, "text")));
            return None;
        }
        let source: String =
            node.children().filter_map(|child| if child.is_text() { child.text() } else { None }).collect();
        let at = node.first_child().map_or(node.range().start, |child| child.range().start);
        if source.trim().is_empty() {
            self.problems.push((node.range().start, content(node, "nothing", "text like `{{ product.name }}`")));
            return None;
        }
        let compiled = self.expressions.text(&source);
        self.kept(compiled, at)
    }

    fn known_attributes(&mut self, node: XmlNode<'_, '_>, known: &[&[&str]]) {
        let known: BTreeSet<&str> = known.iter().flat_map(|names| names.iter().copied()).collect();
        for attribute in node.attributes() {
            if !known.contains(attribute.name()) {
                let problem = Problem::UnknownAttribute {
                    element: node.tag_name().name().to_owned(),
                    found: attribute.name().to_owned(),
                    expected: known.iter().copied().collect::<Vec<_>>().join(", "),
                };
                self.problems.push((attribute.range().start, problem));
            }
        }
    }

    fn kept<T>(&mut self, result: Result<T, Problem>, at: usize) -> Option<T> {
        result.map_err(|problem| self.problems.push((at, problem))).ok()
    }

    fn value_problem(&mut self, node: XmlNode<'_, '_>, attribute: &str, expected: String) {
        let found = node.attribute(attribute).unwrap_or_default().to_owned();
        let problem = Problem::Value { attribute: attribute.to_owned(), found, expected };
        self.problems.push((Self::attribute_at(node, attribute), problem));
    }

    fn missing(&mut self, node: XmlNode<'_, '_>, attribute: &'static str, expected: String) {
        let element = node.tag_name().name().to_owned();
        self.problems.push((node.range().start, Problem::Missing { element, attribute, expected }));
    }

    fn attribute_at(node: XmlNode<'_, '_>, name: &str) -> usize {
        node.attribute_node(name).map_or(node.range().start, |attribute| attribute.range().start)
    }
}

fn content(node: XmlNode<'_, '_>, found: &str, expected: &'static str) -> Problem {
    Problem::Content { element: node.tag_name().name().to_owned(), found: found.to_owned(), expected }
}

/// A rule is an empty box filled with its colour, 1 pixel thick unless it says otherwise.
fn drawn_as_line(element: &mut Element) {
    element.style.background = Some(element.color.unwrap_or(Color::Black));
    if element.style.width.is_none() && element.style.height.is_none() {
        element.style.height = Some(Length::Pixels(1));
    }
}

/// A badge is text in the colour of its paper on a box of ink.
fn drawn_inverse(element: &mut Element, node: XmlNode<'_, '_>) {
    element.style.background.get_or_insert(Color::Black);
    element.color.get_or_insert(Color::White);
    if node.attribute("padding").is_none() {
        element.style.padding.left = 4;
        element.style.padding.right = 4;
    }
}
