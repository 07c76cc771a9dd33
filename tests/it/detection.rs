//! What a scan says of copies that only a part of the picture shows, and how.

use image::{DynamicImage, GenericImage, RgbImage, imageops};
use serde_json::Value;

use crate::support::{Desk, expect, expect_json};

/// A desk with the sample works registered.
fn desk() -> Desk {
    let desk = Desk::new();
    let works = crate::support::repository("samples/works").display().to_string();
    expect(0, &mut desk.timemark(["register", &works, "--receipts", "receipts"]));
    desk
}

fn work(name: &str) -> RgbImage {
    image::open(crate::support::repository("samples/works").join(name)).unwrap().to_rgb8()
}

/// What a scan says of one picture.
fn scanned(desk: &Desk, picture: RgbImage, arguments: &[&str]) -> Value {
    let path = desk.path("suspect.png");
    DynamicImage::from(picture).save(&path).unwrap();
    let path = path.display().to_string();
    let mut scan = desk.timemark(["scan", &path]);
    expect_json(0, scan.args(arguments)).remove(0)
}

/// The only match is this work; returns it.
fn only_match<'a>(answer: &'a Value, name: &str) -> &'a Value {
    assert_eq!(answer["status"], "match", "{answer}");
    assert_eq!(answer["matches"].as_array().unwrap().len(), 1, "{answer}");
    let found = &answer["matches"][0];
    assert!(found["file"].as_str().unwrap().ends_with(name), "{answer}");
    found
}

fn near(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 0.04
}

#[test]
fn a_mirrored_crop_is_found_and_explained_at_full_depth_only() {
    let desk = desk();
    let work = work("leaded-window.jpg");
    let (width, height) = work.dimensions();
    // 60 % of either side, off the middle.
    let crop = imageops::crop_imm(&work, width / 10, height / 5, width * 3 / 5, height * 3 / 5);
    let crop = imageops::flip_horizontal(&crop.to_image());
    let answer = scanned(&desk, crop.clone(), &[]);
    let found = only_match(&answer, "leaded-window.jpg");
    assert_eq!(found["method"], "keypoints");
    assert!(found["inliers"].as_u64().unwrap() >= 20, "{found}");
    let transform = found["transform"].as_str().unwrap();
    assert!(transform.starts_with("mirrored left to right, cropped to 3"), "{transform}");
    assert!(near(&found["overlap"], 0.36) && near(&found["overlap_suspect"], 1.0), "{found}");
    assert!(found["alike"].as_f64().unwrap() > 0.9, "{found}");
    assert_eq!(found["strength"], "very strong");
    let [least, most] = [0, 1].map(|at| found["false_match_interval"][at].as_f64().unwrap());
    let rate = found["false_match_rate"].as_f64().unwrap();
    assert!(least <= rate && rate <= most && most < 0.01, "{found}");
    for less in [["--depth", "fast"], ["--without", "keypoints"], ["--without", "mirrored"]] {
        assert_eq!(scanned(&desk, crop.clone(), &less)["status"], "clear", "{less:?}");
    }
}

#[test]
fn a_copy_inside_a_page_is_found_where_it_lies() {
    let desk = desk();
    let small = imageops::thumbnail(&work("harbour-at-dusk.jpg"), 240, 160);
    let mut page = RgbImage::from_pixel(800, 600, image::Rgb([246, 246, 248]));
    for line in 0..12 {
        // Text of a sort, so that the page is no plain frame.
        for x in 60..(300 + line * 17 % 120) {
            for y in 0..6 {
                page.put_pixel(x, 300 + line * 22 + y, image::Rgb([40 + (x * 7 % 60) as u8; 3]));
            }
        }
    }
    page.copy_from(&small, 500, 90).unwrap();
    let answer = scanned(&desk, page, &[]);
    let found = only_match(&answer, "harbour-at-dusk.jpg");
    let transform = found["transform"].as_str().unwrap();
    let place = transform.strip_prefix("inside a larger picture at ").unwrap();
    let numbers: Vec<i32> = place.split([',', ' ', '×']).filter_map(|n| n.parse().ok()).collect();
    for (number, expected) in numbers.iter().zip([500, 90, 240, 160]) {
        assert!((number - expected).abs() <= 8, "{transform}");
    }
    assert!(near(&found["overlap"], 1.0) && near(&found["overlap_suspect"], 0.08), "{found}");
}

#[test]
fn a_turned_copy_is_told_with_its_angle() {
    let desk = desk();
    let work = work("the-wave.jpg");
    let (width, height) = work.dimensions();
    let (sin, cos) = 20_f64.to_radians().sin_cos();
    // Clockwise by 20° about the middle, corners lost.
    let turned = RgbImage::from_fn(width, height, |x, y| {
        let (u, v) =
            (f64::from(x) - f64::from(width) / 2.0, f64::from(y) - f64::from(height) / 2.0);
        let from_x = u * cos + v * sin + f64::from(width) / 2.0;
        let from_y = v * cos - u * sin + f64::from(height) / 2.0;
        let inside =
            (0.0..f64::from(width)).contains(&from_x) && (0.0..f64::from(height)).contains(&from_y);
        if inside { *work.get_pixel(from_x as u32, from_y as u32) } else { image::Rgb([0; 3]) }
    });
    let answer = scanned(&desk, turned, &[]);
    let transform = only_match(&answer, "the-wave.jpg")["transform"].as_str().unwrap().to_owned();
    let degrees = transform.strip_prefix("rotated by ").and_then(|t| t.split_once('°')).unwrap().0;
    assert!((19..=21).contains(&degrees.parse::<i32>().unwrap()), "{transform}");
    assert!(transform.contains("° clockwise"), "{transform}");
}

#[test]
fn deleted_keypoints_are_found_in_the_works_again() {
    let desk = desk();
    let crop = |work: RgbImage| {
        let (width, height) = work.dimensions();
        imageops::crop_imm(&work, width / 4, height / 4, width / 2, height / 2).to_image()
    };
    let before = scanned(&desk, crop(work("leaded-window.jpg")), &[]);
    only_match(&before, "leaded-window.jpg");
    std::fs::remove_file(desk.path("archive/index/keypoints")).unwrap();
    assert_eq!(scanned(&desk, crop(work("leaded-window.jpg")), &[]), before);
}

#[test]
fn a_work_damaged_or_lost_in_the_store_is_still_found_and_stops_no_scan() {
    let desk = desk();
    let window = work("leaded-window.jpg");
    let (width, height) = window.dimensions();
    let crop = imageops::crop_imm(&window, 0, 0, width * 9 / 10, height * 9 / 10).to_image();
    let small = imageops::resize(&window, 300, 200, imageops::FilterType::Triangle);
    let model = crate::support::repository("samples/thumbnail.onnx").display().to_string();
    let found = |arguments: &[&str]| {
        for picture in [&crop, &small] {
            let answer = scanned(&desk, picture.clone(), arguments);
            let found = only_match(&answer, "leaded-window.jpg");
            assert!(found["alike"].is_null() && found["strength"].is_null(), "{answer}");
        }
    };
    let folders = std::fs::read_dir(desk.path("archive/blobs")).unwrap();
    // Blobs lie in folders of two digits; beside them are records.
    let of_blobs = |path: &std::path::PathBuf| path.file_name().unwrap().len() == 2;
    let folders: Vec<_> = folders.map(|entry| entry.unwrap().path()).filter(of_blobs).collect();
    for folder in &folders {
        for blob in std::fs::read_dir(folder).unwrap() {
            let blob = blob.unwrap().path();
            let mut bytes = std::fs::read(&blob).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::remove_file(&blob).unwrap(); // it may not be written
            std::fs::write(&blob, bytes).unwrap();
        }
    }
    found(&[]);
    found(&["--model", &model]);
    for folder in &folders {
        std::fs::remove_dir_all(folder).unwrap();
    }
    found(&[]);
}

#[test]
fn a_model_proposes_works_and_keypoints_show_them() {
    let desk = desk();
    let window = work("leaded-window.jpg");
    let (width, height) = window.dimensions();
    let crop = imageops::crop_imm(&window, width / 5, height / 5, width * 7 / 10, height * 7 / 10);
    let crop = imageops::flip_horizontal(&crop.to_image());
    let model = crate::support::repository("samples/thumbnail.onnx").display().to_string();
    // Without the other stages, which would have found it before the model is asked.
    let without = ["--without", "keypoints", "--without", "regions"];
    assert_eq!(scanned(&desk, crop.clone(), &without)["status"], "clear");
    let with_model = [&without[..], &["--model", &model]].concat();
    let answer = scanned(&desk, crop.clone(), &with_model);
    let found = only_match(&answer, "leaded-window.jpg");
    assert_eq!(found["method"], "neural");
    assert!(found["inliers"].as_u64().unwrap() >= 20, "{found}");
    assert!(near(&found["overlap"], 0.49), "{found}");

    // What the model saw in the works is kept, and made anew where it is lost.
    let tables = || -> Vec<_> {
        let index = std::fs::read_dir(desk.path("archive/index")).unwrap();
        let paths = index.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.display().to_string().contains("embeddings-")).collect()
    };
    let [table] = &tables()[..] else { panic!("{:?}", tables()) };
    let bytes = std::fs::read(table).unwrap();
    assert_eq!(scanned(&desk, crop.clone(), &with_model), answer);
    assert_eq!(std::fs::read(table).unwrap(), bytes);
    std::fs::remove_file(table).unwrap();
    assert_eq!(scanned(&desk, crop, &with_model), answer);
    assert_eq!(std::fs::read(table).unwrap(), bytes);
}

#[test]
fn a_file_that_is_no_model_is_refused_by_name() {
    let desk = desk();
    std::fs::write(desk.path("words.onnx"), "these bytes are of some other program").unwrap();
    let suspect = crate::support::repository("samples/works/the-wave.jpg").display().to_string();
    for (model, depth, reason) in [
        ("words.onnx", "full", "words.onnx: not a model that can be used"),
        ("none.onnx", "full", "none.onnx: the model cannot be read"),
        ("words.onnx", "fast", "a model is asked at full depth only"),
    ] {
        let mut scan = desk.timemark(["scan", &suspect, "--depth", depth, "--model"]);
        let output = scan.arg(desk.path(model)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}
