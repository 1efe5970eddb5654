//! [`Block`]: many numbers at once, as one [`Real`].
//!
//! A fused loop is fast only if the whole formula is inlined into it, and nothing can make the compiler inline a function
//! that a user wrote. A formula evaluated with blocks needs no inlining: each operation is a vector loop of its own over
//! numbers in level-1 cache, compiled here, also when the user's program is not optimised.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Element;
use super::buffer::Uninit;
use super::parallel::vectorize;
use crate::formula::Real;

/// Numbers in a block: enough to make a call cheap, few enough for a dozen blocks to stay in cache.
pub(super) const WIDTH: usize = 64;

/// [`WIDTH`] numbers.
#[derive(Clone, Copy, Debug)]
pub struct Block<T>([T; WIDTH]);

impl<T: Element> Block<T> {
    pub(super) fn zero() -> Self {
        Block([T::default(); WIDTH])
    }

    /// Takes over up to [`WIDTH`] numbers; the rest stays as it was.
    pub(super) fn load(&mut self, from: &[T]) {
        self.0[..from.len()].copy_from_slice(from);
    }

    /// Writes as many numbers as there are slots.
    pub(super) fn store(&self, out: &mut [Uninit<T>]) {
        for (slot, &value) in out.iter_mut().zip(&self.0) {
            slot.write(value);
        }
    }

    /// Compiled for the instruction set of the machine; not inlined, so that it is compiled once.
    #[inline(always)]
    fn each(self, f: impl Fn(T) -> T) -> Self {
        vectorize(
            #[inline(always)]
            || {
                let mut out = self.0;
                for i in 0..WIDTH {
                    out[i] = f(out[i]);
                }
                Block(out)
            },
        )
    }

    #[inline(always)]
    fn pair(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        vectorize(
            #[inline(always)]
            || {
                let mut out = self.0;
                for i in 0..WIDTH {
                    out[i] = f(out[i], other.0[i]);
                }
                Block(out)
            },
        )
    }
}

macro_rules! operators {
    ($t:ty: $($trait:ident $method:ident),*) => {$(
        impl $trait for Block<$t> {
            type Output = Self;
            #[inline(never)]
            fn $method(self, other: Self) -> Self {
                self.pair(other, #[inline(always)] |a, b| a.$method(b))
            }
        }
    )*};
}

macro_rules! functions {
    ($t:ty: $($method:ident)*) => {$(
        #[inline(never)]
        fn $method(self) -> Self {
            self.each(#[inline(always)] |x| <$t as Real>::$method(x))
        }
    )*};
}

macro_rules! real {
    ($t:ty) => {
        operators!($t: Add add, Sub sub, Mul mul, Div div);

        impl Neg for Block<$t> {
            type Output = Self;
            #[inline(never)]
            fn neg(self) -> Self {
                self.each(#[inline(always)] |x| -x)
            }
        }

        impl Real for Block<$t> {
            #[inline(never)]
            fn constant(value: f64) -> Self {
                Block([value as $t; WIDTH])
            }
            functions!($t: exp exp_m1 ln ln_1p sqrt tanh sigmoid erf erfc atan floor round_ties_even sin cos abs signum recip);
            #[inline(never)]
            fn powf(self, exponent: Self) -> Self {
                self.pair(exponent, #[inline(always)] |a, b| Real::powf(a, b))
            }
            #[inline(never)]
            fn powi(self, n: i32) -> Self {
                self.each(#[inline(always)] |x| Real::powi(x, n))
            }
            #[inline(never)]
            fn rem(self, divisor: Self) -> Self {
                self.pair(divisor, #[inline(always)] |a, b| Real::rem(a, b))
            }
            #[inline(never)]
            fn max(self, other: Self) -> Self {
                self.pair(other, #[inline(always)] |a, b| Real::max(a, b))
            }
            #[inline(never)]
            fn min(self, other: Self) -> Self {
                self.pair(other, #[inline(always)] |a, b| Real::min(a, b))
            }
            #[inline(never)]
            fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
                vectorize(#[inline(always)] || {
                    let mut out = no.0;
                    for i in 0..WIDTH {
                        out[i] = if self.0[i] > other.0[i] { yes.0[i] } else { out[i] };
                    }
                    Block(out)
                })
            }
        }
    };
}
real!(f32);
real!(f64);
