//! Where each element of a scene stands: flex layout, with texts and prices measured by setting them.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use hashbrown::HashMap;
use taffy::prelude::{AvailableSpace, FlexDirection, FromLength, FromPercent, NodeId, TaffyAuto, TaffyTree, TaffyZero};
use taffy::{
    AlignItems, Dimension, JustifyContent, LayoutInput, LayoutOutput, LengthPercentage, LengthPercentageAuto,
    compute_leaf_layout,
};

use super::Memory;
use super::picture;
use super::text::Room;
use crate::template::scene::{Content, Node, Scene};
use crate::template::style::{Align, Direction, Justify, Length, Style};

/// An element's place on the panel, and its children's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// With padding and frame.
    pub(super) area: Rectangle,
    /// Without.
    pub(super) inside: Rectangle,
    pub(super) children: Vec<Placed>,
}

/// Most layouts kept, at about 6 KB each 12 MB. A full memory is emptied: a layout costs some 30 µs.
const LAYOUTS_MAX: usize = 2_048;

/// The layouts that were found before, by what decides them.
///
/// A layout is found by asking elements for their sizes, and what is asked next depends only on the scene's boxes
/// and on the answers so far. So from the boxes on, the answers lead step by step to the layout: a changed price
/// that is as wide as before moves nothing.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    first: HashMap<Skeleton, Step>,
    count: usize,
}

/// Where some answers have led.
#[derive(Debug, Default)]
struct Step {
    /// Which element is asked now, and for which room.
    asks: Option<(usize, Room)>,
    next: HashMap<Measured, Step>,
    /// The layout, when nothing more is asked.
    placed: Option<Rc<Placed>>,
}

/// A scene's boxes without what stands in them, depth first.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Skeleton {
    panel: (u16, u16),
    bones: Vec<Bone>,
}

#[derive(Debug, PartialEq, Eq)]
struct Bone {
    style: Style,
    /// None for what is measured.
    children: Option<usize>,
}

/// Without the style: that is long, and few kinds of scenes differ in nothing else.
impl Hash for Bone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.children.hash(state);
    }
}

impl Skeleton {
    /// The boxes of a scene, and what stands in them in the same order.
    fn of(scene: &Scene) -> (Self, Vec<&Node>) {
        fn collect<'a>(node: &'a Node, bones: &mut Vec<Bone>, leaves: &mut Vec<&'a Node>) {
            let children = if let Content::Box(children) = &node.content { Some(children) } else { None };
            bones.push(Bone { style: node.style, children: children.map(Vec::len) });
            match children {
                Some(children) => children.iter().for_each(|child| collect(child, bones, leaves)),
                None => leaves.push(node),
            }
        }
        let (mut bones, mut leaves) = (Vec::with_capacity(32), Vec::with_capacity(16));
        collect(scene.root(), &mut bones, &mut leaves);
        (Self { panel: (scene.panel().width(), scene.panel().height()), bones }, leaves)
    }
}

/// Lays out a scene over its whole panel.
pub(super) fn place(memory: &mut Memory, layouts: &mut Layouts, scene: &Scene) -> Rc<Placed> {
    let (skeleton, leaves) = Skeleton::of(scene);
    let mut step = layouts.first.get(&skeleton);
    while let Some((leaf, room)) = step.and_then(|step| step.asks) {
        let answer = measured(memory, leaves[leaf], room);
        step = step.and_then(|step| step.next.get(&answer));
    }
    if let Some(placed) = step.and_then(|step| step.placed.as_ref()) {
        return Rc::clone(placed);
    }
    if layouts.count >= LAYOUTS_MAX {
        *layouts = Layouts::default();
    }
    let (asked, placed) = computed(memory, scene);
    let mut step = layouts.first.entry(skeleton).or_default();
    for (leaf, room, answer) in asked {
        step.asks = Some((leaf, room));
        step = step.next.entry(answer).or_default();
    }
    step.placed = Some(Rc::clone(&placed));
    layouts.count += 1;
    placed
}

/// Which element was asked, for which room, and its answer.
type Asked = (usize, Room, Measured);

/// The layout of a scene, and what was asked to find it.
fn computed(memory: &mut Memory, scene: &Scene) -> (Vec<Asked>, Rc<Placed>) {
    let mut tree: TaffyTree<Leaf<'_>> = TaffyTree::new();
    let root = grow(&mut tree, scene.root(), &mut 0);
    let panel = scene.panel();
    let size = taffy::Size { width: f32::from(panel.width()), height: f32::from(panel.height()) };
    let mut style = flex(&scene.root().style);
    style.size = taffy::Size { width: Dimension::length(size.width), height: Dimension::length(size.height) };
    tree.set_style(root, style).expect(ROOT);
    let room = size.map(AvailableSpace::Definite);
    let mut asked = Vec::new();
    tree.compute_layout_with_measure(root, room, |inputs, _, node, style| match node {
        Some(leaf) => leaf.output(memory, &mut asked, inputs, style),
        None => compute_leaf_layout(inputs, style, |_, _| 0.0, |_, _| taffy::Size::ZERO),
    })
    .expect(ROOT);
    (asked, Rc::new(placed(&tree, root, Point::zero())))
}

const ROOT: &str = "nodes of the tree are those that were just made";

fn grow<'a>(tree: &mut TaffyTree<Leaf<'a>>, node: &'a Node, leaves: &mut usize) -> NodeId {
    let style = flex(&node.style);
    match &node.content {
        Content::Box(children) => {
            let children: Vec<NodeId> = children.iter().map(|child| grow(tree, child, leaves)).collect();
            tree.new_with_children(style, &children).expect(ROOT)
        }
        _ => {
            let leaf = Leaf { node, number: *leaves };
            *leaves += 1;
            tree.new_leaf_with_context(style, leaf).expect(ROOT)
        }
    }
}

/// An element that is measured.
struct Leaf<'a> {
    node: &'a Node,
    number: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Measured {
    width: i32,
    height: i32,
    /// Rows from the top to the first baseline.
    baseline: Option<i32>,
}

impl Leaf<'_> {
    fn output(
        &self,
        memory: &mut Memory,
        asked: &mut Vec<Asked>,
        inputs: LayoutInput,
        style: &taffy::Style,
    ) -> LayoutOutput {
        let above = f32::from(self.node.style.padding.top) + f32::from(self.node.style.border);
        let mut baseline = None;
        let measure = |_, available: taffy::Size<AvailableSpace>| {
            let room = Room { width: definite(available.width), height: definite(available.height) };
            let known = asked.iter().find(|(leaf, asked, _)| (*leaf, *asked) == (self.number, room));
            let answer = known.map(|(.., answer)| *answer).unwrap_or_else(|| {
                let answer = measured(memory, self.node, room);
                asked.push((self.number, room, answer));
                answer
            });
            baseline = answer.baseline;
            taffy::Size { width: pixels(answer.width), height: pixels(answer.height) }
        };
        let mut output = compute_leaf_layout(inputs, style, |_, _| 0.0, measure);
        output.baselines.first = baseline.map(|baseline| pixels(baseline) + above);
        output
    }
}

/// How large an element's content is in the room that it has.
fn measured(memory: &mut Memory, node: &Node, room: Room) -> Measured {
    let (width, height, baseline) = match &node.content {
        Content::Box(_) => (0, 0, None),
        Content::Text(text) => {
            let setting = memory.texts.set(&mut memory.faces, text, room);
            (setting.width, setting.height, Some(setting.ascent()))
        }
        Content::Price(price) => {
            let size = memory.prices.size(&mut memory.faces, price, room);
            (size.width, size.height, Some(size.ascent))
        }
        Content::Code(code) => {
            // One that is none shows its text where the code would stand.
            let (width, height) = memory.codes.encoded(code).map_or((0, 12), |encoded| encoded.wanted(code, room));
            (width, height, None)
        }
        Content::Image(image) => {
            let (width, height) = picture::contained(&image.picture, room);
            (width, height, None)
        }
    };
    Measured { width, height, baseline }
}

fn definite(available: AvailableSpace) -> Option<i32> {
    match available {
        AvailableSpace::Definite(pixels) => Some(whole(pixels)),
        AvailableSpace::MinContent | AvailableSpace::MaxContent => None,
    }
}

/// Layout's numbers are whole after rounding, and at most some thousand.
#[expect(clippy::cast_possible_truncation, reason = "rounded first, and `as` saturates")]
fn whole(pixels: f32) -> i32 {
    pixels.floor() as i32
}

#[expect(clippy::cast_precision_loss, reason = "lengths on a panel are far below 2^24")]
fn pixels(length: i32) -> f32 {
    length as f32
}

fn placed(tree: &TaffyTree<Leaf<'_>>, node: NodeId, parent: Point) -> Placed {
    let layout = tree.layout(node).expect(ROOT);
    let at = parent + Point::new(whole(layout.location.x), whole(layout.location.y));
    let area = rectangle(at, layout.size.width, layout.size.height);
    let (left, top) = (layout.border.left + layout.padding.left, layout.border.top + layout.padding.top);
    let inside =
        rectangle(at + Point::new(whole(left), whole(top)), layout.content_box_width(), layout.content_box_height());
    let children = tree.children(node).expect(ROOT).into_iter().map(|child| placed(tree, child, at)).collect();
    Placed { area, inside, children }
}

fn rectangle(at: Point, width: f32, height: f32) -> Rectangle {
    let side = |length: f32| u32::try_from(whole(length)).unwrap_or(0);
    Rectangle::new(at, Size::new(side(width), side(height)))
}

/// Our attributes in taffy's words. Everything may shrink to nothing rather than push its neighbours out.
fn flex(style: &Style) -> taffy::Style {
    let length = |pixels: u16| LengthPercentage::from_length(f32::from(pixels));
    let dimension = |length: Option<Length>| match length {
        Some(Length::Pixels(pixels)) => Dimension::from_length(f32::from(pixels)),
        Some(Length::Percent(percent)) => Dimension::from_percent(f32::from(percent) / 100.0),
        None => Dimension::AUTO,
    };
    taffy::Style {
        display: taffy::Display::Flex,
        flex_direction: match style.direction {
            Direction::Row => FlexDirection::Row,
            Direction::Column => FlexDirection::Column,
        },
        gap: taffy::Size { width: length(style.gap), height: length(style.gap) },
        padding: taffy::Rect {
            left: length(style.padding.left),
            right: length(style.padding.right),
            top: length(style.padding.top),
            bottom: length(style.padding.bottom),
        },
        border: taffy::Rect::length(f32::from(style.border)),
        align_items: align(style.align),
        justify_content: justify(style.justify),
        flex_grow: f32::from(style.grow),
        flex_shrink: f32::from(style.shrink),
        size: taffy::Size { width: dimension(style.width), height: dimension(style.height) },
        min_size: taffy::Size { width: LengthPercentageAuto::ZERO, height: LengthPercentageAuto::ZERO },
        ..taffy::Style::default()
    }
}

const fn align(align: Align) -> AlignItems {
    match align {
        Align::Start => AlignItems::FLEX_START,
        Align::Center => AlignItems::CENTER,
        Align::End => AlignItems::FLEX_END,
        Align::Stretch => AlignItems::STRETCH,
        Align::Baseline => AlignItems::BASELINE,
    }
}

const fn justify(justify: Justify) -> JustifyContent {
    match justify {
        Justify::Start => JustifyContent::FLEX_START,
        Justify::Center => JustifyContent::CENTER,
        Justify::End => JustifyContent::FLEX_END,
        Justify::SpaceBetween => JustifyContent::SPACE_BETWEEN,
        Justify::SpaceEvenly => JustifyContent::SPACE_EVENLY,
    }
}
