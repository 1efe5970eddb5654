//! Output arrays that are written once and not zeroed before, and the memory that they take.

use std::mem::MaybeUninit;

/// An element that may not be initialised yet.
pub(super) type Uninit<T> = MaybeUninit<T>;

/// Makes glibc keep up to `bytes` of freed memory for later arrays, in the whole process; does nothing elsewhere.
pub fn keep_freed(bytes: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
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
pub(super) unsafe fn written<T: Copy>(n: usize, write: impl FnOnce(&mut [Uninit<T>])) -> Vec<T> {
    let mut data: Vec<T> = Vec::with_capacity(n);
    if n * size_of::<T>() >= HUGE {
        ask_for_huge_pages(data.as_ptr() as usize, n * size_of::<T>());
    }
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
