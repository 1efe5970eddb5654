//! Random changes to pictures.

use candle_core::Device;

use super::Augment;
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::ops::{Pad, Rng};

/// Left and right change places, with this probability.
///
/// # Errors
/// A probability that is not from 0 to 1; an input without two axes.
///
/// ```
/// use tealight::data::{Augment, RandomHorizontalFlip};
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let flipped = RandomHorizontalFlip(1.0).apply(&x, &mut Rng::seed(1))?;
/// assert_eq!(flipped.to_vec2::<f64>()?, [[2.0, 1.0], [4.0, 3.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomHorizontalFlip(pub f64);

impl Augment for RandomHorizontalFlip {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        flip("RandomHorizontalFlip", self.0, input, -1, rng)
    }
}

/// Top and bottom change places, with this probability.
///
/// # Errors
/// A probability that is not from 0 to 1; an input without two axes.
///
/// ```
/// use tealight::data::{Augment, RandomVerticalFlip};
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let flipped = RandomVerticalFlip(1.0).apply(&x, &mut Rng::seed(1))?;
/// assert_eq!(flipped.to_vec2::<f64>()?, [[3.0, 4.0], [1.0, 2.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomVerticalFlip(pub f64);

impl Augment for RandomVerticalFlip {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        flip("RandomVerticalFlip", self.0, input, -2, rng)
    }
}

fn flip(op: &'static str, probability: f64, x: &Tensor, axis: i64, rng: &mut Rng) -> Result<Tensor> {
    sides(op, x)?;
    if !(0.0..=1.0).contains(&probability) {
        return Err(Error::argument(op, "a probability from 0 to 1", probability));
    }
    if rng.uniform() < probability { x.flip(&[axis]) } else { Ok(x.clone()) }
}

/// A part of this size, from any place of the picture, each equally likely.
///
/// # Errors
/// A picture that is smaller than the part, with its padding; an input without two axes.
///
/// ```
/// use tealight::data::{Augment, RandomCrop};
/// use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 9.0, &Device::Cpu)?.reshape((3, 3))?;
/// let part = RandomCrop::new(2, 2).apply(&x, &mut Rng::seed(1))?.to_vec2::<f64>()?;
/// let corner = part[0][0];
/// assert_eq!(part, [[corner, corner + 1.0], [corner + 3.0, corner + 4.0]]); // neighbours stay neighbours
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomCrop {
    height: usize,
    width: usize,
    padding: usize,
}

impl RandomCrop {
    /// A part of this size.
    ///
    /// ```
    /// use tealight::data::{Augment, RandomCrop};
    /// use tealight::prelude::*;
    /// let picture = Tensor::zeros((3, 32, 32), DType::F32, &Device::Cpu)?;
    /// assert_eq!(RandomCrop::new(28, 20).apply(&picture, &mut Rng::seed(1))?.dims(), [3, 28, 20]);
    /// let error = RandomCrop::new(40, 20).apply(&picture, &mut Rng::seed(1)).unwrap_err().to_string();
    /// assert_eq!(error, "RandomCrop: expected pictures of at least 40 × 20 with the padding, got [3, 32, 32]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(height: usize, width: usize) -> Self {
        RandomCrop { height, width, padding: 0 }
    }

    /// With so many zeros on each side of the picture before the part is taken.
    ///
    /// ```
    /// use tealight::data::{Augment, RandomCrop};
    /// use tealight::prelude::*;
    /// let pixel = Tensor::ones((1, 1), DType::F64, &Device::Cpu)?;
    /// let padded = RandomCrop::new(3, 3).padding(1).apply(&pixel, &mut Rng::seed(1))?;
    /// assert_eq!(padded.to_vec2::<f64>()?, [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }
}

impl Augment for RandomCrop {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        let pad = self.padding;
        sides("RandomCrop", input)?;
        let padded =
            if pad == 0 { input.clone() } else { input.pad(&[(pad, pad); 2], Pad::Constant(0.0))? };
        let (height, width) = sides("RandomCrop", &padded)?;
        if self.height > height || self.width > width {
            let expected = format!("pictures of at least {} × {} with the padding", self.height, self.width);
            return Err(Error::shape("RandomCrop", expected, &[padded.dims()]));
        }
        let (top, left) = (rng.below(height - self.height + 1), rng.below(width - self.width + 1));
        padded.narrow(-2, top, self.height)?.narrow(-1, left, self.width)
    }
}

/// Turned about the middle by a random angle, at most so many degrees either way. Between pixels the four around are blended,
/// outside the picture there is 0.
///
/// # Errors
/// An angle that is negative or not finite; an input without two axes, or of a dtype that is no float.
///
/// ```
/// use tealight::data::{Augment, RandomRotation};
/// use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 9.0, &Device::Cpu)?.reshape((3, 3))?;
/// let turned = RandomRotation(30.0).apply(&x, &mut Rng::seed(1))?.to_vec2::<f64>()?;
/// assert_eq!(turned[1][1], 4.0); // the middle stays
/// assert_ne!(turned, x.to_vec2::<f64>()?);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomRotation(pub f64);

impl Augment for RandomRotation {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        if !(self.0 >= 0.0 && self.0.is_finite()) {
            return Err(Error::argument("RandomRotation", "an angle of 0 or more degrees", self.0));
        }
        rotated(input, (2.0 * rng.uniform() - 1.0) * self.0)
    }
}

/// Turned counter-clockwise.
fn rotated(x: &Tensor, degrees: f64) -> Result<Tensor> {
    let (height, width) = sides("RandomRotation", x)?;
    float("RandomRotation", x)?;
    let pixels = numbers(x.array())?;
    let angle = degrees.to_radians();
    // The same bits on every machine.
    let (sin, cos) = (Real::sin(angle), Real::cos(angle));
    let (middle_y, middle_x) = ((height as f64 - 1.0) / 2.0, (width as f64 - 1.0) / 2.0);
    let mut turned = Vec::with_capacity(pixels.len());
    for picture in pixels.chunks_exact((height * width).max(1)) {
        let at = |row: f64, column: f64| {
            let inside = row >= 0.0 && column >= 0.0 && row < height as f64 && column < width as f64;
            if inside { picture[row as usize * width + column as usize] } else { 0.0 }
        };
        for i in 0..height * width {
            let (dy, dx) = ((i / width) as f64 - middle_y, (i % width) as f64 - middle_x);
            let (row, column) = (middle_y + cos * dy + sin * dx, middle_x + cos * dx - sin * dy);
            let (top, left) = (row.floor(), column.floor());
            let (down, right) = (row - top, column - left);
            // A weight of 0 leaves a pixel out, even one that is not finite.
            let part = |weight: f64, row, column| if weight == 0.0 { 0.0 } else { weight * at(row, column) };
            turned.push(
                part((1.0 - down) * (1.0 - right), top, left)
                    + part((1.0 - down) * right, top, left + 1.0)
                    + part(down * (1.0 - right), top + 1.0, left)
                    + part(down * right, top + 1.0, left + 1.0),
            );
        }
    }
    let turned = Tensor::from_vec(turned, x.dims(), &Device::Cpu)?.to_dtype(x.dtype())?;
    Ok(Tensor::from(turned.array().to_device(x.device())?))
}

/// A random number of the normal distribution with this deviation is added to each element, of an input of any shape.
///
/// # Errors
/// A deviation that is negative; an input of a dtype that is no float.
///
/// ```
/// use tealight::data::{Augment, GaussianNoise};
/// use tealight::prelude::*;
/// let zeros = Tensor::zeros(100, DType::F64, &Device::Cpu)?;
/// let largest = GaussianNoise(0.1).apply(&zeros, &mut Rng::seed(1))?.abs()?.max_all()?.to_scalar::<f64>()?;
/// assert!(largest > 0.1 && largest < 0.6); // some are beyond one deviation, none beyond six
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianNoise(pub f64);

impl Augment for GaussianNoise {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        float("GaussianNoise", input)?;
        let noise = Tensor::randn(0.0, self.0, input.dims(), rng)?.to_dtype(input.dtype())?;
        input + Tensor::from(noise.array().to_device(input.device())?)
    }
}

fn float(op: &'static str, x: &Tensor) -> Result<()> {
    if !x.dtype().is_float() {
        return Err(Error::dtype(op, "a float (to_dtype makes one)", &[x.dtype()]));
    }
    Ok(())
}

/// The height and the width.
fn sides(op: &'static str, x: &Tensor) -> Result<(usize, usize)> {
    match x.dims() {
        [.., height, width] => Ok((*height, *width)),
        _ => Err(Error::shape(op, "a picture (.., height, width)", &[x.dims()])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn picture(height: usize, width: usize) -> Tensor {
        let x = Tensor::arange(1.0, (height * width) as f64 + 1.0, &Device::Cpu).unwrap();
        x.reshape((height, width)).unwrap()
    }

    #[test]
    fn flips() -> Result<()> {
        let (x, rng) = (picture(2, 2), &mut Rng::seed(1));
        assert_eq!(RandomHorizontalFlip(1.0).apply(&x, rng)?.to_vec2::<f64>()?, [[2.0, 1.0], [4.0, 3.0]]);
        assert_eq!(RandomVerticalFlip(1.0).apply(&x, rng)?.to_vec2::<f64>()?, [[3.0, 4.0], [1.0, 2.0]]);
        assert_eq!(RandomVerticalFlip(0.0).apply(&x, rng)?.to_vec2::<f64>()?, x.to_vec2::<f64>()?);
        let flipped = |_| {
            RandomHorizontalFlip(0.3).apply(&x, rng).unwrap().i((0, 0)).unwrap().to_scalar::<f64>().unwrap()
                == 2.0
        };
        let count = (0..2000).map(flipped).filter(|&flipped| flipped).count();
        // The deviation is 20.
        assert!((500..700).contains(&count), "{count}");
        assert!(RandomVerticalFlip(f64::NAN).apply(&x, &mut Rng::seed(1)).is_err());
        Ok(())
    }

    #[test]
    fn crops() -> Result<()> {
        let (x, rng) = (picture(4, 3).unsqueeze(0)?, &mut Rng::seed(1));
        let mut corners = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let crop = RandomCrop::new(3, 2).apply(&x, rng)?;
            assert_eq!(crop.dims(), [1, 3, 2]);
            let rows = crop.to_vec3::<f64>()?.concat();
            assert!(rows[0][1] == rows[0][0] + 1.0 && rows[1][0] == rows[0][0] + 3.0);
            corners.insert(rows[0][0] as usize);
        }
        assert_eq!(corners.into_iter().collect::<Vec<_>>(), [1, 2, 4, 5]);
        let zeros = RandomCrop::new(6, 5).padding(1).apply(&x, rng)?.to_vec3::<f64>()?;
        assert_eq!((&zeros[0][0], &zeros[0][1]), (&vec![0.0; 5], &vec![0.0, 1.0, 2.0, 3.0, 0.0]));
        assert_eq!(RandomCrop::new(4, 3).apply(&x, rng)?.to_vec3::<f64>()?, x.to_vec3::<f64>()?);
        let error = RandomCrop::new(5, 1).apply(&x, rng).unwrap_err().to_string();
        assert_eq!(error, "RandomCrop: expected pictures of at least 5 × 1 with the padding, got [1, 4, 3]");
        assert!(RandomCrop::new(1, 1).padding(usize::MAX).apply(&x, rng).is_err());
        Ok(())
    }

    #[test]
    fn turns() -> Result<()> {
        let x = picture(3, 3);
        let close = |turned: Tensor, expected: [[f64; 3]; 3]| {
            let rows = turned.to_vec2::<f64>().unwrap().concat();
            assert!(rows.iter().zip(expected.concat()).all(|(a, b)| (a - b).abs() < 1e-12), "{rows:?}");
        };
        close(rotated(&x, 0.0)?, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]);
        // As numpy.rot90.
        close(rotated(&x, 90.0)?, [[3.0, 6.0, 9.0], [2.0, 5.0, 8.0], [1.0, 4.0, 7.0]]);
        close(rotated(&x, -180.0)?, [[9.0, 8.0, 7.0], [6.0, 5.0, 4.0], [3.0, 2.0, 1.0]]);
        let corner = rotated(&Tensor::ones((3, 3), DType::F64, &Device::Cpu)?, 45.0)?.to_vec2::<f64>()?;
        assert!((corner[1][1] - 1.0).abs() < 1e-12 && corner[0][0] < 0.6, "{corner:?}");
        let both = Tensor::stack(&[&x, &(&x * 2.0)?], 0)?;
        close(rotated(&both, 90.0)?.i(1)?, [[6.0, 12.0, 18.0], [4.0, 10.0, 16.0], [2.0, 8.0, 14.0]]);
        let small = RandomRotation(5.0).apply(&both.to_dtype(DType::F32)?, &mut Rng::seed(1))?;
        assert_eq!((small.dims(), small.dtype()), (&[2, 3, 3][..], DType::F32));
        assert_eq!(rotated(&Tensor::zeros((2, 0, 3), DType::F32, &Device::Cpu)?, 9.0)?.dims(), [2, 0, 3]);
        Ok(())
    }

    #[test]
    fn noise_and_refusals() -> Result<()> {
        let (zeros, rng) = (Tensor::zeros((100, 100), DType::F32, &Device::Cpu)?, &mut Rng::seed(1));
        let noise = GaussianNoise(0.5).apply(&zeros, rng)?;
        let variance = noise.sqr()?.mean_all()?.to_scalar::<f32>()?;
        assert!((variance - 0.25).abs() < 0.02 && noise.dtype() == DType::F32, "{variance}");
        let again = GaussianNoise(0.5).apply(&zeros, &mut Rng::seed(1))?;
        assert_eq!(again.to_vec2::<f32>()?, noise.to_vec2::<f32>()?);
        let vector = Tensor::zeros(3, DType::F32, &Device::Cpu)?;
        let bytes = Tensor::zeros((2, 2), DType::U8, &Device::Cpu)?;
        let said = |x: Result<Tensor>| x.unwrap_err().to_string();
        assert_eq!(
            said(RandomRotation(1.0).apply(&vector, rng)),
            "RandomRotation: expected a picture (.., height, width), got [3]"
        );
        assert_eq!(
            said(GaussianNoise(1.0).apply(&bytes, rng)),
            "GaussianNoise: expected a float (to_dtype makes one), got u8"
        );
        assert!(
            RandomRotation(1.0).apply(&bytes, rng).is_err()
                && RandomHorizontalFlip(1.0).apply(&vector, rng).is_err()
        );
        assert!(
            GaussianNoise(-1.0).apply(&zeros, rng).is_err()
                && RandomRotation(f64::NAN).apply(&zeros, rng).is_err()
        );
        assert_eq!(RandomHorizontalFlip(1.0).apply(&bytes, rng)?.dtype(), DType::U8);
        Ok(())
    }
}
