//! Lines, columns and blocks: where things stand, before anything is drawn.
//!
//! A page is a stack of blocks. Each is laid out from its own top, so that the page can first ask how high they
//! are and then share the room that is left between them.

use crate::face::{Faces, Ink, Style};
use crate::words::Words;

/// Marks that belong together, from their own top.
#[derive(Default)]
pub(crate) struct Block {
    pub height: f32,
    pub marks: Vec<Mark>,
}

/// Something on the page. Lengths are points, y grows downwards.
pub(crate) enum Mark {
    Text(Text),
    /// A filled rectangle: a rule, a panel. Decoration.
    Box {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        ink: Ink,
    },
    /// The thumbnail.
    Picture {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
    },
    /// The QR code.
    Code {
        x: f32,
        y: f32,
        side: f32,
    },
}

/// A piece of text on one or more lines.
pub(crate) struct Text {
    pub role: Role,
    pub language: Language,
    pub style: Style,
    pub lines: Vec<Line>,
}

/// One line of a text.
pub(crate) struct Line {
    pub x: f32,
    pub baseline: f32,
    pub text: String,
}

/// What a text is to who has the page read aloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Title,
    Heading,
    Paragraph,
}

/// The language that a text is read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Chinese,
    English,
}

impl Block {
    /// Moves everything.
    pub fn moved(mut self, by: f32) -> Vec<Mark> {
        for mark in &mut self.marks {
            match mark {
                Mark::Text(text) => text.lines.iter_mut().for_each(|line| line.baseline += by),
                Mark::Box { y, .. } | Mark::Picture { y, .. } | Mark::Code { y, .. } => *y += by,
            }
        }
        self.marks
    }

    /// Puts another block beside this one.
    pub fn beside(mut self, other: Block) -> Block {
        self.height = self.height.max(other.height);
        self.marks.extend(other.marks);
        self
    }

    /// Puts another block below this one.
    pub fn above(mut self, other: Block) -> Block {
        let height = self.height + other.height;
        let below = other.moved(self.height);
        self.marks.extend(below);
        self.height = height;
        self
    }
}

/// A column that is filled from its top.
pub(crate) struct Column<'a> {
    faces: &'a Faces,
    x: f32,
    width: f32,
    y: f32,
    marks: Vec<Mark>,
}

impl<'a> Column<'a> {
    pub const fn new(faces: &'a Faces, x: f32, width: f32) -> Column<'a> {
        Column { faces, x, width, y: 0.0, marks: Vec::new() }
    }

    pub fn into_block(self) -> Block {
        Block { height: self.y, marks: self.marks }
    }

    pub const fn height(&self) -> f32 {
        self.y
    }

    pub fn space(&mut self, height: f32) {
        self.y += height;
    }

    pub fn rule(&mut self, thickness: f32, ink: Ink) {
        let (x, y, width) = (self.x, self.y, self.width);
        self.marks.push(Mark::Box { x, y, width, height: thickness, ink });
        self.y += thickness;
    }

    /// A text on at most so many lines; what does not fit ends in an ellipsis.
    pub fn text(&mut self, role: Role, language: Language, style: Style, text: &str, most: usize) {
        let lines = wrap(self.faces, style, text, self.width, most);
        self.lines(role, language, style, self.x, lines);
    }

    /// A text in the middle, on one line.
    pub fn centred(&mut self, role: Role, language: Language, style: Style, text: &str) {
        let line = wrap(self.faces, style, text, self.width, 1).remove(0);
        // The space after the last character is not seen.
        let width = self.faces.width(style, &line) - style.tracking * style.size;
        let x = self.x + (self.width - width) / 2.0;
        self.lines(role, language, style, x, vec![line]);
    }

    /// Both languages of a heading on one line, with a thin rule above.
    pub fn heading(&mut self, words: Words, zh: Style, en: Style, rule: Ink) {
        self.rule(0.5, rule);
        self.y += 4.0;
        self.pair(Role::Heading, words, zh, en, 5.0);
        self.y += 2.5;
    }

    /// Chinese and English on one line, whatever their sizes.
    pub fn pair(&mut self, role: Role, words: Words, zh: Style, en: Style, gap: f32) {
        let baseline = self.y + ascent(zh.size.max(en.size));
        let beside = self.x + self.faces.width(zh, words.zh) + gap;
        for (language, style, x, text) in
            [(Language::Chinese, zh, self.x, words.zh), (Language::English, en, beside, words.en)]
        {
            let lines = vec![Line { x, baseline, text: text.to_owned() }];
            self.marks.push(Mark::Text(Text { role, language, style, lines }));
        }
        self.y += line_height(zh.size.max(en.size));
    }

    /// A label in both languages and, at `indent`, its value.
    pub fn row(&mut self, label: Words, styles: &RowStyles, indent: f32, value: &Value) {
        let top = self.y;
        let (zh, en) = (styles.label_zh, styles.label_en);
        // The label's baseline is the value's.
        self.y = top + ascent(value.style.size) - ascent(zh.size);
        self.pair(Role::Paragraph, label, zh, en, 4.0);
        let mut beside = Column::new(self.faces, self.x + indent, self.width - indent);
        beside.y = top;
        beside.text(Role::Paragraph, value.language, value.style, value.text, value.lines_max);
        let height = beside.y - top;
        self.marks.extend(beside.marks);
        self.y = top + height.max(styles.row_height_min);
    }

    /// A label on one line and, at `indent`, its value; tells on how many lines.
    pub fn labelled(&mut self, label: &str, style: Style, indent: f32, value: &Value) -> usize {
        let label = wrap(self.faces, style, label, indent - 4.0, 1);
        let baseline = self.y + ascent(value.style.size);
        let label = label.into_iter().map(|text| Line { x: self.x, baseline, text }).collect();
        let (role, language) = (Role::Paragraph, value.language);
        self.marks.push(Mark::Text(Text { role, language, style, lines: label }));
        let room = self.width - indent;
        let lines = wrap(self.faces, value.style, value.text, room, value.lines_max);
        let count = lines.len();
        self.lines(role, language, value.style, self.x + indent, lines);
        count
    }

    /// Texts on one line, each at its own place.
    pub fn cells(&mut self, role: Role, cells: &[(f32, f32, Language, Style, &str)]) {
        let size = cells.iter().map(|cell| cell.3.size).fold(0.0, f32::max);
        let baseline = self.y + ascent(size);
        for &(x, width, language, style, text) in cells {
            let text = wrap(self.faces, style, text, width, 1).remove(0);
            let lines = vec![Line { x: self.x + x, baseline, text }];
            self.marks.push(Mark::Text(Text { role, language, style, lines }));
        }
        self.y += line_height(size);
    }

    fn lines(&mut self, role: Role, language: Language, style: Style, x: f32, lines: Vec<String>) {
        let height = line_height(style.size);
        let placed = lines.into_iter().map(|text| {
            let line = Line { x, baseline: self.y + ascent(style.size), text };
            self.y += height;
            line
        });
        let lines = placed.collect();
        self.marks.push(Mark::Text(Text { role, language, style, lines }));
    }
}

/// How rows of labels and values are set.
pub(crate) struct RowStyles {
    pub label_zh: Style,
    pub label_en: Style,
    pub row_height_min: f32,
}

/// A value beside its label.
pub(crate) struct Value<'a> {
    pub language: Language,
    pub style: Style,
    pub text: &'a str,
    pub lines_max: usize,
}

/// From one line to the next.
pub(crate) fn line_height(size: f32) -> f32 {
    size * 1.36
}

/// From the top of a line to its baseline.
fn ascent(size: f32) -> f32 {
    size * 1.04
}

/// Breaks a text into at most `lines_max` lines, at least one. Latin breaks at spaces, Chinese anywhere but before
/// what closes and after what opens; a word that is longer than a line breaks where the line ends.
pub(crate) fn wrap(
    faces: &Faces,
    style: Style,
    text: &str,
    width: f32,
    lines_max: usize,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.trim();
    loop {
        let fits = fitting(faces, style, rest, width);
        if fits == rest.len() {
            lines.push(rest.to_owned());
            return lines;
        }
        if lines.len() + 1 >= lines_max {
            let room = width - faces.advance(style, ELLIPSIS);
            let cut = rest[..fitting(faces, style, rest, room)].trim_end();
            lines.push(format!("{cut}{ELLIPSIS}"));
            return lines;
        }
        let (line, below) = rest.split_at(break_at(rest, fits));
        // The space stays, so that who copies the text gets two words.
        lines.push(line.to_owned());
        rest = below.trim_start();
    }
}

/// How many bytes of the text fit, in whole characters.
fn fitting(faces: &Faces, style: Style, text: &str, width: f32) -> usize {
    let mut end = 0.0;
    for (at, c) in text.char_indices() {
        end += faces.advance(style, c);
        if end > width {
            return at;
        }
    }
    text.len()
}

/// Where to break a text of which `fits` bytes fit: past the first character in any case.
fn break_at(text: &str, fits: usize) -> usize {
    // A line that ends in a space may do so beyond the margin.
    if let Some(space) = text[fits..].chars().next().filter(|c| c.is_whitespace()) {
        return fits + space.len_utf8();
    }
    let mut best = None;
    let mut before = None;
    for (at, c) in text.char_indices() {
        if at > fits {
            break;
        }
        if before.is_some_and(|before| may_break(before, c)) {
            best = Some(at);
        }
        before = Some(c);
    }
    let first = text.chars().next().map_or(0, char::len_utf8);
    best.unwrap_or(fits).max(first)
}

fn may_break(before: char, after: char) -> bool {
    if after.is_whitespace() {
        return false; // it stays on the line
    }
    let wide = |c: char| c >= '\u{2E80}';
    before.is_whitespace()
        || ((wide(before) || wide(after)) && !OPENING.contains(before) && !CLOSING.contains(after))
}

const ELLIPSIS: char = '…';
const OPENING: &str = "（「『《【〈〔“‘([{";
const CLOSING: &str = "）」』》】〉〕”’，。、；：！？,.;:!?)]}…%";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Typeface;
    use proptest::prelude::*;

    const STYLE: Style = Style { face: Typeface::Regular, size: 10.0, ink: [0; 3], tracking: 0.0 };

    fn lines(text: &str, width: f32, most: usize) -> Vec<String> {
        wrap(&Faces::load().unwrap(), STYLE, text, width, most)
    }

    #[test]
    fn latin_breaks_at_spaces_and_chinese_anywhere_sensible() {
        assert_eq!(lines("mountain water", 60.0, 3), ["mountain ", "water"]);
        assert_eq!(lines("山水画，一九四九", 30.0, 9), ["山水", "画，一", "九四九"]);
        assert_eq!(lines("甲(乙)丙", 20.0, 9), ["甲", "(乙)", "丙"].map(str::to_owned));
        assert_eq!(lines("", 30.0, 2), [""]);
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(lines("山水山水山水", 40.0, 1), ["山水山…"]);
        assert_eq!(lines("mmmmmmmmmm", 30.0, 2).len(), 2);
        assert_eq!(
            lines(&"文".repeat(16 << 10), 100.0, 2),
            ["文文文文文文文文文文", "文文文文文文文文文…"]
        );
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_its_column(text in "\\PC{0,80}", width in 25.0f32..200.0, most in 1usize..5) {
            let faces = Faces::load().unwrap();
            let text = faces.legible(&text);
            let lines = wrap(&faces, STYLE, &text, width, most);
            prop_assert!(!lines.is_empty() && lines.len() <= most);
            for line in &lines {
                prop_assert!(faces.width(STYLE, line.trim_end()) <= width + 0.01, "{line:?}");
            }
            if !lines.iter().any(|line| line.ends_with('…')) {
                prop_assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
            }
        }
    }
}
