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
        Picture { width: part.width, height: part.height, rgb: rows.collect::<Vec<_>>().concat() }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} × {})", self.width, self.height)
    }
}
