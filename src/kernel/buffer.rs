//! Output arrays that are written once, and never zeroed before.

use std::mem::MaybeUninit;

/// Memory that was not written yet.
pub(crate) type Uninit<T> = MaybeUninit<T>;

/// A vector of `n` elements that `write` fills; it is handed every slot and must write them all.
///
/// # Safety
/// `write` must initialise every element of the slice that it is given.
#[allow(unsafe_code)]
pub(super) unsafe fn written<T: Copy>(n: usize, write: impl FnOnce(&mut [Uninit<T>])) -> Vec<T> {
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
