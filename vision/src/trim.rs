//! Takes a plain frame off a picture: who puts a border around a copy should not hide it.

use crate::picture::Picture;

/// A line belongs to the frame if no channel of its pixels is further than this from the line's first
/// pixel, but for one pixel in [`STRAY_SHARE`]: recompression ripples near the inner picture.
const CHANNEL_DISTANCE_MAX: u8 = 24;
const STRAY_SHARE: usize = 64;
/// What is left of each side at the least, as a divisor: less is a detail, not a framed picture.
const SIDE_LEFT_MIN: u32 = 4;

/// The picture without its plain frame; `None` where it has none, or is nothing but plain.
pub fn trim(picture: &Picture) -> Option<Picture> {
    let (width, height) = (picture.width, picture.height);
    let row = |y: u32| (0..width).map(move |x| pixel(picture, x, y));
    let column = |x: u32| (0..height).map(move |y| pixel(picture, x, y));
    let top = (0..height).take_while(|&y| is_plain(row(y))).count() as u32;
    if top == height {
        return None;
    }
    let bottom = height - (0..height).rev().take_while(|&y| is_plain(row(y))).count() as u32;
    let left = (0..width).take_while(|&x| is_plain(column(x))).count() as u32;
    let right = width - (0..width).rev().take_while(|&x| is_plain(column(x))).count() as u32;
    let framed = (top, left, bottom, right) != (0, 0, height, width);
    // Rows and columns overlap where the picture is next to nothing.
    let (inner_width, inner_height) = (right.saturating_sub(left), bottom.saturating_sub(top));
    let detail = inner_width < width / SIDE_LEFT_MIN || inner_height < height / SIDE_LEFT_MIN;
    if !framed || detail || inner_width == 0 || inner_height == 0 {
        return None;
    }
    let rows = (top..bottom).map(|y| {
        let start = (y as usize * width as usize + left as usize) * 3;
        &picture.rgb[start..start + inner_width as usize * 3]
    });
    Some(Picture {
        width: inner_width,
        height: inner_height,
        rgb: rows.collect::<Vec<_>>().concat(),
    })
}

fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
    let at = (y as usize * picture.width as usize + x as usize) * 3;
    [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
}

fn is_plain(line: impl Iterator<Item = [u8; 3]> + Clone) -> bool {
    let Some(first) = line.clone().next() else { return true };
    let differs = |pixel: &[u8; 3]| {
        pixel.iter().zip(&first).any(|(a, b)| a.abs_diff(*b) > CHANNEL_DISTANCE_MAX)
    };
    let (mut strays, mut length) = (0, 0);
    for pixel in line {
        length += 1;
        strays += usize::from(differs(&pixel));
        // Most lines are not plain and show it early.
        if strays > 8 && strays > length / 4 {
            return false;
        }
    }
    strays <= length / STRAY_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, at: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
        let rgb =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| at(x, y));
        Picture { width, height, rgb: rgb.collect() }
    }

    fn noise(x: u32, y: u32) -> [u8; 3] {
        let n = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).rotate_left(7);
        n.to_le_bytes()[..3].try_into().unwrap()
    }

    #[test]
    fn a_frame_comes_off_and_nothing_else() {
        let framed = picture(120, 90, |x, y| {
            let inside = (10..110).contains(&x) && (5..80).contains(&y);
            if inside { noise(x - 10, y - 5) } else { [250, 250 - (x % 3) as u8, 250] }
        });
        assert!(trim(&framed).unwrap() == picture(100, 75, noise));
        assert!(trim(&picture(100, 75, noise)).is_none());
        assert!(trim(&picture(100, 75, |_, _| [9, 9, 9])).is_none());
        let detail = picture(100, 100, |x, y| if x.max(y) < 10 { noise(x, y) } else { [0; 3] });
        assert!(trim(&detail).is_none());
        for (width, height) in [(1, 1), (2, 100), (3, 200), (100, 2)] {
            assert!(
                trim(&picture(width, height, |x, _| [(x as u8).wrapping_mul(90); 3])).is_none()
            );
        }
    }
}
