//! The explained match: where a work lies in a suspect, as SVG.
//!
//! It knows a geometry and under which ids the two pictures are defined, not files, works or the page around.
//! No text from outside gets in here.

use timemark_vision::Geometry;
use timemark_vision::polygon::mapped;

/// One match, drawn for a person to judge.
pub struct Drawing {
    /// Work and suspect next to each other: the shared part outlined in both, places that agree joined.
    pub beside: String,
    /// The same, one below the other, for narrow screens.
    pub below: String,
    /// The shared part, each time in the same frame: caption and picture.
    pub aligned: [(&'static str, String); 4],
}

/// Defines a picture once; every drawing of it refers to it. The id is ours, the JPEG in base64.
pub fn define(id: &str, jpeg: &str) -> String {
    let side = SIDE_MAX;
    format!(
        r#"<image id="{id}" width="{side}" height="{side}" preserveAspectRatio="none" href="data:image/jpeg;base64,{jpeg}"/>"#
    )
}

/// Draws the geometry over pictures that [`define`] gave these ids. `None` where there is nothing to see: the
/// map is not finite or flattens the picture, or the two do not lie on each other.
pub fn draw(geometry: &Geometry, work: &str, suspect: &str) -> Option<Drawing> {
    let outlines = Outlines::of(geometry)?;
    Some(Drawing {
        beside: joined(geometry, &outlines, [work, suspect], Layout::Beside),
        below: joined(geometry, &outlines, [work, suspect], Layout::Below),
        aligned: aligned(geometry, &outlines, [work, suspect]),
    })
}

/// Work and suspect next to each other, as a file of its own over JPEGs in base64.
pub fn standalone(geometry: &Geometry, work: &str, suspect: &str) -> Option<String> {
    let drawing = draw(geometry, "work", "suspect")?;
    let (head, rest) = drawing.beside.split_once('>')?;
    let head = head.replacen("<svg ", r#"<svg xmlns="http://www.w3.org/2000/svg" "#, 1);
    let (work, suspect) = (define("work", work), define("suspect", suspect));
    Some(format!("{head}><style>{STYLE}</style><defs>{work}{suspect}</defs>{rest}"))
}

/// The part that work and suspect share, as it lies in each.
struct Outlines {
    work: Vec<Point>,
    suspect: Vec<Point>,
}

impl Outlines {
    fn of(geometry: &Geometry) -> Option<Outlines> {
        let (work, suspect) = (geometry.part_of_work()?, geometry.part_of_suspect());
        // A strip that rounds to nothing is no part.
        let seen = work.area() > 1e-6 && suspect.area() > 1e-6;
        seen.then_some(Outlines { work: work.corners, suspect: suspect.corners })
    }
}

#[derive(Clone, Copy)]
enum Layout {
    Beside,
    Below,
}

fn joined(geometry: &Geometry, outlines: &Outlines, ids: [&str; 2], layout: Layout) -> String {
    let sizes = [geometry.work_size, geometry.suspect_size];
    let scales = sizes.map(|[width, height]| SIDE_MAX / f64::from(width.max(height)));
    let [work_drawn, suspect_drawn] =
        [0, 1].map(|i| sizes[i].map(|side| f64::from(side) * scales[i]));
    let (suspect_at, end) = match layout {
        Layout::Beside => {
            let left = work_drawn[0] + GAP;
            let height = CAPTION + work_drawn[1].max(suspect_drawn[1]);
            ([left, CAPTION], [left + suspect_drawn[0], height])
        }
        Layout::Below => {
            let top = CAPTION + work_drawn[1] + GAP + CAPTION;
            ([0.0, top], [work_drawn[0].max(suspect_drawn[0]), top + suspect_drawn[1]])
        }
    };
    let corners = [[0.0, CAPTION], suspect_at];
    let maps = [0, 1].map(|i| [scales[i], 0.0, corners[i][0], 0.0, scales[i], corners[i][1]]);
    let mut inner = String::new();
    for i in [0, 1] {
        inner.push_str(&image(ids[i], &sizes[i], &maps[i]));
    }
    for (outline, map) in [(&outlines.work, &maps[0]), (&outlines.suspect, &maps[1])] {
        let corners: Vec<String> = outline.iter().map(|&c| point(mapped(map, c))).collect();
        let corners = corners.join(" ");
        inner.push_str(&format!(
            r#"<polygon class="halo" points="{corners}"/><polygon class="outline" points="{corners}"/>"#
        ));
    }
    let places = spread(&geometry.joined, &sizes);
    if !places.is_empty() {
        let ends = |place: &[Point; 2]| [0, 1].map(|i| point(mapped(&maps[i], place[i])));
        let ends: Vec<_> = places.iter().map(ends).collect();
        let lines: String = ends.iter().map(|[from, to]| format!("M{from}L{to}")).collect();
        // A line of no length with round ends is a dot.
        let dots: String = ends.iter().flatten().map(|at| format!("M{at}h0")).collect();
        inner.push_str(&format!(
            r#"<path class="halo" d="{lines}"/><path class="line" d="{lines}"/><path class="halo dot" d="{dots}"/><path class="dot" d="{dots}"/>"#
        ));
    }
    for ([x, y], caption) in corners.into_iter().zip(["Registered work", "Suspect"]) {
        let (x, y) = (number(x), number(y - 8.0));
        inner.push_str(&format!(r#"<text x="{x}" y="{y}">{caption}</text>"#));
    }
    let label = match places.len() {
        0 => "Work and suspect, the shared part outlined in both".to_owned(),
        count => format!(
            "Work and suspect, the shared part outlined in both; lines join places that agree: {count}"
        ),
    };
    svg(end, &label, &inner)
}

fn aligned(
    geometry: &Geometry,
    outlines: &Outlines,
    [work, suspect]: [&str; 2],
) -> [(&'static str, String); 4] {
    let (view, size) = view(&outlines.suspect, &geometry.suspect_size);
    let work = image(work, &geometry.work_size, &then(&geometry.map, &view));
    let suspect = image(suspect, &geometry.suspect_size, &view);
    let [half, height] = [size[0] / 2.0, size[1]].map(number);
    // An inner svg clips what reaches beyond it, and needs no id for that.
    let split = format!(
        r#"{suspect}<svg width="{half}" height="{height}">{work}</svg><path class="split" d="M{half} 0V{height}"/>"#
    );
    let overlaid = format!(r#"{suspect}<g class="blend">{work}</g>"#);
    let drawn = |label: &str, inner: &str| svg(size, label, inner);
    [
        ("Work, in place", drawn("The shared part of the work", &work)),
        ("Suspect", drawn("The shared part of the suspect", &suspect)),
        ("Overlaid", drawn("Work over suspect, half transparent", &overlaid)),
        ("Work | suspect", drawn("Left half work, right half suspect", &split)),
    ]
}

/// From the suspect to a drawing of the outlined part with a little around it, and the drawing's size.
fn view(outline: &[Point], suspect_size: &[u32; 2]) -> (Map, Point) {
    let bounds = |i: usize| {
        let sides = outline.iter().map(|corner| corner[i]);
        (sides.clone().fold(f64::INFINITY, f64::min), sides.fold(f64::NEG_INFINITY, f64::max))
    };
    let [x, y] = [0, 1].map(bounds);
    let margin = MARGIN * (x.1 - x.0).max(y.1 - y.0);
    let [x, y] = [(x, 0), (y, 1)].map(|((low, high), i)| {
        ((low - margin).max(0.0), (high + margin).min(f64::from(suspect_size[i])))
    });
    let scale = SIDE_MAX / (x.1 - x.0).max(y.1 - y.0);
    let map = [scale, 0.0, -x.0 * scale, 0.0, scale, -y.0 * scale];
    (map, [(x.1 - x.0) * scale, (y.1 - y.0) * scale])
}

/// Places to draw, far from each other in the work: each next one is the farthest from all before. The same
/// for any order in which they come.
fn spread(joined: &[[[f32; 2]; 2]], sizes: &[[u32; 2]; 2]) -> Vec<[Point; 2]> {
    let mut places: Vec<[Point; 2]> =
        joined.iter().map(|place| place.map(|end| end.map(f64::from))).collect();
    places.retain(|place| {
        let within = |i: usize, j: usize| (0.0..=f64::from(sizes[i][j])).contains(&place[i][j]);
        [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().all(|(i, j)| within(i, j))
    });
    let order = |a: &f64, b: &f64| a.total_cmp(b);
    places.sort_by(|a, b| {
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        pairs.map(|(a, b)| order(a, b)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut distances = vec![f64::INFINITY; places.len()];
    let mut chosen: Vec<[Point; 2]> = Vec::new();
    while chosen.len() < JOINED_MAX {
        let farthest = distances.iter().zip(&places).rev().max_by(|a, b| order(a.0, b.0));
        let Some((&distance, &place)) = farthest else { break };
        if distance <= 0.0 {
            break; // all others lie on chosen ones
        }
        chosen.push(place);
        for (distance, [[x, y], _]) in distances.iter_mut().zip(&places) {
            *distance = distance.min((x - place[0][0]).hypot(y - place[0][1]));
        }
    }
    chosen
}

fn svg([width, height]: Point, label: &str, inner: &str) -> String {
    let [width, height] = [width, height].map(|side| number(side.max(1.0)));
    format!(
        r#"<svg class="drawing" viewBox="0 0 {width} {height}" style="max-width: {width}px" role="img" aria-label="{label}">{inner}</svg>"#
    )
}

/// The defined picture of this size, under this map.
fn image(id: &str, [width, height]: &[u32; 2], map: &Map) -> String {
    let [x, y] = [width, height].map(|&side| f64::from(side) / SIDE_MAX);
    let [a, b, c, d, e, f] = then(&[x, 0.0, 0.0, 0.0, y, 0.0], map);
    // What is multiplied by a side of the picture needs more decimals than what is a place.
    let [a, b, d, e] = [a, b, d, e].map(|factor| decimals(factor, 6));
    let [c, f] = [c, f].map(number);
    format!(r##"<use href="#{id}" transform="matrix({a} {d} {b} {e} {c} {f})"/>"##)
}

fn point([x, y]: Point) -> String {
    format!("{} {}", number(x), number(y))
}

fn number(value: f64) -> String {
    decimals(value, 2)
}

fn decimals(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

type Point = [f64; 2];
/// As [`Geometry::map`].
type Map = [f64; 6];

/// First one map, then the other.
fn then(first: &Map, next: &Map) -> Map {
    let [a, b, c, d, e, f] = *first;
    let [ga, gb, gc, gd, ge, gf] = *next;
    let [across, down] = [[ga, gb, gc], [gd, ge, gf]]
        .map(|[x, y, shift]| [x * a + y * d, x * b + y * e, x * c + y * f + shift]);
    [across[0], across[1], across[2], down[0], down[1], down[2]]
}

/// What src/report/page.html says of drawings, for one that stands alone.
const STYLE: &str = "path,polygon{fill:none;stroke-linecap:round;stroke-linejoin:round}\
text{font:14px sans-serif;fill:#5b6472}.line{stroke:#1cc98b;stroke-width:1.25}.dot{stroke:#1cc98b;stroke-width:6}\
.outline{stroke:#f0522b;stroke-width:2.5}.halo{stroke:#0b2a1f;stroke-opacity:.35;stroke-width:2.5}\
.halo.dot{stroke-opacity:.8;stroke-width:8.5}polygon.halo{stroke:#fff;stroke-opacity:.55;stroke-width:5}";
/// Longer side of a picture in a drawing, in CSS pixels.
pub const SIDE_MAX: f64 = 420.0;
/// Places drawn of one match.
const JOINED_MAX: usize = 24;
/// What is shown around the shared part, of its longer side.
const MARGIN: f64 = 0.04;
/// Between two pictures.
const GAP: f64 = 24.0;
/// Room for a caption above a picture.
const CAPTION: f64 = 24.0;

#[cfg(test)]
mod tests {
    use super::*;
    use timemark_vision::polygon::Polygon;

    const MIRRORED: Map = [-1.0, 0.0, 100.0, 0.0, 1.0, 0.0];
    const SHEARED: Map = [0.9, 0.4, -7.5, -0.3, 1.2, 11.0];

    fn geometry(map: Map) -> Geometry {
        Geometry { map, work_size: [100, 60], suspect_size: [80, 90], joined: Vec::new() }
    }

    fn near(a: Point, b: Point) -> bool {
        (a[0] - b[0]).hypot(a[1] - b[1]) < 1e-2
    }

    /// The matrix of the n-th picture in a drawing, as a browser reads it.
    fn matrix(svg: &str, n: usize) -> Map {
        let text = svg.split("matrix(").nth(n + 1).unwrap().split(')').next().unwrap();
        let m: Vec<f64> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        [m[0], m[2], m[4], m[1], m[3], m[5]]
    }

    #[test]
    fn the_overlay_puts_each_corner_where_the_geometry_says() {
        for map in [MIRRORED, SHEARED, [0.5, 0.0, 10.0, 0.0, 0.5, 10.0]] {
            let geometry = geometry(map);
            let drawing = draw(&geometry, "w", "s").unwrap();
            let (_, overlaid) = &drawing.aligned[2];
            let (suspect, work) = (matrix(overlaid, 0), matrix(overlaid, 1));
            for [x, y] in Polygon::frame(geometry.work_size).corners {
                let [w, h] = geometry.work_size.map(f64::from);
                let drawn = mapped(&work, [x / w * SIDE_MAX, y / h * SIDE_MAX]);
                let [w, h] = geometry.suspect_size.map(f64::from);
                let [x, y] = mapped(&map, [x, y]);
                let expected = mapped(&suspect, [x / w * SIDE_MAX, y / h * SIDE_MAX]);
                assert!(near(drawn, expected), "{map:?} {drawn:?} {expected:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_drawn() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for map in [
            [nan, 0.0, 0.0, 0.0, 1.0, 0.0],
            [1.0, 0.0, inf, 0.0, 1.0, 0.0],
            [1.0, 2.0, 0.0, 2.0, 4.0, 0.0],
            [0.0; 6],
            [1e300, 0.0, 0.0, 0.0, 1e300, 0.0],
            [1.0, 0.0, 500.0, 0.0, 1.0, 0.0],
        ] {
            assert!(draw(&geometry(map), "w", "s").is_none(), "{map:?}");
        }
        let none = Geometry { work_size: [0, 60], ..geometry(MIRRORED) };
        assert!(draw(&none, "w", "s").is_none());
        let dot = Geometry { work_size: [1, 1], suspect_size: [1, 1], ..geometry(MIRRORED) };
        assert!(draw(&dot, "w", "s").is_none(), "a point far away");
        let dot = Geometry { map: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], ..dot };
        assert!(draw(&dot, "w", "s").unwrap().beside.contains(r#"points="0 24 420 24 420 444"#));
    }

    #[test]
    fn joined_places_are_few_far_apart_and_in_any_order_the_same() {
        let place = |x: u16, y: u16| [[f32::from(x), f32::from(y)]; 2];
        let mut joined: Vec<_> = (0..60).flat_map(|x| (0..60).map(move |y| place(x, y))).collect();
        joined.push([[f32::NAN, 1.0], [1.0, 1.0]]);
        joined.push([[1.0, 1.0], [81.0, 1.0]]);
        let sizes = [[100, 60], [80, 90]];
        let chosen = spread(&joined, &sizes);
        assert_eq!(chosen.len(), JOINED_MAX);
        for (i, a) in chosen.iter().enumerate() {
            assert!(chosen[..i].iter().all(|b| (a[0][0] - b[0][0]).hypot(a[0][1] - b[0][1]) > 9.0));
        }
        joined.reverse();
        assert_eq!(spread(&joined, &sizes), chosen);
        assert_eq!(spread(&[place(3, 3), place(3, 3)], &sizes).len(), 1);
        let geometry = Geometry { joined, ..geometry(SHEARED) };
        let drawing = draw(&geometry, "w", "s").unwrap();
        assert_eq!(drawing.beside.matches("h0").count(), 4 * JOINED_MAX);
        let none = draw(&Geometry { joined: Vec::new(), ..geometry }, "w", "s").unwrap();
        assert!(!none.beside.contains("<path") && none.below.contains("<polygon"));
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in
            [(1.0, "1"), (-0.001, "0"), (0.126, "0.13"), (-20.5, "-20.5"), (100.0, "100")]
        {
            assert_eq!(number(value), expected);
        }
    }
}
