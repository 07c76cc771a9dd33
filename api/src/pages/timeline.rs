//! What happened when, on one axis: what others vouch for, and what is only claimed.

use timemark_verify::{seconds_of_utc, utc};

use super::frame::Frame;
use super::svg::{Anchor, Svg, fitted};

/// One line of the drawing.
pub(super) struct Row {
    pub what: String,
    /// In words when.
    pub when: String,
    /// The time that somebody claims, from and to.
    pub claimed: Option<(u64, u64)>,
    /// Times that others vouch for.
    pub proven: Vec<u64>,
    /// Said in the place of what cannot be drawn.
    pub remark: Option<&'static str>,
}

/// The drawing, once for wide pages and once for narrow ones.
pub(super) fn drawings(rows: &[Row], frame: &Frame) -> [String; 2] {
    [true, false].map(|is_wide| drawing(rows, is_wide, frame))
}

fn drawing(rows: &[Row], is_wide: bool, frame: &Frame) -> String {
    let times: Vec<u64> = rows.iter().flat_map(Row::times).collect();
    let (first, last) = (times.iter().min().copied(), times.iter().max().copied());
    let (first, last) = (first.unwrap_or_default() as f64, last.unwrap_or_default() as f64);
    let pad = ((last - first) * 0.08).max(30.0);
    let (from, to) = (first - pad, last + pad);
    let width = if is_wide { 900.0 } else { 340.0 };
    let (left, right) = if is_wide { (320.0, width - 16.0) } else { (8.0, width - 8.0) };
    let (top, height) = if is_wide { (8.0, 48.0) } else { (6.0, 72.0) };
    let x = |time: f64| left + (time - from) / (to - from) * (right - left);
    let bottom = top + rows.len() as f64 * height + 4.0;

    let mut svg = Svg::default();
    for (time, text) in ticks(from, to, if is_wide { 5 } else { 3 }) {
        svg.line((x(time), top), (x(time), bottom), "tick");
        let label_x = x(time).clamp(26.0, width - 26.0);
        svg.label((label_x, bottom + 16.0), &text, "soft", 11.5, Anchor::Middle);
    }
    for (at, row) in rows.iter().enumerate() {
        let y = top + at as f64 * height;
        let track = if is_wide { y + height / 2.0 } else { y + height - 16.0 };
        let room = if is_wide { left - 24.0 } else { width - 10.0 };
        let class = if row.proven.is_empty() { "gold" } else { "strong" };
        svg.line((left, track), (right, track), "track");
        svg.label((2.0, y + 20.0), &fitted(&row.what, 13.5, room), class, 13.5, Anchor::Start);
        svg.label((2.0, y + 37.0), &fitted(&row.when, 12.0, room), "soft", 12.0, Anchor::Start);
        if let Some((from, to)) = row.claimed {
            let (start, end) = (x(from as f64), x(to as f64));
            let start = if end - start < 12.0 { (start + end) / 2.0 - 6.0 } else { start };
            svg.rect((start, track - 8.0), ((end - start).max(12.0), 16.0), "claimed");
        }
        for time in &row.proven {
            svg.node((x(*time as f64), track), 7.0, "green");
        }
        if let Some(remark) = row.remark {
            svg.label((left + 6.0, track - 6.0), remark, "soft", 12.0, Anchor::Start);
        }
    }
    let rows: Vec<_> = rows.iter().map(|row| format!("{}: {}", row.what, row.when)).collect();
    let called = format!("{}: {}", frame.words().timeline, rows.join("; "));
    let class = if is_wide { "timeline wide" } else { "timeline narrow" };
    svg.finish((width, bottom + 24.0), class, &called)
}

impl Row {
    fn times(&self) -> impl Iterator<Item = u64> {
        let claimed = self.claimed.into_iter().flat_map(|(from, to)| [from, to]);
        claimed.chain(self.proven.iter().copied())
    }
}

/// The time that a claimed date spans, as far as it can be read as one: a year, a month, a day or a moment.
pub(super) fn interval(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    if let Some(moment) = seconds_of_utc(text) {
        return Some((moment, moment));
    }
    let mut parts = text.split('-');
    let mut number = |digits: usize| match parts.next() {
        Some(part) if part.len() == digits => part.parse::<u32>().map(Some).map_err(drop),
        Some(_) => Err(()),
        None => Ok(None),
    };
    let (year, month, day) = (number(4).ok()??, number(2).ok()?, number(2).ok()?);
    if parts.next().is_some() {
        return None;
    }
    let midnight = |year: u32, month: u32, day: u32| {
        seconds_of_utc(&format!("{year:04}-{month:02}-{day:02}T00:00:00Z"))
    };
    match (month, day) {
        (Some(month), Some(day)) => {
            let from = midnight(year, month, day)?;
            Some((from, from + DAY))
        }
        (Some(12), None) => Some((midnight(year, 12, 1)?, midnight(year + 1, 1, 1)?)),
        (Some(month), None) => Some((midnight(year, month, 1)?, midnight(year, month + 1, 1)?)),
        (None, _) => Some((midnight(year, 1, 1)?, midnight(year + 1, 1, 1)?)),
    }
}

/// Round moments between two times, at most about so many, and how they are written.
fn ticks(from: f64, to: f64, most: u32) -> Vec<(f64, String)> {
    let step = STEPS.iter().find(|step| (to - from) / **step as f64 <= f64::from(most));
    let step = step.copied().unwrap_or((to - from) as u64 / u64::from(most));
    let mut time = (from.max(0.0) as u64).div_ceil(step) * step;
    let mut ticks = Vec::new();
    while time as f64 <= to && ticks.len() < 12 {
        let text = utc(time);
        let shown = match step {
            ..60 => text.get(11..19),
            60..DAY => text.get(if time.is_multiple_of(DAY) { 5..10 } else { 11..16 }),
            DAY..MONTH => text.get(5..10),
            MONTH..YEAR => text.get(..10),
            YEAR.. => text.get(..7),
        };
        ticks.push((time as f64, shown.unwrap_or(&text).to_owned()));
        time += step;
    }
    ticks
}

const DAY: u64 = 24 * 3600;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;
/// How far apart ticks may be.
const STEPS: [u64; 24] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    2 * MONTH,
    6 * MONTH,
    2 * YEAR,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_dates_span_what_they_say() {
        for (text, span) in [
            ("1970", Some((0, 365 * DAY))),
            ("1970-12", Some((334 * DAY, 365 * DAY))),
            ("1970-01-02", Some((DAY, 2 * DAY))),
            (" 1970-01-01T00:00:05Z ", Some((5, 5))),
            ("1970-13", None),
            ("1970-02-30", None),
            ("last summer", None),
            ("1970-01-01-01", None),
            ("", None),
            ("9999-12", None),
        ] {
            assert_eq!(interval(text), span, "{text}");
        }
    }

    #[test]
    fn ticks_are_few_and_within() {
        for (from, to) in
            [(0.0, 60.0), (5.0, 1e5), (0.0, 1e9), (1.7e9, 1.7e9 + 60.0), (-30.0, 30.0)]
        {
            let ticks = ticks(from, to, 5);
            assert!((1..=6).contains(&ticks.len()), "{from} to {to}: {ticks:?}");
            assert!(ticks.iter().all(|(time, _)| (from..=to).contains(time)));
        }
    }
}
