//! Output arrays that are written once, and never zeroed before.

use std::mem::MaybeUninit;

/// Memory that was not written yet.
pub(super) type Uninit<T> = MaybeUninit<T>;

/// Makes glibc keep up to `bytes` of freed memory for later arrays, in the whole process; does nothing elsewhere.
pub fn keep_freed(bytes: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let bytes = std::ffi::c_int::try_from(bytes).unwrap_or(std::ffi::c_int::MAX);
        // SAFETY: mallopt only sets how the allocator works from now on; it may be called at any time.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
            // Large arrays come from the heap too, and not each from a mapping of its own that ends with it.
            libc::mallopt(libc::M_MMAP_MAX, 0);
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
}

/// From this many bytes on an array is worth pages of 2 MiB.
const HUGE: usize = 3 << 20;

/// Asks Linux for pages of 2 MiB: an array in them takes fewer page faults, and is read up to a third faster, because the
/// processor reads ahead within a page and looks up fewer of them. Where the system has none to give, nothing changes.
fn ask_for_huge_pages(from: usize, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 1 << 21;
        let (start, end) = (from & !(PAGE - 1), (from + bytes).next_multiple_of(PAGE));
        // SAFETY: this advice changes no memory's content, whoever it belongs to; an address that is not mapped is an error,
        // which is ignored.
        #[allow(unsafe_code)]
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (from, bytes);
}

/// A vector of `n` elements that `write` fills; it is handed every slot and must write them all.
///
/// # Safety
/// `write` must initialise every element of the slice that it is given.
#[allow(unsafe_code)]
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

/// [`assume_written`], to be changed.
///
/// # Safety
/// As there.
#[allow(unsafe_code)]
pub(super) unsafe fn assume_written_mut<T>(slots: &mut [Uninit<T>]) -> &mut [T] {
    // SAFETY: MaybeUninit<T> has T's layout, and by this function's contract every element is initialised.
    unsafe { &mut *(std::ptr::from_mut(slots) as *mut [T]) }
}

/// Writes `f(i)` to every slot i, and hands the slots out as the numbers that they now are.
#[inline(always)]
pub(super) fn fill<T: Copy>(slots: &mut [Uninit<T>], f: impl Fn(usize) -> T) -> &mut [T] {
    for i in 0..slots.len() {
        slots[i].write(f(i));
    }
    // SAFETY: every slot was just written.
    #[allow(unsafe_code)]
    unsafe {
        assume_written_mut(slots)
    }
}

/// The slice, once every element of it was written.
///
/// # Safety
/// Every element of `slots` must have been initialised.
#[allow(unsafe_code)]
pub(super) unsafe fn assume_written<T>(slots: &[Uninit<T>]) -> &[T] {
    // SAFETY: MaybeUninit<T> has T's layout, and by this function's contract every element is initialised.
    unsafe { &*(std::ptr::from_ref(slots) as *const [T]) }
}
