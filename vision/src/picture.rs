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

/// The brightness of a picture alone, upright, and maybe reduced: the mean of `scale` × `scale` pixels is one value.
#[derive(Clone, PartialEq, Eq)]
pub struct Luma {
    /// Values in a row: `picture_width` ÷ `scale`, rounded up.
    pub width: u32,
    /// Rows of values.
    pub height: u32,
    /// `width` × `height` bytes, black 0 to white 255, row by row from the top left.
    pub values: Vec<u8>,
    /// How many pixels of the picture one value is, each way; 1 at least.
    pub scale: u32,
    /// Pixels in a row of the picture.
    pub picture_width: u32,
    /// Rows of the picture.
    pub picture_height: u32,
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
        let row_bytes = part.width as usize * 3;
        let rows = (part.y..part.y + part.height).map(|y| {
            let start = (y as usize * self.width as usize + part.x as usize) * 3;
            &self.rgb[start..start + row_bytes]
        });
        let rgb = rows.collect::<Vec<_>>().concat();
        Picture { width: part.width, height: part.height, rgb }
    }
}

impl Luma {
    /// Of a picture that is not reduced.
    pub fn new(width: u32, height: u32, values: Vec<u8>) -> Luma {
        let (picture_width, picture_height) = (width, height);
        Luma { width, height, values, scale: 1, picture_width, picture_height }
    }

    /// Whether all numbers agree with each other.
    pub(crate) fn is_sound(&self) -> bool {
        let sides = [(self.width, self.picture_width), (self.height, self.picture_height)];
        self.scale > 0
            && sides.iter().all(|(side, of)| *side == of.div_ceil(self.scale))
            && self.values.len() as u64 == u64::from(self.width) * u64::from(self.height)
    }

    /// The whole of it.
    pub fn frame(&self) -> Rectangle {
        Rectangle { x: 0, y: 0, width: self.width, height: self.height }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} × {})", self.width, self.height)
    }
}
