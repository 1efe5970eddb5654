//! Sizes as claimed by a file.

/// The number of elements of a tensor of this shape; `None` if no machine could hold it.
///
/// The lengths of an empty tensor count too: candle multiplies them for its strides, and the product could overflow.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    let all = shape.iter().filter(|&&n| n != 0).try_fold(1_usize, |product, &n| product.checked_mul(n))?;
    isize::try_from(all).ok()?;
    Some(if shape.contains(&0) { 0 } else { all })
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn products() {
        let huge = 1 << 40;
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[2, 3]), Some(6));
        assert_eq!(elements(&[2, 0, huge]), Some(0));
        for shape in [&[huge, huge][..], &[0, huge, huge], &[huge, huge, 0], &[usize::MAX]] {
            assert_eq!(elements(shape), None, "{shape:?}");
        }
    }
}
