//! [`Axis`]: the range and the ticks of an axis.

use crate::error::{Error, Result};

/// Numbers below this count as 0: dividing by them loses digits.
pub(super) const TINY: f64 = 1e-300;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scale {
    #[default]
    Linear,
    Log,
}

impl Scale {
    /// The position of a number on the axis, if it has one.
    pub(super) fn place(self, x: f64) -> Option<f64> {
        let place = match self {
            Scale::Linear => x,
            Scale::Log => x.log10(),
        };
        place.is_finite().then_some(place)
    }
}

/// An axis. `low`, `high` and the ticks are positions, as by [`Scale::place`].
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
    /// Grid lines between the ticks.
    pub(super) minor: Vec<f64>,
}

impl Axis {
    /// An axis that contains all `places`, with about `count` ticks.
    pub(super) fn around(scale: Scale, places: impl Iterator<Item = f64>, count: usize) -> Result<Axis> {
        let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        if low.abs().max(high.abs()) > 1e300 && low <= high {
            return Err(Error::argument("plot", "numbers within ±1e300", format!("{low:e} to {high:e}")));
        }
        // Without numbers the axis is 0..1; a single number has room on both sides.
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let largest = low.abs().max(high.abs());
        let room = match high - low {
            span if span > (1e-9 * largest).max(TINY) => 0.04 * span,
            _ if largest < TINY => 0.5,
            _ if scale == Scale::Log => 0.3,
            _ => 0.1 * largest,
        };
        Ok(Axis::new(scale, low - room, high + room, count))
    }

    /// An axis from `low` to a different `high`, with about `count` ticks.
    pub(super) fn new(scale: Scale, low: f64, high: f64, count: usize) -> Axis {
        let (ticks, minor) = match scale {
            Scale::Linear => (linear(low, high, count), Vec::new()),
            Scale::Log => logarithmic(low, high, count),
        };
        Axis { low, high, ticks, minor }
    }
}

fn linear(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(1) as f64;
    let power = rough.log10().floor() as i32;
    let factor = [1, 2, 5, 10].into_iter().find(|&f| f64::from(f) * 10f64.powi(power) >= 0.999 * rough);
    let (factor, power) = match factor {
        Some(10) | None => (1, power + 1),
        Some(factor) => (factor, power),
    };
    let step = f64::from(factor) * 10f64.powi(power);
    let largest = low.abs().max(high.abs());
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    let ticks =
        (0..=(last - first).clamp(0.0, 4.0 * count as f64) as usize).map(|i| (first + i as f64) * step);
    ticks.filter(|x| (low..=high).contains(x)).map(|x| (x, label(x, power, largest))).collect()
}

/// The label of `x`, a multiple of 10^power, on an axis up to `largest`.
fn label(x: f64, power: i32, largest: f64) -> String {
    let exponent = largest.log10().floor() as i32;
    // An inexact step may leave a tiny number, which is rounded to 0.
    let fixed = |x: f64, decimals: i32| {
        let text = format!("{x:.*}", decimals.clamp(0, 12) as usize);
        let digits = text.trim_start_matches('-');
        let zero = digits.bytes().all(|b| matches!(b, b'0' | b'.'));
        if text.starts_with('-') && !zero { format!("−{digits}") } else { digits.to_string() }
    };
    if (-3..6).contains(&exponent) {
        return fixed(x, -power);
    }
    let mantissa = fixed(x / 10f64.powi(exponent), exponent - power);
    if x == 0.0 { "0".into() } else { format!("{mantissa}×10{}", raised(exponent)) }
}

/// A number in superscript digits.
fn raised(number: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        c => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][(c as u8 - b'0') as usize],
    };
    number.to_string().chars().map(digit).collect()
}

/// The ticks of a logarithmic axis, and the grid lines between them.
fn logarithmic(low: f64, high: f64, count: usize) -> (Vec<(f64, String)>, Vec<f64>) {
    let (first, last) = (low.ceil() as i32, high.floor() as i32);
    let inside = |place: &f64| (low..=high).contains(place);
    let multiples = |factors: &'static [i32]| {
        (first - 1..=last).flat_map(move |power| factors.iter().map(move |&f| (power, f)))
    };
    let place = |(power, factor): (i32, i32)| f64::from(power) + f64::from(factor).log10();
    let minor = if last - first <= 12 {
        multiples(&[2, 3, 4, 5, 6, 7, 8, 9]).map(place).filter(inside).collect()
    } else {
        Vec::new()
    };
    if last - first >= 2 {
        let step = (last - first) as usize / count.max(1) + 1;
        let ticks =
            (first..=last).step_by(step).map(|p| (f64::from(p), format!("10{}", raised(p)))).collect();
        return (ticks, minor);
    }
    let largest = 10f64.powf(high);
    for factors in [&[1, 2, 5][..], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
        let ticks: Vec<(f64, String)> = multiples(factors)
            .map(|(p, f)| (place((p, f)), label(f64::from(f) * 10f64.powi(p), p, largest)))
            .filter(|(place, _)| inside(place))
            .collect();
        if ticks.len() >= 3 {
            return (ticks, minor);
        }
    }
    let ticks = linear(10f64.powf(low), largest, count).into_iter().map(|(x, label)| (x.log10(), label));
    (ticks.filter(|(place, _)| inside(place)).collect(), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64) -> String {
        let axis = Axis::new(scale, low, high, 6);
        axis.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn linear_ticks() {
        assert_eq!(labels(Scale::Linear, 0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(labels(Scale::Linear, -0.31, 0.29), "−0.3 −0.2 −0.1 0.0 0.1 0.2");
        assert_eq!(labels(Scale::Linear, -3.0, 117.0), "0 20 40 60 80 100");
        assert_eq!(labels(Scale::Linear, 0.0, 3e7), "0 0.5×10⁷ 1.0×10⁷ 1.5×10⁷ 2.0×10⁷ 2.5×10⁷ 3.0×10⁷");
        assert_eq!(labels(Scale::Linear, -2e-5, 2e-5), "−2×10⁻⁵ −1×10⁻⁵ 0 1×10⁻⁵ 2×10⁻⁵");
        assert_eq!(labels(Scale::Linear, 0.99, 1.01), "0.990 0.995 1.000 1.005 1.010");
    }

    #[test]
    fn logarithmic_ticks() {
        assert_eq!(labels(Scale::Log, 0.8, 7.1), "10¹ 10³ 10⁵ 10⁷");
        assert_eq!(labels(Scale::Log, -2.0, 2.0), "10⁻² 10⁻¹ 10⁰ 10¹ 10²");
        assert_eq!(labels(Scale::Log, 0.0, 1.5), "1 2 5 10 20");
        assert_eq!(labels(Scale::Log, 0.31, 0.5), "2.2 2.4 2.6 2.8 3.0");
    }

    #[test]
    fn any_range_has_ticks_within_it() -> Result<()> {
        let mut numbers =
            vec![0.0, 1.0, -1.0, 1e-300, 1e-12, 3.7e11, -2.5e299, 1.0 + 1e-7, f64::MIN_POSITIVE];
        numbers.extend((-20..20).map(|i| 1.37f64.powi(i * 3)));
        for &a in &numbers {
            for &b in &numbers {
                for scale in [Scale::Linear, Scale::Log] {
                    let places = [a, b].into_iter().filter_map(|x| scale.place(x));
                    let axis = Axis::around(scale, places, 6)?;
                    let said = format!("{a:e} {b:e} {axis:?}");
                    assert!(axis.low < axis.high && (1..=20).contains(&axis.ticks.len()), "{said}");
                    let inside = |x: f64| (axis.low..=axis.high).contains(&x);
                    assert!(axis.ticks.iter().all(|(x, _)| inside(*x)), "{said}");
                    assert!(axis.minor.iter().all(|&x| inside(x)) && axis.minor.len() < 120, "{said}");
                    assert!(axis.ticks.iter().all(|(_, label)| label.chars().count() <= 14), "{said}");
                }
            }
        }
        assert_eq!(Axis::around(Scale::Linear, std::iter::empty(), 6)?.ticks.len(), 6);
        assert!(Axis::around(Scale::Linear, [0.0, 1e305].into_iter(), 5).is_err());
        assert_eq!(Scale::Log.place(0.0).or(Scale::Log.place(-1.0)).or(Scale::Linear.place(f64::NAN)), None);
        Ok(())
    }
}
