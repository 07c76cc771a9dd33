//! Finds works again by what a neural network sees in them, where codes no longer reach: a [`Model`] makes
//! an [`Embedding`] of a picture, a [`Table`] finds the works whose embeddings point the same way.
//!
//! This tier is optional. No model comes with Timemark: an operator points it at an ONNX file, such as one of
//! SSCD (<https://github.com/facebookresearch/sscd-copy-detection>), and without one everything else works.
//!
//! Embeddings are derived state and never evidence: another model, another version of this crate, even another
//! processor may give other numbers. They are kept for the model whose bytes made them, and no claim holds one.
//!
//! It does not know image formats, the log, claims or codes: pixels come in, log indexes go out.

mod embedding;
mod model;
mod onnx;
mod table;

pub use embedding::Embedding;
pub use model::{EmbedError, Model, ModelError, ModelId};
pub use table::{Near, Table, TableError};
