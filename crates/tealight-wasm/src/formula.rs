//! Page 1: a formula is written once.

use tealight::activation::{
    Activation, Elu, Gelu, LeakyRelu, Mish, Relu, Sigmoid, Silu, Softplus, Softsign, Tanh,
};
use tealight::autograd;
use tealight::formula::{Dual, Jet, Parsed, Tape, parse};
use tealight::prelude::{Device, Tensor};
use tealight_kernels::formula::InputSet;
use wasm_bindgen::prelude::*;

use crate::thrown;

/// A formula, looked at from every side.
#[wasm_bindgen(getter_with_clone)]
pub struct Study {
    pub x: Vec<f64>,
    pub value: Vec<f64>,
    pub first: Vec<f64>,
    pub second: Vec<f64>,
    /// As tealight prints it.
    pub formula: String,
    pub derivative: String,
    #[wasm_bindgen(js_name = secondDerivative)]
    pub second_derivative: String,
    /// What a node of the graph keeps for the backward pass.
    pub keeps: String,
    #[wasm_bindgen(js_name = gradcheckPasses)]
    pub gradcheck_passes: bool,
    pub gradcheck: String,
}

/// Reads `text` and evaluates it at `count` numbers between `from` and `to`.
#[wasm_bindgen]
pub fn study(text: &str, from: f64, to: f64, count: u32) -> Result<Study, JsError> {
    let parsed = parse(text, ["x"])?;
    if !(from < to && (from - to).is_finite() && (2..=10_000).contains(&count)) {
        let got = format!("{count} from {from} to {to}");
        return Err(JsError::new(&format!(
            "study: expected 2 to 10,000 numbers between two finite ends, got {got}"
        )));
    }
    let x: Vec<f64> = (0..count).map(|i| from + (to - from) * f64::from(i) / f64::from(count - 1)).collect();
    let input = Tensor::parameter(Tensor::new(&x[..], &Device::Cpu).map_err(thrown)?);
    let output = parsed.apply(&input).map_err(thrown)?;
    let jets = || x.iter().map(|&x| parsed.value([Jet::<f64, 2>::variable(x)]));
    let keeps = parsed.value([Dual::variable(InputSet::input(0))]).slope().has(0);
    let (gradcheck_passes, gradcheck) = verdict(&parsed, from, to);
    Ok(Study {
        value: output.to_vec1().map_err(thrown)?,
        first: jets().map(|y| y.derivative(1)).collect(),
        second: jets().map(|y| y.derivative(2)).collect(),
        formula: parsed.to_string(),
        derivative: Tape::capture(|[x]| [parsed.value([Dual::variable(x)]).slope()]).to_string(),
        second_derivative: Tape::capture(|[x]| {
            [parsed.value([Dual::variable(Dual::variable(x))]).slope().slope()]
        })
        .to_string(),
        keeps: if keeps { "its input x" } else { "nothing: the slope is a constant" }.into(),
        gradcheck_passes,
        gradcheck,
        x,
    })
}

/// gradcheck at numbers that are no round ones, where most formulas have their kinks.
fn verdict(parsed: &Parsed<1>, from: f64, to: f64) -> (bool, String) {
    let at: Vec<f64> = (0..7).map(|i| from + (to - from) * (f64::from(i) + 0.537) / 7.1).collect();
    let run = || autograd::gradcheck(|x| parsed.apply(&x[0]), &[Tensor::new(&at[..], &Device::Cpu)?]);
    match run() {
        Ok(report) => {
            let closely = |difference: f64| match difference {
                0.0 => "within their rounding".to_string(),
                _ => format!("to {difference:.1e}"),
            };
            let (first, second) = (closely(report.first), closely(report.second.unwrap_or(0.0)));
            (true, format!("passes: f′ agrees with finite differences {first}, f″ {second}"))
        }
        Err(error) => (false, error.to_string()),
    }
}

/// Names and formulas of ten activations, in turn.
#[wasm_bindgen]
pub fn activations() -> Vec<String> {
    fn text<A: Activation>(activation: A) -> [String; 2] {
        [A::NAME.to_string(), activation.tape().to_string()]
    }
    [
        text(Relu),
        text(LeakyRelu::default()),
        text(Elu::default()),
        text(Sigmoid),
        text(Tanh),
        text(Silu),
        text(Gelu),
        text(Softplus::default()),
        text(Mish),
        text(Softsign),
    ]
    .concat()
}
