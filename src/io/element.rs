//! Numbers in files, and the dtype in which they are read.

use candle_core::{DType, Device};

use crate::autograd::Array;
use crate::error::Error;

/// The type of the elements of a tensor in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum ElementType {
    /// One that candle has too.
    Plain(DType),
    Bool,
    I8,
    U16,
    U64,
    F8E5M2,
}

impl ElementType {
    /// The dtype that they are read as.
    pub(super) fn dtype(self) -> DType {
        match self {
            ElementType::Plain(dtype) => dtype,
            ElementType::Bool => DType::U8,
            ElementType::I8 | ElementType::U64 => DType::I64,
            ElementType::U16 => DType::U32,
            ElementType::F8E5M2 => DType::F32,
        }
    }

    /// The bytes of one element in the file.
    pub(super) fn width(self) -> usize {
        match self {
            ElementType::Plain(dtype) => dtype.size_in_bytes(),
            ElementType::Bool | ElementType::I8 | ElementType::F8E5M2 => 1,
            ElementType::U16 => 2,
            ElementType::U64 => 8,
        }
    }

    /// An array of these bytes, in the byte order of this machine.
    pub(super) fn array(self, bytes: &[u8], shape: &[usize]) -> Result<Array, String> {
        let plain = |bytes: &[u8], dtype| Array::from_raw_buffer(bytes, dtype, shape, &Device::Cpu);
        let array = match self {
            ElementType::Plain(dtype) => plain(bytes, dtype),
            ElementType::Bool => {
                let bits = bytes.iter().map(|&byte| u8::from(byte != 0)).collect();
                Array::from_vec(bits, shape, &Device::Cpu)
            }
            ElementType::I8 => {
                let wide = bytes.iter().map(|&byte| i64::from(byte.cast_signed())).collect();
                Array::from_vec(wide, shape, &Device::Cpu)
            }
            ElementType::U16 => {
                let words = bytes.as_chunks().0.iter().map(|&word| u32::from(u16::from_ne_bytes(word)));
                Array::from_vec(words.collect(), shape, &Device::Cpu)
            }
            ElementType::U64 => {
                let narrow = |(i, &word): (usize, &[u8; 8])| {
                    let word = u64::from_ne_bytes(word);
                    i64::try_from(word).map_err(|_| format!("expected numbers below 2^63, got {word} at {i}"))
                };
                let words: Vec<i64> =
                    bytes.as_chunks().0.iter().enumerate().map(narrow).collect::<Result<_, _>>()?;
                Array::from_vec(words, shape, &Device::Cpu)
            }
            ElementType::F8E5M2 => {
                // The upper byte of an f16.
                let halves: Vec<u8> =
                    bytes.iter().flat_map(|&byte| (u16::from(byte) << 8).to_ne_bytes()).collect();
                plain(&halves, DType::F16).and_then(|array| array.to_dtype(DType::F32))
            }
        };
        array.map_err(|error| Error::from(error).to_string())
    }
}

/// The error of a tensor of another type.
pub(super) fn no_dtype(got: &str) -> String {
    format!(
        "expected booleans, integers, or floats of 8 to 64 bits, got {got}: convert it before it is saved"
    )
}

#[cfg(test)]
mod tests {
    use super::ElementType;
    use crate::prelude::*;

    /// Against torch.float8_e5m2 and ml_dtypes.float8_e5m2: 2^(e−15)·(1 + m/4), infinity at 0x7c, NaN above.
    #[test]
    fn floats_of_5_and_2_bits() -> Result<()> {
        let bytes: Vec<u8> = (0..=255).collect();
        let array = ElementType::F8E5M2.array(&bytes, &[256]).unwrap();
        for (byte, y) in bytes.into_iter().zip(Tensor::from(array).to_vec1::<f32>()?) {
            let (e, m) = (i32::from(byte >> 2 & 31), f32::from(byte & 3));
            let expected = match (e, m) {
                (31, 0.0) => f32::INFINITY,
                (31, _) => f32::NAN,
                (0, _) => m / 65536.0,
                _ => 2_f32.powi(e - 15) * (1.0 + m / 4.0),
            };
            assert!(
                y.abs() == expected && y.is_sign_negative() == (byte > 127)
                    || y.is_nan() && expected.is_nan()
            );
        }
        Ok(())
    }

    #[test]
    fn large_integers() {
        let array = |words: &[u64]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            ElementType::U64.array(&bytes, &[words.len()]).map(|array| array.to_vec1::<i64>().unwrap())
        };
        assert_eq!(array(&[0, 7, (1 << 63) - 1]), Ok(vec![0, 7, i64::MAX]));
        assert_eq!(
            array(&[1, 1 << 63]),
            Err("expected numbers below 2^63, got 9223372036854775808 at 1".into())
        );
    }
}
