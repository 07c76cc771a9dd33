//! What must be known of an ONNX file before the runtime may read it: that its graph is flat and small.
//!
//! The runtime reads graphs within graphs, and types within types, by calling itself; a file that nests them
//! a million deep would end the process, and neither a limit nor a caught panic can prevent that. No network
//! for pictures nests anything. So this reads the file's outline (a protobuf, <https://protobuf.dev/programming-guides/encoding/>),
//! three messages deep and no deeper, and refuses what has more.

/// What is wrong with the outline, if anything.
pub(crate) fn check_outline(model: &[u8]) -> Result<(), String> {
    let mut nodes = 0;
    for graph in messages(model, MODEL_GRAPH) {
        let graph = graph?;
        for node in messages(graph, GRAPH_NODE) {
            nodes += 1;
            if nodes > NODES_MAX {
                return Err(format!("its network has more than {NODES_MAX} nodes"));
            }
            for attribute in messages(node?, NODE_ATTRIBUTE) {
                if messages(attribute?, ATTRIBUTE_GRAPH).next().is_some() {
                    return Err("a node of its network holds another network".to_owned());
                }
            }
        }
        for field in [GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO] {
            for value in messages(graph, field) {
                for kind in messages(value?, VALUE_TYPE) {
                    if messages(kind?, TYPE_SEQUENCE).next().is_some() {
                        return Err("a value of its network is a sequence".to_owned());
                    }
                }
            }
        }
    }
    if nodes == 0 { Err("it is no ONNX file".to_owned()) } else { Ok(()) }
}

/// The fields of this number that have a length; after an error there is nothing more.
fn messages(bytes: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], String>> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        loop {
            let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
            let Some(field) = Field::first_of(bytes) else {
                return Some(Err("it is no ONNX file, or a damaged one".to_owned()));
            };
            rest = Some(field.beyond);
            if let Some(content) = field.content.filter(|_| field.number == number) {
                return Some(Ok(content));
            }
        }
    })
}

struct Field<'a> {
    number: u64,
    /// If it has a length.
    content: Option<&'a [u8]>,
    beyond: &'a [u8],
}

impl Field<'_> {
    fn first_of(bytes: &[u8]) -> Option<Field<'_>> {
        let (key, rest) = varint(bytes)?;
        let (content, beyond) = match key & 7 {
            0 => (None, varint(rest)?.1),
            1 => (None, rest.get(8..)?),
            2 => {
                let (length, rest) = varint(rest)?;
                let (content, beyond) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(content), beyond)
            }
            5 => (None, rest.get(4..)?),
            _ => return None, // groups, which ONNX does not have
        };
        Some(Field { number: key >> 3, content, beyond })
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[place + 1..]));
        }
    }
    None
}

/// Networks for pictures have some hundreds; the runtime plans by calling itself once a node.
const NODES_MAX: usize = 20_000;

// Field numbers of onnx.proto3.
const MODEL_GRAPH: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_INPUT: u64 = 11;
const GRAPH_OUTPUT: u64 = 12;
const GRAPH_VALUE_INFO: u64 = 13;
const NODE_ATTRIBUTE: u64 = 5;
const ATTRIBUTE_GRAPH: u64 = 6;
const VALUE_TYPE: u64 = 2;
const TYPE_SEQUENCE: u64 = 4;

/// Writes small ONNX files, for tests.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
        [varint_of(field << 3), varint_of(value)].concat()
    }

    pub(crate) fn bytes(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
        let content = content.as_ref();
        [&varint_of(field << 3 | 2)[..], &varint_of(content.len() as u64), content].concat()
    }

    fn varint_of(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    /// A model file around the parts of a graph.
    pub(crate) fn model(graph: &[Vec<u8>]) -> Vec<u8> {
        let opset = bytes(8, number(2, 17));
        [number(1, 8), bytes(7, graph.concat()), opset].concat()
    }

    pub(crate) fn node(
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[u8],
    ) -> Vec<u8> {
        let inputs: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name)).collect();
        let rest = [bytes(2, output), bytes(4, operator), attributes.to_vec()].concat();
        bytes(GRAPH_NODE, [inputs, rest].concat())
    }

    /// An attribute that is a list of integers.
    pub(crate) fn integers(name: &str, values: &[u64]) -> Vec<u8> {
        let values: Vec<u8> = values.iter().flat_map(|&value| number(8, value)).collect();
        bytes(NODE_ATTRIBUTE, [bytes(1, name), number(20, 7), values].concat())
    }

    /// An attribute that is an integer.
    pub(crate) fn integer(name: &str, value: u64) -> Vec<u8> {
        bytes(NODE_ATTRIBUTE, [bytes(1, name), number(20, 2), number(3, value)].concat())
    }

    /// An input or output; a dimension of 0 is left open. `kind` is 1 for `f32`, 2 for `u8`.
    pub(crate) fn value(field: u64, name: &str, kind: u64, dimensions: &[u64]) -> Vec<u8> {
        let dimension =
            |&size: &u64| bytes(1, if size == 0 { bytes(2, "open") } else { number(1, size) });
        let shape: Vec<u8> = dimensions.iter().flat_map(dimension).collect();
        let tensor = bytes(1, [number(1, kind), bytes(2, shape)].concat());
        bytes(field, [bytes(1, name), bytes(VALUE_TYPE, tensor)].concat())
    }

    pub(crate) fn input(kind: u64, dimensions: &[u64]) -> Vec<u8> {
        value(GRAPH_INPUT, "image", kind, dimensions)
    }

    pub(crate) fn output(dimensions: &[u64]) -> Vec<u8> {
        value(GRAPH_OUTPUT, "embedding", 1, dimensions)
    }

    #[test]
    fn what_is_nested_is_refused_before_it_is_read() {
        let refusal = |file: &[u8]| check_outline(file).unwrap_err();
        // Each graph within a node of the one around it: as deep as a small file can have it.
        let (mut graph, mut kind) = (node("Relu", &["a"], "b", &[]), vec![]);
        for _ in 0..2_000 {
            graph = bytes(GRAPH_NODE, bytes(NODE_ATTRIBUTE, bytes(ATTRIBUTE_GRAPH, graph)));
            kind = bytes(TYPE_SEQUENCE, bytes(1, kind));
        }
        assert!(refusal(&model(&[graph])).contains("another network"));
        let sequence = bytes(GRAPH_INPUT, bytes(VALUE_TYPE, kind));
        assert!(refusal(&model(&[node("Relu", &["a"], "b", &[]), sequence])).contains("sequence"));
        let many = node("Relu", &["a"], "b", &[]).repeat(NODES_MAX + 1);
        assert!(refusal(&model(&[many])).contains("nodes"));
    }

    #[test]
    fn what_is_no_protobuf_is_refused() {
        let whole = model(&[node("Relu", &["a"], "b", &integers("axes", &[1, 300]))]);
        check_outline(&whole).unwrap();
        for file in [&b""[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", &[0xFF; 99], &[0x3A, 0x01]] {
            assert!(check_outline(file).is_err(), "{file:?}");
        }
    }
}
