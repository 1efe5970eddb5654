//! The instruction set that `TEALIGHT_SIMD` names is in use, if the machine has it.

#[test]
fn the_named_instruction_set_is_in_use() {
    let has = |name: &str| match name {
        "scalar" => true,
        #[cfg(target_arch = "x86_64")]
        "avx2" => std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"),
        #[cfg(target_arch = "x86_64")]
        "avx512" => {
            std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512cd")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl")
        }
        "neon" => cfg!(target_arch = "aarch64"),
        _ => false,
    };
    assert!(has(tealight::simd_level()));
    if let Ok(name) = std::env::var("TEALIGHT_SIMD")
        && has(&name)
    {
        assert_eq!(tealight::simd_level(), name);
    }
}
