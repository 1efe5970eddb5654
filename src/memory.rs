//! Settings of the process's memory allocator, for programs: the library changes none by itself.

/// Makes glibc's `malloc` keep up to `bytes` of freed memory for later arrays, instead of returning it to the system.
///
/// By default `malloc` takes each array above a threshold (128 KiB, which grows to at most 32 MiB) in a mapping of its own and
/// unmaps it when it is freed. The next array then costs a page fault for every 4 KiB, several times the cost of a pass over
/// its elements. Call this at the start of `main` of a program with large arrays.
///
/// It holds for the whole process and for all later allocations, also those of other libraries: large arrays come from the
/// heap (`M_MMAP_MAX` is 0), and up to `bytes` of it stay with the process (`M_TRIM_THRESHOLD`). Memory that is in use is not
/// limited. Does nothing except on Linux with glibc, or where the program has another allocator.
///
/// ```
/// tealight::memory::keep_freed(512 << 20);
/// ```
pub fn keep_freed(bytes: usize) {
    crate::kernel::keep_freed(bytes);
}
