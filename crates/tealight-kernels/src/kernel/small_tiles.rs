//! Matrix products in WebAssembly, whose program is small and has 16 registers.

use pulp::{Simd, WithSimd};

use super::Element;
use super::buffer::{self, Uninit};
use super::gemm::Matrix;

/// The columns and the rows of a tile: their sums stay in registers.
const WIDTH: usize = 8;
const HEIGHT: usize = 4;

/// Rows of the right factor that are copied at a time.
const DEEP: usize = 256;

/// A product: each element is one multiplication and addition after the other.
///
/// `out` is as for `gemm::product`; a holds m × k elements, b holds k × n.
pub(super) struct Small<'a, T> {
    pub out: *mut T,
    pub rows: usize,
    pub sizes: [usize; 3],
    pub a: Matrix<'a, T>,
    pub b: Matrix<'a, T>,
    pub add: bool,
}

impl<T: Element> WithSimd for Small<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match WIDTH * size_of::<T>() / size_of::<T::Vector<S>>() {
            1 => self.tiles::<S, 1>(simd),
            2 => self.tiles::<S, 2>(simd),
            4 => self.tiles::<S, 4>(simd),
            8 => self.tiles::<S, 8>(simd),
            _ => self.one_by_one(),
        }
    }
}

impl<T: Element> Small<'_, T> {
    /// The same sums without vectors.
    fn one_by_one(self) {
        let Small { out, rows, sizes: [m, k, n], a, b, add } = self;
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let sum = (0..k).fold(T::default(), |sum, p| {
                a.data[i * a.rows + p * a.columns].multiply_add(b.data[p * b.rows + j * b.columns], sum)
            });
            // SAFETY: by the contract of `product`, for i < m and j < n.
            unsafe {
                let to = out.add(i * rows + j);
                to.write(if add { to.read() + sum } else { sum });
            }
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const N: usize>(self, simd: S) {
        let Small { out, rows, sizes: [m, k, n], a, b, add } = self;
        let mut packed = [const { Uninit::<T>::uninit() }; DEEP * WIDTH];
        let in_place = b.columns == 1 && n % WIDTH == 0;
        for j in (0..n).step_by(WIDTH) {
            let width = WIDTH.min(n - j);
            for i in (0..m).step_by(HEIGHT) {
                let height = HEIGHT.min(m - i);
                // The rows below the last one are computed from that one, and not written.
                let lines: [usize; HEIGHT] = std::array::from_fn(|r| (i + r.min(height - 1)) * a.rows);
                let mut sums = [[T::splat(simd, T::default()); N]; HEIGHT];
                for from in (0..k).step_by(DEEP) {
                    let depth = DEEP.min(k - from);
                    if !in_place && (i == 0 || k > DEEP) {
                        for p in 0..depth {
                            let row = &mut packed[p * WIDTH..(p + 1) * WIDTH];
                            for l in 0..width {
                                row[l].write(b.data[(from + p) * b.rows + (j + l) * b.columns]);
                            }
                            for l in width..WIDTH {
                                row[l].write(T::default());
                            }
                        }
                    }
                    let (right, step) = match in_place {
                        true => (&b.data[from * b.rows + j..], b.rows),
                        // SAFETY: these rows were written just now, or, if they are all there are, for the first tile.
                        false => (unsafe { buffer::assume_written(&packed[..depth * WIDTH]) }, WIDTH),
                    };
                    for p in 0..depth {
                        let row = T::vectors::<S>(&right[p * step..][..WIDTH]);
                        for r in 0..HEIGHT {
                            // SAFETY: a holds the element (i + r, from + p), or that of the last row.
                            let x = unsafe { *a.data.get_unchecked(lines[r] + (from + p) * a.columns) };
                            let x = T::splat(simd, x);
                            for l in 0..N {
                                sums[r][l] = T::fused(simd, x, row[l], sums[r][l]);
                            }
                        }
                    }
                }
                for r in 0..height {
                    let mut line = [T::default(); WIDTH];
                    T::vectors_mut::<S>(&mut line)[..N].copy_from_slice(&sums[r]);
                    for l in 0..width {
                        // SAFETY: by the contract of `product`, for i + r < m and j + l < n.
                        unsafe {
                            let to = out.add((i + r) * rows + j + l);
                            to.write(if add { to.read() + line[l] } else { line[l] });
                        }
                    }
                }
            }
        }
    }
}
