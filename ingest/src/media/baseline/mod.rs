//! The brightness of a baseline JPEG (ITU-T T.81, 8 bits, one interleaved scan), at full size or reduced, straight from its
//! coefficients: what a scan asks of nearly all pictures, and the only thing that it asks of most.
//!
//! A picture is reduced by the mean of whole squares of its pixels, 2, 4 or 8 a side. The cosines of a block are then added
//! up to a smaller one: the mean of two neighbouring pixels of a wave is the wave in half the size, weaker. Colours are
//! only stepped over. Whatever is out of the ordinary, or damaged, gives no brightness here: a decoder for everything says
//! what is the matter.

mod codes;
mod waves;

use multiversion::multiversion;

use codes::{Bits, Codes, Segments};
use waves::{Batch, LANES, places};

/// What precedes the coefficients of a JPEG that is decoded here.
pub(super) struct Baseline<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// What EXIF says, if anything.
    pub exif: Option<&'a [u8]>,
    /// Brightness first.
    components: Vec<Component>,
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<Box<Codes>>; 4],
    ac: [Option<Box<Codes>>; 4],
    /// How many tables of codes came, used or not: each takes a while to build.
    tables: usize,
    /// So many units lie between two restarts; 0 if there are none.
    restart_interval: usize,
    /// What comes after the header of the scan.
    coefficients: &'a [u8],
}

struct Component {
    id: u8,
    /// Blocks of it in a unit, across and down.
    across: usize,
    down: usize,
    quantisation: usize,
    dc: usize,
    ac: usize,
}

impl<'a> Baseline<'a> {
    /// Reads up to the coefficients. `None` for everything that is not decoded here.
    pub fn read(bytes: &'a [u8]) -> Option<Baseline<'a>> {
        let mut jpeg = Baseline {
            width: 0,
            height: 0,
            exif: None,
            components: Vec::new(),
            quantisation: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            tables: 0,
            restart_interval: 0,
            coefficients: &[],
        };
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let marker = match rest {
                [0xFF, 0xFF, ..] => {
                    rest = &rest[1..];
                    continue;
                }
                [0xFF, marker, ..] => *marker,
                _ => return None,
            };
            let length = usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?));
            let segment = rest.get(4..2 + length)?;
            rest = &rest[2 + length..];
            match marker {
                0xC0 | 0xC1 => jpeg.read_frame(segment)?,
                0xC4 => jpeg.read_codes(segment)?,
                0xDA => {
                    jpeg.read_scan(segment)?;
                    jpeg.coefficients = rest;
                    return Some(jpeg);
                }
                0xDB => jpeg.read_quantisation(segment)?,
                0xDD => {
                    jpeg.restart_interval = u16::from_be_bytes(*segment.first_chunk()?).into();
                }
                0xE1 => jpeg.exif = jpeg.exif.or(segment.strip_prefix(b"Exif\0\0")),
                // Adobe's marker says which colours are meant: 1 is brightness and two differences.
                0xEE if segment.starts_with(b"Adobe") && segment.get(11) != Some(&1) => {
                    return None;
                }
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }

    fn read_frame(&mut self, segment: &[u8]) -> Option<()> {
        let [8, h1, h0, w1, w0, count, components @ ..] = segment else { return None };
        self.height = u16::from_be_bytes([*h1, *h0]).into();
        self.width = u16::from_be_bytes([*w1, *w0]).into();
        let components = components.as_chunks::<3>().0;
        let is_known = matches!((*count, components.len()), (1, 1) | (3, 3));
        if self.width == 0 || self.height == 0 || !is_known || !self.components.is_empty() {
            return None;
        }
        for [id, sampling, quantisation] in components {
            let (across, down) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if ![1, 2, 4].contains(&across) || !(1..=4).contains(&down) {
                return None;
            }
            let quantisation = usize::from(*quantisation);
            self.components.push(Component { id: *id, across, down, quantisation, dc: 0, ac: 0 });
        }
        match &mut self.components[..] {
            // Alone in a scan, it has one block a unit, whatever it says.
            [luma] => (luma.across, luma.down) = (1, 1),
            [luma, others @ ..] => {
                // Those whose names are red, green and blue may be.
                let is_rgb = [luma.id, others[0].id, others[1].id] == *b"RGB";
                let (across, down) = (luma.across, luma.down);
                if is_rgb || others.iter().any(|c| c.across > across || c.down > down) {
                    return None;
                }
            }
            [] => return None,
        }
        Some(())
    }

    fn read_quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [head, values @ ..] = segment {
            let table = self.quantisation.get_mut(usize::from(head & 15))?.insert([0; 64]);
            if head >> 4 == 0 {
                table.iter_mut().zip(values.get(..64)?).for_each(|(to, from)| *to = (*from).into());
                segment = &values[64..];
            } else {
                let pairs = values.get(..128)?.as_chunks::<2>().0;
                table.iter_mut().zip(pairs).for_each(|(to, from)| *to = u16::from_be_bytes(*from));
                segment = &values[128..];
            }
        }
        Some(())
    }

    fn read_codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [head, rest @ ..] = segment {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let symbols = rest.get(..counts.iter().map(|count| usize::from(*count)).sum())?;
            self.tables += 1;
            let is_ac = head >> 4 == 1;
            if head >> 4 > 1 || self.tables > TABLES_MAX {
                return None;
            }
            let tables = if is_ac { &mut self.ac } else { &mut self.dc };
            *tables.get_mut(usize::from(head & 15))? = Some(Codes::new(counts, symbols, is_ac)?);
            segment = &rest[symbols.len()..];
        }
        Some(())
    }

    /// All components at once, in their order, or it is not decoded here.
    fn read_scan(&mut self, segment: &[u8]) -> Option<()> {
        let [count, rest @ ..] = segment else { return None };
        if self.components.is_empty() || usize::from(*count) != self.components.len() {
            return None;
        }
        let (selectors, _) = rest.as_chunks::<2>();
        for (component, [id, tables]) in self.components.iter_mut().zip(selectors) {
            if component.id != *id {
                return None;
            }
            (component.dc, component.ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        }
        (rest.len() == 2 * self.components.len() + 3).then_some(())
    }

    /// The brightness, `scale` × `scale` pixels (1, 2, 4 or 8 each way) as one; what lies beyond the last pixel as the file
    /// has it. `None` if the coefficients are damaged, or anything but the end of the picture follows.
    pub fn luma(&self, scale: usize) -> Option<Vec<u8>> {
        decode(self, &Segments::of(self.coefficients, self.segments()?)?, scale)
    }

    /// The bytes that decoding takes at the most, pixels included.
    pub fn bytes_needed(&self, scale: usize) -> Option<usize> {
        let values = self.width.div_ceil(scale).checked_mul(self.height.div_ceil(scale))?;
        let segments = self.segments()?.checked_mul(SEGMENT_BYTES)?;
        values.checked_add(segments)?.checked_add(self.coefficients.len())
    }

    /// Units in a row, and rows of units.
    fn units(&self) -> Option<(usize, usize)> {
        let luma = self.components.first()?;
        Some((self.width.div_ceil(8 * luma.across), self.height.div_ceil(8 * luma.down)))
    }

    /// Into how many the restarts cut the scan.
    fn segments(&self) -> Option<usize> {
        let (across, down) = self.units()?;
        let units = across.checked_mul(down)?;
        Some(if self.restart_interval > 0 { units.div_ceil(self.restart_interval) } else { 1 })
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+bmi2", "x86_64+avx2+bmi2"))]
fn decode(jpeg: &Baseline<'_>, segments: &Segments, scale: usize) -> Option<Vec<u8>> {
    match scale {
        1 => decode_blocks::<8>(jpeg, segments),
        2 => decode_blocks::<4>(jpeg, segments),
        4 => decode_blocks::<2>(jpeg, segments),
        8 => decode_blocks::<1>(jpeg, segments),
        _ => None,
    }
}

/// Each block becomes `N` × `N` values.
#[inline(always)]
fn decode_blocks<const N: usize>(jpeg: &Baseline<'_>, segments: &Segments) -> Option<Vec<u8>> {
    let [luma, colours @ ..] = &jpeg.components[..] else { return None };
    let tables = |component: &Component| {
        let (dc, ac) = (jpeg.dc.get(component.dc)?, jpeg.ac.get(component.ac)?);
        Some((dc.as_deref()?, ac.as_deref()?, component.across * component.down))
    };
    let (dc, ac, _) = tables(luma)?;
    let colours: Vec<_> = colours.iter().map(tables).collect::<Option<_>>()?;
    let places = places::<N>(jpeg.quantisation.get(luma.quantisation)?.as_ref()?);

    let (units_across, units_down) = jpeg.units()?;
    let (width, height) = (jpeg.width.div_ceil(8 / N), jpeg.height.div_ceil(8 / N));
    let mut values = Vec::with_capacity(width * height);
    // A batch for each row of blocks in a unit; the strip of pixels has room for whole batches.
    let mut batches = vec![Batch::<N>::new(); luma.down];
    let blocks_across = units_across * luma.across;
    let stride = blocks_across.next_multiple_of(LANES) * N;
    let mut strip = vec![0; stride * luma.down * N];
    let mut ranges = segments.ranges.iter();
    let mut bits = Bits::new(segments, ranges.next()?);
    let (mut before, mut until_restart) = (0, jpeg.restart_interval);
    for _ in 0..units_down {
        for unit in 0..units_across {
            if jpeg.restart_interval > 0 {
                if until_restart == 0 {
                    if !bits.have_ended() {
                        return None;
                    }
                    bits = Bits::new(segments, ranges.next()?);
                    (before, until_restart) = (0, jpeg.restart_interval);
                }
                until_restart -= 1;
            }
            for (batch, rows) in batches.iter_mut().zip(strip.chunks_exact_mut(stride * N)) {
                for block in unit * luma.across..(unit + 1) * luma.across {
                    let lane = block % LANES;
                    batch.read_block(lane, &mut bits, dc, ac, &places, &mut before);
                    if lane == LANES - 1 || block == blocks_across - 1 {
                        batch.draw(&mut rows[(block - lane) * N..], stride);
                    }
                }
            }
            for (dc, ac, blocks) in &colours {
                for _ in 0..*blocks {
                    bits.next_constant(dc);
                    bits.each_wave(ac, |_, _| ());
                }
            }
        }
        if !bits.are_sound() {
            return None;
        }
        let rows = strip.chunks_exact(stride).take(height - values.len() / width);
        rows.for_each(|row| values.extend_from_slice(&row[..width]));
    }
    // More, or less, than the frame has room for is no picture as it should be.
    (bits.have_ended() && ranges.next().is_none()).then_some(values)
}

/// Four of each kind can be in use; more than a few sets of them are an attempt to waste time.
const TABLES_MAX: usize = 32;
/// What a segment takes beside its coefficients.
const SEGMENT_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    use proptest::prelude::*;
    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;
    use zune_jpeg::zune_core::colorspace::ColorSpace;
    use zune_jpeg::zune_core::options::DecoderOptions;

    use super::*;

    /// Slopes, edges and noise, in colours.
    fn rgb(width: u16, height: u16) -> Vec<u8> {
        let pixel = |x: u32, y: u32| {
            let noise = (x * 31 + y * 17).wrapping_mul(2_654_435_761) >> 27;
            let edge = if (x / 20 + y / 30).is_multiple_of(2) { 120 } else { 0 };
            [(x * 2 + noise) as u8, (y / 2 + edge + noise) as u8, (x ^ y) as u8]
        };
        let (width, height) = (u32::from(width), u32::from(height));
        (0..width * height).flat_map(|at| pixel(at % width, at / width)).collect()
    }

    fn jpeg(
        width: u16,
        height: u16,
        quality: u8,
        set: impl Fn(&mut Encoder<&mut Vec<u8>>),
    ) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, quality);
        set(&mut encoder);
        encoder.encode(&rgb(width, height), width, height, ColorType::Rgb).unwrap();
        file
    }

    fn luma(file: &[u8], scale: usize) -> Option<Vec<u8>> {
        Baseline::read(file)?.luma(scale)
    }

    fn by_zune(file: &[u8]) -> Vec<u8> {
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
        JpegDecoder::new_with_options(ZCursor::new(file), options).decode().unwrap()
    }

    /// The mean of the squares that lie within the picture all over, each beside where it is.
    fn means(values: &[u8], width: usize, height: usize, scale: usize) -> Vec<(usize, f32)> {
        let mut means = Vec::new();
        for (y, x) in (0..height / scale).flat_map(|y| (0..width / scale).map(move |x| (y, x))) {
            let rows = values.chunks_exact(width).skip(y * scale).take(scale);
            let pixels = rows.flat_map(|row| &row[x * scale..][..scale]);
            let sum: f32 = pixels.map(|&value| f32::from(value)).sum();
            means.push((y * width.div_ceil(scale) + x, sum / (scale * scale) as f32));
        }
        means
    }

    fn check_beside_zune(file: &[u8], width: u16, height: u16) {
        let expected = by_zune(file);
        let (width, height) = (usize::from(width), usize::from(height));
        for scale in [1, 2, 4, 8] {
            let values = luma(file, scale).unwrap();
            assert_eq!(values.len(), width.div_ceil(scale) * height.div_ceil(scale));
            // What is cut off at black and white is cut off before the mean is taken there, and after it here.
            let mut apart = 0.0;
            for (at, mean) in means(&expected, width, height, scale) {
                let difference = (f32::from(values[at]) - mean).abs();
                assert!(difference < 40.0, "{width} x {height}, 1/{scale}, value {at}");
                apart += difference;
            }
            let count = (width / scale * (height / scale)).max(1);
            assert!(apart / (count as f32) < 1.0, "{width} x {height}, 1/{scale}: {apart}");
        }
    }

    #[test]
    fn brightness_is_that_of_another_decoder_and_reduced_the_mean_of_it() {
        use SamplingFactor::{F_1_1, F_1_2, F_2_1, F_2_2};
        for (width, height) in [(64, 64), (1, 1), (7, 200), (129, 65), (300, 17), (333, 222)] {
            for quality in [20, 75, 95] {
                for sampling in [F_1_1, F_2_1, F_1_2, F_2_2] {
                    for restart in [None, Some(1), Some(7)] {
                        let file = jpeg(width, height, quality, |encoder| {
                            encoder.set_sampling_factor(sampling);
                            if let Some(interval) = restart {
                                encoder.set_restart_interval(interval);
                            }
                        });
                        check_beside_zune(&file, width, height);
                    }
                }
            }
        }
    }

    #[test]
    fn the_samples_are_decoded_too() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/works");
        let mut checked = 0;
        for entry in fs::read_dir(samples).unwrap() {
            let file = fs::read(entry.unwrap().path()).unwrap();
            if let Some(jpeg) = Baseline::read(&file) {
                check_beside_zune(&file, jpeg.width as u16, jpeg.height as u16);
                checked += 1;
            }
        }
        assert!(checked > 3);
    }

    #[test]
    fn grey_is_decoded_too() {
        let mut file = Vec::new();
        let grey: Vec<u8> = rgb(150, 90).into_iter().step_by(3).collect();
        Encoder::new(&mut file, 85).encode(&grey, 150, 90, ColorType::Luma).unwrap();
        check_beside_zune(&file, 150, 90);
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_others() {
        let plain = jpeg(90, 70, 80, |_| ());
        assert!(luma(&plain, 1).is_some());
        let progressive = jpeg(90, 70, 80, |encoder| encoder.set_progressive(true));
        assert!(luma(&progressive, 1).is_none());
        let scans = jpeg(90, 70, 80, |encoder| encoder.set_optimized_huffman_tables(true));
        assert!(luma(&scans, 1).is_none());
        let mut colours = Vec::new();
        let cmyk = [rgb(40, 40), rgb(40, 40)[..1600].to_vec()].concat();
        Encoder::new(&mut colours, 80).encode(&cmyk, 40, 40, ColorType::Cmyk).unwrap();
        assert!(luma(&colours, 1).is_none());
        assert!(luma(&plain, 3).is_none());
        assert!(luma(b"", 1).is_none() && luma(b"\xFF\xD8\xFF", 1).is_none());
        // Half of a picture, by the word of its header; a table too many; more restarts than there is room for.
        let mut half = plain.clone();
        let frame = half.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
        half[frame + 6] = 35;
        assert!(luma(&half, 1).is_none());
        let table = [&[0xFF, 0xC4, 0, 20, 0, 1][..], &[0; 15], &[3]].concat();
        let tables = |count| [&plain[..2], &table.repeat(count), &plain[2..]].concat();
        assert_eq!(luma(&tables(20), 1), luma(&plain, 1));
        assert!(luma(&tables(40), 1).is_none());
        let restarts = [&plain[..plain.len() - 2], &[0xFF, 0xD0].repeat(9), &[0xFF, 0xD9]].concat();
        assert!(luma(&restarts, 1).is_none());
        // A picture may be followed by anything, but not by half of itself.
        let followed = [&plain[..], b"a film"].concat();
        assert_eq!(luma(&followed, 1), luma(&plain, 1));
    }

    #[test]
    fn a_picture_cut_short_is_none() {
        for interval in [None, Some(2)] {
            let file = jpeg(120, 90, 70, |encoder| {
                if let Some(interval) = interval {
                    encoder.set_restart_interval(interval);
                }
            });
            for length in 0..file.len() {
                assert!(luma(&file[..length], 2).is_none(), "{length}");
                // Nor with an end where there is none.
                let ended = [&file[..length.saturating_sub(20)], &[0xFF, 0xD9]].concat();
                assert!(luma(&ended, 2).is_none(), "{length}, ended");
            }
        }
    }

    proptest! {
        #[test]
        fn damaged_files_are_borne(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            interval in prop::option::of(1_u16..9),
            scale in prop::sample::select(vec![1_usize, 2, 4, 8]),
        ) {
            let mut file = jpeg(75, 53, 60, |encoder| {
                if let Some(interval) = interval {
                    encoder.set_restart_interval(interval);
                }
            });
            for (at, byte) in damage {
                let at = at.index(file.len());
                file[at] = byte;
            }
            if let Some(jpeg) = Baseline::read(&file)
                && jpeg.width * jpeg.height < 1 << 22
                && let Some(values) = jpeg.luma(scale)
            {
                let length = jpeg.width.div_ceil(scale) * jpeg.height.div_ceil(scale);
                prop_assert_eq!(values.len(), length);
            }
        }
    }
}
