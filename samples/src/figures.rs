//! Things and creatures: fruit, a face, a tree, a fish.

use image::RgbImage;

use crate::canvas::*;
use crate::chance::*;

/// Fruit, a bowl and a bottle on a table, lit from the upper left.
pub fn fruit() -> RgbImage {
    let mut chance = Chance::new(4);
    let table = 372.0;
    let mut canvas = Canvas::new(800, 600, |p: Point| {
        let pool = 1.0 - ((p - at(240.0, 150.0)).length() / 620.0);
        mix(rgb(0x1e2a2a), rgb(0x7d8a6a), pool + 0.3 * (clouds(3, p.x / 90.0, p.y / 90.0) - 0.5))
    });
    canvas.fill(&rect(0.0, table, 800.0, 228.0), |p: Point| {
        let grain = clouds(9, p.x / 240.0, p.y / 5.0);
        mix(rgb(0x9a6234), rgb(0x54301a), 0.2 + 0.7 * grain + (p.x - 400.0) / 1600.0)
    });
    canvas.fill(&rect(0.0, table, 800.0, 5.0), rgb(0xc38a52).fade(0.6));

    bottle(&mut canvas, at(150.0, 470.0));
    shadow(&mut canvas, at(470.0, 502.0), 190.0);
    let (orange, apple, plum) = (rgb(0xf08a1d), rgb(0xc2261f), rgb(0x5b2a5e));
    ball(&mut canvas, at(392.0, 352.0), 62.0, apple);
    ball(&mut canvas, at(520.0, 346.0), 64.0, orange);
    ball(&mut canvas, at(458.0, 296.0), 60.0, rgb(0xd9b52e));
    ball(&mut canvas, at(590.0, 372.0), 46.0, plum);
    ball(&mut canvas, at(340.0, 378.0), 40.0, rgb(0x93ad3a));
    let bowl = trace(&[280, 380, 306, 446, 370, 492, 470, 504, 570, 492, 634, 446, 660, 380]);
    canvas.fill(&curve(&bowl), |p: Point| {
        let across = (p.x - 280.0) / 380.0;
        let glaze = blend(&[0xa9c4cf, 0xf3f5ee, 0x8fb0c4, 0x4c7190, 0x2a4258], across);
        let band = (p.y - 380.0) / 124.0;
        let blue = (0.2..0.3).contains(&band) || (0.42..0.46).contains(&band);
        if blue { mix(glaze, rgb(0x1d3f7c), 0.75) } else { glaze }
    });
    canvas.fill(&rect(278.0, 375.0, 384.0, 9.0), |p: Point| {
        blend(&[0xdfe9ea, 0xffffff, 0x54758c], (p.x - 280.0) / 380.0)
    });

    for (x, y, radius, skin) in [(250.0, 524.0, 52.0, orange), (690.0, 500.0, 56.0, apple)] {
        shadow(&mut canvas, at(x, y) + at(0.35, 0.86) * radius, radius * 1.15);
        ball(&mut canvas, at(x, y), radius, skin);
    }
    for _ in 0..34 {
        let grape = at(400.0 + chance.between(-74.0, 74.0), 548.0 + chance.between(-20.0, 16.0));
        let skin = rgb(0x6f8f34).lit(chance.between(0.85, 1.2));
        ball(&mut canvas, grape, chance.between(13.0, 17.0), skin);
    }
    canvas.develop()
}

fn bottle(canvas: &mut Canvas, foot: Point) {
    shadow(canvas, foot + at(36.0, 0.0), 88.0);
    let half = [0, 4, 52, 0, 58, -30, 58, -190, 50, -226, 24, -262, 19, -300, 19, -390, 0, -390];
    let mut outline = curve(&trace_at(foot, at(1.0, 1.0), &half));
    outline.extend(curve(&trace_at(foot, at(-1.0, 1.0), &half)).into_iter().rev());
    let glass = |p: Point| {
        let across = (p.x - foot.x) / 58.0;
        blend(&[0x0b1d12, 0x2f6b3a, 0x123420, 0x0c2415, 0x245a30, 0x07140c], 0.5 + 0.5 * across)
    };
    canvas.fill(&outline, glass);
    let gleam = trace_at(foot, at(1.0, 1.0), &[-38, -30, -38, -190, -30, -222]);
    canvas.stroke(&gleam, 7.0, 7.0, rgb(0xe6f2d8).fade(0.55));
    canvas.fill(&rect(foot.x - 58.0, foot.y - 160.0, 116.0, 92.0), |p: Point| {
        rgb(0xe9dcb8).lit(1.02 - 0.5 * ease((p.x - foot.x + 20.0) / 90.0))
    });
    canvas.fill(&rect(foot.x - 58.0, foot.y - 150.0, 116.0, 5.0), rgb(0x8c2f2a));
    canvas.fill(&disc(foot + at(-6.0, -112.0), 22.0), rgb(0x8c2f2a));
    canvas.fill(&rect(foot.x - 23.0, foot.y - 402.0, 46.0, 52.0), |p: Point| {
        rgb(0xa8322c).lit(1.1 - 0.7 * ease((p.x - foot.x + 14.0) / 34.0))
    });
}

/// A round fruit with its highlight, its own shade and a little light from the table.
fn ball(canvas: &mut Canvas, centre: Point, radius: f32, skin: Colour) {
    canvas.fill(&disc(centre, radius), |p: Point| {
        let facing = (p - centre) * (1.0 / radius);
        let depth = (1.0 - facing.x * facing.x - facing.y * facing.y).max(0.0).sqrt();
        let light = (-0.52 * facing.x - 0.6 * facing.y + 0.6 * depth).max(0.0);
        let bounce = 0.16 * (facing.y * 0.8 + 0.2 * facing.x).max(0.0);
        let peel = 0.9 + 0.2 * clouds(centre.x as u64, p.x / 7.0, p.y / 9.0);
        let gleam = ease((light - 0.9) * 10.0) * 0.75;
        mix(skin.lit((0.14 + 0.98 * light + bounce) * peel), rgb(0xfffbee), gleam)
    });
    if radius > 30.0 {
        let stem = trace_at(centre, at(radius, radius) * 0.01, &[0, -80, -5, -100, 14, -122]);
        canvas.stroke(&curve(&stem), 3.0, 6.0, rgb(0x3b2a18));
    }
}

fn shadow(canvas: &mut Canvas, centre: Point, radius: f32) {
    canvas.fill(&ellipse(centre, radius, radius * 0.26, 0.0), |p: Point| {
        let out = at(p.x - centre.x, (p.y - centre.y) / 0.26).length() / radius;
        rgb(0x160c06).fade(0.85 * ease((1.0 - out) * 1.8))
    });
}

/// One face seen from two sides at once.
pub fn face() -> RgbImage {
    let ink = rgb(0x171214);
    let mut canvas = Canvas::new(600, 780, rgb(0xd9c7a0));
    let mut facet = |corners: &[i16], paint: u32, edge: f32| {
        canvas.fill_with_edge(&trace(corners), rgb(paint), edge, ink);
    };
    facet(&[0, 0, 330, 0, 120, 330, 0, 260], 0x2d6f73, 3.0);
    facet(&[330, 0, 600, 0, 600, 250, 420, 330], 0xd8923a, 3.0);
    facet(&[0, 260, 120, 330, 170, 620, 0, 560], 0xe2c27a, 3.0);
    facet(&[600, 250, 420, 330, 440, 600, 600, 640], 0x6d2e46, 3.0);
    facet(&[0, 560, 170, 620, 110, 780, 0, 780], 0xb4472f, 3.0);
    facet(&[330, 0, 420, 330, 300, 420, 120, 330], 0x3f8f86, 3.0);
    facet(&[60, 780, 120, 660, 260, 610, 300, 780], 0xf0ead8, 6.0);
    facet(&[300, 780, 330, 610, 500, 650, 580, 780], 0x1f3f73, 6.0);
    for i in 0..4 {
        let (y, left, right) = (676 + 30 * i, 114 - 14 * i, 272 + 7 * i);
        facet(&[left, y, right, y - 24, right + 2, y - 10, left - 6, y + 14], 0x1f3f73, 0.0);
    }
    facet(&[244, 560, 384, 540, 392, 640, 300, 720, 232, 640], 0xc98a5c, 6.0);
    facet(&[300, 560, 384, 540, 392, 640, 300, 720], 0x8a4f3c, 4.0);
    facet(&[310, 96, 160, 150, 96, 330, 128, 520, 176, 440, 200, 240], 0x241a20, 5.0);
    facet(&[330, 96, 470, 150, 532, 300, 520, 560, 452, 470, 440, 250], 0x3a2330, 5.0);
    facet(&[310, 130, 206, 176, 152, 300, 158, 440, 206, 572, 306, 650, 340, 400], 0xf1c58e, 6.0);
    facet(&[206, 176, 152, 300, 158, 440, 214, 330], 0xd9925a, 3.0);
    facet(&[158, 440, 206, 572, 306, 650, 250, 520], 0xd97e55, 3.0);
    let forehead_and_cheek = [310, 130, 420, 170, 474, 300, 462, 450, 410, 580, 306, 650];
    let lips_and_nose = [296, 596, 262, 574, 288, 552, 256, 530, 292, 496, 228, 474, 286, 330];
    facet(&[&forehead_and_cheek[..], &lips_and_nose].concat(), 0x6fa89a, 6.0);
    facet(&[420, 170, 474, 300, 462, 450, 392, 300], 0x3f7f86, 3.0);
    facet(&[462, 450, 410, 580, 306, 650, 372, 500], 0x2f5f70, 3.0);
    facet(&[310, 130, 286, 330, 258, 398, 330, 330], 0xb9d3b0, 3.0);
    facet(&[262, 574, 288, 552, 256, 530, 292, 512, 348, 548, 296, 590], 0xb3262e, 4.0);
    facet(&[490, 350, 520, 340, 524, 420, 486, 440], 0xe0a36c, 5.0);
    facet(&[506, 440, 524, 476, 506, 510, 488, 476], 0xf2c230, 5.0);
    facet(&[84, 176, 150, 66, 330, 20, 500, 60, 548, 130, 410, 150, 250, 146], 0xb3262e, 6.0);
    facet(&[330, 20, 500, 60, 548, 130, 380, 110], 0x7a1626, 4.0);

    eye(&mut canvas, at(214.0, 336.0), at(46.0, 26.0), 0.02);
    eye(&mut canvas, at(388.0, 354.0), at(58.0, 36.0), -0.06);
    for brow in [trace(&[160, 300, 214, 276, 268, 298]), trace(&[322, 312, 382, 272, 446, 286])] {
        canvas.stroke(&curve(&brow), 16.0, 5.0, ink);
    }
    canvas.develop()
}

fn eye(canvas: &mut Canvas, centre: Point, size: Point, turns: f32) {
    let ink = rgb(0x171214);
    let almond = trace(&[-10, 0, -4, -8, 4, -8, 10, 0, 4, 7, -4, 7]);
    let place = |p: &Point| centre + at(p.x * size.x, p.y * size.y).turned(turns) * 0.1;
    let almond: Vec<Point> = almond.iter().map(place).collect();
    canvas.fill_with_edge(&blob(&almond), rgb(0xfbf4e2), 5.0, ink);
    canvas.fill(&disc(centre, size.y * 0.62), rgb(0x2a6fa0));
    canvas.fill(&disc(centre, size.y * 0.34), ink);
    canvas.fill(&disc(centre + at(0.16, -0.24) * size.y, size.y * 0.14), rgb(0xffffff));
}

/// A tree in autumn, grown branch by branch.
pub fn tree() -> RgbImage {
    let mut chance = Chance::new(19);
    let mut canvas = Canvas::new(660, 820, |p: Point| {
        let mist = clouds(2, p.x / 230.0, p.y / 110.0);
        mix(blend(&[0x9fc3cf, 0xe6ead6, 0xf6dfb4], p.y / 640.0), rgb(0xffffff), 0.5 * (mist - 0.3))
    });
    for (base, rise, shade) in
        [(560.0, 150.0, 0xb9c3b4), (610.0, 130.0, 0x9aa88e), (660.0, 80.0, 0xb99a58)]
    {
        let hill = horizon(660, |x| base - rise * noise(61, x / 210.0, base));
        let slope = |p: Point| mix(rgb(shade), rgb(0xe9d9a8), (p.y - hill[p.x as usize]) / 260.0);
        canvas.fill(&below(&hill, 820.0), slope);
    }
    let foot = at(290.0, 730.0);
    for root in [-70, -26, 34, 86] {
        let path = trace_at(foot, at(1.0, 1.0), &[0, -60, root * 2 / 5, 4, root, 26]);
        canvas.stroke(&curve(&path), 34.0, 0.0, rgb(0x3a281f));
    }
    let mut leaves = grow(&mut canvas, &mut chance, foot, at(4.0, -150.0), 46.0);
    for _ in 0..900 {
        leaves.push(at(chance.between(-10.0, 670.0), 690.0 + 130.0 * chance.unit()));
    }
    for leaf in leaves {
        let size = chance.between(4.5, 9.0);
        let hue = blend(&[0x9c1f1a, 0xd8432a, 0xee8b2c, 0xf6c344], chance.unit());
        let sunny = 1.12 - 0.34 * ((leaf.x + leaf.y * 0.6 - 180.0) / 700.0);
        let stalk = at(size, 0.0).turned(chance.unit());
        let side = at(-stalk.y, stalk.x) * 0.55;
        let outline = blob(&[leaf - stalk, leaf + side, leaf + stalk * 1.3, leaf - side]);
        canvas.fill(&outline, hue.lit(sunny));
    }
    canvas.develop()
}

/// A branch, and the branches that grow from its end; the leaves they bear.
fn grow(
    canvas: &mut Canvas,
    chance: &mut Chance,
    from: Point,
    reach: Point,
    width: f32,
) -> Vec<Point> {
    let to = from + reach;
    let bend = from.towards(to, 0.5) + at(chance.between(-0.1, 0.1) * reach.y, 0.0);
    canvas.stroke(&curve(&[from, bend, to]), width, width * 0.64, |p: Point| {
        let bark = 0.55 + 0.8 * noise(5, p.x / 4.0, p.y / 22.0);
        rgb(0x4a3426).lit(bark - (p.x - from.x) / (width * 5.0 + 20.0))
    });
    let mut leaves = Vec::new();
    for _ in 0..if width < 7.0 { 7 } else { 0 } {
        let aside = at(chance.between(-17.0, 17.0), chance.between(-15.0, 15.0));
        leaves.push(from.towards(to, chance.between(0.2, 1.3)) + aside);
    }
    for side in [-1.0, 1.0, 0.2] {
        let turn = side * chance.between(0.05, 0.115) + chance.between(-0.02, 0.02);
        let twig = reach.turned(turn) * chance.between(0.66, 0.84);
        if width >= 2.6 {
            leaves.extend(grow(canvas, chance, to, twig, width * 0.62));
        }
    }
    leaves
}

/// A koi and a lotus cut from red paper.
pub fn koi() -> RgbImage {
    let (red, cream) = (rgb(0xc4161c), rgb(0xfaf1dc));
    let mut canvas = Canvas::new(640, 640, cream);
    canvas.fill(&disc(at(320.0, 320.0), 306.0), red);
    canvas.fill(&disc(at(320.0, 320.0), 294.0), cream);
    for scallop in 0..60 {
        let rim = at(320.0, 320.0) + at(0.0, 281.0).turned(scallop as f32 / 60.0);
        canvas.fill(&disc(rim, 11.5), red);
        canvas.fill(&disc(rim, 5.0), cream);
    }
    for foot in trace(&[150, 440, 212, 506, 388, 566, 520, 300]) {
        for radius in [12.0, 26.0, 40.0, 54.0] {
            let spoke = |i| foot + at(radius, 0.0).turned(0.5 + i as f32 / 48.0);
            canvas.stroke(&(0..=24).map(spoke).collect::<Vec<_>>(), 6.0, 6.0, red);
        }
    }

    let spine = curve(&trace(&[170, 196, 236, 176, 330, 208, 396, 290, 400, 384, 350, 446]));
    let girth =
        |t: f32| 132.0 * (0.24 + 1.7 * t.sqrt() * (1.0 - t) * (1.02 - 0.45 * t)) * (1.0 - 0.5 * t);
    for fin in [
        &[350, 446, 346, 530, 268, 512, 292, 470, 226, 424, 300, 412, 356, 432][..],
        &[300, 166, 344, 108, 430, 122, 480, 196, 470, 280, 400, 240, 352, 246],
        &[232, 226, 232, 300, 180, 340, 152, 286, 240, 204],
        &[318, 290, 300, 362, 240, 372, 236, 320, 336, 268],
    ] {
        cut_fin(&mut canvas, &trace(fin), red, cream);
    }
    canvas.fill(&ribbon(&spine, |t| girth(t) + 10.0), cream);
    canvas.fill(&ribbon(&spine, girth), red);

    let last = (spine.len() - 1) as f32;
    for row in 0..13 {
        let t = 0.3 + 0.052 * row as f32;
        let joint = (t * last) as usize;
        let (middle, along) = (spine[joint], spine[joint + 1] - spine[joint]);
        let (along, half) = (along * (1.0 / along.length()), girth(t) / 2.0);
        let across = at(-along.y, along.x);
        let scales = 5 - row / 4;
        for i in 0..scales {
            let place = (i as f32 + 0.5 + 0.5 * (row % 2) as f32) / scales as f32 * 2.0 - 1.0;
            if place < 0.86 {
                let scale = middle + across * (place * half * 0.86);
                let size = half / scales as f32 * 0.8;
                let (tip, side) = (scale + along * size * 1.25, across * size);
                let arc = curve(&[scale + side, tip, scale - side]);
                canvas.fill(&ribbon(&arc, |t| 0.5 + 22.0 * t * (1.0 - t)), cream);
            }
        }
    }
    canvas.stroke(&curve(&trace(&[262, 128, 246, 178, 262, 236])), 10.0, 1.0, cream);
    canvas.fill(&disc(at(206.0, 172.0), 13.0), cream);
    canvas.fill(&disc(at(206.0, 172.0), 6.0), red);
    for whisker in [[168, 196, 140, 190, 112, 208], [172, 212, 150, 228, 138, 254]] {
        canvas.stroke(&curve(&trace(&whisker)), 6.0, 2.0, red);
    }
    lotus(&mut canvas, at(474.0, 474.0), red, cream);
    canvas.develop()
}

/// A fin along an edge, with slits that run towards its last point, the root.
fn cut_fin(canvas: &mut Canvas, points: &[Point], red: Colour, cream: Colour) {
    let root = points[points.len() - 1];
    let mut outline = curve(&points[..points.len() - 1]);
    for notch in outline.iter_mut().skip(4).step_by(5) {
        *notch = notch.towards(root, 0.12);
    }
    let slits: Vec<Point> = outline.iter().skip(6).step_by(5).copied().collect();
    outline.push(root);
    canvas.fill(&outline, red);
    for slit in slits {
        let path = [0.16, 0.4, 0.72].map(|t| slit.towards(root, t));
        canvas.fill(&ribbon(&path, |t| 19.0 * t * (1.0 - t)), cream);
    }
}

fn lotus(canvas: &mut Canvas, heart: Point, red: Colour, cream: Colour) {
    let stalk = trace_at(heart, at(1.0, 1.0), &[0, 0, 6, 34, -20, 74]);
    canvas.stroke(&curve(&stalk), 8.0, 8.0, red);
    for (turns, length) in [(-0.2, 74.0), (0.2, 74.0), (-0.11, 88.0), (0.11, 88.0), (0.0, 96.0)] {
        let turned = |pairs: &[i16]| -> Vec<Point> {
            let petal = trace_at(at(0.0, 0.0), at(1.0, -1.0) * (length / 100.0), pairs);
            petal.into_iter().map(|p| heart + p.turned(turns)).collect()
        };
        let petal = blob(&turned(&[0, 2, -26, 46, 0, 100, 26, 46]));
        canvas.fill_with_edge(&petal, red, 8.0, cream);
        canvas.fill(&petal, red);
        canvas.fill(&ribbon(&turned(&[0, 20, 0, 50, 0, 82]), |t| 24.0 * t * (1.0 - t)), cream);
    }
}
