//! A number with its derivatives along two directions and the second derivative along both: a + b·ε₁ + c·ε₂ + d·ε₁ε₂ with ε₁² = ε₂²
//! = 0. Evaluated with these, a program gives its first and second derivatives forwards, without a graph.

use std::ops::{Add, Mul, Neg, Sub};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(crate) value: f64,
    /// Along the first and along the second direction.
    pub(crate) first: [f64; 2],
    pub(crate) second: f64,
}

impl Number {
    pub(crate) fn constant(value: f64) -> Self {
        Number { value, first: [0.0; 2], second: 0.0 }
    }

    /// f of this, from f, f′ and f″ there.
    pub(crate) fn map(self, [f, slope, curve]: [f64; 3]) -> Self {
        let [a, b] = self.first;
        Number { value: f, first: [slope * a, slope * b], second: slope * self.second + curve * a * b }
    }

    pub(crate) fn exp(self) -> Self {
        self.map([self.value.exp(); 3])
    }

    pub(crate) fn ln(self) -> Self {
        let x = self.value;
        self.map([x.ln(), 1.0 / x, -1.0 / (x * x)])
    }

    pub(crate) fn recip(self) -> Self {
        let y = 1.0 / self.value;
        self.map([y, -y * y, 2.0 * y * y * y])
    }

    pub(crate) fn powf(self, p: f64) -> Self {
        let x = self.value;
        self.map([x.powf(p), p * x.powf(p - 1.0), p * (p - 1.0) * x.powf(p - 2.0)])
    }

    pub(crate) fn tanh(self) -> Self {
        let y = self.value.tanh();
        self.map([y, 1.0 - y * y, -2.0 * y * (1.0 - y * y)])
    }

    pub(crate) fn sigmoid(self) -> Self {
        let y = 1.0 / (1.0 + (-self.value).exp());
        let slope = y * (1.0 - y);
        self.map([y, slope, slope * (1.0 - 2.0 * y)])
    }

    /// ln(1 + eˣ)
    pub(crate) fn softplus(self) -> Self {
        let y = 1.0 / (1.0 + (-self.value).exp());
        self.map([self.value.exp().ln_1p(), y, y * (1.0 - y)])
    }

    pub(crate) fn sin(self) -> Self {
        let (sin, cos) = self.value.sin_cos();
        self.map([sin, cos, -sin])
    }

    pub(crate) fn cos(self) -> Self {
        let (sin, cos) = self.value.sin_cos();
        self.map([cos, -sin, -cos])
    }

    pub(crate) fn erf(self) -> Self {
        let x = self.value;
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        self.map([libm::erf(x), slope, -2.0 * x * slope])
    }

    pub(crate) fn scale(self, factor: f64) -> Self {
        self.map([self.value * factor, factor, 0.0])
    }

    /// All four numbers, to be looked at.
    pub(crate) fn all(self) -> [f64; 4] {
        [self.value, self.first[0], self.first[1], self.second]
    }
}

impl Add for Number {
    type Output = Number;
    fn add(self, other: Number) -> Number {
        Number {
            value: self.value + other.value,
            first: [self.first[0] + other.first[0], self.first[1] + other.first[1]],
            second: self.second + other.second,
        }
    }
}

impl Neg for Number {
    type Output = Number;
    fn neg(self) -> Number {
        self.scale(-1.0)
    }
}

impl Sub for Number {
    type Output = Number;
    fn sub(self, other: Number) -> Number {
        self + -other
    }
}

impl Mul for Number {
    type Output = Number;
    fn mul(self, other: Number) -> Number {
        let ([a, b], [c, d]) = (self.first, other.first);
        Number {
            value: self.value * other.value,
            first: [a * other.value + self.value * c, b * other.value + self.value * d],
            second: self.second * other.value + a * d + b * c + self.value * other.second,
        }
    }
}

impl std::iter::Sum for Number {
    fn sum<I: Iterator<Item = Number>>(numbers: I) -> Number {
        numbers.fold(Number::constant(0.0), Add::add)
    }
}
