//! Surfaces: stained glass, woven cloth, raked sand, coloured fields, a fractal.

use image::RgbImage;

use crate::canvas::*;
use crate::chance::*;

/// A leaded window: a sun, hills and a river in pieces of glass.
pub fn glass() -> RgbImage {
    let (seed, cell) = (14, 40.0);
    let mut canvas = Canvas::new(600, 860, |p: Point| {
        let stone = clouds(2, p.x / 30.0, p.y / 30.0);
        let joint = (p.y / 72.0).fract() < 0.03;
        mix(rgb(0x2a2624), rgb(0x5f564c), stone).lit(if joint { 0.6 } else { 1.0 })
    });
    let arch = |scale: f32| {
        let half = [270, 402, 270, -100, 234, -220, 152, -330, 0, -406];
        let side = |mirror| curve(&trace_at(at(300.0, 430.0), at(mirror, 1.0) * scale, &half));
        side(1.0).into_iter().chain(side(-1.0).into_iter().rev()).collect::<Vec<Point>>()
    };
    canvas.fill(&arch(1.0), rgb(0x15110f));
    canvas.fill(&arch(0.96), |p: Point| {
        let home = at((p.x / cell).floor(), (p.y / cell).floor());
        let mut sites: [(f32, Point); 9] = std::array::from_fn(|i| {
            let (x, y) = (home.x as i64 + i as i64 % 3 - 1, home.y as i64 + i as i64 / 3 - 1);
            let jitter = at(scatter(seed, x, y), scatter(seed + 1, x, y)) * 0.8;
            let site = (at(x as f32 + 0.1, y as f32 + 0.1) + jitter) * cell;
            ((p - site).length(), site)
        });
        sites.sort_by(|a, b| a.0.total_cmp(&b.0));
        let [(near, site), (far, other), ..] = sites;
        let edge = (far * far - near * near) / (2.0 * (site - other).length());
        if edge < 2.2 {
            return rgb(0x15110f);
        }
        let tone = scatter(seed + 2, site.x as i64, site.y as i64);
        let streaks = clouds(6, p.x / 26.0 + p.y / 40.0, p.y / 13.0);
        scene(site, tone).lit((0.72 + 0.5 * streaks) * (0.8 + 0.25 * ease(edge / 14.0)))
    });
    canvas.develop()
}

/// The colour of the glass at a place of the window.
fn scene(site: Point, tone: f32) -> Colour {
    let sun = site - at(215.0, 250.0);
    let hill = 500.0 + 60.0 * sine(site.x / 520.0 + 0.1);
    let near_hill = 640.0 - 90.0 * sine(site.x / 700.0 - 0.08);
    let river = site.x - 300.0 - 90.0 * sine(site.y / 300.0);
    if sun.length() < 74.0 {
        mix(rgb(0xffd23a), rgb(0xff9a1f), tone)
    } else if site.y < hill && sun.length() < 132.0 {
        mix(rgb(0xf2662b), rgb(0xd83a2b), tone)
    } else if site.y < hill {
        let rose = mix(rgb(0xc2407a), rgb(0x7a3aa0), tone);
        mix(rose, mix(rgb(0x1f55b8), rgb(0x2f8fd0), tone), sun.length() / 330.0 - 0.2)
    } else if river.abs() < (site.y - 470.0) * 0.24 {
        mix(rgb(0x7fd0e6), rgb(0xd8f2f0), tone)
    } else if site.y < near_hill {
        mix(rgb(0x1f7a4a), rgb(0x58b04a), tone)
    } else {
        mix(rgb(0x8fae2a), rgb(0xe0b83a), tone)
    }
}

/// Wool on a loom: stepped diamonds of several sizes between borders.
pub fn cloth() -> RgbImage {
    let thread = 4;
    let dyes = [0x1f2f5c, 0xa3262a, 0xd99a2b, 0xf0e4c6, 0x2f6b5a, 0x3a1a1e].map(rgb);
    RgbImage::from_fn(520, 560, |x, y| {
        let (column, row) = ((x / thread) as i32, (y / thread) as i32);
        let over = (column + row) % 2 == 0;
        let along = if over { y % thread } else { x % thread };
        let light = [0.82, 1.0, 1.06, 0.9][along as usize] * if over { 1.0 } else { 0.9 };
        dyes[stitch(column, row)].lit(light).rgb()
    })
}

/// Which dye the stitch at a column of 130 and a row of 140 has.
fn stitch(column: i32, row: i32) -> usize {
    let rim = column.min(129 - column).min(row).min(139 - row);
    match rim {
        0..=1 => return 5,
        2..=8 => return if (column / 4 + row / 4) % 2 == 0 { 3 } else { 1 },
        9..=10 => return 5,
        _ => {}
    }
    let diamonds = [
        44, 50, 34, 94, 34, 18, 88, 94, 30, 36, 112, 16, 112, 62, 10, 62, 88, 8, 20, 84, 8, 112,
        124, 9, 64, 22, 8,
    ];
    for diamond in diamonds.chunks_exact(3) {
        let out = (column - diamond[0]).abs() / 2 * 2 + (row - diamond[1]).abs() / 2 * 2;
        if out <= diamond[2] {
            return [1, 3, 2, 5, 4, 3, 0, 2, 1][((diamond[2] - out) / 4) as usize];
        }
    }
    let zigzag = (row + (column % 16 - 8).abs()) % 28;
    match (zigzag < 4, column * 3 + row * 2 < 300) {
        (true, true) => 2,
        (true, false) => 4,
        (false, true) => 0,
        (false, false) => 1,
    }
}

/// Raked sand around a few stones, and the shadow of bamboo, in black and white.
pub fn garden() -> RgbImage {
    let stones = [
        (at(140.0, 142.0), at(60.0, 42.0)),
        (at(208.0, 172.0), at(26.0, 18.0)),
        (at(350.0, 264.0), at(46.0, 34.0)),
        (at(96.0, 306.0), at(18.0, 13.0)),
    ];
    let mut chance = Chance::new(6);
    let mut canvas = Canvas::new(480, 360, |p: Point| {
        let out = |(centre, size): (Point, Point)| {
            (at((p.x - centre.x) / size.x, (p.y - centre.y) / size.y).length() - 1.0) * size.y
        };
        let nearest = stones.map(out).into_iter().fold(f32::MAX, f32::min);
        let straight = p.y + 26.0 * sine(p.x / 480.0 + 0.15);
        let furrow = if nearest < 45.0 { nearest } else { straight };
        let grain = scatter(1, (p.x * 1.5) as i64, (p.y * 1.5) as i64) - 0.5;
        rgb(0xcccccc).lit(1.0 + 0.17 * cosine(furrow / 9.0) + 0.12 * grain - 0.14 * p.y / 360.0)
    });
    for (centre, size) in stones {
        pebble(&mut canvas, &mut chance, centre, size, rgb(0x6c6c6c));
    }
    for _ in 0..60 {
        let twig = at(500.0, -10.0) + at(chance.between(-250.0, 0.0), chance.between(0.0, 170.0));
        let tip = twig + at(chance.between(-70.0, -30.0), chance.between(14.0, 52.0));
        let blade = curve(&[twig, twig.towards(tip, 0.4), tip]);
        let width = |t: f32| 36.0 * t * (1.0 - t) * (1.0 - t) + 0.4;
        canvas.fill(&ribbon(&blade, width), rgb(0x202020).fade(0.36));
    }
    canvas.develop()
}

/// A beach of pebbles, larger towards the sea.
pub fn pebbles() -> RgbImage {
    let mut chance = Chance::new(3);
    let mut canvas = Canvas::new(720, 540, rgb(0x3a3430));
    for row in 0..30 {
        let near = row as f32 / 29.0;
        for _ in 0..30 - row / 2 {
            let centre = at(chance.between(-20.0, 740.0), 600.0 * near * near - 20.0);
            let size = (14.0 + 34.0 * near) * chance.between(0.7, 1.3);
            let skin = chance.pick(&[0x8d8a86, 0xb8a58c, 0x6d7a80, 0xd6cfc2, 0x9a6a54, 0x4c5258]);
            pebble(&mut canvas, &mut chance, centre, at(size, size * 0.68), rgb(skin));
        }
    }
    canvas.develop()
}

/// A rounded stone and its shadow, lit from the upper left.
fn pebble(canvas: &mut Canvas, chance: &mut Chance, centre: Point, size: Point, skin: Colour) {
    let shade = ellipse(centre + at(size.x * 0.2, size.y * 0.26), size.x * 1.05, size.y, 0.0);
    canvas.fill(&shade, rgb(0x181818).fade(0.6));
    let corners: Vec<Point> = (0..9)
        .map(|i| i as f32 / 9.0)
        .map(|t| centre + at(size.x * cosine(t), size.y * sine(t)) * chance.between(0.88, 1.1))
        .collect();
    canvas.fill(&blob(&corners), |p: Point| {
        let facing = at((p.x - centre.x) / size.x, (p.y - centre.y) / size.y);
        let face = 0.55 + 0.9 * clouds(size.x as u64, p.x / 15.0 + p.y / 22.0, p.y / 12.0);
        skin.lit((0.78 - 0.36 * facing.x - 0.5 * facing.y) * face)
    });
}

/// Coloured fields between black bars, cut again and again.
pub fn composition() -> RgbImage {
    let mut chance = Chance::new(31);
    let mut canvas = Canvas::new(640, 640, rgb(0x16161a));
    let mut fields = vec![(at(-6.0, -6.0), at(652.0, 652.0))];
    while let Some((corner, size)) = fields.pop() {
        let part = chance.between(0.3, 0.7);
        if size.x.max(size.y) > 250.0 || (size.x.min(size.y) > 110.0 && chance.odds(0.5)) {
            let wide = size.x > size.y;
            let cut = if wide { at(size.x * part, 0.0) } else { at(0.0, size.y * part) };
            let first = if wide { at(cut.x, size.y) } else { at(size.x, cut.y) };
            fields.extend([(corner, first), (corner + cut, size - cut)]);
        } else {
            let paint = chance.pick(&[0xf4f0e4, 0xf4f0e4, 0xe9e4d4, 0xd22a22, 0x1f4fa8, 0xf3c81e]);
            let field = rect(corner.x + 6.0, corner.y + 6.0, size.x - 12.0, size.y - 12.0);
            canvas.fill(&field, rgb(paint));
        }
    }
    canvas.develop()
}

/// A Julia set, coloured by how near its orbits come to two lines.
pub fn fractal() -> RgbImage {
    let constant = at(-0.745, 0.123);
    let canvas = Canvas::new(800, 600, |p: Point| {
        let mut z = (p - at(250.0, 390.0)).turned(0.06) * (1.0 / 420.0);
        let (mut line, mut point, mut steps) = (1.0f32, 4.0f32, 0);
        while steps < 160 && z.x * z.x + z.y * z.y < 40.0 {
            z = at(z.x * z.x - z.y * z.y, 2.0 * z.x * z.y) + constant;
            line = line.min(z.x.abs()).min(z.y.abs());
            point = point.min((z - at(0.3, -0.2)).length());
            steps += 1;
        }
        let glow = blend(&[0xfff3d0, 0xf0a23a, 0x9c2a5a, 0x2a1a5e, 0x0a0c26], point * 1.1);
        mix(rgb(0xbff0ff), glow, (line * 14.0).sqrt())
    });
    canvas.develop()
}
