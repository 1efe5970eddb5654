//! Pages 2 and the book: a calculator with named operations, whose scripts are `docs/playground/notebook.js` and `book.js`.

use tealight::functional::{image_to_vector, l1, l2, sigmoid_derivative};
use tealight::metrics::{Metric, RocAuc};
use tealight::normalize::MinMax;
use tealight::prelude::*;
use wasm_bindgen::prelude::*;

use crate::thrown;

/// What a script computed.
#[wasm_bindgen(getter_with_clone)]
pub struct Calculated {
    /// A line `name = value` for each value that is shown.
    pub text: String,
    /// The numbers of the last value.
    pub numbers: Vec<f64>,
}

/// Runs a script. Its first line names the arrays in `given`, each of which is its rank, its shape and its numbers. The others are
/// `name = operation operand …`, where an operand is a name or a number; the value of `name := …` is not shown.
#[wasm_bindgen]
pub fn calculate(script: &str, given: &[f64]) -> Result<Calculated, JsError> {
    run(script, given).map_err(thrown)
}

fn run(script: &str, mut given: &[f64]) -> Result<Calculated> {
    let mut take = |count: usize| {
        let missing = || Error::argument("calculate", format!("{count} numbers more"), given.len());
        let (taken, rest) = given.split_at_checked(count).ok_or_else(missing)?;
        given = rest;
        Ok::<_, Error>(taken)
    };
    let mut lines = script.lines();
    let mut values: Vec<(&str, Tensor)> = Vec::new();
    for name in lines.next().unwrap_or_default().split_whitespace() {
        let rank = take(1)?[0] as usize;
        let dims: Vec<usize> = take(rank)?.iter().map(|&size| size as usize).collect();
        let numbers = take(dims.iter().product())?.to_vec();
        values.push((name, Tensor::from_vec(numbers, dims, &Device::Cpu)?));
    }
    let mut text = Vec::new();
    for line in lines {
        let wrong = || Error::argument("calculate", "name = operation operand …", line);
        let (name, call) = line.rsplit_once(" = ").or_else(|| line.split_once(" := ")).ok_or_else(wrong)?;
        let mut words = call.split_whitespace();
        let operation = words.next().ok_or_else(wrong)?;
        let operands = words.map(|word| match word.parse::<f64>() {
            Ok(number) => Tensor::new(number, &Device::Cpu),
            Err(_) => {
                let found = values.iter().rev().find(|(name, _)| *name == word);
                found.map(|(_, value)| value.clone()).ok_or_else(wrong)
            }
        });
        let operands = operands.collect::<Result<Vec<_>>>()?;
        match (operation, &operands[..]) {
            ("graph", [y]) => text.push(y.graph().to_string().trim_end().to_string()),
            ("shape", [x]) => text.push(format!("{name} = {:?}", x.dims())),
            (_, operands) => {
                let value = computed(operation, operands)?;
                if line.contains(" = ") {
                    let indent = format!("\n{}", " ".repeat(name.chars().count() + 3));
                    text.push(format!("{name} = {}", value.to_string().replace('\n', &indent)));
                }
                values.push((name, value));
            }
        }
    }
    let numbers = match values.last() {
        Some((_, last)) => last.to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1()?,
        None => Vec::new(),
    };
    Ok(Calculated { text: text.join("\n"), numbers })
}

fn computed(operation: &str, operands: &[Tensor]) -> Result<Tensor> {
    let axis = |x: &Tensor| x.to_scalar::<f64>().map(|x| x as isize);
    let sizes = |x: &Tensor| x.to_vec1::<f64>().map(|x| x.iter().map(|&x| x as usize).collect::<Vec<_>>());
    match (operation, operands) {
        ("exp", [x]) => x.exp(),
        ("ln", [x]) => x.ln(),
        ("relu", [x]) => x.relu(),
        ("sigmoid", [x]) => x.sigmoid(),
        ("sigmoid_derivative", [x]) => sigmoid_derivative(x),
        ("softplus", [x]) => x.softplus(),
        ("sqr", [x]) => x.sqr(),
        ("sqrt", [x]) => x.sqrt(),
        ("tanh", [x]) => x.tanh(),
        ("add", [a, b]) => a + b,
        ("sub", [a, b]) => a - b,
        ("mul", [a, b]) => a * b,
        ("div", [a, b]) => a / b,
        ("gt", [a, b]) => a.gt(b),
        ("dot", [a, b]) => a.dot(b),
        ("matmul", [a, b]) => a.matmul(b),
        ("matvec", [a, b]) => a.matvec(b),
        ("outer", [a, b]) => a.outer(b),
        ("t", [x]) => x.t(),
        ("i", [x, i]) => x.i(i.to_scalar::<f64>()? as usize),
        ("flatten", [x]) => x.flatten(0, -1),
        ("reshape", [x, shape]) => x.reshape(sizes(shape)?),
        ("unsqueeze", [x, at]) => x.unsqueeze(axis(at)?),
        ("image_to_vector", [x]) => image_to_vector(x),
        ("ones", [shape]) => Tensor::ones(sizes(shape)?, DType::F32, &Device::Cpu),
        ("f32", [x]) => x.to_dtype(DType::F32),
        ("u32", [x]) => x.to_dtype(DType::U32),
        ("sum_all", [x]) => x.sum_all(),
        ("sum", [x, at]) => x.sum(axis(at)?),
        ("sum_keepdim", [x, at]) => x.sum_keepdim(axis(at)?),
        ("mean", [x, at]) => x.mean(axis(at)?),
        ("max_keepdim", [x, at]) => x.max_keepdim(axis(at)?),
        ("softmax", [x, at]) => x.softmax(axis(at)?),
        ("log_softmax", [x, at]) => x.log_softmax(axis(at)?),
        ("normalize_rows", [x]) => x.normalize_rows(2.0),
        ("standardize", [fitted, x]) => Standardize::fit(fitted)?.normalize(x),
        ("min_max", [fitted, x]) => MinMax::fit(fitted)?.normalize(x),
        ("l1", [x, y]) => l1(x, y),
        ("l2", [x, y]) => l2(x, y),
        ("mean_l1", [x, y]) => L1.loss(x, y),
        ("each_squared", [x, y]) => Mse.reduction(Reduction::None).loss(x, y),
        ("bce", [x, y]) => Bce.loss(x, y),
        ("bce_with_logits", [x, y]) => BceWithLogits.loss(x, y),
        ("cross_entropy", [x, y]) => CrossEntropy::new().loss(x, y),
        ("roc_auc", [x, y]) => {
            let mut auc = RocAuc::new();
            auc.update(x, y)?;
            Tensor::new(auc.value()?, &Device::Cpu)
        }
        ("conv2d", [x, w]) => x.conv2d(w, ConvOptions::new()),
        ("max_pool2d", [x, size]) => x.max_pool2d(PoolOptions::new(size.to_scalar::<f64>()? as usize)),
        ("conv_layer", [x, inputs, outputs, padding]) => {
            let [inputs, outputs, padding] =
                [axis(inputs)?, axis(outputs)?, axis(padding)?].map(|x| x.max(0) as usize);
            Conv2d::new(inputs, outputs, 3, ConvOptions::new().padding(padding), &mut Rng::seed(1))?.predict(x)
        }
        ("linear", [x, outputs]) => {
            let inputs = x.dims().last().copied().unwrap_or(1);
            Linear::new(inputs, axis(outputs)?.max(0) as usize, &mut Rng::seed(1))?
                .forward(x, &mut ForwardContext::eval())
        }
        ("dropout", [x]) => Dropout::new(0.5)?.forward(x, &mut ForwardContext::train(Rng::seed(1))),
        ("step_of_another_layer", [y]) => {
            let forgotten = Linear::new(2, 1, &mut Rng::seed(2))?;
            Sgd::new(forgotten.parameters(), 0.1)?.step(&y.backward()?)?;
            Ok(y.clone())
        }
        ("parameter", [x]) => Ok(Tensor::parameter(x.clone())),
        ("detach", [x]) => Ok(x.detach()),
        ("backward", [y]) => y.backward().map(|_| y.clone()),
        ("grad", [y, x]) => autograd::grad(y, [x]).map(|[slope]| slope),
        ("hessian", [y, x]) => autograd::hessian(y, [x]).map(|[[h]]| h),
        ("hvp", [y, x, v]) => autograd::hvp(y, [x], [v]).map(|[product]| product),
        ("watched_ln", [x]) => autograd::detect_anomaly(|| x.ln()?.sum_all()),
        _ => {
            let got = format!("{operation} of {}", operands.len());
            Err(Error::argument("calculate", "a known operation with its operands", got))
        }
    }
}
