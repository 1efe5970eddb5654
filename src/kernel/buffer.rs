//! Output arrays that are written once, and never zeroed before.

use std::mem::MaybeUninit;

/// Memory that was not written yet.
pub(crate) type Uninit<T> = MaybeUninit<T>;

/// From this many bytes on glibc hands an array back to the system when it is freed.
const LARGE: usize = 1 << 17;

/// As much freed memory glibc keeps for the next arrays.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: std::ffi::c_int = 512 << 20;

/// Once in a program, makes glibc keep the memory of freed arrays for the next ones. Handing it back costs a page fault for
/// each 4 KiB of the next array, which is several times what a pass over the array costs. Other allocators keep their memory
/// by themselves, or do as they please.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: mallopt only sets how the allocator works from now on; it may be called at any time.
            #[allow(unsafe_code)]
            unsafe {
                libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
                // Large arrays come from the heap too, and not each from a mapping of its own that ends with it.
                libc::mallopt(libc::M_MMAP_MAX, 0);
            }
        });
    }
}

/// A vector of `n` elements that `write` fills; it is handed every slot and must write them all.
///
/// # Safety
/// `write` must initialise every element of the slice that it is given.
#[allow(unsafe_code)]
pub(super) unsafe fn written<T: Copy>(n: usize, write: impl FnOnce(&mut [Uninit<T>])) -> Vec<T> {
    if n * size_of::<T>() >= LARGE {
        keep_freed_memory();
    }
    let mut data: Vec<T> = Vec::with_capacity(n);
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
