//! [`ColorJitter`].

use super::Augment;
use super::image::{check_float, pixels_like, sides};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// Changes brightness, contrast, saturation and hue of images with floats from 0 to 1, in random order, as torchvision's: grey
/// (.., 1, height, width) or RGB (.., 3, height, width).
///
/// Each of the first three is multiplied by a factor from max(0, 1 − x) to 1 + x, where 0 is black, all of the mean brightness,
/// or grey; the hue is turned by up to x of the circle either way. Results are cut to 0 to 1, so it goes before normalizing:
/// images that [`ImageFolderOptions::normalize`](crate::data::ImageFolderOptions::normalize) made are refused, and a model that has to have
/// normalized inputs begins with [`Standardize`](crate::normalize::Standardize).
///
/// ```
/// # use tealight::data::{Augment, ColorJitter};
/// # use tealight::prelude::*;
/// let photo = Tensor::full(0.5_f32, (3, 8, 8), &Device::Cpu)?;
/// let change = ColorJitter::new().brightness(0.4).contrast(0.4).saturation(0.2).hue(0.1);
/// let brightness = change.apply(&photo, &mut Rng::seed(1))?.mean_all()?.to_scalar::<f32>()?;
/// assert!((0.3..0.7).contains(&brightness) && brightness != 0.5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColorJitter {
    /// Brightness, contrast, saturation, hue.
    most: [f64; 4],
}

const OP: &str = "ColorJitter";

impl ColorJitter {
    /// No change.
    pub fn new() -> Self {
        ColorJitter::default()
    }

    /// The largest change of the brightness. Default: 0.
    pub fn brightness(mut self, most: f64) -> Self {
        self.most[0] = most;
        self
    }

    /// The largest change of the contrast. Default: 0.
    pub fn contrast(mut self, most: f64) -> Self {
        self.most[1] = most;
        self
    }

    /// The largest change of the saturation. Default: 0. Grey images stay.
    pub fn saturation(mut self, most: f64) -> Self {
        self.most[2] = most;
        self
    }

    /// The largest turn of the hue, from 0 to 0.5. Default: 0. Grey images stay.
    pub fn hue(mut self, most: f64) -> Self {
        self.most[3] = most;
        self
    }
}

impl Augment for ColorJitter {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        check_float(OP, input)?;
        let (height, width) = sides(OP, input)?;
        let Some(&[channels @ (1 | 3), _, _]) = input.dims().last_chunk() else {
            return Err(Error::shape(OP, "an image (.., 1 or 3 channels, height, width)", &[input.dims()]));
        };
        let in_range = |(i, &x): (usize, &f64)| (0.0..=[f64::MAX, f64::MAX, f64::MAX, 0.5][i]).contains(&x);
        if !self.most.iter().enumerate().all(in_range) {
            return Err(Error::argument(
                OP,
                "changes of 0 or more, the hue's at most 0.5",
                format!("{:?}", self.most),
            ));
        }
        let mut pixels = numbers(input.array())?;
        if let Some(bad) = pixels.iter().find(|x| !(0.0..=1.0).contains(*x)) {
            return Err(Error::argument(OP, "floats from 0 to 1 (normalize after it)", bad));
        }
        let order = rng.permutation(4);
        let turns = self.most.map(|most| (2.0 * rng.uniform() - 1.0) * most);
        for which in order {
            let turn = turns[which].max(if which == 3 { -0.5 } else { -1.0 });
            if turn != 0.0 {
                for image in pixels.chunks_exact_mut((channels * height * width).max(1)) {
                    adjust(image, channels, which, turn);
                }
            }
        }
        pixels_like(input, pixels, input.dims())
    }
}

/// Changes the brightness (0), contrast (1) or saturation (2) by a factor of 1 + `turn`, or the hue (3) by a `turn` of the circle.
fn adjust(image: &mut [f64], channels: usize, which: usize, turn: f64) {
    let area = image.len() / channels;
    let grey = |image: &[f64], i: usize| match channels {
        1 => image[i],
        _ => 0.2989 * image[i] + 0.587 * image[i + area] + 0.114 * image[i + 2 * area],
    };
    let blend = |x: f64, with: f64| ((1.0 + turn) * x - turn * with).clamp(0.0, 1.0);
    match which {
        0 => image.iter_mut().for_each(|x| *x = blend(*x, 0.0)),
        1 => {
            let mean = (0..area).map(|i| grey(image, i)).sum::<f64>() / area as f64;
            image.iter_mut().for_each(|x| *x = blend(*x, mean));
        }
        _ if channels == 1 => {}
        _ => {
            for i in 0..area {
                let color = [image[i], image[i + area], image[i + 2 * area]];
                let changed = match which {
                    2 => color.map(|x| blend(x, grey(image, i))),
                    _ => turned(color, turn),
                };
                (image[i], image[i + area], image[i + 2 * area]) = changed.into();
            }
        }
    }
}

/// A colour with its hue turned, through HSV.
fn turned([r, g, b]: [f64; 3], turn: f64) -> [f64; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let range = most - least;
    if range == 0.0 {
        return [r, g, b];
    }
    let sixth = match most {
        most if most == r => (g - b) / range,
        most if most == g => 2.0 + (b - r) / range,
        _ => 4.0 + (r - g) / range,
    };
    let hue = (sixth / 6.0 + turn).rem_euclid(1.0) * 6.0;
    // Red is highest within a sixth of its place, and so are green and blue of theirs.
    [5.0, 3.0, 1.0].map(|place| {
        let k = (place + hue).rem_euclid(6.0);
        most - range * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    // torchvision.transforms.functional.adjust_* of 2 × 3 pixels in float64: planes of red, green, blue.
    const IMAGE: [f64; 18] = [
        0.3, 0.29, 0.77, 0.17, 0.19, 0.61, 0.3, 0.43, 0.4, 0.78, 0.19, 0.59, 0.3, 0.34, 0.97, 0.09, 0.11,
        0.53,
    ];
    #[expect(clippy::approx_constant, reason = "0.318 is no 1/π")]
    const GOLDEN: [(usize, f64, [f64; 18]); 9] = [
        (
            0,
            -0.4,
            [
                0.18, 0.174, 0.462, 0.102, 0.114, 0.366, 0.18, 0.258, 0.24, 0.468, 0.114, 0.354, 0.18, 0.204,
                0.582, 0.054, 0.066, 0.318,
            ],
        ),
        (
            0,
            0.7,
            [
                0.51, 0.493, 1.0, 0.289, 0.323, 1.0, 0.51, 0.731, 0.68, 1.0, 0.323, 1.0, 0.51, 0.578, 1.0,
                0.153, 0.187, 0.901,
            ],
        ),
        (
            1,
            0.5,
            [
                0.2381477, 0.2231477, 0.9431478, 0.0431478, 0.0731478, 0.7031478, 0.2381477, 0.4331478,
                0.3881478, 0.9581477, 0.0731478, 0.6731478, 0.2381477, 0.2981478, 1.0, 0.0, 0.0, 0.5831478,
            ],
        ),
        (
            1,
            -0.8,
            [
                0.3989636, 0.3969636, 0.4929636, 0.3729636, 0.3769636, 0.4609636, 0.3989636, 0.4249636,
                0.4189636, 0.4949636, 0.3769636, 0.4569636, 0.3989636, 0.4069636, 0.5329636, 0.3569636,
                0.3609636, 0.4449636,
            ],
        ),
        (
            2,
            0.9,
            [
                0.300027, 0.2109341, 0.9450203, 0.0, 0.1982251, 0.6288289, 0.300027, 0.4769341, 0.2420203,
                1.0, 0.1982251, 0.5908289, 0.300027, 0.3059341, 1.0, 0.0, 0.0462251, 0.4768289,
            ],
        ),
        (
            2,
            -1.0,
            [
                0.29997, 0.377851, 0.575533, 0.518933, 0.180861, 0.589079, 0.29997, 0.377851, 0.575533,
                0.518933, 0.180861, 0.589079, 0.29997, 0.377851, 0.575533, 0.518933, 0.180861, 0.589079,
            ],
        ),
        (
            3,
            0.1,
            [
                0.3, 0.29, 0.97, 0.09, 0.142, 0.582, 0.3, 0.43, 0.4, 0.78, 0.19, 0.61, 0.3, 0.424, 0.8280001,
                0.424, 0.11, 0.53,
            ],
        ),
        (
            3,
            -0.45,
            [
                0.3, 0.43, 0.4290003, 0.78, 0.134, 0.534, 0.3, 0.29, 0.97, 0.09, 0.11, 0.53, 0.3, 0.3379999,
                0.4, 0.6529998, 0.19, 0.61,
            ],
        ),
        (
            3,
            0.5,
            [
                0.3, 0.43, 0.6000003, 0.7, 0.11, 0.53, 0.3, 0.29, 0.97, 0.09, 0.11, 0.55, 0.3, 0.3799999,
                0.4, 0.78, 0.19, 0.61,
            ],
        ),
    ];

    #[test]
    fn as_torchvision_does() {
        for (which, turn, expected) in GOLDEN {
            let mut changed = IMAGE;
            adjust(&mut changed, 3, which, turn);
            let far = changed.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(far < 1e-6, "{which} {turn}: {changed:?}");
        }
        let mut grey = [0.1, 0.2, 0.4, 0.9];
        adjust(&mut grey, 1, 3, 0.3);
        adjust(&mut grey, 1, 2, 0.3);
        assert_eq!(grey, [0.1, 0.2, 0.4, 0.9]);
        adjust(&mut grey, 1, 1, -1.0);
        assert!(grey.iter().all(|x| (x - 0.4).abs() < 1e-12));
    }

    #[test]
    fn ranges_and_refusals() -> Result<()> {
        let (cpu, rng) = (&Device::Cpu, &mut Rng::seed(1));
        let photo = Tensor::rand(0.0, 1.0, (3, 9, 8), rng)?;
        assert_eq!(ColorJitter::new().apply(&photo, rng)?, photo);
        let (mut least, mut most) = (f64::MAX, 0_f64);
        let half = Tensor::full(0.5, (1, 1, 6), cpu)?;
        for _ in 0..500 {
            let x = ColorJitter::new().brightness(0.4).apply(&half, rng)?.max_all()?.to_scalar::<f64>()?;
            (least, most) = (least.min(x), most.max(x));
        }
        assert!((0.3..0.31).contains(&least) && (0.69..=0.7).contains(&most), "{least} {most}");
        let all = ColorJitter::new().brightness(3.0).contrast(3.0).saturation(3.0).hue(0.5);
        let changed = all.apply(&photo, rng)?;
        assert!(changed != photo && changed.dims() == photo.dims() && changed.dtype() == photo.dtype());
        assert_eq!(all.apply(&Tensor::zeros((2, 3, 0, 6), DType::F32, cpu)?, rng)?.dims(), [2, 3, 0, 6]);
        let error = all.apply(&(&photo - 1.0)?, rng).unwrap_err().to_string();
        assert!(
            error.starts_with("ColorJitter: expected floats from 0 to 1 (normalize after it), got -"),
            "{error}"
        );
        for bad in
            [ColorJitter::new().hue(0.6), ColorJitter::new().contrast(-0.1), ColorJitter::new().hue(f64::NAN)]
        {
            assert!(bad.apply(&photo, rng).is_err());
        }
        assert!(all.apply(&Tensor::zeros((2, 9, 8), DType::F32, cpu)?, rng).is_err());
        assert!(all.apply(&Tensor::zeros((3, 9, 8), DType::U8, cpu)?, rng).is_err());
        Ok(())
    }
}
