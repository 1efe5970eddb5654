//! What the tests of the operations share.

use crate::prelude::*;

/// A vector of f64.
pub(crate) fn tensor(x: &[f64]) -> Tensor {
    Tensor::new(x, &Device::Cpu).unwrap()
}

/// Checks the first and second derivative of a function of one tensor: a vector, and a matrix that is a strided view.
#[track_caller]
pub(crate) fn check(x: &[f64], f: impl Fn(&Tensor) -> Result<Tensor>) {
    checked(&f, tensor(x));
    let pairs: Vec<f64> = x.iter().flat_map(|&x| [x, x * (1.0 + 1e-3) + 1e-4]).collect();
    let strided = Array::from_vec(pairs, (x.len(), 2), &Device::Cpu).unwrap().t().unwrap();
    checked(&f, strided.into());
}

#[track_caller]
fn checked(f: &impl Fn(&Tensor) -> Result<Tensor>, x: Tensor) {
    // The cube of the result makes the second derivative depend on the gradient's own history.
    if let Err(error) = autograd::gradcheck(|x| f(&x[0]), std::slice::from_ref(&x)) {
        panic!("{error}");
    }
    if let Err(error) = autograd::gradcheck(|x| f(&x[0])?.powf(3.0), &[x]) {
        panic!("cubed: {error}");
    }
}

/// The same for a function of two tensors, in every way of broadcasting.
#[track_caller]
pub(crate) fn check2(f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) {
    let numbers = |n: usize, shift: f64| (0..n).map(|i| 0.7 + shift + 0.31 * (i * i % 7) as f64).collect();
    for (a, b) in
        [(vec![2, 3], vec![2, 3]), (vec![2, 3], vec![3]), (vec![1, 3], vec![2, 1]), (vec![], vec![2, 3])]
    {
        let make = |dims: &[usize], shift| {
            Tensor::from_vec(numbers(dims.iter().product(), shift), dims, &Device::Cpu).unwrap()
        };
        let inputs = [make(&a, 0.0), make(&b, 0.13)];
        for power in [1.0, 3.0] {
            if let Err(error) = autograd::gradcheck(|x| f(&x[0], &x[1])?.powf(power), &inputs) {
                panic!("{a:?} {b:?} to the power {power}: {error}");
            }
        }
    }
}

/// Holds f to `ulp` units of 2⁻⁵² of the exact value in f64, and to 3 units of 2⁻²³ in f32.
pub(crate) fn close(
    f: impl Fn(&Tensor) -> Result<Tensor>,
    exact: impl Fn(f64) -> f64,
    x: &[f64],
    ulp: f64,
) -> Result<()> {
    for (y, &x) in f(&tensor(x))?.to_vec1::<f64>()?.into_iter().zip(x) {
        let exact = exact(x);
        let limit = ulp * f64::EPSILON * exact.abs() + f64::from_bits(1);
        assert!(y == exact || (y - exact).abs() <= limit, "f64 {x}: {y}, not {exact}");
    }
    let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    for (y, x) in f(&Tensor::new(&x[..], &Device::Cpu)?)?.to_vec1::<f32>()?.into_iter().zip(x) {
        let exact = exact(x.into());
        let limit = 3.0 * f64::from(f32::EPSILON) * exact.abs() + f64::from(f32::from_bits(1));
        assert!(y == exact as f32 || (f64::from(y) - exact).abs() <= limit, "f32 {x}: {y}, not {exact}");
    }
    Ok(())
}

/// f′(x) by the ordinary backward pass.
pub(crate) fn grad_at(x: f64, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<f64> {
    let x = Tensor::parameter(tensor(&[x]));
    let gradients = f(&x)?.sum_all()?.backward()?;
    gradients.get(&x).expect("f depends on x").to_scalar()
}
