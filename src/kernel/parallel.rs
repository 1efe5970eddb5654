//! Instruction sets and threads.

use rayon::prelude::*;

/// Runs `f` compiled for the best instruction set of this machine. Everything that `f` calls must be inlined into it.
#[inline(always)]
pub(crate) fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    struct Body<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Body<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Body(f))
}

/// Below this many elements a second thread costs more than it gains: to wake it takes as long as 100,000 elements do, and
/// page faults of two threads wait for each other. (The crate's own tests use threads from few elements on.)
const PARALLEL_FROM: usize = if cfg!(test) { 1 << 14 } else { 1 << 20 };

/// The same for the multiplications of a matrix product.
const PARALLEL_PRODUCTS_FROM: usize = 32 * PARALLEL_FROM;

/// Elements that a thread takes at a time: few enough for its level-2 cache.
pub(super) const PIECE: usize = 1 << 15;

/// Whether `n` elements are worth more than one thread.
pub(super) fn worthwhile(n: usize) -> bool {
    n >= PARALLEL_FROM && rayon::current_num_threads() > 1
}

/// Whether a matrix product of `n` multiplications is worth more than one thread.
pub(super) fn product_worthwhile(n: usize) -> bool {
    large_product(n) && rayon::current_num_threads() > 1
}

/// The same, were there a second thread: what decides in which order sums are formed asks this, and not for threads.
pub(super) fn large_product(n: usize) -> bool {
    n >= PARALLEL_PRODUCTS_FROM
}

/// Calls `f(i, row i)` for each row of `width` elements, on several threads if that pays.
pub(crate) fn for_each_row<T: Send>(data: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Send + Sync) {
    if width == 0 {
        return;
    }
    if worthwhile(data.len()) {
        let rows = PIECE.div_ceil(width);
        data.par_chunks_mut(rows * width).enumerate().for_each(|(piece, part)| {
            part.chunks_mut(width).enumerate().for_each(|(i, row)| f(piece * rows + i, row));
        });
    } else {
        data.chunks_mut(width).enumerate().for_each(|(i, row)| f(i, row));
    }
}
