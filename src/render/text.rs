//! Text set into lines: where it breaks, how large it can be, and drawing it.

use std::ops::Range;

use std::rc::Rc;

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use hashbrown::HashMap;
use unicode_linebreak::linebreaks;

use super::draw::{Brush, Drawing, to_i32, to_u32};
use super::face::{Faces, Run, Typeface};
use crate::template::scene::{Text, TextLook};
use crate::template::style::{Decoration, Overflow, TEXT_SIZE_MIN, TextAlign};

/// The room that an element can have; none is as much as it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Room {
    pub(super) width: Option<i32>,
    pub(super) height: Option<i32>,
}

/// Most texts kept as they were set: those of some 2,000 products on one panel, at about 500 bytes each 10 MB.
/// A full memory is emptied: a text costs some 10 µs.
const SETTINGS_MAX: usize = 16_384;

/// A text at a size, in lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) typeface: Typeface,
    pub(super) size: u16,
    pub(super) lines: Vec<Line>,
    pub(super) width: i32,
    pub(super) height: i32,
    /// All of it can be read.
    pub(super) whole: bool,
}

/// A line as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    run: Run,
}

/// Lines as byte ranges; `words_whole` unless one had to be broken inside.
struct Broken {
    lines: Vec<Range<usize>>,
    words_whole: bool,
}

struct Setter<'a> {
    faces: &'a mut Faces,
    text: &'a str,
    typeface: Typeface,
    /// Byte positions at which a line may end.
    breaks: Vec<usize>,
    room: Room,
}

/// The texts that were set before.
#[derive(Debug, Default)]
pub(super) struct Texts {
    settings: HashMap<String, Vec<Kept>>,
    count: usize,
}

/// How a text was set in one look and room.
#[derive(Debug)]
struct Kept {
    look: TextLook,
    room: Room,
    setting: Rc<Setting>,
}

impl Texts {
    /// A text set as large as its look and the room allow.
    pub(super) fn set(&mut self, faces: &mut Faces, text: &Text, room: Room) -> Rc<Setting> {
        let mut kept = self.settings.get(&text.text).into_iter().flatten();
        if let Some(kept) = kept.find(|kept| kept.room == room && kept.look == text.look) {
            return Rc::clone(&kept.setting);
        }
        if self.count >= SETTINGS_MAX {
            *self = Self::default();
        }
        let setting = Rc::new(set(faces, text, room));
        let kept = Kept { look: text.look, room, setting: Rc::clone(&setting) };
        self.settings.entry_ref(&text.text).or_default().push(kept);
        self.count += 1;
        setting
    }
}

/// The width of a text on one line.
pub(super) fn width(faces: &mut Faces, typeface: Typeface, size: u16, text: &str) -> i32 {
    text.chars().map(|character| faces.glyph(typeface, size, character).advance).sum()
}

/// Rows of `lines` lines, from the top of the first to the bottom of the last.
fn height(typeface: Typeface, size: u16, lines: usize) -> i32 {
    let lines = i32::try_from(lines).expect("a text has some 400 characters");
    let pitch = line_pitch(typeface, size);
    pitch * (lines - 1) + typeface.ascent(size) + typeface.descent(size)
}

/// Rows from one baseline to the next.
fn line_pitch(typeface: Typeface, size: u16) -> i32 {
    typeface.ascent(size) + typeface.descent(size) + i32::from(size / 12)
}

/// Sets a text as large as its look and the room allow.
fn set(faces: &mut Faces, text: &Text, room: Room) -> Setting {
    let breaks = linebreaks(&text.text).map(|(at, _)| at).collect();
    let typeface = Typeface::of(text.look.font, text.look.weight);
    Setter { faces, text: &text.text, typeface, breaks, room }.set(&text.look)
}

impl Setter<'_> {
    fn set(&mut self, look: &TextLook) -> Setting {
        let lines_max = usize::from(look.lines);
        let smallest = if look.overflow == Overflow::Shrink { TEXT_SIZE_MIN } else { look.size.smallest };
        let mut best: Option<(u16, usize)> = None;
        for lines in 1..=lines_max {
            let Some(size) = self.largest(smallest, look.size.largest, lines) else { continue };
            // One more line must buy a quarter in size: a short name stays on one line.
            if best.is_none_or(|(held, _)| u32::from(size) * 4 >= u32::from(held) * 5) {
                best = Some((size, lines));
            }
        }
        match best {
            Some((size, lines)) => self.setting(size, lines, Overflow::Clip),
            None => self.setting(smallest, lines_max, look.overflow),
        }
    }

    /// The largest size at which the text fits in so many lines without breaking a word.
    fn largest(&mut self, smallest: u16, largest: u16, lines: usize) -> Option<u16> {
        if self.fits(largest, lines) {
            return Some(largest);
        }
        if !self.fits(smallest, lines) {
            return None;
        }
        // Fits at `low`, does not at `high`.
        let (mut low, mut high) = (smallest, largest);
        while high - low > 1 {
            let middle = u16::midpoint(low, high);
            if self.fits(middle, lines) { low = middle } else { high = middle }
        }
        Some(low)
    }

    fn fits(&mut self, size: u16, lines: usize) -> bool {
        let tall = self.room.height.is_some_and(|room| height(self.typeface, size, lines) > room);
        // A text of fewer lines is found by fewer lines; only more than these do not fit.
        !tall && {
            let broken = self.broken(size);
            broken.words_whole && broken.lines.len() <= lines
        }
    }

    /// Lines as full as they can be.
    fn broken(&mut self, size: u16) -> Broken {
        let Some(room) = self.room.width else {
            return Broken { lines: std::iter::once(0..self.text.len()).collect(), words_whole: true };
        };
        // The pen's position before each byte that starts a character, and after the last.
        let mut pens = vec![0; self.text.len() + 1];
        let mut pen = 0;
        for (at, character) in self.text.char_indices() {
            pens[at] = pen;
            pen += self.faces.glyph(self.typeface, size, character).advance;
        }
        pens[self.text.len()] = pen;
        let width =
            |range: Range<usize>| pens[range.start + self.text[range.clone()].trim_end().len()] - pens[range.start];

        let mut broken = Broken { lines: Vec::new(), words_whole: true };
        let (mut start, mut end) = (0, 0);
        for &next in &self.breaks {
            if width(start..next) > room && end > start {
                broken.lines.push(start..end);
                start = end;
            }
            while width(start..next) > room {
                // A word wider than the line breaks where it must; a line holds one character at least.
                let inside = self.text[start..next].char_indices().skip(1).map(|(at, _)| start + at);
                let first = inside.clone().next();
                let Some(cut) = inside.take_while(|cut| width(start..*cut) <= room).last().or(first) else { break };
                broken.lines.push(start..cut);
                broken.words_whole = false;
                start = cut;
            }
            end = next;
        }
        broken.lines.push(start..self.text.len());
        broken
    }

    /// The text at a size in at most so many lines; what is left over is cut as `overflow` says.
    fn setting(&mut self, size: u16, lines_max: usize, overflow: Overflow) -> Setting {
        let broken = self.broken(size);
        let fitting = (1..=lines_max)
            .rev()
            .find(|lines| self.room.height.is_none_or(|room| height(self.typeface, size, *lines) <= room));
        let shown = broken.lines.len().min(fitting.unwrap_or(1));
        let mut lines: Vec<String> =
            broken.lines[..shown].iter().map(|line| self.text[line.clone()].trim_end().to_owned()).collect();
        let whole = shown == broken.lines.len() && fitting.is_some();
        if shown < broken.lines.len() && overflow != Overflow::Clip {
            let last = lines.last_mut().expect("one line at least is shown");
            self.end_in_ellipsis(last, size);
        }
        let set = |text: String| Line { run: self.faces.run(self.typeface, size, &text), text };
        let lines: Vec<Line> = lines.into_iter().map(set).collect();
        let width = lines.iter().map(|line| line.run.width).max().unwrap_or(0);
        let height = height(self.typeface, size, lines.len());
        Setting { typeface: self.typeface, size, lines, width, height, whole }
    }

    fn end_in_ellipsis(&mut self, line: &mut String, size: u16) {
        line.push('…');
        while let Some(room) = self.room.width
            && width(self.faces, self.typeface, size, line) > room
            && line.chars().count() > 1
        {
            line.pop();
            line.pop();
            line.truncate(line.trim_end().len());
            line.push('…');
        }
    }
}

impl Setting {
    /// Rows from the top to the first baseline.
    pub(super) fn ascent(&self) -> i32 {
        self.typeface.ascent(self.size)
    }

    /// Draws the lines from the top of `area`.
    pub(super) fn draw(&self, drawing: &mut Drawing<'_>, area: Rectangle, look: &TextLook, brush: Brush) {
        let mut baseline = area.top_left.y + self.ascent();
        for line in &self.lines {
            let spare = to_i32(area.size.width) - line.run.width;
            let x = area.top_left.x
                + match look.align {
                    TextAlign::Left => 0,
                    TextAlign::Center => spare / 2,
                    TextAlign::Right => spare,
                };
            drawing.run(&line.run, Point::new(x, baseline), brush);
            if look.decoration == Decoration::LineThrough {
                let top_left = Point::new(x, baseline - i32::from(self.size) * 33 / 100);
                let size = Size::new(to_u32(line.run.width), u32::from((self.size / 14).max(1)));
                drawing.canvas.fill(Rectangle::new(top_left, size).intersection(&brush.clip), brush.ink);
            }
            baseline += line_pitch(self.typeface, self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::style::{Fit, Font, Weight};

    /// The lines of a text in a room so wide, at 24 to 14 pixels and in at most three lines, and their size.
    fn lines(text: &str, width: i32) -> (Vec<String>, u16) {
        let look = TextLook {
            size: Fit { largest: 24, smallest: 14 },
            lines: 3,
            overflow: Overflow::Ellipsis,
            font: Font::Text,
            weight: Weight::Normal,
            decoration: Decoration::None,
            align: TextAlign::Left,
        };
        let room = Room { width: Some(width), height: None };
        let setting = set(&mut Faces::new().unwrap(), &Text { text: text.to_owned(), look }, room);
        assert!(setting.width <= width, "{setting:?}");
        (setting.lines.into_iter().map(|line| line.text).collect(), setting.size)
    }

    #[track_caller]
    fn check(text: &str, width: i32, expected: &[&str], size: u16) {
        assert_eq!(lines(text, width), (expected.iter().map(|line| (*line).to_owned()).collect(), size));
    }

    #[test]
    fn a_line_does_not_begin_with_closing_punctuation() {
        // Narrower than 4 characters the first word itself has to break.
        for width in 56..200 {
            let (lines, _) = lines("「甜」，脆，多汁。（每袋）！", width);
            assert!(lines.iter().all(|line| !line.starts_with(['，', '。', '」', '）', '！'])), "{width}: {lines:?}");
        }
    }

    #[test]
    fn another_line_must_buy_a_quarter_in_size() {
        check("加州开心果仁", 144, &["加州开心果仁"], 24);
        check("加州开心果仁", 130, &["加州开心果仁"], 21);
        check("加州开心果仁", 100, &["加州开心", "果仁"], 24);
    }

    #[test]
    fn words_stay_whole_and_what_is_left_over_is_cut() {
        check("Whole Bean Coffee", 90, &["Whole", "Bean", "Coffee"], 24);
        check("很长很长很长很长很长", 30, &["很长", "很长", "很…"], 14);
    }
}
