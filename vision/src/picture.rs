//! A picture as this room takes it in: upright pixels in RGB.

use std::fmt;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb};

/// A decoded picture: upright, 8 bits a channel, transparency flattened over white.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width` × `height` × 3 bytes, row by row from the top left.
    pub rgb: Vec<u8>,
}

/// The brightness of a picture alone: upright, black 0 to white 255.
#[derive(Clone, PartialEq, Eq)]
pub struct Luma {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width` × `height` bytes, row by row from the top left.
    pub values: Vec<u8>,
}

/// A part of a picture, in its pixels from the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Picture {
    /// The whole of it.
    pub fn frame(&self) -> Rectangle {
        Rectangle { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// The same in another size, neither side 0.
    pub fn resized(&self, width: u32, height: u32) -> Option<Picture> {
        let view = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(self.width, self.height, &self.rgb)?;
        let resized = imageops::resize(&view, width, height, FilterType::Triangle);
        Some(Picture { width, height, rgb: resized.into_raw() })
    }

    /// A copy of a part, which lies within the picture.
    pub fn part(&self, part: Rectangle) -> Picture {
        let rgb = cut::<3>(&self.rgb, self.width, part);
        Picture { width: part.width, height: part.height, rgb }
    }
}

impl Luma {
    /// A copy of a part, which lies within the picture.
    pub fn part(&self, part: Rectangle) -> Luma {
        let values = cut::<1>(&self.values, self.width, part);
        Luma { width: part.width, height: part.height, values }
    }
}

/// A part of what has `N` bytes a pixel and rows of `width` pixels.
fn cut<const N: usize>(pixels: &[u8], width: u32, part: Rectangle) -> Vec<u8> {
    let row_bytes = part.width as usize * N;
    let rows = (part.y..part.y + part.height).map(|y| {
        let start = (y as usize * width as usize + part.x as usize) * N;
        &pixels[start..start + row_bytes]
    });
    rows.collect::<Vec<_>>().concat()
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} × {})", self.width, self.height)
    }
}
