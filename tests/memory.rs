//! The library leaves malloc's settings as they are, and `memory::keep_freed` changes them.
//!
//! One test, because the settings are the process's.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use tealight::prelude::*;

/// Arrays that malloc takes in mappings of their own now.
#[allow(unsafe_code)]
fn mappings() -> std::ffi::c_int {
    // SAFETY: reads malloc's counters.
    unsafe { libc::mallinfo() }.hblks
}

/// Whether malloc takes an array of 40 MiB, above every threshold that it chooses by itself, in a mapping of its own.
fn is_mapped() -> bool {
    let before = mappings();
    let array = std::hint::black_box(Vec::<u8>::with_capacity(40 << 20));
    let mapped = mappings() > before;
    drop(array);
    mapped
}

#[test]
fn only_keep_freed_changes_the_settings_of_malloc() -> Result<()> {
    assert!(is_mapped());
    let x = Tensor::ones((1 << 20, 4), DType::F32, &Device::Cpu)?;
    let y = (x.exp()?.sum(1)? * 2.0)?;
    assert_eq!(y.dims(), [1 << 20]);
    drop((x, y));
    assert!(is_mapped());
    tealight::memory::keep_freed(512 << 20);
    assert!(!is_mapped());
    Ok(())
}
