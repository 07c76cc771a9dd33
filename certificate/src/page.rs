//! What stands where on the page.
//!
//! Every text that comes from outside has a greatest number of lines. What may be many, times and commands, gets
//! the room that the rest leaves; what finds none is counted, and lies in the attached receipt.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timemark_verify::{Act, Verdict, escape};

use crate::code;
use crate::face::{Faces, Ink, Style, Typeface};
use crate::layout::{Block, Column, Language, Mark, Role, RowStyles, Value, line_height};
use crate::words::{self, Words};
use crate::{Certificate, CertificateError, times};

/// A page that is ready to be drawn.
pub(crate) struct Page {
    pub marks: Vec<Mark>,
    /// The certificate's number.
    pub number: String,
    pub qr: qrcodegen::QrCode,
}

/// Width and height of A4 in points.
pub(crate) const PAPER: (f32, f32) = (595.276, 841.89);

/// Lays the certificate out. `picture` is the thumbnail's size in pixels.
pub(crate) fn compose(
    certificate: &Certificate<'_>,
    verdict: &Verdict,
    faces: &Faces,
    picture: Option<(u32, u32)>,
) -> Result<Page, CertificateError> {
    let receipt = certificate.receipt;
    let origin = verdict.log.name();
    let number = code::number(receipt, origin, verdict.index);
    let qr = code::qr(&code::text(receipt, origin, verdict.index, verdict.existed_by))?;

    let press = Press { certificate, verdict, faces };
    let above = [press.title(&number), press.work(picture), press.digests()];
    let below = [press.record(), press.meaning()];
    let foot = press.foot();

    // Times and commands share what the others leave; the first few times come first.
    let fixed: f32 = above.iter().chain(&below).map(|block| block.height).sum();
    let room = BOTTOM - TOP - foot.height - fixed - GAP_MIN * 6.0;
    let few = press.time(0.0, TIMES_SURE).height;
    let check = press.check(room - few);
    let time = press.time(room - check.height, TIMES_SURE);

    let blocks: Vec<Block> = above.into_iter().chain([time]).chain(below).chain([check]).collect();
    let height: f32 = blocks.iter().map(|block| block.height).sum();
    let spare = BOTTOM - foot.height - TOP - height;
    let gap = (spare / blocks.len() as f32).clamp(0.0, GAP_MAX);
    let mut marks = frame();
    let mut y = TOP;
    for block in blocks {
        let height = block.height;
        marks.extend(block.moved(y));
        y += height + gap;
    }
    let foot_top = BOTTOM - foot.height;
    marks.extend(foot.moved(foot_top));
    Ok(Page { marks, number, qr })
}

/// Sets the blocks of one certificate.
struct Press<'a> {
    certificate: &'a Certificate<'a>,
    verdict: &'a Verdict,
    faces: &'a Faces,
}

/// A moment, and who vouches for it.
struct Witnessed {
    kind: Words,
    name: String,
    time: Option<u64>,
}

impl Press<'_> {
    fn title(&self, number: &str) -> Block {
        let mut column = self.column();
        column.centred(Role::Title, Language::Chinese, TITLE_ZH, words::TITLE.zh);
        column.space(1.0);
        column.centred(Role::Title, Language::English, TITLE_EN, words::TITLE.en);
        column.space(5.0);
        let line = format!("{}  {}   {number}", words::NUMBER.zh, words::NUMBER.en);
        column.centred(Role::Paragraph, Language::Chinese, NUMBER, &line);
        column.into_block()
    }

    fn work(&self, picture: Option<(u32, u32)>) -> Block {
        let claim = &self.certificate.receipt.claim;
        let mut heading = self.column();
        heading.heading(words::WORK, HEADING_ZH, HEADING_EN, ACCENT);
        let picture = picture.map(fitted);
        let taken = picture.map_or(0.0, |_| PICTURE_SIDE_MAX + PICTURE_GAP);
        let mut column = Column::new(self.faces, LEFT, WIDTH - taken);
        column.space(1.5);

        let title = claim.title.as_deref().map(|title| self.faces.legible(title));
        let untitled = both(words::UNTITLED);
        let title = title.filter(|title| !title.is_empty()).unwrap_or(untitled);
        column.text(Role::Paragraph, Language::Chinese, WORK_TITLE, &title, 2);
        column.space(2.0);

        let path = claim.path.as_deref().map(|path| {
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
            str::from_utf8(name).map_or_else(|_| escape(name), str::to_owned)
        });
        let file = self.certificate.file_name.map(str::to_owned).or(path);
        let (length, bytes) = (grouped(claim.work.length), both(words::BYTES));
        let size = format!("{} · {length} {bytes}", claim.media_type);
        let key = claim.creator.map(|creator| format!("ed25519 {}", in_groups(&creator.key)));
        // What it does to an earlier claim stands first: a withdrawal claims nothing.
        let amends = claim.amends.map(|amends| {
            let index = amends.index;
            match amends.act {
                Act::Corrects => (
                    CORRECTS,
                    format!("条目 {index} 的声明，以本声明为准 · the claim of entry {index}, in the place of which this one stands"),
                ),
                Act::Withdraws => (
                    WITHDRAWS,
                    format!("条目 {index} 的声明，不再主张任何事项 · the claim of entry {index}: nothing is claimed any more"),
                ),
            }
        });
        if let Some((label, value)) = amends {
            self.row(&mut column, label, VALUE, &value, 2);
        }
        for (label, value, face, lines_max) in [
            (words::CLAIMANT, claim.claimant.as_deref(), VALUE, 2),
            (words::FILE_NAME, file.as_deref(), VALUE, 2),
            (words::TYPE_AND_SIZE, Some(&*size), VALUE, 2),
            (words::CREATED, claim.created.as_deref(), VALUE, 1),
            (words::RIGHTS, claim.rights.as_deref(), VALUE, 2),
            (words::COLLECTION, claim.collection.as_deref(), VALUE, 1),
            (words::CREATOR_KEY, key.as_deref(), CODE, 2),
        ] {
            // Who claims it and when it was made are asked for; the rest is there or not.
            let asked = label.en == words::CLAIMANT.en || label.en == words::CREATED.en;
            let value = value.map(|value| self.faces.legible(value));
            let value = value.filter(|value| !value.is_empty());
            if let Some(value) = value.or_else(|| asked.then(|| both(words::NOT_STATED))) {
                self.row(&mut column, label, face, &value, lines_max);
            }
        }
        let mut block = column.into_block();
        if let Some((width, height)) = picture {
            let x = LEFT + WIDTH - PICTURE_SIDE_MAX + (PICTURE_SIDE_MAX - width) / 2.0;
            // A hair around it, or a white picture has no edge.
            let hair = 0.4;
            let (outer_width, outer_height) = (width + 2.0 * hair, height + 2.0 * hair);
            block.marks.push(Mark::Box {
                x: x - hair,
                y: 2.0,
                width: outer_width,
                height: outer_height,
                ink: HAIRLINE,
            });
            block.marks.push(Mark::Picture { x, y: 2.0 + hair, width, height });
            block.height = block.height.max(outer_height + 2.0);
        }
        heading.into_block().above(block)
    }

    fn digests(&self) -> Block {
        let work = &self.certificate.receipt.claim.work;
        let mut heading = self.column();
        heading.heading(words::DIGESTS, HEADING_ZH, HEADING_EN, ACCENT);
        // As wide as SHA-256, so that SHA-512 is two equal lines.
        let mut column = Column::new(self.faces, LEFT, LABEL_WIDTH + DIGEST_WIDTH);
        let content = work.content().to_string();
        for (name, source, style, digest) in [
            ("SHA-256", "FIPS 180-4", CODE, in_groups(&work.sha256)),
            ("SM3", "GB/T 32905", CODE, in_groups(&work.sm3)),
            ("SHA-512", "FIPS 180-4", CODE, in_groups(&work.sha512)),
            ("CID", "CIDv1, raw", CODE, content),
        ] {
            self.row(&mut column, Words { zh: name, en: source }, style, &digest, 2);
        }
        heading.into_block().above(column.into_block())
    }

    /// When the work existed, and a table of who says so: at least so many rows, and what else has room.
    fn time(&self, room: f32, rows_min: usize) -> Block {
        let mut column = self.column();
        column.heading(words::TIME, HEADING_ZH, HEADING_EN, ACCENT);
        let mut head = column.into_block();

        let mut inside = Column::new(self.faces, LEFT + 12.0, WIDTH - 24.0);
        inside.space(5.0);
        let (zh, en) = match self.verdict.existed_by {
            Some(time) => (
                format!("{} {} {}", words::EXISTED_BY.zh, times::beijing(time), words::EXISTED),
                format!("{} {} UTC", words::EXISTED_BY.en, times::utc(time)),
            ),
            None => (words::NO_DATE.zh.to_owned(), words::NO_DATE.en.to_owned()),
        };
        inside.text(Role::Paragraph, Language::Chinese, TIME_ZH, &zh, 1);
        inside.text(Role::Paragraph, Language::English, TIME_EN, &en, 2);
        inside.space(4.0);
        let inside = inside.into_block();
        let (y, height) = (head.height, inside.height);
        head.marks.push(Mark::Box { x: LEFT, y, width: WIDTH, height, ink: PANEL });
        head.marks.push(Mark::Box { x: LEFT, y, width: 2.0, height, ink: ACCENT });
        let head = head.above(inside);

        let witnessed = self.witnessed();
        if witnessed.is_empty() {
            return head;
        }
        let mut table = self.column();
        table.space(4.0);
        let header = [
            (0.0, 290.0, words::SOURCE),
            (BEIJING_X, 96.0, words::BEIJING),
            (UTC_X, 96.0, words::UTC),
        ];
        let header = header.map(|(x, width, words)| (x, width, both(words)));
        let cells: Vec<_> = header
            .iter()
            .map(|(x, width, text)| (*x, *width, Language::Chinese, LABEL_EN, text.as_str()))
            .collect();
        table.cells(Role::Paragraph, &cells);
        let table_head = table.into_block();
        let left = room - head.height - table_head.height;
        // Rows below zero are none.
        let rows = ((left / line_height(TABLE.size)) as usize).max(rows_min);
        head.above(table_head).above(self.table(&witnessed, rows))
    }

    fn table(&self, witnessed: &[Witnessed], rows: usize) -> Block {
        // Where not all have room, a row says how many more there are.
        let shown = if witnessed.len() <= rows { witnessed.len() } else { rows - 1 };
        let mut table = self.column();
        for row in &witnessed[..shown] {
            let (beijing, utc) = match row.time {
                Some(time) => (times::beijing(time), times::utc(time)),
                None => (both(words::NO_TIME), String::new()),
            };
            let kind = both(row.kind);
            table.cells(
                Role::Paragraph,
                &[
                    (0.0, NAME_X - 6.0, Language::Chinese, TABLE, &kind),
                    (NAME_X, BEIJING_X - NAME_X - 6.0, Language::Chinese, TABLE, &row.name),
                    (BEIJING_X, 110.0, Language::Chinese, TABLE_CODE, &beijing),
                    (UTC_X, 100.0, Language::English, TABLE_CODE, &utc),
                ],
            );
        }
        let more = witnessed.len() - shown;
        if more > 0 {
            let text = format!("+ {more}  {}", both(words::MORE));
            table.cells(Role::Paragraph, &[(0.0, WIDTH, Language::Chinese, TABLE, &text)]);
        }
        table.into_block()
    }

    fn witnessed(&self) -> Vec<Witnessed> {
        let verdict = self.verdict;
        let legible = |name: &str| self.faces.legible(name);
        let witnesses = verdict.witnesses.iter().map(|witness| Witnessed {
            kind: words::WITNESS,
            name: legible(&witness.name),
            time: witness.time,
        });
        let authorities = verdict.timestamps.iter().map(|authority| Witnessed {
            kind: words::AUTHORITY,
            name: legible(&authority.name),
            time: Some(authority.time),
        });
        let renewals = verdict.renewed.iter().flat_map(|renewed| &renewed.timestamps);
        let renewals = renewals.map(|authority| Witnessed {
            kind: words::RENEWAL,
            name: legible(&authority.name),
            time: Some(authority.time),
        });
        witnesses.chain(authorities).chain(renewals).collect()
    }

    fn record(&self) -> Block {
        let receipt = self.certificate.receipt;
        let mut column = self.column();
        column.heading(words::RECORD, HEADING_ZH, HEADING_EN, ACCENT);
        let origin = self.faces.legible(self.verdict.log.name());
        self.row(&mut column, words::LOG, VALUE, &origin, 2);
        if let Some(anchor) = receipt.anchors.get(self.verdict.anchor) {
            let checkpoint = anchor.checkpoint();
            let (index, size) = (grouped(self.verdict.index), grouped(checkpoint.size));
            let (from, tree) = (both(words::FROM_ZERO), both(words::TREE_SIZE));
            let entry = format!("{index}（{from}）  {tree}  {size}");
            self.row(&mut column, words::ENTRY, VALUE, &entry, 1);
            self.row(&mut column, words::ROOT, CODE, &checkpoint.root.to_string(), 1);
        }
        self.row(&mut column, words::CLAIM, CODE, &in_groups(&receipt.claim.digest()), 1);
        let policy: [u8; 32] = Sha256::digest(self.certificate.policy).into();
        self.row(&mut column, words::POLICY, CODE, &in_groups(&policy), 1);
        column.into_block()
    }

    fn meaning(&self) -> Block {
        let half = (WIDTH - COLUMN_GAP) / 2.0;
        let side = |x: f32, heading: Words, text: Words| {
            let mut column = Column::new(self.faces, x, half);
            column.heading(heading, HEADING_ZH, HEADING_EN, ACCENT);
            column.text(Role::Paragraph, Language::Chinese, PROSE_ZH, text.zh, LINES_OF_PROSE);
            column.space(1.5);
            column.text(Role::Paragraph, Language::English, PROSE_EN, text.en, LINES_OF_PROSE);
            column.into_block()
        };
        let proves = side(LEFT, words::PROVES, words::PROVES_TEXT);
        let right = LEFT + half + COLUMN_GAP;
        proves.beside(side(right, words::PROVES_NOT, words::PROVES_NOT_TEXT))
    }

    /// How to verify. Commands get what room there is.
    fn check(&self, room: f32) -> Block {
        let mut heading = self.column();
        heading.heading(words::CHECK, HEADING_ZH, HEADING_EN, ACCENT);
        let width = WIDTH - QR_SIDE - QR_GAP;
        let mut column = Column::new(self.faces, LEFT, width);
        column.text(Role::Paragraph, Language::Chinese, PROSE_ZH, words::CHECK_WITH_US.zh, 2);
        column.text(Role::Paragraph, Language::English, PROSE_EN, words::CHECK_WITH_US.en, 2);
        column.space(1.0);
        column.text(Role::Paragraph, Language::English, COMMAND, words::CHECK_COMMAND, 1);
        column.space(4.0);
        column.text(Role::Paragraph, Language::Chinese, PROSE_ZH, words::CHECK_WITHOUT_US.zh, 2);
        column.text(Role::Paragraph, Language::English, PROSE_EN, words::CHECK_WITHOUT_US.en, 2);
        column.space(1.0);
        let head = column.height() + heading.height();
        let mut left = ((room - head) / line_height(COMMAND.size)) as usize;
        for (what, command) in self.certificate.commands {
            if left == 0 {
                break;
            }
            let command = self.faces.legible(command);
            let text = Value {
                language: Language::English,
                style: COMMAND,
                text: &command,
                lines_max: left.min(COMMAND_LINES_EACH),
            };
            let lines = column.labelled(&self.faces.legible(what), PROSE_EN, COMMAND_X, &text);
            left = left.saturating_sub(lines);
        }
        let mut block = column.into_block();
        let x = LEFT + WIDTH - QR_SIDE;
        block.marks.push(Mark::Code { x, y: 4.0, side: QR_SIDE });
        block.height = block.height.max(QR_SIDE + 4.0);
        heading.into_block().above(block)
    }

    fn foot(&self) -> Block {
        let mut column = self.column();
        column.rule(0.4, HAIRLINE);
        column.space(3.0);
        let mut names = crate::RECEIPT_NAME.to_owned();
        for attachment in self.certificate.attachments {
            names.push_str(" · ");
            names.push_str(&self.faces.legible(&attachment.name));
        }
        let attached = format!("{}  {names}", both(words::ATTACHED));
        column.text(Role::Paragraph, Language::Chinese, FOOT, &attached, 1);
        column.text(Role::Paragraph, Language::Chinese, FOOT, &both(words::EVIDENCE), 1);
        column.into_block()
    }

    fn row(
        &self,
        column: &mut Column<'_>,
        label: Words,
        style: Style,
        text: &str,
        lines_max: usize,
    ) {
        let language =
            if style.face == Typeface::Mono { Language::English } else { Language::Chinese };
        column.row(label, &ROW, LABEL_WIDTH, &Value { language, style, text, lines_max });
    }

    const fn column(&self) -> Column<'_> {
        Column::new(self.faces, LEFT, WIDTH)
    }
}

/// Two thin lines around the page.
fn frame() -> Vec<Mark> {
    let mut marks = Vec::new();
    for (inset, thickness, ink) in [(24.0, 0.9, ACCENT), (27.5, 0.3, ACCENT)] {
        let (width, height) = (PAPER.0 - 2.0 * inset, PAPER.1 - 2.0 * inset);
        for (x, y, width, height) in [
            (inset, inset, width, thickness),
            (inset, inset + height - thickness, width, thickness),
            (inset, inset, thickness, height),
            (inset + width - thickness, inset, thickness, height),
        ] {
            marks.push(Mark::Box { x, y, width, height, ink });
        }
    }
    marks
}

/// The size at which a picture of so many pixels fits into its place.
fn fitted((width, height): (u32, u32)) -> (f32, f32) {
    let (width, height) = (width.max(1) as f32, height.max(1) as f32);
    let scale = PICTURE_SIDE_MAX / width.max(height);
    // What is longer than wide by a thousand times is still to be seen.
    ((width * scale).max(1.0), (height * scale).max(1.0))
}

fn both(words: Words) -> String {
    format!("{} {}", words.zh, words.en)
}

/// Hex in groups of eight.
fn in_groups(digest: &[u8]) -> String {
    let groups: Vec<String> = digest.chunks(4).map(|bytes| HEXLOWER.encode(bytes)).collect();
    groups.join(" ")
}

/// A number with a comma after each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const TOP: f32 = 46.0;
const BOTTOM: f32 = 806.0;
const LEFT: f32 = 54.0;
const WIDTH: f32 = PAPER.0 - 2.0 * LEFT;
const GAP_MIN: f32 = 6.0;
const GAP_MAX: f32 = 22.0;
const COLUMN_GAP: f32 = 22.0;
const LABEL_WIDTH: f32 = 112.0;
/// Eight groups of eight digits and the spaces between them, each 0.6 of the size wide.
const DIGEST_WIDTH: f32 = 71.0 * 0.6 * CODE.size + 0.5;
const PICTURE_SIDE_MAX: f32 = 118.0;
const PICTURE_GAP: f32 = 18.0;
/// 37 mm: two and a half dots a module on paper of 150 dots an inch, for the longest name of a log.
const QR_SIDE: f32 = 104.0;
const QR_GAP: f32 = 20.0;
const NAME_X: f32 = 128.0;
const BEIJING_X: f32 = 292.0;
const UTC_X: f32 = 394.0;
/// How many of the times are shown however full the page is.
const TIMES_SURE: usize = 4;
const LINES_OF_PROSE: usize = 9;
const COMMAND_X: f32 = 92.0;
const COMMAND_LINES_EACH: usize = 3;

/// Cinnabar, as a seal is.
const ACCENT: Ink = [0x9B, 0x2C, 0x25];
const TEXT: Ink = [0x1E, 0x1C, 0x1A];
const QUIET: Ink = [0x6E, 0x69, 0x63];
const HAIRLINE: Ink = [0xC9, 0xC2, 0xB8];
const PANEL: Ink = [0xF8, 0xF3, 0xEE];

const fn style(face: Typeface, size: f32, ink: Ink, tracking: f32) -> Style {
    Style { face, size, ink, tracking }
}

/// Not among the words of every certificate, and not set in the bold face.
const CORRECTS: Words = Words { zh: "更正", en: "Corrects" };
const WITHDRAWS: Words = Words { zh: "撤回", en: "Withdraws" };

const TITLE_ZH: Style = style(Typeface::Bold, 26.0, TEXT, 0.22);
const TITLE_EN: Style = style(Typeface::Bold, 9.0, ACCENT, 0.3);
const NUMBER: Style = style(Typeface::Regular, 7.6, QUIET, 0.04);
const HEADING_ZH: Style = style(Typeface::Bold, 9.4, ACCENT, 0.06);
const HEADING_EN: Style = style(Typeface::Bold, 7.4, ACCENT, 0.03);
const WORK_TITLE: Style = style(Typeface::Regular, 15.0, TEXT, 0.0);
const LABEL_ZH: Style = style(Typeface::Regular, 7.4, QUIET, 0.0);
const LABEL_EN: Style = style(Typeface::Regular, 6.4, QUIET, 0.0);
const VALUE: Style = style(Typeface::Regular, 8.4, TEXT, 0.0);
const CODE: Style = style(Typeface::Mono, 7.2, TEXT, 0.0);
const TIME_ZH: Style = style(Typeface::Regular, 12.5, TEXT, 0.0);
const TIME_EN: Style = style(Typeface::Regular, 8.8, TEXT, 0.0);
const TABLE: Style = style(Typeface::Regular, 7.6, TEXT, 0.0);
const TABLE_CODE: Style = style(Typeface::Mono, 7.0, TEXT, 0.0);
const PROSE_ZH: Style = style(Typeface::Regular, 7.3, TEXT, 0.0);
const PROSE_EN: Style = style(Typeface::Regular, 6.7, TEXT, 0.0);
const COMMAND: Style = style(Typeface::Mono, 6.3, TEXT, 0.0);
const FOOT: Style = style(Typeface::Regular, 6.2, QUIET, 0.0);
const ROW: RowStyles = RowStyles { label_zh: LABEL_ZH, label_en: LABEL_EN, row_height_min: 11.4 };

#[cfg(test)]
mod tests {
    use super::*;

    impl Page {
        /// Everything is inside the frame, and no text lies on another or on the code.
        pub(crate) fn check_room(&self, faces: &Faces) {
            let mut taken: Vec<(f32, f32, f32, f32, String)> = Vec::new();
            for mark in &self.marks {
                match mark {
                    Mark::Text(text) => {
                        for line in &text.lines {
                            let size = text.style.size;
                            let width = faces.width(text.style, line.text.trim_end());
                            let (top, bottom) =
                                (line.baseline - 0.8 * size, line.baseline + 0.2 * size);
                            taken.push((line.x, top, line.x + width, bottom, line.text.clone()));
                        }
                    }
                    Mark::Picture { x, y, width, height } => {
                        taken.push((*x, *y, x + width, y + height, "picture".to_owned()));
                    }
                    Mark::Code { x, y, side } => {
                        taken.push((*x, *y, x + side, y + side, "code".to_owned()));
                    }
                    Mark::Box { .. } => {}
                }
            }
            for (number, (left, top, right, bottom, what)) in taken.iter().enumerate() {
                let inside = *left >= LEFT - 0.1
                    && *right <= LEFT + WIDTH + 0.1
                    && *top >= TOP - 0.1
                    && *bottom <= BOTTOM + 0.1;
                assert!(inside, "{what:?} is at {left} {top} to {right} {bottom}");
                for (left_of, above, right_of, below, other) in &taken[..number] {
                    let apart = *left >= right_of - 0.1
                        || *right <= left_of + 0.1
                        || *top >= below - 0.1
                        || *bottom <= above + 0.1;
                    assert!(apart, "{what:?} lies on {other:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_and_digests_in_groups() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(in_groups(&[0xAB; 8]), "abababab abababab");
    }
}
