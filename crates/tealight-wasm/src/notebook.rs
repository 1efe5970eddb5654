//! Page 2: the sections of the notebook, and the blocks of the book that can run.

use tealight::functional::{image_to_vector, l1, l2, sigmoid_derivative};
use tealight::prelude::*;
use wasm_bindgen::prelude::*;

use crate::thrown;

/// Runs a section with these numbers, row by row, and returns a line `name = value` for each step.
///
/// `numbers` has one vector or matrix, of this many `columns`; for `l1` and `l2` the second row is the target.
#[wasm_bindgen]
pub fn section(name: &str, numbers: Vec<f64>, columns: usize) -> Result<String, JsError> {
    run(name, numbers, columns).map_err(thrown)
}

fn run(name: &str, numbers: Vec<f64>, columns: usize) -> Result<String> {
    let rows = numbers.len().checked_div(columns).unwrap_or(0);
    let matrix = Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)?;
    let mut lines = Vec::new();
    let mut show = |name: &str, x: &Tensor| {
        let indent = format!("\n{}", " ".repeat(name.chars().count() + 3));
        lines.push(format!("{name} = {}", x.to_string().replace('\n', &indent)));
    };
    let two_rows = |section| match rows {
        2 => Ok((matrix.i(0)?, matrix.i(1)?)),
        _ => {
            let expected = "two rows of numbers, one below the other";
            Err(Error::argument(section, expected, format!("{rows} of them")))
        }
    };
    match name {
        "sigmoid" => {
            show("s(x)", &matrix.sigmoid()?);
            show("s′(x)", &sigmoid_derivative(&matrix)?);
        }
        "softmax" => {
            let exp = matrix.exp()?;
            let sums = exp.sum_keepdim(1)?;
            show("exp(x)", &exp);
            show("sums", &sums);
            show("exp(x) / sums", &(&exp / &sums)?);
            show("softmax(x)", &matrix.softmax(1)?);
        }
        "normalize" => {
            show("lengths", &matrix.sqr()?.sum_keepdim(1)?.sqrt()?);
            show("rows", &matrix.normalize_rows(2.0)?);
        }
        "losses" => {
            let (prediction, target) = two_rows("losses")?;
            show("differences", &(&prediction - &target)?);
            show("L1", &l1(&prediction, &target)?);
            show("L2", &l2(&prediction, &target)?);
        }
        "unroll" => {
            let image = matrix.reshape((rows, columns, 1))?;
            show("vector", &image_to_vector(&image)?.flatten(0, -1)?);
        }
        "products" => {
            let (a, b) = two_rows("products")?;
            show("dot", &a.dot(&b)?);
            show("outer", &a.outer(&b)?);
            show("a * b", &(&a * &b)?);
        }
        "gradient" => {
            let x = Tensor::parameter(matrix);
            let y = (x.sigmoid()? * &x)?.sum_all()?;
            show("x · s(x), summed", &y);
            show("gradient", &autograd::grad(&y, [&x])?[0]);
            lines.push(y.graph().to_string());
        }
        "second" => {
            let x = Tensor::parameter(matrix);
            let [first] = autograd::grad(&x.sigmoid()?.sum_all()?, [&x])?;
            show("s′(x)", &first);
            show("s″(x)", &autograd::grad(&first.sum_all()?, [&x])?[0]);
        }
        "convolution" => {
            // A kernel that sees edges: what is right of a pixel, less what is left of it.
            let image = matrix.reshape((1, 1, rows, columns))?;
            let kernel = Tensor::new(&[[[[-1.0, 0.0, 1.0]]]], &Device::Cpu)?;
            show(
                "edges",
                &image.conv2d(&kernel, ConvOptions::new())?.reshape((rows, columns.saturating_sub(2)))?,
            );
        }
        _ => return Err(Error::argument("section", "the name of a section", name)),
    }
    Ok(lines.join("\n"))
}

/// The shape of a sum of two arrays of these shapes.
#[wasm_bindgen]
pub fn broadcast(a: Vec<usize>, b: Vec<usize>) -> Result<Vec<usize>, JsError> {
    let ones = |shape: Vec<usize>| Tensor::ones(shape, DType::F32, &Device::Cpu);
    let sum = || Ok::<_, Error>((ones(a)? + ones(b)?)?.dims().to_vec());
    sum().map_err(thrown)
}

/// Two vectors, for a race between a loop and one call.
#[wasm_bindgen]
pub struct Race {
    numbers: [Vec<f32>; 2],
    tensors: [Tensor; 2],
}

#[wasm_bindgen]
impl Race {
    /// Vectors of `length` random numbers.
    #[wasm_bindgen(constructor)]
    pub fn new(length: usize) -> Result<Race, JsError> {
        let rng = &mut Rng::seed(1);
        let numbers = [(); 2].map(|()| (0..length).map(|_| rng.uniform() as f32).collect::<Vec<f32>>());
        let tensor = |x: &Vec<f32>| Tensor::new(&x[..], &Device::Cpu).map_err(thrown);
        Ok(Race { tensors: [tensor(&numbers[0])?, tensor(&numbers[1])?], numbers })
    }

    /// The dot product by a loop, one product after the other, as it is written.
    pub fn looped(&self) -> f32 {
        let mut sum = 0.0;
        for (a, b) in self.numbers[0].iter().zip(&self.numbers[1]) {
            sum += a * b;
        }
        sum
    }

    /// The dot product by one operation.
    pub fn vectorised(&self) -> Result<f32, JsError> {
        let dot = || self.tensors[0].dot(&self.tensors[1])?.to_scalar();
        dot().map_err(thrown)
    }
}
