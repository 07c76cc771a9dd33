//! From a page to a PDF/A-3: glyphs, tags for who has it read aloud, attachments, dates that are proven.
//!
//! Level A of conformance: every text is tagged with its language, so that the page can be read aloud and
//! copied from.

use std::num::NonZeroU16;

use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::error::KrillaError;
use krilla::geom::{Path, PathBuilder, Point, Rect, Size, Transform};
use krilla::image::Image;
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::tagging::{Artifact, ArtifactType, ContentTag, SpanTag, Tag, TagGroup, TagTree};
use krilla::{Document, SerializeSettings};
use qrcodegen::QrCode;
use sha2::{Digest, Sha256};
use timemark_verify::Verdict;

use crate::face::{Faces, Ink};
use crate::layout::{Language, Mark, Role, Text};
use crate::page::{PAPER, Page};
use crate::{Attachment, Certificate, CertificateError, RECEIPT_NAME, times, words};

/// A JPEG as the page can show it.
pub(crate) fn picture(jpeg: &[u8]) -> Result<Image, CertificateError> {
    Image::from_jpeg(jpeg.to_vec().into(), false).map_err(CertificateError::Thumbnail)
}

/// Draws the page and attaches the files.
pub(crate) fn write(
    certificate: &Certificate<'_>,
    verdict: &Verdict,
    faces: &Faces,
    page: &Page,
    picture: Option<Image>,
) -> Result<Vec<u8>, CertificateError> {
    let configuration =
        ConfigurationBuilder::new().with_archival_validator(Archival::A3_A).finish();
    let configuration = configuration.map_err(|error| unwritten(format!("{error:?}")))?;
    let mut document =
        Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });

    let settings = PageSettings::from_wh(PAPER.0, PAPER.1)
        .ok_or_else(|| unwritten("the paper has no size".to_owned()))?;
    let mut tags = TagTree::new();
    let mut sheet = document.start_page_with(settings);
    let mut surface = sheet.surface();
    let mut pen = Pen { surface: &mut surface, tags: &mut tags, faces };
    for mark in &page.marks {
        pen.draw(mark, &page.qr, picture.as_ref());
    }
    surface.finish();
    sheet.finish();
    document.set_tag_tree(tags);

    let receipt = certificate.receipt.to_string();
    // The same wherever and whenever it is made; another for every state of the receipt.
    let id = format!("{} {:x?}", page.number, Sha256::digest(&receipt).as_slice());
    let title = format!("{} {} {}", words::TITLE.zh, TITLE_EN, page.number);
    let date = times::pdf_date(verdict.existed_by);
    let metadata = Metadata::new().title(title).creator("Timemark".to_owned());
    let metadata = metadata.language("zh-CN".to_owned()).document_id(id).creation_date(date);
    document.set_metadata(metadata);

    let receipt = Attachment {
        name: RECEIPT_NAME.to_owned(),
        media_type: "text/plain".to_owned(),
        bytes: receipt.into_bytes(),
        description: "The receipt: the evidence from which this page is drawn".to_owned(),
    };
    attach(&mut document, &receipt, AssociationKind::Source, date)?;
    for attachment in certificate.attachments {
        attach(&mut document, attachment, AssociationKind::Data, date)?;
    }
    document.finish().map_err(|error| match error {
        KrillaError::Validation(errors) => unwritten(format!("it would be no PDF/A-3: {errors:?}")),
        other => unwritten(other.to_string()),
    })
}

fn attach(
    document: &mut Document,
    attachment: &Attachment,
    kind: AssociationKind,
    date: krilla::metadata::DateTime,
) -> Result<(), CertificateError> {
    let bad = |reason| CertificateError::Attachment { name: attachment.name.clone(), reason };
    // Portable names only: they are drawn on the page and become files on other people's machines.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if attachment.name.is_empty() || !attachment.name.chars().all(plain) {
        return Err(bad("a name is of letters, digits and . _ -"));
    }
    let mime_type =
        MimeType::new(&attachment.media_type).ok_or_else(|| bad("its media type is none"))?;
    let file = EmbeddedFile {
        path: attachment.name.clone(),
        mime_type: Some(mime_type),
        description: Some(attachment.description.clone()),
        association_kind: kind,
        data: attachment.bytes.clone().into(),
        modification_date: Some(date),
        // So that a verifier that knows no PDF finds the receipt.
        compress: Some(false),
        location: None,
    };
    document.embed_file(file).ok_or_else(|| bad("another file has that name"))
}

/// What draws the marks of a page and keeps their tags in reading order.
struct Pen<'a, 'b> {
    surface: &'a mut Surface<'b>,
    tags: &'a mut TagTree,
    faces: &'a Faces,
}

impl Pen<'_, '_> {
    fn draw(&mut self, mark: &Mark, qr: &QrCode, picture: Option<&Image>) {
        match *mark {
            Mark::Text(ref text) => self.text(text),
            Mark::Box { x, y, width, height, ink } => {
                self.surface
                    .start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)));
                self.fill(boxes([(x, y, width, height)]), ink);
                self.surface.end_tagged();
            }
            Mark::Picture { x, y, width, height } => {
                let (Some(picture), Some(size)) = (picture, Size::from_wh(width, height)) else {
                    return;
                };
                self.figure(words::PICTURE, |pen| {
                    pen.surface.push_transform(&Transform::from_translate(x, y));
                    pen.surface.draw_image(picture.clone(), size);
                    pen.surface.pop();
                });
            }
            Mark::Code { x, y, side } => {
                self.figure(words::QR, |pen| pen.fill(modules(qr, x, y, side), BLACK));
            }
        }
    }

    fn text(&mut self, text: &Text) {
        let language = match text.language {
            Language::Chinese => "zh-CN",
            Language::English => "en",
        };
        let mut ids = Vec::new();
        for line in text.lines.iter().filter(|line| !line.text.is_empty()) {
            let span = SpanTag::empty().with_lang(Some(language));
            ids.push(self.surface.start_tagged(ContentTag::Span(span)));
            self.surface.set_fill(Some(fill(text.style.ink)));
            for run in self.faces.runs(text.style, &line.text) {
                let start = Point::from_xy(line.x + run.x, line.baseline);
                let size = text.style.size;
                self.surface.draw_glyphs(start, &run.glyphs, run.font, &run.text, size, false);
            }
            self.surface.end_tagged();
        }
        let whole = || Some(text.lines.iter().map(|line| line.text.as_str()).collect::<String>());
        let mut group = match text.role {
            Role::Title => TagGroup::new(Tag::Hn(NonZeroU16::MIN, whole())),
            Role::Heading => TagGroup::new(Tag::Hn(NonZeroU16::MIN.saturating_add(1), whole())),
            Role::Paragraph => TagGroup::new(Tag::P),
        };
        ids.into_iter().for_each(|id| group.push(id));
        self.tags.push(group);
    }

    fn figure(&mut self, words: words::Words, draw: impl FnOnce(&mut Self)) {
        let id = self.surface.start_tagged(ContentTag::Other);
        draw(self);
        self.surface.end_tagged();
        let alt = format!("{} {}", words.zh, words.en);
        let mut group = TagGroup::new(Tag::Figure(Some(alt)));
        group.push(id);
        self.tags.push(group);
    }

    fn fill(&mut self, path: Option<Path>, ink: Ink) {
        if let Some(path) = path {
            self.surface.set_fill(Some(fill(ink)));
            self.surface.draw_path(&path);
        }
    }
}

/// The dark modules of a code, a rectangle for each run in a row.
fn modules(qr: &QrCode, x: f32, y: f32, side: f32) -> Option<Path> {
    let module = side / qr.size() as f32;
    let mut runs = Vec::new();
    for row in 0..qr.size() {
        let mut column = 0;
        while column < qr.size() {
            let length =
                (column..qr.size()).take_while(|&at| qr.get_module(at, row)).count() as i32;
            if length > 0 {
                let (left, top) = (x + column as f32 * module, y + row as f32 * module);
                runs.push((left, top, length as f32 * module, module));
            }
            column += length + 1;
        }
    }
    boxes(runs)
}

fn boxes(boxes: impl IntoIterator<Item = (f32, f32, f32, f32)>) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (x, y, width, height) in boxes {
        path.push_rect(Rect::from_xywh(x, y, width, height)?);
    }
    path.finish()
}

fn fill([red, green, blue]: Ink) -> Fill {
    Fill {
        paint: rgb::Color::new(red, green, blue).into(),
        opacity: NormalizedF32::ONE,
        rule: FillRule::NonZero,
    }
}

const fn unwritten(reason: String) -> CertificateError {
    CertificateError::Writer(reason)
}

const TITLE_EN: &str = "Certificate of registration";
const BLACK: Ink = [0; 3];
