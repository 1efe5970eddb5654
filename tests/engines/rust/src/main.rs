//! One model in the engine that this was built with: engines models.json NAME ...

use serde::Deserialize;

#[derive(Deserialize)]
struct Model {
    name: String,
    file: String,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    inputs: Vec<Input>,
    outputs: Vec<String>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    file: String,
    dims: Vec<usize>,
    #[serde(rename = "type")]
    kind: String,
}

/// The numbers of a file in their type.
enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    U8(Vec<u8>),
}

impl Input {
    fn read(&self) -> Numbers {
        let bytes = std::fs::read(&self.file).unwrap();
        macro_rules! of {
            ($t:ty) => {
                bytes
                    .chunks_exact(size_of::<$t>())
                    .map(|x| <$t>::from_le_bytes(x.try_into().unwrap()))
                    .collect()
            };
        }
        match self.kind.as_str() {
            "f32" => Numbers::F32(of!(f32)),
            "f64" => Numbers::F64(of!(f64)),
            "i64" => Numbers::I64(of!(i64)),
            _ => Numbers::U8(bytes),
        }
    }
}

type Output = (Vec<usize>, Vec<f64>);
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[cfg(feature = "tract")]
fn run(model: &Model, run: &Run) -> Result<Vec<Output>> {
    use tract_onnx::prelude::*;
    let mut graph = tract_onnx::onnx().model_for_path(&model.file)?;
    let mut values = tvec!();
    for (i, input) in run.inputs.iter().enumerate() {
        let dims = &input.dims[..];
        let tensor: Tensor = match input.read() {
            Numbers::F32(x) => Tensor::from_shape(dims, &x)?,
            Numbers::F64(x) => Tensor::from_shape(dims, &x)?,
            Numbers::I64(x) => Tensor::from_shape(dims, &x)?,
            Numbers::U8(x) => Tensor::from_shape(dims, &x)?,
        };
        graph.set_input_fact(i, InferenceFact::dt_shape(tensor.datum_type(), dims))?;
        values.push(tensor.into());
    }
    let found = graph.into_optimized()?.into_runnable()?.run(values)?;
    let numbers = |x: &TValue| -> Result<Output> {
        let dims = x.shape().to_vec();
        let x = x.cast_to::<f64>()?.into_owned();
        Ok((dims, x.try_as_plain_ram()?.as_slice::<f64>()?.to_vec()))
    };
    found.iter().map(numbers).collect()
}

#[cfg(feature = "rten")]
fn run(model: &Model, run: &Run) -> Result<Vec<Output>> {
    use rten::{Value, ValueOrView};
    use rten_tensor::Tensor;
    use rten_tensor::prelude::*;
    let graph = rten::Model::load_file(&model.file)?;
    let mut values: Vec<(rten::NodeId, ValueOrView)> = vec![];
    for input in &run.inputs {
        let dims = &input.dims[..];
        let value: Value = match input.read() {
            Numbers::F32(x) => Tensor::from_data(dims, x).into(),
            Numbers::F64(_) => return Err("no f64".into()),
            Numbers::I64(x) => {
                Tensor::from_data(dims, x.iter().map(|&x| x as i32).collect::<Vec<i32>>()).into()
            }
            Numbers::U8(x) => Tensor::from_data(dims, x).into(),
        };
        values.push((graph.node_id(&input.name)?, value.into()));
    }
    let outputs =
        run.outputs.iter().map(|name| graph.node_id(name)).collect::<std::result::Result<Vec<_>, _>>()?;
    let found = graph.run(values, &outputs, None)?;
    let numbers = |x: Value| -> Result<Output> {
        Ok(match x {
            Value::FloatTensor(x) => (x.shape().to_vec(), x.iter().map(|&x| x as f64).collect()),
            Value::Int32Tensor(x) => (x.shape().to_vec(), x.iter().map(|&x| x as f64).collect()),
            Value::UInt8Tensor(x) => (x.shape().to_vec(), x.iter().map(|&x| x as f64).collect()),
            _ => return Err("an output of another type".into()),
        })
    };
    found.into_iter().map(numbers).collect()
}

#[cfg(feature = "candle")]
fn run(model: &Model, run: &Run) -> Result<Vec<Output>> {
    use candle_core::{DType, Device, Tensor};
    let graph = candle_onnx::read_file(&model.file)?;
    let mut values = std::collections::HashMap::new();
    for input in &run.inputs {
        let (dims, cpu) = (&input.dims[..], &Device::Cpu);
        let x = match input.read() {
            Numbers::F32(x) => Tensor::from_vec(x, dims, cpu)?,
            Numbers::F64(x) => Tensor::from_vec(x, dims, cpu)?,
            Numbers::I64(x) => Tensor::from_vec(x, dims, cpu)?,
            Numbers::U8(x) => Tensor::from_vec(x, dims, cpu)?,
        };
        values.insert(input.name.clone(), x);
    }
    let found = candle_onnx::simple_eval(&graph, values)?;
    let mut outputs = vec![];
    for name in &run.outputs {
        let x = found.get(name).ok_or("no such output")?;
        outputs.push((x.dims().to_vec(), x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?));
    }
    Ok(outputs)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&arguments[1]).unwrap();
    let models: Vec<Model> = serde_json::from_str(&text).unwrap();
    for model in models.iter().filter(|model| arguments[2..].contains(&model.name)) {
        for one in &model.runs {
            let found = std::panic::catch_unwind(|| run(model, one).map_err(|error| error.to_string()));
            let line = match found.unwrap_or_else(|_| Err("a panic".into())) {
                Ok(outputs) => {
                    let output = |(dims, data): Output| {
                        let data: Vec<String> = data.iter().map(f64::to_string).collect();
                        serde_json::json!({ "dims": dims, "data": data })
                    };
                    let outputs: Vec<_> = outputs.into_iter().map(output).collect();
                    serde_json::json!({ "name": model.name, "outputs": outputs })
                }
                Err(error) => serde_json::json!({ "name": model.name, "error": error }),
            };
            println!("{line}");
        }
    }
}
