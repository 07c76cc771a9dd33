//! Bars for long work. They show on a terminal only; everywhere else they are silent.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for work whose amount becomes known on the way: use `inc_length` for each new piece.
pub(crate) fn growing(what: &str) -> ProgressBar {
    styled(ProgressBar::new(0), what)
}

/// A bar for `count` pieces of work.
pub(crate) fn counter(what: &str, count: u64) -> ProgressBar {
    styled(ProgressBar::new(count), what)
}

/// A bar for a file whose rows are pieces of work: how far it is goes by the bytes, and how many rows that are stands in
/// the message.
pub(crate) fn by_bytes(what: &str, bytes: u64) -> ProgressBar {
    with_template(ProgressBar::new(bytes), what, BYTES_TEMPLATE)
}

/// A bar for a scan, which says how fast it is and what it found; how far once somebody knows how long it is, and gives
/// it the [`bytes_style`].
pub(crate) fn scanning() -> ProgressBar {
    with_template(ProgressBar::no_length(), "scanning", "{prefix} {spinner} {msg} {elapsed}")
}

/// How a bar looks that counts bytes of a known number.
pub(crate) fn bytes_style() -> ProgressStyle {
    let template = ProgressStyle::with_template(BYTES_TEMPLATE);
    template.unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Lets rows pass and says on the bar how many did, how fast, and how many failed so far.
pub(crate) fn counted<T>(
    rows: impl Iterator<Item = T>,
    bar: &ProgressBar,
    errors: impl Fn() -> u64,
) -> impl Iterator<Item = T> {
    let started = Instant::now();
    (1..).zip(rows).map(move |(count, row): (u64, T)| {
        let rate = count as f64 / started.elapsed().as_secs_f64().max(1e-9);
        bar.set_message(format!("{count} rows, {rate:.0}/s, {} errors", errors()));
        row
    })
}

fn styled(bar: ProgressBar, what: &str) -> ProgressBar {
    with_template(bar, what, "{prefix} {wide_bar:.cyan/blue} {pos}/{len} {per_sec} {msg} ETA {eta}")
}

fn with_template(bar: ProgressBar, what: &str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

const BYTES_TEMPLATE: &str = "{prefix} {wide_bar:.cyan/blue} {msg} ETA {eta}";
