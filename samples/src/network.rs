//! The smallest neural network that sees anything: it reduces a picture to eight by eight pixels of colour. With it
//! `scan --model` can be tried where nobody has one that was trained.

/// An ONNX file (onnx.proto3 of version 1.17): an input of 1 × 3 × 8 × 8, and the same numbers in a row.
pub fn thumbnail() -> Vec<u8> {
    let flatten = [text(1, "picture"), text(2, "embedding"), text(4, "Flatten")].concat();
    let input = tensor("picture", &[1, 3, SIDE, SIDE]);
    let output = tensor("embedding", &[1, 3 * SIDE * SIDE]);
    let name = text(2, "thumbnail");
    let graph = [field(1, &flatten), name, field(11, &input), field(12, &output)].concat();
    // Version 8 of the format, the graph, version 17 of the operators.
    [number(1, 8), field(7, &graph), field(8, &number(2, 17))].concat()
}

/// A tensor of 32-bit floating-point numbers, by its name.
fn tensor(name: &str, dimensions: &[u64]) -> Vec<u8> {
    let shape: Vec<u8> = dimensions.iter().flat_map(|&size| field(1, &number(1, size))).collect();
    let kind = field(1, &[number(1, 1), field(2, &shape)].concat());
    [text(1, name), field(2, &kind)].concat()
}

fn text(number: u64, text: &str) -> Vec<u8> {
    field(number, text.as_bytes())
}

/// A field of Protocol Buffers with so many bytes.
fn field(number: u64, content: &[u8]) -> Vec<u8> {
    [&varint(number << 3 | 2)[..], &varint(content.len() as u64), content].concat()
}

/// A field of Protocol Buffers with a number.
fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

const SIDE: u64 = 8;
