//! Places: mountains, a wave, a harbour, a city, a planet.

use image::RgbImage;

use crate::canvas::*;
use crate::chance::*;

/// Mountains and water: karst towers in the mist, a lake, a boat, pines.
pub fn mountains() -> RgbImage {
    let (width, height, shore) = (1024, 768, 590.0);
    let near = rgb(0x1f4a52);
    let mut chance = Chance::new(1);
    let mut canvas =
        Canvas::new(width, height, |p: Point| blend(&[0xc9d6cf, 0xf0dfc0, MIST], p.y / 520.0));
    glow(&mut canvas, at(730.0, 150.0), 230.0, rgb(0xffe9b8), 0.7);
    canvas.fill(&disc(at(730.0, 150.0), 44.0), rgb(0xd8442c));
    for step in 0..6 {
        let depth = step as f32 / 5.0;
        let rock = mix(rgb(0x9fb9b5), near, depth);
        let foot = 400.0 + 190.0 * depth;
        let ridge = peaks(&mut chance, width, foot, 1.9);
        range(&mut canvas, &ridge, foot, rock);
    }

    let ripple = |p: Point| {
        let deep = (p.y - shore) / 30.0;
        at((noise(1, p.x / 90.0, p.y / 2.2) - 0.5) * (4.0 + 5.0 * deep), deep * sine(p.y / 17.0))
    };
    canvas.reflect(shore, ripple, |p: Point| near.fade(0.1 + 0.3 * (p.y - shore) / 178.0));
    rowing_boat(&mut canvas, at(330.0, 668.0));

    let bank = horizon(width, |x| {
        775.0 - 140.0 * ease((x - 560.0) / 420.0) - 14.0 * clouds(1, x / 40.0, 3.0)
    });
    let needles = near.lit(0.5);
    for (x, size) in [(776.0, 0.7), (968.0, 0.95), (872.0, 1.2)] {
        pine(&mut canvas, &mut chance, at(x, bank[x as usize] + 8.0), size, needles);
    }
    canvas.fill(&below(&bank, height as f32), |p: Point| {
        needles.lit(0.5 + clouds(5, p.x / 9.0, p.y / 5.0))
    });
    canvas.develop()
}

/// The horizon of seven peaks that stand on one foot.
fn peaks(chance: &mut Chance, width: usize, foot: f32, steepness: f32) -> Vec<f32> {
    let mut ridge = vec![foot; width];
    for _ in 0..7 {
        let peak = chance.between(-0.06, 1.06) * width as f32;
        let half = chance.between(60.0, 150.0) * foot / 490.0;
        let rise = (half * steepness * chance.between(0.7, 1.5)).min(270.0);
        for (x, y) in ridge.iter_mut().enumerate() {
            let out = (x as f32 - peak) / half;
            let crag = clouds(foot as u64, x as f32 / 34.0, 0.0) - 0.5;
            let side = (1.0 - out * out).max(0.0);
            *y = y.min(foot - rise * (0.55 * side + 0.45 * side * side + 0.3 * crag * side.sqrt()));
        }
    }
    ridge
}

/// A range of cracked rock that fades into mist towards its foot.
fn range(canvas: &mut Canvas, ridge: &[f32], foot: f32, rock: Colour) {
    canvas.fill(&below(ridge, foot + 200.0), |p: Point| {
        let cracks = clouds(foot as u64, p.x / 11.0 + p.y / 60.0, p.y / 48.0);
        let fading = 1.0 - ease((p.y - ridge[p.x as usize]) / 220.0);
        let stone = rock.lit(0.72 + 0.62 * cracks * fading);
        mix(stone, rgb(MIST), 0.92 * ease((p.y - foot + 150.0) / 150.0))
    });
}

fn rowing_boat(canvas: &mut Canvas, place: Point) {
    let ink = rgb(0x2b2a2c);
    let spots = |pairs: &[i16]| trace_at(place, at(1.0, 1.0), pairs);
    canvas.fill(&ellipse(place + at(0.0, 16.0), 64.0, 5.0, 0.0), ink.fade(0.25));
    canvas.fill(&curve(&spots(&[-66, -8, -30, 6, 34, 6, 70, -10, 40, 14, -36, 14, -66, -8])), ink);
    canvas.fill(&curve(&spots(&[-24, 4, -20, -14, 4, -20, 24, -13, 28, 4])), rgb(0x6d5a42));
    canvas.stroke(&spots(&[44, 4, 47, -26]), 9.0, 4.0, ink);
    canvas.fill(&spots(&[34, -26, 47, -38, 60, -26]), rgb(0x8a6a3c));
    canvas.stroke(&spots(&[54, -34, 84, 20]), 1.6, 1.6, ink);
}

fn pine(canvas: &mut Canvas, chance: &mut Chance, foot: Point, size: f32, needles: Colour) {
    let lean = chance.between(-22.0, 10.0);
    let bend = |part: f32, up: f32| foot + at(lean * part, -up) * size;
    let trunk = curve(&[foot, bend(1.0, 90.0), bend(0.3, 200.0)]);
    canvas.stroke(&trunk, 13.0 * size, 3.0 * size, rgb(0x3a2c26));
    for tier in 0..9 {
        let high = 0.38 + 0.075 * tier as f32;
        let side = if tier % 2 == 0 { 1.0 } else { -1.0 };
        let reach = size * (1.25 - high) * chance.between(60.0, 80.0);
        let joint = trunk[((trunk.len() - 1) as f32 * high.min(1.0)) as usize];
        let tip = joint + at(side * reach, -8.0 * size);
        canvas.line(joint, tip, 3.0 * size, rgb(0x3a2c26));
        for _ in 0..26 {
            let t = chance.between(0.25, 1.15);
            let tuft = joint.towards(tip, t) + at(0.0, chance.between(-9.0, 3.0) * size);
            let shade = needles.lit(chance.between(0.7, 1.5));
            let slant = chance.between(-0.06, 0.06);
            canvas.fill(&ellipse(tuft, size * 13.0, size * 3.6, slant), shade);
        }
    }
}

/// Green hills above a field of poppies: nothing of the mountains but the way they are drawn.
pub fn hills() -> RgbImage {
    let (width, height) = (840, 600);
    let mut chance = Chance::new(8);
    let mut canvas = Canvas::new(width, height, |p: Point| {
        let cloud = ease((clouds(6, p.x / 170.0, p.y / 60.0) - 0.5) * 4.0);
        mix(mix(rgb(0x4f8fd0), rgb(0xcfe6f2), p.y / 320.0), rgb(0xffffff), 0.85 * cloud)
    });
    for (foot, rock) in [(330.0, rgb(0x86a7b8)), (365.0, rgb(0x6f9a6a)), (400.0, rgb(0x4d8046))] {
        let ridge = peaks(&mut chance, width, foot, 0.75);
        range(&mut canvas, &ridge, foot, rock);
    }
    let field = horizon(width, |x| 360.0 + 50.0 * sine(x / 1500.0 + 0.1));
    canvas.fill(&below(&field, height as f32), |p: Point| {
        mix(rgb(0xa9c25a), rgb(0x3e6b22), (p.y - 360.0) / 240.0)
    });
    for row in 0..46 {
        let near = row as f32 / 45.0;
        for _ in 0..60 - row {
            let place = at(chance.between(0.0, 840.0), 415.0 + 190.0 * near * near);
            let size = 1.5 + 7.5 * near * chance.between(0.7, 1.2);
            let root = place + at(chance.between(-0.6, 0.6), 4.0) * size;
            canvas.stroke(&[place, root], 0.25 * size, 0.25 * size, rgb(0x2f5418));
            let petals = ellipse(place, size, size * 0.72, chance.unit());
            canvas.fill(&petals, rgb(chance.pick(&[0xd8301f, 0xe84a2c, 0xb82018])));
            canvas.fill(&disc(place, size * 0.24), rgb(0x2a1414));
        }
    }
    canvas.develop()
}

/// A breaking wave, and a mountain far off.
pub fn wave() -> RgbImage {
    let mut chance = Chance::new(36);

    let mut canvas = Canvas::new(960, 640, |p: Point| {
        let drift = clouds(7, p.x / 260.0, p.y / 60.0);
        blend(&[0xb9a684, 0xe9d9b4, 0xf4e8cb], p.y / 420.0 + 0.5 * (drift - 0.5))
    });
    let fuji = trace(&[500, 450, 600, 398, 668, 322, 690, 318, 712, 326, 770, 392, 880, 450]);
    canvas.fill(&curve(&fuji), rgb(0x4a607c));
    let snow = trace(&[
        642, 354, 668, 322, 690, 318, 712, 326, 736, 354, 720, 350, 708, 372, 694, 348, 678, 376,
        662, 350,
    ]);
    canvas.fill(&snow, rgb(0xf6efdc));

    swell(&mut canvas, 440.0, 16.0, rgb(0x7d9db0));
    swell(&mut canvas, 486.0, 24.0, rgb(0x4f7c9c));
    breaker(&mut canvas, &mut chance, at(960.0, 330.0), at(-0.46, 0.46));
    swell(&mut canvas, 548.0, 30.0, rgb(0x2f5b86));
    breaker(&mut canvas, &mut chance, at(0.0, 0.0), at(1.0, 1.0));
    swell(&mut canvas, 606.0, 22.0, rgb(0x1d3f6b));
    canvas.develop()
}

fn swell(canvas: &mut Canvas, level: f32, amplitude: f32, water: Colour) {
    let roll = |x: f32| sine(x / 430.0 + level / 77.0) + 0.4 * sine(x / 170.0 + level / 31.0);
    let line = horizon(960, |x| level + amplitude * roll(x));
    canvas.fill(&below(&line, 640.0), |p: Point| {
        let band = (p.y - line[p.x as usize]) / (9.0 + amplitude * 0.3);
        if band < 0.35 { rgb(0xeef0e2) } else { water.lit(1.12 - 0.22 * (band as i32 % 3) as f32) }
    });
}

/// One curling wave; `scale` may mirror it.
fn breaker(canvas: &mut Canvas, chance: &mut Chance, origin: Point, scale: Point) {
    let foam = rgb(0xfaf6e8);
    let deep = rgb(0x1c3c68);
    let size = scale.y;
    let set = |pairs: &[i16]| curve(&trace_at(origin, scale, pairs));
    let back = set(&[-190, 760, -30, 480, 80, 280, 180, 150, 290, 78, 400, 80, 490, 138, 530, 226]);
    let face =
        set(&[720, 760, 570, 640, 430, 556, 345, 462, 318, 370, 348, 284, 425, 232, 530, 226]);

    let mut body = back.clone();
    body.extend(face.iter().rev());
    canvas.fill(&body, deep);
    let stripes = [0x3f78a8, 0x8fb7c9, 0x2c5c90, 0xb9d3d6, 0x3f78a8, 0x8fb7c9, 0xd7e4dc];
    for (i, stripe) in stripes.map(rgb).into_iter().enumerate() {
        let t = 0.16 + 0.125 * i as f32;
        let path: Vec<Point> = back.iter().zip(&face).map(|(b, f)| b.towards(*f, t)).collect();
        canvas.fill(&ribbon(&path, |t| size * 34.0 * (1.0 - t * t) * (0.4 + t)), stripe);
    }

    let mut flecks: Vec<(Point, f32)> = Vec::new();
    let last = back.len() - 1;
    for _ in 0..330 {
        let t = 1.0 - chance.unit() * 0.62;
        let place = (t * last as f32) as usize;
        let inward = chance.unit() * chance.unit() * 0.5 * t;
        flecks.push((back[place].towards(face[place], inward), chance.between(5.0, 15.0)));
    }
    for _ in 0..120 {
        let t = 1.0 - chance.unit() * 0.3;
        let lip = face[(t * last as f32) as usize];
        let hang = at(chance.between(-10.0, 34.0) * scale.x, chance.between(-8.0, 40.0) * size);
        flecks.push((lip + hang, chance.between(3.0, 10.0)));
    }
    for _ in 0..90 {
        let fling = at(chance.between(-90.0, 170.0), chance.between(-60.0, 230.0));
        flecks.push((back[last] + at(fling.x * scale.x, fling.y * size), chance.between(1.0, 4.0)));
    }
    for &(place, radius) in &flecks {
        canvas.fill(&disc(place, (radius + 1.8) * size), deep);
    }
    for &(place, radius) in &flecks {
        canvas.fill(&disc(place, radius * size), foam);
    }
    for &(place, radius) in flecks.iter().filter(|fleck| fleck.1 > 8.0) {
        canvas.fill(&disc(place + at(2.0, 3.0) * size, radius * 0.45 * size), rgb(0xc9dcdc));
        canvas.fill(&disc(place + at(0.5, 1.0) * size, radius * 0.42 * size), foam);
    }
}

/// Boats at anchor under an evening sky, and their reflections.
pub fn harbour() -> RgbImage {
    let (width, shore) = (1024, 392.0);
    let mut chance = Chance::new(11);
    let sky = [0x2a2f5e, 0x6a4a7c, 0xd9705f, 0xf7b267, 0xffe2a0];
    let sun = at(640.0, 352.0);
    let mut canvas = Canvas::new(width, 640, |p: Point| {
        let cloud = ease((clouds(3, p.x / 210.0 + p.y / 90.0, p.y / 34.0) - 0.48) * 4.0);
        let lit = mix(rgb(0x4a3a68), rgb(0xf58f6c), p.y / 300.0);
        mix(blend(&sky, p.y / shore), lit, 0.75 * cloud * (1.0 - p.y / 420.0))
    });
    glow(&mut canvas, sun, 260.0, rgb(0xffdf90), 0.8);
    canvas.fill(&disc(sun, 34.0), rgb(0xfff4cf));

    for (base, rise, shade) in [(372.0, 90.0, 0x8a5574), (388.0, 120.0, 0x4b3458)] {
        let flatter = |x: f32| 1.0 - 0.9 * ease(x / 800.0);
        let hill = horizon(width, |x| base - rise * clouds(21, x / 240.0, rise) * flatter(x));
        canvas.fill(&below(&hill, 640.0), rgb(shade));
    }
    for row in 0..4 {
        for place in 0..9 - row {
            let x = place as f32 * 46.0 - 12.0 + chance.between(-6.0, 6.0) + row as f32 * 8.0;
            let base = shore - row as f32 * 34.0 * (1.0 - x / 520.0);
            let (wide, tall) = (chance.between(32.0, 46.0), chance.between(28.0, 46.0));
            house(&mut canvas, &mut chance, at(x, base), wide, tall);
        }
    }
    lighthouse(&mut canvas, at(918.0, shore));
    for (x, size) in [(470.0, 0.8), (742.0, 0.55), (815.0, 0.75), (560.0, 0.6)] {
        sailing_boat(&mut canvas, at(x, shore), size);
    }

    let ripple = |p: Point| {
        let deep = (p.y - shore) / 248.0;
        let chop = noise(4, p.x / 120.0, p.y / (2.0 + 5.0 * deep)) - 0.5;
        at(chop * (8.0 + 46.0 * deep), chop * 26.0 * deep)
    };
    let water = |p: Point| rgb(0x1c2350).fade(0.12 + 0.5 * (p.y - shore) / 248.0);
    canvas.reflect(shore, ripple, water);
    canvas.fill(&ellipse(at(310.0, 604.0), 96.0, 7.0, 0.0), rgb(0x140f26).fade(0.6));
    sailing_boat(&mut canvas, at(300.0, 602.0), 1.4);
    canvas.develop()
}

fn house(canvas: &mut Canvas, chance: &mut Chance, foot: Point, wide: f32, tall: f32) {
    let wall = rgb(chance.pick(&[0xb5655c, 0x8f5a78, 0xc98a63, 0x6f4f74]));
    let eaves = foot.y - tall;
    let gable = at(foot.x + wide / 2.0, eaves - 16.0);
    canvas.fill(&rect(foot.x, eaves, wide, tall), wall.lit(chance.between(0.65, 0.95)));
    canvas.fill(&[at(foot.x - 3.0, eaves), gable, at(foot.x + wide + 3.0, eaves)], rgb(0x3b2440));
    for (column, storey) in [(0.16, 7.0), (0.6, 7.0), (0.16, 23.0), (0.6, 23.0)] {
        let light = if chance.odds(0.55) { rgb(0xffd36e) } else { rgb(0x46304f) };
        if storey + 9.0 < tall {
            canvas.fill(&rect(foot.x + wide * column, eaves + storey, wide * 0.24, 10.0), light);
        }
    }
}

fn lighthouse(canvas: &mut Canvas, foot: Point) {
    let spots = |pairs: &[i16]| trace_at(foot, at(1.0, 1.0), pairs);
    let night = rgb(0x2c2038);
    canvas.fill(&spots(&[0, -208, -560, -330, -560, -250]), |p: Point| {
        rgb(0xfff0b8).fade(0.34 * ease(1.0 - (foot.x - p.x) / 520.0))
    });
    let rock = spots(&[-120, 6, -84, -14, -40, -34, 10, -44, 60, -38, 120, -52, 120, 6]);
    canvas.fill(&curve(&rock), night);
    canvas.stroke(&spots(&[0, -38, 0, -188]), 50.0, 30.0, |p: Point| {
        let red = (foot.y - p.y - 38.0) / 25.0 % 2.0 >= 1.0;
        let paint = if red { rgb(0xb23a3a) } else { rgb(0xe8d8cf) };
        paint.lit(1.0 - 0.5 * ease((p.x - foot.x + 18.0) / 40.0))
    });
    canvas.fill(&rect(foot.x - 21.0, foot.y - 194.0, 42.0, 6.0), night);
    canvas.fill(&rect(foot.x - 11.0, foot.y - 218.0, 22.0, 24.0), rgb(0xfff3c0));
    canvas.fill(&spots(&[-16, -218, 0, -238, 16, -218]), rgb(0x8c2d34));
}

fn sailing_boat(canvas: &mut Canvas, foot: Point, size: f32) {
    let spots = |pairs: &[i16]| trace_at(foot, at(size, size), pairs);
    let dark = rgb(0x241a33);
    canvas.stroke(&spots(&[0, -14, 0, -176]), 3.4 * size, 3.4 * size, dark);
    let cloth = |p: Point| mix(rgb(0xf4dfc0), rgb(0xc77f6a), (foot.y - p.y) / (170.0 * size));
    canvas.fill(&curve(&spots(&[6, -26, 7, -168, 48, -90, 72, -28, 6, -26])), cloth);
    let jib = curve(&spots(&[-6, -30, -5, -150, -28, -84, -54, -28, -6, -30]));
    canvas.fill(&jib, |p: Point| cloth(p).lit(0.82));
    canvas.fill(&spots(&[-66, -20, 82, -24, 60, 2, -48, 2]), dark);
    canvas.stroke(&spots(&[-64, -16, 78, -19]), 4.0 * size, 4.0 * size, rgb(0xc2483f));
}

/// A city under the moon.
pub fn city() -> RgbImage {
    houses(5, 640, 800, [0x0b1030, 0x35306b, 0xb0567c], rgb(0x171433))
}

/// Another city, at dawn.
pub fn skyline() -> RgbImage {
    houses(12, 880, 560, [0x6fa3c8, 0xf2c9a0, 0xf7e3c0], rgb(0x5b4a52))
}

/// Three rows of houses, each nearer and darker, some of their windows lit.
fn houses(seed: u64, width: usize, height: usize, sky: [u32; 3], wall: Colour) -> RgbImage {
    let mut chance = Chance::new(seed);
    let (wide, tall) = (width as f32, height as f32);
    let moon = at(wide * chance.between(0.2, 0.8), tall * 0.16);
    let mut canvas = Canvas::new(width, height, |p: Point| blend(&sky, p.y / tall / 0.85));
    for _ in 0..170 {
        let star = at(chance.unit() * wide, chance.unit() * chance.unit() * tall * 0.6);
        canvas.fill(&disc(star, chance.between(0.4, 1.3)), rgb(0xfff8e0).fade(0.8));
    }
    glow(&mut canvas, moon, 150.0, rgb(0xfff2c8), 0.5);
    canvas.fill(&disc(moon, 36.0), |p: Point| {
        rgb(0xfff3cf).lit(0.8 + 0.28 * clouds(seed, p.x / 22.0, p.y / 22.0))
    });

    for row in 0..3 {
        let near = row as f32 / 2.0;
        let wall = mix(mix(wall, rgb(sky[2]), 0.55), wall, near);
        let mut x = -30.0;
        while x < wide {
            let house = chance.between(46.0, 92.0) * (0.8 + 0.4 * near);
            let roof = tall * (chance.between(0.3, 0.66) + 0.2 * near);
            let shade = wall.lit(chance.between(0.8, 1.25));
            let front = |p: Point| shade.lit(1.15 - 0.4 * (p.x - x) / house);
            canvas.fill(&rect(x, roof, house, tall), front);
            rooftop(&mut canvas, &mut chance, at(x, roof), house, shade);
            windows(&mut canvas, &mut chance, at(x, roof), at(house, tall), near);
            x += house + chance.between(-6.0, 14.0);
        }
    }
    canvas.develop()
}

fn rooftop(canvas: &mut Canvas, chance: &mut Chance, corner: Point, house: f32, shade: Colour) {
    let middle = corner + at(house / 2.0, 0.0);
    match chance.pick(&[0, 1, 2, 3]) {
        0 => canvas.line(middle, middle - at(0.0, house * 0.9), 2.4, shade),
        1 => canvas.stroke(&[middle, middle - at(0.0, house * 0.5)], house, 0.0, shade.lit(0.85)),
        2 => canvas.fill(&rect(corner.x + house * 0.2, corner.y - 22.0, house * 0.6, 22.0), shade),
        _ => {}
    }
}

fn windows(canvas: &mut Canvas, chance: &mut Chance, corner: Point, end: Point, near: f32) {
    let pane = 5.0 + 3.0 * near;
    let columns = (end.x / (pane * 1.9)) as usize;
    let gap = end.x / columns as f32;
    let lit = chance.between(0.15, 0.7);
    let mut y = corner.y + 12.0;
    while y < end.y {
        for column in 0..columns {
            if !chance.odds(lit) {
                continue;
            }
            let x = corner.x + gap * (column as f32 + 0.5) - pane / 2.0;
            let lamp = rgb(chance.pick(&[0xffd98a, 0xffc35a, 0xfff0c4, 0x9fd3e8]));
            canvas.fill(&rect(x, y, pane, pane * 1.3), lamp.fade(0.45 + 0.5 * near));
        }
        y += pane * 2.2;
    }
}

/// A ringed planet with a moon, among stars.
pub fn planet() -> RgbImage {
    let mut chance = Chance::new(77);
    let (centre, radius, tilt) = (at(560.0, 300.0), 168.0, -0.055);
    let mut canvas = Canvas::new(960, 640, |p: Point| {
        let gas = clouds(8, p.x / 200.0 + p.y / 300.0, p.y / 170.0 - p.x / 400.0);
        let dust = clouds(12, p.x / 130.0, p.y / 130.0);
        let haze = mix(rgb(0x0a0c20), rgb(0x5b2a6e), ease((gas - 0.42) * 3.0));
        mix(haze, rgb(0x1f7d8c), 0.8 * ease((dust - 0.5) * 3.2) * ease(1.0 - p.x / 700.0))
    });
    for _ in 0..520 {
        let star = at(chance.between(0.0, 960.0), chance.between(0.0, 640.0));
        let size = 0.5 + 1.5 * chance.unit() * chance.unit();
        canvas.fill(&disc(star, size), rgb(chance.pick(&[0xffffff, 0xffe7c2, 0xc6dcff])));
    }
    for star in trace(&[120, 96, 842, 520, 300, 560]) {
        glow(&mut canvas, star, 46.0, rgb(0xcfe4ff), 0.6);
        for arm in trace(&[26, 0, 0, 26, -26, 0, 0, -26]) {
            canvas.stroke(&[star, star + arm], 2.4, 0.0, rgb(0xffffff));
        }
    }

    let ring = |side: f32| {
        move |p: Point| {
            let flat = (p - centre).turned(-tilt);
            let out = at(flat.x, flat.y / 0.27).length() / radius;
            let grain = noise(31, out * 42.0, 0.0);
            let gap = ease(((out - 1.92) * (out - 1.92) - 0.0006) * 900.0);
            let solid = gap * ease((out - 1.28) * 14.0) * ease((2.32 - out) * 14.0);
            let shaded = if side < 0.0 { ease((flat.x + 215.0) / 50.0) } else { 0.0 };
            let ice = mix(rgb(0x8c6f58), rgb(0xf3dfbb), grain).lit(1.0 - 0.6 * shaded);
            ice.fade(if flat.y * side > 0.0 { solid * (0.35 + 0.6 * grain) } else { 0.0 })
        }
    };
    let disk = ellipse(centre, radius * 2.35, radius * 2.35 * 0.27, tilt);
    canvas.fill(&disk, ring(-1.0));
    canvas.fill(&disc(centre, radius), |p: Point| {
        let (facing, light) = sphere(p, centre, radius);
        let band = facing.turned(-tilt).y * 5.2;
        let storm = clouds(40, facing.x * 3.0, band * 2.2) - 0.5;
        let bands =
            [0xb8794e, 0xe9c694, 0xd09a66, 0xf4e0b8, 0xa9653f, 0xe2b27c, 0xf0d6a4, 0xb77a52];
        blend(&bands, (band + storm * 1.5 + 5.2) / 10.4).lit(0.06 + 1.05 * light)
    });
    canvas.fill(&disk, ring(1.0));

    let moon = at(196.0, 452.0);
    canvas.fill(&disc(moon, 58.0), |p: Point| {
        let (facing, light) = sphere(p, moon, 58.0);
        let dents = clouds(51, facing.x * 3.2, facing.y * 3.2);
        rgb(0xc9ccd4).lit((0.45 + 0.9 * dents) * (0.05 + light))
    });
    canvas.develop()
}

/// Where on a ball a place lies, from -1 to 1 each way, and its light from the upper right.
fn sphere(place: Point, centre: Point, radius: f32) -> (Point, f32) {
    let facing = (place - centre) * (1.0 / radius);
    let depth = (1.0 - facing.x * facing.x - facing.y * facing.y).max(0.0).sqrt();
    (facing, (0.62 * facing.x - 0.5 * facing.y + 0.6 * depth).max(0.0))
}

/// Light around a lamp, a sun or a moon.
fn glow(canvas: &mut Canvas, centre: Point, radius: f32, light: Colour, strength: f32) {
    canvas.fill(&disc(centre, radius), |p: Point| {
        let near = 1.0 - (p - centre).length() / radius;
        light.fade(strength * near * near)
    });
}

/// Paper-coloured mist at the foot of every range.
const MIST: u32 = 0xf6ecd6;
