//! Which instruction set a loop uses, and how it is divided among threads.

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smallvec::SmallVec;

use super::scope::share;

/// The instruction set of a name, if the machine has it.
fn by_name(name: &str) -> Option<pulp::Arch> {
    match name {
        "scalar" => Some(pulp::Arch::Scalar),
        #[cfg(target_arch = "x86_64")]
        "avx2" => pulp::x86::V3::try_new().map(pulp::Arch::V3),
        #[cfg(target_arch = "x86_64")]
        "avx512" => pulp::x86::V4::try_new().map(pulp::Arch::V4),
        #[cfg(target_arch = "aarch64")]
        "neon" => pulp::aarch64::Neon::try_new().map(pulp::Arch::Neon),
        _ => None,
    }
}

/// The best instruction set of this machine, or the one that `TEALIGHT_SIMD` names if the machine has it.
pub(super) fn arch() -> pulp::Arch {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    *ARCH.get_or_init(|| {
        let named = std::env::var("TEALIGHT_SIMD").ok().and_then(|name| by_name(&name));
        named.unwrap_or_default()
    })
}

/// The instruction set in use: `"avx512"`, `"avx2"`, `"neon"`, `"relaxed-simd"`, `"simd128"` or `"scalar"`.
///
/// The best one of the machine, or, for tests, the one in the environment variable `TEALIGHT_SIMD` if the machine has it. Results
/// are the same bit for bit, except for convolutions. In WebAssembly it is the one of the build.
///
/// ```
/// # use tealight_kernels as tealight;
/// assert!(["avx512", "avx2", "neon", "scalar"].contains(&tealight::kernel::simd_level()));
/// ```
pub fn simd_level() -> &'static str {
    match arch() {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(_) => "avx2",
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(_) => "avx512",
        #[cfg(target_arch = "aarch64")]
        pulp::Arch::Neon(_) => "neon",
        _ if cfg!(target_feature = "relaxed-simd") => "relaxed-simd",
        _ if cfg!(target_feature = "simd128") => "simd128",
        _ => "scalar",
    }
}

/// Whether there are no vector instructions.
pub(super) fn is_scalar() -> bool {
    matches!(arch(), pulp::Arch::Scalar) && !cfg!(target_feature = "simd128")
}

/// Runs `f` on the instruction set in use.
#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
pub(super) fn run<F: pulp::WithSimd>(f: F) -> F::Output {
    arch().dispatch(f)
}

/// Runs `f` on the instruction set of the build: WebAssembly has no choice at run time, and so one copy of each loop.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub(super) fn run<F: pulp::WithSimd>(f: F) -> F::Output {
    #[cfg(target_feature = "relaxed-simd")]
    let simd = pulp::wasm::RelaxedSimd::try_new().expect("the build has relaxed SIMD");
    #[cfg(all(target_feature = "simd128", not(target_feature = "relaxed-simd")))]
    let simd = pulp::wasm::Simd128::try_new().expect("the build has simd128");
    #[cfg(not(target_feature = "simd128"))]
    let simd = pulp::Scalar;
    pulp::Simd::vectorize(simd, f)
}

/// A closure for pulp.
struct Body<F>(F);

impl<R, F: FnOnce() -> R> pulp::WithSimd for Body<F> {
    type Output = R;
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> R {
        (self.0)()
    }
}

/// Calls `f`; see `vectorize!`.
#[inline(always)]
pub(super) fn dispatch<R>(f: impl FnOnce() -> R) -> R {
    run(Body(f))
}

/// [`dispatch`] where [`is_scalar`] is known to be false: there is no copy of `f` for that case.
#[inline(always)]
pub(super) fn dispatch_wide<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    match arch() {
        pulp::Arch::V3(simd) => pulp::Simd::vectorize(simd, Body(f)),
        pulp::Arch::V4(simd) => pulp::Simd::vectorize(simd, Body(f)),
        _ => unreachable!("the caller asked `is_scalar`, and the answer never changes"),
    }
    #[cfg(not(target_arch = "x86_64"))]
    dispatch(f)
}

/// Evaluates an expression that is compiled for each instruction set, for the one in use. All functions that it calls must be
/// inlined; a `return` leaves the expression only.
macro_rules! vectorize {
    ($body:expr) => {
        $crate::kernel::parallel::dispatch(
            #[inline(always)]
            || $body,
        )
    };
}
pub(super) use vectorize;

/// From this many elements on a second thread pays: waking it takes as long as 100,000 elements. (Fewer in tests.)
const PARALLEL_FROM: usize = if cfg!(test) { 1 << 14 } else { 1 << 18 };

/// From this many multiplications of a convolution on a second thread pays.
const PARALLEL_PRODUCTS_FROM: usize = if cfg!(test) { 1 << 19 } else { 1 << 22 };

/// The same for one matrix product, or several of one call. Those of a step follow one another, so that the other threads are still awake.
pub(super) const PARALLEL_GEMM_FROM: usize = if cfg!(test) { 1 << 19 } else { 1 << 21 };

/// Elements that a thread takes at a time: few enough for its level-2 cache.
pub(super) const PIECE: usize = 1 << 15;

/// Whether a loop over `n` elements should use several threads.
pub(super) fn worthwhile(n: usize) -> bool {
    n >= PARALLEL_FROM && rayon::current_num_threads() > 1
}

/// [`worthwhile`] for a matrix product of `n` multiplications.
pub(super) fn gemm_worthwhile(n: usize) -> bool {
    n >= PARALLEL_GEMM_FROM && rayon::current_num_threads() > 1
}

/// [`worthwhile`] for a convolution of `n` multiplications.
pub(super) fn product_worthwhile(n: usize) -> bool {
    large_product(n) && rayon::current_num_threads() > 1
}

/// [`product_worthwhile`] whatever the number of threads, on which the order of a sum must not depend.
pub(super) fn large_product(n: usize) -> bool {
    n >= PARALLEL_PRODUCTS_FROM
}

/// Calls `work(i)` for every i below `count`, on several threads if `threads`.
pub(super) fn for_each(count: usize, threads: bool, work: &(dyn Fn(usize) + Sync)) {
    let helpers = if threads { rayon::current_num_threads().min(count).saturating_sub(1) } else { 0 };
    if helpers == 0 {
        return (0..count).for_each(work);
    }
    share(count, helpers, |scope| rayon::spawn(move || scope.help()), work);
}

/// A pointer that threads may share.
pub(super) struct Shared<T>(*mut T);
// SAFETY: the code that uses the pointer gives each thread other elements.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(super) fn new(data: *mut T) -> Self {
        Shared(data)
    }

    pub(super) fn get(&self) -> *mut T {
        self.0
    }
}

/// A slice in parts of `size` elements (the last may be shorter), each of which one thread may take.
pub(super) struct DisjointChunks<'a, T> {
    start: Shared<T>,
    len: usize,
    size: usize,
    /// A bit for each part.
    taken: SmallVec<[AtomicU64; 8]>,
    count: usize,
    whole: PhantomData<fn(&'a mut [T])>,
}

impl<'a, T: Send> DisjointChunks<'a, T> {
    pub(super) fn new(data: &'a mut [T], size: usize) -> Self {
        let size = size.max(1);
        let count = data.len().div_ceil(size);
        let taken = (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let start = Shared(data.as_mut_ptr());
        DisjointChunks { start, len: data.len(), size, taken, count, whole: PhantomData }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Part i. Panics if it is taken a second time.
    pub(super) fn take(&self, i: usize) -> &'a mut [T] {
        let taken = self.taken[i / 64].fetch_or(1 << (i % 64), Relaxed) >> (i % 64) & 1;
        assert!(i < self.count && taken == 0, "kernel::DisjointChunks: a part is taken twice");
        let from = i * self.size;
        // SAFETY: part i is the elements from i·size to below min((i + 1)·size, len) of a slice that is borrowed mutably for
        // 'a; parts do not overlap, and each is handed out once.
        unsafe { std::slice::from_raw_parts_mut(self.start.0.add(from), self.size.min(self.len - from)) }
    }
}

/// Calls `f(i, part i)` for each part of `size` elements (the last may be shorter), on several threads if `threads`.
///
/// Unlike with rayon's iterators, a thread that waits for the others takes up no other task: it could be a second training, which
/// would run inside the `no_grad` and the locks of this one.
pub fn parts<T: Send>(data: &mut [T], size: usize, threads: bool, f: &(dyn Fn(usize, &mut [T]) + Sync)) {
    if !threads {
        return data.chunks_mut(size.max(1)).enumerate().for_each(|(i, part)| f(i, part));
    }
    let parts = DisjointChunks::new(data, size);
    for_each(parts.count, true, &|i| f(i, parts.take(i)));
}

/// Calls `f(i, rows)` for runs of rows of `width` elements, where i is the index of the first row, on several threads if that pays.
pub(super) fn for_each_rows<T: Send>(data: &mut [T], width: usize, f: &(dyn Fn(usize, &mut [T]) + Sync)) {
    if width == 0 {
        return;
    }
    let threads = worthwhile(data.len());
    let rows = if threads { PIECE.div_ceil(width) } else { data.len() / width };
    parts(data, rows * width, threads, &|piece, part| f(piece * rows, part));
}

/// [`for_each_rows`], one row at a time.
pub(super) fn for_each_row<T: Send>(data: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    for_each_rows(data, width, &|first, part| {
        part.chunks_mut(width).enumerate().for_each(|(i, row)| f(first + i, row));
    });
}

/// Writes `f(i)` to each place i of `out`, each as costly as `each` elements, on several threads if that pays.
pub(super) fn collect<R: Send>(out: &mut [R], each: usize, f: &(dyn Fn(usize) -> R + Sync)) {
    let threads = out.len() > 1 && worthwhile(out.len().saturating_mul(each));
    parts(out, PIECE.div_ceil(each.max(1)), threads, &|piece, part| {
        let first = piece * PIECE.div_ceil(each.max(1));
        part.iter_mut().enumerate().for_each(|(i, slot)| *slot = f(first + i));
    });
}

/// `f` of each item, on several threads: for work that takes longer than waking one, such as reading a picture. See [`parts`].
pub fn map_each<T: Send, R: Send>(items: impl IntoIterator<Item = T>, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let mut slots: Vec<_> = items.into_iter().map(|item| (Some(item), None)).collect();
    parts(&mut slots, 1, true, &|_, slots| {
        slots.iter_mut().for_each(|(item, result)| *result = item.take().map(&f));
    });
    slots.into_iter().map(|(_, result)| result.expect("each item has its part")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{collect, for_each, parts};

    fn on<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
    }

    #[test]
    fn every_number_once_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            for count in [0, 1, 2, 1000] {
                let calls: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                on(threads, || {
                    for_each(count, true, &|i| {
                        calls[i].fetch_add(1, Ordering::Relaxed);
                    });
                });
                assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn parts_cover_the_whole() {
        let mut data = vec![0; 103];
        on(3, || parts(&mut data, 10, true, &|i, part| part.iter_mut().for_each(|x| *x += i + 1)));
        assert!(data.iter().enumerate().all(|(i, &x)| x == i / 10 + 1));
        let mut places = vec![0; 70_000];
        on(3, || collect(&mut places, 3, &|i| i));
        assert!(places.into_iter().eq(0..70_000));
    }

    #[test]
    fn nested_and_from_many_threads() {
        let total = AtomicUsize::new(0);
        let add = |n| {
            total.fetch_add(n, Ordering::Relaxed);
        };
        let outer = || for_each(20, true, &|i| for_each(30, true, &|j| add(i * j)));
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(outer))));
        assert_eq!(total.into_inner(), 8 * 190 * 435);
    }

    #[test]
    fn a_panic_arrives() {
        for bad in 0..40 {
            let run = || for_each(40, true, &|i| assert!(i != bad, "{i}"));
            assert!(std::panic::catch_unwind(run).is_err());
        }
    }
}
