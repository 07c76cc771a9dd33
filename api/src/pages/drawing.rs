//! The proof of an entry as a drawing: from the file up its hashes to the tree head, and who signed that.
//!
//! As the verifier's page draws it, made here so that a page shows it without a script.

use timemark_verify::AnchorTold;

use super::frame::{Frame, grouped};
use super::svg::{Anchor, Svg, fitted, short};
use super::words::{Words, say};

/// The drawing of one anchor of a receipt about a file of this name.
pub(super) fn proof(anchor: &AnchorTold, name: &str, sha256: &str, frame: &Frame) -> String {
    let w = frame.words();
    let (mut lines, mut shapes) = (Svg::default(), Svg::default());
    let mut y = seals(&mut shapes, anchor, frame);
    if y > 0.0 {
        lines.line((MIDDLE, y), (MIDDLE, y + 12.0), "sealed");
    }
    y += 30.0;
    shapes.label(
        (MIDDLE, y),
        &fitted(&anchor.origin, 15.0, WIDTH - 20.0),
        "strong",
        15.0,
        Anchor::Middle,
    );
    let head = say(w.tree_head, &[&grouped(anchor.size)]);
    let head = format!("{head} · {}", short(&anchor.root));
    shapes.label((MIDDLE, y + 19.0), &head, "gold", 13.0, Anchor::Middle);
    y += 46.0;
    let top = y;
    let leaf = path(&mut lines, &mut shapes, anchor, top, w);
    shapes.node((MIDDLE, top), 13.0, "gold");

    let (x, y) = leaf;
    let box_top = y + 66.0;
    lines.line((x, y + 10.0), (x, box_top), "blue");
    let entry = say(w.entry, &[&grouped(anchor.index)]);
    shapes.label((x + 12.0, y + 36.0), &entry, "soft", 12.0, Anchor::Start);
    let hash = format!("{} {}", w.leaf, short(&anchor.leaf));
    shapes.label((x + 12.0, y + 52.0), &hash, "soft", 12.0, Anchor::Start);
    let width = WIDTH - 40.0;
    shapes.rect((20.0, box_top), (width, 58.0), "file");
    let name_shown = fitted(name, 15.0, width - 24.0);
    shapes.label((MIDDLE, box_top + 24.0), &name_shown, "blue strong", 15.0, Anchor::Middle);
    let digest = format!("SHA-256 {}", short(sha256));
    shapes.label((MIDDLE, box_top + 44.0), &digest, "blue", 12.0, Anchor::Middle);

    let hashes = anchor.path.len();
    let root = short(&anchor.root);
    let called =
        say(w.proof_label, &[&grouped(anchor.index), &grouped(anchor.size), &hashes, &root]);
    shapes.over(lines).finish((WIDTH, box_top + 62.0), "proof", &called)
}

/// Who signed and stamped the tree head, above it; returns where that ends.
fn seals(shapes: &mut Svg, anchor: &AnchorTold, frame: &Frame) -> f64 {
    let w = frame.words();
    let signed = anchor.signatures.iter().map(|s| {
        let role = match s.role {
            "log" => w.seal_log,
            "witness" => w.seal_witness,
            _ => w.seal_unknown,
        };
        let kind = if s.kind == "unknown" { &*s.key_id } else { s.kind };
        (s.state, role, &*s.name, kind, &s.time)
    });
    let stamped = anchor.timestamps.iter().map(|token| {
        let name = token.authority.as_deref().unwrap_or(w.seal_unknown);
        (token.state, w.seal_authority, name, "RFC 3161", &token.time)
    });
    let all: Vec<_> = signed.chain(stamped).collect();
    let rows = all.len().min(SEALS_MAX) + usize::from(all.len() > SEALS_MAX);
    if rows == 0 {
        return 0.0;
    }
    shapes.rect((1.0, 1.0), (WIDTH - 2.0, rows as f64 * ROW + 12.0), "seals");
    for (at, (state, role, name, kind, time)) in all.iter().take(SEALS_MAX).enumerate() {
        let y = 8.0 + at as f64 * ROW + ROW / 2.0;
        let (class, words, mark) = match *state {
            "holds" => ("verified", w.state_holds, "✓"),
            "false" => ("refused", w.state_false, "✗"),
            "not counted" => ("undecided", w.state_not_counted, "–"),
            _ => ("undecided", w.state_unchecked, "?"),
        };
        let name = fitted(name, 13.0, WIDTH - 130.0);
        shapes.label((16.0, y + 5.0), mark, &format!("{class} strong plain"), 17.0, Anchor::Start);
        shapes.label((40.0, y - 4.0), &format!("{role} · {name}"), "plain", 13.0, Anchor::Start);
        let time = time.as_ref().map(|time| time.replace('T', " ").replace('Z', " UTC"));
        let more: Vec<_> =
            [Some(words), Some(kind), time.as_deref()].into_iter().flatten().collect();
        let more = more.join(" · ");
        shapes.label((40.0, y + 13.0), &more, &format!("{class} plain"), 11.5, Anchor::Start);
    }
    if all.len() > SEALS_MAX {
        let y = 8.0 + SEALS_MAX as f64 * ROW + ROW / 2.0;
        let more = say(w.and_so_on, &[&(all.len() - SEALS_MAX)]);
        shapes.label((40.0, y + 4.0), &more, "soft plain", 13.0, Anchor::Start);
    }
    rows as f64 * ROW + 13.0
}

/// The way from the tree head down to the leaf, one level a row; returns where the leaf is.
fn path(lines: &mut Svg, shapes: &mut Svg, anchor: &AnchorTold, top: f64, w: &Words) -> (f64, f64) {
    let levels = anchor.path.len();
    let sizes = sibling_sizes(anchor.index, anchor.size, levels);
    let elided = levels.saturating_sub(LEVELS_TOP + LEVELS_BOTTOM + 1);
    let (mut x, mut y) = (MIDDLE, top);
    if levels == 0 {
        y += LEVEL;
        lines.line((MIDDLE, top), (MIDDLE, y), "blue");
    }
    let mut level = levels;
    while level > 0 {
        if elided > 0 && level == levels - LEVELS_TOP {
            lines.line((x, y), (MIDDLE, y + LEVEL), "blue dashed");
            let words = say(w.elided, &[&elided]);
            shapes.label((MIDDLE + 26.0, y + LEVEL / 2.0), &words, "soft", 13.0, Anchor::Start);
            (x, y) = (MIDDLE, y + LEVEL);
            level -= elided;
        }
        level -= 1;
        let step = &anchor.path[level];
        let side = if step.side == "left" { -1.0 } else { 1.0 };
        let (path_x, sibling_x, below) = (MIDDLE - side * SWAY, MIDDLE + side * REACH, y + LEVEL);
        lines.line((x, y), (sibling_x, below), "green");
        lines.line((x, y), (path_x, below), "blue");
        shapes.node((sibling_x, below), 9.0, "green");
        shapes.node((path_x, below), 10.0, "blue");
        let sibling = short(&step.sibling);
        shapes.label((sibling_x, below + 24.0), &sibling, "green", 12.0, Anchor::Middle);
        if let Some(sizes) = &sizes {
            let covers = say(w.covers, &[&grouped(sizes[level])]);
            shapes.label((sibling_x, below + 38.0), &covers, "soft", 11.5, Anchor::Middle);
        }
        if level > 0 {
            let computed = short(&anchor.path[level - 1].parent);
            let (at, anchor) = match step.side {
                "left" => (path_x + 16.0, Anchor::Start),
                _ => (path_x - 16.0, Anchor::End),
            };
            shapes.label((at, below + 5.0), &computed, "blue", 12.0, anchor);
        }
        (x, y) = (path_x, below);
    }
    if levels == 0 {
        shapes.node((x, y), 10.0, "blue");
    }
    (x, y)
}

/// How many entries each sibling covers, from the leaf up, by the shape of RFC 6962's tree; `None` if that has another
/// height.
fn sibling_sizes(index: u64, size: u64, levels: usize) -> Option<Vec<u64>> {
    let (mut at, mut entries, mut sizes) = (index, size, Vec::new());
    while entries > 1 {
        let left = 1 << (entries - 1).ilog2();
        if at < left {
            sizes.push(entries - left);
            entries = left;
        } else {
            sizes.push(left);
            at -= left;
            entries -= left;
        }
    }
    sizes.reverse();
    (sizes.len() == levels).then_some(sizes)
}

const WIDTH: f64 = 360.0;
const MIDDLE: f64 = WIDTH / 2.0;
/// How far the path and the siblings lie from the middle.
const SWAY: f64 = 24.0;
const REACH: f64 = 104.0;
/// Height of a level, and of a line about a signature.
const LEVEL: f64 = 70.0;
const ROW: f64 = 44.0;
/// Levels drawn at either end of a long path.
const LEVELS_TOP: usize = 4;
const LEVELS_BOTTOM: usize = 5;
const SEALS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_cover_what_is_not_on_the_path() {
        for (index, size, expected) in [
            (0, 1, Some(vec![])),
            (0, 2, Some(vec![1])),
            (4, 5, Some(vec![4])),
            (2, 5, Some(vec![1, 2, 1])),
            (0, 8, Some(vec![1, 2, 4])),
        ] {
            let levels = expected.as_ref().map_or(0, Vec::len);
            assert_eq!(sibling_sizes(index, size, levels), expected, "{index} of {size}");
        }
        assert_eq!(sibling_sizes(0, 8, 2), None);
        let most = sibling_sizes(0, u64::MAX, 64).unwrap();
        assert_eq!(most.iter().sum::<u64>(), u64::MAX - 1);
    }
}
