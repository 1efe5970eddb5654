//! The instruction set that `TEALIGHT_SIMD` names is in use, if the machine has it, and computes what the others do.

use std::fmt::Write as _;

use tealight::formula::{Jet, parse};
use tealight::prelude::*;

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

/// FNV-1a of their bits; every NaN is one number.
fn checksum(numbers: impl IntoIterator<Item = f64>) -> u64 {
    let bits = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
    let bytes = numbers.into_iter().flat_map(|x| bits(x).to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// wasm/bits.txt has a checksum of each formula's values and of its first two derivatives at 400 numbers. wasm/pages.py finds the same
/// in the browser.
#[test]
fn formulas_have_the_bits_of_the_browser() -> Result<()> {
    let mut found = String::new();
    for line in include_str!("../wasm/bits.txt").lines() {
        let (_, text) = line.split_once(' ').expect("a checksum and a formula");
        let parsed = parse(text, ["x"])?;
        let x: Vec<f64> = (0..400).map(|i| -5.0 + 10.0 * f64::from(i) / 399.0).collect();
        let values = parsed.apply(&Tensor::new(&x[..], &Device::Cpu)?)?.to_vec1::<f64>()?;
        let jets: Vec<_> = x.iter().map(|&x| parsed.value([Jet::<f64, 2>::variable(x)])).collect();
        let slopes = [1, 2].map(|order| jets.iter().map(move |y| y.derivative(order)));
        let sum = checksum(values.into_iter().chain(slopes.into_iter().flatten()));
        writeln!(found, "{sum:016x} {text}").expect("a String takes all");
    }
    assert_eq!(found, include_str!("../wasm/bits.txt"));
    Ok(())
}

/// Sums of products are fused here and rounded twice in the browser: a training is the same but for rounding. wasm/pages.py has the
/// browser's numbers.
#[test]
fn a_training_is_near_that_of_the_browser() -> Result<()> {
    let (digits, batch) = (1437, 32);
    let ink =
        (0..digits).flat_map(|i| (0..64).map(move |pixel| ((i * 7 + pixel * pixel) % 17) as f32 / 16.0));
    let inputs = Tensor::from_vec(ink.collect(), (digits, 64), &Device::Cpu)?;
    let targets = Tensor::from_vec((0..digits as u32).map(|i| i % 10).collect(), digits, &Device::Cpu)?;
    let model = Linear::new(64, 10, &mut Rng::seed(1))?;
    let (mut optimizer, mut rng) = (Sgd::new(model.parameters(), 0.5)?, Rng::seed(2));
    let (mut order, mut sum) = (Vec::new(), 0.0);
    for _ in 0..200 {
        if order.len() < batch {
            order = rng.permutation(digits);
        }
        let chosen = order.split_off(order.len() - batch).into_iter().map(|i| i as u32).collect();
        let chosen = Tensor::from_vec(chosen, batch, &Device::Cpu)?;
        let scores = model.forward(&inputs.index_select(0, &chosen)?, &mut ForwardContext::eval())?;
        let loss = CrossEntropy::new().loss(&scores, &targets.index_select(0, &chosen)?)?;
        sum += f64::from(loss.to_scalar::<f32>()?);
        optimizer.step(&loss.backward()?)?;
    }
    let (ours, browser) = (sum / 200.0, 2.463_114_124_5);
    assert!((ours - browser).abs() < 1e-6, "{ours}");
    Ok(())
}
