//! Bars for long work. They show on a terminal only; everywhere else they are silent.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for work whose amount becomes known on the way: use `inc_length` for each new piece.
pub(crate) fn growing(what: &str) -> ProgressBar {
    styled(ProgressBar::new(0), what)
}

/// A bar for `count` pieces of work.
pub(crate) fn counter(what: &str, count: u64) -> ProgressBar {
    styled(ProgressBar::new(count), what)
}

fn styled(bar: ProgressBar, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix} {wide_bar:.cyan/blue} {pos}/{len} {per_sec} {msg} ETA {eta}",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
