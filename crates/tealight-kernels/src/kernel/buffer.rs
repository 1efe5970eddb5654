//! Output arrays that are written once and not zeroed before, and the memory that they take.

use std::any::Any;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Used arrays by element type, each with the length of the result that it is meant for.
#[derive(Default)]
struct Spare {
    f32: Vec<(usize, Vec<f32>)>,
    f64: Vec<(usize, Vec<f64>)>,
    u32: Vec<(usize, Vec<u32>)>,
    i64: Vec<(usize, Vec<i64>)>,
    u8: Vec<(usize, Vec<u8>)>,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
    /// A `Vec<Vec<T>>` for each type T of [`Scratch`].
    static SCRATCH: RefCell<Vec<Box<dyn Any>>> = RefCell::default();
}

impl Spare {
    fn list<T: 'static>(&mut self) -> Option<&mut Vec<(usize, Vec<T>)>> {
        let lists: [&mut dyn Any; 5] =
            [&mut self.f32, &mut self.f64, &mut self.u32, &mut self.i64, &mut self.u8];
        lists.into_iter().find_map(|list| list.downcast_mut())
    }
}

/// Gives an array that is no longer used to the kernels that this thread calls next: one that makes an array of this type which fits
/// takes its memory instead of new memory, before all others one that makes an array of `n` elements.
pub fn give_spare<T: 'static>(n: usize, data: Vec<T>) {
    SPARE.with_borrow_mut(|spare| {
        if let Some(list) = spare.list() {
            list.push((n, data));
        }
    });
}

/// Frees the arrays that no kernel took.
pub fn clear_spare() {
    SPARE.with_borrow_mut(|spare| {
        spare.f32.clear();
        spare.f64.clear();
        spare.u32.clear();
        spare.i64.clear();
        spare.u8.clear();
    });
}

/// An empty vector for `n` elements of a result: a spare one that is meant for as many, else the smallest that has room, or a new one.
pub fn empty<T: 'static>(n: usize) -> Vec<T> {
    let spare = SPARE.with_borrow_mut(|spare| {
        let list = spare.list::<T>()?;
        // Mostly there is none or one, of the one result that a kernel makes.
        if list.len() < 2 {
            return list.pop_if(|(_, data)| data.capacity() >= n).map(|(_, data)| data);
        }
        let fits = list.iter().enumerate().filter(|(_, (_, data))| data.capacity() >= n);
        let (best, _) = fits.min_by_key(|(_, (own, data))| (*own != n, data.capacity()))?;
        Some(list.remove(best).1)
    });
    match spare {
        Some(mut data) => {
            data.clear();
            data
        }
        None => {
            let data = Vec::with_capacity(n);
            if n * size_of::<T>() >= HUGE {
                ask_for_huge_pages(data.as_ptr() as usize, n * size_of::<T>());
            }
            data
        }
    }
}

/// A vector of `n` zeros.
pub fn zeros<T: Copy + Default + 'static>(n: usize) -> Vec<T> {
    // `vec!` gets zeroed pages from the system where it can.
    let mut data = match SPARE.with_borrow_mut(|spare| spare.list::<T>().is_none_or(|list| list.is_empty())) {
        true => return vec![T::default(); n],
        false => empty(n),
    };
    data.resize(n, T::default());
    data
}

/// A result of `n` elements.
pub fn collected<T: 'static>(n: usize, elements: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut data = empty(n);
    data.extend(elements);
    data
}

/// The most elements of a [`Scratch`] that are kept.
const KEPT: usize = 1 << 20;

/// The most of one type that are kept: more than a kernel needs at a time.
const COUNT: usize = 16;

/// Memory of a kernel, which this thread keeps for the next one.
pub struct Scratch<T: 'static>(Vec<T>, usize);

impl<T: Copy + 'static> Scratch<T> {
    /// Room for `n` elements: those that another kernel left, if there are any, else `x`.
    fn room(n: usize, x: T) -> Scratch<T> {
        let kept = kept(|list| {
            let fits = list.iter().enumerate().filter(|(_, data)| data.len() >= n);
            let best = fits.min_by_key(|(_, data)| data.len()).map(|(best, _)| best);
            if best.is_none() && n <= KEPT {
                // The new one stands in for the largest, so that there are no more than are needed at a time.
                let largest = list.iter().enumerate().max_by_key(|(_, data)| data.len());
                largest.map(|(largest, _)| largest).map(|largest| list.swap_remove(largest));
            }
            Some(list.swap_remove(best?))
        });
        Scratch(kept.flatten().unwrap_or_else(|| vec![x; n]), n)
    }

    /// `n` times x.
    pub fn filled(n: usize, x: T) -> Scratch<T> {
        let mut filled = Scratch::room(n, x);
        filled.fill(x);
        filled
    }
}

impl<T: Copy + Default + 'static> Scratch<T> {
    /// Room for `n` elements of any values.
    pub fn new(n: usize) -> Scratch<T> {
        Scratch::room(n, T::default())
    }

    /// `n` zeros.
    pub fn zeros(n: usize) -> Scratch<T> {
        Scratch::filled(n, T::default())
    }

    /// A copy of `x`.
    pub(super) fn of(x: &[T]) -> Scratch<T> {
        let mut copy = Scratch::new(x.len());
        copy.copy_from_slice(x);
        copy
    }

    /// The elements, of which there are at most `n`.
    pub fn collect(n: usize, elements: impl IntoIterator<Item = T>) -> Scratch<T> {
        let mut collected = Scratch::new(n);
        let mut count = 0;
        for (slot, x) in collected.iter_mut().zip(elements) {
            *slot = x;
            count += 1;
        }
        collected.1 = count;
        collected
    }
}

/// Calls `f` with the memory that this thread keeps; not in a thread that ends, which has none any more.
fn kept<T: 'static, R>(f: impl FnOnce(&mut Vec<Vec<T>>) -> R) -> Option<R> {
    let call = |lists: &RefCell<Vec<Box<dyn Any>>>| {
        let mut lists = lists.borrow_mut();
        let own = lists.iter().position(|list| list.is::<Vec<Vec<T>>>());
        let own = own.unwrap_or_else(|| {
            lists.push(Box::new(Vec::<Vec<T>>::with_capacity(COUNT + 1)));
            lists.len() - 1
        });
        f(lists[own].downcast_mut().expect("the list has this type"))
    };
    SCRATCH.try_with(call).ok()
}

impl<T: 'static> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0[..self.1]
    }
}

impl<T: 'static> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0[..self.1]
    }
}

impl<T: 'static> Drop for Scratch<T> {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.0);
        if data.is_empty() || data.len() > KEPT {
            return;
        }
        kept(|list| {
            list.push(data);
            if list.len() > COUNT
                && let Some((smallest, _)) = list.iter().enumerate().min_by_key(|(_, data)| data.len())
            {
                list.swap_remove(smallest);
            }
        });
    }
}

/// A vector of one element.
pub fn one<T: 'static>(x: T) -> Vec<T> {
    let mut data = empty(1);
    data.push(x);
    data
}

/// An element that may not be initialised yet.
pub(super) type Uninit<T> = MaybeUninit<T>;

/// Whether [`keep_freed`] was called.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
static KEEPS: AtomicBool = AtomicBool::new(false);

/// Makes glibc keep up to `bytes` of freed memory for later arrays, in the whole process; does nothing elsewhere.
pub fn keep_freed(bytes: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        KEEPS.store(true, Relaxed);
        let bytes = std::ffi::c_int::try_from(bytes).unwrap_or(std::ffi::c_int::MAX);
        // SAFETY: mallopt only sets how the allocator works from now on; it may be called at any time.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
            // Large arrays come from the heap too, and not each from a mapping of its own that ends with it.
            libc::mallopt(libc::M_MMAP_MAX, 0);
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
}

/// Returns freed memory to the system, unless [`keep_freed`] was called: after a run that took much more than the next ones will. Only
/// with glibc, whose `malloc` keeps what lies below something that is in use.
pub fn trim_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if !KEEPS.load(Relaxed) {
        // SAFETY: malloc_trim only returns pages that are not in use; it may be called at any time.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Arrays of at least this many bytes get pages of 2 MiB.
const HUGE: usize = 3 << 20;

/// Asks Linux for pages of 2 MiB, if it has any: fewer page faults, and reads that are up to a third faster, because the processor
/// prefetches within a page and translates fewer addresses.
fn ask_for_huge_pages(from: usize, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 1 << 21;
        let (start, end) = (from & !(PAGE - 1), (from + bytes).next_multiple_of(PAGE));
        // SAFETY: this advice never changes the content of memory; the error for an address that is not mapped is ignored.
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (from, bytes);
}

/// A vector of `n` elements that `write` initialises.
///
/// # Safety
/// `write` must initialise every element of the slice that it is given.
pub(super) unsafe fn written<T: Copy + 'static>(n: usize, write: impl FnOnce(&mut [Uninit<T>])) -> Vec<T> {
    let mut data: Vec<T> = empty(n);
    write(&mut data.spare_capacity_mut()[..n]);
    // SAFETY: the capacity is at least n, and by this function's contract all n elements were written.
    unsafe { data.set_len(n) };
    data
}

/// The slots as a mutable slice.
///
/// # Safety
/// Every element of `slots` must have been initialised.
pub(super) unsafe fn assume_written_mut<T>(slots: &mut [Uninit<T>]) -> &mut [T] {
    // SAFETY: MaybeUninit<T> has T's layout, and by this function's contract every element is initialised.
    unsafe { &mut *(std::ptr::from_mut(slots) as *mut [T]) }
}

/// Elements as slots.
///
/// # Safety
/// No slot may be made uninitialised.
pub(super) unsafe fn slots<T: Copy>(elements: &mut [T]) -> &mut [Uninit<T>] {
    // SAFETY: MaybeUninit<T> has T's layout, and by this function's contract every element stays initialised.
    unsafe { &mut *(std::ptr::from_mut(elements) as *mut [Uninit<T>]) }
}

/// Initialises every slot i with `f(i)`.
#[inline(always)]
pub(super) fn fill<T: Copy>(slots: &mut [Uninit<T>], f: impl Fn(usize) -> T) -> &mut [T] {
    for i in 0..slots.len() {
        slots[i].write(f(i));
    }
    // SAFETY: every slot was just written.
    unsafe { assume_written_mut(slots) }
}

/// The slots as a slice.
///
/// # Safety
/// Every element of `slots` must have been initialised.
pub(super) unsafe fn assume_written<T>(slots: &[Uninit<T>]) -> &[T] {
    // SAFETY: MaybeUninit<T> has T's layout, and by this function's contract every element is initialised.
    unsafe { &*(std::ptr::from_ref(slots) as *const [T]) }
}
