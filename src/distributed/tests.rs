use candle_core::{DType, Device};

use super::{Alone, Communicator, agree, join, split, sum};
use crate::prelude::*;

/// What rank `rank` of `size` does alone: the others have sent `received`.
struct Played {
    rank: usize,
    size: usize,
    received: Vec<Vec<u8>>,
}

impl Communicator for Played {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, _: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(self.received.clone())
    }

    fn all_to_all(&self, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        Ok(self.received.clone())
    }

    fn abort(&self, _: &str) {}
}

#[test]
fn flat_and_back() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let of = |shape: &[usize], dtype, rng: &mut Rng| Tensor::randn(0.0, 1.0, shape, rng)?.to_dtype(dtype);
    for dtypes in [[DType::F32, DType::BF16, DType::F16], [DType::F64, DType::F32, DType::F16]] {
        let tensors = [
            of(&[2, 3], dtypes[0], rng)?.t()?,
            of(&[], dtypes[1], rng)?,
            of(&[0, 2], dtypes[1], rng)?,
            of(&[5], dtypes[2], rng)?,
        ];
        let flat = join(&tensors)?;
        assert_eq!((flat.dims(), flat.dtype()), (&[12][..], dtypes[0]));
        let back = split(&flat, &tensors)?;
        assert_eq!(back, tensors);
        assert!(back.iter().zip(&tensors).all(|(a, b)| a.dtype() == b.dtype()));
    }
    assert_eq!(join(&[])?.dims(), [0]);
    Ok(())
}

#[test]
fn sums_are_a_tree() -> Result<()> {
    let part = |x: f32| Tensor::new(&[x], &Device::Cpu);
    let all = |numbers: &[f32]| -> Result<f32> {
        let parts = numbers.iter().map(|&x| part(x)).collect::<Result<Vec<_>>>()?;
        let (total, notes) = sum(&Alone, parts, numbers.len(), 1, DType::F32, b"note".to_vec())?;
        assert_eq!(notes, [b"note"]);
        Ok(total.to_vec1::<f32>()?[0])
    };
    let (a, b, c, d, e) = (1e8_f32, 1.25, -1e8, 2.5, 0.125);
    assert_eq!(all(&[a])?.to_bits(), a.to_bits());
    assert_eq!(all(&[a, b, c, d])?.to_bits(), ((a + c) + (b + d)).to_bits());
    // 0 + 3, 1 + 4, 2; then 0 + 2, 1.
    assert_eq!(all(&[a, b, c, d, e])?.to_bits(), (((a + d) + c) + (b + e)).to_bits());
    assert_ne!(all(&[a, b, c, d])?.to_bits(), (((a + b) + c) + d).to_bits());
    Ok(())
}

#[test]
fn messages_of_other_programs() -> Result<()> {
    let comm = |received: Vec<Vec<u8>>| Played { rank: 0, size: 2, received };
    let one = || vec![Tensor::ones(3, DType::F32, &Device::Cpu).unwrap()];
    for received in [vec![], vec![vec![0; 4]; 2], vec![vec![0; 3], vec![]]] {
        let error = sum(&comm(received), one(), 2, 3, DType::F32, Vec::new()).unwrap_err().to_string();
        assert!(
            error.starts_with("distributed: expected the same program with the same settings"),
            "{error}"
        );
    }
    let error = agree(&comm(vec![b"a".to_vec(), b"b".to_vec()]), "fit", "the same seed", "a").unwrap_err();
    assert_eq!(
        error.to_string(),
        "fit: expected the same seed on all ranks, got a on rank 0 and b on rank 1"
    );
    Ok(())
}
