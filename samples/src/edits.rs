//! What becomes of a picture on its way through the world.

use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};

use crate::canvas::*;

/// One way to make a copy.
pub enum Edit {
    /// The same bytes under another name.
    Copied,
    /// The same pixels, squeezed to this JPEG quality.
    Recompressed(u8),
    /// Other pixels.
    Changed(fn(&RgbImage) -> RgbImage),
}

/// The suspect's name, the edit in words, the work, the edit.
pub const EDITS: [(&str, &str, &str, Edit); 11] = [
    ("downloaded.jpg", "exact copy", "still-life-with-fruit.jpg", Edit::Copied),
    ("recompressed-landscape.jpg", "JPEG quality 20", "山水.jpg", Edit::Recompressed(20)),
    (
        "mirrored-harbour.jpg",
        "mirrored",
        "harbour-at-dusk.jpg",
        Edit::Changed(imageops::flip_horizontal),
    ),
    (
        "rotated-wave.jpg",
        "rotated by 90 degrees",
        "the-wave.jpg",
        Edit::Changed(imageops::rotate90),
    ),
    ("half-size-city.png", "half the size", "city-at-night.png", Edit::Changed(halved)),
    ("brightened-fruit.jpg", "brightened", "still-life-with-fruit.jpg", Edit::Changed(brightened)),
    ("greyscale-window.jpg", "greyscale", "leaded-window.jpg", Edit::Changed(greyed)),
    ("stamped-tree.jpg", "small stamp added", "autumn-tree.jpg", Edit::Changed(stamped)),
    ("converted-face.jpg", "PNG to JPEG", "two-sided-face.png", Edit::Recompressed(70)),
    ("converted-koi.jpg", "WebP to JPEG", "paper-koi.webp", Edit::Recompressed(70)),
    ("blurred-planet.jpg", "blurred", "ringed-planet.jpg", Edit::Changed(blurred)),
];

fn halved(picture: &RgbImage) -> RgbImage {
    imageops::resize(picture, picture.width() / 2, picture.height() / 2, FilterType::Triangle)
}

fn brightened(picture: &RgbImage) -> RgbImage {
    imageops::brighten(picture, 40)
}

fn greyed(picture: &RgbImage) -> RgbImage {
    DynamicImage::from(imageops::grayscale(picture)).to_rgb8()
}

fn blurred(picture: &RgbImage) -> RgbImage {
    imageops::fast_blur(picture, 2.0)
}

/// A red seal with 品, the sign for "goods" and "taste", in the lower right corner.
fn stamped(picture: &RgbImage) -> RgbImage {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut canvas =
        Canvas::new(width, height, |p: Point| picture.get_pixel(p.x as u32, p.y as u32).into());
    let corner = at(width as f32 - 96.0, height as f32 - 96.0);
    let (red, paper) = (rgb(0xb3202a), rgb(0xf7ecd8));
    canvas.fill(&rect(corner.x, corner.y, 68.0, 68.0), red);
    for (x, y) in [(22.0, 10.0), (9.0, 36.0), (37.0, 36.0)] {
        canvas.fill_with_edge(&rect(corner.x + x, corner.y + y, 22.0, 20.0), red, 4.0, paper);
    }
    canvas.develop()
}
