//! The notebook "Python basics with numpy", cell by cell: every result it prints, from our own functions, in f64.
#![allow(clippy::unwrap_used, clippy::approx_constant)] // the notebook prints e as 2.71828183

use approx::{assert_abs_diff_eq, assert_relative_eq};
use tealight::data::image;
use tealight::functional::{image_to_vector, l1, l2, sigmoid_derivative};
use tealight::prelude::*;

const CPU: &Device = &Device::Cpu;

#[test]
fn basic_sigmoid_of_a_plain_number() {
    assert_relative_eq!(Sigmoid.value(3.0), 0.9525741268224334, max_relative = 1e-15);
}

#[test]
fn exp_of_a_vector() -> Result<()> {
    let y = Tensor::new(&[1.0, 2.0, 3.0], CPU)?.exp()?;
    assert_abs_diff_eq!(y, Tensor::new(&[2.71828183, 7.3890561, 20.08553692], CPU)?, epsilon = 5e-9);
    Ok(())
}

#[test]
fn sigmoid_of_a_number_a_vector_and_a_matrix() -> Result<()> {
    let expected = [0.73105858, 0.88079708, 0.95257413];
    let x = Tensor::new(&[1.0, 2.0, 3.0], CPU)?;
    assert_abs_diff_eq!(x.sigmoid()?, Tensor::new(&expected, CPU)?, epsilon = 5e-9);
    let number = Tensor::new(3.0, CPU)?.sigmoid()?;
    assert_relative_eq!(number.to_scalar::<f64>()?, 0.9525741268224334, max_relative = 1e-15);
    let matrix = Tensor::new(&[[1.0, 2.0], [3.0, 1.0]], CPU)?.sigmoid()?;
    let expected = Tensor::new(&[[expected[0], expected[1]], [expected[2], expected[0]]], CPU)?;
    assert_abs_diff_eq!(matrix, expected, epsilon = 5e-9);
    Ok(())
}

#[test]
fn sigmoid_derivative_as_a_function_and_from_backward() -> Result<()> {
    let x = Tensor::parameter(Tensor::new(&[1.0, 2.0, 3.0], CPU)?);
    let expected = Tensor::new(&[0.19661193, 0.10499359, 0.04517666], CPU)?;
    assert_abs_diff_eq!(sigmoid_derivative(&x)?, expected, epsilon = 5e-9);
    let gradients = x.sigmoid()?.sum_all()?.backward()?;
    assert_abs_diff_eq!(gradients.get(&x).unwrap(), &expected, epsilon = 5e-9);
    Ok(())
}

#[test]
fn an_image_unrolled_to_a_vector() -> Result<()> {
    // Height 450, width 800, 3 colours; each number says where it came from.
    let pixel = |y: usize, x: usize, c: usize| ((y * 31 + x * 7 + c * 101) % 251) as u8;
    let numbers: Vec<u8> = (0..450 * 800 * 3).map(|i| pixel(i / 2400, i / 3 % 800, i % 3)).collect();
    let photo = Tensor::from_vec(numbers, (450, 800, 3), CPU)?;
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("photo.png");
    image::write_png(&png, &photo)?;
    let read = image::read(&png)?;
    assert_eq!(read.dims(), [450, 800, 3]);
    let vector = image_to_vector(&read)?;
    assert_eq!(vector.dims(), [1_080_000, 1]);
    let numbers: Vec<u8> = vector.flatten(0, -1)?.to_vec1()?;
    for (y, x, c) in [(0, 0, 0), (0, 0, 2), (0, 1, 0), (1, 0, 0), (449, 799, 2), (200, 333, 1)] {
        assert_eq!(numbers[(y * 800 + x) * 3 + c], pixel(y, x, c), "row-major order at {y} {x} {c}");
    }
    Ok(())
}

#[test]
fn a_jpeg_unrolled_to_a_vector() -> Result<()> {
    let photo = image::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/candle.jpg"))?;
    assert_eq!((photo.dims(), photo.dtype()), (&[450, 800, 3][..], DType::U8));
    let vector = image_to_vector(&photo)?;
    assert_eq!(vector.dims(), [1_080_000, 1]);
    let numbers: Vec<u8> = vector.flatten(0, -1)?.to_vec1()?;
    let pixel = |y: usize, x: usize| &numbers[(y * 800 + x) * 3..][..3];
    // The flame is more red than blue; the corner is dark and more blue than red; the wax is bright.
    let (flame, corner, wax) = (pixel(165, 400), pixel(449, 0), pixel(280, 385));
    assert!(flame[0] > 220 && flame[2] < 160, "{flame:?}");
    assert!(corner.iter().all(|&c| c < 50) && corner[2] > corner[0], "{corner:?}");
    assert!(wax.iter().all(|&c| c > 180), "{wax:?}");
    Ok(())
}

#[test]
fn the_3_by_3_by_2_image_of_the_notebook() -> Result<()> {
    let image = Tensor::new(
        &[
            [[0.67826139, 0.29380381], [0.90714982, 0.52835647], [0.4215251, 0.45017551]],
            [[0.92814219, 0.96677647], [0.85304703, 0.52351845], [0.19981397, 0.27417313]],
            [[0.60659855, 0.00533165], [0.10820313, 0.49978937], [0.34144279, 0.94630077]],
        ],
        CPU,
    )?;
    let vector = image_to_vector(&image)?;
    assert_eq!(vector.dims(), [18, 1]);
    let numbers: Vec<f64> = vector.flatten(0, 1)?.to_vec1()?;
    assert_eq!(numbers[..4], [0.67826139, 0.29380381, 0.90714982, 0.52835647]);
    assert_eq!(numbers[14..], [0.10820313, 0.49978937, 0.34144279, 0.94630077]);
    Ok(())
}

#[test]
fn normalising_rows() -> Result<()> {
    let x = Tensor::new(&[[0.0, 3.0, 4.0], [1.0, 6.0, 4.0]], CPU)?;
    let expected = Tensor::new(&[[0.0, 0.6, 0.8], [0.13736056, 0.82416338, 0.54944226]], CPU)?;
    assert_abs_diff_eq!(x.normalize_rows(2.0)?, expected, epsilon = 5e-9);
    assert_abs_diff_eq!(NormalizeRows::default().normalize(&x)?, expected, epsilon = 5e-9);
    assert_abs_diff_eq!(NormalizeRows::default().predict(&x)?, expected, epsilon = 5e-9);
    // The formula's own row: [2, 6, 4] / √56.
    let row = Tensor::new(&[[2.0, 6.0, 4.0]], CPU)?;
    let length = 56_f64.sqrt();
    let expected = Tensor::new(&[[2.0 / length, 6.0 / length, 4.0 / length]], CPU)?;
    assert_relative_eq!(row.normalize_rows(2.0)?, expected, max_relative = 1e-15);
    Ok(())
}

#[test]
fn softmax_by_broadcasting() -> Result<()> {
    let x = Tensor::new(&[[0.0, 3.0, 4.0], [1.0, 6.0, 4.0]], CPU)?;
    let exp = x.exp()?;
    let expected = [[1.0, 20.08553692, 54.59815003], [2.71828183, 403.42879349, 54.59815003]];
    assert_abs_diff_eq!(exp, Tensor::new(&expected, CPU)?, epsilon = 5e-9);
    let sums = exp.sum_keepdim(1)?;
    assert_abs_diff_eq!(sums, Tensor::new(&[[75.68368696], [460.74522535]], CPU)?, epsilon = 1e-8);
    let expected = [[0.01321289, 0.26538793, 0.72139918], [0.00589975, 0.8756006, 0.11849965]];
    let expected = Tensor::new(&expected, CPU)?;
    assert_abs_diff_eq!((&exp / &sums)?, expected, epsilon = 5e-9);
    assert_abs_diff_eq!(x.softmax(1)?, expected, epsilon = 5e-9);
    assert_abs_diff_eq!(Softmax::default().predict(&x)?, expected, epsilon = 5e-9);
    assert_abs_diff_eq!(x.log_softmax(-1)?.exp()?, expected, epsilon = 5e-9);
    Ok(())
}

#[test]
fn dot_outer_elementwise_and_general_dot() -> Result<()> {
    let x1 = [9.0, 2.0, 5.0, 0.0, 0.0, 7.0, 5.0, 0.0, 0.0];
    let x2 = [2.0, 5.0, 2.0, 9.0, 0.0, 0.0, 8.0, 5.0, 0.0];
    let (a, b) = (Tensor::new(&x1, CPU)?, Tensor::new(&x2, CPU)?);
    assert_eq!(a.dot(&b)?.to_scalar::<f64>()?, 78.0);
    let outer = a.outer(&b)?.to_vec2::<f64>()?;
    assert_eq!((outer.len(), outer[0].len()), (9, 9));
    assert_eq!(outer[0], [18.0, 45.0, 18.0, 81.0, 0.0, 0.0, 72.0, 45.0, 0.0]);
    for (i, row) in outer.iter().enumerate() {
        for (j, value) in row.iter().enumerate() {
            assert_eq!(*value, x1[i] * x2[j]);
        }
    }
    let product = (&a * &b)?.to_vec1::<f64>()?;
    assert_eq!(product, [18.0, 10.0, 10.0, 0.0, 0.0, 0.0, 40.0, 0.0, 0.0]);
    let w = Tensor::rand_dtype(0.0, 1.0, (3, 9), DType::F64, &mut Rng::seed(1))?;
    let loops: Vec<f64> =
        w.to_vec2::<f64>()?.iter().map(|row| row.iter().zip(x1).map(|(w, x)| w * x).sum()).collect();
    assert_relative_eq!(w.matvec(&a)?, Tensor::new(&loops[..], CPU)?, max_relative = 1e-14);
    assert_relative_eq!(w.matmul(&a)?, Tensor::new(&loops[..], CPU)?, max_relative = 1e-14);
    Ok(())
}

#[test]
fn l1_and_l2() -> Result<()> {
    let yhat = Tensor::new(&[0.9, 0.2, 0.1, 0.4, 0.9], CPU)?;
    let y = Tensor::new(&[1.0, 0.0, 0.0, 1.0, 1.0], CPU)?;
    assert_relative_eq!(l1(&yhat, &y)?.to_scalar::<f64>()?, 1.1, max_relative = 1e-15);
    assert_relative_eq!(l2(&yhat, &y)?.to_scalar::<f64>()?, 0.43, max_relative = 1e-15);
    assert_relative_eq!(yhat.l1(&y)?, L1.reduction(Reduction::Sum).loss(&yhat, &y)?);
    assert_relative_eq!(yhat.l2(&y)?, Mse.reduction(Reduction::Sum).loss(&yhat, &y)?);
    Ok(())
}
