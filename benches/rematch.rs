//! How long does it take to hold the codes of a million suspects against those of works that came later?

mod measure;

use std::time::Duration;

use anyhow::{Result, ensure};
use measure::{Report, median_seconds};
use timemark_ingest::{Newcomers, SuspectCodes};
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::Upright;

fn main() -> Result<()> {
    let mut report = Report::open("rematch")?;
    let mut random = random();
    let mut codes = || [random(), random(), random(), random()];
    let mut suspects: Vec<SuspectCodes> = (0..SUSPECTS)
        .map(|_| SuspectCodes { codes: vec![Upright(codes())], is_rough: false })
        .collect();
    for works in [1, 16, 256] {
        let mut newcomers = Newcomers::default();
        for index in 0..works {
            let [mut code, ..] = codes();
            newcomers.add(index, ContentId::of(&index.to_le_bytes()), Some((code, 100)));
            // Of each work one copy, as far away as it may be.
            (0..RADIUS as usize).for_each(|bit| code.0[bit % 4] ^= 1 << (bit / 4 * 3));
            let place = (index * SUSPECTS / works) as usize;
            suspects[place].codes[0].0[(index % 4) as usize] = code;
        }
        let find = |radius: u32| {
            suspects.iter().map(|suspect| newcomers.near(suspect, radius, 0).len()).sum::<usize>()
        };
        let (found, nearer) = (find(RADIUS), find(RADIUS - 1));
        ensure!(found as u64 == works && nearer == 0, "{found} and {nearer} of {works} are found");
        let seconds = median_seconds(DURATION, || find(RADIUS));
        let note = format!("{works} at once; a million suspects; one thread");
        report.row(&format!("sweep_{works}"), seconds * 1e3 / works as f64, "ms/work", &note)?;
    }
    Ok(())
}

fn random() -> impl FnMut() -> Fingerprint {
    let mut seed = 1_u64;
    move || {
        Fingerprint(std::array::from_fn(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed ^ seed >> 31
        }))
    }
}

const SUSPECTS: u64 = 1_000_000;
/// As far as a scan looks.
const RADIUS: u32 = 40;
const DURATION: Duration = Duration::from_secs(3);
