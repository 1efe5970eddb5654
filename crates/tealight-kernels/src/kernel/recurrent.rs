//! Recurrent layers: all steps of one layer in one direction, forward and backward.
//!
//! The products of the inputs are made before, in one; here each step adds the product of the state and applies the cell. Sequences do
//! not meet, so threads take some each for all steps. Each element of a step's product is one fused multiply-add after the other,
//! whatever the vectors' width.

use pulp::{Simd, WithSimd};

use super::buffer::{self, Scratch, Uninit, assume_written, assume_written_mut, fill, slots};
use super::gemm::{Matrix, multiply};
use super::parallel::{DisjointChunks, for_each, gemm_worthwhile, product_worthwhile, run};
use super::simd::{Aligned, store};
use super::{Element, reduce};

/// What a step computes from its gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Tanh,
    Relu,
    /// Gates i, f, g, o.
    Lstm,
    /// Gates r, z, n.
    Gru,
}

impl Cell {
    /// How many times `hidden` elements the gates of a step have.
    pub fn gates(self) -> usize {
        match self {
            Cell::Tanh | Cell::Relu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// How many tensors the state has: h and, of an LSTM, c.
    pub fn states(self) -> usize {
        if self == Cell::Lstm { 2 } else { 1 }
    }

    /// The gates that a step keeps. The fourth of a GRU is n; the third is what r scales.
    fn kept(self) -> usize {
        if self == Cell::Gru { 4 } else { self.gates() }
    }
}

/// A layer in one direction over `batch` sequences of `steps` steps. Element `row` of the inputs, the outputs and what is kept is
/// that of a step of a sequence.
#[derive(Clone, Debug)]
pub struct Scan {
    pub cell: Cell,
    pub steps: usize,
    pub batch: usize,
    pub hidden: usize,
    /// Whether rows have the order (step, sequence), not (sequence, step).
    pub time_first: bool,
    /// Whether the last step comes first.
    pub reverse: bool,
    /// The steps of each sequence, if they differ. Beyond, outputs are 0 and the state stays.
    pub lengths: Option<Vec<usize>>,
    /// Whether the last state follows the outputs.
    pub with_state: bool,
}

/// What [`Scan::forward`] keeps for [`Scan::backward`].
pub struct Kept<T> {
    pub gates: Vec<T>,
    /// c after each step of an LSTM; otherwise empty.
    pub cells: Vec<T>,
}

/// The arrays that [`Scan::forward`] reads: W·x + b of all steps, W_h, b_h of a GRU, and the state.
#[derive(Clone, Copy)]
pub struct Inputs<'a, T> {
    pub x: &'a [T],
    pub weight: &'a [T],
    pub bias: Option<&'a [T]>,
    pub h: &'a [T],
    pub c: &'a [T],
}

/// The gradients of [`Inputs`].
pub struct Gradients<T> {
    pub x: Vec<T>,
    pub weight: Option<Vec<T>>,
    pub bias: Option<Vec<T>>,
    pub h: Vec<T>,
    pub c: Vec<T>,
}

impl Scan {
    fn rows(&self) -> usize {
        self.steps * self.batch
    }

    fn row(&self, step: usize, sequence: usize) -> usize {
        if self.time_first { step * self.batch + sequence } else { sequence * self.steps + step }
    }

    /// The steps in the order in which they run.
    fn order(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let (last, reverse) = (self.steps - 1, self.reverse);
        (0..self.steps).map(move |i| if reverse { last - i } else { i })
    }

    fn has_ended(&self, step: usize, sequence: usize) -> bool {
        self.lengths.as_ref().is_some_and(|lengths| step >= lengths[sequence])
    }

    /// Row `step`, `sequence` of `rows` one step earlier in the direction, or the initial one.
    fn before<'a, T>(&self, rows: &'a [T], initial: &'a [T], step: usize, sequence: usize) -> &'a [T] {
        let earlier = if self.reverse { step + 1 } else { step.wrapping_sub(1) };
        let (from, at) = match earlier < self.steps && !self.has_ended(earlier, sequence) {
            true => (rows, self.row(earlier, sequence)),
            false => (initial, sequence),
        };
        &from[at * self.hidden..][..self.hidden]
    }

    /// The number of elements of the outputs, with the last state.
    pub fn output_len(&self) -> usize {
        let state = if self.with_state { self.cell.states() * self.batch } else { 0 };
        (self.rows() + state) * self.hidden
    }

    pub fn gates_len(&self) -> usize {
        self.rows() * self.cell.kept() * self.hidden
    }

    pub fn cells_len(&self) -> usize {
        if self.cell == Cell::Lstm { self.rows() * self.hidden } else { 0 }
    }

    /// How many sequences a thread takes at a time. Rows of one step lie side by side if `time_first`, so there it divides the batch.
    fn block(&self) -> usize {
        let work = self.rows() * self.cell.gates() * self.hidden * self.hidden;
        if !product_worthwhile(work) {
            return self.batch;
        }
        let block = self.batch.div_ceil(rayon::current_num_threads());
        if self.time_first && !self.batch.is_multiple_of(block) { self.batch } else { block }
    }

    /// The rows of sequences, `width` elements each, in blocks that threads may take.
    fn chunks<'a, T: Send>(&self, data: &'a mut [T], width: usize, block: usize) -> DisjointChunks<'a, T> {
        let steps = if self.time_first && block < self.batch { 1 } else { self.steps };
        DisjointChunks::new(data, block * width * steps)
    }

    /// Block number `i` of [`chunks`](Self::chunks).
    fn taken<'a, T: Send>(
        &self,
        chunks: &DisjointChunks<'a, T>,
        width: usize,
        block: usize,
        i: usize,
    ) -> Rows<'a, T> {
        let later = if self.time_first && block < self.batch { 1..self.steps } else { 0..0 };
        Rows {
            run: chunks.take(i),
            later: later.map(|step| chunks.take(step * self.batch / block + i)).collect(),
            width,
            distances: if self.time_first { [block, 1] } else { [1, self.steps] },
        }
    }

    /// The outputs of all steps, (rows, hidden), and behind them the last state if it is wanted; and what the backward pass needs if
    /// `keep`.
    pub fn forward<T: Element>(&self, inputs: Inputs<T>, keep: bool) -> (Vec<T>, Kept<T>) {
        forward(self, inputs, keep)
    }

    /// The gradients, from that of the output `y`; those of W_h and b_h if `weight`.
    pub fn backward<T: Element>(
        &self,
        inputs: Inputs<T>,
        kept: [&[T]; 2],
        y: &[T],
        grad: &[T],
        weight: bool,
    ) -> Gradients<T> {
        backward(self, inputs, kept, y, grad, weight)
    }
}

/// The rows of some sequences: one run of memory, or one for each step.
struct Rows<'a, T> {
    run: &'a mut [T],
    /// Those of the later steps, if each has one.
    later: Vec<&'a mut [T]>,
    width: usize,
    /// In rows: from a step to the next, and from a sequence to the next.
    distances: [usize; 2],
}

impl<'a, T> Rows<'a, T> {
    /// One step.
    fn of(rows: &'a mut [T], width: usize) -> Self {
        Rows { run: rows, later: Vec::new(), width, distances: [0, 1] }
    }

    /// From the first sequence on: element i of sequence k is number k · stride + i.
    #[inline(always)]
    fn from(&mut self, step: usize) -> (&mut [T], usize) {
        let [step_rows, sequence_rows] = self.distances;
        let rows = match self.later.is_empty() || step == 0 {
            true => &mut self.run[step * step_rows * self.width..],
            false => &mut *self.later[step - 1],
        };
        (rows, sequence_rows * self.width)
    }

    #[inline(always)]
    fn row(&mut self, step: usize, sequence: usize) -> &mut [T] {
        let width = self.width;
        let (rows, stride) = self.from(step);
        &mut rows[sequence * stride..][..width]
    }
}

/// Columns of a step's product that are made together, rows of it, and products of each element: the sums stay in registers, and the
/// part of the weight that they read in level-1 cache.
const HEIGHT: usize = 4;
const DEPTH: usize = 64;
/// Elements of the widest tile.
const WIDEST: usize = 64;

/// A matrix (k, n) in panels of `width` columns, each row by row.
struct Panels<T: 'static> {
    data: Scratch<T>,
    k: usize,
    n: usize,
    width: usize,
}

impl<T: Element> Panels<T> {
    #[inline(always)]
    fn new(matrix: Matrix<T>, [k, n]: [usize; 2], width: usize) -> Self {
        let mut data = Scratch::new(k * n.next_multiple_of(width));
        for (panel, first) in data.chunks_exact_mut((k * width).max(1)).zip((0..n).step_by(width)) {
            let columns = width.min(n - first);
            for p in 0..k {
                let (row, from) =
                    (&mut panel[p * width..][..columns], p * matrix.rows + first * matrix.columns);
                for (j, x) in row.iter_mut().enumerate() {
                    *x = matrix.data[from + j * matrix.columns];
                }
                panel[p * width..][columns..width].fill(T::default());
            }
        }
        Panels { data, k, n, width }
    }
}

/// out ← a·panels, or out + a·panels if `add`, for m rows; both slices are given with their distance from row to row.
///
/// # Safety
/// If `add`, the first n elements of each row of `out` are initialised. (Otherwise they are afterwards.)
// `copy_from_slice` would take the address of the sums, which then leave their registers.
#[allow(clippy::manual_memcpy, clippy::needless_range_loop)]
#[inline(always)]
unsafe fn product<S: Simd, T: Element, const V: usize>(
    simd: S,
    (out, stride): (&mut [Uninit<T>], usize),
    (a, lead): (&[T], usize),
    m: usize,
    panels: &Panels<T>,
    add: bool,
) {
    let Panels { data, k, n, width } = panels;
    let (k, n, width) = (*k, *n, *width);
    for (panel, first) in data.chunks_exact(k * width).zip((0..n).step_by(width)) {
        let columns = width.min(n - first);
        for (part, panel) in panel.chunks(DEPTH * width).enumerate() {
            let from = part * DEPTH;
            let depth = panel.len() / width;
            for i in (0..m).step_by(HEIGHT) {
                let height = HEIGHT.min(m - i);
                // The first row stands in for missing ones.
                let mut rows = [&a[i * lead + from..][..depth]; HEIGHT];
                for r in 1..height {
                    rows[r] = &a[(i + r) * lead + from..][..depth];
                }
                let mut sums = [[T::splat(simd, T::default()); V]; HEIGHT];
                if add || part > 0 {
                    // Over all rows of a tile: a number of them that is not known would take the sums out of their registers.
                    for r in 0..HEIGHT {
                        if r < height {
                            let old = &out[(i + r) * stride + first..][..columns];
                            // SAFETY: initialised by this function's contract, or by the part before.
                            let old = unsafe { assume_written(old) };
                            if columns == width {
                                let old = &T::vectors::<S>(old)[..V];
                                for l in 0..V {
                                    sums[r][l] = old[l];
                                }
                            } else {
                                let mut line = Aligned([T::default(); WIDEST]);
                                for l in 0..columns {
                                    line.0[l] = old[l];
                                }
                                let line = &T::vectors::<S>(&line.0)[..V];
                                for l in 0..V {
                                    sums[r][l] = line[l];
                                }
                            }
                        }
                    }
                }
                for (p, row) in panel.chunks_exact(width).enumerate() {
                    let row = T::vectors::<S>(row);
                    for r in 0..HEIGHT {
                        let x = T::splat(simd, rows[r][p]);
                        for l in 0..V {
                            sums[r][l] = T::fused(simd, x, row[l], sums[r][l]);
                        }
                    }
                }
                for r in 0..HEIGHT {
                    if r < height {
                        let out = &mut out[(i + r) * stride + first..][..columns];
                        if columns == width {
                            for l in 0..V {
                                store(sums[r][l], &mut out[l * (width / V)..][..width / V]);
                            }
                        } else {
                            let mut line = Aligned([T::default(); WIDEST]);
                            let vectors = &mut T::vectors_mut::<S>(&mut line.0)[..V];
                            for l in 0..V {
                                vectors[l] = sums[r][l];
                            }
                            for l in 0..columns {
                                out[l].write(line.0[l]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Calls `$f::<S, T, V>` with as many vectors a tile as there are registers for.
macro_rules! by_registers {
    ($f:ident, $simd:ident, $T:ident, $S:ident, ($($argument:expr),*)) => {
        match size_of::<$T::Vector<$S>>() {
            64 | 16 => $f::<$S, $T, 4>($simd, $($argument),*),
            _ => $f::<$S, $T, 2>($simd, $($argument),*),
        }
    };
}

/// [`forward`] for the sequences from `first` on, whose outputs and kept arrays are given.
struct Forward<'a, 'b, T> {
    scan: &'b Scan,
    inputs: Inputs<'b, T>,
    keep: bool,
    first: usize,
    y: Rows<'a, Uninit<T>>,
    /// Of one step, unless they are kept.
    gates: Rows<'a, Uninit<T>>,
    cells: Option<Rows<'a, Uninit<T>>>,
    /// The state, which these steps move on.
    h: &'a mut [T],
    c: &'a mut [T],
}

impl<T: Element> WithSimd for Forward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_registers!(forward_block, simd, T, S, (self));
    }
}

#[inline(always)]
fn forward_block<S: Simd, T: Element, const V: usize>(simd: S, block: Forward<T>) {
    let Forward { scan, inputs, keep, first, mut y, mut gates, mut cells, h, c } = block;
    let Scan { cell, hidden, .. } = *scan;
    let (width, m) = (cell.gates() * hidden, h.len() / hidden);
    let weight = Matrix { data: inputs.weight, rows: 1, columns: hidden };
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let panels = Panels::new(weight, [hidden, width], V * lanes);
    let zeros = Scratch::zeros(if cell == Cell::Gru && inputs.bias.is_none() { width } else { 0 });
    let bias = inputs.bias.unwrap_or(&zeros);
    for step in scan.order() {
        let slot = if keep { step } else { 0 };
        let (out, stride) = gates.from(slot);
        // SAFETY: nothing is added to.
        unsafe { product::<S, T, V>(simd, (out, stride), (h, hidden), m, &panels, false) };
        for sequence in 0..m {
            let row = scan.row(step, first + sequence);
            let (gates, candidate) = gates.row(slot, sequence).split_at_mut(width);
            // SAFETY: the product wrote these.
            let gates = unsafe { assume_written_mut(gates) };
            let h = &mut h[sequence * hidden..][..hidden];
            let c = if cell == Cell::Lstm { &mut c[sequence * hidden..][..hidden] } else { &mut [] };
            let ended = scan.has_ended(step, first + sequence);
            if ended {
                fill(candidate, |_| T::default());
            } else {
                let x = &inputs.x[row * width..][..width];
                match cell {
                    Cell::Tanh => plain(gates, x, h, |x| x.tanh()),
                    Cell::Relu => plain(gates, x, h, |x| x.select_gt(T::default(), x, T::default())),
                    Cell::Lstm => lstm(gates, x, h, c),
                    Cell::Gru => gru(gates, candidate, x, bias, h),
                }
            }
            if let Some(cells) = &mut cells {
                fill(cells.row(step, sequence), |j| c[j]);
            }
            fill(y.row(step, sequence), |j| if ended { T::default() } else { h[j] });
        }
    }
}

#[inline(always)]
fn plain<T: Element>(gates: &mut [T], x: &[T], h: &mut [T], f: impl Fn(T) -> T) {
    for j in 0..h.len() {
        gates[j] = f(x[j] + gates[j]);
        h[j] = gates[j];
    }
}

/// Applies σ to the sums of gates and inputs.
#[inline(always)]
fn opened<T: Element>(gates: &mut [T], x: &[T]) {
    for j in 0..gates.len() {
        gates[j] = (x[j] + gates[j]).sigmoid();
    }
}

#[inline(always)]
fn lstm<T: Element>(gates: &mut [T], x: &[T], h: &mut [T], c: &mut [T]) {
    let n = h.len();
    opened(&mut gates[..2 * n], &x[..2 * n]);
    for j in 2 * n..3 * n {
        gates[j] = (x[j] + gates[j]).tanh();
    }
    opened(&mut gates[3 * n..4 * n], &x[3 * n..4 * n]);
    let (i, f, g, o) = (&gates[..n], &gates[n..2 * n], &gates[2 * n..3 * n], &gates[3 * n..4 * n]);
    let c = &mut c[..n];
    for j in 0..n {
        c[j] = f[j] * c[j] + i[j] * g[j];
        h[j] = o[j] * c[j].tanh();
    }
}

#[inline(always)]
fn gru<T: Element>(gates: &mut [T], candidate: &mut [Uninit<T>], x: &[T], bias: &[T], h: &mut [T]) {
    let n = h.len();
    for j in 0..3 * n {
        gates[j] += bias[j];
    }
    opened(&mut gates[..2 * n], &x[..2 * n]);
    let (r, z, own, x) = (&gates[..n], &gates[n..2 * n], &gates[2 * n..3 * n], &x[2 * n..3 * n]);
    let candidate = fill(&mut candidate[..n], |j| (x[j] + r[j] * own[j]).tanh());
    for j in 0..n {
        h[j] = candidate[j] + z[j] * (h[j] - candidate[j]);
    }
}

fn forward<T: Element>(scan: &Scan, inputs: Inputs<T>, keep: bool) -> (Vec<T>, Kept<T>) {
    let Scan { cell, steps, batch, hidden, .. } = *scan;
    let empty = || Kept { gates: Vec::new(), cells: Vec::new() };
    if batch * hidden * steps == 0 {
        return (buffer::zeros(scan.output_len()), empty());
    }
    scan.check(&inputs);
    assert_eq!(
        inputs.x.len(),
        scan.rows() * cell.gates() * hidden,
        "kernel::recurrent: inputs of another size"
    );
    let (block, width) = (scan.block(), cell.kept() * hidden);
    let blocks = batch.div_ceil(block);
    let (mut h, mut c) = (Scratch::of(inputs.h), Scratch::of(inputs.c));
    let mut kept = empty();
    let lstm = cell == Cell::Lstm;
    // SAFETY: each step of each sequence writes a row of each array that is made here. The last state follows.
    let y = unsafe {
        buffer::written(scan.output_len(), |out| {
            let (y, state) = out.split_at_mut(scan.rows() * hidden);
            let ys = scan.chunks(y, hidden, block);
            let (hs, cs) =
                (DisjointChunks::new(&mut h, block * hidden), DisjointChunks::new(&mut c, block * hidden));
            kept.gates = buffer::written(if keep { scan.gates_len() } else { 0 }, |gates| {
                let all_gates = scan.chunks(gates, width, block);
                kept.cells = buffer::written(if keep { scan.cells_len() } else { 0 }, |cells| {
                    let all_cells = scan.chunks(cells, hidden, block);
                    for_each(blocks, blocks > 1, &|i| {
                        let (y, h) = (scan.taken(&ys, hidden, block, i), hs.take(i));
                        let c = if lstm { cs.take(i) } else { &mut [] };
                        // Gates of one step, if they are not kept.
                        let mut scratch = Scratch::new(if keep { 0 } else { block * width });
                        let gates = match keep {
                            true => scan.taken(&all_gates, width, block, i),
                            // SAFETY: only numbers are written to the slots.
                            false => Rows::of(slots(&mut scratch), width),
                        };
                        let cells = (keep && lstm).then(|| scan.taken(&all_cells, hidden, block, i));
                        run(Forward { scan, inputs, keep, first: i * block, y, gates, cells, h, c });
                    });
                });
            });
            for (out, from) in state.chunks_exact_mut(batch * hidden).zip([&h, &c]) {
                fill(out, |j| from[j]);
            }
        })
    };
    (y, kept)
}

/// [`backward`] for the sequences from `first` on.
struct Backward<'a, 'b, T> {
    scan: &'b Scan,
    inputs: Inputs<'b, T>,
    /// Of all sequences.
    gates: &'b [T],
    cells: &'b [T],
    y: &'b [T],
    grad: &'b [T],
    first: usize,
    /// The gradients of the gates, as the inputs have them.
    x: Rows<'a, Uninit<T>>,
    /// As the product of the state has them, where these are others.
    own: Option<Rows<'a, Uninit<T>>>,
    /// The gradients of the state, which these steps take back.
    h: &'a mut [T],
    c: &'a mut [T],
}

impl<T: Element> WithSimd for Backward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_registers!(backward_block, simd, T, S, (self));
    }
}

#[inline(always)]
fn backward_block<S: Simd, T: Element, const V: usize>(simd: S, block: Backward<T>) {
    let Backward { scan, inputs, gates, cells, y, grad, first, mut x, mut own, h, c } = block;
    let Scan { cell, hidden, .. } = *scan;
    let (width, kept, m) = (cell.gates() * hidden, cell.kept() * hidden, h.len() / hidden);
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let weight = Matrix { data: inputs.weight, rows: hidden, columns: 1 };
    let panels = Panels::new(weight, [width, hidden], V * lanes);
    let mut squashed = Scratch::new(hidden);
    for step in scan.order().rev() {
        for sequence in 0..m {
            let (row, all) = (scan.row(step, first + sequence), first + sequence);
            let dx = x.row(step, sequence);
            if scan.has_ended(step, all) {
                fill(dx, |_| T::default());
                if let Some(own) = &mut own {
                    fill(own.row(step, sequence), |_| T::default());
                }
                continue;
            }
            let gates = &gates[row * kept..][..kept];
            let h = &mut h[sequence * hidden..][..hidden];
            added(h, &grad[row * hidden..][..hidden]);
            match cell {
                Cell::Tanh => {
                    fill(dx, |j| h[j] * (T::constant(1.0) - gates[j] * gates[j]));
                    h.fill(T::default());
                }
                Cell::Relu => {
                    fill(dx, |j| gates[j].select_gt(T::default(), h[j], T::default()));
                    h.fill(T::default());
                }
                Cell::Lstm => {
                    let c = &mut c[sequence * hidden..][..hidden];
                    let after = &cells[row * hidden..][..hidden];
                    lstm_backward(
                        dx,
                        gates,
                        after,
                        scan.before(cells, inputs.c, step, all),
                        h,
                        c,
                        &mut squashed,
                    );
                    h.fill(T::default());
                }
                Cell::Gru => {
                    let own = own.as_mut().expect("a GRU has its own").row(step, sequence);
                    gru_backward(dx, own, gates, scan.before(y, inputs.h, step, all), h);
                }
            }
        }
        let (grads, stride) = match &mut own {
            Some(own) => own.from(step),
            None => x.from(step),
        };
        // SAFETY: the loop wrote the first rows, which are all that the product reads.
        let grads = unsafe { assume_written(&grads[..(m - 1) * stride + width]) };
        // SAFETY: a slice of initialised elements, which stay so.
        unsafe {
            let h = &mut *(std::ptr::from_mut(&mut *h) as *mut [Uninit<T>]);
            product::<S, T, V>(simd, (h, hidden), (grads, stride), m, &panels, true);
        }
    }
}

#[inline(always)]
fn added<T: Element>(to: &mut [T], x: &[T]) {
    for j in 0..to.len() {
        to[j] += x[j];
    }
}

/// The gradients of the gates; `c` is the gradient of c after the step, and then of that before.
#[inline(always)]
fn lstm_backward<T: Element>(
    dx: &mut [Uninit<T>],
    gates: &[T],
    after: &[T],
    before: &[T],
    h: &[T],
    c: &mut [T],
    squashed: &mut [T],
) {
    let n = h.len();
    let one = T::constant(1.0);
    let (i, f, g, o) = (&gates[..n], &gates[n..2 * n], &gates[2 * n..3 * n], &gates[3 * n..4 * n]);
    let (after, before, c, squashed) = (&after[..n], &before[..n], &mut c[..n], &mut squashed[..n]);
    let (di, rest) = dx.split_at_mut(n);
    let (df, rest) = rest.split_at_mut(n);
    let (dg, rest) = rest.split_at_mut(n);
    let d_o = &mut rest[..n];
    for j in 0..n {
        squashed[j] = after[j].tanh();
    }
    for j in 0..n {
        c[j] += h[j] * o[j] * (one - squashed[j] * squashed[j]);
    }
    fill(d_o, |j| h[j] * squashed[j] * (o[j] * (one - o[j])));
    fill(di, |j| c[j] * g[j] * (i[j] * (one - i[j])));
    fill(dg, |j| c[j] * i[j] * (one - g[j] * g[j]));
    fill(df, |j| c[j] * before[j] * (f[j] * (one - f[j])));
    for j in 0..n {
        c[j] *= f[j];
    }
}

/// The gradients of the gates for the input and for the product of the state; `h` is the gradient of h after the step, and then what
/// reaches that before without the product.
#[inline(always)]
fn gru_backward<T: Element>(
    dx: &mut [Uninit<T>],
    own: &mut [Uninit<T>],
    gates: &[T],
    before: &[T],
    h: &mut [T],
) {
    let n = h.len();
    let one = T::constant(1.0);
    let (r, z, scaled, new) = (&gates[..n], &gates[n..2 * n], &gates[2 * n..3 * n], &gates[3 * n..4 * n]);
    let before = &before[..n];
    let (dr, rest) = dx.split_at_mut(n);
    let (dz, dn) = rest.split_at_mut(n);
    let dn = fill(&mut dn[..n], |j| h[j] * (one - z[j]) * (one - new[j] * new[j]));
    let dr = fill(dr, |j| dn[j] * scaled[j] * (r[j] * (one - r[j])));
    let dz = fill(dz, |j| h[j] * (before[j] - new[j]) * (z[j] * (one - z[j])));
    fill(&mut own[..n], |j| dr[j]);
    fill(&mut own[n..2 * n], |j| dz[j]);
    fill(&mut own[2 * n..3 * n], |j| dn[j] * r[j]);
    for j in 0..n {
        h[j] *= z[j];
    }
}

fn backward<T: Element>(
    scan: &Scan,
    inputs: Inputs<T>,
    [gates, cells]: [&[T]; 2],
    y: &[T],
    grad: &[T],
    weight: bool,
) -> Gradients<T> {
    let Scan { cell, steps, batch, hidden, .. } = *scan;
    let (rows, width) = (scan.rows(), cell.gates() * hidden);
    let gru = cell == Cell::Gru;
    let state = |k: usize| {
        let from = (rows + k * batch) * hidden;
        if scan.with_state {
            buffer::collected(batch * hidden, grad[from..from + batch * hidden].iter().copied())
        } else {
            buffer::zeros(batch * hidden)
        }
    };
    let mut h = state(0);
    let mut c = if cell == Cell::Lstm { state(1) } else { Vec::new() };
    let (mut x, mut own) = (Vec::new(), Scratch::new(if gru { rows * width } else { 0 }));
    if batch * hidden * steps > 0 {
        scan.check(&inputs);
        let block = scan.block();
        let blocks = batch.div_ceil(block);
        let (hs, cs) =
            (DisjointChunks::new(&mut h, block * hidden), DisjointChunks::new(&mut c, block * hidden));
        // SAFETY: each step of each sequence writes a row of both arrays.
        unsafe {
            x = buffer::written(rows * width, |x| {
                let xs = scan.chunks(x, width, block);
                let owns = scan.chunks(slots(&mut own), width, block);
                for_each(blocks, blocks > 1, &|i| {
                    let (x, h) = (scan.taken(&xs, width, block, i), hs.take(i));
                    let own = gru.then(|| scan.taken(&owns, width, block, i));
                    let c = if cell == Cell::Lstm { cs.take(i) } else { &mut [] };
                    run(Backward { scan, inputs, gates, cells, y, grad, first: i * block, x, own, h, c });
                });
            });
        }
    }
    let of_product = if gru { &own[..] } else { &x };
    let weight = weight.then(|| {
        let mut before = Scratch::new(rows * hidden);
        for (row, out) in before.chunks_exact_mut(hidden.max(1)).enumerate() {
            let (step, sequence) =
                if scan.time_first { (row / batch, row % batch) } else { (row % steps, row / steps) };
            out.copy_from_slice(scan.before(y, inputs.h, step, sequence));
        }
        let mut out = buffer::zeros(width * hidden);
        let before = Matrix { data: &before, rows: hidden, columns: 1 };
        let work = width * rows * hidden;
        let grads = Matrix { data: of_product, rows: 1, columns: width };
        multiply((&mut out, hidden), [width, rows, hidden], grads, before, false, gemm_worthwhile(work));
        out
    });
    let bias = inputs.bias.map(|_| reduce::sum_axis(of_product, 1, rows, width));
    Gradients { x, weight, bias, h, c }
}

impl Scan {
    fn check<T>(&self, inputs: &Inputs<T>) {
        let (gates, state) = (self.cell.gates() * self.hidden, self.batch * self.hidden);
        let c = if self.cell == Cell::Lstm { state } else { 0 };
        assert!(
            inputs.weight.len() == gates * self.hidden
                && inputs.h.len() == state
                && inputs.c.len() == c
                && inputs.bias.is_none_or(|bias| bias.len() == gates),
            "kernel::recurrent: an array of another size"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Inputs, Scan};

    fn numbers(n: usize, seed: f64) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * 0.37 + seed).sin()).collect()
    }

    fn layouts(cell: Cell, [steps, batch, hidden]: [usize; 3]) -> impl Iterator<Item = Scan> {
        let lengths = (0..batch).map(|k| 1 + k * 7 % steps).collect::<Vec<_>>();
        [None, Some(lengths)].into_iter().flat_map(move |lengths| {
            [(false, false), (false, true), (true, false), (true, true)].map(|(time_first, reverse)| {
                let lengths = lengths.clone();
                Scan { cell, steps, batch, hidden, time_first, reverse, lengths, with_state: true }
            })
        })
    }

    /// The gradients against differences of the forward pass, in all layouts.
    #[test]
    fn gradients() {
        for cell in [Cell::Tanh, Cell::Relu, Cell::Lstm, Cell::Gru] {
            for scan in layouts(cell, [3, 5, 3]) {
                let (gates, state) = (cell.gates() * 3, 5 * 3);
                let c = numbers(if cell == Cell::Lstm { state } else { 0 }, 0.4);
                let bias = (cell == Cell::Gru).then(|| numbers(gates, 0.9));
                let arrays = [numbers(15 * gates, 0.1), numbers(gates * 3, 0.2), numbers(state, 0.3), c];
                let loss = |arrays: &[Vec<f64>; 4], bias: &Option<Vec<f64>>| {
                    let [x, weight, h, c] = arrays;
                    let inputs = Inputs { x, weight, bias: bias.as_deref(), h, c };
                    let (y, _) = scan.forward(inputs, false);
                    assert_eq!(y, scan.forward(inputs, true).0);
                    y.iter().zip(numbers(y.len(), 0.6)).map(|(y, g)| y * g).sum::<f64>()
                };
                let [x, weight, h, c] = &arrays;
                let inputs = Inputs { x, weight, bias: bias.as_deref(), h, c };
                let (y, kept) = scan.forward(inputs, true);
                let kept = [&kept.gates[..], &kept.cells];
                let got = scan.backward(inputs, kept, &y, &numbers(y.len(), 0.6), true);
                let got = [got.x, got.weight.unwrap(), got.h, got.c, got.bias.unwrap_or_default()];
                for (k, got) in got.iter().enumerate() {
                    for (i, got) in got.iter().enumerate() {
                        let at = |by: f64| {
                            let (mut arrays, mut bias) = (arrays.clone(), bias.clone());
                            match k {
                                4 => bias.as_mut().unwrap()[i] += by,
                                _ => arrays[k][i] += by,
                            }
                            loss(&arrays, &bias)
                        };
                        let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                        assert!((got - slope).abs() < 1e-8, "{scan:?} {k} {i}: {got} {slope}");
                    }
                }
            }
        }
    }

    /// Any number of sequences and units gives what one sequence alone gives, bit for bit, on one thread and on several.
    #[test]
    fn sequences_do_not_meet() {
        for cell in [Cell::Tanh, Cell::Relu, Cell::Lstm, Cell::Gru] {
            for [steps, batch, hidden] in [[2, 7, 1], [5, 8, 19], [2, 6, 150]] {
                for scan in layouts(cell, [steps, batch, hidden]) {
                    let (gates, n) = (cell.gates() * hidden, hidden);
                    let (weight, bias) = (numbers(gates * n, 0.2), numbers(gates, 0.7));
                    let (x, h) = (numbers(steps * batch * gates, 0.1), numbers(batch * n, 0.3));
                    let c = if cell == Cell::Lstm { numbers(batch * n, 0.4) } else { vec![] };
                    let bias = (cell == Cell::Gru).then_some(&bias[..]);
                    let run = || scan.forward(Inputs { x: &x, weight: &weight, bias, h: &h, c: &c }, true).0;
                    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
                    let y = pool(1).install(run);
                    assert_eq!(y, pool(2).install(run));
                    assert_eq!(y, pool(3).install(run));
                    for k in 0..batch {
                        let lengths = scan.lengths.as_ref().map(|lengths| vec![lengths[k]]);
                        let alone = Scan { batch: 1, lengths, ..scan.clone() };
                        let rows: Vec<usize> = (0..steps).map(|step| scan.row(step, k)).collect();
                        let part = |all: &[f64], width: usize| -> Vec<f64> {
                            rows.iter().flat_map(|row| &all[row * width..][..width]).copied().collect()
                        };
                        let c = if c.is_empty() { &[] } else { &c[k * n..][..n] };
                        let x = part(&x, gates);
                        let inputs = Inputs { x: &x, weight: &weight, bias, h: &h[k * n..][..n], c };
                        let mut expected = part(&y, n);
                        for s in 0..cell.states() {
                            expected.extend_from_slice(&y[(steps * batch + s * batch + k) * n..][..n]);
                        }
                        assert_eq!(alone.forward(inputs, false).0, expected, "{scan:?}");
                    }
                }
            }
        }
    }
}
