//! Example 1: the notebook "Python basics with numpy", cell by cell, with tealight's own functions in f64.
//!
//! `cargo run --release --example numpy_basics` prints the result of every cell, beginning with `basic_sigmoid(3) = 0.9525741268224334`
//! and ending with the losses, `L1 = 1.1` and `L2 = 0.43`. `tests/notebook.rs` asserts every number.

use tealight::data::image;
use tealight::functional::{image_to_vector, l1, l2, sigmoid_derivative};
use tealight::prelude::*;

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let cpu = &Device::Cpu;

    println!("1. Basic functions\n");
    println!("basic_sigmoid(3) = {}", Sigmoid.value(3.0));
    let x = Tensor::new(&[1.0, 2.0, 3.0], cpu)?;
    println!("exp([1, 2, 3]) = {}", x.exp()?);
    println!("sigmoid([1, 2, 3]) = {}", x.sigmoid()?);
    println!("sigmoid(3) = {}", Tensor::new(3.0, cpu)?.sigmoid()?);
    println!("sigmoid([[1, 2], [3, 1]]) =\n{}", Tensor::new(&[[1.0, 2.0], [3.0, 1.0]], cpu)?.sigmoid()?);

    println!("\nsigmoid_derivative([1, 2, 3]) = {}", sigmoid_derivative(&x)?);
    let x = Tensor::parameter(x);
    let gradients = x.sigmoid()?.sum_all()?.backward()?;
    if let Some(slope) = gradients.get(&x) {
        println!("the same from backward        = {slope}");
    }

    println!("\n2. Images to vectors\n");
    let photo = image::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/candle.jpg"))?;
    println!("a JPEG of shape {:?} becomes {:?}", photo.dims(), image_to_vector(&photo)?.dims());
    let png = std::env::temp_dir().join(format!("tealight-numpy-basics-{}.png", std::process::id()));
    image::write_png(&png, &photo)?;
    let same = image::read(&png);
    std::fs::remove_file(&png).ok();
    let same = same?;
    println!("a PNG of shape {:?} becomes {:?}", same.dims(), image_to_vector(&same)?.dims());
    let small = Tensor::new(
        &[
            [[0.67826139, 0.29380381], [0.90714982, 0.52835647], [0.4215251, 0.45017551]],
            [[0.92814219, 0.96677647], [0.85304703, 0.52351845], [0.19981397, 0.27417313]],
            [[0.60659855, 0.00533165], [0.10820313, 0.49978937], [0.34144279, 0.94630077]],
        ],
        cpu,
    )?;
    println!("image_to_vector(image) =\n{}", image_to_vector(&small)?);

    println!("\n3. Normalising rows, and softmax by broadcasting\n");
    let x = Tensor::new(&[[0.0, 3.0, 4.0], [1.0, 6.0, 4.0]], cpu)?;
    println!("normalize_rows([[0, 3, 4], [1, 6, 4]]) =\n{}", x.normalize_rows(2.0)?);
    println!("normalize_rows([[2, 6, 4]]) = {}", Tensor::new(&[[2.0, 6.0, 4.0]], cpu)?.normalize_rows(2.0)?);
    let exp = x.exp()?;
    let sums = exp.sum_keepdim(1)?;
    println!("exp(x) =\n{exp}\nits row sums =\n{sums}");
    println!("exp(x) / sums =\n{}", (&exp / &sums)?);
    println!("softmax(x) =\n{}", x.softmax(1)?);

    println!("\n4. Products\n");
    let a = Tensor::new(&[9.0, 2.0, 5.0, 0.0, 0.0, 7.0, 5.0, 0.0, 0.0], cpu)?;
    let b = Tensor::new(&[2.0, 5.0, 2.0, 9.0, 0.0, 0.0, 8.0, 5.0, 0.0], cpu)?;
    println!("dot = {}", a.dot(&b)?);
    println!("outer =\n{}", a.outer(&b)?);
    println!("elementwise = {}", (&a * &b)?);
    let w = Tensor::rand_dtype(0.0, 1.0, (3, 9), DType::F64, &mut Rng::seed(1))?;
    println!("gdot of a 3×9 matrix of random numbers = {}", w.matvec(&a)?);

    println!("\n5. Losses\n");
    let yhat = Tensor::new(&[0.9, 0.2, 0.1, 0.4, 0.9], cpu)?;
    let y = Tensor::new(&[1.0, 0.0, 0.0, 1.0, 1.0], cpu)?;
    println!("L1 = {}", l1(&yhat, &y)?);
    println!("L2 = {}", l2(&yhat, &y)?);
    assert!((l2(&yhat, &y)?.to_scalar::<f64>()? - 0.43).abs() < 1e-12, "another number than the notebook's");
    Ok(())
}
