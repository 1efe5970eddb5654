//! Random changes to images (…, height, width).

use candle_core::Device;

use super::{Augment, CHANNELS};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::ops::{Pad, Rng};

/// Flips an image left to right with this probability.
///
/// ```
/// # use tealight::data::{Augment, RandomHorizontalFlip};
/// # use tealight::prelude::*;
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

/// Flips an image top to bottom with this probability.
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

/// Crops an image at a random place.
///
/// Errors if the image with its padding is smaller than the crop.
///
/// ```
/// # use tealight::data::{Augment, RandomCrop};
/// # use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 9.0, &Device::Cpu)?.reshape((3, 3))?;
/// let crop = RandomCrop::new(2, 2).apply(&x, &mut Rng::seed(1))?.to_vec2::<f64>()?;
/// let corner = crop[0][0];
/// assert_eq!(crop, [[corner, corner + 1.0], [corner + 3.0, corner + 4.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomCrop {
    height: usize,
    width: usize,
    padding: usize,
}

impl RandomCrop {
    /// A crop of this size.
    pub fn new(height: usize, width: usize) -> Self {
        RandomCrop { height, width, padding: 0 }
    }

    /// Pads the image with this many zeros on each side first: black, or the mean colour of normalized images. Default: 0.
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
            let expected = format!("images of at least {} × {} with the padding", self.height, self.width);
            return Err(Error::shape("RandomCrop", expected, &[padded.dims()]));
        }
        let (top, left) = (rng.below(height - self.height + 1), rng.below(width - self.width + 1));
        padded.narrow(-2, top, self.height)?.narrow(-1, left, self.width)
    }
}

/// Rotates an image about its centre by a random angle of at most this many degrees either way.
///
/// Interpolation is bilinear (torchvision's default is the nearest pixel), and pixels outside the image are 0. The size stays.
///
/// ```
/// # use tealight::data::{Augment, RandomRotation};
/// # use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 9.0, &Device::Cpu)?.reshape((3, 3))?;
/// let rotated = RandomRotation(30.0).apply(&x, &mut Rng::seed(1))?.to_vec2::<f64>()?;
/// assert_eq!(rotated[1][1], 4.0); // the centre stays
/// assert_ne!(rotated, x.to_vec2::<f64>()?);
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

/// The image rotated counter-clockwise.
fn rotated(x: &Tensor, degrees: f64) -> Result<Tensor> {
    let (height, width) = sides("RandomRotation", x)?;
    check_float("RandomRotation", x)?;
    let pixels = numbers(x.array())?;
    let angle = degrees.to_radians();
    // `Real` has the same bits on every machine.
    let (sin, cos) = (Real::sin(angle), Real::cos(angle));
    let (centre_y, centre_x) = ((height as f64 - 1.0) / 2.0, (width as f64 - 1.0) / 2.0);
    let mut rotated = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact((height * width).max(1)) {
        let at = |row: f64, column: f64| {
            let inside = row >= 0.0 && column >= 0.0 && row < height as f64 && column < width as f64;
            if inside { image[row as usize * width + column as usize] } else { 0.0 }
        };
        for i in 0..height * width {
            let (dy, dx) = ((i / width) as f64 - centre_y, (i % width) as f64 - centre_x);
            let (row, column) = (centre_y + cos * dy + sin * dx, centre_x + cos * dx - sin * dy);
            let (top, left) = (row.floor(), column.floor());
            let (down, right) = (row - top, column - left);
            // A weight of 0 leaves a pixel out, even one that is not finite.
            let weighted =
                |weight: f64, row, column| if weight == 0.0 { 0.0 } else { weight * at(row, column) };
            rotated.push(
                weighted((1.0 - down) * (1.0 - right), top, left)
                    + weighted((1.0 - down) * right, top, left + 1.0)
                    + weighted(down * (1.0 - right), top + 1.0, left)
                    + weighted(down * right, top + 1.0, left + 1.0),
            );
        }
    }
    pixels_like(x, rotated, x.dims())
}

/// Adds noise of the normal distribution N(0, σ²), with this standard deviation σ, to an input of any shape. The result may lie
/// outside the input's range: torchvision's `clip=False`.
///
/// ```
/// # use tealight::data::{Augment, GaussianNoise};
/// # use tealight::prelude::*;
/// let zeros = Tensor::zeros(100, DType::F64, &Device::Cpu)?;
/// let largest = GaussianNoise(0.1).apply(&zeros, &mut Rng::seed(1))?.abs()?.max_all()?.to_scalar::<f64>()?;
/// assert!(largest > 0.1 && largest < 0.6);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianNoise(pub f64);

impl Augment for GaussianNoise {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        check_float("GaussianNoise", input)?;
        let noise = Tensor::randn_dtype(0.0, self.0, input.dims(), input.dtype(), rng)?;
        input + noise.to_device(input.device())?
    }
}

/// An image of the dtype and on the device of `x`.
pub(super) fn pixels_like(x: &Tensor, pixels: Vec<f64>, dims: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(pixels, dims, &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())
}

pub(super) fn check_float(op: &'static str, x: &Tensor) -> Result<()> {
    if !x.dtype().is_float() {
        return Err(Error::dtype(op, "a float tensor (see to_dtype)", &[x.dtype()]));
    }
    Ok(())
}

/// The height and the width. Errors if the last axis may be that of the channels.
pub(super) fn sides(op: &'static str, x: &Tensor) -> Result<(usize, usize)> {
    match x.dims() {
        [_, _, 1..=CHANNELS] | [_, _, _, 1..=CHANNELS] => {
            let expected = format!(
                "an image (.., height, width) wider than {CHANNELS} pixels; for (.., height, width, channels) see channels_last"
            );
            Err(Error::shape(op, expected, &[x.dims()]))
        }
        [.., height, width] => Ok((*height, *width)),
        _ => Err(Error::shape(op, "an image (.., height, width)", &[x.dims()])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn image(height: usize, width: usize) -> Tensor {
        let x = Tensor::arange(1.0, (height * width) as f64 + 1.0, &Device::Cpu).unwrap();
        x.reshape((height, width)).unwrap()
    }

    #[test]
    fn flips() -> Result<()> {
        let (x, rng) = (image(2, 2), &mut Rng::seed(1));
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
        let (x, rng) = (image(4, 3), &mut Rng::seed(1));
        let mut corners = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let crop = RandomCrop::new(3, 2).apply(&x, rng)?;
            assert_eq!(crop.dims(), [3, 2]);
            let rows = crop.to_vec2::<f64>()?;
            assert!(rows[0][1] == rows[0][0] + 1.0 && rows[1][0] == rows[0][0] + 3.0);
            corners.insert(rows[0][0] as usize);
        }
        assert_eq!(corners.into_iter().collect::<Vec<_>>(), [1, 2, 4, 5]);
        let zeros = RandomCrop::new(6, 5).padding(1).apply(&x, rng)?.to_vec2::<f64>()?;
        assert_eq!((&zeros[0], &zeros[1]), (&vec![0.0; 5], &vec![0.0, 1.0, 2.0, 3.0, 0.0]));
        assert_eq!(RandomCrop::new(4, 3).apply(&x, rng)?, x);
        let error = RandomCrop::new(5, 1).apply(&x, rng).unwrap_err().to_string();
        assert_eq!(error, "RandomCrop: expected images of at least 5 × 1 with the padding, got [4, 3]");
        assert!(RandomCrop::new(1, 1).padding(usize::MAX).apply(&x, rng).is_err());
        Ok(())
    }

    #[test]
    fn rotations() -> Result<()> {
        let x = image(3, 3);
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
        let both = Tensor::stack(&[&x, &(&x * 2.0)?], 0)?.reshape((1, 1, 2, 3, 3))?;
        close(rotated(&both, 90.0)?.i((0, 0, 1))?, [[6.0, 12.0, 18.0], [4.0, 10.0, 16.0], [2.0, 8.0, 14.0]]);
        let small = RandomRotation(5.0).apply(&both.to_dtype(DType::F32)?, &mut Rng::seed(1))?;
        assert_eq!((small.dims(), small.dtype()), (&[1, 1, 2, 3, 3][..], DType::F32));
        assert_eq!(rotated(&Tensor::zeros((2, 0, 9), DType::F32, &Device::Cpu)?, 9.0)?.dims(), [2, 0, 9]);
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
        let message = |x: Result<Tensor>| x.unwrap_err().to_string();
        assert_eq!(
            message(RandomRotation(1.0).apply(&vector, rng)),
            "RandomRotation: expected an image (.., height, width), got [3]"
        );
        assert_eq!(
            message(GaussianNoise(1.0).apply(&bytes, rng)),
            "GaussianNoise: expected a float tensor (see to_dtype), got u8"
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
