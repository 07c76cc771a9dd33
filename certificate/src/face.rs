//! The faces that a certificate is set in, and which glyphs a text becomes.
//!
//! They are part of the program, so that a certificate has the same bytes wherever it is issued. A face knows
//! no shaping: scripts that need it are not in these faces, and what is not in them becomes [`REPLACEMENT`].

use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider};
use timemark_verify::escape;

use crate::CertificateError;

/// All faces, ready to measure and to draw.
pub(crate) struct Faces {
    regular: Face,
    bold: Face,
    mono: Face,
}

/// One of the faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typeface {
    /// For all that is read; has the characters of all of Chinese that is in use.
    Regular,
    /// For our own headings; has the characters of words.rs alone.
    Bold,
    /// For digests and commands.
    Mono,
}

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub face: Typeface,
    /// Points.
    pub size: f32,
    pub ink: Ink,
    /// Space after each character, in sizes.
    pub tracking: f32,
}

/// Red, green and blue.
pub(crate) type Ink = [u8; 3];

/// A piece of a line in one face.
pub(crate) struct Run {
    /// From the line's beginning, in points.
    pub x: f32,
    pub font: Font,
    pub text: String,
    pub glyphs: Vec<KrillaGlyph>,
}

struct Face {
    font: Font,
    map: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
    units_per_em: f32,
}

/// A glyph of a face, with its advance in sizes.
struct Placed<'a> {
    face: Typeface,
    font: &'a Font,
    glyph: GlyphId,
    advance: f32,
}

impl Faces {
    /// The faces of the program. The large one is inflated once a process.
    pub fn load() -> Result<Faces, CertificateError> {
        Ok(Faces {
            regular: Face::of(REGULAR.as_deref().unwrap_or_default())?,
            bold: Face::of(BOLD)?,
            mono: Face::of(MONO)?,
        })
    }

    /// A text from outside as it can be set on lines: white space is a space, and characters that hide, reorder
    /// others or are not in the faces are [`REPLACEMENT`], so that it is seen that something stands there.
    pub fn legible(&self, text: &str) -> String {
        let chars = text.chars().filter(|c| !VARIATION_SELECTORS.contains(c)).map(|c| match c {
            c if c.is_whitespace() => ' ',
            c if hides(c) || self.regular.glyph(c).is_none() => REPLACEMENT,
            c => c,
        });
        let text: String = chars.collect();
        // Beginning and end would be white space that nobody sees.
        text.trim().to_owned()
    }

    /// The width of a text on one line, in points.
    pub fn width(&self, style: Style, text: &str) -> f32 {
        text.chars().map(|c| self.advance(style, c)).sum()
    }

    /// How far a character takes the line, in points.
    pub fn advance(&self, style: Style, c: char) -> f32 {
        (self.place(style.face, c).advance + style.tracking) * style.size
    }

    /// The glyphs of a line.
    pub fn runs(&self, style: Style, line: &str) -> Vec<Run> {
        let mut runs: Vec<(Typeface, Run)> = Vec::new();
        let mut x = 0.0;
        for c in line.chars() {
            let placed = self.place(style.face, c);
            if runs.last().is_none_or(|(face, _)| *face != placed.face) {
                let (font, text, glyphs) = (placed.font.clone(), String::new(), Vec::new());
                runs.push((placed.face, Run { x, font, text, glyphs }));
            }
            if let Some((_, run)) = runs.last_mut() {
                let start = run.text.len();
                run.text.push(c);
                let advance = placed.advance + style.tracking;
                let range = start..run.text.len();
                run.glyphs.push(KrillaGlyph::new(
                    placed.glyph,
                    advance,
                    0.0,
                    0.0,
                    0.0,
                    range,
                    None,
                ));
                x += advance * style.size;
            }
        }
        runs.into_iter().map(|(_, run)| run).collect()
    }

    fn place(&self, face: Typeface, c: char) -> Placed<'_> {
        for face in [face, Typeface::Regular] {
            if let Some(placed) = self.face(face).glyph(c) {
                return self.placed(face, placed);
            }
        }
        let glyph = self.regular.glyph(REPLACEMENT).unwrap_or((GlyphId::new(0), 1.0));
        self.placed(Typeface::Regular, glyph)
    }

    fn placed(&self, face: Typeface, (glyph, advance): (GlyphId, f32)) -> Placed<'_> {
        Placed { face, font: &self.face(face).font, glyph, advance }
    }

    const fn face(&self, face: Typeface) -> &Face {
        match face {
            Typeface::Regular => &self.regular,
            Typeface::Bold => &self.bold,
            Typeface::Mono => &self.mono,
        }
    }
}

impl Face {
    fn of(file: &'static [u8]) -> Result<Face, CertificateError> {
        let unreadable = || CertificateError::Writer("a face of the program is damaged".to_owned());
        let font = FontRef::new(file).map_err(|_| unreadable())?;
        let metrics = font.glyph_metrics(Size::unscaled(), LocationRef::default());
        let map = font.charmap();
        let font = Font::new(file.into(), 0).ok_or_else(unreadable)?;
        let units_per_em = font.units_per_em();
        Ok(Face { font, map, metrics, units_per_em })
    }

    fn glyph(&self, c: char) -> Option<(GlyphId, f32)> {
        let glyph = self.map.map(c).filter(|glyph| glyph.to_u32() > 0)?;
        let advance = self.metrics.advance_width(glyph)? / self.units_per_em;
        Some((GlyphId::new(glyph.to_u32()), advance))
    }
}

/// Whether receipts spell this character as `%`, because it is not seen or changes how others are seen.
fn hides(c: char) -> bool {
    let mut buffer = [0; 4];
    let spelled: &str = c.encode_utf8(&mut buffer);
    c != '%' && escape(spelled.as_bytes()) != spelled
}

/// Stands for what cannot be shown.
pub(crate) const REPLACEMENT: char = '□';
/// They choose between forms of the character before and are nothing by themselves.
const VARIATION_SELECTORS: [char; 2] = ['\u{FE0E}', '\u{FE0F}'];

static REGULAR: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
    let mut file = Vec::new();
    let gzip: &[u8] = include_bytes!("../fonts/NotoSerifSC-Regular.ttf.gz");
    GzDecoder::new(gzip).read_to_end(&mut file).ok().map(|_| file)
});
static BOLD: &[u8] = include_bytes!("../fonts/NotoSerifSC-SemiBold.ttf");
static MONO: &[u8] = include_bytes!("../fonts/IBMPlexMono-Regular.ttf");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_is_seen_to_be_there() {
        let faces = Faces::load().unwrap();
        for (text, expected) in [
            ("山水", "山水"),
            ("  Mount\tand\nwater ", "Mount and water"),
            ("100 % %41", "100 % %41"),
            ("a\u{202E}b\u{200B}c", "a□b□c"),
            ("\u{E0041}\0", "□□"),
            ("😀 ❤\u{FE0F}", "□ □"),
            ("שלום", "□□□□"),
            ("Ærøskøbing, Łódź, Ελλάδα, Москва", "Ærøskøbing, Łódź, Ελλάδα, Москва"),
        ] {
            let legible = faces.legible(text);
            // A face may come to know more; it may never show what hides.
            let expected: String = expected
                .chars()
                .map(|c| if faces.regular.glyph(c).is_some() { c } else { REPLACEMENT })
                .collect();
            assert_eq!(legible, expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_is_as_wide_as_its_runs_and_every_glyph_has_its_text() {
        let faces = Faces::load().unwrap();
        let style = Style { face: Typeface::Mono, size: 10.0, ink: [0; 3], tracking: 0.1 };
        let line = "sha256sum 山水.jpg";
        let runs = faces.runs(style, line);
        assert_eq!(runs.iter().map(|run| run.text.as_str()).collect::<String>(), line);
        assert_eq!(runs.len(), 3);
        let glyphs: f32 = runs.iter().flat_map(|run| &run.glyphs).map(|g| g.x_advance * 10.0).sum();
        assert!((glyphs - faces.width(style, line)).abs() < 1e-3);
    }

    #[test]
    fn our_own_words_are_in_the_faces() {
        let faces = Faces::load().unwrap();
        let words = include_str!("words.rs");
        for c in words.chars().filter(|c| !c.is_control()) {
            assert!(faces.regular.glyph(c).is_some(), "{c:?} is not in the regular face");
            assert!(faces.bold.glyph(c).is_some(), "{c:?} is not in the bold face: make it anew");
        }
    }
}
