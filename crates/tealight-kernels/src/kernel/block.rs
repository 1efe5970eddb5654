//! [`Block`], a fixed number of elements as one [`Real`].
//!
//! A fused loop is fast only if the whole formula is inlined into it, and the compiler cannot be made to inline a user's
//! function. With blocks nothing needs inlining: each operation is a vector loop over a block in the level-1 cache, compiled
//! here, optimised also in a debug build.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Element;
use super::buffer::{Uninit, fill};
use super::parallel::vectorize;
use crate::elementary;
use crate::formula::{Real, Sealed};

/// Elements of a block: enough to make a call cheap, few enough for a dozen blocks to stay in cache.
pub(super) const WIDTH: usize = 64;

/// 64 elements that are computed together, as one [`Real`].
#[derive(Clone, Copy, Debug)]
#[repr(align(64))] // a cache line, see `Aligned`
pub struct Block<T>([T; WIDTH]);

impl<T: Element> Block<T> {
    pub(super) fn zero() -> Self {
        Block([T::default(); WIDTH])
    }

    /// Overwrites the first elements with up to [`WIDTH`] of `from`.
    pub(super) fn load(&mut self, from: &[T]) {
        self.0[..from.len()].copy_from_slice(from);
    }

    /// Initialises all of `out`, which is no longer than a block.
    pub(super) fn store(&self, out: &mut [Uninit<T>]) {
        let n = out.len();
        fill(out, |i| self.0[..n][i]);
    }

    /// Uses the widest vector instructions of the machine.
    #[inline(always)]
    fn map(self, f: impl Fn(T) -> T) -> Self {
        vectorize!({
            let mut out = self.0;
            for i in 0..WIDTH {
                out[i] = f(out[i]);
            }
            Block(out)
        })
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        vectorize!({
            let mut out = self.0;
            for i in 0..WIDTH {
                out[i] = f(out[i], other.0[i]);
            }
            Block(out)
        })
    }
}

macro_rules! operators {
    ($t:ident: $($trait:ident $method:ident),*) => {$(
        impl $trait for Block<$t> {
            type Output = Self;
            #[inline(never)]
            fn $method(self, other: Self) -> Self {
                self.zip(other, #[inline(always)] |a, b| a.$method(b))
            }
        }
    )*};
}

macro_rules! functions {
    ($t:ident $($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
        $(
            #[inline(never)]
            fn $method(self) -> Self {
                self.map(#[inline(always)] |x| <$t as Real>::$method(x))
            }
        )*
    };
}

macro_rules! block {
    ($t:ident) => {
        operators!($t: Add add, Sub sub, Mul mul, Div div);

        impl Neg for Block<$t> {
            type Output = Self;
            #[inline(never)]
            fn neg(self) -> Self {
                self.map(#[inline(always)] |x| -x)
            }
        }

        impl Sealed for Block<$t> {}

        impl Real for Block<$t> {
            #[inline(never)]
            fn constant(value: f64) -> Self {
                Block([value as $t; WIDTH])
            }
            elementary!(functions $t);

            #[inline(never)]
            fn powf(self, exponent: Self) -> Self {
                self.zip(exponent, #[inline(always)] |a, b| Real::powf(a, b))
            }
            #[inline(never)]
            fn powi(self, n: i32) -> Self {
                self.map(#[inline(always)] |x| Real::powi(x, n))
            }
            #[inline(never)]
            fn remainder(self, divisor: Self) -> Self {
                self.zip(divisor, #[inline(always)] |a, b| Real::remainder(a, b))
            }
            #[inline(never)]
            fn maximum(self, other: Self) -> Self {
                self.zip(other, #[inline(always)] |a, b| Real::maximum(a, b))
            }
            #[inline(never)]
            fn minimum(self, other: Self) -> Self {
                self.zip(other, #[inline(always)] |a, b| Real::minimum(a, b))
            }
            #[inline(never)]
            fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
                vectorize!({
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
block!(f32);
block!(f64);
