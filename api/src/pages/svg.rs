//! Drawings as SVG: shapes from numbers, text as text, looks by class, since a page may have no style of its own.

use std::fmt::Write;

use super::frame::outside;

/// A drawing that grows.
#[derive(Default)]
pub(super) struct Svg(String);

/// Where a label lies about its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        ));
    }

    /// A line through these points.
    pub fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let mut text = String::new();
        for (x, y) in points {
            let _ = write!(text, "{x:.1},{y:.1} "); // into a String
        }
        self.put(format_args!(r#"<polyline points="{}" class="{class}"/>"#, text.trim_end()));
    }

    pub fn node(&mut self, at: (f64, f64), radius: f64, class: &str) {
        let (x, y) = at;
        self.put(format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" class="node {class}"/>"#
        ));
    }

    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let ((x, y), (width, height)) = (at, size);
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="6" class="{class}"/>"#
        ));
    }

    pub fn label(&mut self, at: (f64, f64), text: &str, class: &str, size: f64, anchor: Anchor) {
        let (x, y) = at;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" class="{class}" font-size="{size}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// Puts this over the other.
    pub fn over(self, below: Svg) -> Svg {
        Svg(below.0 + &self.0)
    }

    /// The whole drawing, which is called so.
    pub fn finish(self, size: (f64, f64), class: &str, called: &str) -> String {
        let (width, height) = size;
        format!(
            r#"<svg viewBox="0 0 {width:.0} {height:.0}" class="drawing {class}" role="img" aria-label="{}">{}</svg>"#,
            escaped(called),
            self.0
        )
    }

    fn put(&mut self, shape: std::fmt::Arguments) {
        let _ = self.0.write_fmt(shape); // into a String
    }
}

/// A name from outside for a label: isolated by characters, as no element of SVG isolates, and cut in its middle where it
/// is wider than this.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    // Of a longer one the middle goes anyway; to cut it a character at a time would take long.
    let all: Vec<char> = outside(text).chars().collect();
    let mut chars = match all.len() {
        ..=CHARS_MAX => all,
        len => [&all[..CHARS_MAX / 2], &all[len - CHARS_MAX / 2..]].concat(),
    };
    let width = |chars: &[char]| chars.iter().map(|c| width_of(*c) * size).sum::<f64>();
    let is_cut = width(&chars) > room;
    while is_cut && chars.len() > 1 && width(&chars) > room - size {
        chars.remove(chars.len() / 2);
    }
    if is_cut {
        chars.insert(chars.len() / 2, '…');
    }
    format!("\u{2068}{}\u{2069}", chars.into_iter().collect::<String>())
}

/// The beginning and end of a digest.
pub(super) fn short(hex: &str) -> String {
    match (hex.get(..6), hex.get(hex.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if hex.len() > 16 => format!("{start}…{end}"),
        _ => hex.to_owned(),
    }
}

/// About how wide a character is, in ems.
fn width_of(c: char) -> f64 {
    match c {
        '\u{2e80}'.. => 1.0,
        'A'..='Z' | '0'..='9' | '+' | '⟨' | '⟩' => 0.7,
        _ => 0.56,
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c => safe.push(c),
        }
    }
    safe
}

/// More characters than fit into any label.
const CHARS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_and_none_is_wider_than_its_place() {
        let mut svg = Svg::default();
        svg.label((0.0, 0.0), "</text><script>alert(1)</script>", "a", 12.0, Anchor::Middle);
        let drawn = svg.finish((10.0, 10.0), "b", "\"><script>");
        assert!(!drawn.contains("<script") && drawn.matches("</text>").count() == 1, "{drawn}");
        let long = fitted(&"很长的名字".repeat(100), 12.0, 120.0);
        assert!(long.chars().count() < 14 && long.contains('…'), "{long}");
        assert_eq!(fitted("a.jpg", 12.0, 120.0), "\u{2068}a.jpg\u{2069}");
        assert_eq!(short("0123456789abcdef0"), "012345…def0");
    }
}
