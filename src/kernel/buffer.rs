//! Output arrays that are written once, and never zeroed before.

use std::mem::MaybeUninit;
use std::sync::Once;

/// Memory that was not written yet.
pub(crate) type Uninit<T> = MaybeUninit<T>;

/// From this many bytes on glibc hands an array back to the system when it is freed.
const LARGE: usize = 1 << 17;

/// Once in a program, makes glibc keep the memory of freed arrays of up to 32 MiB for the next ones. Handing it back costs a
/// page fault for each 4 KiB of the next array, which is several times what a pass over the array costs.
///
/// glibc raises its threshold to the largest array it ever saw freed, up to 32 MiB: so one of that size is allocated and
/// freed, and never touched. Other allocators keep their memory by themselves, or do as they please.
fn keep_freed_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(std::hint::black_box(Vec::<u8>::with_capacity((32 << 20) - (64 << 10)))));
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

/// The slice, once every element of it was written.
///
/// # Safety
/// Every element of `slots` must have been initialised.
#[allow(unsafe_code)]
pub(super) unsafe fn assume_written<T>(slots: &[Uninit<T>]) -> &[T] {
    // SAFETY: MaybeUninit<T> has T's layout, and by this function's contract every element is initialised.
    unsafe { &*(std::ptr::from_ref(slots) as *const [T]) }
}
