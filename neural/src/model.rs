//! A network from an ONNX file: a picture goes in, an [`Embedding`] comes out.
//!
//! The file is the operator's choice and yet nothing here trusts it. What is limited: its size and outline before
//! it is read, the operators it may use (none that loops), the size of its input and output. A panic of the
//! runtime becomes an error; its message on stderr is worth a bug report. What cannot be limited is the memory
//! that a network asks for between input and output: a model from a source nobody trusts wants a process of its own.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb};
use rten::{
    DataType, Dimension, ModelOptions, OpRegistry, RunOptions, ThreadPool, Value, ValueType,
};
use rten_tensor::{AsView, Layout, NdTensor};
use sha2::{Digest, Sha256};

use crate::Embedding;
use crate::onnx::check_outline;

/// A network, ready to look at pictures; many threads may do so at once.
pub struct Model {
    id: ModelId,
    network: rten::Model,
    input: Input,
    dimensions: usize,
}

impl Model {
    /// Reads a network from an ONNX file and tries it on a grey picture. It must have one input for pictures,
    /// `f32` of N × 3 × height × width (it gets what networks trained on ImageNet expect) or `u8` of
    /// N × height × width × 3 (it gets the pixels as they are), and one output, a vector of `f32` for each.
    pub fn open(path: &Path) -> Result<Model, ModelError> {
        let file = read(path)?;
        let unsuitable = |reason| ModelError::Unsuitable { path: path.to_owned(), reason };
        check_outline(&file).map_err(unsuitable)?;
        let id = ModelId(Sha256::digest(&file).into());
        let (network, input, grey) = apart(|| {
            let mut options = ModelOptions::with_ops(operators());
            let network =
                options.prepack_weights(true).load(file).map_err(|error| error.to_string())?;
            let input = Input::of(&network)?;
            let pixels = vec![128; input.width as usize * input.height as usize * 3];
            let grey = run(&network, input.value(pixels))?;
            Ok((network, input, grey))
        })
        .map_err(unsuitable)?;
        Ok(Model { id, network, input, dimensions: grey.len() })
    }

    /// Which model this is: embeddings of another cannot be compared with its own.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// How many dimensions its embeddings have.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// What the network sees in a picture of `width` × `height` × 3 bytes, row by row from the top left. The
    /// picture is stretched to the network's input, as SSCD's authors do when they compare pictures one to one.
    ///
    /// It uses one thread, and blocks the caller's meanwhile: who has many pictures calls it from many.
    pub fn embed(&self, rgb: &[u8], width: u32, height: u32) -> Result<Embedding, EmbedError> {
        let picture = Some(rgb)
            .filter(|rgb| {
                !rgb.is_empty() && rgb.len() as u64 == 3 * u64::from(width) * u64::from(height)
            })
            .and_then(|rgb| ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(width, height, rgb))
            .ok_or(EmbedError::Pixels { bytes: rgb.len(), width, height })?;
        let pixels = self.input.resize(&picture);
        let vector = apart(|| run(&self.network, self.input.value(pixels)));
        let vector = vector.map_err(|reason| EmbedError::Network { reason })?;
        let embedding = Embedding::of(&vector).filter(|_| vector.len() == self.dimensions);
        embedding.ok_or(EmbedError::NoDirection)
    }
}

/// The file's bytes, if they are not too many.
fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let unreadable = |source| ModelError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(ModelError::Unsuitable { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// Runs something on a thread of its own, with a stack for the deepest network that is let in, and turns a
/// panic into an error. The caller's thread waits and does nothing else: waiting for the runtime's threads
/// directly, a thread of rayon would take up the next picture before it is done with this one, and the next.
fn apart<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let outcome = thread.map_err(|error| format!("no thread for it: {error}"))?.join();
        outcome.unwrap_or_else(|_| Err("the runtime failed at it (a panic)".to_owned()))
    })
}

/// The vector that the network makes of one picture.
fn run(network: &rten::Model, picture: Value) -> Result<Vec<f32>, String> {
    let pool = Arc::new(ThreadPool::with_num_threads(1));
    let options = RunOptions::default().with_thread_pool(Some(pool));
    let output =
        network.run_one(picture.into(), Some(options)).map_err(|error| error.to_string())?;
    let output: NdTensor<f32, 2> =
        output.try_into().map_err(|_| "its output is no vector of f32".to_owned())?;
    match output.shape() {
        [1, 1..=DIMENSIONS_MAX] => Ok(output.to_vec()),
        shape => {
            Err(format!("its output has shape {shape:?}; a vector has [1, 1 to {DIMENSIONS_MAX}]"))
        }
    }
}

/// How the network wants its picture.
#[derive(Clone, Copy)]
struct Input {
    pixels: Pixels,
    width: u32,
    height: u32,
}

#[derive(Clone, Copy)]
enum Pixels {
    /// `u8`, N × height × width × 3: the network knows what to make of them.
    Bytes,
    /// `f32`, N × 3 × height × width, around zero.
    Normalised,
}

impl Input {
    fn of(network: &rten::Model) -> Result<Input, String> {
        let ([input], [_]) = (network.input_ids(), network.output_ids()) else {
            let [inputs, outputs] = [network.input_ids().len(), network.output_ids().len()];
            return Err(format!(
                "it has {inputs} inputs and {outputs} outputs; one of each is needed"
            ));
        };
        let info = network.node_info(*input);
        let kind = info.as_ref().and_then(|info| info.dtype());
        let shape = info.and_then(|info| info.shape()).unwrap_or_default();
        use Dimension::Fixed;
        let (pixels, [height, width]) = match (kind, &shape[..]) {
            (Some(ValueType::Tensor(DataType::UInt8)), [_, height, width, Fixed(3)]) => {
                (Pixels::Bytes, [height, width])
            }
            (Some(ValueType::Tensor(DataType::Float)), [_, Fixed(3), height, width]) => {
                (Pixels::Normalised, [height, width])
            }
            _ => {
                return Err(
                    "its input is neither f32 N×3×height×width nor u8 N×height×width×3".to_owned()
                );
            }
        };
        if !matches!(shape[0], Fixed(1) | Dimension::Symbolic(_)) {
            return Err("it takes several pictures at once and no single one".to_owned());
        }
        let side = |dimension: &Dimension| match dimension {
            Dimension::Symbolic(_) => Ok(SIDE_DEFAULT),
            Fixed(side) => u32::try_from(*side)
                .ok()
                .filter(|side| (1..=SIDE_MAX).contains(side))
                .ok_or_else(|| {
                    format!(
                        "its input is {side} pixels wide or high; at most {SIDE_MAX} is possible"
                    )
                }),
        };
        Ok(Input { pixels, width: side(width)?, height: side(height)? })
    }

    /// The picture in the network's size: each pixel the mean of what lies below it, weighted by a triangle.
    fn resize(&self, picture: &ImageBuffer<Rgb<u8>, &[u8]>) -> Vec<u8> {
        // Much larger pictures are first brought near by plain means, which cost a third (12 megapixels: 39 ms
        // instead of 116); the triangle then covers several of these, so that none falls between.
        let [width, height] = [2 * self.width, 2 * self.height];
        if picture.width() > 2 * width && picture.height() > 2 * height {
            let nearer = imageops::thumbnail(picture, width, height);
            return imageops::resize(&nearer, self.width, self.height, FilterType::Triangle)
                .into_raw();
        }
        imageops::resize(picture, self.width, self.height, FilterType::Triangle).into_raw()
    }

    /// A batch of one picture, from bytes in the network's size.
    fn value(&self, rgb: Vec<u8>) -> Value {
        let [width, height] = [self.width as usize, self.height as usize];
        match self.pixels {
            Pixels::Bytes => NdTensor::from_data([1, height, width, 3], rgb).into(),
            Pixels::Normalised => {
                let channel = |channel: usize| {
                    let values = rgb.iter().skip(channel).step_by(3);
                    let (mean, deviation) = (IMAGENET_MEAN[channel], IMAGENET_DEVIATION[channel]);
                    values.map(move |&value| (f32::from(value) / 255.0 - mean) / deviation)
                };
                let values: Vec<f32> = (0..3).flat_map(channel).collect();
                NdTensor::from_data([1, 3, height, width], values).into()
            }
        }
    }
}

/// What networks for pictures are made of. Nothing that loops, so that each run ends.
#[rustfmt::skip]
fn operators() -> OpRegistry {
    rten::op_registry!(
        Abs, Add, AveragePool, BatchNormalization, Cast, Clip, Concat, ConstantOfShape, Conv, ConvInteger,
        DequantizeLinear, Div, DynamicQuantizeLinear, Einsum, Elu, Equal, Erf, Exp, Expand, Flatten,
        Floor, Gather, Gelu, Gemm, GlobalAveragePool, HardSigmoid, HardSwish, Identity, InstanceNormalization,
        LayerNormalization, LeakyRelu, Log, LpNormalization, MatMul, MatMulInteger, Max, MaxPool, Mean, Min,
        Mul, Neg, PRelu, Pad, Pow, QuantizeLinear, Range, Reciprocal, ReduceL2, ReduceMax, ReduceMean,
        ReduceMin, ReduceSum, ReduceSumSquare, Relu, Reshape, Resize, Shape, Sigmoid, Sign, Slice, Softmax,
        Softplus, Split, Sqrt, Squeeze, Sub, Sum, Tanh, Transpose, Unsqueeze, Where
    )
}

/// Which model made an embedding: the SHA-256 of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelId(pub [u8; 32]);

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a file is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file system refused.
    #[error("{}: the model cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// It is no network that makes a vector of a picture, or one that is not understood here.
    #[error("{}: not a model that can be used: {reason}", path.display())]
    Unsuitable {
        /// The file.
        path: PathBuf,
        /// What is missing or too much.
        reason: String,
    },
}

/// Why a picture has no embedding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The bytes are no picture of this size.
    #[error("{bytes} bytes are no picture of {width} × {height} pixels")]
    Pixels {
        /// How many bytes were given.
        bytes: usize,
        /// The width that was said.
        width: u32,
        /// The height that was said.
        height: u32,
    },
    /// The network failed at it, as it would at others: a fault of the model.
    #[error("the model failed: {reason}")]
    Network {
        /// What the runtime says.
        reason: String,
    },
    /// The network made nothing of it: zeros, or what is no number.
    #[error("the model makes nothing of this picture")]
    NoDirection,
}

/// SSCD's network has 25 million weights: 100 MB in full precision.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// What a network that leaves its input open is given: what SSCD was evaluated with.
const SIDE_DEFAULT: u32 = 288;
const SIDE_MAX: u32 = 1024;
/// SSCD has 512. A table keeps as many bytes for each work.
pub(crate) const DIMENSIONS_MAX: usize = 1024;
/// For planning a chain of as many nodes as are let in; of this much, only what is touched is taken.
const STACK_BYTES: usize = 64 << 20;

// The mean and standard deviation of ImageNet, of 1, as networks since 2015 are trained with.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::tests::{bytes, input, integer, model, node, output, value};
    use std::fs;
    use tempfile::TempDir;

    fn open(file: &[u8]) -> Result<Model, ModelError> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("model.onnx");
        fs::write(&path, file).unwrap();
        Model::open(&path)
    }

    fn refusal(file: &[u8]) -> String {
        match open(file) {
            Err(ModelError::Unsuitable { reason, .. }) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was let in"),
        }
    }

    /// The mean of each channel.
    fn means(dimensions: &[u64]) -> Vec<u8> {
        model(&[
            node("GlobalAveragePool", &["image"], "pooled", &[]),
            node("Flatten", &["pooled"], "embedding", &integer("axis", 1)),
            input(1, dimensions),
            output(&[0, 3]),
        ])
    }

    fn plain(colour: [u8; 3], width: u32, height: u32) -> Vec<u8> {
        colour.repeat(width as usize * height as usize)
    }

    #[test]
    fn pixels_are_normalised_channel_by_channel() {
        for shape in [[0, 3, 0, 0], [1, 3, 20, 30]] {
            let model = open(&means(&shape)).unwrap();
            assert_eq!(model.dimensions(), 3);
            for (width, height) in [(1, 1), (7, 900), (30, 20), (1500, 1300)] {
                let colour = [255, 0, 128];
                let expected = [0, 1, 2].map(|channel| {
                    let value = f32::from(colour[channel]) / 255.0;
                    (value - IMAGENET_MEAN[channel]) / IMAGENET_DEVIATION[channel]
                });
                let seen = model.embed(&plain(colour, width, height), width, height).unwrap();
                assert!(
                    seen.cosine(&Embedding::of(&expected).unwrap()) > 0.9999,
                    "{width} × {height}"
                );
            }
        }
    }

    #[test]
    fn bytes_are_given_as_they_are_and_not_turned() {
        // Each value is the sum of a row's red, green and blue: only with rows as rows is the upper half dark.
        let rows = model(&[
            node("Cast", &["image"], "pixels", &integer("to", 1)),
            node("ReduceSum", &["pixels", "axes"], "embedding", &integer("keepdims", 0)),
            bytes(
                5,
                [
                    crate::onnx::tests::number(1, 2),
                    crate::onnx::tests::number(2, 7),
                    bytes(7, [2, 3]),
                    bytes(8, "axes"),
                ]
                .concat(),
            ),
            input(2, &[0, 4, 6, 3]),
            output(&[0, 4]),
        ]);
        let model = open(&rows).unwrap();
        assert_eq!(model.dimensions(), 4);
        let picture = [plain([0, 0, 0], 6, 2), plain([10, 20, 30], 6, 2)].concat();
        assert_eq!(model.embed(&picture, 6, 4).unwrap().values(), [0, 0, 127, 127]);
        assert_eq!(model.embed(&plain([0; 3], 6, 4), 6, 4), Err(EmbedError::NoDirection));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let model = open(&means(&[0, 3, 8, 8])).unwrap();
        for (bytes, width, height) in
            [(0, 0, 0), (0, 0, 5), (12, 2, 1), (11, 2, 2), (0, u32::MAX, u32::MAX)]
        {
            let outcome = model.embed(&vec![0; bytes], width, height);
            assert_eq!(outcome, Err(EmbedError::Pixels { bytes, width, height }));
        }
    }

    #[test]
    fn a_model_is_named_by_its_bytes() {
        let [a, b] = [[0, 3, 8, 8], [0, 3, 8, 9]].map(|shape| open(&means(&shape)).unwrap().id());
        assert_ne!(a, b);
        assert_eq!(a.0[..], Sha256::digest(means(&[0, 3, 8, 8]))[..]);
        assert_eq!(ModelId([0xA5; 32]).to_string(), "a5".repeat(32));
    }

    #[test]
    fn files_that_are_no_model_say_what_they_lack() {
        let relu = || node("Relu", &["image"], "embedding", &[]);
        for (graph, reason) in [
            (vec![relu(), input(1, &[0, 3, 8, 8]), output(&[])], "no vector"),
            (vec![relu(), input(1, &[0, 512]), output(&[])], "its input is neither"),
            (vec![relu(), input(2, &[0, 3, 8, 8]), output(&[])], "its input is neither"),
            (vec![relu(), input(1, &[8, 3, 8, 8]), output(&[])], "several pictures"),
            (vec![relu(), input(1, &[1, 3, 8, 4096]), output(&[])], "4096 pixels"),
            (vec![relu(), output(&[])], "image"),
            (
                vec![relu(), input(1, &[0, 3, 8, 8]), value(11, "b", 1, &[1]), output(&[])],
                "2 inputs",
            ),
            (
                vec![
                    node("Loop", &["image"], "embedding", &[]),
                    input(1, &[0, 3, 8, 8]),
                    output(&[]),
                ],
                "Loop",
            ),
            (
                vec![
                    node("Conv", &["image", "w"], "embedding", &[]),
                    input(1, &[0, 3, 8, 8]),
                    output(&[]),
                ],
                "w",
            ),
            (
                vec![
                    node("Flatten", &["image"], "embedding", &integer("axis", 1)),
                    input(1, &[0, 3, 80, 80]),
                    output(&[]),
                ],
                "[1, 19200]",
            ),
        ] {
            let refusal = refusal(&model(&graph));
            assert!(refusal.contains(reason), "{refusal:?} does not say {reason:?}");
        }
    }

    #[test]
    fn a_chain_as_long_as_is_let_in_does_not_end_the_process() {
        let mut graph: Vec<Vec<u8>> = (0..19_990)
            .map(|n| node("Relu", &[&format!("v{n}")], &format!("v{}", n + 1), &[]))
            .collect();
        graph.push(node("GlobalAveragePool", &["image"], "v0", &[]));
        graph.push(node("Flatten", &["v19990"], "embedding", &integer("axis", 1)));
        graph.extend([input(1, &[0, 3, 8, 8]), output(&[0, 3])]);
        let model = open(&model(&graph)).unwrap();
        model.embed(&plain([255, 0, 0], 8, 8), 8, 8).unwrap();
    }

    #[test]
    fn a_cut_or_altered_file_is_refused_or_works_and_never_panics() {
        let whole = means(&[0, 3, 8, 8]);
        for size in 0..whole.len() {
            let _ = open(&whole[..size]);
        }
        for place in 0..whole.len() {
            let mut altered = whole.clone();
            altered[place] ^= 1 << (place % 8);
            if let Ok(model) = open(&altered) {
                let _ = model.embed(&plain([1, 2, 3], 8, 8), 8, 8);
            }
        }
    }

    #[test]
    fn a_panic_of_the_runtime_is_an_error() {
        let outcome: Result<(), String> = apart(|| panic!("as the runtime might"));
        assert!(outcome.unwrap_err().contains("panic"));
    }

    #[test]
    fn a_missing_file_and_a_folder_are_file_errors() {
        let dir = TempDir::new().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("none.onnx")] {
            assert!(matches!(Model::open(&path), Err(ModelError::File { .. })));
        }
    }

    /// With a model of SSCD's kind: a picture is nearer to its own edited copies than to another picture.
    #[test]
    fn a_real_model_tells_copies_from_others() {
        let Some(path) = std::env::var_os("TIMEMARK_SSCD_MODEL") else {
            eprintln!("SKIPPED: TIMEMARK_SSCD_MODEL names no model, so no real one was tried");
            return;
        };
        let model = Model::open(Path::new(&path)).unwrap();
        // Soft waves of colour, or hard bars: two pictures of waves would be alike to the network as well.
        let drawn = |bars: bool, width: u32, height: u32| -> Vec<u8> {
            let pixel = |at: u32| {
                let [x, y] =
                    [at % width * 256 / width, at / width * 256 / height].map(|v| v as f32 / 40.0);
                let wave = |k: f32| ((x * k + 1.0).sin() * (y * (k + 0.7) + k).cos() + 1.0) * 127.0;
                let bar = |k: f32| if (x * k).fract() < 0.3 || y > 4.0 { 240.0 } else { 20.0 };
                [1.0, 1.6, 2.3].map(|k| if bars { bar(k) } else { wave(k) } as u8)
            };
            (0..width * height).flat_map(pixel).collect()
        };
        let embed = |rgb: &[u8], width, height| model.embed(rgb, width, height).unwrap();
        let original = drawn(false, 640, 480);
        let darker: Vec<u8> = original.iter().map(|value| value / 4 * 3).collect();
        let other = embed(&drawn(true, 640, 480), 640, 480);
        let original = embed(&original, 640, 480);
        for copy in [embed(&darker, 640, 480), embed(&drawn(false, 320, 240), 320, 240)] {
            let [near, far] = [&original, &other].map(|picture| copy.cosine(picture));
            assert!(near > 0.8 && near > far + 0.2, "{near} {far}");
        }
    }
}
