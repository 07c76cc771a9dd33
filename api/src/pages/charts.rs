//! The drawings of a scan: how it went on, and what was done to the copies that it found.

use std::collections::BTreeMap;

use timemark_review::Job;

use super::frame::{Frame, grouped};
use super::svg::{Anchor, Svg};
use super::words::say;

/// Suspects a second and matches over the seconds at work; `None` while there is too little to draw.
pub(super) fn course(job: &Job, frame: &Frame) -> Option<String> {
    let w = frame.words().reviewing;
    let mut places: Vec<_> =
        job.course.iter().map(|p| (p.seconds, p.suspects as f64, p.matches)).collect();
    if places.last().is_none_or(|last| job.seconds - last.0 > SECONDS_APART_MIN) {
        places.push((job.seconds, job.suspects as f64, job.matches));
    }
    let end = places.last().filter(|last| last.0 > 0.0 && places.len() >= 2)?.0;
    let start = std::iter::once(&(0.0, 0.0, 0));
    let rates: Vec<_> = start
        .chain(&places)
        .zip(&places)
        .map(|(from, to)| (to.0, (to.1 - from.1) / (to.0 - from.0).max(SECONDS_APART_MIN)))
        .collect();
    let most = rates.iter().map(|rate| rate.1).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let x = |seconds: f64| LEFT + (RIGHT - LEFT) * seconds / end;
    let y = |share: f64| BOTTOM - (BOTTOM - TOP) * share;
    let mut svg = Svg::default();
    for share in [0.0, 0.5, 1.0] {
        svg.line((LEFT, y(share)), (RIGHT, y(share)), "tick");
    }
    let matches_most = job.matches.max(1) as f64;
    let mut found = vec![(x(0.0), y(0.0))];
    found.extend(places.iter().map(|p| (x(p.0), y(p.2 as f64 / matches_most))));
    svg.path(&found, "found");
    let line: Vec<_> = rates.iter().map(|(s, rate)| (x(*s), y(rate / most))).collect();
    svg.path(&line, "rate");
    let rate = rounded(most);
    let words = say(w.course_rate, &[&rate]);
    svg.label((LEFT, 16.0), &words, "blue", 14.0, Anchor::Start);
    let words = say(w.course_matches, &[&grouped(job.matches)]);
    svg.label((RIGHT, 16.0), &words, "refused", 14.0, Anchor::End);
    svg.label((LEFT, HEIGHT - 4.0), "0 s", "soft", 12.0, Anchor::Start);
    svg.label((RIGHT, HEIGHT - 4.0), &format!("{end:.1} s"), "soft", 12.0, Anchor::End);
    let label = say(w.course_label, &[&format!("{end:.1}"), &rate, &grouped(job.matches)]);
    Some(svg.finish((WIDTH, HEIGHT), "course", &label))
}

/// A bar for each kind of change, the most frequent first; `None` where nothing was found.
pub(super) fn transforms(counts: &BTreeMap<String, u64>, frame: &Frame) -> Option<String> {
    let mut bars: Vec<_> = counts.iter().collect();
    bars.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let most = **bars.first().map(|(_, count)| count)?;
    let mut svg = Svg::default();
    let mut said = Vec::new();
    for (at, (kind, count)) in bars.iter().enumerate() {
        let top = at as f64 * BAR_STEP;
        let kind = frame.kind(kind);
        let width = (BARS_ROOM * **count as f64 / most.max(1) as f64).max(3.0);
        svg.label((BARS_LEFT - 10.0, top + 19.0), &kind, "plain", 14.0, Anchor::End);
        svg.rect((BARS_LEFT, top + 4.0), (width, BAR_STEP - 10.0), "bar");
        let number = (BARS_LEFT + width + 8.0, top + 19.0);
        svg.label(number, &grouped(**count), "soft", 14.0, Anchor::Start);
        said.push(format!("{kind} {count}"));
    }
    let label = format!("{}: {}", frame.words().reviewing.by_transform_label, said.join(", "));
    Some(svg.finish((WIDTH, bars.len() as f64 * BAR_STEP), "bars", &label))
}

/// A rate as people say it.
pub(super) fn rounded(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { grouped(rate.round() as u64) }
}

const SECONDS_APART_MIN: f64 = 0.05;
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 6.0;
const RIGHT: f64 = 374.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 176.0;
const BARS_LEFT: f64 = 170.0;
const BARS_ROOM: f64 = 150.0;
const BAR_STEP: f64 = 30.0;
