//! The same bits on any number of threads, for whatever is large enough to be divided.

use tealight::ops::{ConvOptions, PoolOptions};
use tealight::prelude::*;

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    Ok(x.flatten(0, -1)?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
}

/// A result and the gradients by its inputs.
fn with_gradients(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&[usize]]) -> Result<Vec<Vec<u32>>> {
    let rng = &mut Rng::seed(5);
    let parameter =
        |dims: &&[usize]| Ok(Tensor::parameter(Tensor::randn(0.0_f32, 1.0, *dims, rng)?.into_array()));
    let inputs = inputs.iter().map(parameter).collect::<Result<Vec<_>>>()?;
    let y = f(&inputs)?;
    let seed = Tensor::rand(0.5_f32, 1.5, y.dims(), &mut Rng::seed(6))?;
    let gradients = y.backward_from(&seed)?;
    std::iter::once(&y).chain(inputs.iter().filter_map(|x| gradients.get(x))).map(bits).collect()
}

fn everything() -> Result<Vec<Vec<Vec<u32>>>> {
    let classes = Tensor::from_vec((0..1000_u32).map(|i| i % 300).collect(), 1000, &Device::Cpu)?;
    let pool = MaxPool2d::new(PoolOptions::new(2));
    let long: &[usize] = &[1 << 19];
    let rows: &[usize] = &[1000, 300];
    Ok(vec![
        with_gradients(|x| x[0].sigmoid(), &[long])?,
        with_gradients(|x| x[0].tanh()?.sum_all(), &[long])?,
        with_gradients(|x| Mean(L2).loss(&x[0], &x[1]), &[long, long])?,
        with_gradients(|x| x[0].dot(&x[1]), &[long, long])?,
        with_gradients(|x| x[0].softmax(-1), &[rows])?,
        with_gradients(|x| x[0].log_softmax(0), &[rows])?,
        with_gradients(|x| x[0].normalize_rows(), &[rows])?,
        with_gradients(|x| CrossEntropy.loss(&x[0], &classes), &[rows])?,
        with_gradients(|x| &x[0] + &x[1], &[rows, &[300]])?,
        with_gradients(|x| x[0].sum(0), &[rows])?,
        with_gradients(|x| x[0].sum(1), &[rows])?,
        with_gradients(|x| x[0].var(1, 1), &[rows])?,
        with_gradients(|x| x[0].matvec(&x[1]), &[rows, &[300]])?,
        with_gradients(|x| x[0].outer(&x[1]), &[&[700], &[500]])?,
        with_gradients(|x| x[0].matmul(&x[1]), &[&[400, 300], &[300, 350]])?,
        with_gradients(|x| x[0].conv2d(&x[1], ConvOptions::new()), &[&[40, 4, 24, 24], &[8, 4, 3, 3]])?,
        with_gradients(|x| pool.forward(&x[0], &mut Pass::eval()), &[&[40, 8, 40, 40]])?,
    ])
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(everything).unwrap()
    };
    let one = on(1);
    for threads in [2, 3] {
        for (i, (a, b)) in one.iter().zip(on(threads)).enumerate() {
            assert!(*a == b, "case {i} on {threads} threads");
        }
    }
}
