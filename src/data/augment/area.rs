//! [`RandomResizedCrop`] and [`RandomErasing`]: a random part of an image.

use super::Augment;
use super::image::{check_float, pixels_like, sides};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::data::image::{Interpolation, resized_planes};
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::ops::Rng;

/// Shares of an image's area, and the proportions of a part: from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    scale: (f64, f64),
    ratio: (f64, f64),
}

impl Area {
    fn check(&self, op: &'static str) -> Result<()> {
        let Area { scale, ratio } = *self;
        let ordered = 0.0 <= scale.0 && scale.0 <= scale.1 && scale.1 <= 1.0;
        if ordered && 0.0 < ratio.0 && ratio.0 <= ratio.1 && ratio.1.is_finite() {
            return Ok(());
        }
        let expected = "a scale (least, most) from 0 to 1, and a ratio (least, most) above 0";
        Err(Error::argument(op, expected, format!("{scale:?} and {ratio:?}")))
    }

    /// The sides of a random part: of this area, and √ratio times as long and as short as a square.
    fn sides(&self, area: usize, rng: &mut Rng) -> (usize, usize) {
        let between = |(least, most): (f64, f64), rng: &mut Rng| least + (most - least) * rng.uniform();
        let area = area as f64 * between(self.scale, rng);
        let (least, most) = self.ratio;
        let ratio = Real::exp(between((Real::ln(least), Real::ln(most)), rng));
        ((area * ratio).sqrt().round_ties_even() as usize, (area / ratio).sqrt().round_ties_even() as usize)
    }
}

/// How often a part is drawn that does not fit into the image.
const TRIES: usize = 10;

/// Crops a random part of an image of floats, and resizes it, as torchvision's.
///
/// Interpolation is bilinear with antialiasing. An image that is read larger than the result keeps its detail:
/// `ImageFolderOptions::new(256, 256)` for `RandomResizedCrop::new(224, 224)`.
///
/// ```
/// # use tealight::data::{Augment, RandomResizedCrop};
/// # use tealight::prelude::*;
/// let photo = Tensor::ones((3, 256, 256), DType::F32, &Device::Cpu)?;
/// let crop = RandomResizedCrop::new(224, 224).scale(0.5, 1.0).apply(&photo, &mut Rng::seed(1))?;
/// assert_eq!(crop.dims(), [3, 224, 224]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomResizedCrop {
    height: usize,
    width: usize,
    area: Area,
}

impl RandomResizedCrop {
    /// Crops that are resized to this size.
    pub fn new(height: usize, width: usize) -> Self {
        RandomResizedCrop { height, width, area: Area { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0) } }
    }

    /// The share of the area that the part has, from the least to the most. Default: 0.08, 1.
    pub fn scale(mut self, least: f64, most: f64) -> Self {
        self.area.scale = (least, most);
        self
    }

    /// The width of the part by its height, from the least to the most. Default: 3/4, 4/3.
    pub fn ratio(mut self, least: f64, most: f64) -> Self {
        self.area.ratio = (least, most);
        self
    }

    /// The part of an image: top, left, height, width.
    fn part(&self, height: usize, width: usize, rng: &mut Rng) -> [usize; 4] {
        for _ in 0..TRIES {
            let (w, h) = self.area.sides(height * width, rng);
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                return [rng.below(height - h + 1), rng.below(width - w + 1), h, w];
            }
        }
        let (least, most) = self.area.ratio;
        let ratio = width as f64 / height as f64;
        let short = |side: f64| side.round_ties_even() as usize;
        let (h, w) = match ratio {
            ratio if ratio < least => (short(width as f64 / least), width),
            ratio if ratio > most => (height, short(height as f64 * most)),
            _ => (height, width),
        };
        [(height - h) / 2, (width - w) / 2, h, w]
    }
}

impl Augment for RandomResizedCrop {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        const OP: &str = "RandomResizedCrop";
        check_float(OP, input)?;
        self.area.check(OP)?;
        let (height, width) = sides(OP, input)?;
        if [height, width, self.height, self.width].contains(&0) {
            let expected = format!("an image that is not empty, for {} × {}", self.height, self.width);
            return Err(Error::shape(OP, expected, &[input.dims()]));
        }
        let [top, left, h, w] = self.part(height, width, rng);
        let part = input.narrow(-2, top, h)?.narrow(-1, left, w)?;
        let to = [self.height, self.width];
        let resized = resized_planes(&numbers(part.array())?, [h, w], to, Interpolation::Bilinear);
        let mut shape = input.dims().to_vec();
        let rank = shape.len();
        shape[rank - 2..].copy_from_slice(&to);
        pixels_like(input, resized, &shape)
    }
}

/// Sets a random rectangle of an image to 0 with this probability, as torchvision's.
///
/// 0 is black in an image from 0 to 1, and the mean colour in a normalized one.
///
/// ```
/// # use tealight::data::{Augment, RandomErasing};
/// # use tealight::prelude::*;
/// let x = Tensor::ones((3, 20, 20), DType::F32, &Device::Cpu)?;
/// let left = RandomErasing::new(1.0).apply(&x, &mut Rng::seed(1))?.mean_all()?.to_scalar::<f32>()?;
/// assert!((0.6..1.0).contains(&left));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomErasing {
    probability: f64,
    area: Area,
}

impl RandomErasing {
    /// Erases with this probability.
    pub fn new(probability: f64) -> Self {
        RandomErasing { probability, area: Area { scale: (0.02, 0.33), ratio: (0.3, 3.3) } }
    }

    /// The share of the area that is erased, from the least to the most. Default: 0.02, 0.33.
    pub fn scale(mut self, least: f64, most: f64) -> Self {
        self.area.scale = (least, most);
        self
    }

    /// The height of the rectangle by its width, from the least to the most. Default: 0.3, 3.3.
    pub fn ratio(mut self, least: f64, most: f64) -> Self {
        self.area.ratio = (least, most);
        self
    }
}

impl Augment for RandomErasing {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        const OP: &str = "RandomErasing";
        check_float(OP, input)?;
        self.area.check(OP)?;
        let (height, width) = sides(OP, input)?;
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::argument(OP, "a probability from 0 to 1", self.probability));
        }
        if rng.uniform() >= self.probability {
            return Ok(input.clone());
        }
        for _ in 0..TRIES {
            let (h, w) = self.area.sides(height * width, rng);
            if h < height && w < width {
                let (top, left) = (rng.below(height - h + 1), rng.below(width - w + 1));
                let mut pixels = numbers(input.array())?;
                for row in pixels
                    .chunks_exact_mut((height * width).max(1))
                    .flat_map(|plane| plane.chunks_exact_mut(width).skip(top).take(h))
                {
                    row[left..left + w].fill(0.0);
                }
                return pixels_like(input, pixels, input.dims());
            }
        }
        Ok(input.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    const PARTS: [(f64, f64); 4] = [(27.3, 26.5), (74.2, 50.4), (145.4, 36.6), (151.7, 45.2)];
    const SMALL: [f64; 12] = [
        4.142857, 5.928571, 7.928571, 9.714286, 16.714287, 18.5, 20.5, 22.285715, 29.285713, 31.071426,
        33.071426, 34.85714,
    ];
    /// The mean and the deviation of the share that 100,000 of torchvision.transforms.RandomErasing erase.
    const HOLES: (f64, f64) = (0.1635, 0.0909);

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, square.sqrt())
    }

    #[test]
    fn parts_are_drawn_as_torchvision_draws_them() {
        let rng = &mut Rng::seed(1);
        let crop = RandomResizedCrop::new(1, 1);
        let parts: Vec<[usize; 4]> = (0..20_000).map(|_| crop.part(200, 300, rng)).collect();
        let of = |i: usize| moments(&parts.iter().map(|part| part[i] as f64).collect::<Vec<_>>());
        // Means and deviations of 200,000 draws of torchvision.transforms.RandomResizedCrop.get_params.
        for (i, (mean, deviation)) in PARTS.into_iter().enumerate() {
            let (ours, spread) = of(i);
            assert!((ours - mean).abs() < 2.0 && (spread - deviation).abs() < 2.0, "{i}: {ours} ± {spread}");
        }
        // A part that never fits: the largest with the nearest proportions.
        assert_eq!(RandomResizedCrop::new(1, 1).scale(1.0, 1.0).part(10, 100, rng), [0, 43, 10, 13]);
        assert_eq!(RandomResizedCrop::new(1, 1).scale(1.0, 1.0).part(100, 10, rng), [43, 0, 13, 10]);
    }

    #[test]
    fn crops_and_holes() -> Result<()> {
        let (cpu, rng) = (&Device::Cpu, &mut Rng::seed(1));
        let x = Tensor::arange(0.0, 80.0, cpu)?.reshape((2, 5, 8))?;
        // All of it, in its own size and in half of it: F.resize(x, (3, 4), antialias=True).
        let all = |height, width| RandomResizedCrop::new(height, width).scale(1.0, 1.0).ratio(1.6, 1.6);
        assert_eq!(all(5, 8).apply(&x, rng)?, x);
        let small = all(3, 4).apply(&x, rng)?.i(0)?.to_vec2::<f64>()?.concat();
        for (ours, expected) in small.iter().zip(SMALL) {
            assert!((ours - expected).abs() < 1e-5, "{small:?}");
        }
        let mut shares = Vec::new();
        for _ in 0..2000 {
            let erased = RandomErasing::new(1.0).apply(&(&x + 1.0)?, rng)?;
            assert_eq!(erased.i(0)?.eq(0.0)?, erased.i(1)?.eq(0.0)?);
            shares.push(erased.eq(0.0)?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()? / 80.0);
        }
        let (mean, spread) = moments(&shares);
        assert!((mean - HOLES.0).abs() < 0.01 && (spread - HOLES.1).abs() < 0.01, "{mean} ± {spread}");
        assert_eq!(RandomErasing::new(0.0).apply(&x, rng)?, x);
        Ok(())
    }

    #[test]
    fn refusals() -> Result<()> {
        let (cpu, rng) = (&Device::Cpu, &mut Rng::seed(1));
        let x = Tensor::ones((3, 8, 8), DType::F32, cpu)?;
        let crop = RandomResizedCrop::new(4, 4);
        for bad in [
            crop.scale(0.5, 0.4),
            crop.scale(-0.1, 1.0),
            crop.scale(0.0, 1.1),
            crop.ratio(0.0, 1.0),
            crop.ratio(1.0, f64::NAN),
        ] {
            assert!(matches!(bad.apply(&x, rng), Err(Error::Argument { .. })), "{bad:?}");
        }
        assert!(
            RandomErasing::new(1.5).apply(&x, rng).is_err()
                && RandomErasing::new(1.0).scale(2.0, 3.0).apply(&x, rng).is_err()
        );
        assert!(RandomResizedCrop::new(0, 4).apply(&x, rng).is_err());
        assert!(crop.apply(&Tensor::ones((3, 0, 8), DType::F32, cpu)?, rng).is_err());
        assert_eq!(
            RandomErasing::new(1.0).apply(&Tensor::ones((3, 0, 8), DType::F32, cpu)?, rng)?.dims(),
            [3, 0, 8]
        );
        let last = Tensor::ones((8, 8, 3), DType::F32, cpu)?;
        assert!(crop.apply(&last, rng).is_err() && RandomErasing::new(1.0).apply(&last, rng).is_err());
        assert_eq!(crop.channels_last().apply(&last, rng)?.dims(), [4, 4, 3]);
        Ok(())
    }
}
