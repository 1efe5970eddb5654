//! Random numbers: seeded, explicit, the same bits on every machine and with any number of threads.
//!
//! ChaCha with 8 rounds (D. J. Bernstein) through `rand_chacha`; normal numbers by G. E. P. Box and M. E. Muller 1958.

use candle_core::op::CmpOp;
use candle_core::{DType, Device, Shape};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::compare::compared;
use super::create::{checked, scalar};
use super::where_cond::chosen;
use crate::autograd::array::{self, converted};
use crate::autograd::launch::launch_random;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::kernel;

/// A random number generator, passed on explicitly: the same seed gives the same numbers everywhere.
///
/// ```
/// use tealight::prelude::*;
/// let mut rng = Rng::seed(42);
/// let a = Tensor::randn(0.0, 1.0, (2, 3), &mut rng)?;
/// let b = Tensor::randn(0.0, 1.0, (2, 3), &mut Rng::seed(42))?;
/// assert_eq!(a.to_vec2::<f32>()?, b.to_vec2::<f32>()?);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// A generator with this seed.
    #[doc(alias = "manual_seed")]
    #[doc(alias = "default_rng")]
    pub fn seed(seed: u64) -> Self {
        Rng(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A uniform number in [0, 1), of 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        of_bits(self.0.next_u64())
    }

    /// Writes what calls of [`uniform`](Rng::uniform) would give.
    pub(crate) fn fill_uniform(&mut self, out: &mut [f64]) {
        let mut bytes = [0; 8 * 64];
        for out in out.chunks_mut(64) {
            let bytes = &mut bytes[..8 * out.len()];
            self.0.fill_bytes(bytes);
            for (x, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *x = of_bits(u64::from_le_bytes(*bytes));
            }
        }
    }

    /// A number of the normal distribution with mean 0 and standard deviation 1: √(−2 ln u)·cos(2πv) of two uniform numbers.
    pub fn normal(&mut self) -> f64 {
        standard_normal([self.uniform(), self.uniform()])
    }

    /// A uniform integer from 0 to n − 1; 0 if n is 0.
    #[doc(alias = "randint")]
    pub fn below(&mut self, n: usize) -> usize {
        // Lemire's method: the few values that would favour some results are drawn again.
        let n = n as u64;
        loop {
            let wide = u128::from(self.0.next_u64()) * u128::from(n);
            if wide as u64 >= n.wrapping_neg() % n.max(1) {
                return (wide >> 64) as usize;
            }
        }
    }

    /// The integers 0, 1, … n − 1 in random order.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let mut order = Rng::seed(1).permutation(5);
    /// order.sort();
    /// assert_eq!(order, [0, 1, 2, 3, 4]);
    /// ```
    #[doc(alias = "randperm")]
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

impl Tensor {
    /// Uniform random numbers in [low, high), f32, on the CPU; see [`rand_dtype`](Tensor::rand_dtype) for another dtype.
    ///
    /// # Errors
    /// Errors unless the bounds are finite and `low <= high`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::rand(-1.0, 1.0, (2, 3), &mut Rng::seed(1))?;
    /// assert_eq!(x.dtype(), DType::F32);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn rand(
        low: impl Into<f64>,
        high: impl Into<f64>,
        shape: impl Into<Shape>,
        rng: &mut Rng,
    ) -> Result<Tensor> {
        uniform("rand", [low.into(), high.into()], shape.into(), DType::F32, rng)
    }

    /// [`rand`](Tensor::rand) of any float dtype, to which the bounds are rounded.
    pub fn rand_dtype(
        low: impl Into<f64>,
        high: impl Into<f64>,
        shape: impl Into<Shape>,
        dtype: DType,
        rng: &mut Rng,
    ) -> Result<Tensor> {
        uniform("rand_dtype", [low.into(), high.into()], shape.into(), dtype, rng)
    }

    /// Normal random numbers, f32, on the CPU; see [`randn_dtype`](Tensor::randn_dtype) for another dtype.
    ///
    /// # Errors
    /// Errors unless `mean` and `std` are finite and `std >= 0`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::randn(5.0, 0.1, 1000, &mut Rng::seed(1))?;
    /// assert!((x.mean_all()?.to_scalar::<f32>()? - 5.0).abs() < 0.02);
    /// assert!((x.std_all(0)?.to_scalar::<f32>()? - 0.1).abs() < 0.02);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "standard_normal")]
    pub fn randn(
        mean: impl Into<f64>,
        std: impl Into<f64>,
        shape: impl Into<Shape>,
        rng: &mut Rng,
    ) -> Result<Tensor> {
        normal("randn", [mean.into(), std.into()], shape.into(), DType::F32, rng)
    }

    /// [`randn`](Tensor::randn) of any float dtype, to which `mean` and `std` are rounded.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::randn_dtype(0.0, 1.0, (2, 3), DType::F64, &mut Rng::seed(1))?;
    /// assert_eq!(x.dtype(), DType::F64);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn randn_dtype(
        mean: impl Into<f64>,
        std: impl Into<f64>,
        shape: impl Into<Shape>,
        dtype: DType,
        rng: &mut Rng,
    ) -> Result<Tensor> {
        normal("randn_dtype", [mean.into(), std.into()], shape.into(), dtype, rng)
    }
}

/// Of the upper 53 bits.
fn of_bits(bits: u64) -> f64 {
    // The conversion of a signed number is one instruction.
    (bits >> 11).cast_signed() as f64 * 2f64.powi(-53)
}

fn standard_normal([u, v]: [f64; 2]) -> f64 {
    // 1 − u is never 0, and our own functions give the same bits everywhere.
    let radius = Real::sqrt(-2.0 * Real::ln(1.0 - u));
    radius * Real::cos(std::f64::consts::TAU * v)
}

fn uniform(op: &'static str, bounds: [f64; 2], shape: Shape, dtype: DType, rng: &mut Rng) -> Result<Tensor> {
    let [low, high] = rounded(op, bounds, dtype)?;
    if !(low <= high && low.is_finite() && high.is_finite()) {
        let got = format!("{} and {}", bounds[0], bounds[1]);
        return Err(Error::argument(op, "finite bounds, low <= high", got));
    }
    let x = sample(op, shape, dtype, rng, move |[u]| low + (high - low) * u)?;
    // Rounding may reach the upper bound, which does not belong to the interval.
    let bound = |bound| -> Result<Array> {
        Ok(scalar(op, bound, dtype, &Device::Cpu)?.array().broadcast_as(x.shape())?)
    };
    let inside = compared(op, CmpOp::Lt, &x, &bound(high)?)?;
    Ok(chosen(&inside, &x, &bound(low)?)?.into())
}

fn normal(op: &'static str, of: [f64; 2], shape: Shape, dtype: DType, rng: &mut Rng) -> Result<Tensor> {
    let [mean, std] = rounded(op, of, dtype)?;
    if !(std >= 0.0 && std.is_finite() && mean.is_finite()) {
        return Err(Error::argument(op, "finite numbers, std >= 0", format!("{} and {}", of[0], of[1])));
    }
    Ok(sample(op, shape, dtype, rng, move |uv| mean + std * standard_normal(uv))?.into())
}

/// The numbers, rounded to a float dtype.
fn rounded(op: &'static str, numbers: [f64; 2], dtype: DType) -> Result<[f64; 2]> {
    if !dtype.is_float() {
        return Err(Error::dtype(op, "a float dtype", &[dtype]));
    }
    let round = |x| Ok::<_, Error>(array::numbers(scalar(op, x, dtype, &Device::Cpu)?.array())?[0]);
    Ok([round(numbers[0])?, round(numbers[1])?])
}

fn sample<const EACH: usize>(
    op: &'static str,
    shape: Shape,
    dtype: DType,
    rng: &mut Rng,
    of: impl Fn([f64; EACH]) -> f64 + Send + Sync + 'static,
) -> Result<Array> {
    let shape = checked(op, shape, size_of::<f64>())?;
    let count = shape.elem_count();
    let numbers = launch_random(op, &mut |out| rng.fill_uniform(out), shape.dims(), move |uniform| {
        kernel::from_uniform(count, uniform, &of)
    });
    converted(&numbers, dtype)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn the_same_bits_for_ever() {
        let mut rng = Rng::seed(42);
        let uniform = [rng.uniform(), rng.uniform()].map(f64::to_bits);
        let normal = [rng.normal(), rng.normal()].map(f64::to_bits);
        assert_eq!((uniform, normal), GOLDEN);
    }

    // What this generator gave when it was made: a change breaks everybody's seeds.
    const GOLDEN: ([u64; 2], [u64; 2]) =
        ([4604317194420431787, 4606734539489062706], [13828173692884416540, 4602412878655256543]);

    #[test]
    fn many_numbers_are_those_one_by_one() {
        let (mut many, mut single) = (Rng::seed(3), Rng::seed(3));
        // With and without single numbers between them.
        for between in [0, 1, 2, 7] {
            for n in [0, 1, 3, 63, 64, 65, 255, 256, 257] {
                let mut out = vec![f64::NAN; n];
                many.fill_uniform(&mut out);
                assert!(out.iter().all(|x| x.to_bits() == single.uniform().to_bits()), "{n}");
                for _ in 0..between {
                    assert_eq!(many.uniform().to_bits(), single.uniform().to_bits(), "{n}");
                }
            }
        }
    }

    #[test]
    fn elements_are_the_numbers_of_the_generator() -> Result<()> {
        let (mut many, mut single) = (Rng::seed(4), Rng::seed(4));
        for n in [0, 1, 255, 256, 257] {
            let uniform = Tensor::rand_dtype(0.0, 1.0, n, DType::F64, &mut many)?.to_vec1::<f64>()?;
            assert!(uniform.iter().all(|x| x.to_bits() == single.uniform().to_bits()), "{n}");
            let normal = Tensor::randn_dtype(0.0, 1.0, n, DType::F64, &mut many)?.to_vec1::<f64>()?;
            assert!(normal.iter().all(|x| x.to_bits() == single.normal().to_bits()), "{n}");
        }
        Ok(())
    }

    #[test]
    fn moments() -> Result<()> {
        let mut rng = Rng::seed(7);
        let x: Vec<f64> = Tensor::randn_dtype(3.0, 2.0, 200_000, DType::F64, &mut rng)?.to_vec1()?;
        let mean = x.iter().sum::<f64>() / 2e5;
        let moment = |p: i32| x.iter().map(|x| ((x - mean) / 2.0).powi(p)).sum::<f64>() / 2e5;
        assert!((mean - 3.0).abs() < 0.02, "{mean}");
        assert!((moment(2) - 1.0).abs() < 0.02 && moment(3).abs() < 0.03 && (moment(4) - 3.0).abs() < 0.1);
        let u: Vec<f32> = Tensor::rand(-1.0, 3.0, 200_000, &mut rng)?.to_vec1()?;
        assert!(u.iter().all(|x| (-1.0..3.0).contains(x)));
        assert!((u.iter().map(|&x| f64::from(x)).sum::<f64>() / 2e5 - 1.0).abs() < 0.02);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[rng.below(7)] += 1);
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
        Ok(())
    }

    #[test]
    fn f32_unless_another_dtype_is_asked_for() -> Result<()> {
        let rng = &mut Rng::seed(1);
        // What a user writes first fits a layer.
        Linear::new(3, 2, rng)?.predict(&Tensor::randn(0.0, 1.0, (4, 3), rng)?)?;
        Linear::new(3, 2, rng)?.predict(&Tensor::rand(0.0, 1, (4, 3), rng)?)?;
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let (x, y) = (Rng::seed(3), Rng::seed(3));
            let normal = Tensor::randn_dtype(0.5, 2.0, (100, 2), dtype, &mut x.clone())?;
            let exact = Tensor::randn_dtype(0.5, 2.0, (100, 2), DType::F64, &mut y.clone())?;
            assert_eq!(normal, exact.to_dtype(dtype)?);
            // Half of the bfloat16 in the interval would round up to its end.
            let uniform = Tensor::rand_dtype(1.0, 1.0078125, 1000, dtype, &mut x.clone())?;
            assert_eq!(uniform.dtype(), dtype);
            assert!(uniform.to_dtype(DType::F64)?.max_all()?.to_scalar::<f64>()? < 1.0078125);
            assert_eq!(Tensor::rand_dtype(0.25, 0.25, (2, 0), dtype, &mut x.clone())?.dims(), [2, 0]);
        }
        let error = Tensor::randn_dtype(0.0, 1.0, 3, DType::I64, rng).unwrap_err();
        assert_eq!(error.to_string(), "randn_dtype: expected a float dtype, got i64");
        Ok(())
    }

    #[test]
    fn bad_arguments() {
        let rng = &mut Rng::seed(0);
        assert!(matches!(Tensor::rand(1.0, 0.0, 3, rng), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::randn(0.0, -1.0, 3, rng), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::randn(f64::NAN, 1.0, 3, rng), Err(Error::Argument { .. })));
        let error = Tensor::rand(0.0, 1e39, 3, rng).unwrap_err();
        assert!(
            error.to_string().starts_with("rand: expected finite bounds, low <= high, got 0 and 1"),
            "{error}"
        );
    }
}
