//! What a network made of a picture: a direction, kept in a byte a dimension.

/// A direction in the space of one [`Model`](crate::Model). Two of the same model can be compared.
///
/// Only the direction counts, so that no scale is kept beside the bytes. Rounding to 8 bits moves a cosine
/// between embeddings of 512 dimensions by about 0.001, where matches and others lie 0.1 and more apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    values: Box<[i8]>,
}

impl Embedding {
    /// The direction of a vector; `None` if it has none, being zero or not finite.
    pub fn of(vector: &[f32]) -> Option<Embedding> {
        let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let has_direction = largest > 0.0 && vector.iter().all(|value| value.is_finite());
        // Divided first: the largest may be so small that its reciprocal is infinite.
        let value = |value: &f32| (value / largest * 127.0).round() as i8;
        has_direction.then(|| Embedding { values: vector.iter().map(value).collect() })
    }

    /// How alike two embeddings are: 1 for the same direction, about 0 for unrelated pictures, -1 at least.
    pub fn cosine(&self, other: &Embedding) -> f32 {
        dot(&self.values, &other.values) as f32
            * inverse_norm(&self.values)
            * inverse_norm(&other.values)
    }

    /// One byte a dimension; the largest is 127 or -127.
    pub fn values(&self) -> &[i8] {
        &self.values
    }
}

/// The sum of products. It cannot overflow: `DIMENSIONS_MAX` × 128² is far below 2³¹, and saying so by
/// wrapping lets the compiler do many at a time.
pub(crate) fn dot(a: &[i8], b: &[i8]) -> i32 {
    let products = a.iter().zip(b).map(|(&a, &b)| i32::from(a).wrapping_mul(i32::from(b)));
    products.fold(0, i32::wrapping_add)
}

/// By what a sum of products is multiplied to become a cosine; 0 for what has no direction.
pub(crate) fn inverse_norm(values: &[i8]) -> f32 {
    match dot(values, values) {
        0 => 0.0,
        square => 1.0 / (square as f32).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_direction_is_no_embedding() {
        for vector in [&[][..], &[0.0, -0.0], &[1.0, f32::NAN], &[f32::INFINITY, 1.0]] {
            assert_eq!(Embedding::of(vector), None, "{vector:?}");
        }
        assert_eq!(Embedding::of(&[1e-44, -1e-44]).unwrap().values(), [127, -127]);
    }

    proptest! {
        #[test]
        fn rounding_hardly_moves_a_cosine(
            a in proptest::collection::vec(-1.0f32..1.0, 512),
            b in proptest::collection::vec(-1.0f32..1.0, 512),
            shared in 0.0f32..1.0,
        ) {
            let b: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * shared + b * (1.0 - shared)).collect();
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
            let [a, b] = [&a, &b].map(|vector| Embedding::of(vector).unwrap());
            prop_assert!((a.cosine(&b) - cosine).abs() < 0.002, "{} {cosine}", a.cosine(&b));
            prop_assert!((a.cosine(&a) - 1.0).abs() < 1e-5);
        }
    }
}
